"""A kernel of some entries of the vector."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import scipy.sparse as sp
from typing_extensions import override

from constrained_actmax.errors import SpecificationError
from constrained_actmax.kernels.kernel import (
    Constraints,
    DerivedKernel,
    InBox,
    Kernel,
    Sized,
    Variable,
)
from constrained_actmax.kernels.scipy_form import LinearRows, ScipyForm, SmoothRow, Square
from constrained_actmax.layout import Indices, Rows, Vector


def on_part(kernel: Kernel, indices: Indices, n: int) -> Kernel:
    """Return a kernel of ascending entries of a vector of length n."""
    return kernel if indices.size == n else PartKernel(kernel, indices, n)


@dataclass(frozen=True, eq=False, repr=False)
class PartKernel(DerivedKernel):
    r"""A kernel that binds some entries, :math:`\{x : x_I \in C\}`; the others are free.

    Parameters
    ----------
    inner : Kernel
        C.
    indices : numpy.ndarray of int
        I, the entries of the vector.
    entries : int
        Length n of the vector.
    """

    indices: Indices
    entries: int

    @property
    @override
    def size(self) -> int:
        return self.entries

    @property
    @override
    def support(self) -> Indices:
        return self.indices

    @property
    @override
    def core(self) -> Kernel:
        return self.inner

    @override
    def labelled(self, label: str) -> PartKernel:
        return replace(self, inner=self.inner.labelled(label))

    @override
    def split(self) -> Sequence[Kernel]:
        return tuple(
            PartKernel(piece.core, self.indices[piece.support], self.entries)
            for piece in self.inner.split()
        )

    @override
    def bounding_box(self) -> tuple[Vector, Vector]:
        return self._embedded(*self.inner.bounding_box())

    @override
    def centre(self) -> Vector:
        whole = np.zeros(self.entries)
        whole[self.indices] = self.inner.centre()
        return whole

    def _embedded(self, lower: Vector, upper: Vector) -> tuple[Vector, Vector]:
        whole_lower, whole_upper = np.full(self.entries, -np.inf), np.full(self.entries, np.inf)
        whole_lower[self.indices], whole_upper[self.indices] = lower, upper
        return whole_lower, whole_upper

    @override
    def project(self, x: Rows) -> Rows:
        return self.project_with_dual(x)[0]

    @override
    def project_with_dual(self, x: Rows) -> tuple[Rows, Vector]:
        p = x.copy()
        p[:, self.indices], dual = self.inner.project_with_dual(x[:, self.indices])
        return p, dual

    @override
    def in_box(self, lower: Vector, upper: Vector) -> InBox | None:
        inner = self.inner.in_box(lower[self.indices], upper[self.indices])
        if inner is None:
            return None

        def projection(x: Rows) -> tuple[Rows, Vector]:
            p = np.minimum(np.maximum(x, lower), upper)
            p[:, self.indices], dual = inner.project_with_dual(x[:, self.indices])
            return p, dual

        return InBox(projection, inner.violation, inner.method)

    @override
    def violation(self, x: Rows) -> Vector:
        return self.inner.violation(x[:, self.indices])

    @override
    def scale(self, x: Rows) -> Vector:
        return self.inner.scale(x[:, self.indices])

    @override
    def relative_violation(self, x: Rows, widths: Vector | None = None) -> Vector:
        of_mine = None if widths is None else widths[self.indices]
        return self.inner.relative_violation(x[:, self.indices], of_mine)

    @override
    def linear_maximizer(self, g: Rows) -> Rows:
        outside = np.ones(self.entries, dtype=bool)
        outside[self.indices] = False
        if np.any(g[:, outside] != 0.0):
            raise SpecificationError(f"{self}: g'x has no maximum, entries outside it are free.")
        p = np.zeros_like(g)
        p[:, self.indices] = self.inner.linear_maximizer(g[:, self.indices])
        return p

    @override
    def linear_maximizer_in_box(self, g: Rows, lower: Rows, upper: Rows) -> Rows | None:
        at = self.indices
        inner = self.inner.linear_maximizer_in_box(g[:, at], lower[..., at], upper[..., at])
        if inner is None:
            return None
        best = np.where(g > 0, upper, np.where(g < 0, lower, np.clip(0.0, lower, upper)))
        best[:, at] = inner
        return best

    @override
    def scaled(self, units: Vector) -> Kernel | None:
        inner = self.inner.scaled(units[self.indices])
        return None if inner is None else replace(self, inner=inner)

    @override
    def to_cvxpy(self, variable: Variable) -> Constraints:
        return self.inner.to_cvxpy(variable[self.indices])

    @override
    def sized_rows(self, variable: Variable, at: Rows) -> Sized:
        return self.inner.sized_rows(variable[self.indices], at[:, self.indices])

    @override
    def to_scipy(self, lower: Vector, upper: Vector) -> ScipyForm | None:
        form = self.inner.to_scipy(lower[self.indices], upper[self.indices])
        if form is None:
            return None
        rows = tuple(
            LinearRows(self._columns(function.matrix), function.lower, function.upper)
            for function in form.rows
        )
        smooth = tuple(self._smooth(function) for function in form.smooth)
        l1 = tuple(self._spread_ball(ball) for ball in form.l1)
        return ScipyForm(*self._embedded(form.lower, form.upper), rows, smooth, l1)

    def _spread_ball(self, ball: Square) -> Square:
        center, weights, radius = ball
        return self._spread(center), self._spread(weights), radius

    def _spread(self, part: Vector) -> Vector:
        whole = np.zeros(self.entries)
        whole[self.indices] = part
        return whole

    def _columns(self, matrix: sp.csr_array) -> sp.csr_array:
        entries = matrix.tocoo()
        coordinates = (entries.row, self.indices[entries.col])
        return sp.csr_array((entries.data, coordinates), shape=(matrix.shape[0], self.entries))

    def _smooth(self, row: SmoothRow) -> SmoothRow:
        square = None if row.square is None else self._spread_ball(row.square)
        inner = partial(np.take, indices=self.indices)
        return row.substituted(inner, inner, self._spread, square)
