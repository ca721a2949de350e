"""A search, and its best points led to local optima at the kinks of the network."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar, Self

import numpy as np
from typing_extensions import override

from constrained_actmax import kinks
from constrained_actmax.layout import Indices, Rows
from constrained_actmax.optimality import residuals
from constrained_actmax.result import Status, Termination
from constrained_actmax.solvers.active_signature import ActiveSignature
from constrained_actmax.solvers.augmented_lagrangian import AugmentedLagrangian
from constrained_actmax.solvers.base import Solver
from constrained_actmax.solvers.branch_and_bound import PROOF_BOXES, BranchAndBound
from constrained_actmax.solvers.nearest_point import NearestPoint
from constrained_actmax.solvers.scipy_options import own_options
from constrained_actmax.solvers.successive_halving import SMALLEST_SHARE, SuccessiveHalving
from constrained_actmax.standard_form import StandardForm
from constrained_actmax.tasks.reserved import Reserved, UntilBetter
from constrained_actmax.tasks.task import Stopped, Task
from constrained_actmax.tasks.timed import SHORTEST, Timed

#: Share of a budget that is kept for the last stage at most.
KEPT_SHARE = 0.2
#: Evaluations that it takes for one start, in all, for each unit, and for each that comes after
#: others that bend. From the ends of a search, on some 100 networks and sets, it took 19 to 81 with
#: one layer of up to 784 units, 20 to 240 with another of 32 to 128, 228 with another of 500, 500
#: to 1,700 on a residual network of 2,352 units, 720 and 3,400 on two random ones of 4 x 500, and
#: 1,000 to 3,000 on a convolutional one of 43,000.
EACH, A_UNIT, A_LATER_UNIT = 50, 0.05, 0.5
#: A search that does not take turns leaves a fifth, where it is at least this many.
FEWEST = 120
#: How a start ends that has a point to go on from.
OPEN = (Status.STALLED, Status.BUDGET)


#: Passes of one start: a convolutional network of 43,000 units takes 1,000 to 3,000 to an end;
#: on deeper ones, which take more, the last stage costs more than it gains.
MOST_PASSES = 5000


def pays(problem: StandardForm) -> bool:
    """Whether a last stage by linear programs can take a problem, and is worth its time."""
    return kinks.refusal(problem) is None


@dataclass(frozen=True, kw_only=True)
class SearchAndFinish(Solver):
    """For networks with kinks: a search, then linear programs from its best points.

    The search ends near kinks, and no gradient tells how near. The last stage goes on from the best
    point of each start, the best start first, to a local optimum that is one exactly. Of a budget
    of evaluations it has what it is likely to take on a network of that size, nothing where that is
    more than a fifth; `successive-halving` plans by the whole budget all the same, so that the last
    stage takes the place of its shortest steps and it comes no less far. Of a limit of seconds a
    fifth is kept where that is enough by the time of an evaluation. What the last stage leaves buys
    a search from other draws, and so on until the budget is spent. Other searches, and those before
    a proof, leave a fifth of the evaluations where that is at least 120, and what is left then
    stays unused. Starts that converged or failed are left out, and where the last stage cannot take
    the problem the search is all.

    Where at most ten inputs are free, branch and bound goes on from the best point: it proves it
    optimal, or finds a better one, or gives a bound. It takes what the last stage has left of a
    budget of evaluations, and `prove`'s boxes at most. Under a limit of seconds alone it comes
    first, for a fifth of them, and the search follows where it fails.

    Parameters
    ----------
    search : Solver
        The search.
    finish : ActiveSignature
        The last stage.
    prove : BranchAndBound, optional
        Of few inputs.
    """

    name: ClassVar[str] = "search-and-finish"
    search: Solver = field(default_factory=SuccessiveHalving)
    finish: ActiveSignature = ActiveSignature(passes=MOST_PASSES)
    prove: BranchAndBound | None = BranchAndBound(max_boxes=PROOF_BOXES)

    @property
    @override
    def stays_inside(self) -> bool:
        return self.search.stays_inside

    @property
    @override
    def label(self) -> str:
        return f"{self.search.name} with {self.finish.name}"

    @override
    def refusal(self, problem: StandardForm) -> str | None:
        return self.search.refusal(problem)

    @override
    def with_options(self, options: Mapping[str, Any]) -> Self:
        """Return the same solver with some settings changed, its own or its search's."""
        own = {field_.name for field_ in fields(self)}
        known = [field_.name for solver in (self, self.search) for field_ in fields(solver)]
        options = own_options(options, known, self.name)
        inner = {name: value for name, value in options.items() if name not in own}
        changed = super().with_options({k: v for k, v in options.items() if k in own})
        if not inner:
            return changed
        return replace(changed, search=changed.search.with_options(inner))

    @override
    def _run(self, task: Task, x0: Rows, starts: Indices) -> None:
        if not pays(task.problem):
            self.search._run(task, x0, starts)
            return
        prove = None if self.prove is None else self.prove.affordable(task.problem)
        if prove is None:
            self._search(task, x0, starts)
        elif task.remaining is None and task.seconds_left is not None:
            self._prove_and_search(prove, task, x0, starts)
        else:
            self._search_once(task, x0, starts)
            better = prove.prove(task, starts)
            if better is not None:
                self._finish(task, np.array([better]))

    def _prove_and_search(
        self, prove: BranchAndBound, task: Task, x0: Rows, starts: Indices
    ) -> None:
        """Search only where the proof fails, which else would wait until the time is over."""
        task.evaluate(x0, starts)
        with task.keeping(1.0 - KEPT_SHARE):
            search = prove.branch(task, x0, starts)
        best = task.best_points(x0, starts)
        if search.done:
            for start, point in zip(starts.tolist(), best, strict=True):
                task.end(start, point, Status.PROVEN)
            return
        self._search(task, x0, starts)

    def _search(self, task: Task, x0: Rows, starts: Indices) -> None:
        """Search, and lead the best points to local optima."""
        search, counted = self.search, task.remaining is not None
        turns = counted and isinstance(search, SuccessiveHalving)
        turns = turns or (not counted and task.seconds_left is not None)
        if turns and isinstance(search, SuccessiveHalving | NearestPoint):
            self._run_in_turns(task, search, x0, starts)
        else:
            self._search_once(task, x0, starts)

    def _search_once(self, task: Task, x0: Rows, starts: Indices) -> None:
        """Search, and finish with a fifth of the evaluations."""
        search = self.search
        kept = 0 if task.remaining is None else int(KEPT_SHARE * task.remaining)
        if kept < FEWEST or kept < _passes(task.problem, kept):
            kept = 0
        try:
            if isinstance(search, AugmentedLagrangian):  # a feasible point may cost it all
                search.run_keeping(task, x0, starts, kept)
            else:
                search._run(Reserved(task, kept), x0, starts)
        except Stopped as reason:
            _end_at_best(task, x0, starts, reason)
        self._finish(task, starts)

    def _run_in_turns(
        self, task: Task, search: SuccessiveHalving | NearestPoint, x0: Rows, starts: Indices
    ) -> None:
        """Search and finish by turns until the budget is spent."""
        settled: dict[int, tuple[float, Termination]] = {}
        cycle = 0
        while starts.size:
            spare = len(settled)  # a start may end at a point that is evaluated once more
            try:
                searching: Task
                if task.remaining is None:
                    searching = Timed(task, _seconds_kept(task, x0, starts))
                else:  # the search plans by the whole, and stops earlier
                    searching = UntilBetter(task, spare, spare + _kept(task, len(starts)), {})
                cycle = search.run_cycles(searching, x0, starts, cycle)
            except Stopped as reason:
                _end_at_best(task, x0, starts, reason)
                cycle += 1
            self._finish(Reserved(task, spare), starts)
            for start in starts.tolist():
                best, ended = task.best(start), task.ended[start]
                if best is None:
                    continue
                if ended.status is Status.CONVERGED:
                    settled[start] = best.f, ended
                elif start in settled and best.f >= settled[start][0]:
                    task.ended[start] = settled[start][1]
            going = task.ended_as(starts, (*OPEN, Status.CONVERGED))
            x0, starts = task.best_points(x0[going], starts[going]), starts[going]
            left = task.remaining
            if task.out_of_time or (left is not None and left < SMALLEST_SHARE * len(starts)):
                return
            for start in starts.tolist():
                del task.ended[start]

    def _finish(self, task: Task, starts: Indices) -> None:
        if not self.search.stays_inside:
            try:
                _bring_inside(task, starts)
            except Stopped as reason:
                if reason.ends_all:
                    raise
        best = [task.best(start) for start in starts.tolist()]
        values = np.array([np.inf if incumbent is None else incumbent.f for incumbent in best])
        for index in np.argsort(values, kind="stable").tolist():
            start, incumbent = int(starts[index]), best[index]
            if incumbent is None or task.ended[start].status not in OPEN:
                continue
            before = task.ended.pop(start)
            try:
                self.finish._run_row(task, start, incumbent.x)
            except Stopped as reason:
                task.ended[start] = before
                if reason.ends_all:
                    raise
                return


def _kept(task: Task, starts: int) -> int:
    """Return how many evaluations are kept for the last stage of some starts."""
    most = int(KEPT_SHARE * (task.remaining or 0))
    each = _passes(task.problem, most)
    return 0 if each > most else min(most, starts * each)


def _seconds_kept(task: Task, x0: Rows, starts: Indices) -> float:
    """Return how many seconds are kept for the last stage: none where it would not end in them.

    A pass, forward or back, takes about half as long as the evaluation of one row alone.
    """
    share = KEPT_SHARE * (task.seconds_left or 0.0)
    began = task.seconds
    task.evaluate(x0[:1], starts[:1])
    each = 0.5 * (task.seconds - began)
    most = share / max(each, SHORTEST)
    return share if _passes(task.problem, most) <= most else 0.0


def _passes(problem: StandardForm, most: float) -> int:
    """Return how many evaluations the last stage of one start takes by its size, or over `most`."""
    passes = EACH + A_UNIT * kinks.units(problem)
    if passes <= most:
        passes += A_LATER_UNIT * kinks.later_units(problem)
    return math.ceil(passes)


def _bring_inside(task: Task, starts: Indices) -> None:
    """Evaluate the last points of starts in C, and open those that are not stationary there.

    Methods whose points leave C converge by tests of their own, to points that are off C.
    """
    for start in starts.tolist():
        ended = task.ended[start]
        if ended.status not in (*OPEN, Status.CONVERGED):
            continue
        x = task.problem.set.project(ended.x)
        evaluation = task.evaluate(x[np.newaxis], [start])
        kkt = residuals(task.problem, x, evaluation)
        if not max(kkt.stationarity, kkt.complementarity) <= task.tolerance:
            task.ended[start] = replace(ended, status=Status.STALLED)


def _end_at_best(task: Task, x0: Rows, starts: Indices, reason: Stopped) -> None:
    """End the starts at their best points where a limit stopped them; what ends all is raised."""
    if reason.ends_all:
        raise reason
    for start, point in zip(starts.tolist(), x0, strict=True):
        if start in task.ended:
            continue
        x = task.best_or(start, point)
        if task.best(start) is not None and not task.revisit(x, start).gradient.any():
            task.end(start, x, Status.ZERO_GRADIENT)  # a plateau is no end of a last stage
        else:
            task.end(start, x, reason.status, reason.detail)
