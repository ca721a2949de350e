"""A convex set as SciPy's solvers take it: bounds, sparse rows, smooth functions, a lift."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import scipy.sparse as sp

from constrained_actmax.layout import Vector


@dataclass(frozen=True)
class LinearRows:
    """``lower <= A x <= upper`` with a sparse A of shape (m, n)."""

    matrix: sp.csr_array
    lower: Vector
    upper: Vector


@dataclass(frozen=True)
class SmoothRow:
    """One smooth convex function ``h(x) <= upper`` with its gradient and Hessian-vector product."""

    value: Callable[[Vector], float]
    gradient: Callable[[Vector], Vector]
    hessian_product: Callable[[Vector, Vector], Vector]  # (x, v) -> H(x) v
    upper: float


@dataclass(frozen=True)
class Lift:
    """Split variables: ``x = offset + matrix @ y``, with y the variables that SciPy sees.

    `lift` gives a y for an x; rows and bounds of the form that carries a lift speak of y.
    """

    matrix: sp.csr_array  # (n, N)
    offset: Vector  # (n,)
    lift: Callable[[Vector], Vector]


@dataclass(frozen=True)
class ScipyForm:
    """Bounds, rows and smooth constraints, in x or, with a lift, in its split variables.

    Parameters
    ----------
    lower, upper : numpy.ndarray
        Bounds of the variables; infinite where there is none.
    rows : tuple of LinearRows
        Sparse linear rows.
    smooth : tuple of SmoothRow
        Smooth convex inequalities.
    lift : Lift, optional
        How the variables make x.
    """

    lower: Vector
    upper: Vector
    rows: tuple[LinearRows, ...] = ()
    smooth: tuple[SmoothRow, ...] = ()
    lift: Lift | None = field(default=None)

    @property
    def only_bounds(self) -> bool:
        """Whether bounds on x say it all."""
        return not self.rows and not self.smooth and self.lift is None

    @classmethod
    def free(cls, n: int) -> ScipyForm:
        """Return the form of the whole space."""
        return cls(np.full(n, -np.inf), np.full(n, np.inf))


def in_units(form: ScipyForm, units: Vector) -> ScipyForm:
    """Return bounds, rows and smooth constraints of ``y / units``, y the variables of the form.

    Parameters
    ----------
    form : ScipyForm
        Its lift, if it has one, is left out.
    units : numpy.ndarray, shape (N,)
        One unit > 0 for each of its variables.
    """
    diagonal = sp.diags_array(units).tocsr()
    rows = tuple(LinearRows(sp.csr_array(r.matrix @ diagonal), r.lower, r.upper) for r in form.rows)
    smooth = tuple(_row_in_units(row, units) for row in form.smooth)
    return ScipyForm(form.lower / units, form.upper / units, rows, smooth)


def scaled_form(form: ScipyForm, unit: float) -> ScipyForm:
    """Return the form of the set ``{x : unit x in C}``, its split variables scaled as well."""
    scaled = in_units(form, np.full(form.lower.size, unit))
    lift = form.lift
    if lift is None:
        return scaled
    return replace(
        scaled,
        lift=Lift(lift.matrix, lift.offset / unit, lambda x: lift.lift(unit * x) / unit),
    )


def normalised(form: ScipyForm) -> ScipyForm:
    """Return the form with rows and smooth constraints whose numbers are of size 1."""
    rows = tuple(_normalised_rows(one) for one in form.rows)
    smooth = tuple(
        _weighted(one, 1.0 / abs(one.upper)) if one.upper else one for one in form.smooth
    )
    return replace(form, rows=rows, smooth=smooth)


def _normalised_rows(rows: LinearRows) -> LinearRows:
    largest = np.asarray(abs(rows.matrix).max(axis=1).todense()).ravel()
    largest[largest == 0.0] = 1.0
    if np.all(largest == 1.0):
        return rows
    matrix = sp.csr_array(sp.diags_array(1.0 / largest) @ rows.matrix)
    return LinearRows(matrix, rows.lower / largest, rows.upper / largest)


def _weighted(row: SmoothRow, weight: float) -> SmoothRow:
    return SmoothRow(
        lambda y: weight * row.value(y),
        lambda y: weight * row.gradient(y),
        lambda y, v: weight * row.hessian_product(y, v),
        weight * row.upper,
    )


def _row_in_units(row: SmoothRow, units: Vector) -> SmoothRow:
    return SmoothRow(
        lambda y: row.value(units * y),
        lambda y: units * row.gradient(units * y),
        lambda y, v: units * row.hessian_product(units * y, units * v),
        row.upper,
    )
