"""The last steps of a nonsmooth search: toward the constraints that its best point nearly reaches.

Across kinks a path ends a little before them; their multipliers are zero there, and the point is no
KKT point.
"""

from __future__ import annotations

import numpy as np

from constrained_actmax.tasks.task import Task

#: How near to its bound c is led to it, in units of its size, and how often that is tried.
NEAR, STEPS = 1e-2, 3
#: Shares of the step to the nearest of those bounds that are evaluated.
SHARES = np.array([0.5, 0.9, 0.99, 1.0])


def activate(task: Task, start: int) -> None:
    """Lead the best point of a start, downhill over C, to the bounds that it nearly reaches.

    Parameters
    ----------
    task : Task
        Counts the evaluations and keeps the best point.
    start : int
        On whose behalf.
    """
    problem, project = task.problem, task.projector(accurate=False)
    for _ in range(STEPS):
        best = task.best(start)
        if best is None:
            return
        x = best.x
        evaluation = task.evaluate(x[np.newaxis], [start])
        length = float(np.linalg.norm(evaluation.gradient[0]))
        if not length > 0.0:
            return
        direction = project(x - evaluation.gradient[0] / length) - x
        slope, c = evaluation.jacobian[0] @ direction, evaluation.c[0]
        gap = np.abs(np.where(slope > 0.0, problem.upper, problem.lower) - c)
        near = (slope != 0.0) & (gap <= NEAR)
        if not near.any():
            return
        step = float(np.min(gap[near] / np.abs(slope[near])))
        points = project(x + min(step, 1.0) * SHARES[:, np.newaxis] * direction)
        task.evaluate(points, [start] * len(points))
        after = task.best(start)
        if after is None or not after.f < best.f:
            return
