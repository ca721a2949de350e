"""Entries that take one of some values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from typing_extensions import override

from constrained_actmax.errors import SpecificationError
from constrained_actmax.kernels.kernel import Kernel
from constrained_actmax.kernels.levels import LevelsKernel
from constrained_actmax.layout import Region, real
from constrained_actmax.quoting import quoted
from constrained_actmax.sets.base import HeuristicSet, short


@dataclass(frozen=True, eq=False, repr=False)
class Levels(HeuristicSet):
    r"""One of some values each, :math:`\{x : x_i \in \{v_1, \dots, v_k\} \text{ for } i \in I\}`.

    Parameters
    ----------
    where : array of bool, str, or sequence of str or int, or None
        I, the entries: a mask, feature names, or flat positions; None for all.
    values : sequence of float
        v, such as the sizes in a catalogue, or ``numpy.arange(0, 10.5, 0.5)`` for steps of 0.5, in
        the units of the input.
    on, name
        See `ConvexSet`.

    Raises
    ------
    SpecificationError
        If there is no value, or one is not finite.

    Notes
    -----
    The set is not convex. Its projection takes the nearest value, of two the smaller, among those
    in the box if there is one; exact, O(n log k).

    Examples
    --------
    >>> import constrained_actmax as cax
    >>> cax.Levels(None, [1.0, 2.5, 6.0]).project([0.0, 2.0, 9.0])
    array([1. , 2.5, 6. ])
    """

    where: Any = None
    values: Sequence[float] | None = None

    def __post_init__(self) -> None:
        if isinstance(self.where, Mapping):
            sets = [f"Levels({quoted([name])}, {quoted(own)})" for name, own in self.where.items()]
            raise SpecificationError(
                "Levels: names and values are two arguments, one set for each list of values; "
                f"write {', '.join(sets[:2])}{', ...' if len(sets) > 2 else ''}."
            )
        if self.values is None:
            raise SpecificationError("Levels: say which values are allowed, as in values=[1, 2.5].")
        array = real(self.values, "Levels: values")
        if array.ndim != 1 or not array.size or not np.isfinite(array).all():
            raise SpecificationError(
                f"Levels: values must be finite numbers, at least one, got {short(self.values)}."
            )

    @override
    def kernel(self, region: Region) -> Kernel:
        levels = np.unique(real(self.values, "Levels: values")) + 0.0
        return LevelsKernel(np.repeat(levels[:, np.newaxis], region.dimension, 1))

    @override
    def describe(self) -> str:
        values = np.unique(real(self.values, "Levels: values"))
        if values.size <= 4:
            return f"Levels({short(values)})"
        return f"Levels({values.size} values in [{values[0]:g}, {values[-1]:g}])"
