"""A task that goes on where its functions are not finite, so that line searches turn back."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from typing_extensions import override

from constrained_actmax.evaluation import Evaluation
from constrained_actmax.layout import Indices, Rows, Vector
from constrained_actmax.random_points import drawn
from constrained_actmax.tasks.task import Stopped, Task, Wrapper

#: Trials of a start in a row that are not finite, after which it is told so: halved as often, a
#: step is 1e-6 of itself, and the line searches of our methods allow more.
MOST_TRIALS = 20
#: How often a drawn starting point is drawn again, and what marks the seeds of those draws.
REDRAWS, REDRAWN = 10, 77


class Extended(Wrapper):
    r"""A task whose functions are finite at every trial point from which a method can turn back.

    Where a number is not finite at a trial x, the start's last good point z stands in:

    .. math:: f(x) := f(z) + |\nabla f(z)^\top (x - z)|, \qquad c(x) := c(z),

    the tangent at z, reflected, with the gradient of that and the Jacobian at z. Such a trial
    decreases neither f nor the violation, has a slope back to z, and bends no interpolation, so a
    line search or a trust region shortens its step as it does for any bad trial. Without gradients
    it has the largest value of f so far. It is never kept as a best point; its violation is
    infinite. A start without a good point, and one with 20 such trials in a row, is told that the
    functions are not finite.

    Parameters
    ----------
    inner : Task
        The other.
    """

    def __init__(self, inner: Task) -> None:
        super().__init__(inner, inner.problem)
        self._good: dict[int, tuple[Vector, Evaluation, int]] = {}
        self._largest: dict[int, float] = {}
        self._trials: dict[int, int] = {}

    @override
    def evaluate(self, x: Rows, starts: Sequence[int] | Indices) -> Evaluation:
        evaluation = self.inner.evaluate(x, starts)
        row_starts, finite = np.asarray(starts).tolist(), evaluation.finite
        for row in np.flatnonzero(finite).tolist():
            start = row_starts[row]
            self._good[start] = x[row].copy(), evaluation, row
            self._largest[start] = max(self._largest.get(start, -np.inf), float(evaluation.f[row]))
            self._trials[start] = 0
        if finite.all():
            return evaluation
        rows = [
            evaluation.row(row)
            if finite[row]
            else self._instead(start, x[row], evaluation.row(row))
            for row, start in enumerate(row_starts)
        ]
        extended = Evaluation.concatenated(rows)
        if evaluation.violation is not None:
            extended.violation = np.where(finite, evaluation.violation, np.inf)
        return extended

    @override
    def revisit(self, x: Vector, start: int) -> Evaluation:
        if start in self._good and np.array_equal(x, self._good[start][0]):
            return self._good[start][1].row(self._good[start][2])
        return super().revisit(x, start)

    def _instead(self, start: int, x: Vector, here: Evaluation) -> Evaluation:
        """Return what stands in for a row that is not finite; the row where nothing can."""
        self._trials[start] = self._trials.get(start, 0) + 1
        if start not in self._good or self._trials[start] > MOST_TRIALS:
            return here
        z, evaluation, row = self._good[start]
        good = evaluation.row(row)
        change = float(good.gradient[0] @ (x - z))
        f = good.f + abs(change)
        if not self.problem.differentiable:
            f = np.array([self._largest[start]])
        gradient = good.gradient if change > 0 else -good.gradient
        return Evaluation(f, gradient, good.c, good.jacobian, good.finite)


def drawn_where_finite(task: Task, x0: Rows, supplied: int, seed: int) -> Rows:
    """Return starting points (B, n), the drawn ones again where a function is not finite.

    Parameters
    ----------
    task : Task
        Counts the evaluations: of every drawn point, and of each draw in the place of one.
    x0 : numpy.ndarray, shape (B, n)
        The starting points.
    supplied : int
        How many of the first the user gave: they stay.
    seed : int
        Of the draws.
    """
    x = x0.copy()
    rows = np.arange(supplied, len(x))
    for attempt in range(REDRAWS):
        try:
            evaluation = task.evaluate(x[rows], rows)
        except Stopped:  # the solver meets the same limit, and names it
            break
        rows = rows[~evaluation.finite]
        if not rows.size:
            break
        x[rows] = drawn(task.problem, len(rows), (seed, REDRAWN, attempt))
    return x
