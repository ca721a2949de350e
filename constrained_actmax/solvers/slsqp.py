"""SLSQP by SciPy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from typing_extensions import override

from constrained_actmax.layout import Vector
from constrained_actmax.optimality import optimal
from constrained_actmax.result import Status
from constrained_actmax.scales import DOUBLE, GENTLE, NEAR_PROBES
from constrained_actmax.solvers._scipy import (
    ScipySolver,
    Variables,
    constraint_dicts,
    end_by_code,
)
from constrained_actmax.solvers.newton_refinement import polish, restore
from constrained_actmax.standard_form import StandardForm
from constrained_actmax.tasks.task import Stopped, Task

#: Doubles of its workspace over n squared, measured.
WORKSPACE = 8.5
#: SciPy's codes: 0 converged, 4 inconsistent constraints, 8 no descent direction, 9 iterations;
#: 2, 3, 5, 6 and 7 are failures of its least-squares subproblem.
STATUSES = {0: Status.CONVERGED, 4: Status.INFEASIBLE, 8: Status.STALLED, 9: Status.BUDGET}
#: Its own test asks for a decrease below `ftol` and restarts at each that rounding spoils, for
#: thousands of evaluations; so iterates whose relative change of f is below this are measured by
#: the library, and after so many without a gain beyond rounding it is stopped.
QUIET, PATIENCE = 1e-6, 5
#: Default `ftol` in units of the model's machine epsilon.
VALUE_PRECISION = 10.0


@dataclass(frozen=True, kw_only=True)
class SLSQP(ScipySolver):
    r"""Sequential least-squares quadratic programming [1]_, SciPy's implementation.

    Its workspace grows as 8.5 n² doubles and its iterations as n³: a method for up to a few
    thousand variables.

    Parameters
    ----------
    ftol : float, optional
        SciPy's: the precision of f at which it stops, in units of the objective; by default 10
        epsilon of the model in units of the problem's own.
    maxiter : int, default 1000
        Limit of iterations.

    References
    ----------
    .. [1] Kraft (1988), A software package for sequential quadratic programming, DFVLR-FB 88-28.
    """

    name: ClassVar[str] = "SLSQP"
    iterates_in_set: ClassVar[bool] = False

    ftol: float | None = None

    @override
    def workspace(self, variables: int, problem: StandardForm) -> float:
        return WORKSPACE * 8.0 * variables**2

    @override
    def _run_row(self, task: Task, start: int, x0: Vector) -> None:
        variables = self.variables(task, start, written_objective=self.ftol is not None)
        precision = VALUE_PRECISION * task.epsilon
        options = self.options() | {"ftol": precision if self.ftol is None else self.ftol}
        y0 = variables.y(x0)
        variables.at(y0)
        result = self.minimize(variables, y0, constraint_dicts(variables), options)
        x = variables.x(result.x)
        if STATUSES.get(int(result.status)) is Status.STALLED:
            polished, reached = polish(task, start, x, task.tolerance)
            if reached:
                task.end(start, polished, Status.CONVERGED)
        if task.problem.constraints and task.best(start) is None:
            x = restore(task, start, x)
        end_by_code(task, start, x, result, STATUSES)

    @override
    def after_iteration(self, variables: Variables, y: Vector) -> None:
        progress = variables.progress
        problem = variables.task.problem
        noise = problem.epsilon * max(problem.range, abs(variables.f))
        gain = max(progress.f - variables.f, progress.violation - variables.violation)
        still = abs(variables.f - progress.f) <= QUIET * max(problem.range, abs(variables.f))
        progress.since = 0 if gain > noise else progress.since + 1
        progress.y, progress.f = y.copy(), variables.f
        progress.violation = variables.violation
        task, start, x = variables.task, variables.start, variables.x(y)
        looks = self.ftol is None and (still or problem.linear)
        ended = looks and variables.optimal(y)
        if ended and progress.beyond < NEAR_PROBES and not self._settled(variables, y):
            progress.beyond, ended = progress.beyond + 1, False
            return
        only_off = looks and not ended and problem.constraints
        if only_off and (kkt := variables.residuals(y)).stationarity <= task.tolerance:
            # Steps onto the constraints alone are cheaper than further ones that decrease f too.
            restored = restore(task, start, x, kkt.mu)
            ended = optimal(problem, restored, task.revisit(restored, start), task.tolerance)
            x = restored if ended else x
        if ended or progress.since > PATIENCE:
            status = Status.CONVERGED if ended else Status.STALLED
            if task.problem.constraints and task.best(start) is None and not ended:
                x = restore(task, start, x)
            task.end(start, x, status)
            raise Stopped(status)

    @staticmethod
    def _settled(variables: Variables, y: Vector) -> bool:
        """Whether no smaller scale of f that may be found at an optimal point makes it another.

        Where f's slopes are far below their size and constraints balance them, the answer would be
        asked again in a nearer scale, by probes: a few more steps from here are cheaper.
        """
        problem, tolerance = variables.task.problem, variables.task.tolerance
        slope = float(np.max(np.abs(variables.evaluation.gradient), initial=0.0))
        if slope >= GENTLE or problem.epsilon > DOUBLE or not problem.differentiable:
            return True
        residual = variables.residuals(y).stationarity
        return residual <= tolerance * slope or residual > GENTLE * slope
