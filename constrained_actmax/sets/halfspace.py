"""One linear inequality."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from typing_extensions import override

from constrained_actmax.errors import SpecificationError
from constrained_actmax.layout import Region, Rows, Vector
from constrained_actmax.sets.base import ConvexSet, checked_number, short
from constrained_actmax.sets.linear import Linear
from constrained_actmax.sets.scipy_form import ScipyForm

if TYPE_CHECKING:
    import cvxpy as cp


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

    violation_norm = "excess of the sum"
    projects_in_box = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "offset", checked_number(self.offset, "offset", "Halfspace"))

    @override
    def _bound(self, region: Region) -> Halfspace:
        normal = region.flatten(self.normal, "Halfspace: normal")
        if not np.isfinite(normal).all() or not normal.any():
            raise SpecificationError("Halfspace: normal must be finite and not zero.")
        return replace(self, normal=normal)

    @cached_property
    def _row(self) -> Linear:
        row = Linear(self.normal, upper=self.offset)._bound(self._plain_region)
        object.__setattr__(row, "_region", self._plain_region)
        object.__setattr__(row, "_words", self.describe())
        return row

    @property
    def _plain_region(self) -> Region:
        every = np.arange(len(self.normal))
        return Region(len(every), every, (len(every),), (len(every),), every)

    @override
    def in_columns(self, units: Vector) -> Halfspace:
        return self._changed(normal=self.normal * units)

    @override
    def split(self) -> Sequence[ConvexSet]:
        return self._row.split() if not self.normal.all() else (self,)

    @override
    def describe(self) -> str:
        return f"Halfspace({short(self.normal)}' x <= {short(self.offset)})"

    @override
    def excess_in_box(self, lower: Vector, upper: Vector) -> float | None:
        return self._row.excess_in_box(lower, upper)

    @override
    def _project(self, x: Rows) -> Rows:
        return self._row._project(x)

    @override
    def _project_with_dual(self, x: Rows) -> tuple[Rows, Vector]:
        return self._row._project_with_dual(x)

    @override
    def _project_in_box(self, x: Rows, lower: Vector, upper: Vector) -> tuple[Rows, Vector]:
        return self._row._project_in_box(x, lower, upper)

    @override
    def _violation(self, x: Rows) -> Vector:
        return self._row._violation(x)

    @override
    def _relative_violation(self, x: Rows, widths: Vector | None = None) -> Vector:
        return self._row._relative_violation(x, widths)

    @override
    def _scale(self, x: Rows) -> Vector:
        return self._row._scale(x)

    @override
    def _sized_rows(self, variable: cp.Variable, at: Rows) -> list[tuple[cp.Constraint, Any]]:
        return self._row._sized_rows(variable, at)

    @override
    def _to_cvxpy(self, variable: cp.Variable) -> list[cp.Constraint]:
        return [self.normal @ variable <= self.offset]

    @override
    def _to_scipy(self, lower: Vector, upper: Vector) -> ScipyForm:
        return self._row._to_scipy(lower, upper)
