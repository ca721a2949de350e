"""Budget on how many groups change, and by how much."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp
from typing_extensions import override

from constrained_actmax.errors import SpecificationError
from constrained_actmax.layout import Indices, Region, Rows, Vector
from constrained_actmax.sets.base import ConvexSet, checked_number, short
from constrained_actmax.sets.dual_root import (
    clipped_line_root,
    falling_root,
    falling_roots,
    pulled_inside,
)

if TYPE_CHECKING:
    import cvxpy as cp

SMALLEST = 1e-300  # a share above zero


@dataclass(frozen=True, eq=False, repr=False)
class GroupBall(ConvexSet):
    r"""L1 ball of group norms, :math:`\{x : \sum_g \|x_g - c_g\|_2 \le r\}`.

    Parameters
    ----------
    radius : float
        r >= 0, in the units of the model's input.
    groups : array_like of int, optional
        Label of each entry's group, of the input's shape (broadcast); by default entries along
        the last axis, such as the channels of a pixel, belong together.
    center : array_like, default 0
        c, the input that changes are counted from.
    on, where, name
        See `ConvexSet`.

    Raises
    ------
    SpecificationError
        If the radius is negative or not finite, or labels do not fit.

    Notes
    -----
    Alone the norms of the groups are projected on the L1 ball and the groups rescaled [1]_. With a
    box the projection is ``clip(c + theta (y - c), l, u)``, each group's theta the root of
    ``|p - c| (1 - theta) / theta = t``, and t the root of the sum of norms. Both are exact up to
    rounding, O(n) a pass, some 5 passes alone and 40 with a box.

    References
    ----------
    .. [1] van den Berg, Schmidt, Friedlander, Murphy (2008), Group sparsity via linear-time
       projection, TR-2008-09, University of British Columbia.
    """

    radius: float
    groups: Any = None
    center: Any = 0.0
    _sum: Any = field(default=None, init=False, repr=False)  # (n, G), ones: sums over groups
    _places: Any = field(default=None, init=False, repr=False)  # (G, k) entries, -1 for none

    violation_norm = "excess of the sum of the groups' changes"
    projects_in_box = True
    method_alone = "L1 projection of the groups' lengths, exact, O(n)"
    method_in_box = "with its box by a root for each group within the root of the dual, exact, O(n)"

    def __post_init__(self) -> None:
        radius = checked_number(self.radius, "radius", "GroupBall", minimum=0.0)
        object.__setattr__(self, "radius", radius)

    @override
    def _bound(self, region: Region) -> GroupBall:
        center = region.flatten(self.center, "GroupBall: center")
        if not np.isfinite(center).all():
            raise SpecificationError("GroupBall: center must be finite.")
        if self.groups is None:
            if region.whole is None:
                raise SpecificationError('GroupBall: say which input with on="input name".')
            last = region.whole[-1] if region.whole else 1
            _, label = np.unique(region.positions // last, return_inverse=True)
        else:
            given = region.flatten(self.groups, "GroupBall: groups")
            _, label = np.unique(given, return_inverse=True)
        n = region.dimension
        bound = replace(self, center=center, groups=label)
        summing = sp.csr_array((np.ones(n), (np.arange(n), label)), shape=(n, label.max() + 1))
        object.__setattr__(bound, "_sum", summing)
        object.__setattr__(bound, "_places", places_of(label))
        return bound

    @override
    def describe(self) -> str:
        center = short(self.center)
        at = "" if center == "0" else f", center={center}"
        count = "" if self._sum is None else f", {self._sum.shape[1]} groups"
        return f"GroupBall({short(self.radius)}{count}{at})"

    @override
    def bounding_box(self) -> tuple[Vector, Vector]:
        return self.center - self.radius, self.center + self.radius

    @override
    def centre(self) -> Vector:
        return np.array(self.center)

    @property
    @override
    def diameter(self) -> float:
        return 2.0 * self.radius

    def _norms(self, d: Rows) -> Rows:
        # The largest entry is taken out first: squares of 1e-200 vanish, of 1e200 overflow.
        size = np.max(np.abs(d), axis=1, initial=0.0, keepdims=True)
        size[size == 0.0] = 1.0
        return np.asarray(np.sqrt((d / size) ** 2 @ self._sum) * size)

    def _height(self, x: Rows) -> Vector:
        return np.asarray(self._norms(x - self.center).sum(axis=1))

    @override
    def _violation(self, x: Rows) -> Vector:
        return np.maximum(0.0, self._height(x) - self.radius)

    @override
    def _scale(self, x: Rows) -> Vector:
        largest = float(np.max(np.abs(self.center), initial=0.0))
        return np.full(len(x), max(self.radius, largest))

    @override
    def _project(self, x: Rows) -> Rows:
        return self._project_with_dual(x)[0]

    @override
    def _project_with_dual(self, x: Rows) -> tuple[Rows, Vector]:
        p, dual = x.copy(), np.zeros(len(x))
        d = x - self.center
        norms = self._norms(d)
        out = np.flatnonzero(norms.sum(axis=1) > self.radius)
        if not out.size:
            return p, dual
        share, t = shrunk_norms(norms[out], self.radius)
        moved = self.center + d[out] * share[:, self.groups]
        unlimited = np.full(self.dimension, np.inf)
        p[out] = pulled_inside(moved, self.center, -unlimited, unlimited, self._height, self.radius)
        dual[out] = t
        return p, dual

    @override
    def excess_in_box(self, lower: Vector, upper: Vector) -> float:
        nearest = np.clip(self.center, lower, upper)
        return float(self._height(nearest[np.newaxis])[0]) - self.radius

    @override
    def _project_in_box(self, x: Rows, lower: Vector, upper: Vector) -> tuple[Rows, Vector]:
        p = np.minimum(np.maximum(x, lower), upper)
        dual = np.zeros(len(x))
        out = np.flatnonzero(self._height(p) > self.radius)
        nearest = np.minimum(np.maximum(self.center, lower), upper)
        for row in out:
            share, dual[row] = self._shares_in_box(x[row] - self.center, lower, upper)
            p[row] = self.center + share[self.groups] * (x[row] - self.center)
        p[out] = np.minimum(np.maximum(p[out], lower), upper)
        p[out] = pulled_inside(p[out], nearest, lower, upper, self._height, self.radius)
        return p, dual

    def _shares_in_box(self, d: Vector, lower: Vector, upper: Vector) -> tuple[Vector, float]:
        """Return by how much each group's change is shortened before it is clipped, and t."""
        real = self._places >= 0
        d, low, high = (
            np.where(real, one[self._places], 0.0)
            for one in (d, lower - self.center, upper - self.center)
        )
        least = np.linalg.norm(np.clip(0.0, low, high), axis=1)
        # A group leaves its point nearest to c for t below this number.
        leaves = np.linalg.norm(
            np.where((d > 0.0) & (high > 0.0) | (d < 0.0) & (low < 0.0), d, 0.0), axis=1
        )
        leaves[least > 0.0] = np.inf
        length, share = np.linalg.norm(d, axis=1), np.ones(len(d))
        if least.sum() >= self.radius:
            return np.zeros(len(d)), float(leaves.max())

        def norms(theta: Vector, rows: Any) -> tuple[Vector, Vector]:
            d_, low_, high_ = d[rows], low[rows], high[rows]
            moved = theta[:, np.newaxis] * d_
            free = (moved > low_) & (moved < high_)
            rise = np.einsum("ij,ij,ij->i", d_, moved, free)
            np.maximum(moved, low_, out=moved)
            np.minimum(moved, high_, out=moved)
            norm = np.sqrt(np.einsum("ij,ij->i", moved, moved))
            return norm, np.divide(rise, norm, out=np.zeros_like(norm), where=norm > 0.0)

        def evaluate(t: float) -> tuple[float, float]:
            live = np.flatnonzero(leaves > t)
            before = share[live]

            def gap(theta: Vector, rows: Any) -> tuple[Vector, Vector]:
                norm, rise = norms(theta, live[rows])
                return (
                    norm * (1.0 - theta) / theta - t,
                    (rise * (1.0 - theta) * theta - norm) / theta**2,
                )

            share[:] = 0.0
            share[live] = falling_roots(
                gap,
                np.maximum(t, length[live]),
                np.clip(before, 0.1, 0.9),
                np.zeros(live.size),
                np.ones(live.size),
            )
            norm, rise = norms(share[live], live)
            theta = share[live]
            fall = theta / np.minimum(rise * (1.0 - theta) - norm - t, -SMALLEST)
            return float(norm.sum() + least[leaves <= t].sum() - self.radius), float(fall @ rise)

        finite = leaves[np.isfinite(leaves)]
        start = 0.1 * float(finite.max(initial=0.0))
        t = falling_root(evaluate, self.radius, start, 0.0, unit=lambda: self.radius)
        evaluate(t)
        return share, t

    @override
    def _linear_maximizer(self, g: Rows) -> Rows:
        norms = self._norms(g)
        best = np.argmax(norms, axis=1)
        chosen = self.groups == best[:, np.newaxis]
        length = np.maximum(norms[np.arange(len(g)), best], np.finfo(np.float64).tiny)
        return np.asarray(
            self.center + np.where(chosen, self.radius * g / length[:, np.newaxis], 0.0)
        )

    @override
    def _to_cvxpy(self, variable: cp.Variable) -> list[cp.Constraint]:
        import cvxpy as cp

        d = variable - self.center
        members = [np.flatnonzero(self.groups == one) for one in range(self._sum.shape[1])]
        sizes = {len(one) for one in members}
        if len(sizes) == 1:
            stacked = cp.reshape(d[np.concatenate(members)], (len(members), sizes.pop()), order="C")
            return [cp.sum(cp.norm(stacked, 2, axis=1)) <= self.radius]
        return [sum(cp.norm(d[one], 2) for one in members) <= self.radius]


def places_of(label: Indices) -> Indices:
    """Return (G, k): the entries of each group, -1 where a group has fewer than k."""
    order = np.argsort(label, kind="stable")
    _, starts, sizes = np.unique(label[order], return_index=True, return_counts=True)
    column = np.arange(len(label)) - np.repeat(starts, sizes)
    places = np.full((len(sizes), int(sizes.max(initial=0))), -1)
    places[label[order], column] = order
    return places


def shrunk_norms(norms: Rows, radius: float, start: Vector | None = None) -> tuple[Rows, Vector]:
    """Return the factors that bring groups of these norms on the ball, and the thresholds."""
    count = norms.shape[1]
    target = np.full(len(norms), radius)
    t = clipped_line_root(
        norms, np.ones(count), np.zeros(count), np.full(count, np.inf), target, target, start
    )
    t = np.maximum(t, 0.0)
    left = np.maximum(norms - t[:, np.newaxis], 0.0)
    return np.divide(left, norms, out=np.zeros_like(norms), where=norms > 0.0), t
