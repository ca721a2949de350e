"""Discrete sets together, or with convex ones: projected on by branch and bound."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import count

import numpy as np
from typing_extensions import override

from constrained_actmax.errors import ProjectionError
from constrained_actmax.kernels.box import BoxKernel
from constrained_actmax.kernels.cardinality import CardinalityKernel
from constrained_actmax.kernels.components import Piece
from constrained_actmax.kernels.convex_program import names_of
from constrained_actmax.kernels.discrete import Bounds, DiscreteKernel, is_empty, meet
from constrained_actmax.kernels.kernel import Kernel
from constrained_actmax.kernels.part import on_part
from constrained_actmax.layout import Rows, Vector

#: Boxes that one projection looks at; most need a few.
MOST_BOXES = 1000
#: Boxes of an inexact projection, once it has a point.
FEW_BOXES = 3
#: Combinations that are listed at most, before those outside the other sets are left out.
MOST_LISTED = 2**17
#: Share of the distance that is not worth another box.
ENOUGH = 1e-12
#: Relative violation within which a relaxed point is on a discrete value but for a solver's
#: rounding, and is put there.
ROUNDED = 1e-7


class Union:
    """Convex and discrete sets on one vector: what relaxes them, and what is left in a box.

    Parameters
    ----------
    members : sequence of Kernel
        Discrete ones among them.
    """

    def __init__(self, members: Sequence[Kernel]) -> None:
        self.convex = [member for member in members if member.convex]
        parts = [part for member in members if not member.convex for part in member.split()]
        # Which entries change is chosen before their values: rounding in this order ends in all.
        parts.sort(key=lambda part: not isinstance(part.core, CardinalityKernel))
        #: The discrete sets on their own entries, and these entries.
        self.discrete = [
            (part.core, part.support) for part in parts if isinstance(part.core, DiscreteKernel)
        ]
        #: Whether all nonconvex members are unions of boxes.
        self.known = len(parts) == len(self.discrete)

    def tightened(self, box: Bounds) -> Bounds:
        """Return bounds that hold on all discrete sets within a box."""
        lower, upper = box[0].copy(), box[1].copy()
        while True:
            before = lower.copy(), upper.copy()
            for kernel, at in self.discrete:
                inner = kernel.tightened(lower[at], upper[at])
                lower[at], upper[at] = meet((lower[at], upper[at]), inner)
                if np.any(lower[at] > upper[at]):
                    return lower, upper
            if np.array_equal(before[0], lower) and np.array_equal(before[1], upper):
                return lower, upper

    def piece(self, x: Vector, box: Bounds) -> Bounds:
        """Return the box round a point in which every discrete set keeps its choice."""
        lower, upper = box[0].copy(), box[1].copy()
        for kernel, at in self.discrete:
            lower[at], upper[at] = meet((lower[at], upper[at]), kernel.piece(x[at]))
        return lower, upper

    def hulls(self, box: Bounds) -> list[Kernel]:
        """Return sets that hold the discrete ones within a tightened box, on the whole vector."""
        n = len(box[0])
        return [
            on_part(part, at, n)
            for kernel, at in self.discrete
            for part in kernel.hull(box[0][at], box[1][at])
        ]

    def combinations(self, box: Bounds) -> Rows | None:
        """Return all points of the discrete sets in a box (B, n).

        None where they leave entries free, or these are more than `MOST_LISTED` on the way.
        """
        lower, upper = self.tightened(box)
        rows = np.where(np.isfinite(lower), lower, 0.0)[np.newaxis]
        few = [
            (kernel, at) for kernel, at in self.discrete if isinstance(kernel, CardinalityKernel)
        ]
        for first, at in few[:1]:  # what is not chosen yet is unchanged
            rows[0, at] = np.clip(first.center, lower[at], upper[at])
        chosen = lower == upper
        for kernel, at in self.discrete:
            choices = kernel.choices(lower[at], upper[at])
            if choices is None:
                return None
            for entries, values in choices:
                where = at[entries]
                if chosen[where].all():
                    continue
                if len(rows) * len(values) > MOST_LISTED:
                    return None
                rows = np.repeat(rows, len(values), axis=0)
                rows[:, where] = np.tile(values, (len(rows) // len(values), 1))
                chosen[where] = True
                for other, its in few[:1]:
                    rows = rows[other.off(rows[:, its]) == 0.0]
        return rows[self.violation(rows) == 0.0] if chosen.all() else None

    def violation(self, x: Rows) -> Vector:
        """Return the largest relative violation of a discrete set for each row."""
        worst = np.zeros(len(x))
        for kernel, at in self.discrete:
            np.maximum(worst, kernel.relative_violation(x[:, at]), out=worst)
        return worst


@dataclass(frozen=True, eq=False, repr=False)
class Mixed(Piece):
    r"""Discrete sets together, or with convex ones.

    The nearest point of a union of boxes and a convex set, best first: a box is bounded by the
    distance to the convex set in it and the hulls of the discrete ones, and split where that point
    breaks one of them [1]_. The first point that breaks none is the nearest.

    References
    ----------
    .. [1] Land, Doig (1960), An automatic method of solving discrete programming problems,
       Econometrica 28.
    """

    #: Makes one convex set of some on this piece's entries; None where they are empty.
    together: Callable[[Sequence[Kernel]], Kernel | None]

    @cached_property
    def _union(self) -> Union:
        return Union(self.members)

    method = f"branch and bound over its choices, up to {MOST_BOXES} convex projections"

    @override
    def project(self, x: Rows) -> tuple[Rows, Vector | None]:
        p = x.copy()
        for row in np.flatnonzero(self.violation(x) > self.tolerance):
            nearest = self.nearest(x[row])
            if nearest is None:
                raise ProjectionError(
                    f"{names_of(self.members)}: no point was found in {MOST_BOXES} boxes; it may "
                    "be empty."
                )
            p[row] = nearest
        for member, at in self._union.discrete:  # values that are one but for rounding are that one
            p[:, at] = member.projected_in(self.lower[at], self.upper[at], p[:, at])[0]
        return p, None

    @override
    def project_inexact(self, x: Rows, tolerance: float, warm: object) -> tuple[Rows, object]:
        rows = [self._search(row, FEW_BOXES)[0] for row in x]
        if any(row is None for row in rows):
            return self.project(x)[0], None
        return np.array(rows), None

    def empty(self) -> bool:
        """Say whether no choice of the discrete sets is left; False where that is not proven."""
        if is_empty(self._union.tightened((self.lower, self.upper))):
            return True
        x = np.clip(0.0, self.lower, self.upper)
        for kernel, at in self._union.discrete:
            if isinstance(kernel, CardinalityKernel):  # often a point of C itself
                x[at] = kernel.center
        point, proven = self._search(x, 1)
        return point is None and proven

    def nearest(self, x: Vector) -> Vector | None:
        """Return the nearest point of the set, or a near one; None if none was found."""
        return self._search(x)[0]

    def _search(self, x: Vector, enough: int = MOST_BOXES) -> tuple[Vector | None, bool]:
        """Return the nearest point found, and whether the boxes that are left hold no nearer.

        With a point it stops after `enough` boxes.
        """
        union, number = self._union, count()
        boxes: list[tuple[float, int, Bounds, Vector]] = []
        best, shortest = None, np.inf
        seen: set[bytes] = set()
        proven = True

        def add(box: Bounds) -> None:
            nonlocal proven
            box = union.tightened(box)
            key = np.concatenate(box).tobytes()
            if is_empty(box) or key in seen:
                return
            seen.add(key)
            try:
                p = self._in_box(x, box, union.hulls(box))
            except ProjectionError:  # which proves nothing
                proven = False
                return
            if p is not None:
                heapq.heappush(boxes, (_squared(p, x), next(number), box, p))

        def offer(p: Vector, box: Bounds) -> bool:
            nonlocal best, shortest
            rounded = self._rounded(p, x, box)
            if rounded is not None and _squared(rounded, x) < shortest:
                best, shortest = rounded, _squared(rounded, x)
            return rounded is not None

        add((self.lower, self.upper))
        for looked in range(MOST_BOXES):
            if best is not None and looked >= enough:
                break
            if not boxes or boxes[0][0] >= (1.0 - ENOUGH) * shortest:
                return best, proven
            _, _, box, p = heapq.heappop(boxes)
            value = offer(p, box)
            worst = [float(kernel.off(p[np.newaxis, at])[0]) for kernel, at in union.discrete]
            if max(worst) <= ROUNDED and value:
                continue  # nothing in the box is nearer than what was found there
            kernel, at = union.discrete[int(np.argmax(worst))]
            for part in kernel.branches(p[at], box[0][at], box[1][at]):
                lower, upper = box[0].copy(), box[1].copy()
                lower[at], upper[at] = part
                add((lower, upper))
        return best, proven and not boxes

    def _rounded(self, p: Vector, x: Vector, box: Bounds) -> Vector | None:
        """Return the nearest point to x of the box that p is rounded to; None if it is empty."""
        lower, upper = box[0].copy(), box[1].copy()
        y = p.copy()
        for kernel, at in self._union.discrete:
            if kernel.violation_in(lower[at], upper[at]) > 0.0:
                return None
            y[at] = kernel.projected_in(lower[at], upper[at], y[np.newaxis, at])[0][0]
            lower[at], upper[at] = meet((lower[at], upper[at]), kernel.piece(y[at]))
            if np.any(lower > upper):
                return None
        try:
            return self._in_box(x, (lower, upper), [])
        except ProjectionError:
            return None

    def _in_box(self, x: Vector, box: Bounds, hulls: Sequence[Kernel]) -> Vector | None:
        """Return the projection on the convex members and hulls in a box; None if it is empty."""
        members = [*self._union.convex, *hulls]
        if not members:
            return np.clip(x, *box)
        if np.array_equal(*box):  # one point is left
            point = box[0][np.newaxis]
            off = max(
                float(member.relative_violation(point, self._widths)[0]) for member in members
            )
            return box[0].copy() if off <= self.tolerance else None
        whole = self.together([BoxKernel(*box), *members])
        if whole is None:
            return None
        nearest: Vector = np.clip(whole.project(x[np.newaxis]), *box)
        outside = float(whole.relative_violation(nearest)[0])
        if outside > whole.tolerance:
            raise ProjectionError(f"{whole}: a projection ended {outside:.3g} outside.")
        projected: Vector = nearest[0]
        return projected


def _squared(p: Vector, x: Vector) -> float:
    return float(np.sum((p - x) ** 2))
