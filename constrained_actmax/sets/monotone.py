"""Signals that only rise, or only fall."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from typing_extensions import override

from constrained_actmax.errors import SpecificationError
from constrained_actmax.layout import Region, Rows, Vector
from constrained_actmax.quoting import quoted
from constrained_actmax.sets.base import ConvexSet
from constrained_actmax.sets.differences import difference_matrix, lines
from constrained_actmax.sets.image_axes import position_axes, whole_shape
from constrained_actmax.sets.scipy_form import LinearRows, ScipyForm

if TYPE_CHECKING:
    import cvxpy as cp


@dataclass(frozen=True, eq=False, repr=False)
class Monotone(ConvexSet):
    r"""Signals that only rise along an axis, :math:`\{x : x_i \le x_{i+1}\}`.

    Parameters
    ----------
    axis : int, default -1
        The axis along which the input rises.
    falling : bool, default False
        Whether it falls instead.
    on
        See `ConvexSet`.

    Raises
    ------
    SpecificationError
        If the input has no such axis.

    Notes
    -----
    Isotonic regression by pooling adjacent violators [1]_, exact, O(n); with bounds that do not
    change along the axis that result clipped.

    References
    ----------
    .. [1] Barlow, Bartholomew, Bremner, Brunk (1972), Statistical Inference under Order
       Restrictions.
    """

    axis: int = -1
    falling: bool = False
    _lines: Any = field(default=None, init=False, repr=False)
    _shape: tuple[int, ...] = field(default=(), init=False, repr=False)

    violation_norm = "largest step the wrong way"
    projects_in_box = True
    method_alone = "pool adjacent violators, exact, O(n)"
    method_in_box = "with its box: pool adjacent violators, clipped, exact, O(n)"

    @override
    def _bound(self, region: Region) -> Monotone:
        shape = whole_shape(region, "Monotone")
        if not isinstance(self.falling, bool | np.bool_):
            raise SpecificationError(
                f"Monotone: falling must be a bool, got {quoted(self.falling)}."
            )
        (axis,) = position_axes(shape, self.axis, "Monotone")
        if shape[axis] < 2:
            raise SpecificationError(f"Monotone: axis {axis} has one entry.")
        along = lines(shape, axis)
        bound = replace(self, axis=axis)
        object.__setattr__(bound, "_lines", along[:, ::-1] if self.falling else along)
        object.__setattr__(bound, "_shape", shape)
        return bound

    @override
    def describe(self) -> str:
        return f"Monotone({'falling' if self.falling else 'rising'} along axis {self.axis})"

    @override
    def takes_box(self, lower: Vector, upper: Vector) -> bool:
        low, high = lower[self._lines], upper[self._lines]
        return bool(np.all(low == low[:, :1]) and np.all(high == high[:, :1]))

    @override
    def _project(self, x: Rows) -> Rows:
        from scipy.optimize import isotonic_regression

        p = x.copy()
        for row in p:
            for one in self._lines:
                line = row[one]
                if np.any(line[1:] < line[:-1]):
                    row[one] = isotonic_regression(line).x
        return p

    @override
    def _project_in_box(self, x: Rows, lower: Vector, upper: Vector) -> tuple[Rows, Vector]:
        return np.clip(self._project(x), lower, upper), np.full(len(x), np.nan)

    @override
    def _violation(self, x: Rows) -> Vector:
        along = x[:, self._lines]
        wrong = along[:, :, :-1] - along[:, :, 1:]
        return np.asarray(np.max(wrong, axis=(1, 2), initial=0.0))

    @override
    def _to_cvxpy(self, variable: cp.Variable) -> list[cp.Constraint]:
        sign = -1.0 if self.falling else 1.0
        return [(sign * difference_matrix(self._shape, self.axis)) @ variable >= 0.0]

    @override
    def _to_scipy(self, lower: Vector, upper: Vector) -> ScipyForm:
        matrix = difference_matrix(self._shape, self.axis)
        zero, none = np.zeros(matrix.shape[0]), np.full(matrix.shape[0], np.inf)
        rows = LinearRows(matrix, -none, zero) if self.falling else LinearRows(matrix, zero, none)
        free = ScipyForm.free(self.dimension)
        return ScipyForm(free.lower, free.upper, rows=(rows,))
