"""Linear inequalities and equalities over entries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp
from typing_extensions import override

from constrained_actmax.errors import InfeasibleError, SpecificationError, suggest
from constrained_actmax.layout import (
    Indices,
    Region,
    Rows,
    Vector,
    aligned,
    conform,
    labels_of,
)
from constrained_actmax.sets.base import ConvexSet, jsonable, relative, short, sizes
from constrained_actmax.sets.dual_root import clipped_line_root
from constrained_actmax.sets.part import Part
from constrained_actmax.sets.pieces import Separable
from constrained_actmax.sets.scipy_form import LinearRows, ScipyForm

if TYPE_CHECKING:
    import cvxpy as cp

REFINEMENTS = 3  # passes that take the rounding of a huge point off a row's sum


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
    _words: str = field(default="", init=False, repr=False)

    violation_norm = "largest excess of one row"

    def __post_init__(self) -> None:
        if self.lower is None and self.upper is None:
            raise SpecificationError("Linear: give lower=, upper=, or both.")

    # -- binding ---------------------------------------------------------------------------------

    @override
    def _bound(self, region: Region) -> Linear:
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
        bound = replace(self, A=matrix, lower=lower, upper=upper)
        object.__setattr__(bound, "_words", self.describe())
        return bound

    @override
    def describe(self) -> str:
        if self._words:
            return self._words
        if isinstance(self.A, Mapping):
            return f"Linear({_range(self.lower, _sum(self.A), self.upper)})"
        rows = self.A.shape[0] if sp.issparse(self.A) else np.shape(self.A)[0]
        name = "A x" if sp.issparse(self.A) or np.ndim(self.A) > 1 else "a'x"
        count = f", {rows} rows" if name == "A x" else ""
        return f"Linear({_range(self.lower, name, self.upper)}{count})"

    @override
    def to_dict(self) -> dict[str, Any]:
        data = super().to_dict()
        if sp.issparse(self.A):
            entries = sp.coo_array(self.A)
            data["A"] = {
                "sparse": jsonable(entries.shape),
                "row": jsonable(entries.row),
                "column": jsonable(entries.col),
                "value": jsonable(entries.data),
            }
        return data

    # -- structure -------------------------------------------------------------------------------

    @property
    @override
    def projects_in_box(self) -> bool:  # type: ignore[override]
        return bool(self.A.shape[0] == 1)

    @property
    @override
    def closed(self) -> bool:  # type: ignore[override]
        return bool(self.A.shape[0] == 1)

    @override
    def in_columns(self, units: Vector) -> Linear:
        other = self._changed(A=sp.csr_array(self.A @ sp.diags_array(units)))
        object.__setattr__(other, "_words", self._words)
        return other

    @override
    def split(self) -> Sequence[ConvexSet]:
        if self.A.shape[0] == 1 and self.A.nnz == self.A.shape[1]:
            return (self,)
        # Rows that share a column belong together: components of the pattern of A A'.
        pattern = sp.csr_array((np.ones(self.A.nnz), self.A.indices, self.A.indptr), self.A.shape)
        count, label = sp.csgraph.connected_components(pattern @ pattern.T, directed=False)
        parts: list[ConvexSet] = []
        for one in range(count):
            block = self.A[np.flatnonzero(label == one)]
            columns = np.unique(block.indices)
            if columns.size:
                parts.append(self._block(np.flatnonzero(label == one), block, columns))
        return parts

    def _block(self, rows: Indices, block: sp.csr_array, columns: Indices) -> ConvexSet:
        inner = replace(
            self, A=sp.csr_array(block[:, columns]), lower=self.lower[rows], upper=self.upper[rows]
        )
        every = np.arange(columns.size)
        region = Region(columns.size, every, None, None, every)
        object.__setattr__(inner, "_words", self._words)
        object.__setattr__(inner, "_region", region)
        if columns.size == self.dimension:
            return inner
        return Part(inner, columns, self.dimension)

    # -- one row ---------------------------------------------------------------------------------

    @cached_property
    def _row(self) -> Vector:
        return np.asarray(self.A[[0]].toarray()[0])

    @override
    def excess_in_box(self, lower: Vector, upper: Vector) -> float | None:
        if self.A.shape[0] != 1:
            return None
        a = self._row
        with np.errstate(invalid="ignore"):
            low = np.nan_to_num(
                a * np.where(a > 0, lower, upper), nan=0.0, posinf=np.inf, neginf=-np.inf
            ).sum()
            high = np.nan_to_num(
                a * np.where(a > 0, upper, lower), nan=0.0, posinf=np.inf, neginf=-np.inf
            ).sum()
        return float(max(low - self.upper[0], self.lower[0] - high))

    @property
    @override
    def projection_method(self) -> str:
        if self.closed:
            return self.method_alone
        return "Newton's method on the dual, O(m n) a step, else cvxpy"

    @override
    def _project(self, x: Rows) -> Rows:
        return self._project_with_dual(x)[0]

    @override
    def _project_with_dual(self, x: Rows) -> tuple[Rows, Vector]:
        unlimited = np.full(self.dimension, np.inf)
        if not self.closed:
            dual = Separable.dual_of((self,), -unlimited, unlimited)
            if dual is None:
                return self._project_by_cvxpy(x), np.full(len(x), np.nan)
            every = np.arange(self.dimension)
            piece = Separable(every, (self,), -unlimited, unlimited, dual)
            return piece.project(x)[0], np.full(len(x), np.nan)
        return self._project_in_box(x, -unlimited, unlimited)

    @override
    def _project_in_box(self, x: Rows, lower: Vector, upper: Vector) -> tuple[Rows, Vector]:
        return project_on_row_in_box(
            x, self._row, float(self.lower[0]), float(self.upper[0]), lower, upper
        )

    def _excess(self, x: Rows) -> Rows:
        value = np.asarray(self.A @ x.T)
        excess = np.maximum(self.lower[:, np.newaxis] - value, value - self.upper[:, np.newaxis])
        return np.asarray(np.maximum(0.0, excess))

    @override
    def _violation(self, x: Rows) -> Vector:
        return np.asarray(np.max(self._excess(x), axis=0, initial=0.0))

    @cached_property
    def _row_sizes(self) -> Vector:
        sides = [np.where(np.isfinite(one), np.abs(one), 0.0) for one in (self.lower, self.upper)]
        return np.maximum(*sides)

    @override
    def _relative_violation(self, x: Rows, widths: Vector | None = None) -> Vector:
        excess = self._excess(x)
        if not excess.any():
            return np.zeros(len(x))
        each = relative(excess, self._sizes_at(sizes(x, widths)))
        return np.asarray(np.max(each, axis=0, initial=0.0))

    def _sizes_at(self, x: Rows) -> Rows:
        # A row compares its bounds and a sum of terms, which rounds as their length does.
        unit = np.max(np.abs(x), axis=1, initial=0.0)  # whose squares may overflow
        share = np.divide(x, unit[:, np.newaxis], out=np.zeros_like(x), where=x != 0.0)
        terms = unit * np.sqrt(np.asarray(self.A.power(2) @ (share * share).T))
        return np.asarray(np.maximum(self._row_sizes[:, np.newaxis], terms))

    @override
    def _scale(self, x: Rows) -> Vector:
        return np.asarray(np.max(self._sizes_at(x), axis=0, initial=0.0))

    @override
    def _to_cvxpy(self, variable: cp.Variable) -> list[cp.Constraint]:
        return [row for row, _ in self._sized_rows(variable, np.zeros((1, self.dimension)))]

    @override
    def _sized_rows(self, variable: cp.Variable, at: Rows) -> list[tuple[cp.Constraint, Any]]:
        size = self._sizes_at(at)[:, 0]
        size[size == 0.0] = 1.0
        rows: list[tuple[cp.Constraint, Any]] = []
        equal = self.lower == self.upper
        low = np.isfinite(self.lower) & ~equal
        high = np.isfinite(self.upper) & ~equal
        if equal.any():
            rows.append((sp.csr_array(self.A[equal]) @ variable == self.upper[equal], size[equal]))
        if low.any():
            rows.append((sp.csr_array(self.A[low]) @ variable >= self.lower[low], size[low]))
        if high.any():
            rows.append((sp.csr_array(self.A[high]) @ variable <= self.upper[high], size[high]))
        return rows

    @override
    def _to_scipy(self, lower: Vector, upper: Vector) -> ScipyForm:
        free = ScipyForm.free(self.dimension)
        rows = LinearRows(self.A.copy(), self.lower.copy(), self.upper.copy())
        return ScipyForm(free.lower, free.upper, rows=(rows,))


def project_on_row_in_box(
    x: Rows, a: Vector, low: float, high: float, lower: Rows, upper: Rows
) -> tuple[Rows, Vector]:
    """Project rows on ``low <= a'p <= high`` within a box, (n,) or (B, n), with the multipliers.

    The multiplier is that of `high` where it is positive, minus that of `low` where negative.
    """
    p = np.minimum(np.maximum(x, lower), upper)
    dual = np.zeros(len(x))
    for sweep in range(REFINEMENTS):
        terms = p * a
        value = terms.sum(axis=1)
        target = np.where(value > high, high, low)
        off = np.where((value > high) | (value < low), np.abs(value - target), 0.0)
        size = np.max(np.abs(terms), axis=1, initial=0.0)
        with np.errstate(invalid="ignore"):
            size = np.where(off > 0.0, np.maximum(np.abs(target), size), 1.0)
        out = np.flatnonzero(off > ROUNDING_OF_A_SUM * size)
        if not out.size:
            break
        target, scale = target[out], size[out]
        # The first sweep starts from x; the others from p, which is near: they take off what
        # rounding left.
        source = x[out] if sweep == 0 else p[out]
        low_, high_ = (one if one.ndim == 1 else one[out] for one in (lower, upper))
        t = clipped_line_root(source, a, low_, high_, target, scale)
        moved = source - t[:, np.newaxis] * a
        np.maximum(moved, low_, out=moved)
        np.minimum(moved, high_, out=moved)
        p[out] = moved
        if sweep == 0:
            dual[out] = t
    return p, dual


ROUNDING_OF_A_SUM = 64 * float(np.finfo(np.float64).eps)


def row_matrix(given: Any, region: Region, who: str) -> sp.csr_array:
    """Bring rows, in any form that `Linear` takes, to a sparse matrix (m, k) over a region."""
    k = region.dimension
    if isinstance(given, Mapping):
        return sp.csr_array(_named_row(given, region, who)[np.newaxis])
    if sp.issparse(given):
        matrix = sp.csr_array(given, dtype=np.float64)
    else:
        array = np.asarray(region.aligned(given, f"{who}: A"))
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
        words += space + (name if size == 1 else f"{size:.4g} {name}")
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
