"""Linear equalities."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp
from typing_extensions import override

from constrained_actmax.errors import InfeasibleError, SpecificationError
from constrained_actmax.layout import Region, Rows, Vector
from constrained_actmax.sets.base import short
from constrained_actmax.sets.linear import row_matrix, row_values
from constrained_actmax.sets.scipy_form import LinearRows, ScipyForm
from constrained_actmax.sets.subspace import Subspace

if TYPE_CHECKING:
    import cvxpy as cp

RANK = 1e-12  # singular values below this share of the largest are dependent rows
CONSISTENT = 1e-9  # relative residual above which dependent rows contradict each other


@dataclass(frozen=True, eq=False, repr=False)
class AffineSubspace(Subspace):
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
    _basis: Any = field(default=None, init=False, repr=False)  # (k, n), orthonormal rows
    _values: Any = field(default=None, init=False, repr=False)  # (k,)

    method_alone = "an orthonormal basis of its rows, exact, O(m n)"

    @override
    def _bound(self, region: Region) -> AffineSubspace:
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
        bound = replace(self, A=matrix, b=b)
        object.__setattr__(bound, "_basis", np.ascontiguousarray(basis[keep]))
        object.__setattr__(bound, "_values", values)
        return bound

    @override
    def describe(self) -> str:
        rows = self.A.shape[0] if sp.issparse(self.A) else len(np.atleast_1d(self.A))
        if not sp.issparse(self.A) and np.ndim(self.A) == 1:
            rows = 1
        return f"AffineSubspace(A x == {short(self.b)}, {rows} {'row' if rows == 1 else 'rows'})"

    @override
    def _projected(self, x: Rows) -> Rows:
        return np.asarray(x - (x @ self._basis.T - self._values) @ self._basis)

    @override
    def _direction(self, g: Rows) -> Rows:
        return np.asarray(g - (g @ self._basis.T) @ self._basis)

    @override
    def _scale(self, x: Rows) -> Vector:
        size = float(np.max(np.abs(self._values), initial=0.0))
        return np.asarray(np.maximum(size, np.max(np.abs(x), axis=1, initial=0.0)))

    @override
    def _to_cvxpy(self, variable: cp.Variable) -> list[cp.Constraint]:
        return [self._basis @ variable == self._values]

    @override
    def _to_scipy(self, lower: Vector, upper: Vector) -> ScipyForm:
        free = ScipyForm.free(self.dimension)
        rows = LinearRows(sp.csr_array(self._basis), self._values.copy(), self._values.copy())
        return ScipyForm(free.lower, free.upper, rows=(rows,))

    @override
    def to_dict(self) -> dict[str, Any]:
        data = super().to_dict()
        if sp.issparse(self.A):
            data["A"] = self.A.toarray().tolist()
        return data
