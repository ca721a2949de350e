"""An end that is a local minimum of the violation, left by the violation alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from constrained_actmax.evaluation import Evaluation
from constrained_actmax.layout import Vector
from constrained_actmax.solvers.base import Solver
from constrained_actmax.solvers.pgd import PGD
from constrained_actmax.solvers.spg import SPG
from constrained_actmax.tasks.penalised import LARGEST_PENALTY, PENALTY_GROWTH, Penalised
from constrained_actmax.tasks.scaled import FINEST_VIOLATION

#: Steps of pgd, which cross kinks, and of spg after them, which put x on its bounds. Measured by
#: docs/benchmarks/output_limits.py.
CROSSING_STEPS, SETTLING_STEPS = 300, 30
#: Steps of pgd on the violation, and how often one path is restored.
RESTORING_STEPS, RESTORATIONS = 100, 2
TINY = 1e-30


def restore(augmented: Penalised, path: int, candidates: Sequence[Vector]) -> Vector | None:
    r"""Minimise the squared violation over C from each candidate, until one becomes feasible.

    From the feasible point one more crossing follows, with multipliers of zero and the penalty of
    `holding`, or ten times the present one if that is more, so that x does not fall back.

    Parameters
    ----------
    augmented : Penalised
        The function of each path; penalty and multipliers of this one are replaced.
    path : int
        Which path.
    candidates : sequence of numpy.ndarray, shape (n,)
        The stuck point, then others to begin at.

    Returns
    -------
    numpy.ndarray, shape (n,), or None
        Where the path goes on; None where no candidate leads to a feasible point.
    """
    task, stuck = augmented.inner, augmented.known(path, candidates[0])
    tolerance, penalty = augmented.tolerance, PENALTY_GROWTH * augmented.penalty[path]
    augmented.multipliers[path] = 0.0

    def led(x: Vector, solver: Solver, weight: float, rho: float) -> Vector:
        augmented.weight[path], augmented.penalty[path] = weight, rho
        augmented.tolerance = tolerance if weight else 0.1 * FINEST_VIOLATION
        augmented.restart([path])
        solver._run(augmented, x[np.newaxis], np.array([path]))
        return augmented.round_end(path, x)[0]

    restored = None
    for x in candidates:
        point = led(x, PGD(iterations=RESTORING_STEPS), 0.0, 1.0)
        point = led(point, SPG(max_iterations=SETTLING_STEPS), 0.0, 1.0)
        evaluation = augmented.known(path, point)
        if task.problem.feasible(point[np.newaxis], evaluation.c)[0]:
            penalty = min(max(penalty, holding(augmented, evaluation, stuck)), LARGEST_PENALTY)
            restored = led(point, PGD(iterations=CROSSING_STEPS // 2), 1.0, penalty)
            break
    augmented.weight[path], augmented.penalty[path] = 1.0, penalty
    augmented.tolerance = tolerance
    return restored


def holding(augmented: Penalised, feasible: Evaluation, violating: Evaluation) -> float:
    r"""Return the penalty at which a feasible point z is better than a violating one y.

    .. math:: \rho = 20\, \frac{f(z) - f(y)}{\|c(y) - P_{[l, u]}(c(y))\|^2},

    ten times that at which their augmented Lagrangians are equal; 1e12 at most.
    """
    lead = float(feasible.f[0] - violating.f[0])
    distance = max(augmented.distance(violating.c[0]), TINY)
    return min(2.0 * PENALTY_GROWTH * lead / distance, LARGEST_PENALTY)
