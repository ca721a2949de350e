"""L1 balls of the Euclidean norms of groups."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import numpy as np
from typing_extensions import override

from constrained_actmax.kernels.ball import BallKernel
from constrained_actmax.kernels.dual_root import clipped_line_root, falling_root, falling_roots
from constrained_actmax.kernels.kernel import Constraints, InBox, Variable
from constrained_actmax.layout import Indices, Rows, Vector

SMALLEST = 1e-300  # a share above zero


@dataclass(frozen=True, eq=False, repr=False)
class GroupBallKernel(BallKernel):
    r"""L1 ball of group norms, :math:`\{x : \sum_g \|x_g - c_g\|_2 \le r\}`.

    Parameters
    ----------
    groups : numpy.ndarray of int, shape (n,)
        The group of each entry, 0 to G - 1.
    """

    groups: Indices

    violation_norm = "sum of the groups' changes minus the radius"
    projection_method = "L1 projection of the groups' norms, exact, O(n)"

    @cached_property
    def _places(self) -> Indices:
        return places_of(self.groups)

    def _norms(self, d: Rows) -> Rows:
        # The largest entry is taken out first: squares of 1e-200 vanish, of 1e200 overflow.
        size = np.max(np.abs(d), axis=1, initial=0.0, keepdims=True)
        size[size == 0.0] = 1.0
        squares = [np.bincount(self.groups, row) for row in (d / size) ** 2]
        return np.asarray(np.sqrt(squares) * size)

    @override
    def norm(self, x: Rows) -> Vector:
        return np.asarray(self._norms(x - self.center).sum(axis=1))

    @override
    def onto(self, x: Rows, norm: Vector) -> tuple[Rows, Vector]:
        d = x - self.center
        share, t = shrunk_norms(self._norms(d), self.radius)
        return self.center + d * share[:, self.groups], t

    @override
    def in_box(self, lower: Vector, upper: Vector) -> InBox:
        boxed = self.boxed(lower, upper, partial(self._onto_in_box, lower, upper))
        method = "with its box by a root for each group within the root of the dual, exact, O(n)"
        return replace(boxed, method=method)

    def _onto_in_box(self, lower: Vector, upper: Vector, x: Rows) -> tuple[Rows, Vector]:
        p, dual = np.empty_like(x), np.zeros(len(x))
        for row, d in enumerate(x - self.center):
            share, dual[row] = self._shares_in_box(d, lower, upper)
            p[row] = self.center + share[self.groups] * d
        return np.minimum(np.maximum(p, lower), upper), dual

    def _shares_in_box(self, d: Vector, lower: Vector, upper: Vector) -> tuple[Vector, float]:
        """Return by how much each group's change is shortened before it is clipped, and t."""
        real = self._places >= 0
        d, low, high = (
            np.where(real, array[self._places], 0.0)
            for array in (d, lower - self.center, upper - self.center)
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
    def linear_maximizer(self, g: Rows) -> Rows:
        norms = self._norms(g)
        best = np.argmax(norms, axis=1)
        chosen = self.groups == best[:, np.newaxis]
        length = np.maximum(norms[np.arange(len(g)), best], np.finfo(np.float64).tiny)
        return np.asarray(
            self.center + np.where(chosen, self.radius * g / length[:, np.newaxis], 0.0)
        )

    @override
    def to_cvxpy(self, variable: Variable) -> Constraints:
        import cvxpy as cp

        d = variable - self.center
        members = [row[row >= 0] for row in self._places]
        sizes = {len(entries) for entries in members}
        if len(sizes) == 1:
            stacked = cp.reshape(d[np.concatenate(members)], (len(members), sizes.pop()), order="C")
            return [cp.sum(cp.norm(stacked, 2, axis=1)) <= self.radius]
        return [sum(cp.norm(d[entries], 2) for entries in members) <= self.radius]


def places_of(label: Indices) -> Indices:
    """Return (G, k): the entries of each group, -1 where a group has fewer than k."""
    order = np.argsort(label, kind="stable")
    _, starts, sizes = np.unique(label[order], return_index=True, return_counts=True)
    column = np.arange(len(label)) - np.repeat(starts, sizes)
    positions = np.full((len(sizes), int(sizes.max(initial=0))), -1)
    positions[label[order], column] = order
    return positions


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
