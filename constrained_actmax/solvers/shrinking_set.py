"""A beginning that comes from outside: steps over a dilated set that contracts to C."""

from __future__ import annotations

import numpy as np

from constrained_actmax.layout import Indices, Rows
from constrained_actmax.solvers.base import TINY, reach
from constrained_actmax.standard_form import FeasibleSet
from constrained_actmax.tasks.task import Task

#: How much farther than C the dilated set goes at first, as a share of C, and the steps in which it
#: contracts. What that brings is in docs/benchmarks/output_limits.md.
DILATION, STEPS = 2.0, 50


def can_contract(feasible: FeasibleSet) -> bool:
    """Whether there is anything between C and the bounds that it states."""
    return bool(np.isfinite(feasible.diameter)) and not feasible.only_box


def contracted(task: Task, x: Rows, starts: Indices) -> Rows:
    r"""Take steps of full length over a dilated set while it contracts to C.

    .. math:: x \leftarrow P_B(P_{C_s}(x - \eta\, g / \|g\|_2)), \qquad
              C_s = a + s\,(C - a), \qquad P_{C_s}(z) = a + s\,(P_C(a + (z - a) / s) - a)

    with a the start, B the bounds that C states, eta the reach of C along the first gradient, and
    s falling linearly to 1. A local method that starts where this ends may find a maximum that
    none that starts at a does: from inside, a ridge of the output lies before it that ends
    outside C.

    Parameters
    ----------
    task : Task
        Evaluates, also outside C but always within B.
    x : numpy.ndarray, shape (B, n)
        Starts, in C.
    starts : numpy.ndarray, shape (B,)
        On whose behalf.

    Returns
    -------
    numpy.ndarray, shape (B, n)
        Points of C; the start itself where the model gives a number that is not finite.
    """
    feasible, project = task.problem.set, task.projector(accurate=False)
    lower, upper = feasible.bounds()
    evaluation, y = task.evaluate(x, starts), x
    sound = evaluation.finite.copy()
    length = reach(task.problem, x, evaluation.gradient, sound)[:, np.newaxis]
    for step in range(STEPS):
        scale = 1.0 + DILATION * (1.0 - (step + 1) / STEPS)
        g = np.where(sound[:, np.newaxis], evaluation.gradient, 0.0)
        norm = np.maximum(np.linalg.norm(g, axis=1), TINY)[:, np.newaxis]
        target = x + (y - length * (g / norm) - x) / scale
        inside = project(target)
        y = inside if scale == 1.0 else np.clip(x + scale * (inside - x), lower, upper)
        if step < STEPS - 1:
            evaluation = task.evaluate(y, starts)
            sound &= evaluation.finite
    return np.where(sound[:, np.newaxis], y, x)
