"""Nearness in a metric of the user's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from typing_extensions import override

from constrained_actmax.errors import SpecificationError
from constrained_actmax.kernels.ellipsoid import EllipsoidKernel
from constrained_actmax.kernels.kernel import Kernel
from constrained_actmax.layout import Region, conform
from constrained_actmax.sets.ball import Ball
from constrained_actmax.sets.base import short


@dataclass(frozen=True, eq=False, repr=False)
class Ellipsoid(Ball):
    r"""Mahalanobis ball, :math:`\{x : \sqrt{(x - c)^\top S^{-1} (x - c)} \le r\}`.

    Parameters
    ----------
    radius : float
        r >= 0, in standard deviations.
    covariance : array_like
        S, positive definite, (n, n); or variances, one for each entry or one number.
    center : array_like, default 0
        c, in the units of the model's input.
    on, where, name
        See `ConvexSet`.

    Raises
    ------
    SpecificationError
        If the radius is negative, or S is not symmetric positive definite.

    Notes
    -----
    In the eigenbasis of S, found once in O(n^3) (not needed for variances), the projection is
    ``d s / (s + t)`` with t the root of a secular equation, by Newton's method on the reciprocal
    of the norm [1]_; O(n^2) a point, O(n) for variances.

    References
    ----------
    .. [1] Moré, Sorensen (1983), Computing a trust region step, SIAM J. Sci. Stat. Comput. 4.
    """

    radius: float
    covariance: Any
    center: Any = 0.0

    @override
    def kernel(self, region: Region) -> Kernel:
        center = self._center(region)
        n = region.dimension
        axes = None
        if np.ndim(self.covariance) == 2 and np.shape(self.covariance) == (n, n) and n > 1:
            who = "Ellipsoid: covariance"
            matrix = conform(region.aligned_square(self.covariance, who), (n, n), who)
            if not np.allclose(matrix, matrix.T, rtol=1e-10, atol=0.0):
                raise SpecificationError("Ellipsoid: covariance must be symmetric.")
            variances, axes = np.linalg.eigh(matrix)
        else:
            covariance = region.aligned(self.covariance, "Ellipsoid: covariance")
            variances = region.flatten(np.squeeze(np.asarray(covariance)), "Ellipsoid: covariance")
        if not (np.isfinite(variances).all() and (variances > 0).all()):
            raise SpecificationError(
                "Ellipsoid: covariance must be positive definite, its smallest eigenvalue is "
                f"{float(variances.min()):g}."
            )
        return EllipsoidKernel(center, self.radius, variances, axes)

    @override
    def describe(self) -> str:
        covariance = f", covariance={short(self.covariance)}"
        return f"Ellipsoid({short(self.radius)}{covariance}{self._around()})"
