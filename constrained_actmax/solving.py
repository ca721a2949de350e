"""Solve one problem: the run of a call, from its settings to a measured result."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from itertools import count
from numbers import Real
from typing import Any

import numpy as np

from constrained_actmax.callbacks import Callback, listener
from constrained_actmax.errors import SpecificationError
from constrained_actmax.layout import Structure
from constrained_actmax.measuring import measured_result, of_steps, stationarity_tolerance
from constrained_actmax.optimality import optimal
from constrained_actmax.problem import Problem, require_problem
from constrained_actmax.progress import Line
from constrained_actmax.quoting import quoted
from constrained_actmax.random_points import drawn
from constrained_actmax.result import PROVEN_INFEASIBLE, Budget, Result, Status, Termination
from constrained_actmax.scales import probed
from constrained_actmax.solvers.across_steps import solve_across_steps
from constrained_actmax.solvers.base import Solver
from constrained_actmax.solvers.infeasibility import Infeasibility
from constrained_actmax.solvers.selection import select
from constrained_actmax.starting_points import Starts, checked_seed, starting_points
from constrained_actmax.tasks.extended import drawn_where_finite
from constrained_actmax.tasks.recording import Recording

#: How a start ends that may be called optimal, by its method or by the library's measures.
CLAIMS = (Status.CONVERGED, Status.STALLED, Status.BUDGET)
#: How often a run goes on where its answer is optimal in its own scales and not in those there.
MOST_RESCALINGS = 5
#: How starts end on networks from which runs from other draws follow while there are seconds; how
#: the last of these ends, and which such ends stay where it found nothing better.
REPEATED = (*CLAIMS, Status.INFEASIBLE)
LAST = (Status.INTERRUPTED, Status.TARGET, Status.PROVEN)
KEPT = (Status.INTERRUPTED, Status.PROVEN)
#: Part of the seconds that is left for judging the answer, and what marks the seeds of the draws.
FOR_THE_ANSWER, DRAWS = 0.1, 313


def solve(
    problem: Problem,
    *,
    method: str | Solver = "auto",
    x0: Structure | None = None,
    starts: Starts = 1,
    seed: int | None = None,
    budget: Budget | None = None,
    target: float | None = None,
    tol: float | None = None,
    options: Mapping[str, Any] | None = None,
    callback: Callback | None = None,
    progress: Callback | bool | None = None,
) -> Result:
    """Solve a problem that was built before, in its own sense.

    Parameters
    ----------
    problem : Problem
        What is asked.
    method, x0, starts, seed, budget, target, tol, options, callback, progress
        See `maximize`.

    Returns
    -------
    Result
        See `maximize`.
    """
    began = time.perf_counter()
    require_problem("solve", problem)
    check_budget(budget)
    check_target(target)
    heard = listener("callback", callback)
    tolerance = stationarity_tolerance(problem, tol)
    solver, reason = select(problem, method, options, budget)
    points, notes, used_seed = starting_points(problem, x0, starts, checked_seed(seed))
    shown = progress if isinstance(progress, bool) else None
    watching = None if isinstance(progress, bool) else listener("progress", progress)
    check_budget(budget, len(points))
    problem, interrupted = probed(problem, budget)
    own = problem.scaled
    with Line(problem, budget, watching, shown) as line:
        run = Recording(
            own,
            len(points),
            budget=budget,
            callback=heard,
            tolerance=tolerance,
            progress=line if line.listens else None,
            reserve=not solver.stays_inside,
            target=target,
            elapsed=time.perf_counter() - began,
        )
        run.notes.extend([*notes, *_of_preparation(run)])
        if used_seed is not None and not problem.scales.finite:
            supplied = int(x0 is not None or problem.x0 is not None)
            points = own.original(drawn_where_finite(run, own.point(points), supplied, used_seed))
        with line.following(run):
            proof = Infeasibility(problem, run)
            if words := "Ctrl-C." if interrupted else proof.at_once():
                status = Status.INTERRUPTED if interrupted else Status.INFEASIBLE
                for start, point in enumerate(own.point(points)):
                    run.end(start, point, status, words)
                ended = [run.ended[start] for start in range(len(points))]
            elif problem.stepped.any():
                run.notes.append(of_steps(problem))
                ended = solve_across_steps(run, solver, own.point(points))
            else:
                ended = solver.solve(run, own.point(points))
                if reason:
                    ended = _from_other_draws(run, solver, ended)
                problem, ended = _until_optimal_there(problem, run, solver, ended)
            ended = proof.afterwards(ended)
    return measured_result(problem, run, solver, reason, points, ended, used_seed)


def _of_preparation(run: Recording) -> list[str]:
    """Return a note where the limit of seconds was over before the search."""
    if not run.out_of_time:
        return []
    return [
        f"Preparing the model took {run.seconds:.2g} s, all of the budget of seconds: nothing was "
        "searched. A second call with the same model has it ready."
    ]


def _from_other_draws(
    run: Recording, solver: Solver, ended: list[Termination]
) -> list[Termination]:
    """Run again from other draws until a limit of seconds alone is spent, on networks.

    Each start keeps its best point, and how it ended there.
    """
    form, starts = run.problem, np.arange(len(ended))
    if run.budget.evaluations is not None or not form.compiled or form.asked.merit is not None:
        return ended
    if run.seconds_left is None or np.equal(*form.set.bounds()).all():
        return ended
    with run.keeping(FOR_THE_ANSWER):
        for cycle in count():
            proven = any(end.detail.startswith(PROVEN_INFEASIBLE) for end in ended)
            if run.out_of_time or proven or not run.ended_as(starts, REPEATED).all():
                break
            before = [(run.best(start), run.ended.pop(start)) for start in starts.tolist()]
            x = drawn(form, len(starts), (DRAWS, cycle), varied=True)
            ended = solver.solve(run, x)
            over = any(end.status in LAST for end in ended)
            for start, (best, end) in enumerate(before):
                after = run.best(start)
                gain = run.tolerance * form.range if end.status is Status.CONVERGED else 0.0
                worse = after is None or (best is not None and after.f >= best.f - gain)
                if worse and ended[start].status not in KEPT:
                    ended[start] = run.ended[start] = end
            if over:
                break
    return ended


def _until_optimal_there(
    asked: Problem, run: Recording, solver: Solver, ended: list[Termination]
) -> tuple[Problem, list[Termination]]:
    """Let a run go on until its answer is optimal in the scales that the functions have there.

    Returns
    -------
    problem : Problem
        With those scales.
    ended : list of Termination
        How each start ended last.
    """
    problem = asked
    if np.equal(*asked.set.bounds()).all():
        return asked, ended
    for _ in range(MOST_RESCALINGS):
        feasible = [(point.f, start) for start in range(len(ended)) if (point := run.best(start))]
        best = min(feasible, default=(np.inf, 0))[1]
        if not feasible or ended[best].status not in CLAIMS or not problem.set.convex:
            break
        y, evaluation = run.returned(best, ended[best].x)
        if not optimal(run.problem, y, evaluation, run.tolerance):
            break
        x, evaluation = run.problem.original(y), run.problem.unscaled(evaluation)
        scales = run.scales_at(asked, x, evaluation)
        problem = asked if scales is None else asked.in_scales(scales)
        own = problem.scaled
        good = optimal(own, own.point(x), own.evaluation(evaluation), run.tolerance)
        left = np.inf if run.remaining is None else run.remaining
        if good or left < 2 * len(ended) or run.out_of_time:
            break  # a start takes an evaluation to begin and may take one to be measured
        points = run.problem.original(np.array([end.x for end in ended]))
        points[best] = x
        run.ask(own)
        ended = solver.solve(run, own.point(points))
    return problem, ended


def budget_after(elapsed: float, budget: Budget | None) -> Budget | None:
    """Return a budget with what its limit of seconds leaves after so many: at least a moment."""
    check_budget(budget)
    if budget is None or budget.seconds is None:
        return budget
    return replace(budget, seconds=max(budget.seconds - elapsed, sys.float_info.min))


def check_budget(budget: Any, starts: int = 1) -> None:
    """Raise where a budget is neither None nor a `Budget` of an evaluation for each start."""
    if budget is not None and not isinstance(budget, Budget):
        raise SpecificationError(
            f"budget: expected Budget(evaluations=..., seconds=...), got {quoted(budget)}."
        )
    if budget is not None and (budget.evaluations or starts) < starts:
        raise SpecificationError(
            f"budget: {budget.evaluations} evaluations are fewer than the {starts} starts."
        )


def check_target(target: Any) -> None:
    """Raise where a target is neither None nor a finite number."""
    number = isinstance(target, Real) and not isinstance(target, bool | np.bool_)
    if target is not None and not (number and np.isfinite(target)):
        raise SpecificationError(
            f"target: must be a finite number, a value of the objective, got {quoted(target)}."
        )
