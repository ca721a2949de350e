"""Whole multiples."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from typing_extensions import override

from constrained_actmax.kernels.discrete import (
    MOST_VALUES,
    ROUNDING,
    SAME,
    Bounds,
    DiscreteKernel,
    with_entry,
)
from constrained_actmax.layout import Indices, Rows, Vector


@dataclass(frozen=True, eq=False, repr=False)
class IntegersKernel(DiscreteKernel):
    r"""Whole multiples of a step, :math:`\{x : x_i / s_i \in \mathbb{Z}\}`.

    Parameters
    ----------
    step : numpy.ndarray, shape (n,)
        s, 1 in the user's units.
    """

    step: Vector

    violation_norm = "largest distance to a whole number"
    projection_method = "rounds, exact, O(n)"

    @property
    @override
    def size(self) -> int:
        return len(self.step)

    @override
    def scaled(self, units: Vector) -> IntegersKernel:
        return replace(self, step=self.step / units)

    def rounded(self, bounds: Vector) -> Vector:
        """Return bounds with those whole that are so but for rounding."""
        turns = bounds / self.step
        whole = np.round(turns)
        with np.errstate(invalid="ignore"):
            near = np.abs(turns - whole) <= np.maximum(ROUNDING * np.abs(turns), SAME)
        return np.where(near, whole * self.step, bounds)

    @override
    def tightened(self, lower: Vector, upper: Vector) -> Bounds:
        low, high = np.ceil(lower / self.step), np.floor(upper / self.step)
        return low * self.step + 0.0, high * self.step + 0.0  # + 0: no negative zeros

    @override
    def emptiness(self, lower: Vector, upper: Vector) -> tuple[int, str] | None:
        low, high = self.tightened(lower, upper)
        missing = np.flatnonzero(low > high)
        if not missing.size:
            return None
        entry = int(missing[0])
        at = f"{lower[entry] / self.step[entry]:g} and {upper[entry] / self.step[entry]:g}"
        return entry, f"there is no whole number between {at}"

    @override
    def branches(self, p: Vector, lower: Vector, upper: Vector) -> list[Bounds]:
        turns = p / self.step
        entry = int(np.argmax(np.abs(turns - np.round(turns))))
        return self._cut(entry, p[entry], lower, upper)

    def _cut(self, entry: int, value: float, lower: Vector, upper: Vector) -> list[Bounds]:
        step, box = self.step[entry], (lower, upper)
        below = float(np.floor(value / step))
        return [
            with_entry(box, entry, high=below * step),
            with_entry(box, entry, low=(below + 1.0) * step),
        ]

    @override
    def parts(self, entry: int, lower: Vector, upper: Vector) -> list[Bounds]:
        return self._cut(entry, 0.5 * (lower[entry] + upper[entry]), lower, upper)

    @override
    def neighbours(self, x: Vector, lower: Vector, upper: Vector) -> Rows:
        steps = np.diag(self.step)
        moved = np.concatenate([x + steps, x - steps])
        kept: Rows = moved[np.all((moved >= lower) & (moved <= upper), axis=1)]
        return kept

    @override
    def choices(self, lower: Vector, upper: Vector) -> list[tuple[Indices, Rows]] | None:
        low, high = np.ceil(lower / self.step), np.floor(upper / self.step)
        if not np.isfinite(high - low).all() or np.any(high - low > MOST_VALUES):
            return None
        return [
            (np.array([k]), np.arange(low[k], high[k] + 1.0)[:, np.newaxis] * self.step[k] + 0.0)
            for k in range(len(low))
        ]

    @override
    def projected_in(self, lower: Vector, upper: Vector, x: Rows) -> tuple[Rows, Vector]:
        low, high = self.tightened(lower, upper)
        rounded = np.round(x / self.step) * self.step + 0.0
        return np.minimum(np.maximum(rounded, low), high), np.full(len(x), np.nan)

    @override
    def distances(self, x: Rows) -> Rows:
        return np.asarray(np.abs(x - np.round(x / self.step) * self.step))

    @override
    def sizes(self) -> Vector:
        return np.asarray(self.step)
