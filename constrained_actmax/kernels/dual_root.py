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
    zero = np.zeros(len(y))
    return _roots(
        _line, (y, a, lower, upper, a * a), target, scale, zero if start is None else start
    )


def _line(
    t: Any, y: Rows, a: Rows, lower: Rows, upper: Rows, squares: Rows
) -> tuple[Vector, Vector]:
    """Return ``a' clip(y - t a, lower, upper)``, and how fast it falls, of one row or of many."""
    p = t * a
    np.subtract(y, p, out=p)
    free = p > lower
    free &= p < upper
    np.maximum(p, lower, out=p)
    np.minimum(p, upper, out=p)
    p *= a
    total = p.sum(axis=-1)
    # As a sum, so that one row gives the bits that it gives among others; and for long vectors
    # waking BLAS's threads takes longer than the product.
    return total, -np.multiply(squares, free, out=p).sum(axis=-1)


def _roots(
    function: Callable[..., tuple[Vector, Vector]],
    arrays: tuple[Rows, ...],
    target: Vector,
    scale: Vector,
    start: Vector,
    low: float = -math.inf,
    high: float = math.inf,
) -> Vector:
    """Return, for each row of some arrays, where a falling function of t and of it is `target`.

    Rows that leave the processor's cache together go one by one.
    """

    def of(rows: int | slice | Indices) -> list[Rows]:
        return [array if array.ndim == 1 else array[rows] for array in arrays]

    def root_of(row: int) -> float:
        own, goal = of(row), float(target[row])

        def gap(t: float) -> tuple[float, float]:
            value, slope = function(t, *own)
            return float(value) - goal, float(slope)

        def unit() -> float:
            return float(_line_unit(*own[:4]))

        return falling_root(gap, float(scale[row]), float(start[row]), low, high, unit)

    if len(start) == 1 or arrays[0].shape[1] >= LONG_ROW:
        return np.array([root_of(row) for row in range(len(start))])

    def gaps(t: Vector, rows: slice | Indices) -> tuple[Vector, Vector]:
        values, slopes = function(t[:, np.newaxis], *of(rows))
        return values - target[rows], slopes

    lowest, highest = np.full(len(start), low), np.full(len(start), high)
    return falling_roots(
        gaps, scale, start, lowest, highest, lambda rows: _line_unit(*of(rows)[:4])
    )


def _line_unit(y: Rows, a: Rows, lower: Rows, upper: Rows) -> Vector:
    """Return, for each row, the size of a t that moves y by as much as the bounds are large."""
    sides = (
        np.where(np.isinf(lower), 0.0, np.abs(lower)),
        np.where(np.isinf(upper), 0.0, np.abs(upper)),
    )
    size = np.max(np.maximum(*sides), axis=-1, initial=0.0)
    size = np.where(size > 0.0, size, np.max(np.abs(y), axis=-1, initial=0.0))
    return np.asarray(powers_of_two(size) / powers_of_two(np.max(np.abs(a), axis=-1, initial=0.0)))


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
    with np.errstate(over="ignore"):
        start = np.minimum(target / np.maximum(v.sum(axis=1), TINY), 1.0)
    arrays = (v, upper) if lower is None else (v, upper, lower)
    return _roots(_ray, arrays, -target, target, start, 0.0, 1.0)


def _ray(theta: Any, v: Rows, upper: Rows, lower: Rows | None = None) -> tuple[Vector, Vector]:
    """Return ``-sum clip(theta v, lower, upper)``, and how fast it falls."""
    p = theta * v
    free = p < upper
    if lower is not None:
        free &= p >= lower
        np.maximum(p, lower, out=p)
    np.minimum(p, upper, out=p)
    total = -p.sum(axis=-1)
    return total, -np.multiply(v, free, out=p).sum(axis=-1)


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
