"""How good any point is, whichever solver found it: feasibility and KKT residuals."""

from __future__ import annotations

import numpy as np

from constrained_actmax.layout import Vector
from constrained_actmax.problem import Evaluation, Problem
from constrained_actmax.result import Optimality

#: Steps of the dual ascent that estimates the multipliers of functional constraints.
DUAL_STEPS = 60
#: The projection's derivative is differenced along at most so many rows, with this step, where
#: projections are as exact as this.
MOST_DIFFERENCED = 20
DIFFERENCE = 1e-6
EXACT_PROJECTION = 1e-8
#: Share of the mean curvature that keeps the multipliers of dependent rows finite.
RIDGE = 1e-12
#: A bound counts as active within this share of max(1, |bound|); where the network has kinks
#: searches end less near to it.
ACTIVE_TOLERANCE, KINKED_TOLERANCE = 1e-5, 1e-4


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
    if problem.split is not None:
        y = problem.split.y(x[np.newaxis])
        there = problem.split.lifted(found.row(row), y)
        return measure(problem.split, y[0], there, gap=gap)
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
        part = one.stated_price(-problem.sign * mu[one.rows], c[one.rows])
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
    problem: Problem,
    x: Vector,
    gradient: Vector,
    c: Vector,
    jacobian: np.ndarray,
    active_tolerance: float | None = None,
) -> Vector:
    r"""Estimate the multipliers of the functional constraints at a point.

    They are those of the quadratic model :math:`\min_{p \in C} \nabla f^\top (p - x) +
    \tfrac12\|p - x\|^2` subject to the active rows of :math:`l \le c + J (p - x) \le u`, found by
    a semismooth Newton ascent on its concave dual [1]_, which asks for projections on C alone:
    entries at their bounds drop out, and where C is a ball its curvature counts.

    Parameters
    ----------
    problem : Problem
        What is asked.
    x, gradient, c, jacobian : numpy.ndarray
        The point, and what the model says there: (n,), (n,), (m,), (m, n).
    active_tolerance : float, optional
        A limit counts as active within this share of max(1, its size): by default 1e-5, and 1e-4
        where the network has kinks.

    Returns
    -------
    numpy.ndarray, shape (m,)
        mu >= 0 where an upper bound is active, <= 0 where a lower one is, 0 where none. Of
        dependent rows they are one choice of several.

    References
    ----------
    .. [1] Qi and Sun (2006), A quadratically convergent Newton method for computing the nearest
       correlation matrix, SIAM J. Matrix Anal. Appl. 28, for the same dual of a projection.
    """
    if problem.split is not None:
        split, y = problem.split, problem.split.y(x)
        slopes = split.both(jacobian)
        return multipliers(split, y, np.ones_like(y), c, slopes, active_tolerance)
    m = problem.constraints
    mu = np.zeros(m)
    if not m:
        return mu
    if active_tolerance is None:
        active_tolerance = KINKED_TOLERANCE if problem.smooth is False else ACTIVE_TOLERANCE
    slack = max(problem.feasibility_tolerance, active_tolerance)
    at_upper = c >= problem.upper - slack * np.maximum(1.0, np.abs(c))
    at_lower = c <= problem.lower + slack * np.maximum(1.0, np.abs(c))
    lengths = np.linalg.norm(jacobian, axis=1)
    active = np.flatnonzero((at_upper | at_lower) & (lengths > 0))
    if not active.size:
        return mu
    rows = jacobian[active] / lengths[active, np.newaxis]
    low = np.where(at_lower[active], -np.inf, 0.0)
    high = np.where(at_upper[active], np.inf, 0.0)
    mu[active] = _dual_ascent(problem, x, gradient, rows, low, high) / lengths[active]
    return mu


def _dual_ascent(
    problem: Problem, x: Vector, gradient: Vector, rows: np.ndarray, low: Vector, high: Vector
) -> Vector:
    """Maximise D(mu) = min over p in C of (g + J'mu)'(p - x) + |p - x|^2 / 2 within bounds."""
    lower, upper = problem.set.bounding_box()
    scale = max(1.0, float(np.max(np.abs(gradient), initial=0.0)))
    gram = rows @ rows.T

    def shifted(mu: Vector) -> tuple[float, Vector, Vector]:
        slope = gradient + mu @ rows
        step = problem.set.project(x - slope) - x
        return float(slope @ step + 0.5 * step @ step), rows @ step, step

    free = (x > lower) & (x < upper)
    start = np.linalg.lstsq(rows[:, free].T, -gradient[free], rcond=None)[0]
    mu = np.clip(start, low, high)
    value, ascent, step = shifted(mu)
    best: Vector = mu
    best_residual = float(np.max(np.abs(step)))
    for _ in range(DUAL_STEPS):
        towards = np.clip(mu + ascent, low, high) - mu
        if np.max(np.abs(towards)) <= 1e-14 * scale:
            break
        for curvature in (_curvature(problem, x, gradient, rows, mu, step, scale), gram):
            # The Gram matrix bounds the curvature: a step by it is always an ascent.
            change = _bounded_step(curvature, ascent, low - mu, high - mu)
            new_value, new_ascent, new_step = shifted(mu + change)
            if new_value >= value + 1e-4 * float(ascent @ change):
                break
        residual = float(np.max(np.abs(new_step)))
        if residual < best_residual:
            best, best_residual = mu + change, residual
        if np.max(np.abs(change)) <= 1e-15 * scale or new_value <= value:
            break
        mu, value, ascent, step = mu + change, new_value, new_ascent, new_step
    return best


def _curvature(
    problem: Problem,
    x: Vector,
    gradient: Vector,
    rows: np.ndarray,
    mu: Vector,
    step: Vector,
    scale: float,
) -> np.ndarray:
    """Return J D J' with D the derivative of the projection at x - g - J'mu."""
    if problem.set.only_box:
        lower, upper = problem.set.bounding_box()
        inside = (x + step > lower) & (x + step < upper)
        of_free: np.ndarray = rows[:, inside] @ rows[:, inside].T
        return of_free
    if len(rows) > MOST_DIFFERENCED or problem.set.accuracy > EXACT_PROJECTION:
        whole: np.ndarray = rows @ rows.T
        return whole
    length = DIFFERENCE * max(1.0, scale)
    ahead = problem.set.project(x - gradient - mu @ rows - length * rows) - x
    found = (step - ahead) @ rows.T / length
    symmetric: np.ndarray = 0.5 * (found + found.T)
    return symmetric


def _bounded_step(curvature: np.ndarray, ascent: Vector, low: Vector, high: Vector) -> Vector:
    """Maximise ascent'd - d'Hd / 2 within low <= d <= high, by an active-set pass."""
    fixed = ((low == 0) & (ascent <= 0)) | ((high == 0) & (ascent >= 0))
    step = np.zeros_like(ascent)
    ridge = RIDGE * max(float(np.trace(curvature)) / len(ascent), RIDGE)
    for _ in range(len(ascent) + 1):
        free = np.flatnonzero(~fixed)
        if not free.size:
            break
        inner = curvature[np.ix_(free, free)] + ridge * np.eye(free.size)
        step[free] = np.linalg.lstsq(inner, ascent[free], rcond=None)[0]
        outside = (step[free] < low[free]) | (step[free] > high[free])
        if not outside.any():
            break
        out = free[outside]
        step[out] = np.clip(step[out], low[out], high[out])
        fixed[out] = True
        ascent = ascent - curvature[:, out] @ step[out]
    return step


def _complementarity(problem: Problem, c: Vector, mu: Vector) -> float:
    if not mu.size:
        return 0.0
    gap = np.where(mu > 0, problem.upper - c, c - problem.lower)
    gap = np.where(mu == 0, 0.0, np.abs(gap))
    return float(np.max(np.abs(mu) * gap, initial=0.0))
