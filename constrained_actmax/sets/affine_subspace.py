"""Linear equalities."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from typing_extensions import override

from constrained_actmax.errors import InfeasibleError, SpecificationError
from constrained_actmax.kernels.affine_subspace import AffineSubspaceKernel
from constrained_actmax.kernels.kernel import Kernel
from constrained_actmax.layout import Region
from constrained_actmax.sets.base import ConvexSet, short
from constrained_actmax.sets.linear import row_matrix, row_values

RANK = 1e-12  # singular values below this share of the largest are dependent rows
CONSISTENT = 1e-9  # relative residual above which dependent rows contradict each other


@dataclass(frozen=True, eq=False, repr=False)
class AffineSubspace(ConvexSet):
    r"""Linear equalities, :math:`\{x : A x = b\}`.

    Parameters
    ----------
    A : array_like, scipy.sparse array, or dict of str to float
        Rows over the flat input, as `Linear` takes them.
    b : array_like, default 0
        Their values, a number or one for each row. A Series is aligned to the index of A.
    on, where, name
        See `ConvexSet`.

    Raises
    ------
    SpecificationError
        If a shape does not fit, or a number is not finite.
    InfeasibleError
        If the rows contradict each other.

    Notes
    -----
    An orthonormal basis Q of the rows is found once, O(m^2 n); the projection is
    ``y - Q (Q' y - beta)``, exact up to rounding, O(m n).
    """

    A: Any
    b: Any = 0.0

    @override
    def kernel(self, region: Region) -> Kernel:
        matrix = row_matrix(self.A, region, "AffineSubspace")
        b = row_values(self.b, 0.0, self.A, matrix.shape[0], "AffineSubspace: b")
        if not np.isfinite(b).all():
            raise SpecificationError("AffineSubspace: b must be finite.")
        dense = matrix.toarray()
        left, size, basis = np.linalg.svd(dense, full_matrices=False)
        keep = size > RANK * np.max(size, initial=0.0)
        values = (left[:, keep].T @ b) / size[keep]
        residual = dense @ (basis[keep].T @ values) - b
        worst = float(np.max(np.abs(residual), initial=0.0))
        if worst > CONSISTENT * float(np.max(np.abs(b), initial=0.0)):
            raise InfeasibleError(
                f"{self.describe()}: its rows contradict each other; no point is nearer than "
                f"{worst:.3g} to all of them."
            )
        return AffineSubspaceKernel(np.ascontiguousarray(basis[keep]), values)

    @override
    def describe(self) -> str:
        rows = self.A.shape[0] if sp.issparse(self.A) else len(np.atleast_1d(self.A))
        if not sp.issparse(self.A) and np.ndim(self.A) == 1:
            rows = 1
        return f"AffineSubspace(A x == {short(self.b)}, {rows} {'row' if rows == 1 else 'rows'})"
