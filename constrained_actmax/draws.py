"""Seeded points of C to start from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from constrained_actmax.layout import Rows
from constrained_actmax.problem import Problem


def drawn(problem: Problem, count: int, seed: int | Sequence[int], *, varied: bool = False) -> Rows:
    """Return points of C (count, n): a Latin hypercube in finite bounds, else normal, projected.

    Parameters
    ----------
    problem : Problem
        Whose C.
    count : int
        How many.
    seed : int or sequence of int
        The same seed gives the same points.
    varied : bool, default False
        Whether they differ in more than noise. Independent entries of many variables all have the
        same mean and spread, and look alike to a network. With this, within finite bounds, every
        other point is a corner with a share of entries at the upper bound that is drawn first; the
        rest have a mean and a spread that are drawn first.
    """
    from scipy.stats import norm, qmc

    rng = np.random.default_rng(seed)
    unit = qmc.LatinHypercube(problem.size, rng=rng).random(count)
    lower, upper = problem.set.bounding_box()
    finite = np.isfinite(lower) & np.isfinite(upper)
    low, high = np.where(finite, lower, 0.0), np.where(finite, upper, 1.0)
    place = unit
    if varied:
        mean, spread = qmc.LatinHypercube(2, rng=rng).random(count).T[:, :, np.newaxis]
        place = np.clip(mean + spread * (2.0 * unit - 1.0), 0.0, 1.0)
        place[::2] = unit[::2] < mean[::2]
    points = low + place * (high - low)
    if not finite.all():
        normal = problem.set.centre() + norm.ppf(unit)
        points = np.where(finite, points, np.clip(normal, lower, upper))
    projected: Rows = problem.set.project(points)
    return projected
