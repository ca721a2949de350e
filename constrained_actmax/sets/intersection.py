"""Any convex sets together: what a problem's C is."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from typing_extensions import override

from constrained_actmax.errors import SpecificationError
from constrained_actmax.layout import Indices, Layout, Region, Rows, Vector
from constrained_actmax.quoting import quoted
from constrained_actmax.sets.base import LARGEST, ConvexSet, common_box, finite_widths
from constrained_actmax.sets.box import Box
from constrained_actmax.sets.cardinality import Cardinality
from constrained_actmax.sets.discrete import DiscreteSet
from constrained_actmax.sets.mixed import Mixed, Union
from constrained_actmax.sets.part import Part
from constrained_actmax.sets.pieces import Alone, Alternating, InBox, Piece, Program, Separable
from constrained_actmax.sets.scipy_form import LinearRows, ScipyForm, SmoothRow

if TYPE_CHECKING:
    import cvxpy as cp

ROUNDING = 4 * float(np.finfo(np.float64).eps)  # of a bound

Strategy = Literal["closed", "cvxpy", "dykstra"]


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
    layout: Layout | None = field(default=None, init=False, repr=False)
    _nonempty: bool = field(default=False, init=False, repr=False)

    violation_norm = "largest relative violation of a member"

    def __post_init__(self) -> None:
        if not (self.on is None and self.where is None and self.name is None):
            raise SpecificationError("Intersection: give on=, where= and name= to its members.")
        if self.strategy not in (None, "closed", "cvxpy", "dykstra"):
            raise SpecificationError(
                "Intersection: strategy must be None, 'closed', 'cvxpy' or 'dykstra', "
                f"got {quoted(self.strategy)}."
            )
        from constrained_actmax.sets.conversion import as_set

        given = self.sets if isinstance(self.sets, list | tuple) else (self.sets,)
        flat: list[ConvexSet] = []
        for one in given:
            member = as_set(one)
            flat.extend(member.sets if isinstance(member, Intersection) else [member])
        object.__setattr__(self, "sets", tuple(flat))

    # -- binding ---------------------------------------------------------------------------------

    @override
    def bind(self, layout: Layout, x0: Vector | None = None) -> Intersection:
        if self.bound:
            super().bind(layout, x0)
            return self
        bound = replace(self, sets=tuple(one.bind(layout, x0) for one in self.sets))
        bound = bound.unchecked(layout)
        bound.check_nonempty()
        return bound

    def unchecked(self, layout: Layout) -> Intersection:
        """Return the intersection of bound members, bound itself, be it empty or not."""
        bound = copy.copy(self)
        region = layout.region(everywhere=True, who="Intersection")
        object.__setattr__(bound, "_region", region)
        object.__setattr__(bound, "layout", layout)
        return bound

    @override
    def _bound(self, region: Region) -> ConvexSet:
        raise SpecificationError("Intersection: bind(layout) it.")

    # -- its structure ---------------------------------------------------------------------------

    @property
    def members(self) -> tuple[ConvexSet, ...]:
        """The bound members, in the order in which they were given; ``str`` gives their words."""
        return tuple(self.sets)

    @cached_property
    def _box(self) -> tuple[Vector, Vector]:
        lower, upper = np.full(self.dimension, -np.inf), np.full(self.dimension, np.inf)
        for one in self.members:
            if one.is_box:
                low, high = one.bounding_box()
                np.maximum(lower, low, out=lower)
                np.minimum(upper, high, out=upper)
        # Bounds that touch but for the rounding of units are one.
        with np.errstate(invalid="ignore"):
            apart = lower - upper
        touching = (apart > 0.0) & (apart <= ROUNDING * np.abs(upper))
        lower[touching] = upper[touching]
        return lower, upper

    @cached_property
    def _couplings(self) -> tuple[ConvexSet, ...]:
        return tuple(one for one in self.members if not one.is_box)

    @property
    def only_box(self) -> bool:
        """Whether bounds on entries are all there is."""
        return not self._couplings

    @property
    @override
    def convex(self) -> bool:  # type: ignore[override]
        return all(one.convex for one in self.members)

    @cached_property
    def union(self) -> Union:
        """The members as convex sets and unions of boxes."""
        return Union(self._couplings)

    @property
    def discrete(self) -> bool:
        """Whether this is a union of convex sets: what is not convex in it is a `DiscreteSet`."""
        return not self.convex and self.union.known

    @property
    def chooses_values(self) -> bool:
        """Whether a discrete member chooses values, and not only which entries change."""
        return any(not isinstance(one, Cardinality) for one, _ in self.union.discrete)

    @cached_property
    def hull(self) -> Intersection:
        """A convex set that holds this one: the discrete members' hulls in the place of these."""
        if not self.discrete:
            return self
        box = self.union.tightened(self._box)
        hull = self._relaxed(box, self.union.hulls(box))
        assert hull is not None  # it holds this set, which has a point
        return hull

    def piece(self, x: Vector) -> tuple[Vector, Vector]:
        """Return the box round a point in which its discrete choices are held."""
        return self.union.piece(x, self._box)

    def part_at(self, x: Vector) -> Intersection | None:
        """Return the convex part in which the discrete members keep the choice of a point (n,).

        None if the point is in no such part.
        """
        if self.union.violation(x[np.newaxis])[0] > 0.0:
            return None
        return self._relaxed(self.union.piece(x, self._box), [])

    def neighbours(self, x: Vector) -> Rows:
        """Return points (B, n) of the discrete members that are one step or swap from a point."""
        lower, upper = self.union.tightened(self._box)
        found = [y for one, at in self.union.discrete for y in _moved(one, at, x, lower, upper)]
        for one, at in self.union.discrete:
            kept = []
            for y in found:
                for part in one.repaired(y[at], x[at]):
                    y = y.copy()
                    y[at] = part
                    kept.append(y)
            found = kept
        return np.array(found).reshape(-1, self.dimension)

    def combinations(self, most: int) -> Rows | None:
        """Return all points (B, n), where the discrete members leave only so many; else None."""
        lower, upper = self._box
        found = self.union.combinations(common_box(self._couplings, lower, upper))
        if found is None:
            return None
        rows = found[self._violation(found) <= self.tolerance]
        return rows if len(rows) <= most else None

    def _relaxed(
        self, box: tuple[Vector, Vector], hulls: Sequence[ConvexSet]
    ) -> Intersection | None:
        bounds = Box(*box).bind(Layout.of_array((self.dimension,)))
        return unless_empty([bounds, *self.union.convex, *hulls])

    @cached_property
    def pieces(self) -> tuple[Piece, ...]:
        """The independent pieces; entries in none of them have bounds alone."""
        groups: list[tuple[list[ConvexSet], np.ndarray[Any, np.dtype[np.bool_]]]] = []
        for one in self._couplings:
            for part in one.split():
                mask = np.zeros(self.dimension, dtype=bool)
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

    def _piece(self, couplings: list[ConvexSet], indices: Indices) -> Piece:
        lower, upper = (bound[indices] for bound in self._box)
        members = tuple(
            one.core
            if len(one.support) == len(indices)
            else Part(one.core, np.searchsorted(indices, one.support), len(indices))
            for one in couplings
        )
        free = not (np.isfinite(lower).any() or np.isfinite(upper).any())
        first = members[0]
        if len(members) == 1 and (self.strategy in (None, "closed") or not first.convex):
            if free and first.closed:
                return Alone(indices, members, lower, upper)
            if first.takes_box(lower, upper):
                return InBox(indices, members, lower, upper)
        if self.strategy in (None, "closed") and all(one.convex for one in members):
            dual = Separable.dual_of(members, lower, upper)
            if dual is not None:
                return Separable(indices, members, lower, upper, dual)
        if not all(one.convex for one in members):
            if Union(members).known:
                if self.strategy is None:
                    return Mixed(indices, members, lower, upper, unless_empty)
                raise SpecificationError(
                    f"{self.describe()}: discrete sets are projected on together with others by "
                    "branch and bound; leave strategy= out."
                )
            raise SpecificationError(
                f"{self.describe()}: a heuristic set goes with bounds only; leave out one of "
                f"{' ∩ '.join(map(str, couplings))}."
            )
        if self.strategy == "closed":
            raise SpecificationError(
                f"{self.describe()}: no closed form is known for {' ∩ '.join(map(str, couplings))}"
                f"{'' if free else ' with a box'}; leave strategy= out."
            )
        own = all(one.closed for one in members)
        if self.strategy == "dykstra" and not own:
            raise SpecificationError(
                f"{self.describe()}: Dykstra's method needs a projection of each member; "
                f"{next(str(one) for one in members if not one.closed)} has none of its own."
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

    # -- what a user asks ------------------------------------------------------------------------

    @override
    def describe(self) -> str:
        return " ∩ ".join(str(one) for one in self.sets) if self.sets else "everything"

    @override
    def __str__(self) -> str:
        if not self.bound:
            return self.describe()
        return f"{self.describe()}\n  projection: {self.projection_method}"

    @override
    def to_dict(self) -> dict[str, Any]:
        data: dict[str, Any] = {
            "set": "Intersection",
            "sets": [one.to_dict() for one in self.members],
        }
        if self.strategy is not None:
            data["strategy"] = self.strategy
        return data

    @property
    @override
    def projection_method(self) -> str:
        if self.only_box:
            return "clip, exact, O(n)"
        found = []
        for piece in self.pieces:
            names = " ∩ ".join(str(one) for one in piece.members)
            found.append(f"{names}: {piece.method}")
        return "; ".join(found)

    @cached_property
    @override
    def tolerance(self) -> float:
        return max((piece.tolerance for piece in self.pieces), default=1e-12)

    @cached_property
    @override
    def accuracy(self) -> float:
        return max((piece.accuracy for piece in self.pieces), default=1e-9)

    @override
    def bounds(self) -> tuple[Vector, Vector]:
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
        for one in self._couplings:
            free = ~(np.isfinite(lower) & np.isfinite(upper))
            wanted[free] = one.centre()[free]
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
        from constrained_actmax.sets.convex_program import ConvexProgram

        if len(piece.indices) > LARGEST or not all(one.convex for one in piece.members):
            return False
        program = ConvexProgram(piece.members, piece.lower, piece.upper)
        g = np.random.default_rng(0).standard_normal(len(piece.indices))
        return program.open_along(g) or program.open_along(-g)

    @cached_property
    def _diameter(self) -> float:
        lower, upper = self._bounding_box
        squares = 0.0
        rest = np.ones(self.dimension, dtype=bool)
        for piece in self.pieces:
            at = piece.indices
            rest[at] = False
            width = float(np.linalg.norm(upper[at] - lower[at]))
            covering = [one.diameter for one in piece.members if len(one.support) == len(at)]
            squares += min([width, *covering]) ** 2
        return float(np.sqrt(squares + float(np.sum((upper[rest] - lower[rest]) ** 2))))

    @property
    @override
    def diameter(self) -> float:
        return self._diameter

    def check_nonempty(self) -> None:
        """Raise if no point lies in all members.

        Raises
        ------
        InfeasibleError
            Names the smallest clash, and by how much each of its constraints would have to give.
        """
        if self._nonempty:
            return
        from constrained_actmax.sets.emptiness import explain

        explain(self)
        object.__setattr__(self, "_nonempty", True)

    # -- projections -----------------------------------------------------------------------------

    @override
    def _project(self, x: Rows) -> Rows:
        return self._project_with_dual(x)[0]

    @override
    def _project_with_dual(self, x: Rows) -> tuple[Rows, Vector]:
        lower, upper = self._box
        nothing = np.full(len(x), np.nan)
        pieces = self.pieces
        if len(pieces) == 1 and len(pieces[0].indices) == self.dimension:
            projected, dual = pieces[0].project(x)
            return projected, nothing if dual is None else dual
        projected = np.minimum(np.maximum(x, lower), upper)
        duals = []
        for piece in pieces:
            projected[:, piece.indices], dual = piece.project(x[:, piece.indices])
            duals.append(nothing if dual is None else dual)
        return projected, duals[0] if len(duals) == 1 else nothing

    @override
    def _project_inexact(self, x: Rows, tolerance: float, warm: object) -> tuple[Rows, object]:
        lower, upper = self._box
        projected = np.minimum(np.maximum(x, lower), upper)
        before = warm if isinstance(warm, tuple) else (None,) * len(self.pieces)
        after = []
        for piece, state in zip(self.pieces, before, strict=True):
            at = piece.indices
            projected[:, at], state = piece.project_inexact(x[:, at], tolerance, state)
            after.append(state)
        return projected, tuple(after)

    @override
    def _violation(self, x: Rows) -> Vector:
        worst = np.zeros(len(x))
        for one in self.members:
            np.maximum(worst, one._relative_violation(x, self._widths), out=worst)
        return worst

    @cached_property
    def _widths(self) -> Vector:
        return finite_widths(*self._bounding_box)

    @override
    def _relative_violation(self, x: Rows, widths: Vector | None = None) -> Vector:
        return self._violation(x)

    @override
    def _linear_maximizer(self, g: Rows) -> Rows:
        if not self.convex:
            raise SpecificationError(
                f"{self.describe()}: it is not convex; a linear maximum is one of its hull."
            )
        lower, upper = self._box
        best = np.where(g > 0, upper, np.where(g < 0, lower, self.centre()))
        for piece in self.pieces:
            at = piece.indices
            best[:, at] = self._maximizer_of(piece, g[:, at])
        if not np.isfinite(best).all():
            raise SpecificationError(
                f"{self.describe()}: g'x has no maximum, the set is open along g."
            )
        return best

    @staticmethod
    def _maximizer_of(piece: Piece, g: Rows) -> Rows:
        if isinstance(piece, Alone):
            return piece.members[0]._linear_maximizer(g)
        if len(piece.members) == 1:
            found = piece.members[0]._linear_maximizer_in_box(g, piece.lower, piece.upper)
            if found is not None:
                return found
        from constrained_actmax.sets.convex_program import ConvexProgram

        program = ConvexProgram(piece.members, piece.lower, piece.upper)
        return np.stack([program.maximizer(row) for row in g])

    @override
    def _to_cvxpy(self, variable: cp.Variable) -> list[cp.Constraint]:
        return [row for one in self.members for row in one._to_cvxpy(variable)]

    @override
    def _to_scipy(self, lower: Vector, upper: Vector) -> ScipyForm | None:
        low, high = self.bounds()
        rows: list[LinearRows] = []
        smooth: list[SmoothRow] = []
        l1: list[tuple[Vector, Vector, float]] = []
        for one in self._couplings:
            form = one._to_scipy(lower, upper)
            if form is None:
                return None
            low, high = np.maximum(low, form.lower), np.minimum(high, form.upper)
            rows += form.rows
            smooth += form.smooth
            l1 += form.l1
        return ScipyForm(low, high, tuple(rows), tuple(smooth), l1=tuple(l1))


def together(members: Sequence[ConvexSet]) -> Intersection:
    """Return the intersection of sets of flat vectors, one of them at least bound.

    Raises
    ------
    InfeasibleError
        If it is empty.
    """
    size = next(one.dimension for one in members if one.bound)
    return Intersection(members).bind(Layout.of_array((size,)))


def unless_empty(members: Sequence[ConvexSet]) -> Intersection | None:
    """Return the intersection of convex sets of flat vectors, one of them at least bound.

    None where it is empty, without the words that `together` has for that.
    """
    from constrained_actmax.sets.emptiness import is_empty

    layout = Layout.of_array((next(one.dimension for one in members if one.bound),))
    whole = Intersection([one.bind(layout) for one in members]).unchecked(layout)
    if is_empty(whole):
        return None
    object.__setattr__(whole, "_nonempty", True)
    return whole


def _moved(
    one: DiscreteSet, at: Indices, x: Vector, lower: Vector, upper: Vector
) -> Iterator[Vector]:
    """Yield a point with each of a discrete set's moves at its entries."""
    for part in one.neighbours(x[at], lower[at], upper[at]):
        y = x.copy()
        y[at] = part
        yield y
