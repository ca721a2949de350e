"""Root of a falling piecewise-linear function, for one row or for many at once.

The projection on {l <= p <= u, h(p) <= r} is p(t) = clip(a step of length t, l, u), where t is the
root of t -> h(p(t)) - r. For every coupling of this package that function, or its square, is
piecewise linear, so Newton's method with a bracket ends after a few passes over the data
(Cominetti, Mascarenhas and Silva 2014, "A Newton's method for the continuous quadratic knapsack
problem", Mathematical Programming Computation 6).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from constrained_actmax.kernels.relative import powers_of_two
from constrained_actmax.layout import Indices, Rows, Vector

MAX_PASSES = 200  # bisection alone needs 64 for the whole range of a double; Newton 4 to 12
ROUNDING = 8 * float(np.finfo(np.float64).eps)  # a gap below this share of its terms is rounding
TINY = float(np.finfo(np.float64).tiny)
PULLS = 6  # the first removes the excess; the others what rounding leaves, 32 ulp, 128 ulp, ...
LONG_ROW = 8192  # entries; longer rows leave the processor's cache when many are stacked

Single = Callable[[float], tuple[float, float]]
Many = Callable[[Vector, slice | Indices], tuple[Vector, Vector]]


def falling_root(
    evaluate: Single,
    scale: float,
    start: float,
    low: float = -math.inf,
    high: float = math.inf,
    unit: Callable[[], float] = lambda: 1.0,
) -> float:
    """Return t where a falling function crosses zero.

    Parameters
    ----------
    evaluate : callable
        t -> (gap, slope), the gap falling in t, slope <= 0.
    scale : float
        Size of the numbers whose difference the gap is.
    start : float
        First t.
    low, high : float
        A bracket: gap(low) >= 0 >= gap(high).
    unit : callable
        Gives the first leap where the function is flat and the bracket open, in units of t; asked
        only then.
    """
    t, reach = start, 0.0
    for _ in range(MAX_PASSES):
        gap, slope = evaluate(t)
        if abs(gap) <= ROUNDING * scale:
            return t
        if gap > 0.0:
            low = t
        else:
            high = t
        step = -gap / slope if slope < 0.0 else math.inf
        new = t + step
        if not low < new < high:
            if math.isinf(low) or math.isinf(high):
                reach = max(4.0 * reach, abs(t), unit())
                new = t + math.copysign(reach, gap)
            else:
                new = 0.5 * (low + high)
        if new == t or abs(new - t) <= ROUNDING * 0.25 * abs(t) or not low < new < high:
            return new if low <= new <= high else t
        t = new
    return t


def falling_roots(
    evaluate: Many,
    scale: Vector,
    start: Vector,
    low: Vector,
    high: Vector,
    unit: Callable[[slice | Indices], Vector | float] = lambda rows: 1.0,
) -> Vector:
    """Return `falling_root` of every row; the functions speak of the rows given to them."""
    t = start.copy()
    # Of the rows that are still live: where they are, their bracket, and how far they may leap.
    live: Indices = np.arange(len(t))
    now, lo, hi, size, reach = start, low, high, scale, np.zeros_like(t)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        for _ in range(MAX_PASSES):
            rows = slice(None) if live.size == t.size else live
            gap, slope = evaluate(now, rows)
            above = gap > 0.0
            lo, hi = np.where(above, now, lo), np.where(above, hi, now)
            new = now - gap / slope
            outside = ~((new > lo) & (new < hi) & (slope < 0.0))
            if outside.any():
                new = np.where(outside, 0.5 * (lo + hi), new)
                leaping = outside & (np.isinf(lo) | np.isinf(hi))
                if leaping.any():
                    far = np.maximum(np.maximum(4.0 * reach, np.abs(now)), unit(rows))
                    reach = np.where(leaping, far, reach)
                    new = np.where(leaping, now + np.copysign(far, gap), new)
            inside = (new >= lo) & (new <= hi)
            stay = (np.abs(gap) <= ROUNDING * size) | ~inside
            new = np.where(stay, now, new)
            t[live] = new
            going = ~(stay | (np.abs(new - now) <= ROUNDING * 0.25 * np.abs(now)))
            if going.all():
                now = new
                continue
            live = live[going]
            if not live.size:
                break
            now, lo, hi, size, reach = (array[going] for array in (new, lo, hi, size, reach))
    return t


def clipped_line_root(
    y: Rows,
    a: Rows,
    lower: Rows,
    upper: Rows,
    target: Vector,
    scale: Vector,
    start: Vector | None = None,
) -> Vector:
    """Return, for each row, t with ``a' clip(y - t a, lower, upper) = target``.

    Parameters
    ----------
    y : numpy.ndarray, shape (B, n)
        Points.
    a, lower, upper : numpy.ndarray, shape (n,) or (B, n)
        Coefficients and bounds.
    target, scale : numpy.ndarray, shape (B,)
        The value wanted, within reach of the box, and the size of the numbers compared.
    start : numpy.ndarray, shape (B,), optional
        A guess; 0 by default.
    """
    first = np.zeros(len(y)) if start is None else start
    if len(y) == 1 or y.shape[1] >= LONG_ROW:
        roots = np.empty(len(y))
        for row in range(len(y)):
            a_, lower_, upper_ = (
                array if array.ndim == 1 else array[row] for array in (a, lower, upper)
            )
            roots[row] = _clipped_line_root(
                y[row],
                a_,
                lower_,
                upper_,
                float(target[row]),
                float(scale[row]),
                float(first[row]),
            )
        return roots

    squares = a * a

    def evaluate(t: Vector, rows: slice | Indices) -> tuple[Vector, Vector]:
        a_, squares_, lower_, upper_ = (
            array if array.ndim == 1 else array[rows] for array in (a, squares, lower, upper)
        )
        p = t[:, np.newaxis] * a_
        np.subtract(y[rows], p, out=p)
        free = p > lower_
        free &= p < upper_
        np.maximum(p, lower_, out=p)
        np.minimum(p, upper_, out=p)
        p *= a_
        gap = p.sum(axis=1) - target[rows]
        return gap, -np.multiply(squares_, free, out=p).sum(axis=1)

    def unit(rows: slice | Indices) -> Vector:
        a_, lower_, upper_ = (
            array if array.ndim == 1 else array[rows] for array in (a, lower, upper)
        )
        return _line_unit(y[rows], a_, lower_, upper_)

    unknown = np.full(len(y), np.inf)
    return falling_roots(evaluate, scale, first, -unknown, unknown, unit)


def _line_unit(y: Rows, a: Rows, lower: Rows, upper: Rows) -> Vector:
    """Return, for each row, the size of a t that moves y by as much as the bounds are large."""
    sides = (
        np.where(np.isinf(lower), 0.0, np.abs(lower)),
        np.where(np.isinf(upper), 0.0, np.abs(upper)),
    )
    size = np.max(np.maximum(*sides), axis=-1, initial=0.0)
    size = np.where(size > 0.0, size, np.max(np.abs(y), axis=-1, initial=0.0))
    return np.asarray(powers_of_two(size) / powers_of_two(np.max(np.abs(a), axis=-1, initial=0.0)))


def _clipped_line_root(
    y: Vector,
    a: Vector,
    lower: Vector,
    upper: Vector,
    target: float,
    scale: float,
    start: float,
) -> float:
    p, squares, work = np.empty_like(y), a * a, np.empty_like(y)
    free, below = np.empty(y.shape, dtype=bool), np.empty(y.shape, dtype=bool)

    def evaluate(t: float) -> tuple[float, float]:
        np.multiply(a, -t, out=p)
        np.add(p, y, out=p)
        np.greater(p, lower, out=free)
        np.less(p, upper, out=below)
        np.logical_and(free, below, out=free)
        np.maximum(p, lower, out=p)
        np.minimum(p, upper, out=p)
        return _dot(p, a, work) - target, -_dot(squares, free, work)

    def unit() -> float:
        return float(_line_unit(y, a, lower, upper))

    return falling_root(evaluate, scale, start, unit=unit)


def _dot(a: Vector, b: npt.NDArray[Any], work: Vector) -> float:
    # As a sum, so that one row gives the bits that it gives among others; and for long vectors
    # waking BLAS's threads takes longer than the product.
    return float(np.multiply(a, b, out=work).sum())


def clipped_ray_root(v: Rows, lower: Rows | None, upper: Rows, target: Vector) -> Vector:
    """Return, for each row, theta in [0, 1] with ``sum clip(theta v, lower, upper) = target``.

    Parameters
    ----------
    v : numpy.ndarray, shape (B, n)
        Entries >= 0.
    lower, upper : numpy.ndarray, shape (B, n)
        Bounds, 0 <= lower <= upper; None for a lower bound of zero.
    target : numpy.ndarray, shape (B,)
        Between the sums at theta = 0 and theta = 1.
    """
    if len(v) == 1 or v.shape[1] >= LONG_ROW:
        return np.array(
            [
                _clipped_ray_root(
                    point, None if lower is None else lower[row], upper[row], float(target[row])
                )
                for row, point in enumerate(v)
            ]
        )
    with np.errstate(divide="ignore", invalid="ignore"):
        start = np.clip(np.nan_to_num(target / v.sum(axis=1), nan=1.0), 0.0, 1.0)

    def evaluate(theta: Vector, rows: slice | Indices) -> tuple[Vector, Vector]:
        v_, upper_ = v[rows], upper[rows]
        p = theta[:, np.newaxis] * v_
        free = p < upper_
        if lower is not None:
            lower_ = lower[rows]
            free &= p >= lower_
            np.maximum(p, lower_, out=p)
        np.minimum(p, upper_, out=p)
        gap = target[rows] - p.sum(axis=1)
        return gap, -np.multiply(v_, free, out=p).sum(axis=1)

    return falling_roots(evaluate, target, start, np.zeros(len(v)), np.ones(len(v)))


def _clipped_ray_root(v: Vector, lower: Vector | None, upper: Vector, target: float) -> float:
    p, work, free = np.empty_like(v), np.empty_like(v), np.empty(v.shape, dtype=bool)
    whole = float(v.sum())
    start = min(target / whole, 1.0) if whole > 0.0 else 1.0

    def evaluate(theta: float) -> tuple[float, float]:
        np.multiply(v, theta, out=p)
        np.less(p, upper, out=free)
        if lower is not None:
            np.logical_and(free, p >= lower, out=free)
            np.maximum(p, lower, out=p)
        np.minimum(p, upper, out=p)
        return target - float(p.sum()), -_dot(v, free, work)

    return falling_root(evaluate, target, start, 0.0, 1.0)


def capped_ray_root(v: Vector, upper: Vector, target: float) -> float:
    """Return theta in [0, 1] with ``sum min(theta v, upper) = target``, in few passes.

    From the left Newton's steps never pass the root of this concave sum, so an entry that has
    reached its bound stays there and is left out from then on.

    Parameters
    ----------
    v : numpy.ndarray, shape (n,)
        Entries >= 0; those that reach their bound become zero.
    upper : numpy.ndarray, shape (n,)
        Bounds >= 0.
    target : float
        At most the sum at theta = 1.
    """
    p, reached = np.empty_like(v), np.empty(v.shape, dtype=bool)
    whole = slope = float(v.sum())
    left = target
    for _ in range(MAX_PASSES):
        if not slope > 0.0:
            return 1.0
        theta = min(max(left / slope, 0.0), 1.0)
        np.multiply(v, theta, out=p)
        np.greater(p, upper, out=reached)
        at = np.flatnonzero(reached)
        if not at.size:
            break
        left -= float(upper[at].sum())
        slope -= float(v[at].sum())
        v[at] = 0.0
        if slope < 0.5 * whole:  # what is taken off must not leave its rounding behind
            whole = slope = float(v.sum())
    return theta


def pulled_inside(
    x: Rows,
    inner: Vector,
    lower: Vector,
    upper: Vector,
    norm: Callable[[Rows], Vector],
    radius: float,
) -> Rows:
    """Move rows whose `norm` exceeds the radius by rounding toward a lower point of their box.

    Parameters
    ----------
    x : numpy.ndarray, shape (B, n)
        Points of the box; written to.
    inner : numpy.ndarray, shape (n,) or (B, n)
        The point of the box where the convex `norm` is least.
    lower, upper : numpy.ndarray, shape (n,) or (B, n)
        The box.
    norm : callable
        Rows -> (B,), convex.
    radius : float
        The largest value allowed.
    """
    value = norm(x)
    high = np.flatnonzero(value > radius)
    if not high.size:
        return x
    value, least = value[high], np.broadcast_to(norm(np.atleast_2d(inner)), len(x))
    for attempt in range(PULLS):
        near, low, up = (
            array if array.ndim == 1 else array[high] for array in (inner, lower, upper)
        )
        share = (radius - least[high]) / np.maximum(value - least[high], TINY)
        share = np.minimum(np.maximum(share, 0.0), 1.0) * (1.0 - ROUNDING * 4.0**attempt)
        moved = near + share[:, np.newaxis] * (x[high] - near)
        np.maximum(moved, low, out=moved)
        np.minimum(moved, up, out=moved)
        x[high] = moved
        value = norm(moved)
        still = value > radius
        if not still.any():
            break
        high, value = high[still], value[still]
    return x
