"""Signals without jumps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from typing_extensions import override

from constrained_actmax.errors import SpecificationError
from constrained_actmax.kernels.differences import difference_matrix
from constrained_actmax.kernels.kernel import Kernel
from constrained_actmax.kernels.linear import LinearKernel
from constrained_actmax.layout import Region
from constrained_actmax.sets.base import ConvexSet, checked_number, short
from constrained_actmax.sets.image_axes import position_axes, whole_shape


@dataclass(frozen=True, eq=False, repr=False)
class MovingRange(ConvexSet):
    r"""Signals without jumps, :math:`\{x : |x_{i+1} - x_i| \le s\}` along an axis.

    Parameters
    ----------
    step : float
        s >= 0, the largest change from one entry to the next, in the units of the input.
    axis : int, default -1
        The axis, of the input's shape without the batch: by default the last one, time in a
        signal (n,), and the channels of (n, channels) or of an image; there give 0, or 0 and 1 as
        two sets.
    on
        See `ConvexSet`.

    Raises
    ------
    SpecificationError
        If the step is negative or not finite, or the input has no such axis.

    Notes
    -----
    Sparse linear rows, as of `Linear`: up to 200 of them are projected on by Newton's method on
    the dual, line by line, more by cvxpy, compiled once, some 10 ms at 28 x 28.
    """

    step: float
    axis: int = -1

    def __post_init__(self) -> None:
        step = checked_number(self.step, "step", "MovingRange", minimum=0.0)
        object.__setattr__(self, "step", step)

    @override
    def kernel(self, region: Region) -> Kernel:
        shape = whole_shape(region, "MovingRange")
        (axis,) = position_axes(shape, self.axis, "MovingRange")
        if shape[axis] < 2:
            raise SpecificationError(f"MovingRange: axis {axis} has one entry.")
        steps = difference_matrix(shape, axis)
        largest = np.full(steps.shape[0], self.step)
        return LinearKernel(steps, -largest, largest)

    @override
    def describe(self) -> str:
        return f"MovingRange({short(self.step)} along axis {self.axis})"
