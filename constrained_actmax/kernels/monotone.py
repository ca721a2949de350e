"""Lines of entries that only rise."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from typing_extensions import override

from constrained_actmax.kernels.differences import difference_matrix, lines
from constrained_actmax.kernels.kernel import InBox, PolyhedralKernel
from constrained_actmax.kernels.scipy_form import LinearRows, ScipyForm
from constrained_actmax.layout import Indices, Rows, Vector


@dataclass(frozen=True, eq=False, repr=False)
class MonotoneKernel(PolyhedralKernel):
    r"""Signals that only rise along an axis, :math:`\{x : x_i \le x_{i+1}\}`.

    Parameters
    ----------
    shape : tuple of int
        Of the input.
    axis : int
        The axis, >= 0.
    falling : bool
        Whether they fall instead.
    """

    shape: tuple[int, ...]
    axis: int
    falling: bool

    violation_norm = "largest step the wrong way"
    projection_method = "pool adjacent violators, exact, O(n)"

    @property
    @override
    def size(self) -> int:
        return int(np.prod(self.shape))

    @cached_property
    def _lines(self) -> Indices:
        along = lines(self.shape, self.axis)
        return along[:, ::-1] if self.falling else along

    @override
    def project(self, x: Rows) -> Rows:
        from scipy.optimize import isotonic_regression

        p = x.copy()
        for row in p:
            for chain in self._lines:
                line = row[chain]
                if np.any(line[1:] < line[:-1]):
                    row[chain] = isotonic_regression(line).x
        return p

    @override
    def in_box(self, lower: Vector, upper: Vector) -> InBox | None:
        low, high = lower[self._lines], upper[self._lines]
        if np.any(low != low[:, :1]) or np.any(high != high[:, :1]):
            return None
        return InBox(
            lambda x: (np.clip(self.project(x), lower, upper), np.full(len(x), np.nan)),
            method="with its box: pool adjacent violators, clipped, exact, O(n)",
        )

    @override
    def violation(self, x: Rows) -> Vector:
        along = x[:, self._lines]
        wrong = along[:, :, :-1] - along[:, :, 1:]
        return np.asarray(np.max(wrong, axis=(1, 2), initial=0.0))

    @override
    def to_scipy(self, lower: Vector, upper: Vector) -> ScipyForm:
        matrix = difference_matrix(self.shape, self.axis)
        zero, none = np.zeros(matrix.shape[0]), np.full(matrix.shape[0], np.inf)
        rows = LinearRows(matrix, -none, zero) if self.falling else LinearRows(matrix, zero, none)
        return ScipyForm.unbounded(self.size, rows=(rows,))
