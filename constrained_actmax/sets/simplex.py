"""Mixtures: shares that add up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from typing_extensions import override

from constrained_actmax.errors import InfeasibleError, SpecificationError
from constrained_actmax.kernels.kernel import Kernel
from constrained_actmax.kernels.linear import ROUNDING_OF_A_SUM
from constrained_actmax.kernels.part import on_part
from constrained_actmax.kernels.simplex import SimplexKernel
from constrained_actmax.layout import Region
from constrained_actmax.sets.base import ConvexSet, checked_number, short
from constrained_actmax.sets.groups import grouped_entries


@dataclass(frozen=True, eq=False, repr=False)
class Simplex(ConvexSet):
    r"""Shares that add up, :math:`\{x : \sum_{i \in g} x_i = s,\ 0 \le x \le u\}` for each group g.

    Parameters
    ----------
    total : float, default 1
        s > 0, what the entries of each group add up to.
    upper : array_like, optional
        u, the largest share of an entry.
    groups : sequence of sequences of str, or array_like of int, optional
        Feature names that belong together (one simplex for each list, at every position of the
        other axes), or a label for each entry with -1 for those in no group. By default all
        entries are one group.
    on, where, name
        See `ConvexSet`.

    Raises
    ------
    SpecificationError
        If the total is not positive, or a name or label does not fit.
    InfeasibleError
        If upper bounds add up to less than the total.

    Notes
    -----
    Alone or with a box the projection is ``clip(y - t, l, u)`` with t the root of a
    piecewise-linear function for each group, all groups at once [1]_; exact, O(n) a pass.

    References
    ----------
    .. [1] Condat (2016), Fast projection onto the simplex and the l1 ball, Math. Program. 158.

    Examples
    --------
    >>> import constrained_actmax as cax
    >>> cax.Simplex().project([0.5, 1.0, -3.0])
    array([0.25, 0.75, 0.  ])
    """

    total: float = 1.0
    upper: Any = None
    groups: Any = None

    def __post_init__(self) -> None:
        total = checked_number(self.total, "total", "Simplex", minimum=0.0)
        if total == 0.0:
            raise SpecificationError("Simplex: total must be > 0; hold entries at 0 with Fixed.")
        object.__setattr__(self, "total", total)

    @override
    def kernel(self, region: Region) -> Kernel:
        upper = region.flatten(np.inf if self.upper is None else self.upper, "Simplex: upper")
        if np.any(upper < 0.0):
            raise SpecificationError(f"Simplex: upper must be >= 0, got {float(upper.min()):g}.")
        used, groups = grouped_entries(self.groups, region, "Simplex")
        kernel = SimplexKernel(self.total, upper[used], groups)
        unlimited = np.full(used.size, np.inf)
        missing = kernel.violation_in(-unlimited, unlimited)
        if missing > ROUNDING_OF_A_SUM * self.total:
            raise InfeasibleError(
                f"{self.describe()}: the upper bounds of a group add up to {missing:g} less than "
                f"the total {self.total:g}."
            )
        return on_part(kernel, used, region.dimension)

    @override
    def describe(self) -> str:
        groups = ", groups" if self.groups is not None else ""
        bounded = self.upper is not None and short(self.upper) != "inf"
        upper = f", upper={short(self.upper)}" if bounded else ""
        return f"Simplex({short(self.total)}{upper}{groups})"
