"""Linear rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np
import scipy.sparse as sp
from typing_extensions import override

from constrained_actmax.kernels.components import MOST_ROWS, Separable
from constrained_actmax.kernels.convex_program import within
from constrained_actmax.kernels.dual_root import clipped_line_root
from constrained_actmax.kernels.kernel import InBox, Kernel, PolyhedralKernel, Sized, Variable
from constrained_actmax.kernels.part import on_part
from constrained_actmax.kernels.relative import relative, sizes
from constrained_actmax.kernels.scipy_form import LinearRows, ScipyForm
from constrained_actmax.layout import Rows, Vector

REFINEMENTS = 3  # passes that take the rounding of a huge point off a row's sum
ROUNDING_OF_A_SUM = 64 * float(np.finfo(np.float64).eps)


@dataclass(frozen=True, eq=False, repr=False)
class LinearKernel(PolyhedralKernel):
    r"""Linear rows, :math:`\{x : l \le A x \le u\}`.

    One row is projected on alone and with a box by the root of the dual, O(n) a pass.

    Parameters
    ----------
    A : scipy.sparse.csr_array, shape (m, n)
        Coefficients.
    lower, upper : numpy.ndarray, shape (m,)
        l and u.
    """

    A: sp.csr_array
    lower: Vector
    upper: Vector

    violation_norm = "largest violation of one row"

    @property
    @override
    def size(self) -> int:
        return int(self.A.shape[1])

    @property
    @override
    def closed(self) -> bool:
        return bool(self.A.shape[0] == 1)

    @property
    @override
    def projection_method(self) -> str:
        if self.closed:
            return "closed form, exact, O(n)"
        return "Newton's method on the dual, O(m n) a step, else cvxpy"

    @override
    def scaled(self, units: Vector) -> LinearKernel:
        return replace(self, A=sp.csr_array(self.A @ sp.diags_array(units)))

    @override
    def split(self) -> Sequence[Kernel]:
        if self.A.shape[0] == 1 and self.A.nnz == self.A.shape[1]:
            return (self,)
        # Rows that share a column belong together: components of the pattern of A A'.
        pattern = sp.csr_array((np.ones(self.A.nnz), self.A.indices, self.A.indptr), self.A.shape)
        _, label = sp.csgraph.connected_components(pattern @ pattern.T, directed=False)
        several = (np.bincount(label) > 1)[label]
        if several.sum() > MOST_ROWS:  # cvxpy takes these together, and at once
            label[several] = label[several][0]
        parts: list[Kernel] = []
        for rows in (np.flatnonzero(label == index) for index in np.unique(label)):
            block = self.A[rows]
            columns = np.unique(block.indices)
            if columns.size:
                inner = replace(
                    self, A=block[:, columns], lower=self.lower[rows], upper=self.upper[rows]
                )
                parts.append(on_part(inner, columns, self.size))
        return parts

    # -- one row ---------------------------------------------------------------------------------

    @cached_property
    def _row(self) -> Vector:
        return np.asarray(self.A[[0]].toarray()[0])

    def _violation_in(self, lower: Vector, upper: Vector) -> float:
        a = self._row
        ends = np.where(a > 0, (lower, upper), (upper, lower))
        with np.errstate(invalid="ignore"):
            low, high = np.where(a == 0.0, 0.0, a * ends).sum(axis=1)
        return float(max(low - self.upper[0], self.lower[0] - high))

    @override
    def project(self, x: Rows) -> Rows:
        return self.project_with_dual(x)[0]

    @override
    def project_with_dual(self, x: Rows) -> tuple[Rows, Vector]:
        if self.closed:
            return self._projected_in(*self._unlimited, x)
        unknown = np.full(len(x), np.nan)
        dual = Separable.dual_of((self,), *self._unlimited)
        if dual is None:
            return self.program.project(x), unknown
        piece = Separable(self.support, (self,), *self._unlimited, dual)
        return piece.project(x)[0], unknown

    @override
    def in_box(self, lower: Vector, upper: Vector) -> InBox | None:
        if not self.closed:
            return None
        return InBox(partial(self._projected_in, lower, upper), self._violation_in(lower, upper))

    def _projected_in(self, lower: Vector, upper: Vector, x: Rows) -> tuple[Rows, Vector]:
        return project_on_row_in_box(
            x, self._row, float(self.lower[0]), float(self.upper[0]), lower, upper
        )

    def _violation(self, x: Rows) -> Rows:
        value = np.asarray(self.A @ x.T)
        violation = np.maximum(self.lower[:, np.newaxis] - value, value - self.upper[:, np.newaxis])
        return np.asarray(np.maximum(0.0, violation))

    @override
    def violation(self, x: Rows) -> Vector:
        return np.asarray(np.max(self._violation(x), axis=0, initial=0.0))

    @cached_property
    def _row_sizes(self) -> Vector:
        sides = [
            np.where(np.isfinite(side), np.abs(side), 0.0) for side in (self.lower, self.upper)
        ]
        return np.maximum(*sides)

    @override
    def relative_violation(self, x: Rows, widths: Vector | None = None) -> Vector:
        violation = self._violation(x)
        if not violation.any():
            return np.zeros(len(x))
        each = relative(violation, self._sizes_at(sizes(x, widths)))
        return np.asarray(np.max(each, axis=0, initial=0.0))

    def _sizes_at(self, x: Rows) -> Rows:
        # A row compares its bounds and a sum of terms, which rounds as their length does.
        unit = np.max(np.abs(x), axis=1, initial=0.0)  # whose squares may overflow
        share = np.divide(x, unit[:, np.newaxis], out=np.zeros_like(x), where=x != 0.0)
        terms = unit * np.sqrt(np.asarray(self.A.power(2) @ (share * share).T))
        return np.asarray(np.maximum(self._row_sizes[:, np.newaxis], terms))

    @override
    def scale(self, x: Rows) -> Vector:
        return np.asarray(np.max(self._sizes_at(x), axis=0, initial=0.0))

    @override
    def sized_rows(self, variable: Variable, at: Rows) -> Sized:
        size = self._sizes_at(at)[:, 0]
        size[size == 0.0] = 1.0
        return within(self.lower, self.upper, variable, self.A, size)

    @override
    def to_scipy(self, lower: Vector, upper: Vector) -> ScipyForm:
        rows = LinearRows(self.A.copy(), self.lower.copy(), self.upper.copy())
        return ScipyForm.unbounded(self.size, rows=(rows,))


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
        low_, high_ = (side if side.ndim == 1 else side[out] for side in (lower, upper))
        t = clipped_line_root(source, a, low_, high_, target, scale)
        moved = source - t[:, np.newaxis] * a
        np.maximum(moved, low_, out=moved)
        np.minimum(moved, high_, out=moved)
        p[out] = moved
        if sweep == 0:
            dual[out] = t
    return p, dual
