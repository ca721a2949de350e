"""Projections on C that a solver asks for, warm-started by its last ones."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from constrained_actmax.layout import Rows
from constrained_actmax.standard_form import FeasibleSet

#: Accuracy of a projection that is as good as exact.
EXACT = 1e-8


class Projector:
    """The projection on C of points (n,) and rows (B, n), with warm starts of its own.

    Parameters
    ----------
    feasible : FeasibleSet
        C.
    tolerance : float, optional
        Distance to the projection, relative to the point's size, that is good enough where the
        projection is iterative [1]_; accurate without one.

    References
    ----------
    .. [1] Birgin, Martínez and Raydan (2003), Inexact spectral projected gradient methods on convex
       sets, IMA J. Numer. Anal. 23, 539-559.
    """

    def __init__(self, feasible: FeasibleSet, tolerance: float | None = None) -> None:
        self._set = feasible
        self._tolerance = None if feasible.accuracy <= EXACT else tolerance
        self._last: dict[int, object] = {}

    def __call__(self, x: Rows, rows: Iterable[int] | None = None) -> Rows:
        """Project, warm-started by the last projection of the same row; of row b without `rows`."""
        if x.ndim == 1:
            point: Rows = self(x[np.newaxis], rows)[0]
            return point
        if self._tolerance is None:
            exact: Rows = self._set.project(x)
            return exact
        projected = np.empty_like(x)
        for index, row in enumerate(range(len(x)) if rows is None else rows):
            projected[index], self._last[row] = self._set.project_inexact(
                x[index], self._tolerance, self._last.get(row)
            )
        return projected
