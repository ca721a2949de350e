"""Hand-written loops: one model call a step, for all starts at once."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from typing_extensions import override

from constrained_actmax.baselines.base import Baseline, affordable
from constrained_actmax.layout import Indices, Rows
from constrained_actmax.result import Status
from constrained_actmax.solvers.base import end_stuck
from constrained_actmax.standard_form import StandardForm
from constrained_actmax.tasks.task import Stopped, Task


@dataclass(frozen=True, kw_only=True)
class StepBaseline(Baseline):
    """A loop that moves along the gradient: ``x <- next(x, g)``, a set number of times.

    Parameters
    ----------
    steps : int, optional
        Gradient steps; by default what the budget allows, or 300 without one.
    """

    steps: int | None = None

    #: Whether the last point is returned, or the best that was evaluated.
    returns_best: ClassVar[bool] = False
    #: Steps where neither the setting nor the budget says.
    default_steps: ClassVar[int] = 300

    @abstractmethod
    def _moved(self, problem: StandardForm, x: Rows, g: Rows, share: float, memory: Any) -> Rows:
        """Return the next points from x (B, n) and the gradients g of what is minimised (B, n).

        Parameters
        ----------
        share : float
            The share of the steps that is done, in [0, 1).
        memory : dict
            Whatever the method keeps between steps; empty at the first.
        """

    @override
    def _run(self, run: Task, x0: Rows, starts: Indices) -> None:
        left = affordable(run, 10**9, len(x0))
        wanted = self.steps or (self.default_steps if run.remaining is None else left)
        total = max(1, min(wanted, left))
        x, best_x = x0.copy(), x0.copy()
        best_f = np.full(len(x0), np.inf)
        live = np.ones(len(x0), dtype=bool)
        memory: dict[str, Any] = {}
        status, detail = Status.STALLED, f"All of its {total} steps are done."
        if total < wanted:
            status, detail = Status.BUDGET, f"{total} of {wanted} steps."
        try:
            for step in range(total):
                evaluation = run.evaluate(x, starts)
                outside = run.problem.violation(x, evaluation.c)
                if step == 0:
                    live &= end_stuck(run, x, evaluation, starts)
                better = live & evaluation.finite & (evaluation.f < best_f)
                best_x[better], best_f[better] = x[better], evaluation.f[better]
                for row in np.flatnonzero(live):
                    if not evaluation.finite[row]:
                        words = run.name_non_finite(x[row], evaluation, int(row))
                        run.end(int(starts[row]), best_x[row], Status.NON_FINITE, words)
                        live[row] = False
                    elif not run.iterate(
                        int(starts[row]), x[row], float(evaluation.f[row]), float(outside[row])
                    ):
                        live[row] = False
                if not live.any():
                    return
                moved = self._moved(run.problem, x, evaluation.gradient, step / total, memory)
                x = np.where(live[:, np.newaxis], moved, x)
        except (Stopped, KeyboardInterrupt) as reason:
            interrupted = not isinstance(reason, Stopped) or reason.status is Status.INTERRUPTED
            status = Status.INTERRUPTED if interrupted else Status.BUDGET
            detail = str(reason) or "Ctrl-C."
        answer = best_x if self.returns_best else x
        for index, start in enumerate(starts.tolist()):
            run.end(start, answer[index], status, detail)
