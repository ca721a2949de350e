"""Simplices."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
import scipy.sparse as sp
from typing_extensions import override

from constrained_actmax.kernels.group_ball import places_of
from constrained_actmax.kernels.kernel import InBox, PolyhedralKernel
from constrained_actmax.kernels.linear import project_on_row_in_box
from constrained_actmax.kernels.scipy_form import LinearRows, ScipyForm
from constrained_actmax.layout import Indices, Rows, Vector


@dataclass(frozen=True, eq=False, repr=False)
class SimplexKernel(PolyhedralKernel):
    r"""Simplices, :math:`\{x : \sum_{i \in g} x_i = s,\ 0 \le x \le u\}` for each group g.

    Parameters
    ----------
    total : float
        s > 0.
    upper : numpy.ndarray, shape (n,)
        u.
    groups : numpy.ndarray of int, shape (n,)
        The group of each entry, 0 to G - 1.
    """

    total: float
    upper: Vector
    groups: Indices

    violation_norm = "largest error of a sum or a bound"
    projection_method = "root of the dual, exact, O(n) a pass"

    @property
    @override
    def size(self) -> int:
        return len(self.groups)

    @cached_property
    def _places(self) -> Indices:
        return places_of(self.groups)

    @override
    def bounding_box(self) -> tuple[Vector, Vector]:
        return np.zeros(self.size), np.minimum(self.upper, self.total)

    @override
    def centre(self) -> Vector:
        return np.asarray(self.project(np.zeros((1, self.size)))[0])

    def _gathered(self, values: Rows, missing: float) -> Rows:
        """Return (B G, k): the entries of each group of each row, `missing` where there is none."""
        taken = np.where(self._places >= 0, values[..., self._places], missing)
        return taken.reshape(-1, self._places.shape[1])

    def _limits(self, lower: Vector, upper: Vector) -> tuple[Vector, Vector]:
        return np.maximum(lower, 0.0), np.minimum(upper, self.upper)

    def violation_in(self, lower: Vector, upper: Vector) -> float:
        """Return by how much bounds and totals miss each other at best, negative with room."""
        low, high = self._limits(lower, upper)
        crossed = float(np.max(low - high, initial=0.0))
        least = self._gathered(low, 0.0).sum(axis=1)
        most = self._gathered(high, 0.0).sum(axis=1)
        gap = np.maximum(least - self.total, self.total - most)
        return max(crossed, float(np.max(gap)))

    @override
    def project(self, x: Rows) -> Rows:
        return self.project_with_dual(x)[0]

    @override
    def project_with_dual(self, x: Rows) -> tuple[Rows, Vector]:
        p, _ = self._projected_in(*self._unlimited, x)
        return p, np.full(len(x), np.nan)

    @override
    def in_box(self, lower: Vector, upper: Vector) -> InBox:
        return InBox(partial(self._projected_in, lower, upper), self.violation_in(lower, upper))

    def _projected_in(self, lower: Vector, upper: Vector, x: Rows) -> tuple[Rows, Vector]:
        p = np.empty_like(x)
        low, high = (self._gathered(limit, 0.0) for limit in self._limits(lower, upper))
        count = len(x)
        y = self._gathered(x, 0.0)
        projection, dual = project_on_row_in_box(
            y,
            np.ones(y.shape[1]),
            self.total,
            self.total,
            np.tile(low, (count, 1)),
            np.tile(high, (count, 1)),
        )
        real = self._places >= 0
        p[:, self._places[real]] = projection.reshape(count, *self._places.shape)[:, real]
        return p, dual if len(self._places) == 1 else np.full(count, np.nan)

    @override
    def violation(self, x: Rows) -> Vector:
        sums = self._gathered(x, 0.0).sum(axis=1).reshape(len(x), -1)
        off = np.max(np.abs(sums - self.total), axis=1, initial=0.0)
        beyond = np.maximum(-x, x - self.upper)
        return np.asarray(np.maximum(off, np.max(beyond, axis=1, initial=0.0)))

    @override
    def scale(self, x: Rows) -> Vector:
        return np.full(len(x), self.total)

    @override
    def linear_maximizer(self, g: Rows) -> Rows:
        return self.linear_maximizer_in_box(g, *self._unlimited)

    @override
    def linear_maximizer_in_box(self, g: Rows, lower: Rows, upper: Rows) -> Rows:
        # In each group, from the lower bounds up: the largest rate first, until the total is spent.
        count = len(g)
        limits = (np.broadcast_to(limit, g.shape) for limit in self._limits(lower, upper))
        low, high = (self._gathered(limit, 0.0) for limit in limits)
        order = np.argsort(-self._gathered(g, -np.inf), axis=1, kind="stable")
        room = np.take_along_axis(np.minimum(high - low, self.total), order, axis=1)
        left = self.total - low.sum(axis=1, keepdims=True)
        spent = np.clip(left - (np.cumsum(room, axis=1) - room), 0.0, room)
        maximizers = low.copy()
        np.put_along_axis(maximizers, order, np.take_along_axis(low, order, axis=1) + spent, axis=1)
        real = self._places >= 0
        best = np.empty_like(g)
        best[:, self._places[real]] = maximizers.reshape(count, *self._places.shape)[:, real]
        return best

    @override
    def to_scipy(self, lower: Vector, upper: Vector) -> ScipyForm:
        total = np.full(len(self._places), self.total)
        sums = sp.csr_array((np.ones(self.size), (self.groups, np.arange(self.size))))
        rows = LinearRows(sums, total, total)
        return ScipyForm(np.zeros(self.size), self.upper.copy(), rows=(rows,))
