"""Sets that are an affine subspace, and how all of them behave."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import numpy as np
from typing_extensions import override

from constrained_actmax.errors import SpecificationError
from constrained_actmax.layout import Rows, Vector
from constrained_actmax.sets.base import ConvexSet

INSIDE = 1e-14  # a relative distance below this is rounding: the point stays as it is


@dataclass(frozen=True, eq=False, repr=False)
class Subspace(ConvexSet):
    """An affine subspace, known by its orthogonal projector."""

    violation_norm = "largest change that the projection makes"

    @abstractmethod
    def _projected(self, x: Rows) -> Rows:
        """Apply the orthogonal projector."""

    @abstractmethod
    def _direction(self, g: Rows) -> Rows:
        """Project directions on the parallel linear subspace."""

    @override
    def _project(self, x: Rows) -> Rows:
        # Twice: the second takes off what rounding leaves of a huge point.
        p = self._projected(self._projected(x))
        inside = np.max(np.abs(p - x), axis=1, initial=0.0) <= INSIDE * self._scale(x)
        p[inside] = x[inside]
        return p

    @override
    def _violation(self, x: Rows) -> Vector:
        change = np.max(np.abs(self._projected(x) - x), axis=1, initial=0.0)
        return np.where(change <= INSIDE * self._scale(x), 0.0, change)

    @override
    def _linear_maximizer(self, g: Rows) -> Rows:
        along = np.max(np.abs(self._direction(g)), axis=1, initial=0.0)
        if np.any(along > INSIDE * np.max(np.abs(g), axis=1, initial=0.0) * 100):
            raise SpecificationError(f"{self}: g'x has no maximum, a subspace is open along g.")
        return self._project(np.zeros_like(g))
