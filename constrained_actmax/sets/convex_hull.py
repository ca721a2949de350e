"""Mixtures of real examples."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from typing_extensions import override

from constrained_actmax.errors import SpecificationError
from constrained_actmax.layout import Region, Rows, Vector
from constrained_actmax.sets.base import ConvexSet

if TYPE_CHECKING:
    import cvxpy as cp

INSIDE = 1e-12  # a relative distance to the hull below this is rounding


@dataclass(frozen=True, eq=False)
class ConvexHull(ConvexSet):
    r"""Mixtures of given points, :math:`\{\sum_j w_j v_j : w \ge 0, \sum_j w_j = 1\}`.

    Parameters
    ----------
    points : array_like, shape (m, \*shape)
        The v_j, m real inputs.
    on, where
        See `ConvexSet`.

    Raises
    ------
    SpecificationError
        If there is no point, or shapes do not fit.

    Notes
    -----
    The point of least norm of the moved hull, by nonnegative least squares on the weights [1]_,
    an active-set method that ends at the exact weights up to rounding; O(n m) and then O(m^3).

    References
    ----------
    .. [1] Lawson, Hanson (1995), Solving Least Squares Problems, chapter 23 (LDP).
    """

    points: Any
    _frame: Any = field(default=None, init=False, repr=False)  # (k, n), orthonormal rows
    _reduced: Any = field(default=None, init=False, repr=False)  # (k, m), the points in it
    _middle: Any = field(default=None, init=False, repr=False)  # (n,)

    violation_norm = "distance to the hull"

    @override
    def _bound(self, region: Region) -> ConvexHull:
        given = np.asarray(self.points)
        if given.ndim < 1 or len(given) == 0:
            raise SpecificationError("ConvexHull: points must hold at least one input.")
        points = np.stack([region.flatten(one, "ConvexHull: points") for one in given])
        if not np.isfinite(points).all():
            raise SpecificationError("ConvexHull: points must be finite.")
        middle = points.mean(axis=0)
        _, size, frame = np.linalg.svd(points - middle, full_matrices=False)
        frame = frame[size > 1e-14 * max(1.0, float(np.max(size, initial=0.0)))]
        bound = replace(self, points=points)
        for name, value in (
            ("_middle", middle),
            ("_frame", frame),
            ("_reduced", frame @ (points - middle).T),
        ):
            object.__setattr__(bound, name, value)
        return bound

    @override
    def describe(self) -> str:
        return f"ConvexHull({len(self.points)} points)"

    @property
    @override
    def projection_method(self) -> str:
        return "nonnegative least squares on the weights, exact, O(n m + m^3)"

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
        from scipy.optimize import nnls

        d = (x - self._middle) @ self._frame.T
        m = len(self.points)
        found = np.empty((len(x), m))
        for row, one in enumerate(d):
            moved = self._reduced - one[:, np.newaxis]
            size = float(np.max(np.abs(moved), initial=0.0)) or 1.0
            system = np.vstack([moved / size, np.ones(m)])
            target = np.zeros(len(system))
            target[-1] = 1.0
            weights, _ = nnls(system, target, maxiter=30 * m)
            found[row] = weights / weights.sum()
        return found

    @override
    def _project(self, x: Rows) -> Rows:
        p = np.asarray(self.weights(x) @ self.points)
        inside = np.linalg.norm(p - x, axis=1) <= INSIDE * self._scale(x)
        p[inside] = x[inside]
        return p

    @override
    def _violation(self, x: Rows) -> Vector:
        distance = np.linalg.norm(self.weights(x) @ self.points - x, axis=1)
        return np.where(distance <= INSIDE * self._scale(x), 0.0, distance)

    @override
    def _scale(self, x: Rows) -> Vector:
        return np.full(len(x), max(1.0, float(np.max(np.linalg.norm(self.points, axis=1)))))

    @override
    def _linear_maximizer(self, g: Rows) -> Rows:
        return np.array(self.points[np.argmax(g @ self.points.T, axis=1)])

    @override
    def _to_cvxpy(self, variable: cp.Variable) -> list[cp.Constraint]:
        import cvxpy as cp

        weights = cp.Variable(len(self.points), nonneg=True)
        return [self.points.T @ weights == variable, cp.sum(weights) == 1.0]
