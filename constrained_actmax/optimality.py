"""How good any point is, whichever solver found it: feasibility and KKT residuals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from constrained_actmax import kinks
from constrained_actmax.constraint_records import ConstraintRecord, Constraints, Numbers
from constrained_actmax.evaluation import Evaluation
from constrained_actmax.kernels.row_program import CONIC_TIGHT, TIGHT
from constrained_actmax.layout import Vector
from constrained_actmax.problem import Problem
from constrained_actmax.result import Optimality
from constrained_actmax.standard_form import StandardForm, round_a_point

EPSILON = float(np.finfo(np.float64).eps)
#: Steps of the dual ascent that estimates the multipliers of functional constraints.
DUAL_STEPS = 60
#: The projection's derivative is differenced along at most so many rows, with this step, where
#: projections are as exact as this.
MOST_DIFFERENCED = 20
DIFFERENCE = 1e-6
EXACT_PROJECTION = 1e-8
#: Share of the mean curvature that keeps the multipliers of dependent rows finite.
RIDGE = 1e-12
#: A bound on a function counts as active within this share of the function's size; where the
#: network is nonsmooth searches end less near to it.
ACTIVE_TOLERANCE, NONSMOOTH_TOLERANCE = 1e-5, 1e-4
#: An entry is at its bound within so many roundings of the bound, or this share of its width.
BOUND_ROUNDINGS, AT_BOUND = 4.0, 1e-12


@dataclass(frozen=True)
class Residuals:
    r"""The KKT residuals of a point in a problem's own units: pure numbers.

    Parameters
    ----------
    stationarity : float
        :math:`\|P_C(y - \nabla L) - y\|_\infty`; NaN where the evaluation is not finite.
    violation : float
        Largest violation of any constraint.
    complementarity : float
        :math:`\max_i |\mu_i| \min(c_i - l_i, u_i - c_i)`, over the range of the objective.
    mu : numpy.ndarray, shape (m,)
        Multipliers of the functional constraints.
    slope : numpy.ndarray, shape (n,)
        The gradient of the Lagrangian.
    y : numpy.ndarray, shape (n,)
        The point, its entries on the bounds that they are at.
    """

    stationarity: float
    violation: float
    complementarity: float
    mu: Vector
    slope: Vector
    y: Vector


def residuals(problem: StandardForm, y: Vector, evaluation: Evaluation, row: int = 0) -> Residuals:
    """Measure a point of a problem in its own units (`Problem.scaled`).

    Parameters
    ----------
    problem : StandardForm
        In its own units.
    y : numpy.ndarray, shape (n,)
        The point.
    evaluation : Evaluation
        Of which row `row` is this point.
    row : int, default 0
        Which one.
    """
    if problem.l1_split is not None:
        z = problem.l1_split.y(y[np.newaxis])
        return residuals(problem.l1_split, z[0], problem.l1_split.lifted(evaluation.row(row), z))
    c, jacobian = evaluation.c[row], evaluation.jacobian[row]
    violation = float(problem.violation(y[np.newaxis], evaluation.c[row : row + 1])[0])
    gradient = evaluation.gradient[row]
    if not evaluation.finite[row]:
        return Residuals(np.nan, violation, np.nan, np.zeros_like(c), gradient, y)
    y = on_bounds(problem, y)
    convex = round_a_point(problem, y)
    mu = multipliers(convex, y, gradient, c, jacobian)
    slope = gradient + mu @ jacobian if mu.size else gradient
    stationarity = float(np.max(np.abs(convex.set.project(y - slope) - y), initial=0.0))
    complementarity = _complementarity(problem, c, mu) / problem.range
    return Residuals(stationarity, violation, complementarity, mu, slope, y)


def optimal(problem: StandardForm, y: Vector, evaluation: Evaluation, tolerance: float) -> bool:
    """Return whether a point of a problem in its own units is feasible and a KKT point.

    Parameters
    ----------
    problem, y, found
        See `residuals`; the first row is asked.
    tolerance : float
        Of the stationarity; complementarity may be as large as a violation too.
    """
    if not evaluation.finite[0] or not problem.feasible(y[np.newaxis], evaluation.c)[0]:
        return False
    kkt = residuals(problem, y, evaluation)
    slack = max(problem.feasibility_tolerance, tolerance)
    return kkt.stationarity <= tolerance and kkt.complementarity <= slack


def on_bounds(problem: StandardForm, y: Vector) -> Vector:
    """Return the point with the entries that are a rounding off a bound on it.

    Within ``max(4 eps |bound|, 1e-12 w)``, w the size of the entry.
    """
    lower, upper = problem.set.bounds()
    moved = y
    for bound in (lower, upper):
        reach = np.maximum(BOUND_ROUNDINGS * EPSILON * np.abs(bound), AT_BOUND)
        near = np.isfinite(bound) & (np.abs(y - bound) <= reach) & (lower < upper)
        if near.any():
            moved = np.where(near, bound, moved)
    return moved


def measure(
    problem: Problem,
    x: Vector,
    evaluation: Evaluation,
    *,
    gap: bool = False,
    across_below: float = np.inf,
) -> Optimality:
    """Measure a point from an evaluation that was made there.

    Parameters
    ----------
    problem : Problem
        What is asked, in the user's units.
    x : numpy.ndarray, shape (n,)
        The point.
    evaluation : Evaluation
        Of which the first row is this point.
    gap : bool, default False
        Whether to ask for Frank-Wolfe's gap too, one linear maximisation over C.
    across_below : float, default infinity
        Stationarity on one side of kinks up to which it is measured across them, by a program.

    Returns
    -------
    Optimality
        Residuals are NaN where a number of the evaluation is not finite.
    """
    own, here = problem.scaled, evaluation.row(0)
    kkt = residuals(own, own.point(x), own.evaluation(here))
    c, jacobian, gradient = here.c[0], here.jacobian[0], here.gradient[0]
    if not here.finite[0]:
        return Optimality(np.nan, np.nan, kkt.violation, constraints=_records(problem, x, c))
    across = _across_kinks(own, kkt) if kkt.stationarity <= across_below else None
    if across is not None:
        kkt = replace(kkt, stationarity=across.slope / own.range)
        if across.gradient is not None and across.outer is not None:
            # Multipliers are those of the Lagrangian in which kinks have multipliers too.
            own_c = own.evaluation(here).c[0]
            mu = np.where(np.logical_or(*_at_bounds(own, own_c)), across.outer, 0.0)
            complementarity = _complementarity(own, own_c, mu) / own.range
            kkt = replace(kkt, mu=mu, slope=across.gradient, complementarity=complementarity)
            gradient = across.gradient * own.objective_unit / own.units
            jacobian = np.zeros_like(jacobian)
    sizes = own.objective_unit / problem.scales.constraints
    mu = kkt.mu * sizes
    known: dict[int, Numbers] = {}
    members = problem.set.members
    couplings = [index for index, member in enumerate(members) if not member.is_box]
    if len(couplings) == 1:
        dual = _coupling_multiplier(own, kkt)
        if np.isfinite(dual):
            known[couplings[0]] = -problem.sign * own.objective_unit * dual
    for index, constraint in enumerate(problem.imposed, len(members)):
        known[index] = _numbers(
            constraint.stated_multiplier(-problem.sign * mu[constraint.rows], c[constraint.rows])
        )
    return Optimality(
        kkt.stationarity,
        _residual(problem, x, gradient, mu, jacobian),
        kkt.violation,
        kkt.complementarity,
        _records(problem, x, c, known),
        float(gradient @ (x - problem.set.linear_maximizer(-gradient))) if gap else None,
        0 if across is None else across.undecided,
    )


def _across_kinks(problem: StandardForm, kkt: Residuals) -> kinks.Direction | None:
    """Return the steepest direction from a point at kinks; None at others, or where unknown."""
    # A residual of zero is no exception: it is that of one side, where TensorFlow takes its slope.
    if problem.smooth is not False:
        return None
    if problem.l1_split is not None or kinks.refusal(problem) is not None:
        return None
    tolerance = TIGHT if problem.set.accuracy <= EXACT_PROJECTION else CONIC_TIGHT
    return kinks.steepest(problem, kkt.y, 10.0 * tolerance)


def _records(
    problem: Problem, x: Vector, c: Vector, multipliers: Mapping[int, Numbers] | None = None
) -> Constraints:
    """Return one record for each constraint; multipliers are by the place of theirs."""
    known = multipliers or {}
    records: list[ConstraintRecord] = []
    objects: list[tuple[Any, ...]] = []
    for member, written in zip(problem.set.members, problem.written_sets, strict=True):
        multiplier = known.get(len(records))
        violation = float(member.violation(x[np.newaxis])[0])
        records.append(
            ConstraintRecord(str(member), None, violation, None, multiplier, written.name)
        )
        objects.append(written.objects)
    rows = c[np.newaxis]
    for constraint, tolerance in zip(problem.imposed, problem.tolerances, strict=True):
        value = _numbers(constraint.written(rows)[0])
        violation = float(np.max(constraint.violation(rows), initial=0.0))
        multiplier = known.get(len(records))
        records.append(
            ConstraintRecord(
                constraint.description, value, violation, tolerance, multiplier, constraint.name
            )
        )
        objects.append((constraint.origin,))
    return Constraints(records, objects)


def _numbers(values: Vector) -> Numbers:
    return float(values[0]) if values.size == 1 else [float(value) for value in values]


def _residual(
    problem: Problem, x: Vector, gradient: Vector, mu: Vector, jacobian: np.ndarray
) -> float:
    """Return the projected gradient of the Lagrangian in the user's units."""
    form: StandardForm = problem
    if problem.l1_split is not None:
        split = form = problem.l1_split
        x, gradient, jacobian = split.y(x), split.weights, split.both(jacobian)
    slope = gradient + mu @ jacobian if mu.size else gradient
    form = round_a_point(form, x)
    return float(np.max(np.abs(form.set.project(x - slope) - x), initial=0.0))


def _coupling_multiplier(problem: StandardForm, kkt: Residuals) -> float:
    """Return the multiplier of the radius of the set's one coupling; NaN if it has none."""
    step = 1.0 / max(1.0, float(np.max(np.abs(kkt.slope), initial=0.0)))
    _, dual = problem.set.project_with_dual(kkt.y - step * kkt.slope)
    return float(dual) / step


def multipliers(
    problem: StandardForm,
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
    problem : StandardForm
        In its own units.
    x, gradient, c, jacobian : numpy.ndarray
        The point, and what the model says there: (n,), (n,), (m,), (m, n).
    active_tolerance : float, optional
        A bound counts as active within this: by default 1e-5, and 1e-4 where the network is
        nonsmooth.

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
    if problem.l1_split is not None:
        split, y = problem.l1_split, problem.l1_split.y(x)
        slopes = split.both(jacobian)
        return multipliers(split, y, split.weights, c, slopes, active_tolerance)
    m = problem.constraints
    mu = np.zeros(m)
    if not m:
        return mu
    problem = round_a_point(problem, x)
    at_lower, at_upper = _at_bounds(problem, c, active_tolerance)
    lengths = np.linalg.norm(jacobian, axis=1)
    active = np.flatnonzero((at_upper | at_lower) & (lengths > 0))
    if not active.size:
        return mu
    rows = jacobian[active] / lengths[active, np.newaxis]
    low = np.where(at_lower[active], -np.inf, 0.0)
    high = np.where(at_upper[active], np.inf, 0.0)
    mu[active] = _dual_ascent(problem, x, gradient, rows, low, high) / lengths[active]
    return mu


def _at_bounds(
    problem: StandardForm, c: Vector, tolerance: float | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return which lower and which upper bounds on c are active."""
    if tolerance is None:
        tolerance = NONSMOOTH_TOLERANCE if problem.smooth is False else ACTIVE_TOLERANCE
    # Where more is allowed, a bound is active within that.
    slack = np.maximum(
        tolerance, problem.feasibility_tolerance * np.maximum(1.0, problem.imposed_sizes)
    )
    return c <= problem.lower + slack, c >= problem.upper - slack


def _dual_ascent(
    problem: StandardForm, x: Vector, gradient: Vector, rows: np.ndarray, low: Vector, high: Vector
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
    problem: StandardForm,
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
    curvature = (step - ahead) @ rows.T / length
    symmetric: np.ndarray = 0.5 * (curvature + curvature.T)
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


def _complementarity(problem: StandardForm, c: Vector, mu: Vector) -> float:
    if not mu.size:
        return 0.0
    gap = np.where(mu > 0, problem.upper - c, c - problem.lower)
    gap = np.where(mu == 0, 0.0, np.abs(gap))
    return float(np.max(np.abs(mu) * gap, initial=0.0))
