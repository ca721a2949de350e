"""Projection on several couplings with a box at once, by Newton's method on the dual.

Linear rows, one weighted L1 ball and any number of balls with a diagonal metric have in common that
the projection on the box is a formula, entry by entry, once each coupling's multiplier is known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from constrained_actmax.kernels.dual_root import ROUNDING, falling_root
from constrained_actmax.kernels.relative import powers_of_two
from constrained_actmax.kernels.scipy_form import ScipyForm, Square
from constrained_actmax.layout import Indices, Rows, Vector

MAX_STEPS = 100  # of Newton's method; 3 to 20 are needed
SWEEPS = 3  # the later ones take off what rounding of a huge point leaves
EPS = float(np.finfo(np.float64).eps)
ENOUGH = 128 * EPS  # a residual below this share of its terms is rounding
FAR = 1e30  # times the size of the numbers: a multiplier that no projection has
FLAT = 1e-9  # where rows repeat each other rounding makes a curvature below it
REGULAR = 1e-2  # times the largest relative excess: added to the curvature along unit slopes


@dataclass(frozen=True)
class _Point:
    """The minimiser of the Lagrangian at some multipliers."""

    x: Vector  # (n,)
    violation: Vector  # (m,), of each constraint
    slopes: Rows  # (m, n), the constraints' gradients
    response: Vector  # (n,), by how much an entry moves against its slope


class SeparableProgram:
    r"""The projection on a box and couplings h(x) <= 0, all sums over entries.

    For multipliers t the minimiser of the Lagrangian is, entry by entry,
    ``clip(c + soft(v - c, s), l, u)``, with v a mean of the point and the balls' centers and s the
    L1 ball's share. The dual is concave and once differentiable, with the excesses h as gradient;
    it is climbed by a semismooth Newton method [1]_, regularised in proportion to the excess, with
    exact line search, the multipliers of inequalities kept >= 0 by an active set.

    Parameters
    ----------
    forms : sequence of ScipyForm
        The couplings; their smooth constraints are balls in diagonal metrics.
    lower, upper : numpy.ndarray, shape (n,)
        The box.

    References
    ----------
    .. [1] Qi, Sun (1993), A nonsmooth version of Newton's method, Math. Program. 58.
    """

    def __init__(self, forms: Sequence[ScipyForm], lower: Vector, upper: Vector) -> None:
        self.lower = np.maximum(lower, np.max([form.lower for form in forms], axis=0))
        self.upper = np.minimum(upper, np.min([form.upper for form in forms], axis=0))
        n = len(lower)
        matrix, level, equal = [np.zeros((0, n))], [np.zeros(0)], [np.zeros(0, dtype=bool)]
        for rows in (rows for form in forms for rows in form.rows):
            dense = rows.matrix.toarray()
            size = np.linalg.norm(dense, axis=1)
            both = (rows.lower == rows.upper) & (size > 0.0)
            for sign, bound, chosen in (
                (1.0, rows.upper, both),
                (1.0, rows.upper, np.isfinite(rows.upper) & ~both & (size > 0.0)),
                (-1.0, -rows.lower, np.isfinite(rows.lower) & ~both & (size > 0.0)),
            ):
                matrix.append(sign * dense[chosen] / size[chosen, np.newaxis])
                level.append(bound[chosen] / size[chosen])
                equal.append(np.full(int(chosen.sum()), chosen is both))
        self.matrix, self.level = np.concatenate(matrix), np.concatenate(level)
        self.l1 = next((term for form in forms for term in form.l1), None)
        self.squares = [_in_units_of_x(*square) for form in forms for square in form.squares or ()]
        others = (self.l1 is not None) + len(self.squares)
        self.equal = np.concatenate([*equal, np.zeros(others, dtype=bool)])
        # Slopes of about one, whatever the units: the L1 ball's are divided by their length.
        self.length = 1.0 if self.l1 is None else float(np.linalg.norm(self.l1[1]))
        balls = [*([(*self.l1, self.length)] if self.l1 else [])]
        balls += [(*square, 1.0) for square in self.squares]
        radii = [float(np.max(np.abs(c))) + radius / length for c, _, radius, length in balls]
        self.sizes = np.concatenate([np.abs(self.level), radii])

    def at(self, y: Vector, t: Vector) -> _Point:
        """Return the minimiser of the Lagrangian for a point y at multipliers t."""
        m, n = self.matrix.shape
        total = y - t[:m] @ self.matrix if m else y
        weight = np.ones(n)
        first = m + (self.l1 is not None)
        for multiplier, (center, precision, radius) in zip(t[first:], self.squares, strict=True):
            share = multiplier / radius * precision
            total = total + share * center
            weight = weight + share
        v = total / weight
        moving: npt.NDArray[np.bool_] | bool = True
        if self.l1 is not None and t[m] > 0.0:
            center, weights, _ = self.l1
            d = v - center
            left = np.abs(d) - t[m] / self.length * weights / weight
            moving = left > 0.0
            v = center + np.copysign(np.maximum(left, 0.0), d)
        free = (v > self.lower) & (v < self.upper) & moving
        x = np.minimum(np.maximum(v, self.lower), self.upper)
        violation, slopes = [self.matrix @ x - self.level], [self.matrix]
        if self.l1 is not None:
            center, weights, radius = self.l1
            slope = weights * np.sign(x - center)
            violation.append(np.array([slope @ (x - center) - radius]) / self.length)
            slopes.append(slope[np.newaxis] / self.length)
        for center, precision, radius in self.squares:
            slope = precision * (x - center) / radius
            violation.append(np.array([0.5 * (slope @ (x - center) - radius)]))
            slopes.append(slope[np.newaxis])
        return _Point(x, np.concatenate(violation), np.concatenate(slopes), free / weight)

    def project(self, y: Vector) -> Vector | None:
        """Return the projection, None where the method does not end."""
        x = y
        for _ in range(SWEEPS):
            dual = self._climb(x)
            if dual is None:
                return None
            x = dual.x
            off = np.where(self.equal, np.abs(dual.violation), dual.violation)
            if np.all(off <= ENOUGH * self._sizes_at(x)):
                return x
        return x

    def _sizes_at(self, x: Vector) -> Vector:
        """Return the size of the numbers whose difference each excess is."""
        sizes = np.maximum(self.sizes, np.max(np.abs(x), initial=0.0))
        m = len(self.level)
        # A sum of terms rounds as their length does.
        sizes[:m] = np.maximum(
            self.sizes[:m], np.sqrt(np.einsum("mn,mn,n->m", self.matrix, self.matrix, x * x))
        )
        return np.asarray(sizes)

    def _climb(self, y: Vector) -> _Point | None:
        t = np.zeros(len(self.equal))
        point = self.at(y, t)
        # Rounding of y enters too; what it leaves, a second sweep takes off.
        sizes = self._sizes_at(y)
        enough, scale = ENOUGH * sizes, float(sizes.max())
        for _ in range(MAX_STEPS):
            violation = point.violation
            working = self.equal | (t > 0.0) | (violation > enough)
            if np.all(np.abs(violation[working]) <= enough[working]):
                return point
            d = self._direction(point, t, working, scale)
            rise = float(d @ violation)
            if rise <= 0.0:
                return point  # rounding
            with np.errstate(divide="ignore", invalid="ignore"):
                reach = np.where(~self.equal & (d < 0.0), -t / d, np.inf)
            longest = float(np.min(reach, initial=np.inf))
            step, new = self._line_search(y, t, d, rise, longest, FAR * scale)
            moved = t + step * d
            moved[reach <= step] = 0.0
            if np.array_equal(moved, t):
                return point
            t = np.where(self.equal, moved, np.maximum(moved, 0.0))
            if np.max(np.abs(t)) >= 0.5 * FAR * scale:
                return None  # the dual rises without end: the sets do not meet
            point = new
        return None

    def _direction(
        self, point: _Point, t: Vector, working: npt.NDArray[np.bool_], scale: float
    ) -> Vector:
        d = np.zeros(len(t))
        while True:
            rows: Indices = np.flatnonzero(working)
            slopes = point.slopes[rows]
            curvature, axes = np.linalg.eigh((slopes * point.response) @ slopes.T)
            along = point.violation[rows] @ axes
            # Where all is clipped the dual is straight, and the line search says how far to go;
            # with the excess the added curvature goes to zero, so the last steps are Newton's.
            worst = float(np.max(np.abs(point.violation[rows]), initial=0.0))
            added = REGULAR * min(1.0, worst / scale)
            d[:] = 0.0
            along[(curvature < FLAT) & (np.abs(along) <= ENOUGH * scale)] = 0.0
            d[rows] = axes @ (along / (np.maximum(curvature, EPS**2) + added))
            blocked = working & ~self.equal & (t <= 0.0) & (d < 0.0)
            if not blocked.any():
                return d
            working = working & ~blocked

    def _line_search(
        self, y: Vector, t: Vector, d: Vector, rise: float, longest: float, largest: float
    ) -> tuple[float, _Point]:
        last: list[tuple[float, _Point]] = []
        far = largest / float(np.max(np.abs(d)))

        def evaluate(step: float) -> tuple[float, float]:
            step = min(step, far)
            point = self.at(y, np.where(self.equal, t + step * d, np.maximum(t + step * d, 0.0)))
            last[:] = [(step, point)]
            along = d @ point.slopes
            gap = 0.0 if step == far else float(d @ point.violation)
            return gap, -float((along * along) @ point.response)

        if longest <= 1.0:
            gap, _ = evaluate(longest)
            if gap >= 0.0:
                return last[0]
        start = min(1.0, 0.5 * longest) if longest <= 1.0 else 1.0
        step = falling_root(evaluate, 0.01 * rise / ROUNDING, start, 0.0, longest)
        if last[0][0] != min(step, far):
            evaluate(step)
        return last[0]


def _in_units_of_x(center: Vector, precision: Vector, radius: float) -> Square:
    """Return the ball with a precision of about 1, so that its radius is in the units of x."""
    unit = float(powers_of_two(1.0 / np.sqrt(np.max(precision))))
    return center, precision * unit**2, radius * unit
