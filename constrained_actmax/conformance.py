"""Laws that any set, oracle, objective, task or solver must pass: our tests and a contributor's.

Each check raises AssertionError with the law that was broken and by how much.
"""

from __future__ import annotations

import contextlib
import math
import warnings
from collections.abc import Callable, Iterable
from typing import Any, Protocol

import numpy as np

from constrained_actmax.evaluation import Evaluation
from constrained_actmax.kernels.kernel import Kernel
from constrained_actmax.layout import Indices, Layout, Rows, Vector
from constrained_actmax.objectives.base import Objective
from constrained_actmax.oracles.base import BaseOracle
from constrained_actmax.oracles.oracle import Oracle
from constrained_actmax.problem import Problem
from constrained_actmax.result import Budget, Status, Termination
from constrained_actmax.sets.base import ConvexSet
from constrained_actmax.tasks.recording import Intermediate, Recording
from constrained_actmax.tasks.task import Stopped, Task

# -- convex sets ---------------------------------------------------------------------------------

SET_SAMPLES = 8  # points of the set against which the variational inequality is held
CLOSED_FORM = (
    1e-9  # relative error of the laws for closed forms: far above rounding, far below a bug
)
SUM_ROUNDING = 64 * float(np.finfo(np.float64).eps)  # of sums over some hundred entries
CVXPY_AGREEMENT = 1e-6  # with cvxpy at tight tolerance
CVXPY_STALLS = 1e-5  # by how much its own point may be the farther one, on curved cones


def check_convex_set(
    set_: ConvexSet | Kernel,
    points: Any,
    *,
    tolerance: float | None = None,
    reference: bool = False,
    seed: int = 0,
) -> None:
    """Hold a set against the laws of projections on convex sets.

    A projection leaves its argument alone and a point inside as it is, ends inside, is idempotent
    and nonexpansive, gives each row what it gives the row alone, and satisfies
    ``(y - p)'(z - p) <= 0`` for every z of the set, which no other point of the set does. A
    `HeuristicSet` is held to the first four.

    Parameters
    ----------
    set_ : ConvexSet or Kernel
        The set; one that users write is bound to the length of the points.
    points : array_like, shape (B, n)
        Points to project, inside and outside.
    tolerance : float, optional
        Relative error allowed; by default the accuracy that the set states.
    reference : bool, default False
        Whether to compare with cvxpy too, slowly: the distance to p is the least one.
    seed : int, default 0
        Of the points of the set that are drawn.

    Raises
    ------
    AssertionError
        Names the law, and by how much it is broken.
    """
    y = np.atleast_2d(np.asarray(points, dtype=np.float64))
    bound = set_ if isinstance(set_, Kernel) else set_.bind(Layout.of_array((y.shape[1],)))
    allowed = tolerance
    if allowed is None:
        allowed = max(CLOSED_FORM, bound.accuracy)
    before = y.copy()
    p = bound.project(y)
    _hold(np.array_equal(y, before), bound, "project writes into its argument")
    _hold(not np.shares_memory(p, y), bound, "project returns its argument")
    _hold(p.shape == y.shape and p.dtype == np.float64, bound, "project changes shape or dtype")
    worst = float(np.max(bound.relative_violation(p)))
    _hold(
        worst <= bound.tolerance,
        bound,
        f"a projected point is outside: relative violation {worst:.3g} > {bound.tolerance:g}",
    )
    unit = _unit(p)
    size = np.maximum(unit, np.max(np.abs(y), axis=1, initial=0.0))
    moved = np.max(np.abs(bound.project(p) - p), axis=1)
    reach = np.maximum(unit, np.max(np.abs(p), axis=1, initial=0.0))
    _below(moved / reach, allowed, bound, "project is not idempotent")
    inside = bound.violation(p) == 0.0
    if inside.any():
        _hold(np.array_equal(bound.project(p[inside]), p[inside]), bound, "a point inside is moved")
    alone = np.concatenate([bound.project(row) for row in y[:, np.newaxis]])
    _below(
        np.max(np.abs(alone - p), axis=1) / reach / np.maximum(1.0, size * SUM_ROUNDING / allowed),
        allowed,
        bound,
        "a row depends on its neighbours",
    )
    if not bound.convex:
        return
    _check_variational(bound, y, p, reach, allowed, seed)
    apart = np.linalg.norm(y[:, np.newaxis] - y, axis=2)
    together = np.linalg.norm(p[:, np.newaxis] - p, axis=2)
    # Each may be off by the accuracy, which is relative to the projected point.
    error = allowed * reach + SUM_ROUNDING * size * np.sqrt(y.shape[1])
    slack = error[:, np.newaxis] + error
    _below((together - apart - slack).ravel(), 0.0, bound, "project is expansive")
    if reference:
        for row, projected in zip(y, p, strict=True):
            _check_against_cvxpy(bound, row, projected, unit, max(allowed, CVXPY_AGREEMENT))


def check_scaling(
    make: Callable[[float], ConvexSet | Kernel],
    points: Any,
    scales: Iterable[float],
    *,
    tolerance: float | None = None,
) -> None:
    """Hold a set against the law of units.

    The projection of ``a y`` on the set scaled by ``a`` is ``a`` times the projection of y on the
    set, to the accuracy that the set states and bit by bit where a is a power of two; relative
    violations do not change.

    Parameters
    ----------
    make : callable
        a -> the set with all its numbers (radius, center, bounds, points) times a.
    points : array_like, shape (B, n)
        Points to project on ``make(1.0)``.
    scales : iterable of float
        The a > 0.
    tolerance : float, optional
        Relative error allowed where a is no power of two; by default the accuracy that the set
        states.

    Raises
    ------
    AssertionError
        Names the law, and by how much it is broken.
    """
    y = np.atleast_2d(np.asarray(points, dtype=np.float64))
    layout = Layout.of_array((y.shape[1],))

    def at(a: float) -> Kernel:
        scaled_set = make(a)
        return scaled_set if isinstance(scaled_set, Kernel) else scaled_set.bind(layout)

    plain = at(1.0)
    p, outside = plain.project(y), plain.relative_violation(y)
    allowed = max(CLOSED_FORM, plain.accuracy) if tolerance is None else tolerance
    reach = np.maximum(_unit(p), np.max(np.abs(p), axis=1, initial=0.0))
    for a in scales:
        scaled = at(a)
        projection = scaled.project(a * y)
        worst = float(np.max(scaled.relative_violation(projection)))
        _hold(worst <= scaled.tolerance, scaled, f"times {a:g}, a projected point is outside")
        exact = math.frexp(a)[0] == 0.5
        apart = np.abs(scaled.relative_violation(a * y) - outside) / np.maximum(outside, 1.0)
        law = f"times {a:g}, relative violations change"
        _below(apart, SUM_ROUNDING if exact else CLOSED_FORM, scaled, law)
        if exact:
            _hold(
                np.array_equal(projection, a * p), scaled, f"times {a:g}, other bits are projected"
            )
            continue
        error = np.max(np.abs(projection / a - p), axis=1, initial=0.0) / reach
        _below(error, allowed, scaled, f"times {a:g}, the projection is not times {a:g}")


def _unit(p: Rows) -> float:
    """Return the size of points of a set: half of these are as large; 1 if all are zero."""
    sizes = np.max(np.abs(p), axis=1, initial=0.0)
    return float(np.median(sizes)) or float(np.max(sizes, initial=0.0)) or 1.0


def _check_variational(
    bound: Kernel, y: Rows, p: Rows, reach: Vector, allowed: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    spread = rng.standard_normal((SET_SAMPLES, y.shape[1])) * np.median(reach)
    z = np.concatenate([bound.sample(rng, SET_SAMPLES), bound.project(spread), p])
    z = np.concatenate([z, 0.5 * (z + z[::-1])])
    for row, projected, scale in zip(y, p, reach, strict=True):
        normal = row - projected
        length = float(np.linalg.norm(normal))
        # The nearest point is at most 2 |y - p| from p: of a point outside by rounding alone the
        # direction y - p says nothing, and p is accurate whatever it is.
        if 2.0 * length <= allowed * scale:
            continue
        # Points of the set in the direction in which a nearer one would lie.
        ahead = np.array([[0.01], [0.1], [1.0]]) * scale * normal / length
        turned = ahead + 0.3 * scale * rng.standard_normal(ahead.shape) / np.sqrt(len(row))
        steps = np.concatenate(
            [z, bound.project(projected + ahead), bound.project(projected + turned)]
        )
        steps -= projected
        # If p is off by e, then so is y - p, and the product by at most e (|y - p| + |z - p|).
        # Rounding of a huge point enters in proportion to its own size.
        noise = allowed * scale * (1.0 + np.linalg.norm(steps, axis=1) / length)
        noise += allowed * np.linalg.norm(steps, axis=1) + SUM_ROUNDING * np.abs(row).max()
        _below(
            steps @ (normal / length) - noise,
            0.0,
            bound,
            "(y - p)'(z - p) <= 0 fails: p is not the nearest point",
        )


def _check_against_cvxpy(bound: Kernel, y: Vector, p: Vector, unit: float, allowed: float) -> None:
    import cvxpy as cp

    variable = cp.Variable(len(y))
    problem = cp.Problem(cp.Minimize(cp.sum_squares(variable - y)), bound.to_cvxpy(variable))
    distances = []
    for tol in (1e-12, 1e-10, 1e-8):  # which stalls latest differs from case to case
        with contextlib.suppress(cp.SolverError), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it calls points inaccurate that are not
            problem.solve(solver="CLARABEL", tol_gap_abs=tol, tol_gap_rel=tol, tol_feas=tol)
            if variable.value is not None:
                distances.append(np.array(variable.value))
    _hold(bool(distances), bound, "cvxpy finds no projection to compare with")
    theirs = min(distances, key=lambda v: abs(np.linalg.norm(y - v) - np.linalg.norm(y - p)))
    scale = max(unit, float(np.max(np.abs(y))))
    apart = (float(np.linalg.norm(y - p)) - float(np.linalg.norm(y - theirs))) / scale
    law = "project disagrees with to_cvxpy in distance"
    _below(np.array([apart]), allowed, bound, law)
    _below(np.array([-apart]), max(allowed, CVXPY_STALLS), bound, law)
    # A gap of 1e-12 in the squared distance leaves the solver's point open by its root, and a
    # little more where a cone's surface is curved; and where p, which is inside, is the nearer one,
    # the solver's own point is off by up to the root of what it has the squares too large.
    farther = float(np.sum((y - theirs) ** 2) - np.sum((y - p) ** 2))
    theirs_off = float(np.sqrt(max(0.0, farther))) / scale
    gap = float(np.max(np.abs(theirs - p))) / scale
    _below(np.array([gap - theirs_off]), 10 * allowed, bound, "project disagrees with to_cvxpy")


def _name(subject: object) -> str:
    return subject.describe() if isinstance(subject, ConvexSet) else str(subject)


def _hold(condition: bool | np.bool_, subject: object, law: str) -> None:
    assert condition, f"{_name(subject)}: {law}."


def _below(values: Vector, limit: float, subject: object, law: str) -> None:
    worst = float(np.max(values, initial=-np.inf))
    assert worst <= limit, f"{_name(subject)}: {law} ({worst:.3g} > {limit:g})."


# -- oracles and objectives ------------------------------------------------------------------------

TAYLOR_STEPS = (1e-4, 1e-5)  # in units of max(1, largest entry): below the distance to most kinks
TAYLOR_ORDER = 1.9  # the remainder of a right gradient falls with the square of the step
ROUNDING = 1e3  # times machine epsilon: what a sum in another order may change


def check_oracle(oracle: BaseOracle, points: Rows, *, seed: int = 0) -> None:
    r"""Hold an oracle against the laws of values and derivatives.

    It leaves its argument as it is and hands out arrays of its own; gives a row the same numbers
    alone and among others; counts rows and calls; remembers the last point; agrees with itself
    across `values`, `evaluate`, `vjp` and `hessian_product`; and its Jacobian is the derivative:
    :math:`|f(x + h d) - f(x) - h J d|` falls with :math:`h^2` (in float64; otherwise a central
    difference must agree to the root of the precision).

    Parameters
    ----------
    oracle : BaseOracle
        Any.
    points : numpy.ndarray, shape (B, n)
        Inputs in the model's range, away from kinks.
    seed : int, default 0
        Of the directions and weights that are drawn.

    Raises
    ------
    AssertionError
        Names the law that is broken.
    """
    rng = np.random.default_rng(seed)
    x = np.array(points, dtype=np.float64)
    who, size, count = type(oracle).__name__, oracle.size, oracle.functions
    original = x.copy()
    evaluations, calls = oracle.evaluations, oracle.calls
    values, jacobian = oracle.evaluate(x)
    _hold(np.array_equal(x, original), who, "evaluate writes into its argument")
    _hold(values.shape == (len(x), count), who, f"values have shape {values.shape}")
    _hold(jacobian.shape == (len(x), count, size), who, f"Jacobian has shape {jacobian.shape}")
    _hold(values.dtype == jacobian.dtype == np.float64, who, "numbers are float64")
    _hold(oracle.evaluations == evaluations + len(x), who, "each row is counted once")
    _hold(calls < oracle.calls <= calls + len(x), who, "calls of the model are counted")
    kept = values.copy(), jacobian.copy()
    again, slopes = oracle.evaluate(x)
    _hold(np.array_equal(again, kept[0]), who, "the same rows give the same values")
    _hold(np.array_equal(slopes, kept[1]), who, "the same rows give the same Jacobian")
    values, jacobian = kept
    _same(oracle.values(x), values, oracle, "values and evaluate disagree")
    for row in range(len(x)):
        alone, slope = oracle.evaluate(x[row : row + 1])
        _same(alone[0], values[row], oracle, "a row changes with its neighbours")
        _same(slope[0], jacobian[row], oracle, "a row's Jacobian changes with its neighbours")
    weights = rng.standard_normal((len(x), count))
    plain, product = oracle.vjp(x, weights)
    _same(plain, values, oracle, "vjp and evaluate disagree in value")
    expected = np.einsum("bk,bkn->bn", weights, jacobian)
    _same(product, expected, oracle, "vjp and the Jacobian disagree")
    value, gradient = oracle.value_and_gradient(x[0])
    _same(np.array(value), values[0, 0], oracle, "value_and_gradient and evaluate disagree")
    gradient[:] = np.nan
    before = oracle.calls
    point = x[0].copy()
    remembered = oracle.gradient(point)
    _hold(oracle.calls == before, who, "the last point is remembered")
    _same(remembered, jacobian[0, 0], oracle, "the memo hands out its own array")
    point += 1.0
    _same(np.array(oracle.value(x[0])), values[0, 0], oracle, "the memo keeps the caller's point")
    flat = oracle.flatten(oracle.unflatten(x[0]))
    _hold(np.array_equal(flat, x[0]), who, "unflatten, then flatten, is the identity")
    for row in range(len(x)):
        _check_taylor(oracle, x[row], values[row], jacobian[row], rng)
    _check_hessian(oracle, x[0], rng)


def check_objective(objective: Objective, oracle: Oracle, points: Rows, *, seed: int = 0) -> None:
    """Hold an objective against the laws of oracles, and of arithmetic and comparisons.

    Besides `check_oracle`: sums, multiples and negatives are exact; other batch sizes and other
    numbers of equal structure trace nothing anew; it says what it is; a comparison makes
    a constraint without truth value; and what it claims to be bounded by is not contradicted.

    Parameters
    ----------
    objective : Objective
        Of one number for each point, or of several.
    oracle : Oracle
        Of the model, with any objective or none; best in float64.
    points : numpy.ndarray, shape (B, n)
        Inputs in the model's range, away from kinks.
    seed : int, default 0
        Of what is drawn.

    Raises
    ------
    AssertionError
        Names the law that is broken.
    """
    from constrained_actmax.objectives.between import Between
    from constrained_actmax.objectives.squared_distance import SquaredDistance

    _hold(bool(str(objective)), type(objective).__name__, "it says what it is")
    first = SquaredDistance(0.25)
    score = objective.bind(oracle.source)
    scalar = score.rows == 1
    bound = oracle.with_objectives(objective if scalar else [first, objective])
    check_oracle(bound, points, seed=seed)
    traces = bound.traces
    bound.evaluate(np.concatenate([points, points, points[:1]]))
    oracle.with_objectives(bound.objectives).evaluate(points)
    _hold(bound.traces == traces, objective, "another batch size or oracle is traced anew")
    if scalar:
        value = bound.values(points)[:, 0]
        other = oracle.with_objectives(first).values(points)[:, 0]
        combined = oracle.with_objectives(3.0 - (objective + 2.0 * first) / 4.0)
        expected = 3.0 - (value + 2.0 * other) / 4.0
        _same(combined.values(points)[:, 0], expected, bound, "arithmetic is not exact")
        _same(
            oracle.with_objectives(-objective).values(points)[:, 0],
            -value,
            bound,
            "the negative is not the negative",
        )
        _hold(
            bool((-objective).bind(oracle.source).bounded == score.bounded.times(-1.0)),
            objective,
            "the negative is bounded the other way round",
        )
    for constraint in (objective <= 1.0, np.float64(1.0) >= objective, objective == 1.0):
        _hold(isinstance(constraint, Between), objective, "a comparison makes a constraint")
    try:
        truth = bool(objective <= 1.0)
    except ValueError:
        truth = False
    _hold(not truth, objective, "a constraint has no truth value")


def _check_taylor(
    oracle: BaseOracle, x: Vector, values: Vector, jacobian: Rows, rng: np.random.Generator
) -> None:
    direction = rng.standard_normal(oracle.size)
    direction /= max(1e-300, float(np.linalg.norm(direction)))
    scale = max(1.0, float(np.max(np.abs(x), initial=0.0)))
    along = jacobian @ direction
    double = float(np.finfo(np.float64).eps)
    if oracle.epsilon > double:
        step = scale * oracle.epsilon ** (1 / 3)
        pair = oracle.values(np.stack([x + step * direction, x - step * direction]))
        slope = (pair[0] - pair[1]) / (2 * step)
        size = np.maximum(1.0, np.abs(values)) + np.abs(along)
        allowed = 100 * oracle.epsilon**0.5
        _below(np.abs(slope - along) / size, allowed, oracle, "the gradient is not the derivative")
        return
    steps = scale * np.array(TAYLOR_STEPS)
    ahead = oracle.values(x + steps[:, np.newaxis] * direction)
    remainder = np.abs(ahead - values - steps[:, np.newaxis] * along)
    floor = ROUNDING * double * np.maximum(1.0, np.abs(values))
    orders = np.log10(np.maximum(remainder[0], 1e-300) / np.maximum(remainder[1], 1e-300))
    orders /= np.log10(steps[0] / steps[1])
    orders = np.where(remainder[1] <= floor, 2.0, orders)
    _below(-orders, -TAYLOR_ORDER, oracle, "minus the Taylor order of the gradient is too large")


def _check_hessian(oracle: BaseOracle, x: Vector, rng: np.random.Generator) -> None:
    v = rng.standard_normal(oracle.size)
    product = oracle.hessian_product(x, v)
    _hold(product.shape == x.shape, oracle, "hessian_product has the shape of x")
    if not oracle.smooth or oracle.epsilon > float(np.finfo(np.float64).eps):
        return
    step = 1e-5 * max(1.0, float(np.linalg.norm(x))) / max(1.0, float(np.linalg.norm(v)))
    _, jacobian = oracle.evaluate(np.stack([x + step * v, x - step * v]))
    expected = (jacobian[0, 0] - jacobian[1, 0]) / (2 * step)
    size = 1.0 + np.max(np.abs(expected)) + np.max(np.abs(jacobian[:, 0])) * np.linalg.norm(v)
    _below(np.abs(product - expected) / size, 1e-6, oracle, "the Hessian product is wrong")


def _same(a: np.ndarray, b: np.ndarray, oracle: BaseOracle, law: str) -> None:
    a, b = np.atleast_1d(a), np.atleast_1d(b)
    size = 1.0 + float(np.max(np.abs(b), initial=0.0))
    _below(np.abs(a - b).ravel() / size, ROUNDING * oracle.epsilon, type(oracle).__name__, law)


# -- tasks ---------------------------------------------------------------------------------------

WORK = 2.5  # charged by `check_task`: two whole evaluations and a half
ROWS = 3  # evaluations counted by `check_task`
KEPT = 0.5  # share of the tolerance, and of the seconds, that `check_task` asks for a while
DIFFERENCE = 1e-6  # relative error of central differences of smooth functions in float64


def check_task(
    task: Task,
    points: Rows,
    *,
    problem: Problem | None = None,
    start: int = 0,
    only: bool = True,
    seed: int = 0,
) -> None:
    """Hold a task against the laws of what solvers may touch.

    Gradients, Jacobians and products with Hessians are derivatives; rows do not depend on their
    neighbours; projections are points of C; every evaluation and all other work lowers
    `remaining`, the clock runs, and no limit is passed; a tightened tolerance and seconds that are
    kept are so for a while; the best point is the best of those that
    were evaluated; what a solver reports is kept, and its first word on a start counts. In the
    user's variables the answers are those of the user's problem.

    Parameters
    ----------
    task : Task
        One that has not been asked yet, with a budget of evaluations that covers some hundred.
    points : numpy.ndarray, shape (B, n)
        Feasible points of it, inside the bounds of C.
    problem : Problem, optional
        The user's, of which the task is a form.
    start : int, default 0
        The start that the task is asked for.
    only : bool, default True
        Whether nobody else asks meanwhile.
    seed : int, default 0
        Of the directions of differences.

    Raises
    ------
    AssertionError
        Names the law that is broken.
    """
    form, before = task.problem, np.array(points)
    starts = np.full(len(before), start)
    lower, _ = task.set.bounds()
    _hold(lower.shape == (task.size,), task, "the set has as many entries as the task")
    _hold(task.lower.shape == task.upper.shape == (form.constraints,), task, "c has two bounds")
    evaluation = _counted(task, before, starts, only)
    _hold(np.array_equal(before, points), task, "evaluate does not write to its points")
    b, n, m = len(before), task.size, form.constraints
    shapes = (
        evaluation.f.shape,
        evaluation.gradient.shape,
        evaluation.c.shape,
        evaluation.jacobian.shape,
    )
    _hold(shapes == ((b,), (b, n), (b, m), (b, m, n)), task, f"evaluate returns shapes {shapes}")
    _hold(bool(evaluation.finite.all()), task, "says that a point is not finite")
    for row in range(b):
        alone = task.evaluate(before[row : row + 1], [start])
        for name in ("f", "gradient", "c", "jacobian"):
            alone_value, other = getattr(alone, name)[0], getattr(evaluation, name)[row]
            size = 1.0 + float(np.max(np.abs(other), initial=0.0))
            off = np.ravel(np.abs(alone_value - other)) / size
            _below(off, ROUNDING * form.epsilon, task, f"{name} of a row depends on its neighbours")
    if form.differentiable and not task.nonsmooth:
        _check_slopes(task, before, evaluation, start, np.random.default_rng(seed))
    _check_projector(task, before)
    _check_reports(task, before, evaluation, start)
    if problem is not None:
        _check_answers(task, before, evaluation, problem)
    _check_limits(task, before[:1], start, only)


def _counted(task: Task, x: Rows, starts: Indices, only: bool) -> Evaluation:
    before, seconds = task.remaining, task.seconds
    evaluation = task.evaluate(x, starts)
    after = task.remaining
    if before is not None and after is not None:
        fewer = before - after
        _hold(fewer == len(x) if only else fewer >= len(x), task, f"{len(x)} rows count {fewer}")
    _hold(task.seconds > seconds, task, "the clock stands still")
    return evaluation


def _check_slopes(
    task: Task, x: Rows, evaluation: Evaluation, start: int, rng: np.random.Generator
) -> None:
    form = task.problem
    lower, upper = task.set.bounds()
    step = form.epsilon ** (1 / 3)
    allowed = DIFFERENCE if form.epsilon <= float(np.finfo(np.float64).eps) else 10 * step
    for row, point in enumerate(x):
        v = rng.uniform(0.5, 1.0, task.size) * rng.choice([-1.0, 1.0], task.size)
        v *= np.minimum(1.0, np.minimum(point - lower, upper - point) / step)  # within the bounds
        pair = task.evaluate(np.stack([point + step * v, point - step * v]), [start, start])
        values = np.column_stack([pair.f, pair.c])
        slopes = np.concatenate([evaluation.gradient[row][np.newaxis], evaluation.jacobian[row]])
        size = 1.0 + np.abs(slopes).sum(axis=1) + np.max(np.abs(values), axis=0)
        off = np.abs((values[0] - values[1]) / (2 * step) - slopes @ v) / size
        _below(off, allowed, task, "a gradient is not the derivative")
        if form.hessians and form.smooth and form.epsilon <= float(np.finfo(np.float64).eps):
            weights = rng.uniform(0.5, 1.0, form.hessians)
            ours = task.hessian_product(point, v, weights)
            slope = [
                weights @ np.concatenate([g[np.newaxis], j])[: form.hessians]
                for g, j in zip(pair.gradient, pair.jacobian, strict=True)
            ]
            off = np.abs((slope[0] - slope[1]) / (2 * step) - ours)
            _below(off / (1.0 + np.abs(slope).sum()), 1e3 * allowed, task, "a Hessian is wrong")


def _check_projector(task: Task, x: Rows) -> None:
    points = np.concatenate([x, x + 3.0])
    for accurate in (True, False):
        project = task.projector(accurate=accurate)
        worst = task.set.relative_violation(project(points))
        _below(worst, task.set.tolerance, task, "the projector leaves the set")
    project = task.projector()
    off = np.abs(project(points) - np.stack([project(point) for point in points])).max(axis=1)
    _below(off, max(CLOSED_FORM, task.set.accuracy), task, "a point alone projects elsewhere")


def _check_reports(task: Task, x: Rows, evaluation: Evaluation, start: int) -> None:
    best = task.best(start)
    _hold(best is not None, task, "no best point, though feasible ones were evaluated")
    assert best is not None
    slack = ROUNDING * task.epsilon * (1.0 + np.abs(evaluation.f).max())
    _hold(
        best.f <= evaluation.f.min() + slack, task, "the best point is worse than an evaluated one"
    )
    there = task.evaluate(best.x[np.newaxis], [start])
    _hold(abs(float(there.f[0]) - best.f) <= slack, task, "the best point has another value")
    before = int(task.iterations[start])
    _hold(task.iterate(start, x[0], float(evaluation.f[0])), task, "a first iterate diverges")
    task.evaluate(x[:1], [start])
    _hold(int(task.iterations[start]) == before + 1, task, "an iterate is not counted")
    task.end(start, x[0], Status.STALLED, "first")
    task.end(start, x[-1], Status.CONVERGED, "second")
    ended = task.ended[start]
    _hold(ended.status is Status.STALLED, task, "the second word on a start replaces the first")
    _hold(ended.detail == "first", task, "the detail of the first word is lost")


def _check_answers(task: Task, x: Rows, evaluation: Evaluation, problem: Problem) -> None:
    form = task.problem
    user = form.original(x)
    _hold(user.shape == (len(x), problem.size), task, "a point has no form in the user's variables")
    theirs = problem.evaluate(user)
    allowed = ROUNDING * max(form.epsilon, problem.epsilon)
    size = 1.0 + np.abs(theirs.f)
    off = np.abs(evaluation.f * form.objective_unit - theirs.f) / size
    _below(off, allowed, task, "f is not the user's at a feasible point")
    inside = form.violation(x, evaluation.c) <= form.feasibility_tolerance
    written = problem.violation(user, theirs.c) <= problem.feasibility_tolerance
    _hold(bool(inside.all()) and bool(written.all()), task, "a feasible point is infeasible")
    if form.constraints:
        ours, user_s = (
            form.functional_violation(evaluation.c),
            problem.functional_violation(theirs.c),
        )
        _below(np.abs(ours - user_s), allowed, task, "a violation is not the user's")
    network = task.structure
    if network is not None:
        values = network.structure.values(user)["functions"] * network.weights
        for ours, asked in zip(
            values.T, np.column_stack([evaluation.f, evaluation.c]).T, strict=True
        ):
            off = np.abs(ours - asked) / (1.0 + np.abs(asked))
            _below(off, allowed, task, "the structure is not the network's")


def _check_limits(task: Task, x: Rows, start: int, only: bool) -> None:
    _check_shares(task)
    left = task.remaining
    if left is None:
        task.charge(WORK)
        _hold(task.remaining is None, task, "work makes a limit")
        return
    ways: list[tuple[Callable[..., None], float]]
    ways = [(task.charge, WORK), (task.count, ROWS), (task.spent, ROWS)]
    for spend, each in ways:
        left = task.remaining or 0
        spend(each)
        spend(each)
        fewer, whole = left - (task.remaining or 0), 2 * each
        what = f"{spend.__name__}({each}), twice, counts {fewer}"
        _hold(fewer == whole if only else fewer >= whole, task, what)
    for spend in (task.charge, task.count):
        try:
            spend((task.remaining or 0) + 1)
        except Stopped as reason:
            _hold(reason.status is Status.BUDGET, task, "the end of the budget has another status")
        else:
            _hold(task.remaining == 0, task, f"{spend.__name__} passes the limit")
    _hold(task.remaining == 0, task, "work beyond the budget leaves some")
    task.spent(ROWS)  # has been made: no limit undoes it
    _hold(task.remaining == 0, task, "evaluations made elsewhere are given back")
    try:
        task.evaluate(x, [start])
    except Stopped as reason:
        _hold(reason.status is Status.BUDGET, task, "the end of the budget has another status")
    else:
        _hold(False, task, "evaluates beyond the budget")


def _check_shares(task: Task) -> None:
    """Hold what is asked for a while: it counts meanwhile, and is over afterwards."""
    tolerance, left = task.tolerance, task.seconds_left
    with task.tightened(KEPT), task.keeping(KEPT):
        _hold(task.tolerance == KEPT * tolerance, task, "the tolerance is not tightened")
        inside = task.seconds_left
    _hold(task.tolerance == tolerance, task, "a tightened tolerance stays")
    after = task.seconds_left
    if left is None:
        _hold(inside is None and after is None, task, "seconds kept of no limit make one")
        return
    assert inside is not None
    assert after is not None
    _hold(inside <= (1.0 - KEPT) * left, task, "seconds that are kept are there")
    _hold(inside <= after <= left, task, "seconds that were kept do not come back")


# -- solvers -------------------------------------------------------------------------------------

FEW = 7  # evaluations of the budget test: fewer than any solver needs


class SolverLike(Protocol):
    """What `check_solver` asks of a solver; `constrained_actmax.solvers.Solver` has it."""

    @property
    def stays_inside(self) -> bool:
        """Whether every point that it evaluates is in C."""

    def refusal(self, problem: Problem) -> str | None:
        """Return why it cannot take the problem, or None."""

    def solve(self, run: Recording, x0: Rows) -> list[Termination]:
        """Minimise from each row."""


def check_solver(solver: SolverLike, problem: Problem, starts: Rows) -> list[Termination]:
    """Hold a solver against the laws of running a problem from some starts.

    It leaves the starts as they are; ends each with a status; returns points that are no worse
    than the start, and in C once projected; says the same when it is run again; keeps to the
    budget; ends when the callback says so; and, where it claims to stay inside, asks the model for
    no point outside C.

    Parameters
    ----------
    solver : Solver
        With its settings.
    problem : Problem
        One that the solver does not refuse, without functional constraints.
    starts : numpy.ndarray, shape (B, n)
        Points of C.

    Returns
    -------
    list of Termination
        Of the unlimited run, for further tests.

    Raises
    ------
    AssertionError
        Names the law that is broken.
    """
    _hold(solver.refusal(problem) is None, solver, f"takes the problem: {solver.refusal(problem)}")
    before = np.array(starts)
    outside: list[float] = []
    seen = problem.evaluate

    def watched(x: Rows, **options: Any) -> Evaluation:
        outside.append(float(np.max(problem.set.relative_violation(x))))
        return seen(x, **options)

    first = Recording(problem, len(before), reserve=not solver.stays_inside)
    problem.evaluate = watched  # type: ignore[method-assign]
    try:
        ended = solver.solve(first, before)
    finally:
        del problem.evaluate
    asked = first.evaluations
    _hold(np.array_equal(before, starts), solver, "does not write to its starts")
    _hold(len(ended) == len(before), solver, "ends every start")
    if solver.stays_inside:
        _hold(max(outside) <= problem.set.tolerance, solver, f"stays inside C: {max(outside):.1e}")
    values = problem.evaluate(before).f
    for start, end in enumerate(ended):
        x, evaluation = first.returned(start, end.x)
        slack = 1e-9 * max(1.0, abs(values[start]))
        _hold(bool(problem.feasible(x[None], evaluation.c)[0]), solver, "returns feasible points")
        _hold(bool(evaluation.f[0] <= values[start] + slack), solver, "is no worse than its start")
    again = Recording(problem, len(before), reserve=not solver.stays_inside)
    for end, two in zip(ended, solver.solve(again, before), strict=True):
        _hold(np.array_equal(end.x, two.x), solver, "says the same when it is run again")
        _hold(end.status == two.status, solver, "ends the same when it is run again")
    _hold(asked == again.evaluations, solver, "asks as often when it is run again")
    short = Recording(problem, 1, budget=Budget(evaluations=FEW), reserve=not solver.stays_inside)
    last = solver.solve(short, before[:1])[0]
    short.returned(0, last.x)
    _hold(short.evaluations <= FEW, solver, f"keeps to the budget: {short.evaluations} > {FEW}")
    calls: list[int] = []

    def stop(intermediate: Intermediate) -> bool:
        calls.append(intermediate.nit)
        return len(calls) == 2

    stopped = Recording(problem, 1, callback=stop, reserve=not solver.stays_inside)
    last = solver.solve(stopped, before[:1])[0]
    if len(calls) >= 2:
        _hold(len(calls) == 2, solver, "ends when the callback says so")
        _hold(last.status is Status.INTERRUPTED, solver, "says that it was interrupted")
    return ended
