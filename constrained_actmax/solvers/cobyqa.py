"""COBYQA by SciPy: no gradients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import scipy.optimize
import scipy.sparse as sp
from typing_extensions import override

from constrained_actmax.layout import Vector
from constrained_actmax.result import Status
from constrained_actmax.solvers._scipy import ScipySolver, Variables, end_by_code
from constrained_actmax.standard_form import StandardForm
from constrained_actmax.tasks.task import Task

#: COBYQA's codes: 0 final radius, 1 target, 2 all variables fixed, 3 callback, 4 feasible point,
#: 5 evaluations, 6 iterations, -1 infeasible, -2 linear algebra.
STATUSES = {
    0: Status.CONVERGED,
    2: Status.CONVERGED,
    4: Status.CONVERGED,
    5: Status.BUDGET,
    6: Status.BUDGET,
    -1: Status.INFEASIBLE,
}
#: Variables above which it is too slow: on Rosenbrock's function 10 take 6 s and 1,500 evaluations,
#: 20 take 28 s and 3,900, 30 are not solved in 42 s and 4,000.
LARGEST = 30
#: First radius over the typical width of the box, and last over the call's `tol`.
FIRST_RADIUS, LAST_RADIUS = 0.1, 1e-2
#: Points nearer than this, over the last radius, are one point with rounding.
SAME = 1e-3


@dataclass(frozen=True, kw_only=True)
class COBYQA(ScipySolver):
    r"""Constrained optimization by quadratic approximations [1]_, SciPy's implementation.

    Interpolates f and c by quadratic models in a trust region: a method for functions without
    gradients, and for few variables. Bounds are never broken. The returned point is judged by
    central differences, 2n + 1 further evaluations.

    Parameters
    ----------
    maxfev : int, optional
        Evaluations of one start; by default SciPy's 500 n.
    maxiter : int, default 1000
        Limit of iterations, at least of one for each evaluation of the default.
    initial_tr_radius, final_tr_radius : float, optional
        In input units; by default a tenth of the typical width of the box, or 1, and 1e-2 of the
        call's `tol`, in units of the entries' sizes.

    References
    ----------
    .. [1] Ragonneau (2022), Model-based derivative-free optimization methods and software, PhD
       thesis, Hong Kong Polytechnic University.
    """

    name: ClassVar[str] = "COBYQA"
    iterates_in_set: ClassVar[bool] = False
    side_by_side: ClassVar[bool] = False  # it holds a lock of its own
    derivative_free: ClassVar[bool] = True

    maxiter: int = 10_000
    maxfev: int | None = None
    initial_tr_radius: float | None = None
    final_tr_radius: float | None = None

    @override
    def refusal(self, problem: StandardForm) -> str | None:
        if problem.size > LARGEST:
            way = (
                "use method='SLSQP' or 'augmented-lagrangian'"
                if problem.differentiable
                else "hold some of them with Fixed, or give a differentiable model"
            )
            return (
                "COBYQA builds quadratic models from values alone, for at most "
                f"{LARGEST} variables, and this problem has {problem.size:,}; {way}."
            )
        return super().refusal(problem)

    @override
    def _run_row(self, task: Task, start: int, x0: Vector) -> None:
        variables = self.variables(task, start)
        y0 = variables.y(x0)
        variables.at(y0)
        width = variables.form.upper - variables.form.lower
        finite = width[np.isfinite(width) & (width > 0)]
        typical = FIRST_RADIUS * float(np.median(finite)) if finite.size else 1.0
        options = {
            "initial_tr_radius": typical,
            "final_tr_radius": LAST_RADIUS * variables.unit * task.tolerance,
        } | self.options()
        for name in ("initial_tr_radius", "final_tr_radius"):
            value = getattr(self, name)
            if value is not None:
                options[name] = variables.length(value)
        before = int(task.iterations[start])
        grid = SAME * options["final_tr_radius"]
        result = self.minimize(variables, y0, self._constraints(variables, grid), options)
        # It calls back at every evaluation.
        task.iterations[start] = before + int(result.nit)
        end_by_code(task, start, variables.x(result.x), result, STATUSES)

    @staticmethod
    def _constraints(variables: Variables, grid: float) -> list[Any]:
        """Return rows, smooth and functional constraints, values alone.

        SciPy asks for c at all points of its models again after every step: those are known.
        """
        form = variables.form
        known: dict[bytes, Vector] = {}

        def functions(y: Vector) -> Vector:
            with np.errstate(all="ignore"):  # a last radius of 0 has no grid
                cells = np.round(y / grid)
            key = (cells if np.isfinite(cells).all() else y).tobytes()
            if key not in known:
                known[key] = variables.at(whole(y)).c.copy()
            return known[key].copy()

        narrowest = np.argsort(form.upper - form.lower, kind="stable")

        def whole(y: Vector) -> Vector:
            # Where a box leaves no room SciPy drops variables, here without putting them back.
            complete = form.lower.copy()
            complete[np.sort(narrowest[form.lower.size - y.size :])] = y
            return complete

        constraints: list[Any] = [
            scipy.optimize.LinearConstraint(
                sp.csr_array(rows.matrix).toarray(), rows.lower, rows.upper
            )
            for rows in form.rows
        ]
        constraints.extend(
            scipy.optimize.NonlinearConstraint(
                lambda y, r=row: r.value(whole(y)), -np.inf, row.upper
            )
            for row in form.smooth
        )
        if variables.task.problem.constraints:
            constraints.append(
                scipy.optimize.NonlinearConstraint(
                    functions,
                    variables.task.problem.lower,
                    variables.task.problem.upper,
                )
            )
        return constraints
