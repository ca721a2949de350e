"""A local method to its end, a search with the rest of the budget, the local method again."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from typing_extensions import override

from constrained_actmax.layout import Indices, Rows
from constrained_actmax.problem import Problem
from constrained_actmax.result import Status
from constrained_actmax.run import Run
from constrained_actmax.solvers.annealed import Annealed
from constrained_actmax.solvers.base import Solver
from constrained_actmax.solvers.spg import SPG

#: Evaluations of a start below which a search is not worth its while.
SMALLEST_SEARCH = 20
#: Share of what is left that the search takes; the rest is for the local method on its best point.
SEARCH_SHARE = 0.75
#: How a start ends that nothing can leave: no search either.
HOPELESS = (Status.ZERO_GRADIENT, Status.NON_FINITE, Status.UNBOUNDED, Status.SOLVER_ERROR)


@dataclass(frozen=True, kw_only=True)
class ConvergeAndSearch(Solver):
    """For smooth objectives: a local method from the start, and the budget's rest for better hills.

    The local method runs from each start until it has converged. Where a budget of evaluations
    leaves some, an annealed search from the start and from draws takes three quarters of them, and
    the local method goes on from the best point with the others. Without such a budget it is the
    local method alone.

    Parameters
    ----------
    local : Solver
        The local method.
    search : Annealed
        The search.
    """

    name: ClassVar[str] = "converge-and-search"
    stays_inside: ClassVar[bool] = False  # L-BFGS-B's points may be off by rounding

    local: Solver = field(default_factory=SPG)
    search: Annealed = field(default_factory=Annealed)

    @override
    def refusal(self, problem: Problem) -> str | None:
        return self.local.refusal(problem) or self.search.refusal(problem)

    @override
    def _run(self, run: Run, x0: Rows, starts: Indices) -> None:
        self.local._run(run, x0, starts)
        if run.budget.evaluations is None:
            return
        going = np.array(
            [run.ended[one].status not in HOPELESS for one in starts.tolist()], dtype=bool
        )
        x0, starts = x0[going], starts[going]
        left = 0 if not starts.size else (run.remaining or 0) // len(starts)
        if left < SMALLEST_SEARCH:
            return
        before = run.best_f.copy()
        self.search.search(run, x0, starts, int(SEARCH_SHARE * left))
        better = np.flatnonzero(run.best_f[starts] < before[starts])
        if better.size:
            best = [run.best_x[start] for start in starts[better].tolist()]
            points = np.stack([point for point in best if point is not None])
            self.local._run(run, points, starts[better])
