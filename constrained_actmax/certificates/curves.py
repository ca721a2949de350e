"""Curves as arcs on which they are convex or concave, and the lines above and below them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import optimize

from constrained_actmax.layout import Rows
from constrained_actmax.structure.nonlinearities import CURVES, SELU_ALPHA, SELU_SCALE

Array = npt.NDArray[Any]

EPSILON = float(np.finfo(np.float64).eps)
#: Roundings of an offset: libraries promise a few units in the last place for each function, and a
#: curve with its derivative is made of up to four of them.
CURVE_ROUNDINGS = 32
#: Tangent points are tabulated for interval ends up to this far away, at so many knots.
REACH, KNOTS = 50.0, 4097
HALVINGS = 60
STEP = 1e-4  # of the differences whose sign change is an inflection
#: Concave curves that begin somewhere: there, the least arguments in float64 of a finite value and
#: of a slope that counts, and the least right end of an interval, so far away that a line of that
#: slope reaches any value. A smaller argument has no finite value: no bound has to hold there.
DOMAINS = {
    "log": (0.0, float(np.finfo(np.float64).smallest_subnormal), 1e-300, 1e-290),
    "log1p": (-1.0, -1.0 + 0.5 * EPSILON, -1.0 + 0.5 * EPSILON, -1.0 + 1e-12),
    "sqrt": (0.0, 0.0, 1e-300, 1e-290),
}


@dataclass(frozen=True, eq=False)
class Arc:
    """An interval of a curve on which it is convex, concave, or both.

    Parameters
    ----------
    start, end : float
        May be infinite.
    bend : {1, -1, 0}
        1 convex, -1 concave, 0 straight.
    slope : callable
        The derivative inside, one-sided at the ends.
    """

    start: float
    end: float
    bend: int
    slope: Callable[[Rows], Rows]


@dataclass(frozen=True, eq=False)
class Shape:
    """A curve as arcs.

    Parameters
    ----------
    value : callable
        φ.
    arcs : tuple of Arc
        From left to right.
    stationary : tuple of float
        Where φ' is zero.
    beginning, first_end : float
        φ is defined from here on; intervals end no earlier than there.
    """

    value: Callable[[Rows], Rows]
    arcs: tuple[Arc, ...]
    stationary: tuple[float, ...] = ()
    domain_start: float = -np.inf
    first_end: float = -np.inf

    @property
    def corners(self) -> list[float]:
        """Where a straight arc begins or ends: lines may touch there."""
        ends = zip(self.arcs[:-1], self.arcs[1:], strict=True)
        return [left.end for left, right in ends if left.bend * right.bend == 0]

    @cached_property
    def tangents(self) -> dict[tuple[int, int], tuple[Array, Array]]:
        """For an arc and a side (-1 left, 1 right) interval ends and the points touched from there.

        The line through (e, φ(e)) that touches the arc at d: φ(d) - φ'(d) (d - e) - φ(e) changes
        its sign there once, as d moves away from e.
        """
        lines = {}
        for number, arc in enumerate(self.arcs):
            for side, edge in ((-1, arc.start), (1, arc.end)):
                if arc.bend == 0 or not np.isfinite(edge):
                    continue
                ends = edge + side * np.linspace(0.0, REACH, KNOTS)
                other = arc.end if side < 0 else arc.start
                far = other if np.isfinite(other) else edge - side * REACH
                near, away = np.full(KNOTS, edge), np.full(KNOTS, far)
                for _ in range(HALVINGS):
                    d = 0.5 * (near + away)
                    over = self.value(d) - arc.slope(d) * (d - ends) - self.value(ends)
                    short = -arc.bend * over < 0.0  # the tangent passes on the wrong side of (e, φ)
                    near, away = np.where(short, d, near), np.where(short, away, d)
                order = slice(None) if side > 0 else slice(None, None, -1)
                lines[number, side] = ends[order], (0.5 * (near + away))[order]
        return lines

    def excess(self, sign: int, slope: Rows, touching: Rows, lower: Rows, upper: Rows) -> Rows:
        """Return an upper bound of sign * (φ(z) - slope z) over intervals, not yet rounded.

        `touching` is where a line of this slope touches, as well as that is known.
        """
        worst = np.full(lower.shape, -np.inf)
        for arc in self.arcs:
            start, end = np.maximum(lower, arc.start), np.minimum(upper, arc.end)
            met = start <= end
            start, end = np.minimum(start, arc.end), np.maximum(end, arc.start)
            start, end = np.where(met, start, end), np.where(met, end, start)
            at_start = sign * (self.value(start) - slope * start)
            at_end = sign * (self.value(end) - slope * end)
            over = np.maximum(at_start, at_end)
            if sign * arc.bend < 0:
                point = np.clip(touching, start, end)
                at_point = sign * (self.value(point) - slope * point)
                over = np.full(lower.shape, np.inf)
                for d, value in ((start, at_start), (end, at_end), (point, at_point)):
                    rest = sign * (arc.slope(d) - slope)
                    rise = np.maximum(rest * (start - d), rest * (end - d))
                    over = np.minimum(over, value + np.maximum(rise, 0.0))
            worst = np.where(met, np.maximum(worst, over), worst)
        return worst

    def line(self, sign: int, lower: Rows, upper: Rows) -> tuple[Rows, Rows]:
        """Return slope and offset of the line above (sign 1) or below (-1) φ, not yet rounded."""
        middle = 0.5 * (lower + upper)
        width = upper - lower
        chord = np.divide(
            self.value(upper) - self.value(lower),
            width,
            out=self.slope(middle),
            where=width > 0.0,
        )
        candidates = [(chord, middle), (self.slope(middle), middle)]
        for (number, side), (ends, touched) in self.tangents.items():
            arc = self.arcs[number]
            if sign * arc.bend > 0:
                continue
            d = np.clip(np.interp(lower if side < 0 else upper, ends, touched), lower, upper)
            d = np.clip(d, arc.start, arc.end)
            candidates.append((arc.slope(d), d))
        for corner in self.corners:
            value = self.value(np.asarray(corner))
            for end in (lower, upper):
                away = end - corner
                slope = np.divide(
                    self.value(end) - value, away, out=chord.copy(), where=away != 0.0
                )
                candidates.append((slope, middle))
        return lowest_line(
            sign,
            [(slope, self.excess(sign, slope, d, lower, upper)) for slope, d in candidates],
            middle,
        )

    def slope(self, z: Rows) -> Rows:
        """Return the derivative, from the left where arcs meet."""
        slope_ = self.arcs[-1].slope(z)
        for arc in reversed(self.arcs[:-1]):
            slope_ = np.where(z <= arc.end, arc.slope(z), slope_)
        return slope_

    def slopes(self, lower: Rows, upper: Rows) -> tuple[Rows, Rows]:
        """Return the least and the largest derivative on intervals: it is monotone on an arc."""
        least, most = np.full(lower.shape, np.inf), np.full(lower.shape, -np.inf)
        for arc in self.arcs:
            start, end = np.maximum(lower, arc.start), np.minimum(upper, arc.end)
            met = start <= end
            for z in (np.where(met, start, upper), np.where(met, end, upper)):
                slope = arc.slope(z)
                least = np.where(met, np.minimum(least, slope), least)
                most = np.where(met, np.maximum(most, slope), most)
        return least, most

    def values(self, lower: Rows, upper: Rows) -> tuple[Rows, Rows]:
        """Return bounds of φ on intervals, not yet rounded."""
        parts = []
        for sign in (-1, 1):
            points = self.stationary or (0.0,)
            flat = np.zeros(lower.shape)
            bounds = [
                self.excess(sign, flat, np.full(lower.shape, point), lower, upper)
                for point in points
            ]
            parts.append(sign * np.min(bounds, axis=0))
        return parts[0], parts[1]


def lowest_line(
    sign: float, candidates: Sequence[tuple[Rows, Rows]], middle: Rows
) -> tuple[Rows, Rows]:
    """Return slope and offset of that line above sign * φ which is lowest at the middle.

    Candidates are slopes a and offsets b with a z + sign b on that side of φ.
    """
    slope, offset = candidates[0]
    for other, end in candidates[1:]:
        better = sign * other * middle + end < sign * slope * middle + offset
        slope, offset = np.where(better, other, slope), np.where(better, end, offset)
    return slope, sign * offset


def _constant(slope: float) -> Callable[[Rows], Rows]:
    return lambda z: np.full(np.shape(z), slope)


@cache
def shape_of(kind: str, alpha: float) -> Shape | None:
    """Return a curve of `structure.nonlinearities.CURVES` as arcs, or None where it is not known.

    Parameters
    ----------
    kind : str
        Its name.
    alpha : float
        Its parameter.
    """
    if kind not in CURVES:
        return None
    function, derivative = CURVES[kind]

    def value(z: Rows) -> Rows:
        return np.asarray(function(z, alpha))

    def slope(z: Rows) -> Rows:
        return np.asarray(derivative(z, alpha))

    if kind in ("softplus", "exp", "expm1", "square"):
        stationary = (0.0,) if kind == "square" else ()
        return Shape(value, (Arc(-np.inf, np.inf, 1, slope),), stationary)
    if kind in ("sigmoid", "tanh", "softsign"):
        return Shape(value, (Arc(-np.inf, 0.0, 1, slope), Arc(0.0, np.inf, -1, slope)))
    if kind in DOMAINS:
        start, first, steepest, end = DOMAINS[kind]
        arc = Arc(start, np.inf, -1, lambda z: slope(np.maximum(z, steepest)))
        return Shape(lambda z: value(np.maximum(z, first)), (arc,), (), start, end)
    if kind in ("elu", "selu") and alpha > 0.0:
        outer, scale = (SELU_SCALE, SELU_SCALE * SELU_ALPHA) if kind == "selu" else (1.0, alpha)
        curved = Arc(-np.inf, 0.0, 1, lambda z: scale * np.exp(np.minimum(z, 0.0)))
        return Shape(value, (curved, Arc(0.0, np.inf, 0, _constant(outer))))
    if kind == "hard_silu":
        inside = Arc(-3.0, 3.0, 1, lambda z: (2.0 * z + 3.0) / 6.0)
        arcs = (Arc(-np.inf, -3.0, 0, _constant(0.0)), inside, Arc(3.0, np.inf, 0, _constant(1.0)))
        return Shape(value, arcs, (-1.5,))
    if kind in ("silu", "gelu", "gelu_tanh", "mish"):
        # Concave, convex, concave: the inflections lie in these intervals, the least value between.
        first, second = (
            optimize.brentq(lambda z: slope(z + STEP) - slope(z - STEP), low, high)
            for low, high in ((-4.0, -1.0), (1.0, 4.0))
        )
        least = optimize.brentq(slope, -2.0, 0.0)
        arcs = (
            Arc(-np.inf, first, -1, slope),
            Arc(first, second, 1, slope),
            Arc(second, np.inf, -1, slope),
        )
        return Shape(value, arcs, (least,))
    return None
