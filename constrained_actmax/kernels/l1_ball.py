"""Weighted L1 balls."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np
import scipy.sparse as sp
from typing_extensions import override

from constrained_actmax.kernels.ball import BallKernel
from constrained_actmax.kernels.dual_root import clipped_line_root, pulled_inside
from constrained_actmax.kernels.kernel import Constraints, InBox, Variable
from constrained_actmax.kernels.scipy_form import LinearRows, ScipyForm
from constrained_actmax.layout import Rows, Vector


@dataclass(frozen=True, eq=False, repr=False)
class L1BallKernel(BallKernel):
    r"""Weighted L1 ball, :math:`\{x : \sum_i w_i |x_i - c_i| \le r\}`.

    Parameters
    ----------
    weights : numpy.ndarray, shape (n,)
        w > 0.
    """

    weights: Vector

    violation_norm = "weighted sum of changes minus the radius"
    projection_method = "root of the dual, exact, O(n) a pass"

    @override
    def bounding_box(self) -> tuple[Vector, Vector]:
        reach = self.radius / self.weights
        return self.center - reach, self.center + reach

    @property
    @override
    def diameter(self) -> float:
        return 2.0 * self.radius / float(np.min(self.weights))

    @override
    def norm(self, x: Rows) -> Vector:
        d = x - self.center
        np.abs(d, out=d)
        d *= self.weights  # as a sum: a product's last bits depend on how many rows there are
        return np.asarray(d.sum(axis=1))

    @cached_property
    @override
    def center_size(self) -> float:
        return float(np.max(np.abs(self.center) * self.weights, initial=0.0))

    @override
    def onto(self, x: Rows, norm: Vector) -> tuple[Rows, Vector]:
        return self._onto_in_box(*self._unlimited, x)

    @override
    def in_box(self, lower: Vector, upper: Vector) -> InBox:
        return self.boxed(lower, upper, partial(self._onto_in_box, lower, upper))

    def _onto_in_box(self, lower: Vector, upper: Vector, x: Rows) -> tuple[Rows, Vector]:
        c, w, r = self.center, self.weights, self.radius
        d = x - c
        a, b = lower - c, upper - c
        # In m = |d| the budget is one row, w'q <= r with floor <= q <= cap: the sign of p - c is
        # known beforehand, that of d or, where the box lies on one side of c, that side.
        positive = d >= 0.0
        if (a > 0.0).any() or (b < 0.0).any():
            positive = (a > 0.0) | (positive & ~(b < 0.0))
            m = np.where(positive, d, -d)
            d = np.where(positive, 1.0, -1.0)
            floor = np.maximum(np.where(positive, a, -b), 0.0)
            cap = np.maximum(np.where(positive, b, -a), 0.0)
        else:
            m, floor = np.abs(d), np.zeros_like(c)
            cap = np.where(positive, b, -a)
        radius = np.full(len(x), r)
        t = np.maximum(clipped_line_root(m, w, floor, cap, radius, radius), 0.0)
        m -= t[:, np.newaxis] * w
        np.maximum(m, floor, out=m)
        moved = np.copysign(m, d, out=m)
        moved += c
        np.maximum(moved, lower, out=moved)
        np.minimum(moved, upper, out=moved)
        return moved, t

    @override
    def linear_maximizer(self, g: Rows) -> Rows:
        # One vertex: all of the budget where a unit of it buys most.
        rate = np.abs(g) / self.weights
        best = np.argmax(rate, axis=1)
        rows = np.arange(len(g))
        maximizers = np.repeat(self.center[np.newaxis], len(g), axis=0)
        maximizers[rows, best] += np.sign(g[rows, best]) * self.radius / self.weights[best]
        return maximizers

    @override
    def linear_maximizer_in_box(self, g: Rows, lower: Rows, upper: Rows) -> Rows:
        # A fractional knapsack: from the point of the box nearest to c, go where a unit of the
        # budget buys most, until it is spent. Equal rates are taken one after another, so the
        # answer is a vertex.
        start = np.clip(self.center, lower, upper)
        left = np.maximum(0.0, self.radius - self.norm(np.atleast_2d(start)))[:, np.newaxis]
        room = np.where(g > 0.0, upper - start, np.where(g < 0.0, start - lower, 0.0))
        order = np.argsort(-np.abs(g) / self.weights, axis=1, kind="stable")
        cost = np.take_along_axis(np.minimum(room * self.weights, left), order, axis=1)
        before = np.cumsum(cost, axis=1) - cost
        spent = np.zeros_like(g)
        np.put_along_axis(spent, order, np.clip(left - before, 0.0, cost), axis=1)
        moved = start + np.sign(g) * np.minimum(spent / self.weights, room)
        moved = np.clip(moved, lower, upper)
        return pulled_inside(moved, start, lower, upper, self.norm, self.radius)

    @override
    def to_cvxpy(self, variable: Variable) -> Constraints:
        import cvxpy as cp

        return [cp.norm1(cp.multiply(self.weights, variable - self.center)) <= self.radius]

    @override
    def scaled(self, units: Vector) -> L1BallKernel:
        return replace(self, center=self.center / units, weights=self.weights * units)

    @override
    def to_scipy(self, lower: Vector, upper: Vector) -> ScipyForm:
        n, c, w = self.size, self.center, self.weights
        above, below = lower >= c, upper <= c
        if np.all(above | below):
            signed = np.where(above, w, -w)
            rows = LinearRows(
                sp.csr_array(signed[np.newaxis]),
                np.array([-np.inf]),
                np.array([self.radius + float(signed @ c)]),
            )
            return ScipyForm.unbounded(n, rows=(rows,))
        return ScipyForm.unbounded(n, l1=((c, w, self.radius),))
