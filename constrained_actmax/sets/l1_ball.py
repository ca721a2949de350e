"""Budget on the sum of changes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from typing_extensions import override

from constrained_actmax.errors import SpecificationError
from constrained_actmax.kernels.kernel import Kernel
from constrained_actmax.kernels.l1_ball import L1BallKernel
from constrained_actmax.layout import Region
from constrained_actmax.sets.ball import Ball
from constrained_actmax.sets.base import short


@dataclass(frozen=True, eq=False, repr=False)
class L1Ball(Ball):
    r"""Budget on the sum of changes, :math:`\{x : \sum_i w_i |x_i - c_i| \le r\}`.

    Parameters
    ----------
    radius : float
        r >= 0, in the units of the model's input (times those of the weights).
    center : array_like, default 0
        c, the input that changes are counted from.
    weights : array_like, optional
        w > 0, what one unit of change of each entry costs; 1 by default.
    on, where, name
        See `ConvexSet`.

    Raises
    ------
    SpecificationError
        If the radius is negative or not finite, or a weight is not positive.

    Notes
    -----
    Alone or with a box the projection is ``clip(c + soft(y - c, t w), l, u)`` with t the root of a
    falling piecewise-linear function, found by Newton's method with a bracket [1]_ [2]_; exact up
    to rounding, O(n) a pass, 4 to 12 passes.

    References
    ----------
    .. [1] Condat (2016), Fast projection onto the simplex and the l1 ball, Math. Program. 158.
    .. [2] Cominetti, Mascarenhas, Silva (2014), A Newton's method for the continuous quadratic
       knapsack problem, Math. Program. Comput. 6.

    Examples
    --------
    >>> import constrained_actmax as cax
    >>> cax.L1Ball(1).project([3.0, 0.5, -2.5])
    array([ 0.75,  0.  , -0.25])
    """

    radius: float
    center: Any = 0.0
    weights: Any = None

    @override
    def kernel(self, region: Region) -> Kernel:
        center = self._center(region)
        weights = region.flatten(1.0 if self.weights is None else self.weights, "L1Ball: weights")
        if not (np.isfinite(weights).all() and (weights > 0).all()):
            raise SpecificationError(
                f"L1Ball: weights must be finite and > 0, got {float(weights.min()):g}; "
                "leave entries out with where=."
            )
        return L1BallKernel(center, self.radius, weights)

    @override
    def describe(self) -> str:
        weighted = self.weights is not None and short(self.weights) != "1"
        weights = f", weights={short(self.weights)}" if weighted else ""
        return f"L1Ball({short(self.radius)}{self._around()}{weights})"
