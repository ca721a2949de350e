"""The set C of a problem: kernels and a box together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np
from typing_extensions import override

from constrained_actmax.errors import SpecificationError
from constrained_actmax.kernels.box import BoxKernel
from constrained_actmax.kernels.cardinality import CardinalityKernel
from constrained_actmax.kernels.components import (
    Alternating,
    Direct,
    Piece,
    Program,
    Separable,
)
from constrained_actmax.kernels.convex_program import LARGEST, ConvexProgram, common_box, names_of
from constrained_actmax.kernels.discrete import ROUNDING
from constrained_actmax.kernels.integers import IntegersKernel
from constrained_actmax.kernels.kernel import Constraints, InBox, Kernel, Variable
from constrained_actmax.kernels.mixed import Mixed, Union
from constrained_actmax.kernels.part import on_part
from constrained_actmax.kernels.relative import finite_widths
from constrained_actmax.kernels.scipy_form import (
    LinearRows,
    ScipyForm,
    SmoothRow,
    Substitution,
    in_split_variables,
)
from constrained_actmax.layout import Indices, Layout, Rows, Vector, all_finite, numbers

Strategy = Literal["closed", "cvxpy", "dykstra"]


@dataclass(frozen=True, eq=False, repr=False)
class IntersectionKernel(Kernel):
    r"""The intersection of kernels, :math:`C_1 \cap \dots \cap C_m`; of none, the whole space.

    Boxes are merged, and what is left is split into pieces that share no entry; `Intersection`, as
    users write it, says how these are projected on. Where a kernel takes rows (B, n), this one
    takes a single point (n,) too, and gives one back.

    Parameters
    ----------
    members : tuple of Kernel
        The C_j.
    layout : Layout
        The entries' names.
    strategy : {None, "closed", "cvxpy", "dykstra"}
        How to project; None chooses.
    """

    members: tuple[Kernel, ...]
    layout: Layout
    strategy: Strategy | None = None
    _nonempty: bool = field(default=False, init=False, repr=False)

    violation_norm = "largest relative violation of a member"

    @property
    @override
    def size(self) -> int:
        return self.layout.size

    def describe(self) -> str:
        """Return the members' labels."""
        return " ∩ ".join(map(str, self.members)) if self.members else "everything"

    @override
    def __str__(self) -> str:
        return f"{self.describe()}\n  projection: {self.projection_method}"

    # -- its structure ---------------------------------------------------------------------------

    @cached_property
    def _box(self) -> tuple[Vector, Vector]:
        lower, upper = np.full(self.size, -np.inf), np.full(self.size, np.inf)
        for member in self.members:
            if member.is_box:
                low, high = member.bounding_box()
                np.maximum(lower, low, out=lower)
                np.minimum(upper, high, out=upper)
        # Bounds that touch but for the rounding of units are one.
        with np.errstate(invalid="ignore"):
            apart = lower - upper
        touching = (apart > 0.0) & (apart <= ROUNDING * np.abs(upper))
        lower[touching] = upper[touching]
        for whole, at in self.union.discrete:
            if isinstance(whole, IntegersKernel):
                lower[at], upper[at] = whole.rounded(lower[at]), whole.rounded(upper[at])
        return lower, upper

    @cached_property
    def _couplings(self) -> tuple[Kernel, ...]:
        return tuple(member for member in self.members if not member.is_box)

    @property
    def only_box(self) -> bool:
        """Whether bounds on entries are all there is."""
        return not self._couplings

    @property
    @override
    def convex(self) -> bool:
        return all(member.convex for member in self.members)

    @cached_property
    def union(self) -> Union:
        """The members as convex sets and unions of boxes."""
        return Union(self._couplings)

    @property
    def discrete(self) -> bool:
        """Whether this is a union of convex sets: all that is not convex is a `DiscreteKernel`."""
        return not self.convex and self.union.known

    @cached_property
    def hull(self) -> IntersectionKernel:
        """A convex set that holds this one: the discrete members' hulls in the place of these."""
        if not self.discrete:
            return self
        box = self.union.tightened(self._box)
        hull = self._relaxed(box, self.union.hulls(box))
        assert hull is not None  # it holds this set, which has a point
        return hull

    @property
    def chooses_values(self) -> bool:
        """Whether a discrete member chooses values, and not only which entries change."""
        return any(not isinstance(kernel, CardinalityKernel) for kernel, _ in self.union.discrete)

    @property
    def discrete_entries(self) -> np.ndarray:
        """Which entries (n,) a set that is not convex speaks of."""
        mask = np.full(self.size, not self.union.known)
        for _, at in self.union.discrete:
            mask[at] = True
        return mask

    @cached_property
    def choices_are_points(self) -> bool:
        """Whether each choice of the discrete members leaves one point."""
        held = self._box[0] == self._box[1]
        for kernel, at in self.union.discrete:
            held[at] |= kernel.held
        return bool(held.all())

    @property
    def free_inputs(self) -> int:
        """The number of entries that are not fixed; a choice of one category counts as one."""
        lower, upper = self._bounding_box
        joined = sum(kernel.joined(lower[at], upper[at]) for kernel, at in self.union.discrete)
        return int(np.count_nonzero(lower < upper)) - joined

    def piece(self, x: Vector) -> tuple[Vector, Vector]:
        """Return the box round a point in which its discrete choices are held."""
        return self.union.piece(x, self._box)

    def neighbours(self, x: Vector) -> Rows:
        """Return points (B, n) of the discrete members that are one step or swap from a point."""
        lower, upper = self.union.tightened(self._box)
        moved = [np.empty((0, self.size))]
        for kernel, at in self.union.discrete:
            parts = kernel.neighbours(x[at], lower[at], upper[at])
            rows = np.repeat(x[np.newaxis], len(parts), axis=0)
            rows[:, at] = parts
            moved.append(rows)
        points = np.concatenate(moved)
        for kernel, at in self.union.discrete:
            parts, of = kernel.repaired(points[:, at], x[at])
            points = points[of]
            points[:, at] = parts
        return points

    def combinations(self, most: int) -> Rows | None:
        """Return all points (B, n), where the discrete members leave only so many; else None."""
        lower, upper = self._box
        points = self.union.combinations(common_box(self._couplings, lower, upper))
        if points is None:
            return None
        rows = points[self.relative_violation(points) <= self.tolerance]
        return rows if len(rows) <= most else None

    def part_at(self, x: Vector) -> IntersectionKernel | None:
        """Return the convex part in which the discrete members keep the choice of a point (n,).

        None if the point is in no such part.
        """
        if self.union.violation(x[np.newaxis])[0] > 0.0:
            return None
        return self._relaxed(self.union.piece(x, self._box), [])

    def _relaxed(
        self, box: tuple[Vector, Vector], hulls: Sequence[Kernel]
    ) -> IntersectionKernel | None:
        return unless_empty([BoxKernel(*box), *self.union.convex, *hulls])

    @cached_property
    def pieces(self) -> tuple[Piece, ...]:
        """The independent pieces; entries in none of them have bounds alone."""
        groups: list[tuple[list[Kernel], np.ndarray[Any, np.dtype[np.bool_]]]] = []
        for coupling in self._couplings:
            for part in coupling.split():
                mask = np.zeros(self.size, dtype=bool)
                mask[part.support] = True
                together, apart = [part], []
                for members, their_mask in groups:
                    if (their_mask & mask).any():
                        together = members + together
                        mask |= their_mask
                    else:
                        apart.append((members, their_mask))
                groups = [*apart, (together, mask)]
        return tuple(self._piece(members, np.flatnonzero(mask)) for members, mask in groups)

    def _piece(self, couplings: list[Kernel], indices: Indices) -> Piece:
        lower, upper = (bound[indices] for bound in self._box)
        members = tuple(
            on_part(coupling.core, np.searchsorted(indices, coupling.support), len(indices))
            for coupling in couplings
        )
        free = not (np.isfinite(lower).any() or np.isfinite(upper).any())
        first = members[0]
        if len(members) == 1 and (self.strategy in (None, "closed") or not first.convex):
            if free and first.closed:
                alone, method = first.project_with_dual, first.projection_method
                pair: InBox | None = InBox(alone, method=method, inexact=first.project_inexact)
            else:
                pair = first.in_box(lower, upper)
            if pair is not None:
                return Direct(indices, members, lower, upper, pair)
        if self.strategy in (None, "closed") and all(member.convex for member in members):
            dual = Separable.dual_of(members, lower, upper)
            if dual is not None:
                return Separable(indices, members, lower, upper, dual)
        if not all(member.convex for member in members):
            if Union(members).known:
                if self.strategy is None:
                    return Mixed(indices, members, lower, upper, unless_empty)
                raise SpecificationError(
                    f"{self.describe()}: discrete sets are projected on together with others by "
                    "branch and bound; leave strategy= out."
                )
            raise SpecificationError(
                f"{self.describe()}: a heuristic set goes with bounds only; leave out one of "
                f"{names_of(couplings)}."
            )
        if self.strategy == "closed":
            raise SpecificationError(
                f"{self.describe()}: no closed form is known for {names_of(couplings)}"
                f"{'' if free else ' with a box'}; leave strategy= out."
            )
        own = all(member.closed for member in members)
        if self.strategy == "dykstra" and not own:
            raise SpecificationError(
                f"{self.describe()}: Dykstra's method needs a projection of each member; "
                f"{next(str(member) for member in members if not member.closed)} has none of its "
                "own."
            )
        if self.strategy == "dykstra":
            return Alternating(indices, members, lower, upper)
        if len(indices) > LARGEST and self.strategy is None:
            if own:
                return Alternating(indices, members, lower, upper)
            raise SpecificationError(
                f"{self.describe()}: {len(indices):,} entries are too many for cvxpy "
                f"(at most {LARGEST:,}), and not every member has a projection of its own. "
                "Limit it with where=."
            )
        return Program(indices, members, lower, upper)

    @property
    @override
    def projection_method(self) -> str:
        if self.only_box:
            return "clip, exact, O(n)"
        words = [f"{names_of(piece.members)}: {piece.method}" for piece in self.pieces]
        return "; ".join(dict.fromkeys(words))

    @cached_property
    @override
    def tolerance(self) -> float:
        return max((piece.tolerance for piece in self.pieces), default=1e-12)

    @cached_property
    @override
    def accuracy(self) -> float:
        return max((piece.accuracy for piece in self.pieces), default=1e-9)

    def bounds(self) -> tuple[Vector, Vector]:
        """Return the bounds that the user wrote on single entries (those of boxes)."""
        lower, upper = self._box
        return lower.copy(), upper.copy()

    @cached_property
    def _bounding_box(self) -> tuple[Vector, Vector]:
        return common_box(self._couplings, *self._box)

    @override
    def bounding_box(self) -> tuple[Vector, Vector]:
        lower, upper = self._bounding_box
        return lower.copy(), upper.copy()

    @override
    def centre(self) -> Vector:
        lower, upper = self._bounding_box
        wanted = super().centre()
        for coupling in self._couplings:
            free = ~(np.isfinite(lower) & np.isfinite(upper))
            wanted[free] = coupling.centre()[free]
        return np.clip(wanted, lower, upper)

    @cached_property
    def bounded(self) -> bool:
        """Whether the set is bounded; False only where it is certain that it is not."""
        lower, upper = self._bounding_box
        infinite = np.isinf(lower) | np.isinf(upper)
        if not infinite.any():
            return True
        if self.discrete:
            return self.hull.bounded
        for piece in self.pieces:
            if infinite[piece.indices].any() and self._open(piece):
                return False
            infinite[piece.indices] = False
        return not infinite.any()

    @staticmethod
    def _open(piece: Piece) -> bool:
        # Every direction that a convex set is open along has g'd != 0 for almost every g, so two
        # linear programs decide it.

        if len(piece.indices) > LARGEST or not all(member.convex for member in piece.members):
            return False
        program = ConvexProgram(piece.members, piece.lower, piece.upper)
        g = np.random.default_rng(0).standard_normal(len(piece.indices))
        return program.open_along(g) or program.open_along(-g)

    @cached_property
    @override
    def diameter(self) -> float:
        lower, upper = self._bounding_box
        squares = 0.0
        rest = np.ones(self.size, dtype=bool)
        for piece in self.pieces:
            at = piece.indices
            rest[at] = False
            width = float(np.linalg.norm(upper[at] - lower[at]))
            covering = [
                member.diameter for member in piece.members if len(member.support) == len(at)
            ]
            squares += min([width, *covering]) ** 2
        return float(np.sqrt(squares + float(np.sum((upper[rest] - lower[rest]) ** 2))))

    def check_nonempty(self) -> None:
        """Raise if no point lies in all members.

        Raises
        ------
        InfeasibleError
            Names the smallest clash, and by how much each of its constraints would have to give.
        """
        if self._nonempty:
            return
        from constrained_actmax.kernels.emptiness import explain

        explain(self)
        object.__setattr__(self, "_nonempty", True)

    # -- projections -----------------------------------------------------------------------------

    @override
    def project(self, x: Rows) -> Rows:
        rows, single = self._rows(x, "project")
        projected = self._projected(rows)[0]
        return projected[0] if single else projected

    @override
    def project_with_dual(self, x: Rows) -> tuple[Rows, Any]:
        rows, single = self._rows(x, "project_with_dual")
        projected, dual = self._projected(rows)
        return (projected[0], float(dual[0])) if single else (projected, dual)

    def _projected(self, x: Rows) -> tuple[Rows, Vector]:
        lower, upper = self._box
        nothing = np.full(len(x), np.nan)
        pieces = self.pieces
        if len(pieces) == 1 and len(pieces[0].indices) == self.size:
            projected, dual = pieces[0].project(x)
            return projected, nothing if dual is None else dual
        projected = np.minimum(np.maximum(x, lower), upper)
        duals = []
        for piece in pieces:
            projected[:, piece.indices], dual = piece.project(x[:, piece.indices])
            duals.append(nothing if dual is None else dual)
        return projected, duals[0] if len(duals) == 1 else nothing

    @override
    def project_inexact(
        self, x: Rows, tolerance: float, warm: object = None
    ) -> tuple[Rows, object]:
        x, single = self._rows(x, "project_inexact")
        lower, upper = self._box
        projected = np.minimum(np.maximum(x, lower), upper)
        before = warm if isinstance(warm, tuple) else (None,) * len(self.pieces)
        after = []
        for piece, state in zip(self.pieces, before, strict=True):
            at = piece.indices
            projected[:, at], state = piece.project_inexact(x[:, at], tolerance, state)
            after.append(state)
        return (projected[0] if single else projected), tuple(after)

    @override
    def violation(self, x: Rows) -> Any:
        rows, single = self._rows(x, "violation")
        worst = np.zeros(len(rows))
        for member in self.members:
            np.maximum(worst, member.relative_violation(rows, self._widths), out=worst)
        return float(worst[0]) if single else worst

    @cached_property
    def _widths(self) -> Vector:
        return finite_widths(*self._bounding_box)

    @override
    def relative_violation(self, x: Rows, widths: Vector | None = None) -> Any:
        return self.violation(x)

    @override
    def linear_maximizer(self, g: Rows) -> Rows:
        if not self.convex:
            raise SpecificationError(
                f"{self.describe()}: it is not convex; a linear maximum is one of its hull."
            )
        g, single = self._rows(g, "linear_maximizer")
        lower, upper = self._box
        best = np.where(g > 0, upper, np.where(g < 0, lower, self.centre()))
        for piece in self.pieces:
            at = piece.indices
            best[:, at] = self._maximizer_of(piece, g[:, at])
        if not np.isfinite(best).all():
            raise SpecificationError(
                f"{self.describe()}: g'x has no maximum, the set is open along g."
            )
        return best[0] if single else best

    @staticmethod
    def _maximizer_of(piece: Piece, g: Rows) -> Rows:
        if isinstance(piece, Direct) and not piece.bounded:
            return piece.members[0].linear_maximizer(g)
        if len(piece.members) == 1:
            maximizers = piece.members[0].linear_maximizer_in_box(g, piece.lower, piece.upper)
            if maximizers is not None:
                return maximizers

        program = ConvexProgram(piece.members, piece.lower, piece.upper)
        return np.stack([program.maximizer(row) for row in g])

    # -- other forms -----------------------------------------------------------------------------

    @override
    def to_cvxpy(self, variable: Variable) -> Constraints:
        return [row for member in self.members for row in member.to_cvxpy(variable)]

    @override
    def to_scipy(
        self, lower: Vector | None = None, upper: Vector | None = None
    ) -> ScipyForm | None:
        box_lower, box_upper = self.bounding_box()
        lower = box_lower if lower is None else lower
        upper = box_upper if upper is None else upper
        low, high = self.bounds()
        rows: list[LinearRows] = []
        smooth: list[SmoothRow] = []
        l1: list[tuple[Vector, Vector, float]] = []
        for coupling in self._couplings:
            form = coupling.to_scipy(lower, upper)
            if form is None:
                return None
            low, high = np.maximum(low, form.lower), np.minimum(high, form.upper)
            rows += form.rows
            smooth += form.smooth
            l1 += form.l1
        return ScipyForm(low, high, tuple(rows), tuple(smooth), tuple(l1))

    def in_scipy_variables(self) -> Substitution | None:
        """Return the set in variables in which an L1 ball is one row; None without such a form."""
        form = self.to_scipy()
        return None if form is None else in_split_variables(form, *self.bounding_box())

    def _rows(self, x: Any, who: str) -> tuple[Rows, bool]:
        return rows_of(x, self.size, f"IntersectionKernel.{who}", finite=who != "violation")


def together(members: Sequence[Kernel]) -> IntersectionKernel:
    """Return the intersection of some kernels.

    Raises
    ------
    InfeasibleError
        If it is empty.
    """
    whole = IntersectionKernel(tuple(members), Layout.of_array((members[0].size,)))
    whole.check_nonempty()
    return whole


def unless_empty(members: Sequence[Kernel]) -> IntersectionKernel | None:
    """Return the intersection of convex kernels; None where it is empty, without any words."""
    from constrained_actmax.kernels.emptiness import is_empty

    whole = IntersectionKernel(tuple(members), Layout.of_array((members[0].size,)))
    if is_empty(whole):
        return None
    object.__setattr__(whole, "_nonempty", True)
    return whole


def rows_of(x: Any, n: int, who: str, *, finite: bool) -> tuple[Rows, bool]:
    """Return a point (n,) or rows (B, n) as rows, and whether it was a point.

    Raises
    ------
    SpecificationError
        If the shape is another one or, where asked, a number is not finite.
    """
    array = numbers(x, who)
    if array.ndim not in (1, 2) or array.shape[-1] != n:
        raise SpecificationError(
            f"{who}: expected a point ({n},) or rows (B, {n}), got shape {array.shape}."
        )
    if finite and not all_finite(array):
        raise SpecificationError(f"{who}: the point holds NaN or infinity.")
    return (array[np.newaxis], True) if array.ndim == 1 else (array, False)
