"""A search by values along inputs that reach the output through steps only, round any method."""

from __future__ import annotations

import numpy as np

from constrained_actmax.evaluation import Evaluation
from constrained_actmax.layout import Indices, Rows
from constrained_actmax.random_points import drawn
from constrained_actmax.result import Status, Termination
from constrained_actmax.solvers.base import Solver
from constrained_actmax.tasks.recording import Recording
from constrained_actmax.tasks.task import Stopped, Task

#: Values tried along one input, from bound to bound: each of up to 64 unit steps has one.
LEVELS = 65
#: Evaluations of a start in one search; many inputs have fewer values each.
MOST_EVALUATIONS = 2048
#: Share of what is left of a budget of evaluations that one search takes.
SHARE = 0.25
#: How often the method runs: again where the search gained after it.
ROUNDS = 3
#: Marks the seeds of the joint draws.
DRAWS = 60013


def solve_across_steps(task: Recording, solver: Solver, x0: Rows) -> list[Termination]:
    """Minimise from each row by a solver and, along stepped inputs, by values.

    A gradient says nothing about an input that is rounded, compared or looked up. So before the
    solver, and again after it, such inputs with finite bounds are drawn together, alone and with
    all others, then moved one after the other over levels between their bounds; the best point is
    kept. Where that gains after the solver, the solver goes on from there. This finds what one
    input can gain alone; of what several gain only together, what the draws show.

    Parameters
    ----------
    task : Recording
        Evaluations, limits and records of this call.
    solver : Solver
        For the other inputs.
    x0 : numpy.ndarray, shape (B, n)
        Starts, feasible for C.

    Returns
    -------
    list of Termination
        One for each row.
    """
    starts = np.arange(len(x0))
    x, _ = _searched(task, x0, starts)
    for last in (False,) * (ROUNDS - 1) + (True,):
        ended = solver.solve(task, x)
        if any(end.status in (Status.INTERRUPTED, Status.TARGET) for end in ended):
            return ended
        x, gained = _searched(task, task.best_points(x, starts), starts)
        if last or not gained:
            return ended
        task.ended.clear()
    return ended


def _searched(task: Task, x: Rows, starts: Indices) -> tuple[Rows, bool]:
    """Return the best points (B, n) along stepped inputs, and whether one gained."""
    problem = task.problem
    lower, upper = problem.set.bounding_box()
    columns = np.flatnonzero(problem.stepped & np.isfinite(lower) & np.isfinite(upper))
    most = MOST_EVALUATIONS
    if task.remaining is not None:
        most = min(most, int(SHARE * task.remaining) // len(x))
    levels = min(LEVELS, most // (1 + columns.size)) if columns.size else 0
    if levels < 2:
        return x, False
    task.carry(len(x) * levels)
    gained = False
    try:
        evaluation = task.evaluate(x, starts)
        together = np.repeat(x[:, np.newaxis], levels, axis=1)
        for row, start in enumerate(starts.tolist()):
            draws = drawn(problem, levels, (DRAWS, start))
            together[row][:, columns] = draws[:, columns]
            together[row][::2] = draws[::2]  # the others may have to make room
        x, evaluation, gained = _best(task, x, evaluation, together, starts)
        for column in columns.tolist():
            candidates = np.repeat(x[:, np.newaxis], levels, axis=1)
            candidates[:, :, column] = np.linspace(lower[column], upper[column], levels)
            x, evaluation, better = _best(task, x, evaluation, candidates, starts)
            gained |= better
    except Stopped:  # the solver meets the same limit, and names it
        pass
    task.carry(len(x))
    return x, gained


def _best(
    task: Task, x: Rows, evaluation: Evaluation, candidates: np.ndarray, starts: Indices
) -> tuple[Rows, Evaluation, bool]:
    """Return of each start the best of its point and its candidates (B, L, n)."""
    problem, count = task.problem, candidates.shape[1]
    rows = task.projector(accurate=not task.nonsmooth)(candidates.reshape(-1, x.shape[1]))
    asked = task.evaluate(rows, np.repeat(starts, count))
    whole = Evaluation.concatenated([evaluation, asked])
    points = np.concatenate([x, rows])
    violation = problem.violation(points, whole.c)
    violation[violation <= problem.feasibility_tolerance] = 0.0
    noise = problem.epsilon * np.maximum(1.0, np.abs(whole.f))
    chosen = np.arange(len(x))
    for row in range(len(x)):
        own = np.append(len(x) + row * count + np.arange(count), row)
        best = own[np.lexsort((whole.f[own], violation[own], ~whole.finite[own]))[0]]
        nearer = violation[best] < violation[row] or not whole.finite[row]
        if whole.finite[best] and (nearer or whole.f[best] < whole.f[row] - noise[row]):
            chosen[row] = best
    kept = Evaluation.concatenated([whole.row(index) for index in chosen.tolist()])
    return points[chosen], kept, bool((chosen >= len(x)).any())
