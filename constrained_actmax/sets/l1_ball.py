"""Budget on the sum of changes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp
from typing_extensions import override

from constrained_actmax.errors import SpecificationError
from constrained_actmax.layout import Region, Rows, Vector
from constrained_actmax.sets.base import ConvexSet, checked_number, short
from constrained_actmax.sets.dual_root import clipped_line_root, pulled_inside
from constrained_actmax.sets.scipy_form import LinearRows, ScipyForm
from constrained_actmax.sets.separable_form import SeparableForm

if TYPE_CHECKING:
    import cvxpy as cp


@dataclass(frozen=True, eq=False, repr=False)
class L1Ball(ConvexSet):
    r"""Budget on the sum of changes, :math:`\{x : \sum_i w_i |x_i - c_i| \le r\}`.

    Parameters
    ----------
    radius : float
        r >= 0, in the units of the model's input (times those of the weights).
    center : array_like, default 0
        c, the input that changes are counted from.
    weights : array_like, optional
        w > 0, what one unit of change of each entry costs; 1 by default.
    on, where, name
        See `ConvexSet`.

    Raises
    ------
    SpecificationError
        If the radius is negative or not finite, or a weight is not positive.

    Notes
    -----
    Alone or with a box the projection is ``clip(c + soft(y - c, t w), l, u)`` with t the root of a
    falling piecewise-linear function, found by Newton's method with a bracket [1]_ [2]_; exact up
    to rounding, O(n) a pass, 4 to 12 passes.

    References
    ----------
    .. [1] Condat (2016), Fast projection onto the simplex and the l1 ball, Math. Program. 158.
    .. [2] Cominetti, Mascarenhas, Silva (2014), A Newton's method for the continuous quadratic
       knapsack problem, Math. Program. Comput. 6.

    Examples
    --------
    >>> import constrained_actmax as cax
    >>> cax.L1Ball(1).project([3.0, 0.5, -2.5])
    array([ 0.75,  0.  , -0.25])
    """

    radius: float
    center: Any = 0.0
    weights: Any = None

    violation_norm = "excess of the weighted sum of changes"
    projects_in_box = True
    method_alone = "root of the dual, exact, O(n) a pass"

    def __post_init__(self) -> None:
        radius = checked_number(self.radius, "radius", "L1Ball", minimum=0.0)
        object.__setattr__(self, "radius", radius)

    @override
    def _bound(self, region: Region) -> L1Ball:
        center = region.flatten(self.center, "L1Ball: center")
        weights = region.flatten(1.0 if self.weights is None else self.weights, "L1Ball: weights")
        if not (np.isfinite(weights).all() and (weights > 0).all()):
            raise SpecificationError(
                f"L1Ball: weights must be finite and > 0, got {float(weights.min()):g}; "
                "leave entries out with where=."
            )
        if not np.isfinite(center).all():
            raise SpecificationError("L1Ball: center must be finite.")
        return replace(self, center=center, weights=weights)

    @override
    def describe(self) -> str:
        center = "" if np.ndim(self.center) == 0 and self.center == 0 else short(self.center)
        inside = short(self.radius)
        if center not in ("", "0"):
            inside += f", center={center}"
        if self.weights is not None and short(self.weights) != "1":
            inside += f", weights={short(self.weights)}"
        return f"L1Ball({inside})"

    @override
    def bounding_box(self) -> tuple[Vector, Vector]:
        reach = self.radius / self.weights
        return self.center - reach, self.center + reach

    @override
    def centre(self) -> Vector:
        return np.array(self.center)

    @property
    @override
    def diameter(self) -> float:
        return 2.0 * self.radius / float(np.min(self.weights))

    def _height(self, x: Rows) -> Vector:
        d = x - self.center
        np.abs(d, out=d)
        d *= self.weights  # as a sum: a product's last bits depend on how many rows there are
        return np.asarray(d.sum(axis=1))

    @override
    def _violation(self, x: Rows) -> Vector:
        return np.maximum(0.0, self._height(x) - self.radius)

    @override
    def _scale(self, x: Rows) -> Vector:
        largest = float(np.max(np.abs(self.center) * self.weights, initial=0.0))
        return np.full(len(x), max(self.radius, largest))

    @override
    def excess_in_box(self, lower: Vector, upper: Vector) -> float:
        nearest = np.clip(self.center, lower, upper)
        return float(self._height(nearest[np.newaxis])[0]) - self.radius

    @override
    def _project(self, x: Rows) -> Rows:
        return self._project_with_dual(x)[0]

    @override
    def _project_with_dual(self, x: Rows) -> tuple[Rows, Vector]:
        unlimited = np.full(self.dimension, np.inf)
        return self._project_in_box(x, -unlimited, unlimited)

    @override
    def _project_in_box(self, x: Rows, lower: Vector, upper: Vector) -> tuple[Rows, Vector]:
        c, w, r = self.center, self.weights, self.radius
        p = np.minimum(np.maximum(x, lower), upper)
        dual = np.zeros(len(x))
        out = np.flatnonzero(self._height(p) > r)
        if not out.size:
            return p, dual
        d = (x if out.size == len(x) else x[out]) - c
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
        radius = np.full(out.size, r)
        t = np.maximum(clipped_line_root(m, w, floor, cap, radius, radius), 0.0)
        m -= t[:, np.newaxis] * w
        np.maximum(m, floor, out=m)
        moved = np.copysign(m, d, out=m)
        moved += c
        np.maximum(moved, lower, out=moved)
        np.minimum(moved, upper, out=moved)
        p[out] = pulled_inside(
            moved, np.minimum(np.maximum(c, lower), upper), lower, upper, self._height, r
        )
        dual[out] = t
        return p, dual

    @override
    def _linear_maximizer(self, g: Rows) -> Rows:
        # One vertex: all of the budget where a unit of it buys most.
        rate = np.abs(g) / self.weights
        best = np.argmax(rate, axis=1)
        rows = np.arange(len(g))
        found = np.repeat(self.center[np.newaxis], len(g), axis=0)
        found[rows, best] += np.sign(g[rows, best]) * self.radius / self.weights[best]
        return found

    @override
    def _linear_maximizer_in_box(self, g: Rows, lower: Vector, upper: Vector) -> Rows:
        # A fractional knapsack: from the point of the box nearest to c, go where a unit of the
        # budget buys most, until it is spent. Equal rates are taken one after another, so the
        # answer is a vertex.
        start = np.clip(self.center, lower, upper)
        left = max(0.0, self.radius - float(self._height(start[np.newaxis])[0]))
        room = np.where(g > 0.0, upper - start, np.where(g < 0.0, start - lower, 0.0))
        order = np.argsort(-np.abs(g) / self.weights, axis=1, kind="stable")
        cost = np.take_along_axis(np.minimum(room * self.weights, left), order, axis=1)
        before = np.cumsum(cost, axis=1) - cost
        spent = np.zeros_like(g)
        np.put_along_axis(spent, order, np.clip(left - before, 0.0, cost), axis=1)
        moved = start + np.sign(g) * np.minimum(spent / self.weights, room)
        moved = np.clip(moved, lower, upper)
        return pulled_inside(moved, start, lower, upper, self._height, self.radius)

    @override
    def _to_cvxpy(self, variable: cp.Variable) -> list[cp.Constraint]:
        import cvxpy as cp

        return [cp.norm1(cp.multiply(self.weights, variable - self.center)) <= self.radius]

    @override
    def in_columns(self, units: Vector) -> L1Ball:
        return self._changed(center=self.center / units, weights=self.weights * units)

    @override
    def _separable(self, lower: Vector, upper: Vector) -> SeparableForm | None:
        form = self._to_scipy(lower, upper)
        return SeparableForm(form.lower, form.upper, form.rows, form.l1)

    @override
    def _to_scipy(self, lower: Vector, upper: Vector) -> ScipyForm:
        n, c, w = self.dimension, self.center, self.weights
        free = ScipyForm.free(n)
        above, below = lower >= c, upper <= c
        if np.all(above | below):
            signed = np.where(above, w, -w)
            rows = LinearRows(
                sp.csr_array(signed[np.newaxis]),
                np.array([-np.inf]),
                np.array([self.radius + float(signed @ c)]),
            )
            return ScipyForm(free.lower, free.upper, rows=(rows,))
        return ScipyForm(free.lower, free.upper, l1=((c, w, self.radius),))
