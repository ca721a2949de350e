"""Auto-PGD as published, on the problem's own set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from typing_extensions import override

from constrained_actmax.baselines.base import Baseline, affordable
from constrained_actmax.layout import Indices, Rows
from constrained_actmax.problem import Problem
from constrained_actmax.solvers.pgd import PGD
from constrained_actmax.solvers.spg import needs_only_a_set
from constrained_actmax.tasks.task import Task

#: Steps of the paper's untargeted attack.
STEPS = 100


@dataclass(frozen=True, kw_only=True)
class AutoPGD(Baseline):
    r"""Auto-PGD with Euclidean steps [1]_: the length starts at 2ε and is halved by checkpoints.

    ε is half the diameter of C (the radius, for a ball). The projection is this library's, on the
    whole of C; the paper's own projects on the ball and then on the box, which lands elsewhere.
    It returns the best point. Each step is one row. The loop is that of
    `constrained_actmax.PGD`, which begins at the reach of the set along the first gradient
    instead.

    It needs a bounded set, ignores constraints on outputs, and has no stopping rule: the schedule
    is laid out over a number of steps that must be known in advance.

    Parameters
    ----------
    steps : int, optional
        By default what the budget allows, or 100 without one.

    References
    ----------
    .. [1] Croce, Hein (2020), Reliable evaluation of adversarial robustness with an ensemble of
       diverse parameter-free attacks, ICML.
    """

    name: ClassVar[str] = "auto-pgd"
    limits: ClassVar[str] = "needs a bounded set; no constraints on outputs; no stopping rule"

    steps: int | None = None

    @override
    def _refused(self, problem: Problem) -> str | None:
        reason = needs_only_a_set(self.name, problem)
        if reason is None and not np.isfinite(problem.set.diameter):
            return f"{self.name} needs a bounded set; add a Box or a ball, or use method='spg'."
        return reason

    @override
    def _run(self, run: Task, x0: Rows, starts: Indices) -> None:
        wanted = self.steps or STEPS
        if run.remaining is not None:
            left = max(1, affordable(run, 10**9, len(x0)) - 1)
            wanted = min(self.steps or left, left)
        schedule = PGD(
            schedule="halved",
            iterations=max(1, wanted),
            first_step_size=max(run.problem.set.diameter, np.finfo(np.float64).tiny),
        )
        schedule._run(run, x0, starts)
