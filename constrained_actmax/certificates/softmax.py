r"""Linear bounds of log-sum-exp, softmax and log-softmax over groups of entries.

:math:`L(z) = \log \sum_j e^{z_j}` is convex: below it lies its tangent at the middle of the
intervals. Above it, with chords :math:`e^{z_j} \le c_j(z_j)` and the tangent of the logarithm at
:math:`S_0 = \sum_j c_j(m_j)`,

.. math:: L(z) \le \log S_0 - 1 + \frac{1}{S_0} \sum_j c_j(z_j) .

The logarithm of a softmax is :math:`z_i - L(z)`, and the softmax itself is
:math:`\sigma(z_i - L_{j \ne i}(z))`, an increasing function of one number, whose lines are those
of the sigmoid.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import special

from constrained_actmax.certificates.curves import CURVE_ROUNDINGS, EPSILON, shape_of
from constrained_actmax.layout import Rows
from constrained_actmax.structure.nonlinearities import LogSumExp, Softmax

Array = npt.NDArray[Any]
Exponential: TypeAlias = LogSumExp | Softmax

MOST_CLASSES = 128  # coefficients are a square of them for each box


@dataclass(frozen=True, eq=False)
class GroupLines:
    r"""Linear functions of groups of entries above and below results.

    Parameters
    ----------
    members : numpy.ndarray of int, shape (G, W)
        The entries of each group, which do not overlap.
    upper_slope, lower_slope : numpy.ndarray, shape (B, G, O, W)
        For each of the O results of each group.
    upper_offset, lower_offset : numpy.ndarray, shape (B, G * O)
    reach : numpy.ndarray, shape (B, size)
        Largest absolute value of each entry.
    """

    members: Array
    upper_slope: Array
    upper_offset: Rows
    lower_slope: Array
    lower_offset: Rows
    reach: Rows


def members_of(step: Exponential) -> Array:
    """Return the entries of each group, (G, W)."""
    if isinstance(step, LogSumExp):
        return step.members
    return np.arange(step.size).reshape(-1, step.classes)


def refusal_of_classes(step: Exponential) -> str | None:
    """Return why there are no lines, or None."""
    classes = members_of(step).shape[1]
    if classes <= MOST_CLASSES and (classes > 1 or isinstance(step, LogSumExp)):
        return None
    return (
        f"certify: layer {step.name!r} is {step.kind} of {classes} classes, and linear bounds are "
        f"known for 2 to {MOST_CLASSES}; ask for the logit or the margin that it is made of."
    )


def _log_sum_lines(lower: Array, upper: Array) -> tuple[Array, Array, Array, Array]:
    """Return slopes (..., W) and offsets (...) above and below L over its last axis, rounded out.

    Entries whose lower bound is -inf take no part.
    """
    width, reach = lower.shape[-1], np.maximum(np.abs(lower), np.abs(upper))
    taking = np.isfinite(lower)
    low, high = np.where(taking, lower, 0.0), np.where(taking, upper, 0.0)
    size = np.where(taking, reach, 0.0).max(axis=-1)
    # Slopes are at most 2 in sum; so many roundings are far more than one after the other.
    margin = 4.0 * (CURVE_ROUNDINGS + 8 * width) * EPSILON * (1.0 + size)
    middle = np.where(taking, 0.5 * (lower + upper), -np.inf)
    below = np.asarray(special.softmax(middle, axis=-1))
    inner = np.where(taking, below * np.where(taking, middle, 0.0), 0.0).sum(axis=-1)
    under = special.logsumexp(middle, axis=-1) - inner - margin
    top = np.where(taking, upper, -np.inf).max(axis=-1, keepdims=True)
    first = np.where(taking, np.exp(np.where(taking, lower, top) - top), 0.0)
    last = np.where(taking, np.exp(np.where(taking, upper, top) - top), 0.0)
    chord = np.divide(last - first, high - low, out=np.zeros_like(low), where=high > low)
    total = (0.5 * (first + last)).sum(axis=-1)
    above = chord / total[..., np.newaxis]
    constant = (first - chord * low).sum(axis=-1) / total
    return above, top[..., 0] + np.log(total) - 1.0 + constant + margin, below, under


def _log_sum_interval(lower: Array, upper: Array) -> tuple[Array, Array]:
    """Return bounds of L over the last axis, outward."""
    low, high = (np.asarray(special.logsumexp(z, axis=-1)) for z in (lower, upper))
    return _outward(low, high, CURVE_ROUNDINGS + lower.shape[-1])


def _outward(low: Array, high: Array, roundings: int) -> tuple[Array, Array]:
    margin = roundings * EPSILON
    return low - margin * (1.0 + np.abs(low)), high + margin * (1.0 + np.abs(high))


def _others(z: Array) -> Array:
    """Return (..., W, W): for each entry the whole group, itself at -inf."""
    width = z.shape[-1]
    whole = np.broadcast_to(z[..., np.newaxis, :], (*z.shape, width))
    return np.where(np.eye(width, dtype=bool), -np.inf, whole)


def _logit_interval(low: Array, high: Array) -> tuple[Array, Array]:
    """Return bounds (..., W) of z_i - L over the others, outward."""
    least, most = _log_sum_interval(_others(low), _others(high))
    size = EPSILON * (np.abs(least) + np.abs(most) + np.abs(low) + np.abs(high))
    return low - most - size, high - least + size


def group_lines(step: Exponential, lower: Rows, upper: Rows) -> GroupLines:
    """Return linear functions above and below the results on intervals (B, size)."""
    members = members_of(step)
    low, high = lower[:, members], upper[:, members]
    reach = np.maximum(np.abs(lower), np.abs(upper))
    count, _, width = low.shape
    size = 1.0 + reach[:, members].max(axis=-1)[..., np.newaxis]
    if step.kind != "softmax":
        above, over, below, under = _log_sum_lines(low, high)
        if isinstance(step, LogSumExp):
            first, second = above[:, :, np.newaxis], below[:, :, np.newaxis]
            return GroupLines(members, first, over, second, under, reach)
        lines = []
        for sign, others, constant in ((1, below, under), (-1, above, over)):
            end = -constant[..., np.newaxis] + sign * CURVE_ROUNDINGS * EPSILON * size
            offset = np.broadcast_to(end, low.shape).reshape(count, -1)
            lines.append((np.eye(width) - others[:, :, np.newaxis], offset))
        return GroupLines(members, *lines[0], *lines[1], reach)
    above, over, below, under = _log_sum_lines(_others(low), _others(high))
    least, most = _logit_interval(low, high)
    sigmoid = shape_of("sigmoid", 1.0)
    assert sigmoid is not None
    own = np.eye(width)
    lines = []
    for sign, others, constant in ((1, below, -under), (-1, above, -over)):
        slope, offset = sigmoid.line(sign, least, most)
        # Only an increasing line may take a linear function for the number.
        ends = sigmoid.value(most if sign > 0 else least)
        rising = slope > 0.0
        slope, offset = np.where(rising, slope, 0.0), np.where(rising, offset, ends)
        wide = np.maximum(np.abs(least), np.abs(most)) + width * size
        margin = 4.0 * CURVE_ROUNDINGS * EPSILON * (1.0 + wide)
        lines.append(
            (
                slope[..., np.newaxis] * (own - others),
                (slope * constant + offset + sign * margin).reshape(count, -1),
            )
        )
    return GroupLines(members, *lines[0], *lines[1], reach)


def group_interval(step: Exponential, lower: Rows, upper: Rows) -> tuple[Rows, Rows]:
    """Return bounds (B, units) of the results on intervals (B, size), outward."""
    members = members_of(step)
    low, high = lower[:, members], upper[:, members]
    if isinstance(step, LogSumExp):
        return _log_sum_interval(low, high)
    least, most = _logit_interval(low, high)
    if step.kind == "softmax":
        ends = special.expit(least), special.expit(most)
    else:
        ends = -np.logaddexp(0.0, -least), -np.logaddexp(0.0, -most)
    low, high = _outward(*ends, CURVE_ROUNDINGS)
    return low.reshape(lower.shape), high.reshape(lower.shape)


def jacobian_interval(step: Exponential, lower: Rows, upper: Rows) -> tuple[Array, Array]:
    """Return bounds (B, G, O, W) of the derivatives by the entries of each group, outward."""
    members = members_of(step)
    low, high = lower[:, members], upper[:, members]
    margin = CURVE_ROUNDINGS * EPSILON
    if members.shape[1] == 1:
        unit_diagonal = np.ones((*low.shape[:2], 1, 1))
        return unit_diagonal, unit_diagonal
    least, most = (special.expit(logit) for logit in _logit_interval(low, high))
    least, most = np.maximum(least - margin, 0.0), np.minimum(most + margin, 1.0)
    if isinstance(step, LogSumExp):
        return least[:, :, np.newaxis], most[:, :, np.newaxis]
    own = np.eye(members.shape[1], dtype=bool)
    if step.kind == "log_softmax":
        return own - most[:, :, np.newaxis] - margin, own - least[:, :, np.newaxis] + margin
    first = -most[..., np.newaxis] * most[:, :, np.newaxis]
    second = -least[..., np.newaxis] * least[:, :, np.newaxis]
    ends = least * (1.0 - least), most * (1.0 - most)
    peak = np.where((least < 0.5) & (most > 0.5), 0.25, np.maximum(*ends))
    first = np.where(own, np.minimum(*ends)[..., np.newaxis], first)
    second = np.where(own, peak[..., np.newaxis], second)
    return first - margin, second + margin
