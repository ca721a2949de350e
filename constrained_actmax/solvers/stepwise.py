"""Solvers written for one point, run for many starts with one model call a round."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from typing_extensions import override

from constrained_actmax.layout import Indices, Rows, Vector
from constrained_actmax.result import Status
from constrained_actmax.solvers.base import Solver, end_stuck
from constrained_actmax.tasks.extended import Extended
from constrained_actmax.tasks.task import Task

#: What rounding of the model may add in a line search, in units of epsilon max(1, |f|).
ROUNDING = 10.0
#: Iterations without a gain beyond rounding after which a start is stuck.
PATIENCE = 30


def rounding(epsilon: float, f: Any) -> Any:
    """Return what rounding of the model may add to values near f, for a line search."""
    return ROUNDING * epsilon * np.maximum(1.0, np.abs(f))


class Patience:
    """Whether a start still gains by its steps.

    Parameters
    ----------
    f : float
        Where it begins.
    epsilon : float
        Relative rounding of the model.
    """

    def __init__(self, f: float, epsilon: float) -> None:
        self._best, self._epsilon, self._since = f, epsilon, 0

    def over(self, f: float) -> bool:
        """Take in the value of one more iterate; say whether too many brought no gain."""
        gained = self._best - f > self._epsilon * max(1.0, abs(self._best))
        self._since = 0 if gained else self._since + 1
        self._best = min(self._best, f)
        return self._since > PATIENCE


class Sample(NamedTuple):
    """What a stepwise solver gets back for the point that it asked for."""

    f: float
    gradient: Vector


#: Yields points (n,) and gets Samples; returns when it has ended its start.
Steps: TypeAlias = Generator[Vector, Sample, None]


@dataclass(frozen=True, kw_only=True)
class StepwiseSolver(Solver):
    """A solver whose algorithm reads as in its paper, for one point: ``f, g = yield x``.

    The points that the live starts ask for are evaluated together, one model call a round; starts
    do not see each other.
    """

    @abstractmethod
    def _steps(self, task: Task, start: int, x: Vector, first: Sample) -> Steps:
        """Minimise from x, already evaluated; ends the start by ``task.end``."""

    @override
    def _run(self, task: Task, x0: Rows, starts: Indices) -> None:
        task = Extended(task)
        evaluation = task.evaluate(x0, starts)
        live = end_stuck(task, x0, evaluation, starts)
        asked: dict[int, tuple[Steps, Vector]] = {}
        for row in np.flatnonzero(live):
            first = Sample(float(evaluation.f[row]), evaluation.gradient[row].copy())
            steps = self._steps(task, int(starts[row]), x0[row].copy(), first)
            point = next(steps, None)
            if point is not None:
                asked[int(starts[row])] = steps, point
        while asked:
            rows = list(asked)
            points = np.stack([asked[start][1] for start in rows])
            evaluation = task.evaluate(points, rows)
            for index, start in enumerate(rows):
                steps = asked.pop(start)[0]
                if not evaluation.finite[index]:
                    detail = task.name_non_finite(points[index], evaluation, index)
                    x = task.best_or(start, points[index])
                    task.end(start, x, Status.NON_FINITE, detail)
                    continue
                sample = Sample(float(evaluation.f[index]), evaluation.gradient[index].copy())
                try:
                    asked[start] = steps, steps.send(sample)
                except StopIteration:
                    continue
