"""Signals without jumps."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp
from typing_extensions import override

from constrained_actmax.errors import SpecificationError
from constrained_actmax.layout import Region, Rows, Vector
from constrained_actmax.sets.base import ConvexSet, checked_number, short
from constrained_actmax.sets.differences import difference_matrix
from constrained_actmax.sets.image_axes import position_axes, whole_shape
from constrained_actmax.sets.scipy_form import LinearRows, ScipyForm

if TYPE_CHECKING:
    import cvxpy as cp


@dataclass(frozen=True, eq=False, repr=False)
class MovingRange(ConvexSet):
    r"""Signals without jumps, :math:`\{x : |x_{i+1} - x_i| \le s\}` along an axis.

    Parameters
    ----------
    step : float
        s >= 0, the largest change from one entry to the next, in the units of the input.
    axis : int, default -1
        The axis.
    on
        See `ConvexSet`.

    Raises
    ------
    SpecificationError
        If the step is negative or not finite, or the input has no such axis.

    Notes
    -----
    Sparse linear rows: in a problem up to 200 of them are projected on by Newton's method on the
    dual; more, and the set by itself, by cvxpy, compiled once, some 5 ms for a hundred entries.
    """

    step: float
    axis: int = -1
    _matrix: Any = field(default=None, init=False, repr=False)

    violation_norm = "largest excess of one step"
    closed = False

    def __post_init__(self) -> None:
        step = checked_number(self.step, "step", "MovingRange", minimum=0.0)
        object.__setattr__(self, "step", step)

    @override
    def _bound(self, region: Region) -> MovingRange:
        shape = whole_shape(region, "MovingRange")
        (axis,) = position_axes(shape, self.axis, "MovingRange")
        if shape[axis] < 2:
            raise SpecificationError(f"MovingRange: axis {axis} has one entry.")
        bound = replace(self, axis=axis)
        matrix: sp.csr_array = difference_matrix(shape, axis)
        object.__setattr__(bound, "_matrix", matrix)
        return bound

    @override
    def describe(self) -> str:
        return f"MovingRange({short(self.step)} along axis {self.axis})"

    @override
    def _project(self, x: Rows) -> Rows:
        return self._project_by_cvxpy(x)

    @override
    def _violation(self, x: Rows) -> Vector:
        steps = np.abs(self._matrix @ x.T)
        return np.asarray(np.maximum(0.0, np.max(steps, axis=0, initial=0.0) - self.step))

    @override
    def _scale(self, x: Rows) -> Vector:
        return np.maximum(super()._scale(x), self.step)

    @override
    def _to_cvxpy(self, variable: cp.Variable) -> list[cp.Constraint]:
        steps = self._matrix @ variable
        return [steps <= self.step, steps >= -self.step]

    @override
    def _to_scipy(self, lower: Vector, upper: Vector) -> ScipyForm:
        limit = np.full(self._matrix.shape[0], self.step)
        free = ScipyForm.free(self.dimension)
        rows = LinearRows(self._matrix.copy(), -limit, limit)
        return ScipyForm(free.lower, free.upper, rows=(rows,))
