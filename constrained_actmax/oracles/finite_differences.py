"""Derivatives by finite differences whose every point lies within bounds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from constrained_actmax.layout import Rows, Vector

EPSILON = float(np.finfo(np.float64).eps)
#: A function is taken to vary over lengths of |x_i|, at least this share of the width of the box
#: and at most the whole width.
SMALLEST_SHARE = 1.0 / 32.0
#: A box wider than this many times the usual size of an entry says nothing of the lengths within.
WIDEST = 1e4

#: Imaginary step of `complex_step`: its truncation error is of order h^2, below every rounding.
COMPLEX_STEP = 1e-40

#: A function of one flat point.
PointFunction = Callable[[Vector], Any]


class Domain(NamedTuple):
    """Where a function may be called, and over what lengths it is taken to vary.

    Parameters
    ----------
    lower, upper : numpy.ndarray, shape (n,)
        Bounds; infinite where there is none.
    usual : numpy.ndarray, shape (n,)
        The usual size of each entry, > 0: that of a starting point, or the width of its bounds.
    """

    lower: Vector
    upper: Vector
    usual: Vector

    @classmethod
    def everywhere(cls, n: int) -> Domain:
        """Return the whole space, with entries of size 1."""
        return cls(np.full(n, -np.inf), np.full(n, np.inf), np.ones(n))


def units(x: Vector, lower: Vector, upper: Vector, usual: Vector) -> Vector:
    """Return the length over which a function is taken to vary along each entry, (n,).

    The larger of |x_i| and its usual size without a finite box; in one, |x_i| between a 32nd of its
    width and its width: a change of the entry's unit changes nothing.
    """
    size, width = np.abs(x), upper - lower
    plain = np.maximum(usual, size)
    boxed = np.isfinite(width) & (width > 0) & (width <= WIDEST * plain)
    width = np.where(boxed, width, 1.0)
    return np.where(boxed, np.clip(size, SMALLEST_SHARE * width, width), plain)


def jacobian(
    function: PointFunction,
    x: Vector,
    here: Vector,
    domain: Domain,
    *,
    central: bool = False,
    relative: Any = None,
    columns: Sequence[int] | None = None,
    epsilon: float = EPSILON,
) -> np.ndarray:
    r"""Return the Jacobian of a function at one point, by differences within bounds.

    With L_i the length that `units` gives entry i, the steps

    .. math:: h_i = L_i \left(\epsilon \max(1, |x_i| / L_i)\right)^{1/p}

    balance truncation and rounding: p = 2 for forward differences, 3 for central ones. Where a
    side is too narrow, the step goes to the other one; where both are, to the wider one as far as
    it reaches. Central differences become one-sided ones of the same order there. A fixed entry
    gets zero without a call.

    Parameters
    ----------
    function : callable
        From a point (n,) to m values; called between the point and the bounds alone.
    x : numpy.ndarray, shape (n,)
        The point.
    here : numpy.ndarray, shape (m,)
        The values there.
    domain : Domain
        Its bounds l and u, and the usual sizes of the entries.
    central : bool, default False
        Whether differences are of second order, two calls an entry.
    relative : float or array_like, optional
        SciPy's ``finite_diff_rel_step``: the step is ``relative * sign(x_i) * |x_i|``, and the
        default one where that is zero.
    columns : sequence of int, optional
        The entries to differentiate by; the other columns are zero.
    epsilon : float, default 2.2e-16
        Relative precision of the values.

    Returns
    -------
    numpy.ndarray, shape (m, n)
    """
    # A point outside, of a loop that ignores bounds, is differentiated towards them.
    lower, upper = np.minimum(domain.lower, x), np.maximum(domain.upper, x)
    size = units(x, lower, upper, domain.usual)
    steps = _steps(x, size, 3 if central else 2, relative, epsilon)
    evaluation = np.zeros((here.size, x.size))
    for i in range(x.size) if columns is None else columns:
        if lower[i] == upper[i]:
            continue
        step, behind, ahead = float(steps[i]), float(x[i] - lower[i]), float(upper[i] - x[i])

        def shifted(length: float, i: int = i) -> tuple[Vector, float]:
            point = x.copy()
            point[i] = min(max(x[i] + length, lower[i]), upper[i])
            moved = float(point[i] - x[i])  # what is left of the step after rounding
            return _flat(function(point)), moved

        if central:
            evaluation[:, i] = _second_order(shifted, here, abs(step), behind, ahead)
        else:
            value, moved = shifted(_first_order_step(step, behind, ahead))
            evaluation[:, i] = (value - here) / moved
    return evaluation


def complex_step(function: Callable[[Any], Any], x: Vector, domain: Domain) -> np.ndarray:
    r"""Return the Jacobian (m, n) by :math:`\mathrm{Im} f(x + i h e_j) / h` [1]_.

    Without subtraction there is no cancellation, and h may be tiny. The function has to be made of
    operations that are analytic and take complex numbers; real parts stay at x. A fixed entry gets
    zero without a call.

    References
    ----------
    .. [1] Martins, Sturdza, Alonso (2003), The complex-step derivative approximation, ACM Trans.
       Math. Softw. 29, 245-262.
    """
    columns = []
    for i in range(x.size):
        if domain.lower[i] == domain.upper[i]:
            columns.append(np.zeros(1))
            continue
        point = x.astype(np.complex128)
        point[i] += 1j * COMPLEX_STEP
        columns.append(np.atleast_1d(np.imag(np.asarray(function(point)))).ravel() / COMPLEX_STEP)
    return np.stack(np.broadcast_arrays(*columns), axis=-1) if columns else np.zeros((1, 0))


def central_pair(
    x: Vector, direction: Vector, bounds: tuple[Vector, Vector], step: float
) -> tuple[Rows, float]:
    """Return the points of a central difference along a direction that lie within bounds.

    Where ``x - step * direction`` or ``x + step * direction`` would leave the bounds, they are
    taken round the nearest point that has room on both sides, no more than the step away.

    Parameters
    ----------
    x, direction : numpy.ndarray, shape (n,)
        The point, within the bounds, and the direction; fixed entries do not move.
    bounds : (numpy.ndarray, numpy.ndarray)
        l and u.
    step : float
        Step size; less where the bounds are nearer than that to one another.

    Returns
    -------
    points : numpy.ndarray, shape (3, n)
        The middle, and the points ahead and behind.
    step : float
        The derivative is the difference of the latter two over twice this.
    """
    lower, upper = bounds
    direction = np.where(lower < upper, direction, 0.0)
    size, moving = np.abs(direction), direction != 0
    width = upper[moving] - lower[moving]
    step = float(np.min(width / (2.0 * size[moving]), initial=step))
    middle = np.clip(x, lower + step * size, upper - step * size)
    points = np.stack([middle, middle + step * direction, middle - step * direction])
    return np.clip(points, lower, upper), step


def _steps(x: Vector, size: Vector, order: int, relative: Any, epsilon: float) -> Vector:
    steps: Vector = size * (epsilon * np.maximum(1.0, np.abs(x) / size)) ** (1.0 / order)
    if relative is None:
        return steps
    wanted = np.asarray(relative, dtype=np.float64) * x
    return np.where(x + wanted == x, steps, wanted)


def _first_order_step(step: float, behind: float, ahead: float) -> float:
    """Return the signed step of a one-sided difference that stays within the bounds."""
    if -behind <= step <= ahead:
        return step
    if -behind <= -step <= ahead:
        return -step
    return ahead if ahead >= behind else -behind


def _second_order(
    shifted: Callable[[float], tuple[Vector, float]],
    here: Vector,
    step: float,
    behind: float,
    ahead: float,
) -> Vector:
    """Return the derivative by two calls, on both sides or on the wider one."""
    if step <= min(behind, ahead):
        near, far = step, -step
    elif ahead >= behind:
        near, far = min(step, 0.5 * ahead), min(2.0 * step, ahead)
    else:
        near, far = -min(step, 0.5 * behind), -min(2.0 * step, behind)
    (first, a), (second, b) = shifted(near), shifted(far)
    # The slope at 0 of the parabola through the three points.
    slope: Vector = ((first - here) * b / a - (second - here) * a / b) / (b - a)
    return slope


def _flat(value: Any) -> Vector:
    return np.atleast_1d(np.asarray(value, dtype=np.float64)).ravel()
