"""A convex set as SciPy takes it, in x or in other variables, where an L1 ball is one row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import scipy.sparse as sp

from constrained_actmax.layout import Rows, Vector


@dataclass(frozen=True)
class LinearRows:
    """``lower <= A x <= upper`` with a sparse A of shape (m, n)."""

    matrix: sp.csr_array
    lower: Vector
    upper: Vector


Square: TypeAlias = tuple[Vector, Vector, float]


@dataclass(frozen=True)
class SmoothRow:
    """One smooth convex function ``h(x) <= upper`` with its gradient and Hessian-vector product.

    `square` is the center, precision and radius of a ball whose metric is diagonal,
    ``sum(precision * (x - center)**2) <= radius**2``, and None for other constraints.
    """

    value: Callable[[Vector], float]
    gradient: Callable[[Vector], Vector]
    hessian_product: Callable[[Vector, Vector], Vector]  # (x, v) -> H(x) v
    upper: float
    square: Square | None = None

    def substituted(
        self,
        point: Callable[[Vector], Vector],
        direction: Callable[[Vector], Vector],
        adjoint: Callable[[Vector], Vector],
        square: Square | None = None,
    ) -> SmoothRow:
        """Return the constraint on y, given x(y), its linear part and that one's transpose."""
        return SmoothRow(
            lambda y: self.value(point(y)),
            lambda y: adjoint(self.gradient(point(y))),
            lambda y, v: adjoint(self.hessian_product(point(y), direction(v))),
            self.upper,
            square,
        )


@dataclass(frozen=True)
class ScipyForm:
    """Bounds, rows, smooth constraints and L1 balls.

    Parameters
    ----------
    lower, upper : numpy.ndarray
        Bounds of the variables; infinite where there is none.
    rows : tuple of LinearRows
        Sparse linear rows.
    smooth : tuple of SmoothRow
        Smooth convex inequalities.
    l1 : tuple of (center, weights, radius)
        Weighted L1 balls; a weight is 0 where a ball says nothing.
    """

    lower: Vector
    upper: Vector
    rows: tuple[LinearRows, ...] = ()
    smooth: tuple[SmoothRow, ...] = ()
    l1: tuple[Square, ...] = ()

    @property
    def only_bounds(self) -> bool:
        """Whether bounds say it all."""
        return not (self.rows or self.smooth or self.l1)

    @property
    def squares(self) -> tuple[Square, ...] | None:
        """The smooth constraints as balls in diagonal metrics; None where one is no such ball."""
        known = tuple(row.square for row in self.smooth if row.square is not None)
        return known if len(known) == len(self.smooth) else None

    @classmethod
    def unbounded(
        cls,
        n: int,
        rows: tuple[LinearRows, ...] = (),
        smooth: tuple[SmoothRow, ...] = (),
        l1: tuple[Square, ...] = (),
    ) -> ScipyForm:
        """Return the form of a set without bounds."""
        return cls(np.full(n, -np.inf), np.full(n, np.inf), rows, smooth, l1)


@dataclass(frozen=True)
class Substitution:
    r"""A set in other variables y with :math:`x = b + A y`.

    Parameters
    ----------
    form : ScipyForm
        The set in y, without L1 balls.
    matrix : scipy.sparse.csr_array, shape (n, N), optional
        A; y is x without it.
    offset : numpy.ndarray, shape (n,), or float
        b.
    inverse : callable
        A y for an x.
    """

    form: ScipyForm
    matrix: sp.csr_array | None = None
    offset: Vector | float = 0.0
    inverse: Callable[[Vector], Vector] = np.array

    def x(self, y: Vector) -> Vector:
        """Return the point x of y."""
        return np.array(y) if self.matrix is None else np.asarray(self.offset + self.matrix @ y)

    def pulled(self, slopes: Any) -> Any:
        """Return derivatives by y from derivatives by x, along the last axis."""
        return slopes if self.matrix is None else (self.matrix.T @ np.asarray(slopes).T).T

    def direction(self, v: Vector) -> Vector:
        """Return the step in x of a step in y."""
        return v if self.matrix is None else np.asarray(self.matrix @ v)

    def scaled(self, unit: float) -> Substitution:
        """Return the same of the set ``{x : unit x in C}``, y divided by the unit too."""
        form = in_units(self.form, np.full(self.form.lower.size, unit))
        if self.matrix is None:
            return Substitution(form)
        return Substitution(
            form, self.matrix, self.offset / unit, lambda x: self.inverse(unit * x) / unit
        )

    def normalised(self) -> Substitution:
        """Return the same with rows and smooth constraints whose numbers are of size 1."""
        rows = tuple(_normalised_rows(row) for row in self.form.rows)
        smooth = tuple(
            _weighted(function_, 1.0 / abs(function_.upper)) if function_.upper else function_
            for function_ in self.form.smooth
        )
        return replace(self, form=replace(self.form, rows=rows, smooth=smooth))


def signed_parts(up: Rows, down: Rows) -> Rows:
    """Return the parts of numbers above zero, then those of others below it: u and v of u - v."""
    return np.concatenate([np.maximum(up, 0.0), np.maximum(-down, 0.0)], axis=-1)


def in_split_variables(form: ScipyForm, lower: Vector, upper: Vector) -> Substitution | None:
    """Return a set with its L1 ball as one row, in variables x = c + u - v with u, v >= 0.

    The variables are the entries that the ball leaves alone, then u, then v.

    Parameters
    ----------
    form : ScipyForm
        In x.
    lower, upper : numpy.ndarray, shape (n,)
        Bounds that hold on x.

    Returns
    -------
    Substitution or None
        Of x itself where there is no L1 ball; None where there are several.
    """
    if not form.l1:
        return Substitution(form)
    if len(form.l1) > 1:
        return None
    ((center, weights, radius),) = form.l1
    at, outside = np.flatnonzero(weights > 0.0), np.flatnonzero(weights == 0.0)
    n, k, c, w = weights.size, outside.size, center[at], weights[at]
    low, high = lower[at] - c, upper[at] - c
    below, above = signed_parts(low, high), signed_parts(high, low)
    entries = np.concatenate([np.ones(k + at.size), -np.ones(at.size)])
    positions = np.concatenate([outside, at, at]), np.arange(k + 2 * at.size)
    matrix = sp.csr_array((entries, positions), shape=(n, k + 2 * at.size))
    offset = np.where(weights > 0.0, center, 0.0)
    ball = sp.csr_array(np.concatenate([np.zeros(k), w, w])[np.newaxis])

    def inverse(x: Vector) -> Vector:
        d = x[at] - c
        return np.concatenate([x[outside], np.clip(signed_parts(d, d), below, above)])

    moved = (
        LinearRows(
            sp.csr_array(row.matrix @ matrix),
            row.lower - row.matrix @ offset,
            row.upper - row.matrix @ offset,
        )
        for row in form.rows
    )
    in_y = ScipyForm(
        np.concatenate([lower[outside], below]),
        np.concatenate([upper[outside], above]),
        (LinearRows(ball, np.array([-np.inf]), np.array([radius])), *moved),
        tuple(
            row.substituted(
                lambda y: offset + matrix @ y, lambda v: matrix @ v, lambda g: matrix.T @ g
            )
            for row in form.smooth
        ),
    )
    return Substitution(in_y, matrix, offset, inverse)


def in_units(form: ScipyForm, units: Vector) -> ScipyForm:
    """Return bounds, rows and smooth constraints of ``y / units``, y the variables of the form.

    Parameters
    ----------
    form : ScipyForm
        Without L1 balls.
    units : numpy.ndarray, shape (N,)
        One unit > 0 for each of its variables.
    """
    diagonal = sp.diags_array(units).tocsr()
    rows = tuple(LinearRows(sp.csr_array(r.matrix @ diagonal), r.lower, r.upper) for r in form.rows)
    multiplied = units.__mul__
    smooth = tuple(row.substituted(multiplied, multiplied, multiplied) for row in form.smooth)
    return ScipyForm(form.lower / units, form.upper / units, rows, smooth)


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
