"""Inputs without high frequencies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from typing_extensions import override

from constrained_actmax.errors import SpecificationError
from constrained_actmax.kernels.band_limited import BandLimitedKernel
from constrained_actmax.kernels.kernel import Kernel
from constrained_actmax.layout import Region
from constrained_actmax.quoting import quoted
from constrained_actmax.sets.base import ConvexSet
from constrained_actmax.sets.image_axes import position_axes, whole_shape


@dataclass(frozen=True, eq=False, repr=False)
class BandLimited(ConvexSet):
    r"""Inputs without high frequencies, :math:`\{x : (\mathrm{DCT}\,x)_k = 0,\ k \ge K\}`.

    Parameters
    ----------
    cutoff : int or tuple of int
        K, how many of the lowest frequencies of the cosine transform stay along each axis of
        positions.
    axes : int or tuple of int, optional
        Axes of positions; by default all of a 1-D or 2-D input, the first two of (h, w, channels).
    on
        See `ConvexSet`.

    Raises
    ------
    SpecificationError
        If a cutoff is below 1 or beyond the axis.

    Notes
    -----
    The projection takes the orthonormal DCT-II, clears coefficients and goes back [1]_, exact up
    to rounding, O(n log n).

    References
    ----------
    .. [1] Guo, Frank, Weinberger (2018), Low frequency adversarial perturbation, UAI 2019.
    """

    cutoff: int | tuple[int, ...]
    axes: int | tuple[int, ...] | None = None

    @override
    def kernel(self, region: Region) -> Kernel:
        shape = whole_shape(region, "BandLimited")
        axes = position_axes(shape, self.axes, "BandLimited")
        cutoffs = self.cutoff if isinstance(self.cutoff, tuple | list) else (self.cutoff,)
        for frequency in cutoffs:
            if isinstance(frequency, bool) or not isinstance(frequency, int | np.integer):
                raise SpecificationError(
                    f"BandLimited: cutoff must be an integer or one for each axis, "
                    f"got {quoted(self.cutoff)}."
                )
        cutoff = tuple(cutoffs) if isinstance(self.cutoff, tuple | list) else cutoffs * len(axes)
        if len(cutoff) != len(axes):
            raise SpecificationError(
                f"BandLimited: cutoff needs {len(axes)} numbers, got {quoted(self.cutoff)}."
            )
        kept = np.ones(shape, dtype=bool)
        for axis, count in zip(axes, cutoff, strict=True):
            if not 1 <= count <= shape[axis]:
                raise SpecificationError(
                    f"BandLimited: cutoff must lie in 1..{shape[axis]} along axis {axis}, "
                    f"got {quoted(count)}; where an axis holds channels, name the others with "
                    "axes=."
                )
            kept &= np.moveaxis(
                np.broadcast_to(np.arange(shape[axis]) < count, np.moveaxis(kept, axis, -1).shape),
                -1,
                axis,
            )
        return BandLimitedKernel(axes, kept)

    @override
    def describe(self) -> str:
        return f"BandLimited({self.cutoff})"
