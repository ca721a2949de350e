"""Whether XLA computes the numbers that TensorFlow computes without it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

COMPARED = 8  # rows at least, of two kinds
SPREAD = 0.05  # of the noise on the first kind, relative to an entry and absolute
SEED = 20260
ODD_ROWS = 0.25  # share of rows that rounding may put on the other side of a kink


def disagreement(
    plain: Callable[..., Any],
    fast: Callable[..., Any],
    arguments: Sequence[Any],
    *,
    tolerance: float,
    least: float,
    totals: bool,
) -> float:
    """Return the largest relative difference of two functions; 0 if it is only noise.

    They are compared at the rows of this call, shaken because subgradients may differ where entries
    are tied, and at draws from the unit cube; each output relative to its largest size over all
    rows. Half of the digits have to agree, but where few rows differ by less than their size,
    rounding has put them on the other side of a kink.

    Parameters
    ----------
    plain, fast : callable
        Take ``arguments``, the first of which are rows (B, n), and return tensors of B rows each.
    arguments : sequence of tensorflow.Tensor
        Of one call.
    tolerance : float
        Relative difference of a row that may be noise.
    least : float
        Smallest size that differences are divided by.
    totals : bool
        Whether the last axis of a matrix (B, n) is one vector, such as a gradient.
    """
    import tensorflow as tf

    x = arguments[0].numpy()
    rng = np.random.default_rng(SEED)
    outputs: list[list[list[np.ndarray]]] = [[], []]
    for _ in range(-(-COMPARED // (2 * max(1, len(x))))):
        noise = SPREAD * rng.standard_normal((2, *x.shape))
        for rows in (x * (1.0 + noise[0]) + noise[1], rng.uniform(size=x.shape)):
            inputs = [tf.constant(rows), *arguments[1:]]
            for function, kept in zip((plain, fast), outputs, strict=True):
                kept.append([np.array(outputs_) for outputs_ in function(*inputs)])
    largest = 0.0
    ours, theirs = (
        [np.concatenate(part) for part in zip(*outputs_, strict=True)] for outputs_ in outputs
    )
    for expected, given_by_xla in zip(ours, theirs, strict=True):
        relative = relative_difference(expected, given_by_xla, totals, least)
        if (relative > tolerance).mean() > ODD_ROWS or (relative > 1.0).any():
            largest = max(largest, float(relative.max()))
    return largest


def relative_difference(
    ours: np.ndarray, theirs: np.ndarray, totals: bool, least: float
) -> np.ndarray:
    """Return the relative difference of each row, the largest of its functions, inf for NaN."""
    with np.errstate(over="ignore", invalid="ignore"):
        same = (ours == theirs) | (np.isnan(ours) & np.isnan(theirs))
        difference = np.where(same, 0.0, theirs - ours)
        size = np.where(np.isfinite(ours), ours, 0.0)
        if ours.ndim == 3 or (totals and ours.ndim == 2):
            difference, size = (np.linalg.norm(array, axis=-1) for array in (difference, size))
        relative = np.abs(difference) / np.maximum(np.max(np.abs(size), axis=0), least)
    rows = np.where(np.isnan(relative), np.inf, relative).reshape(len(ours), -1)
    worst: np.ndarray = rows.max(axis=1, initial=0.0)
    return worst
