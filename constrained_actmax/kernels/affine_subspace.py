"""Linear equalities by an orthonormal basis."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from typing_extensions import override

from constrained_actmax.kernels.kernel import PolyhedralKernel
from constrained_actmax.kernels.scipy_form import LinearRows, ScipyForm
from constrained_actmax.kernels.subspace import SubspaceKernel
from constrained_actmax.layout import Rows, Vector


@dataclass(frozen=True, eq=False, repr=False)
class AffineSubspaceKernel(PolyhedralKernel, SubspaceKernel):
    r"""Linear equalities, :math:`\{x : Q^\top x = \beta\}`.

    Parameters
    ----------
    basis : numpy.ndarray, shape (k, n)
        Q', orthonormal rows.
    values : numpy.ndarray, shape (k,)
        beta.
    """

    basis: Rows
    values: Vector

    projection_method = "an orthonormal basis of its rows, exact, O(m n)"

    @property
    @override
    def size(self) -> int:
        return int(self.basis.shape[1])

    @override
    def projector(self, x: Rows) -> Rows:
        return np.asarray(x - (x @ self.basis.T - self.values) @ self.basis)

    @override
    def direction(self, g: Rows) -> Rows:
        return np.asarray(g - (g @ self.basis.T) @ self.basis)

    @override
    def scale(self, x: Rows) -> Vector:
        size = float(np.max(np.abs(self.values), initial=0.0))
        return np.asarray(np.maximum(size, np.max(np.abs(x), axis=1, initial=0.0)))

    @override
    def to_scipy(self, lower: Vector, upper: Vector) -> ScipyForm:
        rows = LinearRows(sp.csr_array(self.basis), self.values.copy(), self.values.copy())
        return ScipyForm.unbounded(self.size, rows=(rows,))
