"""One category of each group."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import scipy.sparse as sp
from typing_extensions import override

from constrained_actmax.kernels.discrete import Bounds, DiscreteKernel
from constrained_actmax.kernels.kernel import Kernel
from constrained_actmax.kernels.linear import LinearKernel
from constrained_actmax.layout import Indices, Rows, Vector


@dataclass(frozen=True, eq=False, repr=False)
class OneHotKernel(DiscreteKernel):
    r"""One entry of each group at its height, others 0, :math:`\{x : x_g \in \{h_1 e_1, \dots\}\}`.

    Parameters
    ----------
    groups : numpy.ndarray of int, shape (n,)
        The group of each entry, 0 to G - 1.
    height : numpy.ndarray, shape (n,)
        h, 1 in the user's units.
    dropped : bool
        Whether all entries of a group may be 0.
    """

    groups: Indices
    height: Vector
    dropped: bool

    violation_norm = "largest distance of an entry to 0 or 1, of one category a group"
    projection_method = "largest entry of each group, exact, O(n)"

    @property
    @override
    def size(self) -> int:
        return len(self.groups)

    @cached_property
    def _members(self) -> list[Indices]:
        return [np.flatnonzero(self.groups == group) for group in range(self.groups.max() + 1)]

    @override
    def scaled(self, units: Vector) -> OneHotKernel:
        return replace(self, height=self.height / units)

    @override
    def hull(self, lower: Vector, upper: Vector) -> tuple[Kernel, ...]:
        rows = np.zeros((len(self._members), self.size))
        for row, at in zip(rows, self._members, strict=True):
            row[at] = 1.0 / self.height[at]
        least, most = np.full(len(rows), 0.0 if self.dropped else 1.0), np.ones(len(rows))
        return (LinearKernel(sp.csr_array(rows), least, most, label=str(self)),)

    @override
    def bounding_box(self) -> Bounds:
        return np.zeros(self.size), self.height.copy()

    def _allowed(self, at: Indices, lower: Vector, upper: Vector) -> np.ndarray:
        """Return which entries of a group a box lets be the one; last, whether it lets none be."""
        low, high, height = lower[at], upper[at], self.height[at]
        zero = (low <= 0.0) & (high >= 0.0)
        others: np.ndarray = np.sum(~zero) - ~zero == 0
        hot = (low <= height) & (high >= height) & others
        return np.append(hot, self.dropped and zero.all())

    @override
    def tightened(self, lower: Vector, upper: Vector) -> Bounds:
        low, high = np.array(lower), np.array(upper)
        for at in self._members:
            allowed = self._allowed(at, lower, upper)
            if not allowed.any():
                low[at], high[at] = np.inf, -np.inf
                continue
            single = allowed[:-1] & (allowed.sum() == 1)
            low[at] = np.where(single, self.height[at], 0.0)
            high[at] = np.where(allowed[:-1], self.height[at], 0.0)
        return low, high

    @override
    def emptiness(self, lower: Vector, upper: Vector) -> tuple[int, str] | None:
        for at in self._members:
            if not self._allowed(at, lower, upper).any():
                return int(at[0]), "the bounds leave no category of its group"
        return None

    @override
    def branches(self, p: Vector, lower: Vector, upper: Vector) -> list[Bounds]:
        group = int(
            np.argmax([np.max(self.distances(p[np.newaxis])[0, at]) for at in self._members])
        )
        at = self._members[group]
        return self.parts(int(at[int(np.argmax(p[at] / self.height[at]))]), lower, upper)

    @override
    def parts(self, entry: int, lower: Vector, upper: Vector) -> list[Bounds]:
        at = np.flatnonzero(self.groups == self.groups[entry])
        chosen, rest = (lower.copy(), upper.copy()), (lower.copy(), upper.copy())
        chosen[0][at], chosen[1][at] = 0.0, 0.0
        chosen[0][entry] = chosen[1][entry] = self.height[entry]
        rest[1][entry] = 0.0
        return [chosen, rest]

    @override
    def joined(self, lower: Vector, upper: Vector) -> int:
        open_ = [int(np.count_nonzero(lower[at] < upper[at])) for at in self._members]
        return sum(max(0, count - 1) for count in open_)

    @override
    def neighbours(self, x: Vector, lower: Vector, upper: Vector) -> Rows:
        moved = []
        for at in self._members:
            allowed = self._allowed(at, lower, upper)
            for index in np.flatnonzero(allowed).tolist():
                y = x.copy()
                y[at] = 0.0
                if index < at.size:
                    y[at[index]] = self.height[at[index]]
                if not np.array_equal(x, y):
                    moved.append(y)
        return np.array(moved).reshape(-1, len(x))

    @override
    def choices(self, lower: Vector, upper: Vector) -> list[tuple[Indices, Rows]] | None:
        return [(at, self._vertices(at)[self._allowed(at, lower, upper)]) for at in self._members]

    def _vertices(self, at: Indices) -> Rows:
        """Return what one group may be (k + 1, k): last, none of its categories."""
        return np.append(np.diag(self.height[at]), np.zeros((1, at.size)), axis=0)

    def _choice(self, x: Rows, at: Indices, allowed: np.ndarray) -> Rows:
        """Return the nearest allowed vertex of one group to rows (B, k)."""
        height = self.height[at]
        gain = np.append((2.0 * x - height) * height, np.zeros((len(x), 1)), axis=1)
        best = np.argmax(np.where(allowed, gain, -np.inf), axis=1)
        chosen: Rows = self._vertices(at)[best]
        return chosen

    @override
    def projected_in(self, lower: Vector, upper: Vector, x: Rows) -> tuple[Rows, Vector]:
        p = np.empty_like(x)
        for at in self._members:
            p[:, at] = self._choice(x[:, at], at, self._allowed(at, lower, upper))
        return p, np.full(len(x), np.nan)

    @override
    def distances(self, x: Rows) -> Rows:
        off = np.empty_like(x)
        for at in self._members:
            any_ = np.append(np.ones(at.size, dtype=bool), self.dropped)
            off[:, at] = np.abs(x[:, at] - self._choice(x[:, at], at, any_))
        return off

    @override
    def sizes(self) -> Vector:
        return np.asarray(self.height)
