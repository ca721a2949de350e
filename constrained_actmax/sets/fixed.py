"""Entries that must not change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from typing_extensions import override

from constrained_actmax.errors import SpecificationError
from constrained_actmax.kernels.box import BoxKernel
from constrained_actmax.kernels.kernel import Kernel
from constrained_actmax.layout import Layout, Region, Vector
from constrained_actmax.quoting import quoted
from constrained_actmax.sets.base import ConvexSet, entries_in_words, short


@dataclass(frozen=True, eq=False, repr=False)
class Fixed(ConvexSet):
    r"""Entries that must not change, :math:`\{x : x_i = v_i \text{ for } i \text{ in where}\}`.

    Parameters
    ----------
    where : array of bool, str, or sequence of str or int
        A mask, feature names, flat positions, or the name of a whole input.
    value : array_like, optional
        v, in the units of the model's input: one number, one for each held entry, or an array of
        the input's shape. By default the entries of `x0`.
    on : str, optional
        Name of the input that `where` speaks of.

    Raises
    ------
    SpecificationError
        If neither a value nor `x0` is given.

    Notes
    -----
    The projection writes the values in, exact, O(n).
    """

    where: Any = None
    value: Any = None

    def __post_init__(self) -> None:
        if isinstance(self.where, Mapping):
            names, values = list(self.where), list(self.where.values())
            raise SpecificationError(
                "Fixed: names and values are two arguments; write "
                f"Fixed({quoted(names)}, {quoted(values)})."
            )
        if self.where is None and self.on is None:
            raise SpecificationError(
                "Fixed: say what is held: a mask, feature names, or the name of an input."
            )

    @override
    def bind(self, layout: Layout, x0: Vector | None = None) -> Kernel:
        whole_input = isinstance(self.where, str) and self.where in layout.names
        named_feature = whole_input and any(
            input_.feature_names is not None and self.where in input_.feature_names
            for input_ in layout.inputs
        )
        if self.on is None and whole_input and not named_feature:
            return replace(self, on=self.where, where=None).bind(layout, x0)
        return super().bind(layout, x0)

    @override
    def kernel(self, region: Region) -> Kernel:
        if self.value is not None:
            value = region.flatten(self.value, "Fixed: value")
        elif region.start is not None:
            value = np.array(region.start, dtype=np.float64)
        else:
            raise SpecificationError(
                f"{self.describe()}: no value to hold; give value=, or x0= where the "
                "problem is built (maximize, minimize or Problem)."
            )
        if not np.isfinite(value).all():
            raise SpecificationError("Fixed: value must be finite.")
        return BoxKernel(value, value)

    @override
    def describe(self) -> str:
        words = "" if self.where is None else entries_in_words(self.where)
        value = "" if self.value is None else short(self.value)
        return f"Fixed({', '.join(part for part in (words, value) if part)})"

    @override
    def __str__(self) -> str:
        return self.describe() + (f" on {self.on!r}" if self.on is not None else "")
