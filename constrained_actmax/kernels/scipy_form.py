"""A convex set as SciPy takes it: bounds, sparse rows, smooth functions, L1 balls as rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

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
    l1 : tuple of (center, weights, radius)
        Weighted L1 balls that are not split yet; a weight is 0 where a ball says nothing.
    """

    lower: Vector
    upper: Vector
    rows: tuple[LinearRows, ...] = ()
    smooth: tuple[SmoothRow, ...] = ()
    lift: Lift | None = None
    l1: tuple[tuple[Vector, Vector, float], ...] = ()

    @property
    def only_bounds(self) -> bool:
        """Whether bounds on x say it all."""
        return not (self.rows or self.smooth or self.lift or self.l1)

    @classmethod
    def free(cls, n: int) -> ScipyForm:
        """Return the form of the whole space."""
        return cls(np.full(n, -np.inf), np.full(n, np.inf))


def in_split_variables(form: ScipyForm, lower: Vector, upper: Vector) -> ScipyForm | None:
    """Return a form with its L1 ball as one row, in variables x = c + u - v with u, v >= 0.

    The variables are the entries that the ball leaves alone, then u, then v.

    Parameters
    ----------
    form : ScipyForm
        In x.
    lower, upper : numpy.ndarray, shape (n,)
        Bounds that hold on x.

    Returns
    -------
    ScipyForm or None
        The form itself where it has no L1 ball; None where it has several.
    """
    if not form.l1:
        return form
    if len(form.l1) > 1:
        return None
    ((center, weights, radius),) = form.l1
    at, outside = np.flatnonzero(weights > 0.0), np.flatnonzero(weights == 0.0)
    n, k, c, w = weights.size, outside.size, center[at], weights[at]
    low, high = lower[at], upper[at]
    below = np.concatenate([np.maximum(low - c, 0.0), np.maximum(c - high, 0.0)])
    above = np.concatenate([np.maximum(high - c, 0.0), np.maximum(c - low, 0.0)])
    entries = np.concatenate([np.ones(k + at.size), -np.ones(at.size)])
    places = np.concatenate([outside, at, at]), np.arange(k + 2 * at.size)
    matrix = sp.csr_array((entries, places), shape=(n, k + 2 * at.size))
    offset = np.where(weights > 0.0, center, 0.0)
    ball = sp.csr_array(np.concatenate([np.zeros(k), w, w])[np.newaxis])

    def lift(x: Vector) -> Vector:
        y = np.concatenate([np.maximum(x[at] - c, 0.0), np.maximum(c - x[at], 0.0)])
        return np.concatenate([x[outside], np.clip(y, below, above)])

    moved = (
        LinearRows(
            sp.csr_array(one.matrix @ matrix),
            one.lower - one.matrix @ offset,
            one.upper - one.matrix @ offset,
        )
        for one in form.rows
    )
    return ScipyForm(
        np.concatenate([lower[outside], below]),
        np.concatenate([upper[outside], above]),
        (LinearRows(ball, np.array([-np.inf]), np.array([radius])), *moved),
        tuple(_composed(one, matrix, offset) for one in form.smooth),
        Lift(matrix, offset, lift),
    )


def _composed(row: SmoothRow, matrix: sp.csr_array, offset: Vector) -> SmoothRow:
    def at(y: Vector) -> Vector:
        return np.asarray(offset + matrix @ y)

    return SmoothRow(
        value=lambda y: row.value(at(y)),
        gradient=lambda y: np.asarray(matrix.T @ row.gradient(at(y))),
        hessian_product=lambda y, v: np.asarray(
            matrix.T @ row.hessian_product(at(y), np.asarray(matrix @ v))
        ),
        upper=row.upper,
    )


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
