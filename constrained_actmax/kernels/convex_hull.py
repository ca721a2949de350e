"""Convex hulls of points."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from typing_extensions import override

from constrained_actmax.kernels.kernel import Constraints, Kernel, Sized, Variable
from constrained_actmax.layout import Rows, Vector

INSIDE = 1e-12  # a relative distance to the hull below this is rounding
OPTIMAL = 64 * float(np.finfo(np.float64).eps)  # a relative gain below this is rounding


@dataclass(frozen=True, eq=False, repr=False)
class ConvexHullKernel(Kernel):
    r"""Convex hull, :math:`\{\sum_j w_j v_j : w \ge 0, \sum_j w_j = 1\}`.

    Parameters
    ----------
    points : numpy.ndarray, shape (m, n)
        The v_j.
    """

    points: Rows

    violation_norm = "distance to the hull"
    projection_method = "nonnegative least squares on the weights, exact, O(n m + m^3)"

    @property
    @override
    def size(self) -> int:
        return int(self.points.shape[1])

    @cached_property
    def _middle(self) -> Vector:
        return np.asarray(self.points.mean(axis=0))

    @cached_property
    def _frame(self) -> Rows:
        """Orthonormal rows (k, n) that span the hull, seen from its middle."""
        _, size, frame = np.linalg.svd(self.points - self._middle, full_matrices=False)
        return np.asarray(frame[size > 1e-14 * float(np.max(size, initial=0.0))])

    @cached_property
    def _reduced(self) -> Rows:
        """The points in that frame, (k, m)."""
        return np.asarray(self._frame @ (self.points - self._middle).T)

    @override
    def bounding_box(self) -> tuple[Vector, Vector]:
        return self.points.min(axis=0), self.points.max(axis=0)

    @override
    def centre(self) -> Vector:
        return np.array(self._middle)

    @override
    def sample(self, rng: np.random.Generator, n: int) -> Rows:
        weights = rng.exponential(size=(n, len(self.points)))
        return np.asarray((weights / weights.sum(axis=1, keepdims=True)) @ self.points)

    def weights(self, x: Rows) -> Rows:
        """Return the weights (B, m) of the mixtures nearest to rows of the bound set's space."""
        return np.stack([self._weights((point - self._middle) @ self._frame.T) for point in x])

    def _weights(self, d: Vector) -> Vector:
        from scipy.optimize import nnls

        v, m = self._reduced, len(self.points)
        moved = v - d[:, np.newaxis]
        size = float(np.max(np.abs(moved), initial=0.0)) or 1.0
        target = np.zeros(len(v) + 1)
        target[-1] = 1.0
        with contextlib.suppress(RuntimeError):  # too many steps
            weights, _ = nnls(np.vstack([moved / size, np.ones(m)]), target, maxiter=30 * m)
            # SciPy 1.15 ends at weights that are not the best in 3 of 100 random cases.
            if weights.any() and improvement(v, d, weights / weights.sum())[1] <= 0.0:
                return np.asarray(weights / weights.sum())
        return nearest_mixture(v, d)

    @override
    def project(self, x: Rows) -> Rows:
        p = np.asarray(self.weights(x) @ self.points)
        inside = np.linalg.norm(p - x, axis=1) <= INSIDE * self.scale(x)
        p[inside] = x[inside]
        return p

    @override
    def violation(self, x: Rows) -> Vector:
        distance = np.linalg.norm(self.weights(x) @ self.points - x, axis=1)
        return np.where(distance <= INSIDE * self.scale(x), 0.0, distance)

    @override
    def scale(self, x: Rows) -> Vector:
        return np.full(len(x), float(np.max(np.linalg.norm(self.points, axis=1))))

    @override
    def linear_maximizer(self, g: Rows) -> Rows:
        return np.array(self.points[np.argmax(g @ self.points.T, axis=1)])

    @override
    def to_cvxpy(self, variable: Variable) -> Constraints:
        import cvxpy as cp

        weights = cp.Variable(len(self.points), nonneg=True)
        return [self.points.T @ weights == variable, cp.sum(weights) == 1.0]

    @override
    def sized_rows(self, variable: Variable, at: Rows) -> Sized:
        mixture, whole = self.to_cvxpy(variable)
        return [(mixture, float(self.scale(at)[0]) or 1.0), (whole, 0.0)]


def improvement(v: Rows, d: Vector, weights: Vector) -> tuple[int, float]:
    """Return the point toward which a mixture comes nearer to d fastest, and how fast.

    Parameters
    ----------
    v : numpy.ndarray, shape (k, m)
        The points, as columns.
    d : numpy.ndarray, shape (k,)
        Any.
    weights : numpy.ndarray, shape (m,)
        Of the mixture.

    Returns
    -------
    int
        The column.
    float
        The slope beyond rounding; the mixture is the nearest one where it is <= 0.
    """
    p = v @ weights
    gain = (d - p) @ (v - p[:, np.newaxis])
    best = int(np.argmax(gain))
    far = float(np.linalg.norm(d - p))
    size = float(np.max(np.abs(v), initial=0.0))
    return best, float(gain[best]) - OPTIMAL * far * (size + float(np.max(np.abs(d), initial=0.0)))


def nearest_mixture(v: Rows, d: Vector) -> Vector:
    """Return the weights of the mixture of columns of v nearest to d, by Wolfe's method (1976).

    A corral, affinely independent columns whose nearest affine combination is a mixture, takes in
    the column toward which the mixture improves most, and gives up those whose weights would
    turn negative. The distance falls with every corral, so none comes back.
    """
    corral = [int(np.argmin(np.sum((v - d[:, np.newaxis]) ** 2, axis=0)))]
    mixture = np.zeros(v.shape[1])
    mixture[corral] = 1.0
    distance = float(np.linalg.norm(d - v @ mixture))
    while True:
        new, gain = improvement(v, d, mixture)
        if gain <= 0.0 or new in corral:
            return mixture
        weights = _better_corral(v, d, mixture, [*corral, new])
        now = float(np.linalg.norm(d - v @ weights))
        if now >= distance:
            return mixture
        mixture, distance = weights, now
        corral = [int(index) for index in np.flatnonzero(mixture)]


def _better_corral(v: Rows, d: Vector, weights: Vector, corral: list[int]) -> Vector:
    """Go toward the nearest affine combination of these columns, leaving out one after another."""
    held = weights[corral]
    while True:
        base = v[:, corral[0]]
        rest, *_ = np.linalg.lstsq(v[:, corral[1:]] - base[:, np.newaxis], d - base, rcond=None)
        wanted = np.concatenate([[1.0 - rest.sum()], rest])
        falling = np.flatnonzero(wanted <= 0.0)
        if not falling.size:
            break
        fall = np.maximum(held[falling] - wanted[falling], np.finfo(np.float64).tiny)
        steps = held[falling] / fall
        held = np.maximum(held + steps.min() * (wanted - held), 0.0)
        held[falling[steps == steps.min()]] = 0.0
        corral = [index for index, share in zip(corral, held, strict=True) if share > 0.0]
        held = held[held > 0.0]
    mixture = np.zeros(v.shape[1])
    mixture[corral] = wanted
    return mixture
