"""The nearest point within bounds on outputs, by balls whose radius Newton's method sets."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from typing_extensions import override

from constrained_actmax.errors import InfeasibleError
from constrained_actmax.evaluation import Evaluation
from constrained_actmax.layout import Indices, Rows, Vector
from constrained_actmax.optimality import residuals
from constrained_actmax.random_points import drawn
from constrained_actmax.result import Status
from constrained_actmax.sets.distance import Distance, projects_directly
from constrained_actmax.solvers.augmented_lagrangian import AugmentedLagrangian
from constrained_actmax.solvers.base import BEYOND, TINY, Solver, needs_gradients
from constrained_actmax.standard_form import FeasibleSet, StandardForm
from constrained_actmax.tasks.recording import MOST_ROWS
from constrained_actmax.tasks.task import Task
from constrained_actmax.tasks.timed import planned

#: Steps of each descent within a ball, and balls, of the first rung and of the second; evaluations
#: for which there is one candidate; the share of them that goes on. Of the settings that were tried
#: these come nearest on docs/benchmarks/nearest.md.
FIRST, SECOND = (10, 3), (15, 5)
PER_CANDIDATE, GOING_ON = 60, 0.4
#: Candidates of one start at most.
MOST_CANDIDATES = 32
#: First radii of a start's candidates over that at which the bounds hold to first order, from the
#: first candidate to the last, between in geometric steps; over the best radius, later.
WIDER, AGAIN = (2.0, 8.0), (1.0, 4.0)
#: Change of the radius by which the rate of the violation is measured, and how near to the ends of
#: the bracket a radius may be, relative to its length.
CHANGE, KEPT_OFF = 0.05, 0.05
#: Bracket of the radius, relative, at which a candidate ends.
CLOSE = 1e-4
#: Marks the seeds of these draws, so that they differ from a user's own of the same number.
DRAWS = 20311


@dataclass
class _Candidates:
    """Rows of arrays, each on behalf of a start, with the radius of a ball of its own.

    Parameters
    ----------
    starts : numpy.ndarray of int, shape (B,)
    x : numpy.ndarray, shape (B, n)
    radius, low, high : numpy.ndarray, shape (B,)
        Of the next ball; the largest without a feasible point; the least distance of a feasible
        one.
    """

    starts: Indices
    x: Rows
    radius: Vector
    low: Vector
    high: Vector

    def kept(self, rows: Indices) -> _Candidates:
        """Return some of the rows."""
        return _Candidates(
            self.starts[rows], self.x[rows], self.radius[rows], self.low[rows], self.high[rows]
        )


@dataclass(frozen=True, kw_only=True)
class NearestPoint(Solver):
    r"""The smallest ball round the reference that holds a point within all bounds on outputs.

    For :math:`\min \|w \circ (x - c)\|_p`, p = 1, 2 or ∞, under convex sets and bounds on outputs.
    At a radius t, projected gradient steps whose length falls to zero lower the largest violation
    v(x), with a sign, over C and the ball [1]_; its least value φ(t) and the rate at which a linear
    v changes with the radius give the next radius by Newton's method, within a bracket: the root of
    φ is the distance [2]_. Each start is raced from the starting point, from the point of C nearest
    to c and from draws, in a wide ball, since the nearest feasible point may lie behind another
    piece of the network than the one that the gradient at c shows; the leading ones go on.

    Each point lies in C. A start that finds no feasible point is handed to `fallback`. Balls
    without a feasible point are no proof that there is none.

    Parameters
    ----------
    evaluations : int, default 480
        Of each start, where no budget says otherwise; a larger budget buys more draws.
    fallback : Solver
        Goes on where no feasible point was seen.

    References
    ----------
    .. [1] Pintor, Roli, Brendel, Biggio (2021), Fast minimum-norm adversarial attacks through
       adaptive norm constraints, NeurIPS 34.
    .. [2] Aravkin, Burke, Drusvyatskiy, Friedlander, Roy (2019), Level-set methods for convex
       optimization, Mathematical Programming 174.
    """

    name: ClassVar[str] = "nearest-point"
    stays_inside: ClassVar[bool] = False  # the fallback's may not

    evaluations: int = 480
    fallback: Solver = field(default_factory=AugmentedLagrangian)

    @override
    def refusal(self, problem: StandardForm) -> str | None:
        way = "use method='augmented-lagrangian'"
        if not problem.differentiable:
            return needs_gradients(self.name)
        distance = problem.distance
        if distance is None:
            return (
                f"{self.name} minimises Norm(p) with p = 1, 2 or inf, or SquaredDistance, of all "
                f"inputs under bounds on outputs; {way}."
            )
        if np.any(problem.lower == problem.upper):
            return f"{self.name} takes no equalities on outputs; {way}."
        if not problem.set.convex:
            return f"{self.name} needs a convex set; {way}."
        radius = 2.0 * float(distance(_anchor(problem)[np.newaxis])[0]) + 1.0
        if not projects_directly(distance.within(problem.set, radius)):
            return f"{self.name} needs a set that is projected on directly with a ball; {way}."
        return self.fallback.refusal(problem)

    @override
    def _run(self, task: Task, x0: Rows, starts: Indices) -> None:
        self.run_cycles(task, x0, starts)

    def run_cycles(self, task: Task, x0: Rows, starts: Indices, cycle: int = 0) -> int:
        """Race until the budget is used up, each cycle from other draws round the nearest points.

        Parameters and what is returned are those of `SuccessiveHalving.run_cycles`.
        """
        limited = task.remaining is not None or task.seconds_left is not None
        planning = planned(task, self.evaluations * len(x0))
        again = False
        while True:
            left = planning.remaining
            share = self.evaluations if left is None else left // len(x0)
            if again and (not limited or share < PER_CANDIDATE):
                break
            self._race(planning, x0, starts, share, cycle)
            cycle, again = cycle + 1, True
            going = np.array([task.best(start) is not None for start in starts.tolist()])
            if not going.any():
                break
        for start, x in zip(starts.tolist(), x0, strict=True):
            best = task.best(start)
            if best is None:
                self.fallback._run(task, x[np.newaxis], np.array([start]))
            else:
                self._end(task, start, best.x)
        return cycle

    @staticmethod
    def _end(task: Task, start: int, x: Vector) -> None:
        """Say how a start ended, by the library's own measures at its best point."""
        problem = task.problem
        if task.remaining == 0:
            task.end(start, x, Status.BUDGET)
            return
        kkt = residuals(problem, x, task.evaluate(x[np.newaxis], [start]))
        optimal = kkt.stationarity <= task.tolerance
        optimal &= kkt.complementarity <= problem.feasibility_tolerance
        task.end(start, x, Status.CONVERGED if optimal else Status.STALLED)

    def _race(self, task: Task, x0: Rows, starts: Indices, share: int, cycle: int) -> None:
        """Lead the starting points and draws towards c, the nearer ones farther."""
        problem, count = task.problem, len(x0)
        distance = problem.distance
        assert distance is not None
        each = max(1, min(share // PER_CANDIDATE, MOST_CANDIDATES, MOST_ROWS // count))
        anchor = _anchor(problem)
        points = []
        for start, x in zip(starts.tolist(), x0, strict=True):
            known = [] if cycle else [x, *([anchor] if (x != anchor).any() else [])]
            fresh = drawn(problem, each, (DRAWS + cycle, start), varied=True)
            points.append(np.concatenate([np.reshape(known, (-1, x.size)), fresh])[:each])
        rows, row_starts = np.concatenate(points), np.repeat(starts, each)
        task.carry(len(rows))
        evaluation = task.evaluate(rows, row_starts)
        violation, slope = _largest(problem, evaluation)
        away = distance(rows)
        with np.errstate(divide="ignore", invalid="ignore"):
            near = away + np.maximum(violation, 0.0) / distance.dual(slope)
        near = np.where(evaluation.finite & np.isfinite(near), near, np.inf).reshape(count, each)
        first = np.outer(near.min(axis=1), np.geomspace(*WIDER, each))
        for index, start in enumerate(starts.tolist()):
            best = task.best(start)
            if best is not None and cycle:
                nearest = float(distance(best.x[np.newaxis])[0])
                first[index] = nearest * np.geomspace(*AGAIN, each)
        farthest = away.reshape(count, each).max(axis=1)
        radius = np.maximum(np.minimum(first, farthest[:, np.newaxis]).ravel(), TINY)
        high = np.full(len(rows), np.inf)
        candidates = _Candidates(row_starts, rows, radius, np.zeros(len(rows)), high)
        self._descend(task, distance, candidates, *FIRST)
        promise = np.minimum(candidates.high, candidates.radius).reshape(count, each)
        going = np.argsort(promise, axis=1, kind="stable")[:, : max(1, round(GOING_ON * each))]
        chosen = (each * np.arange(count)[:, np.newaxis] + going).ravel()
        self._descend(task, distance, candidates.kept(chosen), *SECOND)

    def _descend(
        self, task: Task, distance: Distance, candidates: _Candidates, steps: int, balls: int
    ) -> None:
        """Lower the violation in one ball after the other, whose radii Newton's method sets."""
        problem = task.problem
        for _ in range(balls):
            with np.errstate(invalid="ignore"):
                open_ = candidates.high - candidates.low > CLOSE * candidates.high
            rows = np.flatnonzero(open_ | np.isinf(candidates.high))
            rows = rows[np.isfinite(candidates.radius[rows])]
            within: dict[int, FeasibleSet] = {}
            for row in rows.tolist():
                try:
                    within[row] = distance.within(problem.set, float(candidates.radius[row]))
                except InfeasibleError:
                    candidates.low[row] = candidates.radius[row]
                    candidates.radius[row] = _between(candidates, row, np.inf)
            if not within:
                continue
            live = np.array(list(within))
            values, slopes = _least(task, candidates, within, steps)
            for row, value, slope in zip(live.tolist(), values.tolist(), slopes, strict=True):
                x, t = candidates.x[row], float(candidates.radius[row])
                if value <= 0.0:
                    candidates.high[row] = min(
                        candidates.high[row], float(distance(x[np.newaxis])[0])
                    )
                else:
                    candidates.low[row] = max(candidates.low[row], t)
                rate = _rate(problem, distance, within[row], slope, t)
                target = t + value / rate if rate > 0.0 else np.inf
                candidates.radius[row] = _between(candidates, row, target)


def _anchor(problem: StandardForm) -> Vector:
    """Return the projection on C of the center."""
    distance = problem.distance
    assert distance is not None
    anchor: Vector = problem.set.project(distance.center)
    return anchor


def _largest(problem: StandardForm, evaluation: Evaluation) -> tuple[Vector, Rows]:
    """Return the largest violation of each row, < 0 within the bounds, and its gradient."""
    with np.errstate(invalid="ignore"):
        both = np.concatenate([evaluation.c - problem.upper, problem.lower - evaluation.c], axis=1)
    worst = np.argmax(np.where(np.isnan(both), np.inf, both), axis=1)
    m, rows = problem.constraints, np.arange(len(both))
    sign = np.where(worst < m, 1.0, -1.0)
    return both[rows, worst], sign[:, np.newaxis] * evaluation.jacobian[rows, worst % m]


def _between(candidates: _Candidates, row: int, target: float) -> float:
    """Return the next radius: the target, kept within the bracket."""
    low, high = float(candidates.low[row]), float(candidates.high[row])
    if np.isinf(high):
        return target if np.isfinite(target) and target > low else 2.0 * low
    off = KEPT_OFF * (high - low)
    middle = 0.5 * (low + high)
    return float(np.clip(target, low + off, high - off)) if low < target < high else middle


def _least(
    task: Task, candidates: _Candidates, within: dict[int, FeasibleSet], steps: int
) -> tuple[Vector, Rows]:
    """Lower the violation of each row over its set; put x to its best point.

    Returns
    -------
    values : numpy.ndarray, shape (len(within),)
        The least violation, < 0 within the bounds.
    slopes : numpy.ndarray, shape (len(within), n)
        Its gradient there.
    """
    problem = task.problem
    anchor = _anchor(problem)
    rows = np.array(list(within))
    sets = list(within.values())
    starts = candidates.starts[rows]
    x = np.array(
        [set_.project(point) for set_, point in zip(sets, candidates.x[rows], strict=True)]
    )
    values, slopes = np.full(len(rows), np.inf), np.zeros_like(x)
    best, length = x.copy(), np.zeros(len(rows))
    lowest: dict[int, tuple[float, Vector, Evaluation]] = {}
    for step in range(steps):
        evaluation = task.evaluate(x, starts)
        violation, slope = _largest(problem, evaluation)
        better = evaluation.finite & (violation < values)
        values[better], slopes[better], best[better] = violation[better], slope[better], x[better]
        for row in np.flatnonzero(better).tolist():
            lowest[row] = float(violation[row]), x[row].copy(), evaluation.row(row)
        size = np.linalg.norm(slope, axis=1)
        usable = evaluation.finite & (size > 0.0)
        way = np.where(usable[:, np.newaxis], slope, 0.0) / np.maximum(size, TINY)[:, np.newaxis]
        share = 0.5 + 0.5 * np.cos(np.pi * step / steps)
        for row, set_ in enumerate(sets):
            if not usable[row]:
                x[row] = best[row]
                continue
            if length[row] == 0.0:
                end = _farthest(set_, anchor, way[row])
                length[row] = float(np.linalg.norm(end - anchor))
            x[row] = set_.project(x[row] - share * length[row] * way[row])
    for row, (_, point, evaluation) in lowest.items():
        task.iterate(int(starts[row]), point, float(evaluation.f[0]), evaluation.violation_of(0))
    candidates.x[rows] = best
    return values, slopes


def _farthest(feasible: FeasibleSet, anchor: Vector, way: Vector) -> Vector:
    """Return about the point of a set where a linear function with this unit slope is least."""
    size = max(1.0, feasible.diameter) if np.isfinite(feasible.diameter) else 1.0
    end: Vector = feasible.project(anchor - BEYOND * size * way)
    return end


def _rate(
    problem: StandardForm, distance: Distance, feasible: FeasibleSet, slope: Vector, t: float
) -> float:
    """Return by how much the least value of a linear function over a ball falls with its radius."""
    size = float(np.linalg.norm(slope))
    if not size > 0.0:
        return 0.0
    anchor, way = _anchor(problem), slope / size
    try:
        smaller = distance.within(problem.set, (1.0 - CHANGE) * t)
    except InfeasibleError:
        return float(distance.dual(slope[np.newaxis])[0])
    gain = slope @ (_farthest(smaller, anchor, way) - _farthest(feasible, anchor, way))
    return max(0.0, float(gain)) / (CHANGE * t)
