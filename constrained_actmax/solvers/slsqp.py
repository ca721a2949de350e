"""SLSQP by SciPy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from typing_extensions import override

from constrained_actmax.layout import Vector
from constrained_actmax.problem import Problem
from constrained_actmax.result import Status
from constrained_actmax.run import Run
from constrained_actmax.solvers._scipy import (
    ScipySolver,
    Variables,
    constraint_dicts,
    end_by_code,
)

#: Doubles of its workspace over n squared, measured.
WORKSPACE = 8.5
#: SciPy's codes: 0 converged, 4 inconsistent constraints, 8 no descent direction, 9 iterations;
#: 2, 3, 5, 6 and 7 are failures of its least-squares subproblem.
STATUSES = {0: Status.CONVERGED, 4: Status.INFEASIBLE, 8: Status.STALLED, 9: Status.BUDGET}
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
        Precision of f at which it stops; by default 10 epsilon of the model, or less where `tol`
        is smaller.
    maxiter : int, default 1000
        Limit of iterations.

    References
    ----------
    .. [1] Kraft (1988), A software package for sequential quadratic programming, DFVLR-FB 88-28.
    """

    name: ClassVar[str] = "SLSQP"

    ftol: float | None = None

    @override
    def workspace(self, variables: int, problem: Problem) -> float:
        return WORKSPACE * 8.0 * variables**2

    @override
    def _run_row(self, run: Run, start: int, x0: Vector) -> None:
        form = run.problem.set.to_scipy()
        assert form is not None  # refusal() asked
        variables = Variables(run, start, form)
        precision = VALUE_PRECISION * run.problem.oracle.epsilon
        options = self.options() | {"ftol": precision if self.ftol is None else self.ftol}
        result = self.minimize(variables, variables.y(x0), constraint_dicts(variables), options)
        end_by_code(run, start, variables.x(result.x), result, STATUSES)
