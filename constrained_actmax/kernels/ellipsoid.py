"""Balls in a metric."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from typing_extensions import override

from constrained_actmax.kernels.ball import BallKernel
from constrained_actmax.kernels.dual_root import ROUNDING
from constrained_actmax.kernels.kernel import Constraints, Variable
from constrained_actmax.kernels.scipy_form import ScipyForm, SmoothRow
from constrained_actmax.layout import Rows, Vector

MAX_NEWTON = 100  # the secular equation takes 4 to 10 steps


@dataclass(frozen=True, eq=False, repr=False)
class EllipsoidKernel(BallKernel):
    r"""Mahalanobis ball, :math:`\{x : \|S^{-1/2} (x - c)\|_2 \le r\}`.

    Parameters
    ----------
    variances : numpy.ndarray, shape (n,)
        The eigenvalues of S, > 0.
    axes : numpy.ndarray, shape (n, n), optional
        Its eigenvectors as columns; those of the entries by default.
    """

    variances: Vector
    axes: Rows | None = None

    violation_norm = "Mahalanobis distance minus the radius"

    @property
    @override
    def projection_method(self) -> str:
        return "secular equation, exact, " + ("O(n)" if self.axes is None else "O(n^2)")

    @override
    def bounding_box(self) -> tuple[Vector, Vector]:
        if self.axes is None:
            variance = self.variances
        else:
            variance = (self.axes**2) @ self.variances
        reach = self.radius * np.sqrt(variance)
        return self.center - reach, self.center + reach

    @property
    @override
    def diameter(self) -> float:
        return 2.0 * self.radius * float(np.max(self._deviations))

    @cached_property
    def _deviations(self) -> Vector:
        return np.sqrt(self.variances)

    def _turned(self, x: Rows) -> Rows:
        d = x - self.center
        return d if self.axes is None else np.asarray(d @ self.axes)

    @override
    def norm(self, x: Rows) -> Vector:
        return np.asarray(np.linalg.norm(self._turned(x) / self._deviations, axis=1))

    @cached_property
    @override
    def center_size(self) -> float:
        return float(np.max(np.abs(self.center), initial=0.0) / np.min(self._deviations))

    @override
    def onto(self, x: Rows, norm: Vector) -> tuple[Rows, Vector]:
        r, s, d = self.radius, self.variances, self._turned(x)
        if r == 0.0:
            center = np.repeat(self.center[np.newaxis], len(x), axis=0)
            return center, np.linalg.norm(d * self._deviations, axis=1)
        # Newton on 1/|w(t)| - 1/r, w = sqrt(s) d / (s + t): concave and rising, so that from the
        # left it never overshoots.
        t, start = np.zeros(len(x)), self._deviations * d
        for _ in range(MAX_NEWTON):
            w = start / (s + t[:, np.newaxis])
            now = np.linalg.norm(w, axis=1)
            if np.all(now <= r * (1.0 + ROUNDING)):
                break
            slope = np.sum(w * w / (s + t[:, np.newaxis]), axis=1)
            step = (now / r - 1.0) * now * now / slope
            new = t + np.maximum(step, 0.0)
            if np.all(new <= t * (1.0 + ROUNDING)):
                break
            t = new
        near = s * d / (s + t[:, np.newaxis])
        return self.center + (near if self.axes is None else near @ self.axes.T), t * r

    @override
    def linear_maximizer(self, g: Rows) -> Rows:
        turned = g if self.axes is None else g @ self.axes
        step = self.variances * turned
        length = np.sqrt(np.sum(step * turned, axis=1, keepdims=True))
        step = self.radius * step / np.where(length > 0.0, length, 1.0)
        return np.asarray(self.center + (step if self.axes is None else step @ self.axes.T))

    @override
    def to_cvxpy(self, variable: Variable) -> Constraints:
        import cvxpy as cp

        d = variable - self.center
        turned = d if self.axes is None else self.axes.T @ d
        return [cp.norm2(cp.multiply(1.0 / self._deviations, turned)) <= self.radius]

    @override
    def to_scipy(self, lower: Vector, upper: Vector) -> ScipyForm:
        c, axes, s = self.center, self.axes, self.variances

        def apply(v: Vector) -> Vector:
            if axes is None:
                return np.asarray(v / s)
            return np.asarray(axes @ ((axes.T @ v) / s))

        row = SmoothRow(
            value=lambda x: 0.5 * float((x - c) @ apply(x - c)),
            gradient=lambda x: apply(x - c),
            hessian_product=lambda x, v: apply(v),
            upper=0.5 * self.radius**2,
            square=(c, 1.0 / s, self.radius) if axes is None else None,
        )
        return ScipyForm.unbounded(self.size, smooth=(row,))
