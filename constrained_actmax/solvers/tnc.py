"""Truncated Newton by SciPy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from typing_extensions import override

from constrained_actmax.layout import Vector
from constrained_actmax.result import Status
from constrained_actmax.solvers._scipy import ScipySolver, Variables, end_by_code
from constrained_actmax.tasks.task import Stopped, Task

#: SciPy's codes: -1 infeasible, 0 local minimum, 1 converged in f, 2 converged in x, 3 limit of
#: evaluations, 4 line search failed, 5 all bounds equal, 6 no progress, 7 the user stopped it.
STATUSES = {
    -1: Status.INFEASIBLE,
    0: Status.CONVERGED,
    1: Status.CONVERGED,
    2: Status.STALLED,
    3: Status.BUDGET,
    4: Status.STALLED,
    5: Status.CONVERGED,
    6: Status.STALLED,
}


@dataclass(frozen=True, kw_only=True)
class TNC(ScipySolver):
    r"""Truncated Newton for bounds [1]_, SciPy's implementation.

    Parameters
    ----------
    maxfun : int, default 15000
        Limit of evaluations of one start.
    maxiter : int, optional
        Limit of iterations, which SciPy's own TNC does not have.
    ftol, xtol, gtol : float, optional
        SciPy's stopping tests, `ftol` and `gtol` in the user's units; `gtol` defaults to the
        call's `tol`, `xtol` to the model's machine epsilon (SciPy's own, its root, ends far from
        `tol`), `ftol` to the model's
        machine epsilon, both in units of the problem's own.
    scale, offset, maxCGit, eta, stepmx, accuracy, minfev, rescale : optional
        SciPy's own.

    References
    ----------
    .. [1] Nash (1984), Newton-type minimization via the Lanczos method, SIAM J. Numer. Anal. 21,
       770-788.
    """

    name: ClassVar[str] = "TNC"
    takes_rows: ClassVar[bool] = False
    takes_negative: ClassVar[bool] = True

    maxfun: int = 15000
    maxiter: int | None = None  # type: ignore[assignment]  # SciPy's TNC counts evaluations alone
    ftol: float | None = None
    xtol: float | None = None
    gtol: float | None = None
    maxCGit: int | None = None  # noqa: N815 - SciPy's name
    eta: float | None = None
    stepmx: float | None = None
    accuracy: float | None = None
    minfev: float | None = None
    rescale: float | None = None
    scale: Vector | None = None
    offset: Vector | None = None

    @override
    def _run_row(self, task: Task, start: int, x0: Vector) -> None:
        chosen = self.ftol is not None or self.gtol is not None
        variables = self.variables(task, start, written_objective=chosen)
        options = self.options() | {
            "ftol": task.epsilon if self.ftol is None else self.ftol,
            "gtol": variables.slope(task.tolerance, self.gtol),
            "xtol": task.epsilon if self.xtol is None else self.xtol,
        }
        options.pop("maxiter", None)
        result = self.minimize(variables, variables.y(x0), [], options)
        end_by_code(task, start, variables.x(result.x), result, STATUSES)

    @override
    def after_iteration(self, variables: Variables, y: Vector) -> None:
        variables.progress.count += 1
        if variables.progress.count == self.maxiter:
            x = variables.x(y)
            variables.task.end(variables.start, x, Status.BUDGET, "maxiter reached.")
            raise Stopped(Status.BUDGET)
