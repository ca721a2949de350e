r"""Linear functions above and below the nonlinear operations of a network on intervals.

For every entry of a batch of intervals :math:`l \le z \le u` a line above and a line below
:math:`\varphi` with the least gap at the middle: the supporting lines of its concave and convex
envelope there. Slopes may be any numbers, so only the offsets have to be right: the largest
:math:`\varphi(z) - a z` over the interval is taken at its ends where :math:`\varphi` is convex, and
where it is concave it is bounded by a tangent, at any point. Offsets are rounded outward.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from constrained_actmax.certificates.curves import (
    CURVE_ROUNDINGS,
    EPSILON,
    Shape,
    lowest_line,
    shape_of,
)
from constrained_actmax.certificates.softmax import group_interval, refusal_of_classes
from constrained_actmax.errors import RefusedError
from constrained_actmax.layout import Rows
from constrained_actmax.structure.nonlinearities import (
    Curve,
    LogSumExp,
    Nonlinearity,
    Pieces,
    Softmax,
    Windows,
)

Array = npt.NDArray[Any]

PIECE_ROUNDINGS = 8  # of an offset of pieces


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
        ends += [(end, index) for end in (0, 1) for index in range(2, len(points))]
    for a, b in ends:
        width = points[b] - points[a]
        slopes.append(
            np.divide(values[b] - values[a], width, out=slopes[0].copy(), where=width != 0.0)
        )
    largest = np.maximum(np.abs(lower), np.abs(upper))
    sizes = np.max(np.abs(values), axis=0)
    middle = 0.5 * (lower + upper)

    def best(sign: float) -> tuple[Rows, Rows]:
        above = []
        for slope in slopes:
            offset = np.max(
                [sign * (v - slope * z) for v, z in zip(values, points, strict=True)], axis=0
            )
            margin = PIECE_ROUNDINGS * EPSILON * (sizes + np.abs(slope) * largest)
            above.append((slope, offset + margin))
        return lowest_line(sign, above, middle)

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


def _inner(step: Curve, lower: Rows, upper: Rows) -> tuple[Rows, Rows]:
    """Return the interval of c z, outward, where φ is defined."""
    a, b = step.inner * lower, step.inner * upper
    wider = EPSILON * np.maximum(np.abs(a), np.abs(b))
    low, high, shape = np.minimum(a, b) - wider, np.maximum(a, b) + wider, _shape(step)
    return np.maximum(low, shape.domain_start), np.maximum(high, shape.first_end)


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
    lines_ = []
    for sign in (1, -1):
        slope, offset = shape.line(sign, low, high)
        margin = CURVE_ROUNDINGS * EPSILON * (1.0 + size + reach * (1.0 + np.abs(slope)))
        lines_.append((step.scale * step.inner * slope, step.scale * (offset + sign * margin)))
    if step.scale < 0.0:
        lines_.reverse()
    return Lines(*lines_[0], *lines_[1])


# -- of any kind -----------------------------------------------------------------------------------


def refusal_of(step: Nonlinearity) -> str | None:
    """Return why an operation has no linear bounds here, or None."""
    if isinstance(step, LogSumExp | Softmax):
        return refusal_of_classes(step)
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
    if isinstance(step, LogSumExp | Softmax):
        return group_interval(step, lower, upper)
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

    With c the largest lower bound and its entry j: below :math:`z_j`, as any convex combination of
    the entries is; above the better at the middle of the largest upper bound and of
    :math:`c + \sum_i (z_i - c)_+`, each term under its chord.
    """

    upper_slope: Array
    upper_offset: Rows
    lower_slope: Array


def window_intervals(step: Windows, lower: Rows, upper: Rows) -> tuple[Array, Array]:
    """Return bounds (..., units, width) of windows' members, -inf where there is none.

    Of -z where the least is asked.
    """
    if step.sign < 0:
        lower, upper = -upper, -lower
    inside = step.members >= 0
    low, high = (np.where(inside, z[..., step.members], -np.inf) for z in (lower, upper))
    return low, high


def window_lines(step: Windows, lower: Rows, upper: Rows) -> WindowLines:
    """Return linear bounds of the largest of several entries; of -z where the least is asked."""
    inside, (low, high) = step.members >= 0, window_intervals(step, lower, upper)
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
        np.eye(step.members.shape[1])[entry],
    )
