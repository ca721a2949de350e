"""One category of each group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from typing_extensions import override

from constrained_actmax.errors import SpecificationError
from constrained_actmax.layout import Indices, Layout, Region, Rows, Vector
from constrained_actmax.quoting import quoted
from constrained_actmax.sets.base import ConvexSet
from constrained_actmax.sets.discrete import Bounds, DiscreteSet
from constrained_actmax.sets.groups import labels_of_groups, members_of_groups
from constrained_actmax.sets.linear import Linear
from constrained_actmax.sets.part import Part


@dataclass(frozen=True, eq=False, repr=False)
class OneHot(DiscreteSet):
    r"""One entry of each group is 1 and the others are 0, :math:`\{x : x_g \in \{e_1, \dots\}\}`.

    Parameters
    ----------
    groups : sequence of sequences of str, or array_like of int, optional
        Feature names that belong together (one group for each list, at every position of the other
        axes), or a label for each entry with -1 for those in no group. By default all entries are
        one group.
    dropped : bool, default False
        Whether all entries of a group may be 0: the category that an encoder dropped.
    on, where, name
        See `ConvexSet`.

    Raises
    ------
    SpecificationError
        If a name or label does not fit.

    Notes
    -----
    The set is not convex; its hull is a simplex for each group. The projection sets the largest
    entry of a group to 1, of two the first; with a box, of the entries that the box lets be 1;
    exact, O(n).

    Examples
    --------
    >>> import constrained_actmax as cax
    >>> cax.OneHot().project([0.2, 0.9, 0.4])
    array([0., 1., 0.])
    """

    groups: Any = None
    dropped: bool = False
    _members: Any = field(default=None, init=False, repr=False)  # the entries of each group
    _height: Any = field(default=None, init=False, repr=False)  # (n,), 1 in the user's units

    violation_norm = "largest distance of an entry to 0 or 1, of one category a group"
    method_alone = method_in_box = "largest entry of each group, exact, O(n)"

    def __post_init__(self) -> None:
        if not isinstance(self.dropped, bool | np.bool_):
            raise SpecificationError(
                f"OneHot: dropped must be True or False, got {quoted(self.dropped)}."
            )

    @override
    def _bound(self, region: Region) -> OneHot:
        labels = labels_of_groups(self.groups, region, "OneHot")
        bound = replace(self, groups=labels)
        height = np.ones(region.dimension)
        return bound._with(_members=members_of_groups(labels), _height=height)

    @override
    def split(self) -> Sequence[ConvexSet]:
        used = np.flatnonzero(self.groups >= 0)
        if used.size == self.dimension:
            return (self,)
        every = np.arange(used.size)
        labels = self.groups[used]
        inner = self._with(
            groups=labels,
            _members=members_of_groups(labels),
            _height=self._height[used],
            _region=Region(used.size, every, None, None, every),
        )
        return (Part(inner, used, self.dimension),)

    @override
    def describe(self) -> str:
        count = "groups" if self.groups is not None else ""
        if self._members is not None:
            count = f"{len(self._members)} groups" if len(self._members) > 1 else ""
        return f"OneHot({', '.join(part for part in (count, 'dropped' * self.dropped) if part)})"

    @override
    def in_columns(self, units: Vector) -> OneHot:
        return self._with(_height=self._height / units)

    @override
    def bounding_box(self) -> Bounds:
        grouped = self.groups >= 0
        return np.where(grouped, 0.0, -np.inf), np.where(grouped, self._height, np.inf)

    def _allowed(self, at: Indices, lower: Vector, upper: Vector) -> np.ndarray:
        """Return which entries of a group a box lets be the one; last, whether it lets none be."""
        low, high, height = lower[at], upper[at], self._height[at]
        zero = (low <= 0.0) & (high >= 0.0)
        others: np.ndarray = np.sum(~zero) - ~zero == 0
        one = (low <= height) & (high >= height) & others
        return np.append(one, self.dropped and zero.all())

    @override
    def tightened(self, lower: Vector, upper: Vector) -> Bounds:
        low, high = np.array(lower), np.array(upper)
        for at in self._members:
            allowed = self._allowed(at, lower, upper)
            if not allowed.any():
                low[at], high[at] = np.inf, -np.inf
                continue
            single = allowed[:-1] & (allowed.sum() == 1)
            low[at] = np.where(single, self._height[at], 0.0)
            high[at] = np.where(allowed[:-1], self._height[at], 0.0)
        return low, high

    @override
    def emptiness(self, lower: Vector, upper: Vector) -> tuple[int, str] | None:
        for at in self._members:
            if not self._allowed(at, lower, upper).any():
                return int(at[0]), "the bounds leave no category of its group"
        return None

    @override
    def hull(self, lower: Vector, upper: Vector) -> tuple[ConvexSet, ...]:
        rows = np.zeros((len(self._members), self.dimension))
        for row, at in zip(rows, self._members, strict=True):
            row[at] = 1.0 / self._height[at]
        least = 0.0 if self.dropped else 1.0
        return (Linear(rows, least, 1.0).bind(Layout.of_array((self.dimension,))),)

    @override
    def piece(self, x: Vector) -> Bounds:
        grouped = self.groups >= 0
        return np.where(grouped, x, -np.inf), np.where(grouped, x, np.inf)

    @override
    def branches(self, p: Vector, lower: Vector, upper: Vector) -> list[Bounds]:
        group = int(
            np.argmax([np.max(self._distances(p[np.newaxis])[0, at]) for at in self._members])
        )
        at = self._members[group]
        entry = at[int(np.argmax(p[at] / self._height[at]))]
        one, rest = (lower.copy(), upper.copy()), (lower.copy(), upper.copy())
        one[0][at], one[1][at] = 0.0, 0.0
        one[0][entry] = one[1][entry] = self._height[entry]
        rest[1][entry] = 0.0
        return [one, rest]

    @override
    def neighbours(self, x: Vector, lower: Vector, upper: Vector) -> Rows:
        moved = []
        for at in self._members:
            allowed = self._allowed(at, lower, upper)
            for place in np.flatnonzero(allowed).tolist():
                y = x.copy()
                y[at] = 0.0
                if place < at.size:
                    y[at[place]] = self._height[at[place]]
                if not np.array_equal(x, y):
                    moved.append(y)
        return np.array(moved).reshape(-1, len(x))

    def _choice(self, x: Rows, at: Indices, allowed: np.ndarray) -> Rows:
        """Return the nearest allowed vertex of one group to rows (B, k)."""
        height = self._height[at]
        gain = np.append((2.0 * x - height) * height, np.zeros((len(x), 1)), axis=1)
        best = np.argmax(np.where(allowed, gain, -np.inf), axis=1)
        chosen: Rows = np.append(np.diag(height), np.zeros((1, at.size)), axis=0)[best]
        return chosen

    @override
    def _project_in_box(self, x: Rows, lower: Vector, upper: Vector) -> tuple[Rows, Vector]:
        p = np.minimum(np.maximum(x, lower), upper)
        for at in self._members:
            p[:, at] = self._choice(x[:, at], at, self._allowed(at, lower, upper))
        return p, np.full(len(x), np.nan)

    @override
    def _distances(self, x: Rows) -> Rows:
        off = np.zeros_like(x)
        for at in self._members:
            any_ = np.append(np.ones(at.size, dtype=bool), self.dropped)
            off[:, at] = np.abs(x[:, at] - self._choice(x[:, at], at, any_))
        return off

    @override
    def _sizes(self) -> Vector:
        return np.asarray(self._height)
