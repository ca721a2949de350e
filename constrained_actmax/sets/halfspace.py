"""One linear inequality."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from typing_extensions import override

from constrained_actmax.errors import SpecificationError
from constrained_actmax.kernels.kernel import Kernel
from constrained_actmax.kernels.linear import LinearKernel
from constrained_actmax.layout import Region
from constrained_actmax.sets.base import ConvexSet, checked_number, short


@dataclass(frozen=True, eq=False, repr=False)
class Halfspace(ConvexSet):
    r"""One linear inequality, :math:`\{x : a^\top x \le b\}`.

    Parameters
    ----------
    normal : array_like
        a, one number for each entry, or one number for all.
    offset : float
        b, in the units of the sum.
    on, where, name
        See `ConvexSet`.

    Raises
    ------
    SpecificationError
        If the normal is zero or not finite.

    Notes
    -----
    Projected on alone and with a box by the root of the dual, exact, O(n) a pass.
    """

    normal: Any
    offset: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "offset", checked_number(self.offset, "offset", "Halfspace"))

    @override
    def kernel(self, region: Region) -> Kernel:
        normal = region.flatten(self.normal, "Halfspace: normal")
        if not np.isfinite(normal).all() or not normal.any():
            raise SpecificationError("Halfspace: normal must be finite and not zero.")
        row = sp.csr_array(normal[np.newaxis])
        return LinearKernel(row, np.array([-np.inf]), np.array([self.offset]))

    @override
    def describe(self) -> str:
        return f"Halfspace({short(self.normal)}' x <= {short(self.offset)})"
