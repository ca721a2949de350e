"""The last digits of a smooth problem: Newton's method on the conditions of the active limits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from constrained_actmax.evaluation import Evaluation
from constrained_actmax.kernels.scipy_form import ScipyForm
from constrained_actmax.layout import Vector
from constrained_actmax.optimality import multipliers, residuals
from constrained_actmax.oracles.finite_differences import Domain, jacobian
from constrained_actmax.standard_form import StandardForm
from constrained_actmax.tasks.scaled import FINEST_VIOLATION
from constrained_actmax.tasks.task import Task

#: Variables up to which the Hessian of the Lagrangian is built column by column.
LARGEST = 100
#: Newton steps, and how much each has to gain.
STEPS, GAIN = 12, 0.9
#: A bound is taken for active within this share of the function's size: the sign of the multiplier
#: decides.
NEAR = 1e-3
#: The polished point stays within this share of max(1, |x|) of the given one, in units of the
#: entries' sizes, and its value within this share of the objective's range: Newton's method takes
#: saddles for solutions too.
REACH, RISE = 0.1, 1e-3
#: How much farther than to its limit a broken row is led, for the set's pull back.
OVERSHOOT = 1.01
#: A linear row of the set is at its bound within this share of the numbers that it adds.
TIGHT = 1e-10


@dataclass(frozen=True)
class Quality:
    """How near a point is to satisfying the optimality conditions, and its multipliers."""

    residual: float
    mu: Vector


def quality(problem: StandardForm, x: Vector, evaluation: Evaluation) -> Quality:
    """Measure the worst of stationarity, violation and complementarity at an evaluated point."""
    kkt = residuals(problem, x, evaluation)
    violation = max(kkt.violation, float(problem.imposed_violation(evaluation.c)[0]))
    residual = max(kkt.stationarity, violation, kkt.complementarity)
    mu = multipliers(
        problem, x, evaluation.gradient[0], evaluation.c[0], evaluation.jacobian[0], NEAR
    )
    return Quality(residual, mu)


def polish(task: Task, start: int, x: Vector, goal: float) -> tuple[Vector, bool]:
    r"""Improve a nearly optimal point by Newton's method on its active limits [1]_.

    For sets of bounds and linear rows. With F the entries that the projection of
    :math:`x - \nabla_x L` leaves off their bounds and A the active rows, the set's own among them,
    each step solves

    .. math:: \begin{pmatrix} \nabla^2_{FF} L & J_{AF}^\top \\ J_{AF} & 0 \end{pmatrix}
              \begin{pmatrix} d_F \\ -\mu' \end{pmatrix} =
              \begin{pmatrix} -\nabla_F f \\ l_A - c_A \end{pmatrix}

    Parameters
    ----------
    task : Task
        Counts the evaluations: one where `x` was not the last point, and one for each free entry,
        a step.
    start : int
        On whose behalf.
    x : numpy.ndarray, shape (n,)
        Where to begin.
    goal : float
        Residual at which it ends.

    Returns
    -------
    x : numpy.ndarray, shape (n,)
        The best point, the given one where nothing was better.
    reached : bool
        Whether its residual is at most `goal`.

    References
    ----------
    .. [1] Nocedal and Wright (2006), Numerical Optimization, section 18.1.
    """
    problem = task.problem
    if problem.smooth is False or problem.size > LARGEST:
        return x, False
    variables = problem.set.in_scipy_variables()
    if variables is None or variables.matrix is not None or variables.form.smooth:
        return x, False
    form = variables.form
    origin = x
    evaluation = task.revisit(x, start)
    if not evaluation.finite[0]:
        return x, False
    f = float(evaluation.f[0])
    here = best = quality(problem, x, evaluation)
    best_x = x
    for _ in range(STEPS):
        if best.residual <= goal:
            return best_x, True
        x = problem.set.project(x + _newton_step(task, start, x, evaluation, here.mu, form))
        if np.any(np.abs(x - origin) > REACH * np.maximum(1.0, np.abs(origin))):
            break
        evaluation = task.evaluate(x[np.newaxis], [start])
        if not evaluation.finite[0] or evaluation.f[0] - f > RISE * problem.range:
            break
        here = quality(problem, x, evaluation)
        if here.residual > GAIN * best.residual:
            if here.residual < best.residual:
                best_x, best = x, here
            break
        best_x, best = x, here
    return best_x, best.residual <= goal


def restore(task: Task, start: int, x: Vector, mu: Vector | None = None) -> Vector:
    """Lead a point that breaks functional constraints a little back to one that keeps them.

    Gauss-Newton steps on the broken rows, each projected on C; rows with a multiplier are held at
    their limits. Where a method ends outside, at a
    kink of the network say, its answer is worth the few evaluations.

    Parameters
    ----------
    task, start : Task, int
        Counts the evaluations, on this start's behalf.
    x : numpy.ndarray, shape (n,)
        Where to begin.
    mu : numpy.ndarray, shape (m,), optional
        Multipliers there.

    Returns
    -------
    numpy.ndarray, shape (n,)
        A feasible point, or the given one where none was reached.
    """
    problem = task.problem
    y, answer = problem.set.project(x), None
    for _ in range(STEPS):
        evaluation = task.revisit(y, start)
        if not evaluation.finite[0]:
            break
        c = evaluation.c[0]
        if problem.feasible(y[np.newaxis], evaluation.c)[0]:
            if answer is not None or problem.imposed_violation(evaluation.c)[0] <= FINEST_VIOLATION:
                return np.asarray(y)
            answer = y  # the use of a tolerance: a further step squares it
        violation = c - np.clip(c, problem.lower, problem.upper)
        target = -OVERSHOOT * violation
        if mu is not None:
            target = np.where(mu > 0, problem.upper - c, target)
            target = np.where(mu < 0, problem.lower - c, target)
        broken = np.flatnonzero(target)
        y = problem.set.project(
            y + np.linalg.lstsq(evaluation.jacobian[0][broken], target[broken])[0]
        )
    return x if answer is None else np.asarray(answer)


def _newton_step(
    task: Task, start: int, x: Vector, evaluation: Evaluation, mu: Vector, form: ScipyForm
) -> Vector:
    problem = task.problem
    lower, upper = problem.set.bounding_box()
    g, c, slopes = evaluation.gradient[0], evaluation.c[0], evaluation.jacobian[0]
    slope = g + mu @ slopes
    target = problem.set.project(x - slope)
    free = np.flatnonzero((target > lower) & (target < upper))
    step: Vector = target - x
    step[free] = 0.0
    equal = problem.lower == problem.upper
    broken = (c < problem.lower) | (c > problem.upper)
    active = np.flatnonzero((mu != 0) | equal | broken)
    limit = np.where((mu > 0) | (c > problem.upper), problem.upper, problem.lower)[active]
    if not free.size:
        return step
    hessian = _hessian(task, start, x, evaluation, mu, free)
    linear, gap = _tight_rows(form, x, target)
    rows = np.concatenate([slopes[active], linear])
    right = np.concatenate([-g[free], [*(limit - c[active]), *gap] - rows @ step])
    rows = rows[:, free]
    matrix = np.block([[hessian, rows.T], [rows, np.zeros((len(rows), len(rows)))]])
    # Dependent rows leave the matrix singular: the shortest of its solutions.
    step[free] = np.linalg.lstsq(matrix, right, rcond=1e-13)[0][: free.size]
    return step


def _tight_rows(form: ScipyForm, x: Vector, target: Vector) -> tuple[np.ndarray, Vector]:
    """Return the set's linear rows that are at a limit at `target`, and what x lacks to it."""
    matrices, gaps = [np.empty((0, x.size))], [np.empty(0)]
    for rows in form.rows:
        matrix = rows.matrix.toarray()
        there, here = matrix @ target, matrix @ x
        size = TIGHT * np.abs(matrix) @ np.maximum(1.0, np.abs(target))
        for limit, close in (
            (rows.lower, there <= rows.lower + size),
            (rows.upper, (there >= rows.upper - size) & (rows.lower < rows.upper)),
        ):
            matrices.append(matrix[close])
            gaps.append((limit - here)[close])
    return np.concatenate(matrices), np.concatenate(gaps)


def _hessian(
    task: Task, start: int, x: Vector, evaluation: Evaluation, mu: Vector, free: np.ndarray
) -> np.ndarray:
    """Return the Hessian of f + mu'c in the free entries, by products or by differences."""
    problem = task.problem
    if problem.hessians == 1 + problem.constraints:
        weights = np.concatenate([[1.0], mu])
        units = np.eye(x.size)[free]
        dense = np.stack([task.hessian_product(x, unit, weights)[free] for unit in units], axis=1)
    else:

        def slope(point: Vector) -> Vector:
            there = task.evaluate(point[np.newaxis], [start])
            slope: Vector = there.gradient[0] + mu @ there.jacobian[0]
            return slope

        here = evaluation.gradient[0] + mu @ evaluation.jacobian[0]
        domain = Domain(*problem.set.bounds(), np.ones(x.size))
        columns = free.tolist()
        dense = jacobian(slope, x, here, domain, central=True, columns=columns)[np.ix_(free, free)]
    symmetric: np.ndarray = 0.5 * (dense + dense.T)
    symmetric[~np.isfinite(symmetric)] = 0.0
    return symmetric
