"""The same tolerance for every entry."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from typing_extensions import override

from constrained_actmax.kernels.box import BoxKernel
from constrained_actmax.kernels.kernel import Kernel
from constrained_actmax.layout import Region
from constrained_actmax.sets.ball import Ball


@dataclass(frozen=True, eq=False, repr=False)
class LinfBall(Ball):
    r"""The same tolerance for every entry, :math:`\{x : \max_i |x_i - c_i| \le r\}`.

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
    It is the box [c - r, c + r]: the projection is a clip, exact, O(n), and with other boxes the
    intervals are intersected.
    """

    radius: float
    center: Any = 0.0

    @override
    def kernel(self, region: Region) -> Kernel:
        center = self._center(region)
        return BoxKernel(center - self.radius, center + self.radius)
