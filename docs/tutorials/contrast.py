"""A limit on contrast: a convex set with a projection of its own, in one file."""

from __future__ import annotations

from dataclasses import dataclass

import cvxpy as cp
import numpy as np

from constrained_actmax.kernels import Kernel
from constrained_actmax.sets import ConvexSet


@dataclass(frozen=True, eq=False, repr=False)
class Contrast(ConvexSet):
    """Entries near their mean, {x : ||x - mean(x)|| <= r}."""

    radius: float

    def kernel(self, region):
        return ContrastKernel(region.dimension, self.radius)

    def describe(self):
        return f"Contrast({self.radius:g})"


@dataclass(frozen=True, eq=False, repr=False)
class ContrastKernel(Kernel):
    entries: int
    radius: float

    @property
    def size(self):
        return self.entries

    def project(self, x):
        deviation = x - x.mean(axis=1, keepdims=True)
        length = np.linalg.norm(deviation, axis=1, keepdims=True)
        return x - deviation * np.maximum(0.0, 1.0 - self.radius / np.maximum(length, 1e-300))

    def violation(self, x):
        deviation = x - x.mean(axis=1, keepdims=True)
        return np.maximum(0.0, np.linalg.norm(deviation, axis=1) - self.radius)

    def to_cvxpy(self, variable):
        return [cp.norm2(variable - cp.sum(variable) / self.size) <= self.radius]
