"""Discrete inputs in a search over boxes: what a box leaves of them, and how it is divided."""

from __future__ import annotations

import numpy as np

from constrained_actmax.kernels.cardinality import CardinalityKernel
from constrained_actmax.kernels.discrete import Bounds, is_empty
from constrained_actmax.kernels.integers import IntegersKernel
from constrained_actmax.kernels.intersection import IntersectionKernel
from constrained_actmax.kernels.levels import LevelsKernel
from constrained_actmax.layout import Rows, Vector


class Choices:
    """The discrete members of C.

    Parameters
    ----------
    feasible : IntersectionKernel
        C, a union of convex sets.
    """

    def __init__(self, feasible: IntersectionKernel) -> None:
        self.feasible, self.union = feasible, feasible.union
        #: The discrete sets, those last whose entries are decided first.
        self._members = sorted(
            self.union.discrete, key=lambda kernel: not isinstance(kernel[0], CardinalityKernel)
        )
        self._parts: dict[bytes, IntersectionKernel | None] = {}
        #: Entries whose value bounds those of others.
        self.coupled = np.zeros(feasible.size, dtype=bool)
        for kernel, at in self._members:
            self.coupled[at] |= not isinstance(kernel, IntegersKernel | LevelsKernel)

    def tightened(self, lower: Rows, upper: Rows) -> tuple[Rows, Rows, np.ndarray]:
        """Return what the choices leave of boxes (B, n), and which boxes hold any, (B,)."""
        boxes = [self.union.tightened(box) for box in zip(lower, upper, strict=True)]
        kept = np.array([not is_empty(box) for box in boxes], dtype=bool)
        lower, upper = (
            np.array(bounds).reshape(lower.shape) for bounds in zip(*boxes, strict=True)
        )
        return lower, upper, kept

    def open(self, lower: Vector, upper: Vector) -> np.ndarray:
        """Return the entries (n,) at which a tightened box is to be divided first."""
        open_ = np.zeros(len(lower), dtype=bool)
        for kernel, at in reversed(self._members):
            if isinstance(kernel, CardinalityKernel) and open_.any():
                break  # values decide what changes
            open_[at] |= kernel.open(lower[at], upper[at])
        return open_

    def parts(self, entry: int, lower: Vector, upper: Vector) -> list[Bounds]:
        """Return smaller boxes that hold all of C in a box, divided at an open entry."""
        for kernel, at in reversed(self._members):
            positions = np.flatnonzero(at == entry)
            if positions.size and kernel.open(lower[at], upper[at])[positions[0]]:
                halves = []
                for part in kernel.parts(int(positions[0]), lower[at], upper[at]):
                    low, high = lower.copy(), upper.copy()
                    low[at], high[at] = part
                    halves.append((low, high))
                return halves
        return [(lower, upper)]

    def projected(self, x: Rows, lower: Rows, upper: Rows) -> Rows:
        """Return points of C near rows, their choices from boxes; fewer where there are none."""
        projections = []
        for y, low, high in zip(x, lower, upper, strict=True):
            y = np.clip(y, low, high)
            for kernel, at in self.union.discrete:
                y[at] = kernel.projected_in(low[at], high[at], y[np.newaxis, at])[0][0]
            if not self.free(y[np.newaxis]).any():
                projections.append(y)  # a point, in C or not
                continue
            part = self._part(y)
            if part is not None:
                projections.append(part.project(y))
        rows: Rows = np.array(projections).reshape(-1, x.shape[1])
        inside: Rows = rows[self.feasible.relative_violation(rows) <= self.feasible.tolerance]
        return inside

    def free(self, x: Rows) -> np.ndarray:
        """Return which entries of points of C (B, n) move with all choices held."""
        boxes = [self.feasible.piece(row) for row in x]
        return np.array([low < high for low, high in boxes]).reshape(x.shape)

    def held(self, x: Rows, at: Rows) -> Rows:
        """Return the projections of rows on the convex parts of points of C."""
        parts = [self._part(row) for row in at]
        rows = [
            y if part is None else part.project(row)
            for row, y, part in zip(x, at, parts, strict=True)
        ]
        return np.array(rows).reshape(x.shape)

    def _part(self, x: Vector) -> IntersectionKernel | None:
        key = np.concatenate(self.feasible.piece(x)).tobytes()
        if key not in self._parts:
            self._parts[key] = self.feasible.part_at(x)
        return self._parts[key]
