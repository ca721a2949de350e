"""Signals that only rise, or only fall."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from typing_extensions import override

from constrained_actmax.errors import SpecificationError
from constrained_actmax.kernels.kernel import Kernel
from constrained_actmax.kernels.monotone import MonotoneKernel
from constrained_actmax.layout import Region
from constrained_actmax.quoting import quoted
from constrained_actmax.sets.base import ConvexSet
from constrained_actmax.sets.image_axes import position_axes, whole_shape


@dataclass(frozen=True, eq=False, repr=False)
class Monotone(ConvexSet):
    r"""Signals that only rise along an axis, :math:`\{x : x_i \le x_{i+1}\}`.

    Parameters
    ----------
    axis : int, default -1
        The axis along which the input rises.
    falling : bool, default False
        Whether it falls instead.
    on
        See `ConvexSet`.

    Raises
    ------
    SpecificationError
        If the input has no such axis.

    Notes
    -----
    Isotonic regression by pooling adjacent violators [1]_, exact, O(n); with bounds that do not
    change along the axis that result clipped.

    References
    ----------
    .. [1] Barlow, Bartholomew, Bremner, Brunk (1972), Statistical Inference under Order
       Restrictions.
    """

    axis: int = -1
    falling: bool = False

    @override
    def kernel(self, region: Region) -> Kernel:
        shape = whole_shape(region, "Monotone")
        if not isinstance(self.falling, bool | np.bool_):
            raise SpecificationError(
                f"Monotone: falling must be a bool, got {quoted(self.falling)}."
            )
        (axis,) = position_axes(shape, self.axis, "Monotone")
        if shape[axis] < 2:
            raise SpecificationError(f"Monotone: axis {axis} has one entry.")
        return MonotoneKernel(shape, axis, bool(self.falling))

    @override
    def describe(self) -> str:
        return f"Monotone({'falling' if self.falling else 'rising'} along axis {self.axis})"
