"""Entries that take one of some values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from typing_extensions import override

from constrained_actmax.errors import SpecificationError
from constrained_actmax.layout import Region, Rows, Vector, real
from constrained_actmax.sets.base import short
from constrained_actmax.sets.discrete import Bounds, DiscreteSet, with_entry


@dataclass(frozen=True, eq=False, repr=False)
class Levels(DiscreteSet):
    r"""One of some values each, :math:`\{x : x_i \in \{v_1, \dots, v_k\} \text{ for } i \in I\}`.

    Parameters
    ----------
    where : array of bool, str, or sequence of str or int, or None
        I, the entries: a mask, feature names, or flat positions; None for all.
    values : sequence of float
        v, such as the sizes in a catalogue, or ``numpy.arange(0, 10.5, 0.5)`` for steps of 0.5, in
        the units of the input.
    on, name
        See `ConvexSet`.

    Raises
    ------
    SpecificationError
        If there is no value, or one is not finite.

    Notes
    -----
    The set is not convex. Its projection takes the nearest value, of two the smaller, among those
    in the box if there is one; exact, O(n log k).

    Examples
    --------
    >>> import constrained_actmax as cax
    >>> cax.Levels(None, [1.0, 2.5, 6.0]).project([0.0, 2.0, 9.0])
    array([1. , 2.5, 6. ])
    """

    where: Any = None
    values: Sequence[float] | None = None
    _levels: Any = field(default=None, init=False, repr=False)  # (k,) or, in columns, (k, n)

    violation_norm = "largest distance to one of the values"
    method_alone = method_in_box = "nearest value, exact, O(n log k)"

    def __post_init__(self) -> None:
        if self.values is None:
            raise SpecificationError("Levels: say which values are allowed, as in values=[1, 2.5].")
        array = real(self.values, "Levels: values")
        if array.ndim != 1 or not array.size or not np.isfinite(array).all():
            raise SpecificationError(
                f"Levels: values must be finite numbers, at least one, got {short(self.values)}."
            )

    @override
    def _bound(self, region: Region) -> Levels:
        levels = np.unique(real(self.values, "Levels: values")) + 0.0
        return replace(self)._with(_levels=np.repeat(levels[:, np.newaxis], region.dimension, 1))

    @override
    def describe(self) -> str:
        values = np.unique(real(self.values, "Levels: values"))
        if values.size <= 4:
            return f"Levels({short(values)})"
        return f"Levels({values.size} values in [{values[0]:g}, {values[-1]:g}])"

    @override
    def in_columns(self, units: Vector) -> Levels:
        return self._with(_levels=self._levels / units)

    @override
    def bounding_box(self) -> Bounds:
        return self._levels[0].copy(), self._levels[-1].copy()

    def _ends(self, lower: Vector, upper: Vector) -> tuple[np.ndarray, np.ndarray]:
        """Return the places of the first and the last value in a box, for each entry."""
        return np.sum(self._levels < lower, axis=0), np.sum(self._levels <= upper, axis=0) - 1

    def _at(self, places: np.ndarray) -> Any:
        return np.take_along_axis(self._levels, np.atleast_2d(places), axis=0)

    @override
    def tightened(self, lower: Vector, upper: Vector) -> Bounds:
        first, last = self._ends(lower, upper)
        count = len(self._levels)
        low = np.where(first < count, self._at(np.minimum(first, count - 1))[0], np.inf)
        return low, np.where(last >= 0, self._at(np.maximum(last, 0))[0], -np.inf)

    @override
    def emptiness(self, lower: Vector, upper: Vector) -> tuple[int, str] | None:
        first, last = self._ends(lower, upper)
        missing = np.flatnonzero(first > last)
        if not missing.size:
            return None
        entry = int(missing[0])
        return entry, f"none of the values lies between {lower[entry]:g} and {upper[entry]:g}"

    @override
    def piece(self, x: Vector) -> Bounds:
        return x.copy(), x.copy()

    @override
    def branches(self, p: Vector, lower: Vector, upper: Vector) -> list[Bounds]:
        gap = np.min(np.abs(self._levels - p), axis=0)
        entry = int(np.argmax(gap))
        levels, box = self._levels[:, entry], (lower, upper)
        place = int(np.searchsorted(levels, p[entry]))
        found = []
        if place > 0:
            found.append(with_entry(box, entry, high=levels[place - 1]))
        if place < len(levels):
            found.append(with_entry(box, entry, low=levels[place]))
        return found

    @override
    def neighbours(self, x: Vector, lower: Vector, upper: Vector) -> Rows:
        place = np.sum(self._levels < x, axis=0)
        moved = []
        for change in (1, -1):
            for entry in np.flatnonzero(
                (place + change >= 0) & (place + change < len(self._levels))
            ):
                y = x.copy()
                y[entry] = self._levels[place[entry] + change, entry]
                if lower[entry] <= y[entry] <= upper[entry]:
                    moved.append(y)
        return np.array(moved).reshape(-1, len(x))

    def _nearest(self, x: Rows) -> np.ndarray:
        """Return the places of the nearest values, of two the lower one's."""
        above = np.sum(self._levels[:, np.newaxis] < x, axis=0)  # (B, n)
        high = np.minimum(above, len(self._levels) - 1)
        low = np.maximum(above - 1, 0)
        nearer = x - self._at(low) <= self._at(high) - x
        return np.asarray(np.where(nearer, low, high))

    @override
    def _project_in_box(self, x: Rows, lower: Vector, upper: Vector) -> tuple[Rows, Vector]:
        first, last = self._ends(lower, upper)
        places = np.minimum(np.maximum(self._nearest(x), first), last)
        return self._at(places), np.full(len(x), np.nan)

    @override
    def _distances(self, x: Rows) -> Rows:
        return np.asarray(np.abs(x - self._at(self._nearest(x))))

    @override
    def _sizes(self) -> Vector:
        width = np.ptp(self._levels, axis=0)
        size = np.where(width > 0.0, width, np.abs(self._levels[0]))
        return np.asarray(np.where(size > 0.0, size, 1.0))
