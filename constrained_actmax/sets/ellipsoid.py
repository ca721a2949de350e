"""Nearness in a metric of the user's."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from typing_extensions import override

from constrained_actmax.errors import SpecificationError
from constrained_actmax.layout import Region, Rows, Vector, conform
from constrained_actmax.sets.base import ConvexSet, checked_number, short
from constrained_actmax.sets.dual_root import PULLS, ROUNDING
from constrained_actmax.sets.scipy_form import ScipyForm, SmoothRow
from constrained_actmax.sets.separable_form import SeparableForm

if TYPE_CHECKING:
    import cvxpy as cp

MAX_NEWTON = 100  # the secular equation takes 4 to 10 steps


@dataclass(frozen=True, eq=False, repr=False)
class Ellipsoid(ConvexSet):
    r"""Mahalanobis ball, :math:`\{x : \sqrt{(x - c)^\top S^{-1} (x - c)} \le r\}`.

    Parameters
    ----------
    radius : float
        r >= 0, in standard deviations.
    covariance : array_like
        S, positive definite, (n, n); or variances, one for each entry or one number.
    center : array_like, default 0
        c, in the units of the model's input.
    on, where, name
        See `ConvexSet`.

    Raises
    ------
    SpecificationError
        If the radius is negative, or S is not symmetric positive definite.

    Notes
    -----
    In the eigenbasis of S, found once in O(n^3) (not needed for variances), the projection is
    ``d s / (s + t)`` with t the root of a secular equation, by Newton's method on the reciprocal
    of the norm [1]_; O(n^2) a point, O(n) for variances.

    References
    ----------
    .. [1] Moré, Sorensen (1983), Computing a trust region step, SIAM J. Sci. Stat. Comput. 4.
    """

    radius: float
    covariance: Any
    center: Any = 0.0
    _axes: Any = field(default=None, init=False, repr=False)  # (n, n) eigenvectors, or None
    _variances: Any = field(default=None, init=False, repr=False)  # (n,) eigenvalues

    violation_norm = "excess of the Mahalanobis distance"

    def __post_init__(self) -> None:
        radius = checked_number(self.radius, "radius", "Ellipsoid", minimum=0.0)
        object.__setattr__(self, "radius", radius)

    @override
    def _bound(self, region: Region) -> Ellipsoid:
        center = region.flatten(self.center, "Ellipsoid: center")
        n = region.dimension
        axes = None
        if np.ndim(self.covariance) == 2 and np.shape(self.covariance) == (n, n) and n > 1:
            who = "Ellipsoid: covariance"
            matrix = conform(region.aligned_square(self.covariance, who), (n, n), who)
            if not np.allclose(matrix, matrix.T, rtol=1e-10, atol=0.0):
                raise SpecificationError("Ellipsoid: covariance must be symmetric.")
            variances, axes = np.linalg.eigh(matrix)
        else:
            given = region.aligned(self.covariance, "Ellipsoid: covariance")
            variances = region.flatten(np.squeeze(np.asarray(given)), "Ellipsoid: covariance")
        if not (np.isfinite(variances).all() and (variances > 0).all()):
            raise SpecificationError(
                "Ellipsoid: covariance must be positive definite, its smallest eigenvalue is "
                f"{float(variances.min()):g}."
            )
        bound = replace(self, center=center)
        object.__setattr__(bound, "_axes", axes)
        object.__setattr__(bound, "_variances", variances)
        return bound

    @override
    def describe(self) -> str:
        center = short(self.center)
        at = "" if center == "0" else f", center={center}"
        return f"Ellipsoid({short(self.radius)}, covariance={short(self.covariance)}{at})"

    @property
    @override
    def projection_method(self) -> str:
        return "secular equation, exact, " + ("O(n)" if self._axes is None else "O(n^2)")

    @override
    def bounding_box(self) -> tuple[Vector, Vector]:
        if self._axes is None:
            variance = self._variances
        else:
            variance = (self._axes**2) @ self._variances
        reach = self.radius * np.sqrt(variance)
        return self.center - reach, self.center + reach

    @override
    def centre(self) -> Vector:
        return np.array(self.center)

    @property
    @override
    def diameter(self) -> float:
        return 2.0 * self.radius * float(np.sqrt(np.max(self._variances)))

    def _turned(self, x: Rows) -> Rows:
        d = x - self.center
        return d if self._axes is None else np.asarray(d @ self._axes)

    def _height(self, x: Rows) -> Vector:
        return np.asarray(np.linalg.norm(self._turned(x) / np.sqrt(self._variances), axis=1))

    @override
    def _violation(self, x: Rows) -> Vector:
        return np.maximum(0.0, self._height(x) - self.radius)

    @override
    def _scale(self, x: Rows) -> Vector:
        smallest = float(np.sqrt(np.min(self._variances)))
        largest = float(np.max(np.abs(self.center), initial=0.0)) / smallest
        return np.full(len(x), max(self.radius, largest))

    @override
    def _project(self, x: Rows) -> Rows:
        return self._project_with_dual(x)[0]

    @override
    def _project_with_dual(self, x: Rows) -> tuple[Rows, Vector]:
        p, dual, r, s = x.copy(), np.zeros(len(x)), self.radius, self._variances
        out = np.flatnonzero(self._height(x) > r)
        if not out.size:
            return p, dual
        d = self._turned(x[out])
        if r == 0.0:
            p[out] = self.center
            dual[out] = np.linalg.norm(d * np.sqrt(s), axis=1)
            return p, dual
        # Newton on 1/|w(t)| - 1/r, w = sqrt(s) d / (s + t): concave and rising, so that from the
        # left it never overshoots.
        t = np.zeros(out.size)
        for _ in range(MAX_NEWTON):
            w = np.sqrt(s) * d / (s + t[:, np.newaxis])
            norm = np.linalg.norm(w, axis=1)
            if np.all(norm <= r * (1.0 + ROUNDING)):
                break
            slope = np.sum(w * w / (s + t[:, np.newaxis]), axis=1)
            step = (norm / r - 1.0) * norm * norm / slope
            new = t + np.maximum(step, 0.0)
            if np.all(new <= t * (1.0 + ROUNDING)):
                break
            t = new
        near = s * d / (s + t[:, np.newaxis])
        moved = self.center + (near if self._axes is None else near @ self._axes.T)
        for attempt in range(PULLS):
            height = self._height(moved)
            high = height > r
            if not high.any():
                break
            share = r / height[high] * (1.0 - ROUNDING * 4.0**attempt)
            moved[high] = self.center + share[:, np.newaxis] * (moved[high] - self.center)
        p[out], dual[out] = moved, t * r
        return p, dual

    @override
    def _linear_maximizer(self, g: Rows) -> Rows:
        turned = g if self._axes is None else g @ self._axes
        step = self._variances * turned
        length = np.sqrt(np.sum(step * turned, axis=1, keepdims=True))
        step = self.radius * step / np.where(length > 0.0, length, 1.0)
        return np.asarray(self.center + (step if self._axes is None else step @ self._axes.T))

    @override
    def _to_cvxpy(self, variable: cp.Variable) -> list[cp.Constraint]:
        import cvxpy as cp

        d = variable - self.center
        turned = d if self._axes is None else self._axes.T @ d
        return [cp.norm2(cp.multiply(1.0 / np.sqrt(self._variances), turned)) <= self.radius]

    @override
    def _separable(self, lower: Vector, upper: Vector) -> SeparableForm | None:
        if self._axes is not None:
            return None
        unlimited = np.full(self.dimension, np.inf)
        ball = (self.center, 1.0 / self._variances, self.radius)
        return SeparableForm(-unlimited, unlimited, squares=(ball,))

    @override
    def _to_scipy(self, lower: Vector, upper: Vector) -> ScipyForm:
        c, axes, s = self.center, self._axes, self._variances

        def apply(v: Vector) -> Vector:
            if axes is None:
                return np.asarray(v / s)
            return np.asarray(axes @ ((axes.T @ v) / s))

        row = SmoothRow(
            value=lambda x: 0.5 * float((x - c) @ apply(x - c)),
            gradient=lambda x: apply(x - c),
            hessian_product=lambda x, v: apply(v),
            upper=0.5 * self.radius**2,
        )
        free = ScipyForm.free(self.dimension)
        return ScipyForm(free.lower, free.upper, smooth=(row,))
