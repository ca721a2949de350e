"""Mixtures of real examples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from typing_extensions import override

from constrained_actmax.errors import SpecificationError
from constrained_actmax.kernels.convex_hull import ConvexHullKernel
from constrained_actmax.kernels.kernel import Kernel
from constrained_actmax.layout import Region
from constrained_actmax.sets.base import ConvexSet


@dataclass(frozen=True, eq=False, repr=False)
class ConvexHull(ConvexSet):
    r"""Mixtures of given points, :math:`\{\sum_j w_j v_j : w \ge 0, \sum_j w_j = 1\}`.

    Parameters
    ----------
    points : array_like, shape (m, \*shape)
        The v_j, m real inputs.
    on, where, name
        See `ConvexSet`.

    Raises
    ------
    SpecificationError
        If there is no point, or shapes do not fit.

    Notes
    -----
    The point of least norm of the moved hull, by nonnegative least squares on the weights [1]_,
    and where no optimum comes of that by Wolfe's method [2]_. Both change the set of points in use
    one at a time and end at the exact weights up to rounding; O(n m) and then O(m^3).

    References
    ----------
    .. [1] Lawson, Hanson (1995), Solving Least Squares Problems, chapter 23 (LDP).
    .. [2] Wolfe (1976), Finding the nearest point in a polytope, Math. Program. 11.
    """

    points: Any

    @override
    def kernel(self, region: Region) -> Kernel:
        points_ = region.aligned(self.points, "ConvexHull: points")
        try:
            points_ = np.asarray(points_)
        except ValueError:
            raise SpecificationError("ConvexHull: the points must have one shape.") from None
        if points_.ndim < 1 or len(points_) == 0:
            raise SpecificationError("ConvexHull: points must hold at least one input.")
        points = np.stack([region.flatten(point, "ConvexHull: points") for point in points_])
        if not np.isfinite(points).all():
            raise SpecificationError("ConvexHull: points must be finite.")
        return ConvexHullKernel(points)

    @override
    def describe(self) -> str:
        return f"ConvexHull({len(self.points)} points)"
