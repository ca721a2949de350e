"""At most k changed entries."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from typing_extensions import override

from constrained_actmax.kernels.discrete import ROUNDING, Bounds, DiscreteKernel
from constrained_actmax.kernels.kernel import Kernel
from constrained_actmax.kernels.l1_ball import L1BallKernel
from constrained_actmax.kernels.part import PartKernel
from constrained_actmax.kernels.relative import powers_of_two
from constrained_actmax.layout import Indices, Rows, Vector

#: Changes that may be taken back for another one: the smallest.
MOST_BACK = 8


@dataclass(frozen=True, eq=False, repr=False)
class CardinalityKernel(DiscreteKernel):
    r"""At most k changed entries, :math:`\{x : \#\{i : x_i \ne c_i\} \le k\}`.

    Parameters
    ----------
    count : int
        k >= 0.
    center : numpy.ndarray, shape (n,)
        c.
    groups : numpy.ndarray of int, shape (n,), optional
        Entries of one group count as one change; by default each counts alone.
    """

    count: int
    center: Vector
    groups: Indices | None = None

    violation_norm = "number of entries too many"
    projection_method = "keeps the k largest gains, O(n)"

    @property
    @override
    def size(self) -> int:
        return len(self.center)

    @cached_property
    def _members(self) -> list[Indices] | None:
        """The entries that count as one."""
        if self.groups is None:
            return None
        return [np.flatnonzero(self.groups == label) for label in np.unique(self.groups)]

    @override
    def scaled(self, units: Vector) -> CardinalityKernel:
        return replace(self, center=self.center / units)

    @override
    def violation_in(self, lower: Vector, upper: Vector) -> float:
        return float(np.sum(self._forced(lower, upper)) - self.count)

    @override
    def hull(self, lower: Vector, upper: Vector) -> tuple[Kernel, ...]:
        # Each change adds at most 1 to the mean of its entries' shares of their widest change.
        left = -self.violation_in(lower, upper)
        widest = np.maximum(upper - self.center, self.center - lower)
        free = self._free(lower, upper)
        free = free[(widest[free] > 0.0) & np.isfinite(widest[free])]
        if not free.size or left >= free.size:
            return ()
        sizes = np.ones(self.size)
        for at in self._members or ():
            sizes[at] = at.size
        weights = 1.0 / (widest[free] * sizes[free])
        inner = L1BallKernel(self.center[free], left, weights, label=str(self))
        return (PartKernel(inner, free, self.size),)

    def _entries(self, group: int) -> Indices:
        """Return the entries of what counts as one change."""
        return np.array([group]) if self._members is None else self._members[group]

    def _summed(self, values: np.ndarray) -> np.ndarray:
        """Return (B, G): sums over what counts as one change."""
        if self._members is None:
            return values
        return np.stack([values[:, at].sum(axis=1) for at in self._members], axis=1)

    def _changed_groups(self, x: Rows) -> np.ndarray:
        return np.asarray(self._summed(np.abs(x - self.center) > self._near) > 0)

    @cached_property
    def _near(self) -> Vector:
        """How far an entry (n,) differs from the center by rounding alone."""
        return np.asarray(ROUNDING * np.abs(self.center))

    def _forced(self, lower: Vector, upper: Vector) -> np.ndarray:
        """Return which changes a box asks for: its bounds leave out the center."""
        outside = (self.center < lower - self._near) | (self.center > upper + self._near)
        return np.asarray(self._summed(outside[np.newaxis])[0] > 0)

    def _free(self, lower: Vector, upper: Vector) -> Indices:
        """Return the entries of the changes that a box leaves open."""
        groups = np.flatnonzero(~self._forced(lower, upper)).tolist()
        entries = [self._entries(group) for group in groups]
        return np.sort(np.concatenate([np.empty(0, dtype=np.intp), *entries]))  # parts ascend

    @override
    def emptiness(self, lower: Vector, upper: Vector) -> tuple[int, str] | None:
        return None  # how many too many is said as of any set

    @override
    def tightened(self, lower: Vector, upper: Vector) -> Bounds:
        low, high = np.array(lower), np.array(upper)
        left = -self.violation_in(lower, upper)
        if left < 0:
            low[:], high[:] = np.inf, -np.inf
        elif left == 0:
            free = self._free(lower, upper)
            low[free] = high[free] = np.clip(self.center, lower, upper)[free]
        return low, high

    @property
    @override
    def held(self) -> np.ndarray:
        return np.zeros(self.size, dtype=bool)

    @override
    def piece(self, x: Vector) -> Bounds:
        lower, upper = np.full(len(x), -np.inf), np.full(len(x), np.inf)
        changed = self._changed_groups(x[np.newaxis])[0]
        for group in np.flatnonzero(~changed).tolist():
            at = self._entries(group)
            lower[at] = upper[at] = x[at]
        return lower, upper

    @override
    def branches(self, p: Vector, lower: Vector, upper: Vector) -> list[Bounds]:
        changed = self._changed_groups(p[np.newaxis])[0] & ~self._forced(lower, upper)
        return self._without_one(np.flatnonzero(changed), lower, upper)

    def _without_one(self, groups: Indices, lower: Vector, upper: Vector) -> list[Bounds]:
        """Return boxes that hold all of the set in a box: of any k + 1 changes one has to go."""
        left, branches = -int(self.violation_in(lower, upper)), []
        for group in groups[: left + 1].tolist():
            at = self._entries(group)
            low, high = lower.copy(), upper.copy()
            low[at] = high[at] = np.clip(self.center[at], lower[at], upper[at])
            branches.append((low, high))
        return branches

    def _undecided(self, lower: Vector, upper: Vector) -> Indices:
        """Return the changes that a box leaves open, where these are too many."""
        may = self._summed((lower < upper)[np.newaxis])[0] > 0.0
        groups = np.flatnonzero(may & ~self._forced(lower, upper))
        return groups if groups.size > -self.violation_in(lower, upper) else groups[:0]

    @override
    def open(self, lower: Vector, upper: Vector) -> np.ndarray:
        open_ = np.zeros(self.size, dtype=bool)
        for group in self._undecided(lower, upper).tolist():
            open_[self._entries(group)] = True
        return open_ & (lower < upper)

    @override
    def parts(self, entry: int, lower: Vector, upper: Vector) -> list[Bounds]:
        return self._without_one(self._undecided(lower, upper), lower, upper)

    @override
    def neighbours(self, x: Vector, lower: Vector, upper: Vector) -> Rows:
        """Return points with one change less, and with one more that goes to a bound or halfway."""
        changed = self._changed_groups(x[np.newaxis])[0]
        moved = []
        for group in np.flatnonzero(changed & ~self._forced(lower, upper)).tolist():
            y = x.copy()
            y[self._entries(group)] = self.center[self._entries(group)]
            moved.append(y)
        for group in np.flatnonzero(~changed).tolist():
            at = self._entries(group)
            for bound in (lower, upper):
                for share in (0.5, 1.0):
                    y = x.copy()
                    y[at] += share * (bound[at] - x[at])
                    if np.isfinite(y).all() and not np.array_equal(x, y):
                        moved.append(y)
        return np.array(moved).reshape(-1, len(x))

    @override
    def choices(self, lower: Vector, upper: Vector) -> list[tuple[Indices, Rows]] | None:
        return []

    @override
    def repaired(self, y: Rows, x: Vector) -> tuple[Rows, Indices]:
        changed = self._changed_groups(y)
        violation = changed.sum(axis=1) - self.count
        own = self._summed(x != y) > 0.0
        sizes = self._summed(np.abs(y - self.center))
        points: list[Vector] = []
        of: list[int] = []
        for row in np.flatnonzero(violation <= 1).tolist():
            if violation[row] <= 0:
                points.append(y[row])
                of.append(row)
                continue
            back_again = np.flatnonzero(changed[row] & ~own[row])
            smallest = np.argsort(sizes[row, back_again], kind="stable")[:MOST_BACK]
            for group in back_again[smallest].tolist():
                back = y[row].copy()
                back[self._entries(group)] = self.center[self._entries(group)]
                points.append(back)
                of.append(row)
        return np.array(points).reshape(-1, len(x)), np.array(of, dtype=int)

    @override
    def projected_in(self, lower: Vector, upper: Vector, x: Rows) -> tuple[Rows, Vector]:
        c = self.center
        p = np.minimum(np.maximum(x, lower), upper)
        size = powers_of_two(np.max(np.abs(x), initial=0.0))  # squares neither vanish nor
        # overflow
        gain = ((x - c) / size) ** 2 - ((x - p) / size) ** 2
        gain[:, (c < lower) | (c > upper)] = np.inf
        gain = self._summed(gain)
        dropped = np.argsort(gain, axis=1, kind="stable")[:, : max(0, gain.shape[1] - self.count)]
        if self._members is None:
            np.put_along_axis(p, dropped, c[dropped], axis=1)
        else:
            for row, groups in zip(p, dropped.tolist(), strict=True):
                for group in groups:
                    row[self._members[group]] = c[self._members[group]]
        inside = np.all((x >= lower) & (x <= upper), axis=1)
        if inside.any():
            inside &= np.sum(self._changed_groups(x), axis=1) <= self.count
            p[inside] = x[inside]
        return p, np.full(len(x), np.nan)

    @override
    def distances(self, x: Rows) -> Rows:
        violation = np.sum(self._changed_groups(x), axis=1) - float(self.count)
        return np.asarray(np.maximum(0.0, violation)[:, np.newaxis])

    @override
    def sizes(self) -> Vector:
        return np.ones(1)
