"""trust-constr by SciPy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import scipy.optimize
import scipy.sparse.linalg
from typing_extensions import override

from constrained_actmax.layout import Vector
from constrained_actmax.problem import KEPT_TOLERANCE
from constrained_actmax.result import Status
from constrained_actmax.solvers._scipy import (
    ScipySolver,
    constraint_objects,
    end_by_code,
)
from constrained_actmax.solvers.newton_refinement import polish
from constrained_actmax.solvers.spg import SPG
from constrained_actmax.standard_form import StandardForm
from constrained_actmax.tasks.task import Task

#: SciPy's codes: 0 iterations, 1 gradient of the Lagrangian, 2 trust region, 3 callback,
#: 4 (SciPy >= 1.16) constraint violation that does not fall.
STATUSES = {0: Status.BUDGET, 1: Status.CONVERGED, 2: Status.STALLED, 4: Status.INFEASIBLE}

AT_GTOL = 1
#: Default `gtol` over the call's `tol`; and of a second run from where the first ended, if the
#: library's own residual is not below `tol` there.
BARRIER_SHARE, SECOND_SHARE = 1e-4, 1e-8
#: Steps of spg that a smooth problem under sets alone is finished by.
LAST_STEPS = 200
#: First barrier parameter and tolerance on networks with kinks.
NONSMOOTH_BARRIER = 1e-3


@dataclass(frozen=True, kw_only=True)
class TrustConstr(ScipySolver):
    r"""Interior-point trust region with projected conjugate gradients [1]_, SciPy's implementation.

    All Jacobians reach it sparse. The Hessian of the Lagrangian comes as products from the model
    where the network is smooth, as a BFGS approximation where it has kinks (its own is zero
    there almost everywhere). Trial points that break what SciPy's `keep_feasible` protects have an
    infinite objective, so that no iterate does.

    Parameters
    ----------
    gtol : float, optional
        SciPy's: the norm of the barrier problem's gradient at which it stops, in units of the
        objective over those of the input. SciPy's test does not look at the barrier parameter and
        ends far from the bounds, so the default is 1e-4 of the call's `tol`.
    xtol : float, default 1e-9
        Trust-region radius at which it stops, in units of the entries' sizes.
    barrier_tol : float, optional
        Barrier parameter at which it stops; by default the smaller of `tol` and 1e-8.
    maxiter : int, default 1000
        Limit of iterations.
    initial_barrier_parameter, initial_barrier_tolerance : float, optional
        SciPy's own, 0.1; on networks with kinks 1e-3, because each barrier problem ends at a kink
        and the first ones keep x far from its bounds (on the embedded model under Box and
        L1Ball(60): 25.2 in the place of 22.4).
    initial_tr_radius : float, optional
        SciPy's own, in input units; by default 1 in units of the entries' sizes.
    initial_constr_penalty : float, optional
        SciPy's own.

    References
    ----------
    .. [1] Byrd, Hribar and Nocedal (1999), An interior point algorithm for large-scale nonlinear
       programming, SIAM J. Optim. 9, 877-900.
    """

    name: ClassVar[str] = "trust-constr"
    iterates_keep_functions: ClassVar[bool] = True

    gtol: float | None = None
    xtol: float = 1e-9
    barrier_tol: float | None = None
    initial_tr_radius: float | None = None
    initial_constr_penalty: float | None = None
    initial_barrier_parameter: float | None = None
    initial_barrier_tolerance: float | None = None

    @override
    def workspace(self, variables: int, problem: StandardForm) -> float:
        return 0.0 if problem.smooth else 2.0 * 8.0 * variables**2

    @override
    def _run_row(self, task: Task, start: int, x0: Vector) -> None:
        problem = task.problem
        variables = self.variables(task, start, written_objective=self.gtol is not None)
        variables.guards = problem.keeps_set or bool(problem.kept_rows.any())
        size = variables.form.lower.size
        weights = np.array([variables.objective_weight] + [0.0] * (problem.hessians - 1))

        def hessian(y: Vector) -> scipy.sparse.linalg.LinearOperator:
            return scipy.sparse.linalg.LinearOperator(
                (size, size),
                dtype=np.float64,
                matvec=lambda v: variables.hessian_product(y, np.ravel(v), weights),
            )

        smooth = bool(problem.smooth) and problem.hessians > 0
        gtol = variables.slope(BARRIER_SHARE * task.tolerance, self.gtol)
        nonsmooth = ("initial_barrier_parameter", "initial_barrier_tolerance")
        options = {} if smooth else dict.fromkeys(nonsmooth, NONSMOOTH_BARRIER)
        options |= self.options()
        options |= {"gtol": gtol, "barrier_tol": min(task.tolerance, 1e-8)}
        if self.barrier_tol is not None:
            options["barrier_tol"] = self.barrier_tol
        if self.initial_tr_radius is not None:
            options["initial_tr_radius"] = variables.length(self.initial_tr_radius)
        y0 = variables.y(x0)
        variables.at(y0)
        if variables.f == np.inf:
            detail = "keep_feasible needs a starting point that keeps the constraint: give an x0."
            task.end(start, x0, Status.INFEASIBLE, detail)
            return
        result = self.minimize(
            variables,
            y0,
            constraint_objects(variables, smooth),
            options,
            hess=hessian if smooth else scipy.optimize.BFGS(),
        )
        x = variables.x(result.x)
        # What `keep_feasible` protects leaves an answer no violation but rounding.
        goal = KEPT_TOLERANCE if problem.kept_rows.any() else task.tolerance
        polished, reached = polish(task, start, x, goal)
        if not reached and smooth and self.gtol is None and result.status == AT_GTOL:
            options["gtol"] = variables.slope(SECOND_SHARE * task.tolerance, None)
            result = self.minimize(
                variables, result.x, constraint_objects(variables, smooth), options, hess=hessian
            )
            x = variables.x(result.x)
            polished, reached = polish(task, start, x, goal)
        if reached:
            task.end(start, polished, Status.CONVERGED)
        elif problem.smooth and not problem.constraints and result.status in (1, 2):
            # Its barrier keeps it off the limits, and a lift hides them from Newton's method.
            inside = problem.set.project(x)
            SPG(max_iterations=LAST_STEPS)._run(task, inside[np.newaxis], np.array([start]))
        end_by_code(task, start, x, result, STATUSES)
