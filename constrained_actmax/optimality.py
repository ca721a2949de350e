"""How good any point is, whichever solver found it: feasibility and KKT residuals."""

from __future__ import annotations

import numpy as np

from constrained_actmax.layout import Vector
from constrained_actmax.problem import Evaluation, Problem
from constrained_actmax.result import Optimality

#: Steps of the dual ascent that estimates the multipliers of functional constraints.
DUAL_STEPS = 200
#: A bound counts as active within this share of max(1, |bound|).
ACTIVE_TOLERANCE = 1e-5


def measure(
    problem: Problem, x: Vector, found: Evaluation, row: int = 0, *, gap: bool = False
) -> Optimality:
    """Measure a point from an evaluation that was made there.

    Parameters
    ----------
    problem : Problem
        What is asked.
    x : numpy.ndarray, shape (n,)
        The point.
    found : Evaluation
        Of which row `row` is this point.
    row : int, default 0
        Which one.
    gap : bool, default False
        Whether to ask for Frank-Wolfe's gap too, one linear maximisation over C.

    Returns
    -------
    Optimality
        Stationarity is NaN where a number of the evaluation is not finite.
    """
    c, jacobian = found.c[row], found.jacobian[row]
    violation = float(problem.violation(x[np.newaxis], found.c[row : row + 1])[0])
    if not found.finite[row]:
        return Optimality(np.nan, np.nan, violation)
    gradient = found.gradient[row]
    scale = max(1.0, float(np.max(np.abs(gradient), initial=0.0)))
    mu = multipliers(problem, x, gradient, c, jacobian)
    slope = gradient + mu @ jacobian if mu.size else gradient
    residual = float(np.max(np.abs(problem.set.project(x - slope) - x), initial=0.0))
    named: dict[str, float | list[float]] = {}
    for one in problem.imposed:
        part = -problem.sign * mu[one.rows]
        named[one.description] = float(part[0]) if part.size == 1 else [float(v) for v in part]
    couplings = [one for one in problem.set.members if not one.is_box]
    if len(couplings) == 1:
        step = 1.0 / scale
        _, dual = problem.set.project_with_dual(x - step * slope)
        if np.isfinite(dual):
            named[str(couplings[0])] = -problem.sign * float(dual) / step
    return Optimality(
        residual,
        residual / scale,
        violation,
        _complementarity(problem, c, mu),
        named,
        float(gradient @ (x - problem.set.linear_maximizer(-gradient))) if gap else None,
    )


def multipliers(
    problem: Problem, x: Vector, gradient: Vector, c: Vector, jacobian: np.ndarray
) -> Vector:
    r"""Estimate the multipliers of the functional constraints at a point.

    They are those of the quadratic model :math:`\min_{p \in C} \nabla f^\top (p - x) +
    \tfrac12\|p - x\|^2` subject to the active rows of :math:`l \le c + J (p - x) \le u`, found by
    ascent on its concave dual, which asks for projections on C alone.

    Parameters
    ----------
    problem : Problem
        What is asked.
    x, gradient, c, jacobian : numpy.ndarray
        The point, and what the model says there: (n,), (n,), (m,), (m, n).

    Returns
    -------
    numpy.ndarray, shape (m,)
        mu >= 0 where an upper bound is active, <= 0 where a lower one is, 0 where none.
    """
    m = problem.constraints
    mu = np.zeros(m)
    if not m:
        return mu
    slack = np.maximum(problem.feasibility_tolerance, ACTIVE_TOLERANCE)
    at_upper = c >= problem.upper - slack * np.maximum(1.0, np.abs(c))
    at_lower = c <= problem.lower + slack * np.maximum(1.0, np.abs(c))
    active = np.flatnonzero(at_upper | at_lower)
    if not active.size:
        return mu
    lengths = np.maximum(np.linalg.norm(jacobian[active], axis=1), 1e-300)
    rows = jacobian[active] / lengths[:, np.newaxis]
    low = np.where(at_lower[active], -np.inf, 0.0)
    high = np.where(at_upper[active], np.inf, 0.0)
    # Active rows are taken as tight, so the dual is: max_mu  D(mu), its gradient J (p(mu) - x).
    found = np.clip(np.linalg.lstsq(rows.T, -gradient, rcond=None)[0], low, high)
    best, best_residual = found, np.inf
    speed = 1.0 / max(1e-12, float(np.linalg.norm(rows @ rows.T, 2)))
    ahead, momentum = found.copy(), 1.0
    scale = max(1.0, float(np.max(np.abs(gradient))))
    for _ in range(DUAL_STEPS):
        shift = problem.set.project(x - gradient - ahead @ rows) - x
        residual = float(np.max(np.abs(shift)))
        if residual < best_residual:
            best, best_residual = ahead.copy(), residual
        if residual <= 1e-12 * scale:
            break
        new = np.clip(ahead + speed * (rows @ shift), low, high)
        following = 0.5 * (1.0 + np.sqrt(1.0 + 4.0 * momentum**2))
        if (rows @ shift) @ (new - found) < 0:
            following = 1.0
            ahead = new.copy()
        else:
            ahead = np.clip(new + (momentum - 1.0) / following * (new - found), low, high)
        if np.max(np.abs(new - found)) <= 1e-15 * scale:
            break
        found, momentum = new, following
    mu[active] = best / lengths
    return mu


def _complementarity(problem: Problem, c: Vector, mu: Vector) -> float:
    if not mu.size:
        return 0.0
    gap = np.where(mu > 0, problem.upper - c, c - problem.lower)
    gap = np.where(mu == 0, 0.0, np.abs(gap))
    return float(np.max(np.abs(mu) * gap, initial=0.0))
