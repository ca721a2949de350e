"""Relative violations: an excess over the size of the numbers that it compares."""

from __future__ import annotations

import numpy as np

from constrained_actmax.layout import Rows, Vector


def relative(violation: Vector, size: Vector) -> Vector:
    """Return excess / size; where nothing has a size, 1 for any excess."""
    return np.asarray(np.divide(violation, size, out=np.sign(violation), where=size > 0.0))


def sizes(x: Rows, widths: Vector | None) -> Rows:
    """Return the size of each entry's numbers: its own or the width of its bounds."""
    return np.asarray(np.abs(x) if widths is None else np.maximum(np.abs(x), widths))


def finite_widths(lower: Vector, upper: Vector) -> Vector:
    """Return the widths of bounds, 0 where one is infinite."""
    with np.errstate(invalid="ignore"):
        width = upper - lower
    return np.where(np.isfinite(width), width, 0.0)


def relative_violation(x: Rows, lower: Vector, upper: Vector) -> Vector:
    """Return the largest relative violation of bounds for each row.

    An entry is judged by its own width; where that is zero or infinite, by its bounds' size.
    """
    if ((x >= lower) & (x <= upper)).all():  # the usual case, in half the time
        return np.zeros(len(x))
    width = finite_widths(lower, upper)
    bound = np.where(np.isfinite(lower), np.abs(lower), np.abs(upper))
    bound = np.where(np.isfinite(bound), bound, 0.0)  # no bound, no excess
    size = np.where(width > 0.0, width, bound)
    violation = np.maximum(0.0, np.maximum(lower - x, x - upper))
    return np.asarray(np.max(relative(violation, size), axis=1, initial=0.0))


def powers_of_two(size: Vector) -> Vector:
    """Return the least powers of two that are >= size, 1 for zero: dividing by them is exact."""
    fraction, exponent = np.frexp(size)
    return np.asarray(np.where(size > 0.0, np.ldexp(1.0, exponent - (fraction == 0.5)), 1.0))
