"""L-BFGS-B by SciPy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.optimize import OptimizeResult
from typing_extensions import override

from constrained_actmax.layout import Vector
from constrained_actmax.result import Status
from constrained_actmax.solvers._scipy import (
    ScipySolver,
    Variables,
    end_by_code,
)
from constrained_actmax.solvers.spg import SPG
from constrained_actmax.tasks.task import Task

#: SciPy's codes: 0 converged, 1 limit of iterations or evaluations, 2 abnormal line search.
STATUSES = {0: Status.CONVERGED, 1: Status.BUDGET, 2: Status.STALLED}
ABNORMAL = 2


@dataclass(frozen=True, kw_only=True)
class LBFGSB(ScipySolver):
    r"""Limited-memory quasi-Newton for bounds [1]_, SciPy's implementation.

    An abnormal line search, which a kink or float32 noise causes, is answered by one restart from
    the best point without memory, then by spectral projected gradient.

    Parameters
    ----------
    maxcor : int, default 10
        Stored pairs (s, y).
    ftol : float, optional
        SciPy's: the decrease, relative to ``max(1, |f|)`` in units of the objective, below which it
        stops; by default the model's machine epsilon.
    gtol : float, optional
        SciPy's: the projected gradient below which it stops, in units of the objective over those
        of the input; by default the call's `tol`.
    maxfun, maxiter : int
        Limits of one start.
    maxls : int, default 40
        Evaluations of one line search.

    References
    ----------
    .. [1] Byrd, Lu, Nocedal and Zhu (1995), A limited memory algorithm for bound constrained
       optimization, SIAM J. Sci. Comput. 16, 1190-1208.
    """

    name: ClassVar[str] = "L-BFGS-B"
    takes_rows: ClassVar[bool] = False

    maxcor: int = 10
    ftol: float | None = None
    gtol: float | None = None
    maxfun: int = 15000
    maxiter: int = 15000
    maxls: int = 40

    @override
    def _run_row(self, task: Task, start: int, x0: Vector) -> None:
        chosen = self.ftol is not None or self.gtol is not None
        variables = self.variables(task, start, written_objective=chosen)
        result = self._attempt(variables, task, x0)
        if result.status == ABNORMAL:
            x = task.best_or(start, variables.x(result.x))
            result = self._attempt(variables, task, x)
        if result.status == ABNORMAL:
            self._hand_over(task, start, task.best_or(start, variables.x(result.x)))
            return
        end_by_code(task, start, variables.x(result.x), result, STATUSES)

    def _attempt(self, variables: Variables, task: Task, x: Vector) -> OptimizeResult:
        epsilon = task.epsilon
        options = self.options() | {
            "ftol": epsilon if self.ftol is None else self.ftol,
            "gtol": variables.slope(task.tolerance, self.gtol),
        }
        return self.minimize(variables, variables.y(x), [], options)

    @staticmethod
    def _hand_over(task: Task, start: int, x: Vector) -> None:
        note = "L-BFGS-B's line search failed twice; spg went on from its best point."
        if note not in task.notes:
            task.notes.append(note)
        SPG()._run(task, x[np.newaxis], np.array([start]))
