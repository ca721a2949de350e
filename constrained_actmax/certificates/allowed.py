"""The largest value of linear functions over boxes and the user's set, bounded by duality."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import linprog

from constrained_actmax.errors import RefusedError
from constrained_actmax.kernels.intersection import IntersectionKernel
from constrained_actmax.layout import Indices, Rows, Vector
from constrained_actmax.problem import Problem

Array = npt.NDArray[Any]

EPSILON = float(np.finfo(np.float64).eps)
MOST_ROWS = 64  # linear rows that are used
#: Halvings for each multiplier, and rounds over all of them: where it has to be near the best, and
#: where it has to be quick. Any multiplier gives a bound.
ACCURATE, QUICK = (48, 4), (16, 1)
PENALTY = 1e4  # of a broken inequality in a program, relative to the slope
BEYOND = 1e6  # a multiplier so many times larger than any that can balance shows an empty set


@dataclass(frozen=True, eq=False)
class Allowed:
    r"""C as a box, rows :math:`A x \le b`, L1 balls and balls with a diagonal metric.

    The largest :math:`g^\top x` over C and a box is at most, for any multipliers
    :math:`\lambda, t, s \ge 0`,

    .. math:: \lambda^\top b + \sum_k t_k r_k + \sum_k s_k r_k^2 + \max_{l \le x \le u}
        (g - A^\top \lambda)^\top x - \sum_k t_k \|x - c_k\|_{1, w_k}
        - \sum_k s_k \|x - c_k\|_{q_k}^2

    where the maximum is taken entry by entry in closed form. One multiplier is found by bisection;
    several are found in turns. Numbers of C are enlarged by the tolerance of its projection.

    Parameters
    ----------
    lower, upper : numpy.ndarray, shape (n,)
        The bounding box of C.
    matrix, most : numpy.ndarray, shapes (q, n) and (q,)
        A and b.
    l1, squares : tuple of (center, weights, radius)
        Balls; of each kind no two speak of the same entry.
    complete : bool
        Whether this is all of C; where not, it is a larger set.
    """

    lower: Vector
    upper: Vector
    matrix: Array
    most: Vector
    l1: tuple[tuple[Vector, Vector, float], ...]
    squares: tuple[tuple[Vector, Vector, float], ...]
    complete: bool

    @property
    def only_box(self) -> bool:
        """Whether bounds are all there is."""
        return not (len(self.most) or self.l1 or self.squares)

    @classmethod
    def of(cls, problem: Problem) -> Allowed:
        """Return the set of a problem.

        Raises
        ------
        RefusedError
            If it has no finite bounds.
        """
        whole = problem.set.hull
        assert isinstance(whole, IntersectionKernel)
        lower, upper = whole.bounding_box()
        open_ = np.flatnonzero(~(np.isfinite(lower) & np.isfinite(upper)))
        if open_.size:
            raise RefusedError(
                f"certify: {problem.layout.describe(int(open_[0]))} has no finite bounds in "
                f"{whole.describe()}; add a Box."
            )
        n, tolerance = whole.size, max(whole.tolerance, problem.set.tolerance)
        wider = tolerance * np.where(upper > lower, upper - lower, np.abs(upper))
        rows: list[Array] = []
        limits: list[float] = []
        l1: list[tuple[Vector, Vector, float]] = []
        squares: list[tuple[Vector, Vector, float]] = []
        taken = {"l1": np.zeros(n, dtype=bool), "squares": np.zeros(n, dtype=bool)}
        complete = True
        for member in whole.members:
            if member.is_box:
                continue
            form = member.to_scipy(lower, upper) if member.convex else None
            if form is None or form.squares is None:
                complete = False
                continue
            for some in form.rows:
                if len(rows) + 2 * some.matrix.shape[0] > MOST_ROWS:
                    complete = False
                    continue
                dense = some.matrix.toarray()
                for sign, bounds in ((1.0, some.upper), (-1.0, some.lower)):
                    for row, bound in zip(dense, bounds, strict=True):
                        if np.isfinite(bound):
                            size = float(np.abs(row) @ np.maximum(np.abs(lower), np.abs(upper)))
                            rows.append(sign * row)
                            limits.append(sign * float(bound) + tolerance * (size + abs(bound)))
            for name, balls, kept in (("l1", form.l1, l1), ("squares", form.squares, squares)):
                for center, weights, radius in balls:
                    touched = weights > 0.0
                    if (taken[name] & touched).any():
                        complete = False
                        continue
                    taken[name] |= touched
                    size = radius + float(np.abs(center[touched]).max(initial=0.0))
                    kept.append((center, weights, radius + tolerance * size))
        return cls(
            lower - wider,
            upper + wider,
            np.array(rows).reshape(-1, n),
            np.array(limits),
            tuple(l1),
            tuple(squares),
            complete,
        )

    # -- the dual ----------------------------------------------------------------------------------

    def maximum(
        self,
        g: Rows,
        lower: Rows,
        upper: Rows,
        *,
        rows: Array | None = None,
        most: Rows | None = None,
        effort: tuple[int, int] = QUICK,
        cutoff: Vector | None = None,
    ) -> tuple[Vector, Rows]:
        """Return an upper bound of g'x over C and a box, for each row, and a point for each.

        Parameters
        ----------
        g, lower, upper : numpy.ndarray, shape (R, n)
            Slopes and boxes.
        rows, most : numpy.ndarray, shapes (R, q, n) and (R, q), optional
            Further inequalities of each row.
        effort : (int, int)
            Halvings and rounds.
        cutoff : numpy.ndarray, shape (R,), optional
            Rows that stay above this get a linear program each, where C has no balls.
        """
        if self.only_box and rows is None:
            x = np.where(g > 0.0, upper, lower)
            value = np.einsum("rn,rn->r", g, x)
            return value + self._rounding(np.abs(g), lower, upper), x
        dual = _Dual(self, g, lower, upper, rows, most)
        dual.descend(*effort)
        if cutoff is not None and dual.linear > 1:
            dual.solve_programs(np.flatnonzero(dual.value()[0] > cutoff))
        value, x = dual.value()
        for row, point in dual.named.items():
            x[row] = point
        return value + self._rounding(dual.sizes(), lower, upper) + dual.constant_error(), x

    def _rounding(self, sizes: Rows, lower: Rows, upper: Rows) -> Vector:
        reach = np.maximum(np.abs(lower), np.abs(upper))
        total = np.einsum("rn,rn->r", sizes, reach)
        return np.asarray(2.0 * (sizes.shape[1] + 8) * EPSILON * total)


class _Dual:
    """The dual of one batch: its multipliers, one column for each inequality."""

    def __init__(
        self,
        allowed: Allowed,
        g: Rows,
        lower: Rows,
        upper: Rows,
        rows: Array | None,
        most: Rows | None,
    ) -> None:
        self.g, self.lower, self.upper = g, lower, upper
        count, n = g.shape
        fixed = np.broadcast_to(allowed.matrix, (count, *allowed.matrix.shape))
        limits = np.broadcast_to(allowed.most, (count, len(allowed.most)))
        if rows is not None and most is not None:
            fixed = np.concatenate([fixed, rows], axis=1)
            limits = np.concatenate([limits, most], axis=1)
        self.matrix, self.limits = fixed, limits
        self.linear = fixed.shape[1]
        self.l1, self.squares = allowed.l1, allowed.squares
        self.named: dict[int, Vector] = {}  # maximisers of programs
        self.multipliers = np.zeros((count, self.linear + len(self.l1) + len(self.squares)))
        self.c1, self.c2 = np.zeros(n), np.zeros(n)
        for center, weights, _ in self.l1:
            self.c1 = np.where(weights > 0.0, center, self.c1)
        for center, weights, _ in self.squares:
            self.c2 = np.where(weights > 0.0, center, self.c2)

    def _terms(self, multipliers: Array, live: Any) -> tuple[Rows, Rows, Rows]:
        q, k = self.linear, len(self.l1)
        h = self.g[live]
        if q:
            h = h - np.einsum("rq,rqn->rn", multipliers[:, :q], self.matrix[live])
        t, s = np.zeros_like(h), np.zeros_like(h)
        for index, (_, weights, _) in enumerate(self.l1):
            t += multipliers[:, q + index, np.newaxis] * weights
        for index, (_, weights, _) in enumerate(self.squares):
            s += multipliers[:, q + k + index, np.newaxis] * weights
        return h, t, s

    def _point(self, h: Rows, t: Rows, s: Rows, live: Any) -> Rows:
        """Return the maximiser of h x - t |x - c1| - s (x - c2)^2 in the box, entry by entry."""
        lower, upper = self.lower[live], self.upper[live]
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            right = np.where(
                s > 0.0, self.c2 + (h - t) / (2.0 * s), np.where(h > t, np.inf, -np.inf)
            )
            left = np.where(
                s > 0.0, self.c2 + (h + t) / (2.0 * s), np.where(h < -t, -np.inf, np.inf)
            )
        x = np.where(right > self.c1, right, np.where(left < self.c1, left, self.c1))
        x = np.where((s == 0.0) & (t == 0.0), np.where(h > 0.0, np.inf, -np.inf), x)
        return np.clip(x, lower, upper)

    def _slack(self, x: Rows, index: int, live: Any) -> Vector:
        """Return the derivative of the dual by one multiplier."""
        q, k = self.linear, len(self.l1)
        if index < q:
            return np.asarray(
                self.limits[live, index] - np.einsum("rn,rn->r", self.matrix[live, index], x)
            )
        if index < q + k:
            center, weights, radius = self.l1[index - q]
            return np.asarray(radius - np.abs(x - center) @ weights)
        center, weights, radius = self.squares[index - q - k]
        return np.asarray(radius**2 - (x - center) ** 2 @ weights)

    def _largest(self, index: int) -> Vector:
        """Return a multiplier that is large enough for any balance."""
        q, k = self.linear, len(self.l1)
        h, t, s = self._terms(self.multipliers, slice(None))
        with np.errstate(divide="ignore", invalid="ignore"):
            if index < q:
                a = np.abs(self.matrix[:, index])
                reach = np.maximum(np.abs(self.lower), np.abs(self.upper))
                size = np.abs(h) + t + 2.0 * s * (reach + np.abs(self.c2))
                ratio = np.where(a > 0.0, size / a, 0.0)
                return np.asarray(ratio.max(axis=1))
            if index < q + k:
                weights = self.l1[index - q][1]
                return np.asarray(np.where(weights > 0.0, np.abs(h) / weights, 0.0).max(axis=1))
            _, weights, radius = self.squares[index - q - k]
            scaled = np.where(weights > 0.0, h**2 / weights, 0.0).sum(axis=1)
            return np.asarray(2.0 * np.sqrt(scaled) / max(radius, EPSILON))

    def descend(self, halvings: int, rounds: int) -> None:
        """Lower the dual along one multiplier after the other."""
        count = self.multipliers.shape[1]
        for _ in range(rounds if count > 1 else 1):
            for index in range(count):
                self._bisect(index, halvings)

    def solve_programs(self, live: Indices) -> None:
        """Take the multipliers of a linear program for some rows, where that lowers the dual.

        Its inequalities may give at a penalty, so that there are multipliers where they clash.
        """
        if self.l1 or self.squares or not self.linear:
            return
        before, _ = self.value()
        earlier = self.multipliers.copy()
        for row in live.tolist():
            matrix, limits = self.matrix[row], self.limits[row]
            wanted = (matrix != 0.0).any(axis=1) & np.isfinite(limits)
            sizes = np.abs(matrix[wanted]).max(axis=1)
            if not len(sizes):
                continue
            scale = float(np.abs(self.g[row]).max(initial=0.0)) or 1.0
            columns = np.hstack([matrix[wanted] / sizes[:, np.newaxis], -np.ones((len(sizes), 1))])
            solution = linprog(
                np.append(-self.g[row] / scale, PENALTY),
                columns,
                limits[wanted] / sizes,
                bounds=[*zip(self.lower[row], self.upper[row], strict=True), (0.0, None)],
                method="highs",
            )
            if solution.status == 0:
                self.named[row] = np.clip(solution.x[:-1], self.lower[row], self.upper[row])
                multiplier = np.maximum(-solution.ineqlin.marginals, 0.0)
                self.multipliers[row, np.flatnonzero(wanted)] = scale * multiplier / sizes
        after, _ = self.value()
        worse = after > before
        self.multipliers[worse] = earlier[worse]

    def _bisect(self, index: int, halvings: int) -> None:
        trial = self.multipliers.copy()
        trial[:, index] = 0.0
        x = self._point(*self._terms(trial, slice(None)), slice(None))
        live = np.flatnonzero(self._slack(x, index, slice(None)) < 0.0)
        self.multipliers[:, index] = 0.0
        if not live.size:
            return
        high = self._largest(index)[live] * (1.0 + EPSILON) + np.finfo(np.float64).tiny
        low = np.zeros(len(live))
        trial = trial[live]

        def slack(multiplier: Vector) -> Vector:
            trial[:, index] = multiplier
            return self._slack(self._point(*self._terms(trial, live), live), index, live)

        empty = slack(high) < 0.0
        far = BEYOND * high
        for _ in range(halvings):
            middle = 0.5 * (low + high)
            short = slack(middle) < 0.0
            low, high = np.where(short, middle, low), np.where(short, high, middle)
        self.multipliers[live, index] = np.where(empty, far, high)

    def value(self) -> tuple[Vector, Rows]:
        """Return the dual's value and the maximiser in the box."""
        q, k = self.linear, len(self.l1)
        h, t, s = self._terms(self.multipliers, slice(None))
        x = self._point(h, t, s, slice(None))
        inner = h * x - t * np.abs(x - self.c1) - s * (x - self.c2) ** 2
        value = inner.sum(axis=1) + np.einsum("rq,rq->r", self.multipliers[:, :q], self.limits)
        for index, (_, _, radius) in enumerate(self.l1):
            value = value + self.multipliers[:, q + index] * radius
        for index, (_, _, radius) in enumerate(self.squares):
            value = value + self.multipliers[:, q + k + index] * radius**2
        return value, x

    def sizes(self) -> Rows:
        """Return what each entry of the box is multiplied by at most, for the rounding."""
        q = self.linear
        h = np.abs(self.g) + np.einsum("rq,rqn->rn", self.multipliers[:, :q], np.abs(self.matrix))
        _, t, s = self._terms(self.multipliers, slice(None))
        reach = np.maximum(np.abs(self.lower), np.abs(self.upper))
        return np.asarray(h + t + s * (reach + 2.0 * np.abs(self.c2)))

    def constant_error(self) -> Vector:
        """Return the rounding of what does not depend on x."""
        q, k = self.linear, len(self.l1)
        _, t, s = self._terms(self.multipliers, slice(None))
        size = np.einsum("rq,rq->r", self.multipliers[:, :q], np.abs(self.limits))
        size = size + t @ np.abs(self.c1) + s @ self.c2**2
        for index, (_, _, radius) in enumerate(self.l1):
            size = size + self.multipliers[:, q + index] * radius
        for index, (_, _, radius) in enumerate(self.squares):
            size = size + self.multipliers[:, q + k + index] * radius**2
        return np.asarray(2.0 * (self.g.shape[1] + q + 8) * EPSILON * size)
