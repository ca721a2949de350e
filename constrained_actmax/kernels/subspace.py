"""Affine subspaces."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import numpy as np
from typing_extensions import override

from constrained_actmax.errors import SpecificationError
from constrained_actmax.kernels.kernel import Kernel
from constrained_actmax.layout import Rows, Vector

INSIDE = 1e-14  # a relative distance below this is rounding: the point stays as it is


@dataclass(frozen=True, eq=False, repr=False)
class SubspaceKernel(Kernel):
    """An affine subspace, known by its orthogonal projector."""

    violation_norm = "largest change that the projection makes"

    @abstractmethod
    def projector(self, x: Rows) -> Rows:
        """Apply the orthogonal projector."""

    @abstractmethod
    def direction(self, g: Rows) -> Rows:
        """Project directions on the parallel linear subspace."""

    @override
    def project(self, x: Rows) -> Rows:
        # Twice: the second takes off what rounding leaves of a huge point.
        p = self.projector(self.projector(x))
        inside = np.max(np.abs(p - x), axis=1, initial=0.0) <= INSIDE * self.scale(x)
        p[inside] = x[inside]
        return p

    @override
    def violation(self, x: Rows) -> Vector:
        change = np.max(np.abs(self.projector(x) - x), axis=1, initial=0.0)
        return np.where(change <= INSIDE * self.scale(x), 0.0, change)

    @override
    def linear_maximizer(self, g: Rows) -> Rows:
        along = np.max(np.abs(self.direction(g)), axis=1, initial=0.0)
        if np.any(along > INSIDE * np.max(np.abs(g), axis=1, initial=0.0) * 100):
            raise SpecificationError(f"{self}: g'x has no maximum, a subspace is open along g.")
        return self.project(np.zeros_like(g))
