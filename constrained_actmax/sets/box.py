"""Bounds on every entry."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from typing_extensions import override

from constrained_actmax.errors import SpecificationError
from constrained_actmax.kernels.box import BoxKernel
from constrained_actmax.kernels.kernel import Kernel
from constrained_actmax.layout import Region, real
from constrained_actmax.quoting import quoted
from constrained_actmax.sets.base import ConvexSet, short

#: A bound of this size is none, as most solvers have it (IPOPT's nlp_upper_bound_inf is 1e19).
INFINITE = 1e20


@dataclass(frozen=True, eq=False, repr=False)
class Box(ConvexSet):
    r"""Bounds on every entry, :math:`\{x : l \le x \le u\}`.

    Parameters
    ----------
    lower, upper : array_like or None, default None
        l and u, in the units of the model's input, numbers or arrays of its shape; None,
        infinities and numbers from 1e20 on mean no bound.
    on, where, name
        See `ConvexSet`.

    Raises
    ------
    SpecificationError
        If a lower bound exceeds its upper bound, or a bound is NaN.

    Notes
    -----
    The projection is ``clip(x, l, u)``, exact, O(n).

    Examples
    --------
    >>> import constrained_actmax as cax
    >>> cax.Box(0, 1).project([-2.0, 0.5, 3.0])
    array([0. , 0.5, 1. ])
    """

    lower: Any = None
    upper: Any = None

    def __post_init__(self) -> None:
        low, high = self.lower, self.upper
        for name, bound in (("lower", low), ("upper", high)):
            if isinstance(bound, str | complex | bool | np.bool_):
                raise SpecificationError(
                    f"Box: {name} must be numbers or None, got {quoted(bound)}."
                )
            if isinstance(bound, list | tuple) or (bound is not None and np.ndim(bound) == 0):
                real(bound, f"Box: {name}")
        numbers = [bound for bound in (low, high) if bound is not None and np.ndim(bound) == 0]
        if len(numbers) == 2 and not float(low) <= float(high):
            raise SpecificationError(f"{self.describe()}: lower must be <= upper.")

    @property
    @override
    def _everywhere(self) -> bool:
        return np.ndim(self.lower) == 0 and np.ndim(self.upper) == 0

    @override
    def kernel(self, region: Region) -> Kernel:
        lower = region.flatten(-np.inf if self.lower is None else self.lower, "Box: lower")
        upper = region.flatten(np.inf if self.upper is None else self.upper, "Box: upper")
        bad = np.flatnonzero(lower > upper)
        if bad.size:
            raise SpecificationError(
                f"{self.describe()}: lower must be <= upper, got {lower[bad[0]]:g} > "
                f"{upper[bad[0]]:g} at position {int(region.positions[bad[0]])} "
                f"({bad.size} such entries)."
            )
        if np.any(lower == np.inf) or np.any(upper == -np.inf):
            raise SpecificationError(f"{self.describe()}: no number lies above inf or below -inf.")
        lower = np.where(lower <= -INFINITE, -np.inf, lower)
        upper = np.where(upper >= INFINITE, np.inf, upper)
        return BoxKernel(lower, upper)

    @override
    def describe(self) -> str:
        return f"Box({short(self.lower)}, {short(self.upper)})"
