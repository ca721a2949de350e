"""Seeded points of C to start from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from constrained_actmax.layout import Rows, Vector

if TYPE_CHECKING:
    from constrained_actmax.standard_form import FeasibleSet, StandardForm


def drawn(
    problem: StandardForm, count: int, seed: int | Sequence[int], *, varied: bool = False
) -> Rows:
    """Return points of C (count, n): a Latin hypercube in finite bounds, else normal, projected.

    Parameters
    ----------
    problem : StandardForm
        Whose C; where it has no finite bounds the spread is one unit of the problem's variables.
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
    feasible = problem.set
    points = uniform_points(feasible, count, seed, feasible.centre(), 1.0, varied=varied)
    projected: Rows = feasible.project(points)
    return projected


def uniform_points(
    feasible: FeasibleSet,
    count: int,
    seed: int | Sequence[int],
    centre: Vector,
    spread: Vector | float,
    *,
    varied: bool = False,
) -> Rows:
    """Return points (count, n) in the set's bounding box, not yet projected.

    Parameters
    ----------
    feasible : set
        Whose bounds: between finite ones the points are uniform.
    count, seed, varied
        See `drawn`.
    centre, spread : numpy.ndarray or float
        Of the normal distribution of entries without finite bounds.
    """
    from scipy.stats import norm, qmc

    rng = np.random.default_rng(seed)
    unit = qmc.LatinHypercube(len(centre), rng=rng).random(count)
    lower, upper = feasible.bounding_box()
    finite = np.isfinite(lower) & np.isfinite(upper)
    low, high = np.where(finite, lower, 0.0), np.where(finite, upper, 1.0)
    index = unit
    if varied:
        mean, width = qmc.LatinHypercube(2, rng=rng).random(count).T[:, :, np.newaxis]
        index = np.clip(mean + width * (2.0 * unit - 1.0), 0.0, 1.0)
        index[::2] = unit[::2] < mean[::2]
    points: Rows = low + index * (high - low)
    if not finite.all():
        normal = centre + spread * norm.ppf(unit)
        points = np.where(finite, points, np.clip(normal, lower, upper))
    return points
