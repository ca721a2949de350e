"""The best points of each start, and which of them it returns."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from constrained_actmax.evaluation import Evaluation
from constrained_actmax.layout import Indices, Rows, Vector
from constrained_actmax.optimality import multipliers, residuals
from constrained_actmax.standard_form import StandardForm
from constrained_actmax.tasks.projector import EXACT
from constrained_actmax.tasks.task import Incumbent

if TYPE_CHECKING:
    from constrained_actmax.tasks.recording import Recording

#: What the use of a tolerance is charged at where no gradient weights it.
UNKNOWN_MULTIPLIER = 1e3
#: A point where a start converged is its answer unless another is better by this share of the
#: tolerance, in units of the objective's range: to second order both have the same value.
EQUAL_VALUES = 1e-3
#: Values of smooth functions that differ by no more than so many times the model's noise are equal:
#: of such points the one of smaller stationarity residual is kept, since gradients are accurate
#: where values no longer tell points apart. A rounding or two on either side of a difference.
EQUAL_TO_NOISE = 2.0


class Point(NamedTuple):
    """A point, and the evaluation made there."""

    x: Vector
    evaluation: Evaluation

    @property
    def f(self) -> float:
        """What is minimised, there."""
        value: float = self.evaluation.f[0]
        return value


@dataclass(slots=True)
class Kept:
    """What is kept of a start.

    Parameters
    ----------
    best, least : Point, optional
        The best point of C, and the least violating one.
    near : Incumbent, optional
        The best that is off C by rounding: it is evaluated again where it is projected.
    lowest : float
        The lowest value at any point of C: the best one may be a little above it, within noise.
    """

    best: Point | None = None
    near: Incumbent | None = None
    least: Point | None = None
    lowest: float = np.inf


class Incumbents:
    """The best point of C of each start, the best that is nearly in C, the least violating one.

    Parameters
    ----------
    problem : StandardForm
        What is asked.
    starts : int
        How many starts there are.
    """

    def __init__(self, problem: StandardForm, starts: int) -> None:
        self.problem = problem
        self._of = [Kept() for _ in range(starts)]

    def best(self, start: int) -> Incumbent | None:
        """Return the best point of C of a start, and f there."""
        best = self._of[start].best
        return None if best is None else Incumbent(best.x, best.f)

    def known(self, start: int) -> Point | None:
        """Return the best point of C of a start, with the evaluation made there."""
        return self._of[start].best

    def keep(
        self, x: Rows, evaluation: Evaluation, starts: Indices, kept: np.ndarray, inside: np.ndarray
    ) -> None:
        """Take notice of evaluated rows.

        Parameters
        ----------
        x, evaluation : numpy.ndarray, shape (B, n), and Evaluation
            The points, with their violations.
        starts : numpy.ndarray, shape (B,)
            On whose behalf.
        kept, inside : numpy.ndarray of bool, shape (B,)
            Whether a row keeps all constraints to their tolerances, and C to its own.
        """
        worst = evaluation.violation
        assert worst is not None
        f, noise = evaluation.f, self._noise(evaluation.f)
        for row, start in enumerate(starts.tolist()):
            own = self._of[start]
            if not kept[row]:
                if evaluation.finite[row] and worst[row] < _violation(own.least):
                    own.least = Point(x[row].copy(), evaluation.row(row))
            # A point that is off C by a solver's rounding is worth projecting at the end, but its
            # value is too good by as much as it is off: it is not compared with points in C.
            elif not inside[row]:
                if f[row] < _value(own.near):
                    own.near = Incumbent(x[row].copy(), float(f[row]))
            elif f[row] < _value(own.best) + noise[row]:
                if self._is_better(x[row], evaluation, row, own, float(noise[row])):
                    own.best = Point(x[row].copy(), evaluation.row(row))
                own.lowest = min(own.lowest, f[row])

    def _noise(self, f: Vector) -> Vector:
        """Return by how much values may differ that the model's arithmetic cannot tell apart.

        Zero where their residual does not tell more: not known as smooth, with bounds on
        functions, or with a projection that is iterative.
        """
        if not self._residuals_tell:
            return np.zeros_like(f)
        problem = self.problem
        noise: Vector = EQUAL_TO_NOISE * problem.epsilon * np.maximum(np.abs(f), problem.range)
        return noise

    @cached_property
    def _residuals_tell(self) -> bool:
        problem = self.problem
        exact = problem.set.accuracy <= EXACT
        return problem.smooth is True and not problem.constraints and exact

    def _is_better(
        self, x: Vector, evaluation: Evaluation, row: int, own: Kept, noise: float
    ) -> bool:
        """Return whether a row is better than the best point of its start."""
        f, best = float(evaluation.f[row]), own.best
        if best is None or noise == 0.0 or f < best.f - noise:
            return bool(f < _value(best))
        if f > own.lowest + noise or np.array_equal(x, best.x):
            return False
        problem = self.problem
        return (
            residuals(problem, x, evaluation, row).stationarity
            < residuals(problem, *best).stationarity
        )

    def returned(self, start: int, last: Vector, run: Recording) -> Point:
        """Return the point that a start gives back, on C, with an evaluation made there.

        The best of these, each projected on C: the best point of C that was evaluated, the best
        that was off C by no more than the tolerance, and the solver's last; with none of the
        first two, also the least violating one. A point of C costs no further model call. Where
        functional constraints have a tolerance, its use is charged at twice its price. Where the
        budget has no evaluation left, the last point is left out if another is known.

        Parameters
        ----------
        start, last : int, numpy.ndarray
            Which start, and the point (n,) where its solver ended.
        run : Recording
            Says whether the solver converged there, and evaluates points on C.
        """
        problem, tolerance = self.problem, run.tolerance
        candidates: list[Point] = []
        best = self._of[start].best

        def on_set_once(x: Vector) -> Point:
            """Return `on_set`; a point of C whose evaluation is known costs no other."""
            return self._known_on_set(start, x) or run.on_set(x, start)

        if best is not None:
            candidates.append(on_set_once(best.x))
        settled: tuple[Vector, Evaluation | None] = last, None
        others = self._others(start, last)
        free = any(self._known_on_set(start, point) is not None for point in others)
        for point in others:
            # A last point in C was evaluated on the way there, so it is no better than the best;
            # but where a start converged, it may be as good to second order.
            known_worse = not problem.constraints and best is not None
            spare = point is last and (candidates or free)
            if spare and self._known_on_set(start, last) is None and not run.can_ask:
                continue
            settles = point is last and run.has_converged(start, last)
            if settles and best is not None and not np.array_equal(point, best.x):
                there = run.on_set(point, start)
                # SciPy's words may rest on values alone: they hold where no residual is measured.
                measured = self._noise(there.evaluation.f)[0] > 0.0
                if not measured or residuals(problem, *there).stationarity <= tolerance:
                    candidates.append(there)
                    settled = there
            elif not known_worse or problem.set.relative_violation(point) > problem.set.tolerance:
                candidates.append(on_set_once(point))
        weights = self._largest_multipliers(candidates)
        away = 0.0 if best is None else float(np.abs(settled[0] - best.x).sum())

        def rank(point: Point) -> tuple[bool, bool, float, bool]:
            x, evaluation = point
            inside = bool(problem.feasible(x[np.newaxis], evaluation.c)[0])
            merit = evaluation.f[0] if inside else problem.violation(x[np.newaxis], evaluation.c)[0]
            if evaluation is settled[1]:
                # Its residual leaves so much to another point, by slopes; what is better by the
                # use of a tolerance alone is not better.
                merit -= tolerance * max(EQUAL_VALUES * problem.range, away)
            elif inside and problem.constraints:
                c = evaluation.c[0]
                merit += 2.0 * float(weights @ np.abs(c - np.clip(c, problem.lower, problem.upper)))
            other = evaluation is not settled[1]
            return not bool(evaluation.finite[0]), not inside, float(merit), other

        return min(candidates, key=rank)

    def _others(self, start: int, last: Vector) -> list[Vector]:
        """Return what may be returned beside the best point, each once."""
        own = self._of[start]
        points = [last] if own.near is None else [own.near.x, last]
        if own.best is None and own.near is None and own.least is not None:
            points.append(own.least.x)
        return [
            point
            for index, point in enumerate(points)
            if not any(np.array_equal(point, other) for other in points[:index])
        ]

    def _known_on_set(self, start: int, x: Vector) -> Point | None:
        """Return a point of C with its evaluation, if it is the best or the least violating."""
        feasible = self.problem.set
        for known in (self._of[start].best, self._of[start].least):
            if known is not None and np.array_equal(x, known.x):
                inside = feasible.relative_violation(x) <= feasible.tolerance
                return Point(x, known.evaluation) if inside else None
        return None

    def _largest_multipliers(self, candidates: list[Point]) -> Vector:
        """Return the largest multiplier of each functional constraint at any candidate."""
        weights = np.zeros(self.problem.constraints)
        if not weights.size or len(candidates) < 2:
            return weights
        if not self.problem.differentiable:
            return np.full(weights.size, UNKNOWN_MULTIPLIER)
        for x, evaluation in candidates:
            if evaluation.finite[0]:
                mu = multipliers(
                    self.problem, x, evaluation.gradient[0], evaluation.c[0], evaluation.jacobian[0]
                )
                weights = np.maximum(weights, np.abs(mu))
        return weights


def _value(point: Point | Incumbent | None) -> float:
    return np.inf if point is None else point.f


def _violation(point: Point | None) -> float:
    known = None if point is None else point.evaluation.violation_of(0)
    return np.inf if known is None else known
