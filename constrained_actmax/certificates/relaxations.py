r"""Linear functions above and below the nonlinear operations of a network on intervals.

For every entry of a batch of intervals :math:`l \le z \le u` a line above and a line below
:math:`\varphi` with the least gap at the middle: the supporting lines of its concave and convex
envelope there. Slopes may be any numbers, so only the offsets have to be right: the largest
:math:`\varphi(z) - a z` over the interval is taken at its ends where :math:`\varphi` is convex, and
where it is concave it is bounded by a tangent, at any point. Offsets are rounded outward.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import optimize

from constrained_actmax.errors import RefusedError
from constrained_actmax.layout import Rows
from constrained_actmax.structure.nonlinearities import (
    CURVES,
    SELU_ALPHA,
    SELU_SCALE,
    Curve,
    Nonlinearity,
    Pieces,
    Windows,
)

Array = npt.NDArray[Any]

EPSILON = float(np.finfo(np.float64).eps)
#: Roundings of an offset of pieces, and of a curve with its derivative: libraries promise a few
#: units in the last place for each function, and a curve is made of up to four of them.
PIECE_ROUNDINGS, CURVE_ROUNDINGS = 8, 32
#: Tangent points are tabulated for interval ends up to this far away, at so many knots.
REACH, KNOTS = 50.0, 4097
HALVINGS = 60
STEP = 1e-4  # of the differences whose sign change is an inflection


@dataclass(frozen=True, eq=False)
class Lines:
    r"""Lines :math:`a z + b` above and below a function of each entry, each (B, size)."""

    upper_slope: Rows
    upper_offset: Rows
    lower_slope: Rows
    lower_offset: Rows


# -- piecewise linear functions --------------------------------------------------------------------


def _piece_lines(step: Pieces, lower: Rows, upper: Rows) -> Lines:
    points = [lower, upper, *(np.clip(kink, lower, upper) for kink in step.kinks)]
    values = [step.values(point) for point in points]
    slopes = [np.broadcast_to(slope, lower.shape) for slope in step.slopes]
    ends = [(0, 1)]
    if len(step.kinks) > 1:
        ends += [(end, place) for end in (0, 1) for place in range(2, len(points))]
    for a, b in ends:
        width = points[b] - points[a]
        slopes.append(
            np.divide(values[b] - values[a], width, out=slopes[0].copy(), where=width != 0.0)
        )
    largest = np.maximum(np.abs(lower), np.abs(upper))
    sizes = np.max(np.abs(values), axis=0)
    middle = 0.5 * (lower + upper)

    def best(sign: float) -> tuple[Rows, Rows]:
        """Return slope and offset of the line above sign * φ that is lowest at the middle."""
        found: tuple[Rows, Rows] | None = None
        for slope in slopes:
            offset = np.max(
                [sign * (v - slope * z) for v, z in zip(values, points, strict=True)], axis=0
            )
            offset = offset + PIECE_ROUNDINGS * EPSILON * (sizes + np.abs(slope) * largest)
            if found is None:
                found = slope, offset
                continue
            better = sign * slope * middle + offset < sign * found[0] * middle + found[1]
            found = np.where(better, slope, found[0]), np.where(better, offset, found[1])
        assert found is not None
        return found[0], sign * found[1]

    return Lines(*best(1.0), *best(-1.0))


def _piece_slopes(step: Pieces, lower: Rows, upper: Rows) -> tuple[Rows, Rows]:
    first, last = step.signature(lower).astype(int), step.signature(upper).astype(int)
    # An interval that begins on a kink touches the piece below, which `signature` names.
    numbers = np.arange(len(step.slopes))[:, np.newaxis, np.newaxis]
    touched = (numbers >= first) & (numbers <= last)
    slopes = step.slopes[:, np.newaxis]
    return (
        np.where(touched, slopes, np.inf).min(axis=0),
        np.where(touched, slopes, -np.inf).max(axis=0),
    )


# -- curves ----------------------------------------------------------------------------------------


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
    """

    value: Callable[[Rows], Rows]
    arcs: tuple[Arc, ...]
    stationary: tuple[float, ...] = ()

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
        found = {}
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
                found[number, side] = ends[order], (0.5 * (near + away))[order]
        return found

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
        best: tuple[Rows, Rows, Rows] | None = None
        for slope, touching in candidates:
            offset = self.excess(sign, slope, touching, lower, upper)
            middle_value = sign * slope * middle + offset
            if best is None:
                best = slope, offset, middle_value
                continue
            better = middle_value < best[2]
            best = (
                np.where(better, slope, best[0]),
                np.where(better, offset, best[1]),
                np.where(better, middle_value, best[2]),
            )
        assert best is not None
        return best[0], sign * best[1]

    def slope(self, z: Rows) -> Rows:
        """Return the derivative, from the left where arcs meet."""
        found = self.arcs[-1].slope(z)
        for arc in reversed(self.arcs[:-1]):
            found = np.where(z <= arc.end, arc.slope(z), found)
        return found

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
        found = []
        for sign in (-1, 1):
            points = self.stationary or (0.0,)
            flat = np.zeros(lower.shape)
            bounds = [
                self.excess(sign, flat, np.full(lower.shape, point), lower, upper)
                for point in points
            ]
            found.append(sign * np.min(bounds, axis=0))
        return found[0], found[1]


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


def _inner(step: Curve, lower: Rows, upper: Rows) -> tuple[Rows, Rows]:
    """Return the interval of c z, outward."""
    a, b = step.inner * lower, step.inner * upper
    wider = EPSILON * np.maximum(np.abs(a), np.abs(b))
    return np.minimum(a, b) - wider, np.maximum(a, b) + wider


def _shape(step: Curve) -> Shape:
    shape = shape_of(step.kind, step.alpha)
    if shape is None:
        raise RefusedError(refusal_of(step))
    return shape


def _curve_lines(step: Curve, lower: Rows, upper: Rows) -> Lines:
    shape = _shape(step)
    low, high = _inner(step, lower, upper)
    reach = np.maximum(np.abs(low), np.abs(high))
    size = np.maximum(np.abs(shape.value(low)), np.abs(shape.value(high)))
    found = []
    for sign in (1, -1):
        slope, offset = shape.line(sign, low, high)
        margin = CURVE_ROUNDINGS * EPSILON * (1.0 + size + reach * (1.0 + np.abs(slope)))
        found.append((step.scale * step.inner * slope, step.scale * (offset + sign * margin)))
    if step.scale < 0.0:
        found.reverse()
    return Lines(*found[0], *found[1])


# -- of any kind -----------------------------------------------------------------------------------


def refusal_of(step: Nonlinearity) -> str | None:
    """Return why an operation has no linear bounds here, or None."""
    known = isinstance(step, Pieces | Windows) or (
        isinstance(step, Curve) and shape_of(step.kind, step.alpha) is not None
    )
    if known:
        return None
    return (
        f"certify: layer {step.name!r} is {step.kind}, for which no linear bounds are known; ask "
        "for the logit or the margin that it is made of, or leave the certificate out."
    )


def lines(step: Pieces | Curve, lower: Rows, upper: Rows) -> Lines:
    """Return lines above and below φ on intervals (B, size).

    Raises
    ------
    RefusedError
        If none are known for it.
    """
    if isinstance(step, Pieces):
        return _piece_lines(step, lower, upper)
    return _curve_lines(step, lower, upper)


def interval(step: Nonlinearity, lower: Rows, upper: Rows) -> tuple[Rows, Rows]:
    """Return bounds (B, units) of φ on intervals (B, size), outward."""
    if isinstance(step, Windows):
        first, second = (step.values(z) for z in (lower, upper))
        return first, second
    if isinstance(step, Pieces):
        points = [lower, upper, *(np.clip(kink, lower, upper) for kink in step.kinks)]
        values = np.array([step.values(point) for point in points])
        reach = np.abs(step.slopes).max(axis=0) * np.maximum(np.abs(lower), np.abs(upper))
        margin = PIECE_ROUNDINGS * EPSILON * (np.abs(values).max(axis=0) + reach)
        return values.min(axis=0) - margin, values.max(axis=0) + margin
    assert isinstance(step, Curve)
    low, high = _inner(step, lower, upper)
    least, most = _shape(step).values(low, high)
    reach = np.maximum(np.abs(low), np.abs(high))
    margin = CURVE_ROUNDINGS * EPSILON * (1.0 + np.abs(least) + np.abs(most) + reach)
    ends = step.scale * (least - margin), step.scale * (most + margin)
    return np.minimum(*ends), np.maximum(*ends)


def slope_interval(step: Pieces | Curve, lower: Rows, upper: Rows) -> tuple[Rows, Rows]:
    """Return the least and the largest slope (B, size) of φ on intervals, outward."""
    if isinstance(step, Pieces):
        return _piece_slopes(step, lower, upper)
    low, high = _inner(step, lower, upper)
    least, most = _shape(step).slopes(low, high)
    margin = CURVE_ROUNDINGS * EPSILON * (1.0 + np.abs(least) + np.abs(most))
    factor = step.scale * step.inner
    ends = factor * (least - margin), factor * (most + margin)
    return np.minimum(*ends), np.maximum(*ends)


def bending(step: Nonlinearity, lower: Rows, upper: Rows) -> Array:
    """Return for each entry (B, size) whether φ is other than one straight line on the interval."""
    if isinstance(step, Pieces):
        return np.asarray(step.signature(lower) != step.signature(upper))
    return np.asarray(lower < upper)


# -- largest of several ----------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class WindowLines:
    r"""Linear functions above and below :math:`h = \max_i z_i` over windows, (B, units, width).

    With c the largest lower bound and its entry j: below :math:`z_j`; above the better at the
    middle of the largest upper bound and of
    :math:`c + \sum_i (z_i - c)_+`, each term under its chord.
    """

    upper_slope: Array
    upper_offset: Rows
    lower_entry: Array


def window_lines(step: Windows, lower: Rows, upper: Rows) -> WindowLines:
    """Return linear bounds of the largest of several entries; of -z where the least is asked."""
    if step.sign < 0:
        lower, upper = -upper, -lower
    inside = step.members >= 0
    low = np.where(inside, lower[:, step.members], -np.inf)
    high = np.where(inside, upper[:, step.members], -np.inf)
    least, entry = low.max(axis=-1), low.argmax(axis=-1)
    over = least[..., np.newaxis]
    width = np.where(high > over, high - np.where(inside, low, 0.0), 1.0)
    chord = np.where(high > over, np.where(inside, high - over, 0.0) / width, 0.0)
    stable = inside & (low >= over)
    slope = np.where(stable, 1.0, np.clip(chord, 0.0, 1.0))
    # (z - c)_+ <= s (z - l) for s = (u - c) / (u - l): its value at u is u - c, at l it is 0.
    anchor = np.where(stable, over, np.where(slope > 0.0, low, 0.0))
    terms = np.where(slope > 0.0, -slope * anchor, 0.0)
    offset = least + terms.sum(axis=-1)
    most = high.max(axis=-1)
    near, far = np.where(inside, low, 0.0), np.where(inside, high, 0.0)
    middle = (slope * (0.5 * (near + far))).sum(axis=-1) + offset
    flat = middle > most
    largest = np.maximum(np.abs(least), np.abs(most))
    size = largest + (slope * (np.abs(near) + np.abs(far))).sum(axis=-1)
    margin = (PIECE_ROUNDINGS + step.members.shape[1]) * EPSILON * size
    return WindowLines(
        np.where(flat[..., np.newaxis], 0.0, slope),
        np.where(flat, most, offset + margin),
        entry,
    )
