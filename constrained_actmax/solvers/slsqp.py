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
#: Default `ftol` in units of the model's machine epsilon times the objective's range, which may be
#: far above what its values differ by near an answer; the library's own measures end most runs.
VALUE_PRECISION = 1e-3
#: Largest slope of f over a unit at the start: SciPy's least-squares subproblem loses its digits to
#: steeper ones, and from 1e5 on it returns the start as converged.
STEEPEST = 1e3
#: An optimal iterate is the answer where it meets the tolerances with this share to spare; else so
#: many more are had at most, each of them for this share of the residual before.
SPARE, FURTHER, GAIN = 1e-3, 3, 0.3


@dataclass(frozen=True, kw_only=True)
class SLSQP(ScipySolver):
    r"""Sequential least-squares quadratic programming [1]_, SciPy's implementation.

    Its workspace grows as 8.5 n² doubles and its iterations as n³: a method for up to a few
    thousand variables.

    Parameters
    ----------
    ftol : float, optional
        SciPy's: the precision of f at which it stops, in units of the objective; by default
        1e-3 epsilon of the model in units of the problem's own.
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
        y0 = variables.y(x0)
        slope = float(np.max(np.abs(variables.at(y0).g), initial=0.0))
        precision = VALUE_PRECISION * task.epsilon
        if self.ftol is None and slope > STEEPEST:
            variables.objective_weight *= STEEPEST / slope
            precision *= STEEPEST / slope
        options = self.options() | {"ftol": precision if self.ftol is None else self.ftol}
        result = self.minimize(variables, y0, constraint_dicts(variables), options)
        x = variables.x(result.x)
        # SciPy's own test ends it as well where f's last digits are gone and the slopes' are not.
        if STATUSES.get(int(result.status)) in (Status.STALLED, Status.CONVERGED):
            polished, reached = polish(task, start, x, task.tolerance)
            if reached:
                task.end(start, polished, Status.CONVERGED)
        if task.problem.constraints and task.best(start) is None:
            x = restore(task, start, x)
        end_by_code(task, start, x, result, STATUSES)

    @override
    def after_iteration(self, variables: Variables, y: Vector) -> None:
        progress = variables.progress
        if progress.optimal is not None:  # `_go_on` judges what is evaluated from there on
            return
        problem = variables.task.problem
        noise = problem.epsilon * max(problem.range, abs(variables.f))
        gain = max(progress.f - variables.f, progress.violation - variables.violation)
        still = abs(variables.f - progress.f) <= QUIET * max(problem.range, abs(variables.f))
        progress.since = 0 if gain > noise else progress.since + 1
        progress.y, progress.f = y.copy(), variables.f
        progress.violation = variables.violation
        task, start, x = variables.task, variables.start, variables.x(y)
        ended = False
        if self.ftol is None:
            self._go_on(variables, y)
            if progress.optimal is not None:
                return
            near = problem.constraints and (still or problem.linear)
            if near and (kkt := variables.residuals(y)).stationarity <= task.tolerance:
                # Steps onto the constraints alone are cheaper than ones that decrease f too.
                restored = restore(task, start, x, kkt.mu)
                ended = optimal(problem, restored, task.revisit(restored, start), task.tolerance)
                x = restored if ended else x
        if ended or progress.since > PATIENCE:
            status = Status.CONVERGED if ended else Status.STALLED
            if task.problem.constraints and task.best(start) is None and not ended:
                x = restore(task, start, x)
            task.end(start, x, status)
            raise Stopped(status)

    @classmethod
    def _go_on(cls, variables: Variables, y: Vector) -> None:
        """Keep an optimal point if it is the best so far; end there if none better is near.

        Near a solution each step gains digits at the price of an evaluation: they are had while
        they do, where the tolerances are met with less than `SPARE` to spare.
        """
        progress, task = variables.progress, variables.task
        gained = settled = False
        residual = np.inf
        if variables.optimal(y):
            kkt = variables.residuals(y)
            residual = max(kkt.stationarity, kkt.complementarity, variables.violation)
            gained = residual <= GAIN * progress.residual
            settled = cls._settled(variables, kkt.stationarity)
            if residual < progress.residual:
                progress.optimal, progress.residual = variables.x(y), residual
                progress.settled = settled
        if progress.optimal is None:
            return
        variables.watch = cls._go_on
        progress.beyond += 1
        most = FURTHER if progress.settled else NEAR_PROBES
        enough = progress.settled and (progress.residual <= SPARE * task.tolerance or not gained)
        if enough or progress.beyond > most:
            task.end(variables.start, progress.optimal, Status.CONVERGED)
            raise Stopped(Status.CONVERGED)

    @staticmethod
    def _settled(variables: Variables, residual: float) -> bool:
        """Whether no smaller scale of f that may be found at an optimal point makes it another.

        Where f's slopes are far below their size and constraints balance them, the answer would be
        asked again in a nearer scale, by probes: a few more steps from here are cheaper.
        """
        problem, tolerance = variables.task.problem, variables.task.tolerance
        slope = float(np.max(np.abs(variables.evaluation.gradient), initial=0.0))
        if slope >= GENTLE or problem.epsilon > DOUBLE or not problem.differentiable:
            return True
        return residual <= tolerance * slope or residual > GENTLE * slope
