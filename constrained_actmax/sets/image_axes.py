"""Which axes of an input are positions."""

from __future__ import annotations

import numpy as np

from constrained_actmax.errors import SpecificationError
from constrained_actmax.layout import Region
from constrained_actmax.quoting import quoted


def whole_shape(region: Region, who: str) -> tuple[int, ...]:
    """Return the shape of the one whole input that a region is.

    Raises
    ------
    SpecificationError
        If it is less than one input.
    """
    if region.shape is None:
        raise SpecificationError(
            f"{who}: it speaks of a whole input; drop where=, and on a model of several inputs "
            'say which with on="input name".'
        )
    return region.shape


def position_axes(
    shape: tuple[int, ...], axes: int | tuple[int, ...] | None, who: str
) -> tuple[int, ...]:
    """Return the axes of positions: those asked for, or all of one or two, the first two of three.

    Of these, axes of one entry are left out: a signal (n, 1) is a signal (n,).

    Raises
    ------
    SpecificationError
        If there is no such axis.
    """
    if axes is None:
        if not shape:
            raise SpecificationError(f"{who}: the input is a single number.")
        axes_ = (0, 1) if len(shape) >= 3 else tuple(range(len(shape)))
        return tuple(axis for axis in axes_ if shape[axis] > 1) or axes_
    wanted = (axes,) if isinstance(axes, int) else tuple(axes)
    for axis in wanted:
        if isinstance(axis, bool) or not isinstance(axis, int | np.integer):
            raise SpecificationError(f"{who}: an axis must be an integer, got {quoted(axis)}.")
        if not -len(shape) <= axis < len(shape):
            raise SpecificationError(f"{who}: the input of shape {shape} has no axis {axis}.")
    return tuple(axis % len(shape) for axis in wanted)
