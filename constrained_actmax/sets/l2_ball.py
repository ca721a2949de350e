"""Nearness in the Euclidean norm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from typing_extensions import override

from constrained_actmax.kernels.kernel import Kernel
from constrained_actmax.kernels.l2_ball import L2BallKernel
from constrained_actmax.layout import Region
from constrained_actmax.sets.ball import Ball


@dataclass(frozen=True, eq=False, repr=False)
class L2Ball(Ball):
    r"""Euclidean ball :math:`\{x : \|x - c\|_2 \le r\}`.

    Parameters
    ----------
    radius : float
        r >= 0, in the units of the model's input.
    center : array_like, default 0
        c, the reference input.
    on, where, name
        See `ConvexSet`.

    Raises
    ------
    SpecificationError
        If the radius is negative or not finite.

    Notes
    -----
    Alone the projection is ``c + (y - c) min(1, r / ||y - c||)`` [1]_. With a box it is
    ``clip(y + s (c - y), l, u)``, where ``(1 - s)**2`` is the root of a piecewise-linear function.
    Both are exact up to rounding, O(n) a pass.

    References
    ----------
    .. [1] Beck (2017), First-Order Methods in Optimization, Lemma 6.26.

    Examples
    --------
    >>> import constrained_actmax as cax
    >>> cax.L2Ball(5).project([6.0, 8.0])
    array([3., 4.])
    """

    radius: float
    center: Any = 0.0

    @override
    def kernel(self, region: Region) -> Kernel:
        return L2BallKernel(self._center(region), self.radius)
