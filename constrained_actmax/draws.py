"""Seeded points of C to start from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from constrained_actmax.layout import Rows
from constrained_actmax.problem import Problem


def drawn(problem: Problem, count: int, seed: int | Sequence[int]) -> Rows:
    """Return points of C (count, n): a Latin hypercube in finite bounds, else normal, projected.

    Parameters
    ----------
    problem : Problem
        Whose C.
    count : int
        How many.
    seed : int or sequence of int
        The same seed gives the same points.
    """
    from scipy.stats import qmc

    rng = np.random.default_rng(seed)
    return _placed(problem, qmc.LatinHypercube(problem.size, rng=rng).random(count))


def varied(problem: Problem, count: int, seed: int | Sequence[int]) -> Rows:
    """Return points of C (count, n) that differ in more than their noise.

    Independent entries of many variables all have the same mean and spread: to a network they look
    alike. Here every other point is a corner of the bounds with a share of entries at the upper one
    that is drawn first; the rest have a mean and a spread that are drawn first. Without finite
    bounds as `drawn`. Projected on C.

    Parameters
    ----------
    problem : Problem
        Whose C.
    count : int
        How many.
    seed : int or sequence of int
        The same seed gives the same points.
    """
    from scipy.stats import qmc

    rng = np.random.default_rng(seed)
    unit = qmc.LatinHypercube(problem.size, rng=rng).random(count)
    mean, spread = qmc.LatinHypercube(2, rng=rng).random(count).T[:, :, np.newaxis]
    shaped = np.clip(mean + spread * (2.0 * unit - 1.0), 0.0, 1.0)
    shaped[::2] = unit[::2] < mean[::2]
    return _placed(problem, unit, shaped)


def _placed(problem: Problem, unit: Rows, shaped: Rows | None = None) -> Rows:
    """Return points of C from points of the unit cube; `shaped` ones count in finite bounds."""
    from scipy.stats import norm

    lower, upper = problem.set.bounding_box()
    finite = np.isfinite(lower) & np.isfinite(upper)
    low, high = np.where(finite, lower, 0.0), np.where(finite, upper, 1.0)
    points = low + (unit if shaped is None else shaped) * (high - low)
    if not finite.all():
        normal = problem.set.centre() + norm.ppf(unit)
        points = np.where(finite, points, np.clip(normal, lower, upper))
    projected: Rows = problem.set.project(points)
    return projected
