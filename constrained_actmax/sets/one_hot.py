"""One category of each group."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from typing_extensions import override

from constrained_actmax.errors import SpecificationError
from constrained_actmax.kernels.kernel import Kernel
from constrained_actmax.kernels.one_hot import OneHotKernel
from constrained_actmax.kernels.part import on_part
from constrained_actmax.layout import Region
from constrained_actmax.quoting import quoted
from constrained_actmax.sets.base import HeuristicSet
from constrained_actmax.sets.groups import grouped_entries


@dataclass(frozen=True, eq=False, repr=False)
class OneHot(HeuristicSet):
    r"""One entry of each group is 1 and the others are 0, :math:`\{x : x_g \in \{e_1, \dots\}\}`.

    Parameters
    ----------
    groups : sequence of sequences of str, or array_like of int, optional
        Feature names that belong together (one group for each list, at every position of the other
        axes), or a label for each entry with -1 for those in no group. By default all entries are
        one group.
    dropped : bool, default False
        Whether all entries of a group may be 0: the category that an encoder dropped.
    on, where, name
        See `ConvexSet`.

    Raises
    ------
    SpecificationError
        If a name or label does not fit.

    Notes
    -----
    The set is not convex; its hull is a simplex for each group. The projection sets the largest
    entry of a group to 1, of two the first; with a box, of the entries that the box lets be 1;
    exact, O(n).

    Examples
    --------
    >>> import constrained_actmax as cax
    >>> cax.OneHot().project([0.2, 0.9, 0.4])
    array([0., 1., 0.])
    """

    groups: Any = None
    dropped: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.dropped, bool | np.bool_):
            raise SpecificationError(
                f"OneHot: dropped must be True or False, got {quoted(self.dropped)}."
            )

    @override
    def kernel(self, region: Region) -> Kernel:
        used, groups = grouped_entries(self.groups, region, "OneHot")
        kernel = OneHotKernel(groups, np.ones(used.size), bool(self.dropped))
        return on_part(kernel, used, region.dimension)

    @override
    def describe(self) -> str:
        count = "groups" if self.groups is not None else ""
        return f"OneHot({', '.join(part for part in (count, 'dropped' * self.dropped) if part)})"
