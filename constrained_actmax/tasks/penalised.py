"""The augmented Lagrangian's function in the place of f and c."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from typing_extensions import override

from constrained_actmax.errors import SpecificationError
from constrained_actmax.evaluation import Evaluation
from constrained_actmax.layout import Indices, Rows, Vector
from constrained_actmax.result import Status, Termination
from constrained_actmax.standard_form import DerivedForm, StandardForm
from constrained_actmax.tasks.task import Incumbent, Task, Wrapper

LARGEST_MULTIPLIER = 1e20
#: Largest rho, and what it is multiplied by at a time.
LARGEST_PENALTY, PENALTY_GROWTH = 1e12, 10.0
#: Iterates of a path that are remembered, to report the one that the inner solver accepts.
REMEMBERED = 4


class PenalisedForm(DerivedForm):
    """A form with c folded into f: sets alone remain, and C is kept by the inner method itself."""

    def __init__(self, inner: StandardForm) -> None:
        super().__init__(inner)
        self.lower = self.upper = np.empty(0)
        self.imposed, self.keeps_set = [], False

    hessians = 0  # none where a bound becomes active

    @property
    @override
    def imposed_sizes(self) -> Vector:
        return np.empty(0)

    @property
    @override
    def kept_rows(self) -> np.ndarray:
        return np.zeros(0, dtype=bool)

    @override
    def functional_violation(self, c: Rows) -> Vector:
        return np.zeros(len(c))

    @override
    def functionally_feasible(self, c: Rows, written: Vector | None = None) -> np.ndarray:
        return np.ones(len(c), dtype=bool)


class Penalised(Wrapper):
    r"""A task with f and c folded into one function.

    .. math:: L(x) = f(x) + \tfrac{\rho}{2} \|w - P_{[l, u]}(w)\|^2, \qquad
              w = c(x) + \lambda / \rho

    with a multiplier and a penalty for each path. To the inner solver a path is a start; several
    may work for one start of the task inside.

    Parameters
    ----------
    inner : Task
        Of the whole call.
    whose : numpy.ndarray, shape (paths,)
        The start that each path works for.

    Attributes
    ----------
    multipliers, penalty : numpy.ndarray, shapes (paths, m) and (paths,)
        lambda and rho.
    weight : numpy.ndarray, shape (paths,)
        Of f: 0 where feasibility alone is sought.
    held : numpy.ndarray, shape (paths,)
        Lowest f of each path's points that satisfy all constraints.
    """

    def __init__(self, inner: Task, row_starts: Indices) -> None:
        super().__init__(inner, PenalisedForm(inner.problem))
        self.row_starts = row_starts
        self._lower, self._upper = inner.lower, inner.upper
        count = len(row_starts)
        self.multipliers = np.zeros((count, inner.problem.constraints))
        self.penalty = np.ones(count)
        self.weight = np.ones(count)
        self.held = np.full(count, np.inf)
        self.ended: dict[int, Termination] = {}
        self.iterations = np.zeros(count, dtype=int)
        self._best: list[Incumbent | None] = [None] * count
        self._last: dict[int, list[tuple[Vector, Evaluation]]] = {}
        self.restart(range(count))

    def restart(self, paths: Sequence[int] | Indices) -> None:
        """Forget the last round of these paths, and of these alone."""
        for path in np.asarray(paths).tolist():
            self.ended.pop(path, None)
            self.iterations[path] = 0
            self._best[path] = None
            self._last[path] = []

    @override
    def evaluate(self, x: Rows, starts: Sequence[int] | Indices) -> Evaluation:
        paths = np.asarray(starts)
        evaluation = self.inner.evaluate(x, self.row_starts[paths])
        where: slice | Indices = slice(None) if len(self.row_starts) == 1 else paths
        rho = self.penalty[where, np.newaxis]
        w = evaluation.c + self.multipliers[where] / rho
        nearest = np.maximum(w, self._lower)
        violation = w - np.minimum(nearest, self._upper, out=nearest)
        value = 0.5 * rho[:, 0] * np.einsum("bm,bm->b", violation, violation)
        weights = rho * violation
        gradient = evaluation.gradient
        weight = self.weight[where]
        if (weight == 1.0).all():
            value += evaluation.f
        else:
            value += weight * evaluation.f
            gradient = weight[:, np.newaxis] * gradient
        if weights.any():
            gradient = gradient + np.matmul(weights[:, np.newaxis], evaluation.jacobian)[:, 0]
        self._remember(x, evaluation, paths, np.where(evaluation.finite, value, np.inf).tolist())
        nothing = np.empty((len(x), 0))
        return Evaluation(
            value, gradient, nothing, np.empty((len(x), 0, x.shape[1])), evaluation.finite
        )

    def _remember(
        self, x: Rows, evaluation: Evaluation, paths: Indices, values: list[float]
    ) -> None:
        """Keep f and c of each path's last points, its lowest L, and its lowest feasible f."""
        problem, kept = self.inner.problem, np.zeros(len(x), dtype=bool)
        worst = (
            problem.violation(x, evaluation.c)
            if evaluation.violation is None
            else evaluation.violation
        )
        if (worst <= problem.feasibility_tolerance).any():
            kept = evaluation.finite & problem.functionally_feasible(evaluation.c, worst)
        for row, path in enumerate(paths.tolist()):
            last, best = self._last[path], self._best[path]
            point = x[row].copy()
            last.append((point, evaluation.row(row)))
            del last[:-REMEMBERED]
            if kept[row] and evaluation.f[row] < self.held[path]:
                self.held[path] = evaluation.f[row]
            if values[row] < (np.inf if best is None else best.f):
                self._best[path] = Incumbent(point, values[row])

    @override
    def hessian_product(self, x: Vector, v: Vector, weights: Vector) -> Vector:
        raise SpecificationError(
            "augmented-lagrangian: its function has no second derivative where a bound becomes "
            "active; the inner method must use gradients alone."
        )

    @override
    def best(self, start: int) -> Incumbent | None:
        return self._best[start]

    @override
    def iterate(self, start: int, x: Vector, f: float, violation: float | None = None) -> bool:
        self.iterations[start] += 1
        evaluation = self.known(start, x)
        row_starts = int(self.row_starts[start])
        return self.inner.iterate(row_starts, x, float(evaluation.f[0]), evaluation.violation_of(0))

    end = Task.end  # of its own starts

    def known(self, path: int, x: Vector) -> Evaluation:
        """Return f and c at a point that was just evaluated, or evaluate it."""
        for point, evaluation in reversed(self._last[path]):
            if (point == x).all():
                return evaluation
        self.evaluate(x[np.newaxis], [path])
        return self._last[path][-1][1]

    def round_end(self, path: int, x: Vector) -> tuple[Vector, Status, str]:
        """Return how a path's last round ended, by its best point where the solver did not say."""
        if path not in self.ended:
            return self.best_or(path, x), Status.STALLED, ""
        ended = self.ended[path]
        return ended.x, ended.status, ended.detail

    def update(self, path: int, c: Vector) -> float:
        """Update the multipliers of one path, lam <- rho (w - P(w)); return |V|.

        V = c - P(w) is zero where the point is feasible and complementary.
        """
        rho = self.penalty[path]
        w = c + self.multipliers[path] / rho
        nearest = np.clip(w, self._lower, self._upper)
        new = rho * (w - nearest)
        self.multipliers[path] = np.clip(new, -LARGEST_MULTIPLIER, LARGEST_MULTIPLIER)
        return float(np.max(np.abs(c - nearest), initial=0.0))

    def distance(self, c: Vector) -> float:
        """Return the squared distance of c to its bounds."""
        violation = c - np.clip(c, self._lower, self._upper)
        return float(violation @ violation)
