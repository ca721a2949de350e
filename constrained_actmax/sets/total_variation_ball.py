"""Budget on roughness."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from typing_extensions import override

from constrained_actmax.errors import SpecificationError
from constrained_actmax.kernels.kernel import Kernel
from constrained_actmax.kernels.total_variation_ball import TotalVariationBallKernel
from constrained_actmax.layout import Region
from constrained_actmax.quoting import quoted
from constrained_actmax.sets.ball import Ball
from constrained_actmax.sets.base import short
from constrained_actmax.sets.image_axes import position_axes, whole_shape


@dataclass(frozen=True, eq=False, repr=False)
class TotalVariationBall(Ball):
    r"""Budget on roughness, :math:`\{x : \mathrm{TV}(x - c) \le r\}`.

    ``TV(x)`` is the sum over positions of the length of the forward differences along the axes of
    positions; a difference that would leave the picture is zero, channels are added. (cvxpy's
    ``tv`` leaves out the whole last row and column instead.)

    Parameters
    ----------
    radius : float
        r >= 0, in the units of the model's input.
    center : array_like, default 0
        c, the input that changes are counted from.
    length : {"isotropic", "anisotropic"}
        Euclidean length of the differences at a position, or the sum of their sizes.
    axes : int or tuple of int, optional
        Axes of positions; by default all of a 1-D or 2-D input, the first two of (h, w, channels).
    on
        See `ConvexSet`.

    Raises
    ------
    SpecificationError
        If the radius is negative or not finite, or the input has no such axis.

    Notes
    -----
    Up to 4,096 entries an interior-point solver that is set up once (Clarabel); above, the
    alternating direction method of multipliers [1]_ on the differences and the box, each step
    exact (cosine transform, projection on the ball of groups, clip). Either ends feasible, by a
    last step toward a smoother point, the first within 1e-4 of the projection; `error_bound` says
    how near the second came. `project_inexact` is the second at any size and starts from the last
    point's multipliers.

    References
    ----------
    .. [1] Boyd, Parikh, Chu, Peleato, Eckstein (2011), Distributed optimization and statistical
       learning via the alternating direction method of multipliers, Found. Trends Mach. Learn. 3.
    """

    radius: float
    center: Any = 0.0
    length: str = "isotropic"
    axes: int | tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.length not in ("isotropic", "anisotropic"):
            raise SpecificationError(
                "TotalVariationBall: length must be 'isotropic' or 'anisotropic', "
                f"got {quoted(self.length)}."
            )

    @override
    def kernel(self, region: Region) -> Kernel:
        shape = whole_shape(region, "TotalVariationBall")
        axes = position_axes(shape, self.axes, "TotalVariationBall")
        return TotalVariationBallKernel(self._center(region), self.radius, shape, axes, self.length)

    @override
    def describe(self) -> str:
        kind = "" if self.length == "isotropic" else ", anisotropic"
        return f"TotalVariationBall({short(self.radius)}{self._around()}{kind})"
