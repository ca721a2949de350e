"""Mixtures: shares that add up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp
from typing_extensions import override

from constrained_actmax.errors import InfeasibleError, SpecificationError
from constrained_actmax.layout import Region, Rows, Vector
from constrained_actmax.sets.base import ConvexSet, checked_number, short
from constrained_actmax.sets.groups import labels_of_groups
from constrained_actmax.sets.linear import ROUNDING_OF_A_SUM, project_on_row_in_box
from constrained_actmax.sets.part import Part
from constrained_actmax.sets.scipy_form import LinearRows, ScipyForm

if TYPE_CHECKING:
    import cvxpy as cp


@dataclass(frozen=True, eq=False, repr=False)
class Simplex(ConvexSet):
    r"""Shares that add up, :math:`\{x : \sum_{i \in g} x_i = s,\ 0 \le x \le u\}` for each group g.

    Parameters
    ----------
    total : float, default 1
        s > 0, what the entries of each group add up to.
    upper : array_like, optional
        u, the largest share of an entry.
    groups : sequence of sequences of str, or array_like of int, optional
        Feature names that belong together (one simplex for each list, at every position of the
        other axes), or a label for each entry with -1 for those in no group. By default all
        entries are one group.
    on, where, name
        See `ConvexSet`.

    Raises
    ------
    SpecificationError
        If the total is not positive, or a name or label does not fit.
    InfeasibleError
        If upper bounds add up to less than the total.

    Notes
    -----
    Alone or with a box the projection is ``clip(y - t, l, u)`` with t the root of a
    piecewise-linear function for each group, all groups at once [1]_; exact, O(n) a pass.

    References
    ----------
    .. [1] Condat (2016), Fast projection onto the simplex and the l1 ball, Math. Program. 158.

    Examples
    --------
    >>> import constrained_actmax as cax
    >>> cax.Simplex().project([0.5, 1.0, -3.0])
    array([0.25, 0.75, 0.  ])
    """

    total: float = 1.0
    upper: Any = None
    groups: Any = None
    _places: Any = field(default=None, init=False, repr=False)  # (G, k) entries, -1 for none

    violation_norm = "largest error of a sum or a bound"
    projects_in_box = True
    method_alone = "root of the dual, exact, O(n) a pass"

    def __post_init__(self) -> None:
        total = checked_number(self.total, "total", "Simplex", minimum=0.0)
        if total == 0.0:
            raise SpecificationError("Simplex: total must be > 0; hold entries at 0 with Fixed.")
        object.__setattr__(self, "total", total)

    # -- binding ---------------------------------------------------------------------------------

    @override
    def _bound(self, region: Region) -> Simplex:
        upper = region.flatten(np.inf if self.upper is None else self.upper, "Simplex: upper")
        if np.any(upper < 0.0):
            raise SpecificationError(f"Simplex: upper must be >= 0, got {float(upper.min()):g}.")
        labels = labels_of_groups(self.groups, region, "Simplex")
        bound = replace(self, upper=upper, groups=labels)
        used = np.flatnonzero(labels >= 0)
        order = used[np.argsort(labels[used], kind="stable")]
        _, starts, sizes = np.unique(labels[order], return_index=True, return_counts=True)
        places = np.full((len(sizes), sizes.max(initial=0)), -1)
        for group, (start, size) in enumerate(zip(starts, sizes, strict=True)):
            places[group, :size] = order[start : start + size]
        object.__setattr__(bound, "_places", places)
        unlimited = np.full(region.dimension, np.inf)
        short_of = bound.excess_in_box(-unlimited, unlimited)
        if short_of > ROUNDING_OF_A_SUM * self.total:
            raise InfeasibleError(
                f"{self.describe()}: the upper bounds of a group add up to {short_of:g} less than "
                f"the total {self.total:g}."
            )
        return bound

    @override
    def split(self) -> Sequence[ConvexSet]:
        used = np.flatnonzero(self.groups >= 0)
        if used.size == self.dimension:
            return (self,)
        every = np.arange(used.size)
        inner = replace(self, upper=self.upper[used], groups=self.groups[used])
        inner = inner._bound(Region(used.size, every, (used.size,), (used.size,), every))
        object.__setattr__(inner, "_region", Region(used.size, every, None, None, every))
        return (Part(inner, used, self.dimension),)

    @override
    def describe(self) -> str:
        count = (
            ""
            if self._places is None or len(self._places) == 1
            else (f", {len(self._places)} groups")
        )
        if self._places is None and self.groups is not None:
            count = ", groups"
        upper = (
            ""
            if self.upper is None or short(self.upper) == "inf"
            else (f", upper={short(self.upper)}")
        )
        return f"Simplex({short(self.total)}{upper}{count})"

    # -- the set ---------------------------------------------------------------------------------

    @override
    def bounding_box(self) -> tuple[Vector, Vector]:
        grouped = self.groups >= 0
        return (
            np.where(grouped, 0.0, -np.inf),
            np.where(grouped, np.minimum(self.upper, self.total), np.inf),
        )

    @override
    def centre(self) -> Vector:
        return np.asarray(self._project(np.zeros((1, self.dimension)))[0])

    def _gathered(self, values: Rows, missing: float) -> Rows:
        """Return (B G, k): the entries of each group of each row, `missing` where there is none."""
        taken = np.where(self._places >= 0, values[..., self._places], missing)
        return taken.reshape(-1, self._places.shape[1])

    def _limits(self, lower: Vector, upper: Vector) -> tuple[Vector, Vector]:
        return np.maximum(lower, 0.0), np.minimum(upper, self.upper)

    @override
    def excess_in_box(self, lower: Vector, upper: Vector) -> float:
        low, high = self._limits(lower, upper)
        grouped = self.groups >= 0
        crossed = float(np.max((low - high)[grouped], initial=0.0))
        least = self._gathered(low, 0.0).sum(axis=1)
        most = self._gathered(high, 0.0).sum(axis=1)
        gap = np.maximum(least - self.total, self.total - most)
        return max(crossed, float(np.max(gap)))

    @override
    def _project(self, x: Rows) -> Rows:
        unlimited = np.full(self.dimension, np.inf)
        return self._project_in_box(x, -unlimited, unlimited)[0]

    @override
    def _project_in_box(self, x: Rows, lower: Vector, upper: Vector) -> tuple[Rows, Vector]:
        p = np.minimum(np.maximum(x, lower), upper)
        low, high = (self._gathered(one, 0.0) for one in self._limits(lower, upper))
        count = len(x)
        y = self._gathered(x, 0.0)
        found, dual = project_on_row_in_box(
            y,
            np.ones(y.shape[1]),
            self.total,
            self.total,
            np.tile(low, (count, 1)),
            np.tile(high, (count, 1)),
        )
        real = self._places >= 0
        p[:, self._places[real]] = found.reshape(count, *self._places.shape)[:, real]
        return p, dual if len(self._places) == 1 else np.full(count, np.nan)

    @override
    def _violation(self, x: Rows) -> Vector:
        sums = self._gathered(x, 0.0).sum(axis=1).reshape(len(x), -1)
        off = np.max(np.abs(sums - self.total), axis=1, initial=0.0)
        grouped = self.groups >= 0
        beyond = np.maximum(-x[:, grouped], (x - self.upper)[:, grouped])
        return np.asarray(np.maximum(off, np.max(beyond, axis=1, initial=0.0)))

    @override
    def _scale(self, x: Rows) -> Vector:
        return np.full(len(x), self.total)

    @override
    def _linear_maximizer(self, g: Rows) -> Rows:
        unlimited = np.full(self.dimension, np.inf)
        return self._linear_maximizer_in_box(g, -unlimited, unlimited)

    @override
    def _linear_maximizer_in_box(self, g: Rows, lower: Vector, upper: Vector) -> Rows:
        # In each group, from the lower bounds up: the largest rate first, until the total is spent.
        low, high = (self._gathered(one, 0.0) for one in self._limits(lower, upper))
        count = len(g)
        low, high = np.tile(low, (count, 1)), np.tile(high, (count, 1))
        order = np.argsort(-self._gathered(g, -np.inf), axis=1, kind="stable")
        room = np.take_along_axis(np.minimum(high - low, self.total), order, axis=1)
        left = self.total - low.sum(axis=1, keepdims=True)
        spent = np.clip(left - (np.cumsum(room, axis=1) - room), 0.0, room)
        found = low.copy()
        np.put_along_axis(found, order, np.take_along_axis(low, order, axis=1) + spent, axis=1)
        grouped = self.groups >= 0
        free = np.where(g > 0, upper, np.where(g < 0, lower, np.clip(0.0, lower, upper)))
        if not np.isfinite(free[:, ~grouped]).all():
            raise SpecificationError(f"{self}: g'x has no maximum, entries in no group are free.")
        real = self._places >= 0
        free[:, self._places[real]] = found.reshape(count, *self._places.shape)[:, real]
        return free

    def _rows_matrix(self) -> sp.csr_array:
        real = self._places >= 0
        group = np.broadcast_to(np.arange(len(self._places))[:, np.newaxis], real.shape)[real]
        shape = (len(self._places), self.dimension)
        return sp.csr_array((np.ones(group.size), (group, self._places[real])), shape=shape)

    @override
    def _to_cvxpy(self, variable: cp.Variable) -> list[cp.Constraint]:
        rows = [self._rows_matrix() @ variable == self.total]
        grouped = np.flatnonzero(self.groups >= 0)
        rows.append(variable[grouped] >= 0.0)
        capped = grouped[np.isfinite(self.upper[grouped])]
        if capped.size:
            rows.append(variable[capped] <= self.upper[capped])
        return rows

    @override
    def _to_scipy(self, lower: Vector, upper: Vector) -> ScipyForm:
        total = np.full(len(self._places), self.total)
        grouped = self.groups >= 0
        return ScipyForm(
            np.where(grouped, 0.0, -np.inf),
            np.where(grouped, self.upper, np.inf),
            rows=(LinearRows(self._rows_matrix(), total, total),),
        )
