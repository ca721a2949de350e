"""Whole numbers."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from typing_extensions import override

from constrained_actmax.layout import Region, Rows, Vector
from constrained_actmax.sets.discrete import Bounds, DiscreteSet, with_entry


@dataclass(frozen=True, eq=False, repr=False)
class Integers(DiscreteSet):
    r"""Whole numbers, :math:`\{x : x_i \in \mathbb{Z} \text{ for } i \text{ in where}\}`.

    Parameters
    ----------
    where : array of bool, str, or sequence of str or int, optional
        The entries that are counts: a mask, feature names, or flat positions; by default all.
    on, name
        See `ConvexSet`.

    Notes
    -----
    The set is not convex. Its projection rounds, halves to the even neighbour, and with a box clips
    to the whole numbers in it; exact, O(n).

    Examples
    --------
    >>> import constrained_actmax as cax
    >>> cax.Integers().project([0.4, 1.7, -2.2])
    array([ 0.,  2., -2.])
    """

    where: Any = None
    _step: Any = field(default=None, init=False, repr=False)  # (n,), 1 in the user's units

    violation_norm = "largest distance to a whole number"
    method_alone = method_in_box = "rounds, exact, O(n)"

    @override
    def _bound(self, region: Region) -> Integers:
        return replace(self)._with(_step=np.ones(region.dimension))

    @override
    def describe(self) -> str:
        return "Integers()"

    @override
    def in_columns(self, units: Vector) -> Integers:
        return self._with(_step=self._step / units)

    @override
    def tightened(self, lower: Vector, upper: Vector) -> Bounds:
        low, high = np.ceil(lower / self._step), np.floor(upper / self._step)
        return low * self._step + 0.0, high * self._step + 0.0  # + 0: no negative zeros

    @override
    def emptiness(self, lower: Vector, upper: Vector) -> tuple[int, str] | None:
        low, high = self.tightened(lower, upper)
        missing = np.flatnonzero(low > high)
        if not missing.size:
            return None
        entry = int(missing[0])
        at = f"{lower[entry] / self._step[entry]:g} and {upper[entry] / self._step[entry]:g}"
        return entry, f"there is no whole number between {at}"

    @override
    def piece(self, x: Vector) -> Bounds:
        return x.copy(), x.copy()

    @override
    def branches(self, p: Vector, lower: Vector, upper: Vector) -> list[Bounds]:
        turns = p / self._step
        entry = int(np.argmax(np.abs(turns - np.round(turns))))
        step, box = self._step[entry], (lower, upper)
        below = float(np.floor(turns[entry]))
        return [
            with_entry(box, entry, high=below * step),
            with_entry(box, entry, low=(below + 1.0) * step),
        ]

    @override
    def neighbours(self, x: Vector, lower: Vector, upper: Vector) -> Rows:
        steps = np.diag(self._step)
        moved = np.concatenate([x + steps, x - steps])
        kept: Rows = moved[np.all((moved >= lower) & (moved <= upper), axis=1)]
        return kept

    @override
    def _project_in_box(self, x: Rows, lower: Vector, upper: Vector) -> tuple[Rows, Vector]:
        low, high = self.tightened(lower, upper)
        rounded = np.round(x / self._step) * self._step + 0.0
        return np.minimum(np.maximum(rounded, low), high), np.full(len(x), np.nan)

    @override
    def _distances(self, x: Rows) -> Rows:
        return np.asarray(np.abs(x - np.round(x / self._step) * self._step))

    @override
    def _sizes(self) -> Vector:
        return np.asarray(self._step)
