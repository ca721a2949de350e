"""A convex set as bounds, linear rows, and balls whose norm is a sum over entries."""

from __future__ import annotations

from dataclasses import dataclass

from constrained_actmax.kernels.scipy_form import LinearRows
from constrained_actmax.layout import Vector


@dataclass(frozen=True)
class SeparableForm:
    """A set as bounds, linear rows, and balls whose norm is a sum over entries.

    Parameters
    ----------
    lower, upper : numpy.ndarray, shape (n,)
        Bounds.
    rows : tuple of LinearRows
        Linear rows.
    l1 : tuple of (center, weights, radius)
        Weighted L1 balls.
    squares : tuple of (center, precision, radius)
        Balls ``sum(precision * (x - center)**2) <= radius**2``.
    """

    lower: Vector
    upper: Vector
    rows: tuple[LinearRows, ...] = ()
    l1: tuple[tuple[Vector, Vector, float], ...] = ()
    squares: tuple[tuple[Vector, Vector, float], ...] = ()
