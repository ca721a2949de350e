"""Any constraint that cvxpy can write."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from typing_extensions import override

from constrained_actmax.errors import SpecificationError
from constrained_actmax.kernels.cvxpy_set import CvxpyKernel
from constrained_actmax.kernels.kernel import Kernel
from constrained_actmax.layout import Region
from constrained_actmax.sets.base import ConvexSet

if TYPE_CHECKING:
    import cvxpy as cp


@dataclass(frozen=True, eq=False, repr=False)
class CvxpySet(ConvexSet):
    r"""Whatever a cvxpy constraint allows, :math:`\{x : \text{function}(x)\}`.

    Parameters
    ----------
    function : callable
        Takes a cvxpy variable, the flat input in C order or one of `shape`, and returns a
        constraint or a list of them. It may make auxiliary variables.
    shape : tuple of int, optional
        The shape in which the variable is given.
    on, where, name
        See `ConvexSet`.

    Raises
    ------
    SpecificationError
        If what the function returns is not a DCP constraint, or an integer variable takes part.

    Notes
    -----
    Projected on by one cvxpy problem, compiled once [1]_; some 5 ms for ten entries, 20 ms for 784.
    It is solved in units in which its numbers are about 1: written with norms the projection is
    right from 1e-9 to 1e9, with squares from 1e-4 to 1e4. What no solver can tell raises
    `ProjectionError`.

    The domains of the functions in the constraints belong to the set: ``cp.geo_mean(x) >= 1`` asks
    for x >= 0 too, and a matrix function for a symmetric matrix. Outside them, and where a value is
    not finite, a constraint cannot be evaluated, and the violation is the distance to the set.

    References
    ----------
    .. [1] Agrawal, Verschueren, Diamond, Boyd (2018), A rewriting system for convex optimization
       problems, J. Control Decis. 5.
    """

    function: Callable[[Any], Any]
    shape: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        if not callable(self.function):
            raise SpecificationError(
                "CvxpySet: expected a function of a cvxpy variable, "
                f"got {type(self.function).__name__}."
            )

    @override
    def kernel(self, region: Region) -> Kernel:
        if self.shape is not None and int(np.prod(self.shape)) != region.dimension:
            raise SpecificationError(
                f"CvxpySet: shape {tuple(self.shape)} has {int(np.prod(self.shape))} entries, "
                f"the input has {region.dimension}."
            )
        import cvxpy as cp

        kernel = CvxpyKernel(self._stated, region.dimension)
        kernel.to_cvxpy(cp.Variable(region.dimension))
        return kernel

    @override
    def describe(self) -> str:
        name = getattr(self.function, "__name__", "function")
        return f"CvxpySet({'function' if name == '<lambda>' else name})"

    @override
    def to_dict(self) -> dict[str, Any]:
        return {"set": "CvxpySet", "description": self.describe(), "restorable": False}

    # cvxpy evaluates quantum_rel_entr of X / trace(X), but solves with X: a problem measures it, as
    # it does constraints with variables of their own.

    def _stated(self, variable: cp.Variable) -> list[cp.Constraint]:
        """Return the function's own constraints, checked."""
        import cvxpy as cp

        shaped = variable
        if self.shape is not None:
            shaped = cp.reshape(variable, tuple(self.shape), order="C")
        try:
            constraints = self.function(shaped)
        except SpecificationError:
            raise
        except Exception as error:
            raise SpecificationError(
                f"{self.describe()}: the function raised {type(error).__name__} on a variable of "
                f"shape {shaped.shape}: {error}"
            ) from error
        rows = list(constraints) if isinstance(constraints, list | tuple) else [constraints]
        if not rows:
            raise SpecificationError("CvxpySet: the function returned no constraint.")
        for number, row in enumerate(rows):
            which = f"constraint {number + 1} of {len(rows)}"
            if not isinstance(row, cp.Constraint):
                raise SpecificationError(
                    f"CvxpySet: {which} is {type(row).__name__}, not a cvxpy constraint; "
                    "write it with the variable and <=, >= or ==."
                )
            for own in row.variables():
                if own.attributes.get("integer") or own.attributes.get("boolean"):
                    kind = "boolean" if own.attributes.get("boolean") else "integer"
                    raise SpecificationError(
                        f"CvxpySet: the variable {own.name()!r} is {kind}; only convex sets "
                        "can be projected on. Relax it to real bounds."
                    )
            if not row.is_dcp():
                raise SpecificationError(
                    f"CvxpySet: {which}, {row}, does not follow cvxpy's rules of convexity (DCP)."
                )
        return [_measurable(row) for row in rows]


def _measurable(row: cp.Constraint) -> cp.Constraint:
    """Return an exponential cone as the inequality that it states, any other constraint as it is.

    The cone measures its violation by a projection of cvxpy's own, to 1e-8, which is too coarse:
    y exp(x / y) <= z is y log(y / z) + x <= 0.
    """
    import cvxpy as cp

    if isinstance(row, cp.constraints.ExpCone):
        return cp.rel_entr(row.y, row.z) + row.x <= 0
    return row
