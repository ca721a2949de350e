"""Points that a projected method moves side by side, each with the best it has seen."""

from __future__ import annotations

import numpy as np

from constrained_actmax.evaluation import Evaluation
from constrained_actmax.layout import Indices, Rows, Vector
from constrained_actmax.result import Status
from constrained_actmax.tasks.task import Task


class Candidates:
    """Rows of arrays, written in place, each on behalf of a start.

    Parameters
    ----------
    task : Task
        Evaluates.
    x, f, g : numpy.ndarray, shapes (B, n), (B,), (B, n)
        Where each is, with what is minimised and its gradient; copied.
    starts : numpy.ndarray, shape (B,)
        The start that each works for.
    live : numpy.ndarray of bool, shape (B,)
        Whether it goes on.
    """

    def __init__(
        self, task: Task, x: Rows, f: Vector, g: Rows, starts: Indices, live: np.ndarray
    ) -> None:
        self.task, self.starts, self.live = task, starts, live
        self.x, self.f, self.g = x.copy(), f.copy(), g.copy()
        self.best_x, self.best_f, self.best_g = x.copy(), f.copy(), g.copy()
        #: By which projectors know a row again.
        self.number = np.arange(len(x))
        #: Trials that were not finite, one after the other.
        self.trials = np.zeros(len(x), dtype=int)
        self.measure = task.projector()

    def at(self, rows: Indices) -> slice | Indices:
        """Return an index of these rows: a slice, which copies nothing, where it is all of them."""
        return slice(None) if rows.size == len(self.x) else rows

    def take(self, at: slice | Indices, moved: Rows, evaluation: Evaluation) -> None:
        """Let rows go on from trial points, and remember those that are the best so far."""
        self.x[at], self.f[at], self.g[at] = moved, evaluation.f, evaluation.gradient
        self.trials[at] = np.where(evaluation.finite, 0, self.trials[at] + 1)
        better = evaluation.finite & (evaluation.f < self.best_f[at])
        if better.any():
            which = np.arange(len(self.x))[at][better]
            self.best_x[which], self.best_g[which] = moved[better], evaluation.gradient[better]
            self.best_f[which] = evaluation.f[better]

    def back_to_best(self, rows: Indices) -> None:
        """Let these rows go on from their best points."""
        self.x[rows], self.f[rows] = self.best_x[rows], self.best_f[rows]
        self.g[rows] = self.best_g[rows]

    def residual_at(self, rows: Indices, x: Rows, g: Rows) -> Vector:
        """Return max |P(x - g) - x| at points of these rows."""
        back = self.measure(x - g, self.number[rows].tolist())
        return np.asarray(np.max(np.abs(back - x), axis=1))

    def end(self, row: int, status: Status, detail: str = "") -> None:
        """End a row at its best point."""
        self.task.end(int(self.starts[row]), self.best_x[row], status, detail)
        self.live[row] = False
