"""Mixtures of real examples."""

from __future__ import annotations

import contextlib
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
OPTIMAL = 64 * float(np.finfo(np.float64).eps)  # a relative gain below this is rounding


@dataclass(frozen=True, eq=False, repr=False)
class ConvexHull(ConvexSet):
    r"""Mixtures of given points, :math:`\{\sum_j w_j v_j : w \ge 0, \sum_j w_j = 1\}`.

    Parameters
    ----------
    points : array_like, shape (m, \*shape)
        The v_j, m real inputs.
    on, where, name
        See `ConvexSet`.

    Raises
    ------
    SpecificationError
        If there is no point, or shapes do not fit.

    Notes
    -----
    The point of least norm of the moved hull, by nonnegative least squares on the weights [1]_,
    and where no optimum comes of that by Wolfe's method [2]_. Both change the set of points in use
    one at a time and end at the exact weights up to rounding; O(n m) and then O(m^3).

    References
    ----------
    .. [1] Lawson, Hanson (1995), Solving Least Squares Problems, chapter 23 (LDP).
    .. [2] Wolfe (1976), Finding the nearest point in a polytope, Math. Program. 11.
    """

    points: Any
    _frame: Any = field(default=None, init=False, repr=False)  # (k, n), orthonormal rows
    _reduced: Any = field(default=None, init=False, repr=False)  # (k, m), the points in it
    _middle: Any = field(default=None, init=False, repr=False)  # (n,)

    violation_norm = "distance to the hull"

    @override
    def _bound(self, region: Region) -> ConvexHull:
        given = region.aligned(self.points, "ConvexHull: points")
        try:
            given = np.asarray(given)
        except ValueError:
            raise SpecificationError("ConvexHull: the points must have one shape.") from None
        if given.ndim < 1 or len(given) == 0:
            raise SpecificationError("ConvexHull: points must hold at least one input.")
        points = np.stack([region.flatten(one, "ConvexHull: points") for one in given])
        if not np.isfinite(points).all():
            raise SpecificationError("ConvexHull: points must be finite.")
        middle = points.mean(axis=0)
        _, size, frame = np.linalg.svd(points - middle, full_matrices=False)
        frame = frame[size > 1e-14 * float(np.max(size, initial=0.0))]
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
        return np.stack([self._weights((one - self._middle) @ self._frame.T) for one in x])

    def _weights(self, d: Vector) -> Vector:
        from scipy.optimize import nnls

        v, m = self._reduced, len(self.points)
        moved = v - d[:, np.newaxis]
        size = float(np.max(np.abs(moved), initial=0.0)) or 1.0
        target = np.zeros(len(v) + 1)
        target[-1] = 1.0
        with contextlib.suppress(RuntimeError):  # too many steps
            found, _ = nnls(np.vstack([moved / size, np.ones(m)]), target, maxiter=30 * m)
            # SciPy 1.15 ends at weights that are not the best in 3 of 100 random cases.
            if found.any() and improvement(v, d, found / found.sum())[1] <= 0.0:
                return np.asarray(found / found.sum())
        return nearest_mixture(v, d)

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
        return np.full(len(x), float(np.max(np.linalg.norm(self.points, axis=1))))

    @override
    def _linear_maximizer(self, g: Rows) -> Rows:
        return np.array(self.points[np.argmax(g @ self.points.T, axis=1)])

    @override
    def _to_cvxpy(self, variable: cp.Variable) -> list[cp.Constraint]:
        import cvxpy as cp

        weights = cp.Variable(len(self.points), nonneg=True)
        return [self.points.T @ weights == variable, cp.sum(weights) == 1.0]

    @override
    def _sized_rows(self, variable: cp.Variable, at: Rows) -> list[tuple[cp.Constraint, Any]]:
        mixture, whole = self._to_cvxpy(variable)
        return [(mixture, float(self._scale(at)[0]) or 1.0), (whole, 0.0)]


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
    found = np.zeros(v.shape[1])
    found[corral] = 1.0
    distance = float(np.linalg.norm(d - v @ found))
    while True:
        new, gain = improvement(v, d, found)
        if gain <= 0.0 or new in corral:
            return found
        weights = _better_corral(v, d, found, [*corral, new])
        now = float(np.linalg.norm(d - v @ weights))
        if now >= distance:
            return found
        found, distance = weights, now
        corral = [int(one) for one in np.flatnonzero(found)]


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
        corral = [one for one, share in zip(corral, held, strict=True) if share > 0.0]
        held = held[held > 0.0]
    found = np.zeros(v.shape[1])
    found[corral] = wanted
    return found
