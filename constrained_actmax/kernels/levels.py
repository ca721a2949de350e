"""Entries that take one of some values."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from typing_extensions import override

from constrained_actmax.kernels.discrete import (
    ROUNDING,
    SAME,
    Bounds,
    DiscreteKernel,
    with_entry,
)
from constrained_actmax.layout import Indices, Rows, Vector


@dataclass(frozen=True, eq=False, repr=False)
class LevelsKernel(DiscreteKernel):
    r"""One of some values each, :math:`\{x : x_i \in \{v_{1i}, \dots, v_{ki}\}\}`.

    Parameters
    ----------
    levels : numpy.ndarray, shape (k, n)
        v, ascending.
    """

    levels: Rows

    violation_norm = "largest distance to one of the values"
    projection_method = "nearest value, exact, O(n log k)"

    @property
    @override
    def size(self) -> int:
        return int(self.levels.shape[1])

    @override
    def scaled(self, units: Vector) -> LevelsKernel:
        return replace(self, levels=self.levels / units)

    @override
    def bounding_box(self) -> Bounds:
        return self.levels[0].copy(), self.levels[-1].copy()

    @cached_property
    def _near(self) -> Vector:
        """How far from one of its values an entry (n,) still has it."""
        gaps = np.diff(self.levels, axis=0)
        step = np.min(gaps, axis=0, where=gaps > 0.0, initial=np.inf)
        largest = np.max(np.abs(self.levels), axis=0)
        near: Vector = np.maximum(ROUNDING * largest, SAME * np.where(step < np.inf, step, 0.0))
        return near

    def _ends(self, lower: Vector, upper: Vector) -> tuple[np.ndarray, np.ndarray]:
        """Return the places of the first and the last value in a box, for each entry."""
        first = np.sum(self.levels < lower - self._near, axis=0)
        return first, np.sum(self.levels <= upper + self._near, axis=0) - 1

    def _at(self, positions: np.ndarray) -> Any:
        return self.levels[np.atleast_2d(positions), np.arange(self.size)]

    @override
    def tightened(self, lower: Vector, upper: Vector) -> Bounds:
        first, last = self._ends(lower, upper)
        low = np.clip(self._at(np.minimum(first, len(self.levels) - 1))[0], lower, upper)
        high = np.clip(self._at(np.maximum(last, 0))[0], lower, upper)
        some = first <= last
        return np.where(some, low, np.inf), np.where(some, high, -np.inf)

    @override
    def emptiness(self, lower: Vector, upper: Vector) -> tuple[int, str] | None:
        first, last = self._ends(lower, upper)
        missing = np.flatnonzero(first > last)
        if not missing.size:
            return None
        entry = int(missing[0])
        return entry, f"none of the values lies between {lower[entry]:g} and {upper[entry]:g}"

    @override
    def branches(self, p: Vector, lower: Vector, upper: Vector) -> list[Bounds]:
        gap = np.min(np.abs(self.levels - p), axis=0)
        entry = int(np.argmax(gap))
        return self._cut(entry, p[entry], lower, upper)

    def _cut(self, entry: int, value: float, lower: Vector, upper: Vector) -> list[Bounds]:
        levels, box = self.levels[:, entry], (lower, upper)
        index = int(np.searchsorted(levels, value, side="right"))
        parts = []
        if index > 0:
            parts.append(with_entry(box, entry, high=levels[index - 1]))
        if index < len(levels):
            parts.append(with_entry(box, entry, low=levels[index]))
        return parts

    @override
    def parts(self, entry: int, lower: Vector, upper: Vector) -> list[Bounds]:
        return self._cut(entry, 0.5 * (lower[entry] + upper[entry]), lower, upper)

    @override
    def neighbours(self, x: Vector, lower: Vector, upper: Vector) -> Rows:
        below = np.sum(self.levels < x - self._near, axis=0)
        first, last = self._ends(lower, upper)
        moved = []
        for change in (1, -1):
            for entry in np.flatnonzero((below + change >= first) & (below + change <= last)):
                y = x.copy()
                value = self.levels[below[entry] + change, entry]
                y[entry] = np.clip(value, lower[entry], upper[entry])
                moved.append(y)
        return np.array(moved).reshape(-1, len(x))

    @override
    def choices(self, lower: Vector, upper: Vector) -> list[tuple[Indices, Rows]] | None:
        values = np.clip(self.levels, lower, upper)
        kept = np.abs(values - self.levels) <= self._near
        return [(np.array([k]), values[kept[:, k], k, np.newaxis]) for k in range(len(lower))]

    def _nearest(self, x: Rows) -> np.ndarray:
        """Return the places of the nearest values, of two the lower one's."""
        above = np.sum(self.levels[:, np.newaxis] < x, axis=0)  # (B, n)
        high = np.minimum(above, len(self.levels) - 1)
        low = np.maximum(above - 1, 0)
        nearer = x - self._at(low) <= self._at(high) - x
        return np.asarray(np.where(nearer, low, high))

    @override
    def projected_in(self, lower: Vector, upper: Vector, x: Rows) -> tuple[Rows, Vector]:
        first, last = self._ends(lower, upper)
        positions = np.minimum(np.maximum(self._nearest(x), first), last)
        return np.clip(self._at(positions), lower, upper), np.full(len(x), np.nan)

    @override
    def distances(self, x: Rows) -> Rows:
        off = np.abs(x - self._at(self._nearest(x)))
        return np.asarray(np.where(off <= self._near, 0.0, off))

    @override
    def sizes(self) -> Vector:
        width = np.ptp(self.levels, axis=0)
        size = np.where(width > 0.0, width, np.abs(self.levels[0]))
        return np.asarray(np.where(size > 0.0, size, 1.0))
