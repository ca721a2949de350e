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
    from scipy.stats import norm, qmc

    rng = np.random.default_rng(seed)
    unit = qmc.LatinHypercube(problem.size, rng=rng).random(count)
    lower, upper = problem.set.bounding_box()
    finite = np.isfinite(lower) & np.isfinite(upper)
    low, high = np.where(finite, lower, 0.0), np.where(finite, upper, 1.0)
    points = low + unit * (high - low)
    if not finite.all():
        normal = problem.set.centre() + norm.ppf(unit)
        points = np.where(finite, points, np.clip(normal, lower, upper))
    projected: Rows = problem.set.project(points)
    return projected
