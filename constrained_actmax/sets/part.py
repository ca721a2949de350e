"""A set that speaks of some entries of the flat vector."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp
from typing_extensions import override

from constrained_actmax.errors import SpecificationError
from constrained_actmax.layout import Indices, Region, Rows, Vector
from constrained_actmax.sets.base import ConvexSet
from constrained_actmax.sets.scipy_form import LinearRows, ScipyForm, SmoothRow
from constrained_actmax.sets.separable_form import SeparableForm

if TYPE_CHECKING:
    import cvxpy as cp


@dataclass(frozen=True, eq=False, repr=False)
class Part(ConvexSet):
    r"""A bound set that acts on some entries, :math:`\{x : x_I \in C\}`; the others are free.

    Parameters
    ----------
    inner : ConvexSet
        C, bound to a region.
    indices : numpy.ndarray of int
        I, the entries of the flat vector.
    size : int
        Length n of the flat vector.
    """

    inner: ConvexSet
    indices: Indices
    size: int

    def __post_init__(self) -> None:
        every = np.arange(self.size)
        object.__setattr__(self, "_region", Region(self.size, every, None, None, every))

    @classmethod
    def of(cls, inner: ConvexSet) -> Part:
        """Return a bound set at the entries of its own region."""
        return cls(inner, inner.region.indices, inner.region.size)

    @property
    @override
    def is_box(self) -> bool:  # type: ignore[override]
        return self.inner.is_box

    @property
    @override
    def convex(self) -> bool:  # type: ignore[override]
        return self.inner.convex

    @property
    @override
    def projects_in_box(self) -> bool:  # type: ignore[override]
        return self.inner.projects_in_box

    @property
    @override
    def method_in_box(self) -> str:  # type: ignore[override]
        return self.inner.method_in_box

    @property
    @override
    def violation_norm(self) -> str:  # type: ignore[override]
        return self.inner.violation_norm

    @property
    @override
    def support(self) -> Indices:
        return self.indices

    @property
    @override
    def core(self) -> ConvexSet:
        return self.inner

    @override
    def _bound(self, region: Region) -> ConvexSet:
        raise SpecificationError("Part: it is bound already.")

    @override
    def describe(self) -> str:
        return self.inner.describe()

    @override
    def __str__(self) -> str:
        return str(self.inner)

    @property
    @override
    def projection_method(self) -> str:
        return self.inner.projection_method

    @property
    @override
    def tolerance(self) -> float:
        return self.inner.tolerance

    @override
    def to_dict(self) -> dict[str, Any]:
        return self.inner.to_dict()

    @override
    def bounding_box(self) -> tuple[Vector, Vector]:
        return self._embedded(*self.inner.bounding_box())

    @override
    def bounds(self) -> tuple[Vector, Vector]:
        return self._embedded(*self.inner.bounds())

    @override
    def centre(self) -> Vector:
        whole = np.zeros(self.size)
        whole[self.indices] = self.inner.centre()
        return whole

    @override
    def excess_in_box(self, lower: Vector, upper: Vector) -> float | None:
        return self.inner.excess_in_box(lower[self.indices], upper[self.indices])

    @override
    def takes_box(self, lower: Vector, upper: Vector) -> bool:
        return self.inner.takes_box(lower[self.indices], upper[self.indices])

    @property
    @override
    def accuracy(self) -> float:
        return self.inner.accuracy

    @property
    @override
    def closed(self) -> bool:  # type: ignore[override]
        return self.inner.closed

    @override
    def split(self) -> Sequence[ConvexSet]:
        return tuple(
            Part(one.core, self.indices[one.support], self.size) for one in self.inner.split()
        )

    def _embedded(self, lower: Vector, upper: Vector) -> tuple[Vector, Vector]:
        whole_lower, whole_upper = np.full(self.size, -np.inf), np.full(self.size, np.inf)
        whole_lower[self.indices], whole_upper[self.indices] = lower, upper
        return whole_lower, whole_upper

    @override
    def _project(self, x: Rows) -> Rows:
        return self._project_with_dual(x)[0]

    @override
    def _project_with_dual(self, x: Rows) -> tuple[Rows, Vector]:
        p = x.copy()
        p[:, self.indices], dual = self.inner._project_with_dual(x[:, self.indices])
        return p, dual

    @override
    def _project_in_box(self, x: Rows, lower: Vector, upper: Vector) -> tuple[Rows, Vector]:
        p = np.minimum(np.maximum(x, lower), upper)
        p[:, self.indices], dual = self.inner._project_in_box(
            x[:, self.indices], lower[self.indices], upper[self.indices]
        )
        return p, dual

    @override
    def _violation(self, x: Rows) -> Vector:
        return self.inner._violation(x[:, self.indices])

    @override
    def _scale(self, x: Rows) -> Vector:
        return self.inner._scale(x[:, self.indices])

    @override
    def _relative_violation(self, x: Rows, widths: Vector | None = None) -> Vector:
        of_mine = None if widths is None else widths[self.indices]
        return self.inner._relative_violation(x[:, self.indices], of_mine)

    @override
    def _linear_maximizer(self, g: Rows) -> Rows:
        outside = np.ones(self.size, dtype=bool)
        outside[self.indices] = False
        if np.any(g[:, outside] != 0.0):
            raise SpecificationError(f"{self}: g'x has no maximum, entries outside it are free.")
        p = np.zeros_like(g)
        p[:, self.indices] = self.inner._linear_maximizer(g[:, self.indices])
        return p

    @override
    def in_columns(self, units: Vector) -> ConvexSet | None:
        inner = self.inner.in_columns(units[self.indices])
        return None if inner is None else self._changed(inner=inner)

    @override
    def _to_cvxpy(self, variable: cp.Variable) -> list[cp.Constraint]:
        return self.inner._to_cvxpy(variable[self.indices])

    @override
    def _sized_rows(self, variable: cp.Variable, at: Rows) -> list[tuple[cp.Constraint, Any]]:
        return self.inner._sized_rows(variable[self.indices], at[:, self.indices])

    @override
    def _to_scipy(self, lower: Vector, upper: Vector) -> ScipyForm | None:
        form = self.inner._to_scipy(lower[self.indices], upper[self.indices])
        if form is None:
            return None
        rows = tuple(
            LinearRows(self._columns(one.matrix), one.lower, one.upper) for one in form.rows
        )
        smooth = tuple(self._smooth(one) for one in form.smooth)
        l1 = tuple((self._spread(c), self._spread(w), r) for c, w, r in form.l1)
        return ScipyForm(*self._embedded(form.lower, form.upper), rows, smooth, l1=l1)

    def _spread(self, part: Vector) -> Vector:
        whole = np.zeros(self.size)
        whole[self.indices] = part
        return whole

    @override
    def _separable(self, lower: Vector, upper: Vector) -> SeparableForm | None:
        form = self.inner._separable(lower[self.indices], upper[self.indices])
        if form is None:
            return None
        spread = self._spread
        return SeparableForm(
            *self._embedded(form.lower, form.upper),
            tuple(LinearRows(self._columns(one.matrix), one.lower, one.upper) for one in form.rows),
            tuple((spread(c), spread(w), r) for c, w, r in form.l1),
            tuple((spread(c), spread(q), r) for c, q, r in form.squares),
        )

    def _columns(self, matrix: sp.csr_array) -> sp.csr_array:
        entries = matrix.tocoo()
        place = (entries.row, self.indices[entries.col])
        return sp.csr_array((entries.data, place), shape=(matrix.shape[0], self.size))

    def _smooth(self, row: SmoothRow) -> SmoothRow:
        at, spread = self.indices, self._spread
        return SmoothRow(
            value=lambda x: row.value(x[at]),
            gradient=lambda x: spread(row.gradient(x[at])),
            hessian_product=lambda x, v: spread(row.hessian_product(x[at], v[at])),
            upper=row.upper,
        )
