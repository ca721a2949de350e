"""What every entrant is: a solver that returns its own array, feasible or not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from typing_extensions import override

from constrained_actmax.errors import SpecificationError
from constrained_actmax.layout import Indices, Rows, Vector
from constrained_actmax.problem import Problem
from constrained_actmax.result import Status
from constrained_actmax.solvers.base import Solver
from constrained_actmax.standard_form import StandardForm
from constrained_actmax.tasks.scaled import Scaled
from constrained_actmax.tasks.task import Stopped, Task


@dataclass(frozen=True, kw_only=True)
class Baseline(Solver):
    """What people do today, as a solver; `compare` scores the array that it returns.

    An entrant may return a point outside the constraints. `compare` measures that point as it is
    (raw value, raw violation) and again after projection on the convex constraints. In `solve` and
    `maximize`, a configured one is a method like any other.

    Notes
    -----
    A new entrant is one file: a frozen dataclass with `name`, `limits`, `_refused` and `_search`,
    or `_run` where all starts step together.
    """

    stays_inside: ClassVar[bool] = False
    keeps_bounds: ClassVar[bool] = False
    #: What the method cannot do, in one sentence.
    limits: ClassVar[str]

    @override
    def refusal(self, problem: StandardForm) -> str | None:
        if not isinstance(problem, Problem):
            return f"{self.name} needs the model itself and cannot be an inner method; use SPG()."
        return self._refused(problem)

    def _refused(self, problem: Problem) -> str | None:
        """Return why the method cannot take a problem, or None."""
        return None

    def _search(self, run: Task, start: int, x0: Vector) -> tuple[Vector, Status, str]:
        """Return the array that the method returns from x0 (n,), why it ended, and its words.

        Asks the model through ``run.evaluate``, or counts what it asks elsewhere by ``run.spent``.
        """
        raise NotImplementedError  # an entrant has this or a `_run` of its own

    @override
    def _run(self, run: Task, x0: Rows, starts: Indices) -> None:
        for index, (start, point) in enumerate(zip(starts.tolist(), x0, strict=True)):
            run.share(len(x0) - index)
            try:
                x, status, detail = self._search(run, start, point.copy())
            except Stopped as reason:
                if reason.status is Status.INTERRUPTED:
                    raise
                run.end(start, point, reason.status, reason.detail)
                continue
            run.end(start, x, status, detail)
            if status is Status.INTERRUPTED:
                raise Stopped(Status.INTERRUPTED, detail)


def asked(task: Task) -> Problem | Scaled:
    """Return the problem of a task, with its model."""
    assert isinstance(task.problem, Problem | Scaled)  # refusal() asked
    return task.problem


def affordable(run: Task, steps: int, rows_per_step: int = 1) -> int:
    """Return how many steps of so many rows the budget leaves, at most `steps`."""
    left = run.remaining
    return steps if left is None else min(steps, left // rows_per_step)


def positive(who: str, name: str, value: float) -> None:
    """Raise unless a setting is a number above 0."""
    if not value > 0:
        raise SpecificationError(f"{who}: {name} must be > 0, got {value!r}.")
