"""Budget on rank."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from typing_extensions import override

from constrained_actmax.errors import SpecificationError
from constrained_actmax.kernels.kernel import Kernel
from constrained_actmax.kernels.nuclear_norm_ball import NuclearNormBallKernel
from constrained_actmax.layout import Region
from constrained_actmax.sets.ball import Ball
from constrained_actmax.sets.image_axes import whole_shape


@dataclass(frozen=True, eq=False, repr=False)
class NuclearNormBall(Ball):
    r"""Budget on the sum of singular values, :math:`\{X : \|X - C\|_* \le r\}`.

    Parameters
    ----------
    radius : float
        r >= 0, in the units of the model's input.
    center : array_like, default 0
        C, the input that changes are counted from.
    on
        See `ConvexSet`.

    Raises
    ------
    SpecificationError
        If the input is not a matrix (h, w), or one for each channel (h, w, channels), whose sums
        are added.

    Notes
    -----
    One singular value decomposition, and the L1 projection of the singular values [1]_; exact up
    to rounding, O(h w min(h, w)).

    References
    ----------
    .. [1] Cai, Candès, Shen (2010), A singular value thresholding algorithm for matrix
       completion, SIAM J. Optim. 20.
    """

    radius: float
    center: Any = 0.0

    @override
    def kernel(self, region: Region) -> Kernel:
        shape = whole_shape(region, "NuclearNormBall")
        if len(shape) not in (2, 3):
            raise SpecificationError(
                f"NuclearNormBall: needs (h, w) or (h, w, channels), got shape {shape}."
            )
        shape = shape if len(shape) == 3 else (*shape, 1)
        return NuclearNormBallKernel(self._center(region), self.radius, shape)
