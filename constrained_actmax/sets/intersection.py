"""Any convex sets together: what a problem's C is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from typing_extensions import override

from constrained_actmax.errors import SpecificationError
from constrained_actmax.kernels.intersection import IntersectionKernel, Strategy
from constrained_actmax.kernels.kernel import Kernel
from constrained_actmax.layout import Layout, Region, Vector
from constrained_actmax.quoting import quoted
from constrained_actmax.sets.base import ConvexSet


@dataclass(frozen=True, eq=False, repr=False)
class Intersection(ConvexSet):
    r"""All of several convex sets, :math:`C_1 \cap \dots \cap C_m`; of none, the whole space.

    Parameters
    ----------
    sets : sequence of ConvexSet or of SciPy's Bounds and LinearConstraint
        The members, each on its own part of the input.
    strategy : {None, "closed", "cvxpy", "dykstra"}
        How to project; None chooses (see Notes), "closed" refuses all that is not.

    Raises
    ------
    InfeasibleError
        On binding, if no point lies in all members; says which clash and by how much.

    Notes
    -----
    Boxes are merged; what is left is split into pieces that share no entry. A piece projects by

    1. a closed form, alone or with its box (root of the dual, O(n) a pass);
    2. Newton's method on the dual, for rows, one L1 ball and balls with a diagonal metric together;
    3. one cvxpy problem, compiled once;
    4. Dykstra's method [1]_, where the piece is too large for cvxpy.

    A point always ends inside: within 1e-12, relative, for closed forms, within 1e-8 for the
    others. `print` shows the choice.

    References
    ----------
    .. [1] Boyle, Dykstra (1986), A method for finding projections onto the intersection of convex
       sets in Hilbert spaces, Lecture Notes in Statistics 37.
    """

    sets: Sequence[Any] = ()
    strategy: Strategy | None = None

    def __post_init__(self) -> None:
        if not (self.on is None and self.where is None and self.name is None):
            raise SpecificationError("Intersection: give on=, where= and name= to its members.")
        if self.strategy not in (None, "closed", "cvxpy", "dykstra"):
            raise SpecificationError(
                "Intersection: strategy must be None, 'closed', 'cvxpy' or 'dykstra', "
                f"got {quoted(self.strategy)}."
            )
        from constrained_actmax.sets.conversion import as_set

        members = self.sets if isinstance(self.sets, list | tuple) else (self.sets,)
        flat: list[ConvexSet] = []
        for set_ in members:
            member = as_set(set_)
            flat.extend(member.sets if isinstance(member, Intersection) else [member])
        object.__setattr__(self, "sets", tuple(flat))

    @override
    def bind(self, layout: Layout, x0: Vector | None = None) -> IntersectionKernel:
        members = tuple(set_.bind(layout, x0) for set_ in self.sets)
        bound = IntersectionKernel(members, layout, self.strategy)
        bound.check_nonempty()
        return bound

    @override
    def kernel(self, region: Region) -> Kernel:
        raise SpecificationError("Intersection: bind(layout) it.")

    @override
    def describe(self) -> str:
        return " ∩ ".join(str(set_) for set_ in self.sets) if self.sets else "everything"

    @override
    def to_dict(self) -> dict[str, Any]:
        data: dict[str, Any] = {
            "set": "Intersection",
            "sets": [set_.to_dict() for set_ in self.sets],
        }
        if self.strategy is not None:
            data["strategy"] = self.strategy
        return data
