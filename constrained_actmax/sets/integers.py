"""Whole numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from typing_extensions import override

from constrained_actmax.kernels.integers import IntegersKernel
from constrained_actmax.kernels.kernel import Kernel
from constrained_actmax.layout import Region
from constrained_actmax.sets.base import HeuristicSet


@dataclass(frozen=True, eq=False, repr=False)
class Integers(HeuristicSet):
    r"""Whole numbers, :math:`\{x : x_i \in \mathbb{Z} \text{ for } i \text{ in where}\}`.

    Parameters
    ----------
    where : array of bool, str, or sequence of str or int, optional
        The entries that are counts: a mask, feature names, or flat positions; by default all.
    on, name
        See `ConvexSet`.

    Notes
    -----
    The set is not convex. Its projection rounds, halves to the even neighbour, and with a box clips
    to the whole numbers in it; exact, O(n).

    Examples
    --------
    >>> import constrained_actmax as cax
    >>> cax.Integers().project([0.4, 1.7, -2.2])
    array([ 0.,  2., -2.])
    """

    where: Any = None

    @override
    def kernel(self, region: Region) -> Kernel:
        return IntegersKernel(np.ones(region.dimension))

    @override
    def describe(self) -> str:
        return "Integers()"
