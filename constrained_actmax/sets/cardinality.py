"""At most k changed entries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from typing_extensions import override

from constrained_actmax.errors import SpecificationError
from constrained_actmax.kernels.cardinality import CardinalityKernel
from constrained_actmax.kernels.kernel import Kernel
from constrained_actmax.layout import Region
from constrained_actmax.quoting import quoted
from constrained_actmax.sets.base import HeuristicSet, short
from constrained_actmax.sets.groups import labels_of_groups


@dataclass(frozen=True, eq=False, repr=False)
class Cardinality(HeuristicSet):
    r"""At most k changed entries, :math:`\{x : \#\{i : x_i \ne c_i\} \le k\}`; a heuristic.

    Parameters
    ----------
    count : int
        k >= 0.
    center : array_like, default 0
        c, the input that changes are counted from.
    groups : sequence of sequences of str, or array_like of int, optional
        Entries whose changes count as one, such as the columns of one category: lists of feature
        names, or a label for each entry. An entry in no group, of label -1, counts alone.
    on, where, name
        See `ConvexSet`.

    Raises
    ------
    SpecificationError
        If the count is not an integer >= 0, or a name or label does not fit.

    Notes
    -----
    The set is not convex: solvers that project on it may end anywhere, and no residual proves
    anything. With a box the k entries stay whose squared change less the squared change that the
    box takes off is largest [1]_, O(n).

    References
    ----------
    .. [1] Beck, Hallak (2016), On the minimization over sparse symmetric sets, Math. Oper. Res. 41.
    """

    count: int
    center: Any = 0.0
    groups: Any = None

    def __post_init__(self) -> None:
        if (
            not isinstance(self.count, int | np.integer)
            or isinstance(self.count, bool)
            or self.count < 0
        ):
            raise SpecificationError(
                f"Cardinality: count must be an integer >= 0, got {quoted(self.count)}."
            )

    @override
    def kernel(self, region: Region) -> Kernel:
        center = region.flatten(self.center, "Cardinality: center")
        if self.groups is None:
            return CardinalityKernel(int(self.count), center)
        labels = labels_of_groups(self.groups, region, "Cardinality")
        alone = np.flatnonzero(labels < 0)
        labels[alone] = labels.max(initial=-1) + 1 + np.arange(alone.size)
        return CardinalityKernel(int(self.count), center, labels)

    @override
    def describe(self) -> str:
        center = short(self.center)
        at = "" if center == "0" else f", center={center}"
        groups = "" if self.groups is None else ", groups"
        return f"Cardinality({self.count}{at}{groups}), a heuristic"
