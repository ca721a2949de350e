"""Projection on an intersection by projections on its members."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from constrained_actmax.layout import Rows

MAX_CYCLES = 20_000
ENOUGH = 1e-12  # sum of squared changes of the corrections, relative to the size of the point


def dykstra(
    y: Rows, projections: Sequence[Callable[[Rows], Rows]], enough: float = ENOUGH
) -> tuple[Rows, bool]:
    """Project rows on the intersection of sets that can be projected on one at a time.

    Parameters
    ----------
    y : numpy.ndarray, shape (B, n)
        Points.
    projections : sequence of callable
        Rows -> rows, one for each set.
    enough : float
        When to stop.

    Returns
    -------
    x : numpy.ndarray
        Points of the last set, near all others.
    settled : bool
        Whether it stopped by the test, not by the number of cycles.

    Notes
    -----
    Boyle and Dykstra (1986), stopped where the corrections change no more (Birgin and Raydan 2005,
    Robust stopping criteria for Dykstra's algorithm, SIAM J. Sci. Comput. 26): that the point stops
    moving proves nothing, it may rest for any number of cycles.
    """
    x = y.copy()
    corrections = [np.zeros_like(y) for _ in projections]
    size = np.max(np.abs(y), axis=1, initial=0.0)
    for _ in range(MAX_CYCLES):
        change = np.zeros(len(y))
        for number, project in enumerate(projections):
            moved = x - corrections[number]
            x = project(moved)
            correction = x - moved
            change += np.sum((correction - corrections[number]) ** 2, axis=1)
            corrections[number] = correction
        now = np.maximum(size, np.max(np.abs(x), axis=1, initial=0.0))
        if np.all(change <= enough * now**2):
            return x, True
    return x, False
