"""Linear inequalities and equalities over entries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from typing_extensions import override

from constrained_actmax.errors import InfeasibleError, SpecificationError, suggest
from constrained_actmax.kernels.kernel import Kernel
from constrained_actmax.kernels.linear import LinearKernel
from constrained_actmax.layout import (
    Region,
    Vector,
    aligned,
    conform,
    labels_of,
)
from constrained_actmax.sets.base import ConvexSet, short


@dataclass(frozen=True, eq=False, repr=False)
class Linear(ConvexSet):
    r"""Linear rows over entries, :math:`\{x : l \le A x \le u\}`.

    Parameters
    ----------
    A : array_like, scipy.sparse array, or dict of str to float
        Rows over the flat input, (m, n) or (m, \*shape), one row also as (n,) or of the input's
        shape; or the coefficients of one row by feature name.
    lower, upper : array_like, optional
        l and u, a number or one for each row; None means no bound, equal ones an equality. A
        Series is aligned to the index of A.
    on, where, name
        See `ConvexSet`.

    Raises
    ------
    SpecificationError
        If a shape does not fit, neither bound is given, or a lower bound exceeds its upper one.

    Notes
    -----
    One row, and rows that share no entry, project alone and with a box by the root of the dual
    [1]_, O(n) a pass; several that do share entries by Newton's method on the dual, O(m n) a pass.

    References
    ----------
    .. [1] Cominetti, Mascarenhas, Silva (2014), A Newton's method for the continuous quadratic
       knapsack problem, Math. Program. Comput. 6.

    Examples
    --------
    >>> import constrained_actmax as cax
    >>> cax.Linear([1.0, 1.0], upper=1).project([1.0, 1.0])
    array([0.5, 0.5])
    """

    A: Any
    lower: Any = None
    upper: Any = None

    def __post_init__(self) -> None:
        if self.lower is None and self.upper is None:
            raise SpecificationError("Linear: give lower=, upper=, or both.")

    @override
    def kernel(self, region: Region) -> Kernel:
        matrix = row_matrix(self.A, region, "Linear")
        m = matrix.shape[0]
        lower = row_values(self.lower, -np.inf, self.A, m, "Linear: lower")
        upper = row_values(self.upper, np.inf, self.A, m, "Linear: upper")
        for row in np.flatnonzero(~(lower <= upper)):
            raise SpecificationError(
                f"{self.describe()}: lower must be <= upper, got {lower[row]:g} > {upper[row]:g} "
                f"in row {row}."
            )
        for row in np.flatnonzero((lower == np.inf) | (upper == -np.inf)):
            raise SpecificationError(
                f"{self.describe()}: no number lies above inf or below -inf, as row {row} asks."
            )
        lengths = np.diff(matrix.indptr)
        for row in np.flatnonzero((lengths == 0) & ((lower > 0) | (upper < 0))):
            raise InfeasibleError(
                f"{self.describe()}: row {row} has no coefficient, its sum is 0 and cannot lie in "
                f"[{lower[row]:g}, {upper[row]:g}]."
            )
        return LinearKernel(matrix, lower, upper)

    @override
    def describe(self) -> str:
        if isinstance(self.A, Mapping):
            return f"Linear({_range(self.lower, _sum(self.A), self.upper)})"
        rows = self.A.shape[0] if sp.issparse(self.A) else np.shape(self.A)[0]
        name = "A x" if sp.issparse(self.A) or np.ndim(self.A) > 1 else "a'x"
        count = f", {rows} rows" if name == "A x" else ""
        return f"Linear({_range(self.lower, name, self.upper)}{count})"


def row_matrix(a: Any, region: Region, who: str) -> sp.csr_array:
    """Bring rows, in any form that `Linear` takes, to a sparse matrix (m, k) over a region."""
    k = region.dimension
    if isinstance(a, Mapping):
        return sp.csr_array(_named_row(a, region, who)[np.newaxis])
    if sp.issparse(a):
        matrix = sp.csr_array(a, dtype=np.float64)
    else:
        array = np.asarray(region.aligned(a, f"{who}: A"))
        if array.size == 0:
            raise SpecificationError(
                f"{who}: A has no coefficient, its shape is {array.shape}; leave the set out."
            )
        whole = region.whole or (k,)
        if array.shape == whole or array.shape == (k,):
            array = array[np.newaxis]
        if array.shape[1:] == whole:
            array = array.reshape(len(array), -1)
            if array.shape[1] != k:
                array = array[:, region.positions]
        if array.ndim != 2:
            raise SpecificationError(
                f"{who}: A must have shape (m, {k}) or (m, {', '.join(map(str, whole))}), "
                f"got {array.shape}."
            )
        matrix = sp.csr_array(conform(array, array.shape, f"{who}: A"))
    if matrix.shape[1] != k:
        raise SpecificationError(
            f"{who}: A must have one column for each of the {k} entries, got shape {matrix.shape}."
        )
    if not np.isfinite(matrix.data).all():
        raise SpecificationError(f"{who}: A must be finite.")
    matrix.sum_duplicates()
    matrix.eliminate_zeros()
    return matrix


def row_values(value: Any, missing: float, A: Any, m: int, who: str) -> Vector:
    """Return one number for each of the m rows of A, a Series by their labels in a DataFrame."""
    names = labels_of(A, 0) if np.ndim(A) == 2 else None
    return conform(aligned(missing if value is None else value, names, who, "A"), (m,), who)


def _sum(coefficients: Mapping[str, float]) -> str:
    """Return the row as one writes it: ``a + 2 b - c``."""
    words = ""
    for name, coefficient in coefficients.items():
        size = abs(coefficient)
        sign = "-" if coefficient < 0 else "+"
        space = f" {sign} " if words else sign.replace("+", "")
        words += space + (f"{name}" if size == 1 else f"{size:.4g} {name}")
    return words


def _range(lower: Any, middle: str, upper: Any) -> str:
    left = "" if lower is None else f"{short(lower)} <= "
    right = "" if upper is None else f" <= {short(upper)}"
    if left and right and short(lower) == short(upper) and "array" not in left:
        return f"{middle} == {short(upper)}"
    return f"{left}{middle}{right}"


def _named_row(coefficients: Mapping[Any, Any], region: Region, who: str) -> Vector:
    names = region.columns
    if names is None or region.whole is None:
        raise SpecificationError(
            f"{who}: coefficients by name need feature_names=, which this input does not have."
        )
    row = np.zeros(region.whole)
    for name, coefficient in coefficients.items():
        if name not in names:
            raise SpecificationError(f"{who}: no feature {name!r}. {suggest(name, names)}")
        row[..., names.index(name)] = float(coefficient)
    return conform(row, region.whole, f"{who}: A").ravel()[region.positions]
