"""A local method to its end, a search with the rest of the budget, the local method again."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from typing_extensions import override

from constrained_actmax.layout import Indices, Rows
from constrained_actmax.result import Status
from constrained_actmax.solvers.base import Solver
from constrained_actmax.solvers.branch_and_bound import PROOF_BOXES, BranchAndBound
from constrained_actmax.solvers.spg import SPG
from constrained_actmax.solvers.successive_halving import SMALLEST_SHARE, SuccessiveHalving
from constrained_actmax.standard_form import StandardForm
from constrained_actmax.tasks.task import Task
from constrained_actmax.tasks.timed import Timed, planned

#: Where rows are left, the local method goes on to this share of tol.
PRECISION = 1e-3
#: Share of what is left that the search takes; the rest is for the local method on its best point.
SEARCH_SHARE = 0.9
#: Steps of each candidate in the search's last rung; of 40 and 100 the one with better scores.
LAST_STEPS = 40
#: How a start ends that nothing can leave: no search either.
NOWHERE_TO_GO = (Status.ZERO_GRADIENT, Status.NON_FINITE, Status.UNBOUNDED, Status.SOLVER_ERROR)


@dataclass(frozen=True, kw_only=True)
class ConvergeAndSearch(Solver):
    """For smooth objectives: a local method from the start, and the budget's rest for better hills.

    The local method runs from each start until it has converged. Where a budget of evaluations or
    seconds leaves some, an annealed search from the start and from draws takes nine tenths of it,
    and the local method goes on from the best point, to a thousandth of the tolerance; this is
    repeated from there, with other draws, while the budget lasts. Without a budget it is the local
    method alone.

    Where at most ten inputs are free, branch and bound takes up to a fifth of what the local method
    leaves: if it proves the best point optimal there is nothing to search for, otherwise the result
    has its bound.

    Parameters
    ----------
    local : Solver
        The local method.
    search : SuccessiveHalving
        The search; by default with more candidates in its last rung than the method
        `successive-halving` has, because the local method finishes what they begin.
    prove : BranchAndBound
        Of few inputs.
    """

    name: ClassVar[str] = "converge-and-search"
    stays_inside: ClassVar[bool] = False  # L-BFGS-B's points may be off by rounding

    local: Solver = field(default_factory=SPG)
    search: SuccessiveHalving = field(
        default_factory=lambda: SuccessiveHalving(last_steps=LAST_STEPS)
    )
    prove: BranchAndBound = BranchAndBound(max_boxes=PROOF_BOXES)

    @override
    def refusal(self, problem: StandardForm) -> str | None:
        return self.local.refusal(problem) or self.search.refusal(problem)

    @override
    def _run(self, task: Task, x0: Rows, starts: Indices) -> None:
        timed = planned(task)
        self.local._run(timed, x0, starts)
        if not timed.remaining:  # the proof's time is no part of the price of an evaluation
            return
        self.prove.prove_with_share(task, starts)
        if not task.ended_as(starts, (Status.PROVEN,)).any():
            self._search(timed, x0, starts)

    def _search(self, task: Task, x0: Rows, starts: Indices) -> None:
        """Search where the local method has ended, as long as the budget lasts."""
        going = ~task.ended_as(starts, NOWHERE_TO_GO)
        x0, starts = x0[going], starts[going]
        cycle = 0
        while starts.size and (task.remaining or 0) // len(starts) >= SMALLEST_SHARE:
            left = (task.remaining or 0) // len(starts)
            searching = Timed(task, (1.0 - SEARCH_SHARE) * (task.seconds_left or 0.0))
            self.search.search(searching, x0, starts, int(SEARCH_SHARE * left), cycle)
            x0 = task.best_points(x0, starts)
            with task.tightened(PRECISION):
                self.local._run(task, x0, starts)
            x0, cycle = task.best_points(x0, starts), cycle + 1
