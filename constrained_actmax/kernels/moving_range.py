"""Bounded differences."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from typing_extensions import override

from constrained_actmax.kernels.kernel import Constraints, Kernel, Variable
from constrained_actmax.kernels.scipy_form import LinearRows, ScipyForm
from constrained_actmax.layout import Rows, Vector


@dataclass(frozen=True, eq=False, repr=False)
class MovingRangeKernel(Kernel):
    r"""Bounded differences, :math:`\{x : |D x| \le s\}`.

    Parameters
    ----------
    step : float
        s >= 0.
    matrix : scipy.sparse.csr_array, shape (m, n)
        D.
    """

    step: float
    matrix: sp.csr_array

    violation_norm = "largest violation of one step"
    closed = False

    @property
    @override
    def size(self) -> int:
        return int(self.matrix.shape[1])

    @override
    def project(self, x: Rows) -> Rows:
        return self.program.project(x)

    @override
    def violation(self, x: Rows) -> Vector:
        steps = np.abs(self.matrix @ x.T)
        return np.asarray(np.maximum(0.0, np.max(steps, axis=0, initial=0.0) - self.step))

    @override
    def scale(self, x: Rows) -> Vector:
        return np.maximum(super().scale(x), self.step)

    @override
    def to_cvxpy(self, variable: Variable) -> Constraints:
        steps = self.matrix @ variable
        return [steps <= self.step, steps >= -self.step]

    @override
    def to_scipy(self, lower: Vector, upper: Vector) -> ScipyForm:
        limit = np.full(self.matrix.shape[0], self.step)
        rows = LinearRows(self.matrix.copy(), -limit, limit)
        return ScipyForm.unbounded(self.size, rows=(rows,))
