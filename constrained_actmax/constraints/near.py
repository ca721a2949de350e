"""Inputs near one of some rows."""

from __future__ import annotations

from typing import Any

import numpy as np

from constrained_actmax.errors import SpecificationError
from constrained_actmax.layout import real
from constrained_actmax.objectives.between import Between
from constrained_actmax.objectives.change import Metric, NearestRow, checked_rows
from constrained_actmax.quoting import quoted


class Near(Between):
    r"""Inputs near a row of a table, :math:`\min_r \sum_i w_i |x_i - r_i| \le \text{radius}`.

    A union of L1 balls round the rows: what is asked of an answer that should look like an input
    that was seen. `Features.near` has the rows and the weights of a table.

    Parameters
    ----------
    data : array_like, shape (N, n)
        The rows, in the units of the model's input; one flat input each.
    radius : float
        >= 0, in the units of the input times those of the weights.
    weights : array_like, shape (n,), optional
        w >= 0, what one unit of change of each entry counts; 1 by default.
    on : str, optional
        The input; needed where the model has several.
    name, tolerance
        See `Between`.

    Raises
    ------
    SpecificationError
        If the rows, the radius or the weights are no such numbers.

    Notes
    -----
    Not convex: a constraint on a function, met within its tolerance, and the solver may end in the
    ball of a row that is not the best. An evaluation costs O(N n).

    Examples
    --------
    >>> import constrained_actmax as cax
    >>> print(cax.Near([[0.0, 0.0], [3.0, 4.0]], radius=0.5))
    NearestRow(2 rows) <= 0.5
    """

    def __init__(
        self,
        data: Any,
        radius: float,
        *,
        weights: Any = None,
        on: str | None = None,
        name: str | None = None,
        tolerance: float | None = None,
    ) -> None:
        rows = checked_rows(data, "Near")
        weights_ = np.ones(rows.shape[1]) if weights is None else real(weights, "Near: weights")
        if weights_.shape != rows.shape[1:] or not (np.isfinite(weights_) & (weights_ >= 0)).all():
            raise SpecificationError(
                f"Near: weights must be {rows.shape[1]} finite numbers >= 0, got {quoted(weights)}."
            )
        nearest = NearestRow(rows, Metric(weights_), on)
        super().__init__(None, nearest, radius, name=name, tolerance=tolerance)
        if not 0.0 <= self.upper < np.inf:
            raise SpecificationError(f"Near: radius must be finite and >= 0, got {quoted(radius)}.")
