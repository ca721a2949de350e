"""A task over another set: the hull of a nonconvex C, or the part of it round a point."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from typing_extensions import override

from constrained_actmax.evaluation import Evaluation
from constrained_actmax.layout import Indices, Rows, Vector
from constrained_actmax.result import Status, Termination
from constrained_actmax.standard_form import FeasibleSet, OverSet
from constrained_actmax.tasks.incumbents import Incumbents
from constrained_actmax.tasks.projector import Projector
from constrained_actmax.tasks.reserved import Limited
from constrained_actmax.tasks.task import Incumbent, Stopped, Task


class Over(Limited):
    """A task with another set in the place of C, of so many evaluations at most.

    Its points are measured against that set, and its ends and best points are its own; what the
    inner task records of them is measured against C.

    Parameters
    ----------
    inner : Task
        The other.
    feasible : Intersection or ScaledSet
        The set, in the task's variables.
    whose : numpy.ndarray, shape (starts,)
        The inner start that each of this task's works for.
    most : int, optional
        Evaluations that it may ask for.
    """

    def __init__(
        self, inner: Task, feasible: FeasibleSet, row_starts: Indices, most: int | None = None
    ) -> None:
        super().__init__(inner, OverSet(inner.problem, feasible))
        self.row_starts, self._most, self._spent = row_starts, most, 0.0
        self.ended: dict[int, Termination] = {}
        self.iterations = np.zeros(len(row_starts), dtype=int)
        self._incumbents = Incumbents(self.problem, len(row_starts))
        self._last: dict[int, Vector] = {}

    @property
    @override
    def remaining(self) -> int | None:
        left = self.inner.remaining
        if self._most is None:
            return left
        mine = max(0, self._most - int(self._spent))
        return mine if left is None else min(left, mine)

    @override
    def _spend(self, rows: float) -> None:
        if self._most is not None and self._spent + rows > self._most:
            raise Stopped(Status.BUDGET)
        self._spent += rows

    @override
    def charge(self, work: float) -> None:
        self._spent += work  # it has been done
        self.inner.charge(work)
        self._spend(0.0)

    @override
    def spent(self, rows: int, calls: int = 0) -> None:
        self._spent += rows
        self.inner.spent(rows, calls)

    @override
    def evaluate(self, x: Rows, starts: Sequence[int] | Indices) -> Evaluation:
        own = np.asarray(starts)
        self._spend(len(x))
        problem, written = self.problem, self.inner.set
        kept = np.atleast_1d(written.relative_violation(x)) <= written.tolerance
        if kept.any():  # a point of C but for rounding is evaluated as one of C exactly
            x = x.copy()
            x[kept] = written.project(x[kept])
        evaluation = self.inner.evaluate(x, self.row_starts[own])
        outside = problem.functional_violation(evaluation.c)
        off = problem.set.relative_violation(x)
        evaluation = replace(evaluation, violation=np.maximum(off, outside))
        inside = off <= problem.set.tolerance
        kept = evaluation.finite & problem.functionally_feasible(evaluation.c, outside)
        self._incumbents.keep(x, evaluation, own, kept & inside, inside)
        for row, start in enumerate(own.tolist()):
            self._last[start] = x[row].copy()
        return evaluation

    @override
    def projector(self, *, accurate: bool = True) -> Projector:
        return Projector(self.set)

    @override
    def best(self, start: int) -> Incumbent | None:
        return self._incumbents.best(start)

    @override
    def iterate(self, start: int, x: Vector, f: float, violation: float | None = None) -> bool:
        self.iterations[start] += 1
        off = float(self.inner.set.relative_violation(x))
        return self.inner.iterate(int(self.row_starts[start]), x, f, max(off, violation or 0.0))

    end = Task.end  # of its own starts

    def reached(self, start: int, x: Vector) -> Vector:
        """Return where a start has come to: its best point, else its end, else its last point."""
        best = self.best(start)
        if best is not None:
            return best.x
        ended = self.ended.get(start)
        return self._last.get(start, x) if ended is None else ended.x
