"""The best points of each start, and which of them it returns."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import numpy as np

from constrained_actmax.evaluation import Evaluation
from constrained_actmax.layout import Indices, Rows, Vector
from constrained_actmax.optimality import multipliers, residuals
from constrained_actmax.standard_form import StandardForm
from constrained_actmax.tasks.projector import EXACT
from constrained_actmax.tasks.task import Incumbent

#: What the use of a tolerance is charged at where no gradient weights it.
UNKNOWN_MULTIPLIER = 1e3
#: A point where a start converged is its answer unless another is better by this share of the
#: tolerance, in units of the objective's range: to second order both have the same value.
EQUAL_VALUES = 1e-3
#: Values of smooth functions that differ by no more than so many times the model's noise are equal:
#: of such points the one of smaller stationarity residual is kept, since gradients are accurate
#: where values no longer tell points apart. A rounding or two on either side of a difference.
EQUAL_TO_NOISE = 2.0


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
        self.best: list[Incumbent | None] = [None] * starts
        self._best_f = np.full(starts, np.inf)
        self._known: list[Evaluation | None] = [None] * starts
        self._least_f = np.full(starts, np.inf)
        self._near_f = np.full(starts, np.inf)
        self._near_x: list[Vector | None] = [None] * starts
        self._least_violation = np.full(starts, np.inf)
        self._least_violated: list[Vector | None] = [None] * starts
        self._least_known: list[Evaluation | None] = [None] * starts

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
        f = evaluation.f
        # A point that is off C by a solver's rounding is worth projecting at the end, but its
        # value is too good by as much as it is off: it is not compared with points in C.
        strict = kept & inside
        # Several rows may speak for one start, so each asks again.
        if not strict.all():
            self._keep_outside(x, evaluation, starts, kept & ~inside, evaluation.finite & ~kept)
        noise = self._noise(f)
        for row in np.flatnonzero(strict & (f < self._best_f[starts] + noise)).tolist():
            start = int(starts[row])
            if self._is_better(x[row], evaluation, row, start, float(noise[row])):
                self._best_f[start] = f[row]
                self.best[start] = Incumbent(x[row].copy(), f[row])
                self._known[start] = evaluation.row(row)
            self._least_f[start] = min(self._least_f[start], f[row])

    def known(self, start: int) -> tuple[Vector, Evaluation] | None:
        """Return the best point of C of a start, with the evaluation made there."""
        best, evaluation = self.best[start], self._known[start]
        return None if best is None or evaluation is None else (best.x, evaluation)

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
        self, x: Vector, evaluation: Evaluation, row: int, start: int, noise: float
    ) -> bool:
        """Return whether a row is better than the best point of its start."""
        f, best, known = float(evaluation.f[row]), self.best[start], self._known[start]
        if best is None or known is None or noise == 0.0 or f < best.f - noise:
            return bool(f < self._best_f[start])
        if f > self._least_f[start] + noise or np.array_equal(x, best.x):
            return False
        problem = self.problem
        return (
            residuals(problem, x, evaluation, row).stationarity
            < residuals(problem, best.x, known).stationarity
        )

    def _keep_outside(
        self, x: Rows, evaluation: Evaluation, starts: Indices, near: np.ndarray, least: np.ndarray
    ) -> None:
        """Keep the best points that are off C by rounding, and the least violating ones."""
        worst, f = evaluation.violation, evaluation.f
        assert worst is not None
        for row in np.flatnonzero(near & (f < self._near_f[starts])).tolist():
            start = int(starts[row])
            if f[row] < self._near_f[start]:
                self._near_f[start] = f[row]
                self._near_x[start] = x[row].copy()
        for row in np.flatnonzero(least & (worst < self._least_violation[starts])).tolist():
            start = int(starts[row])
            if worst[row] < self._least_violation[start]:
                self._least_violation[start] = worst[row]
                self._least_violated[start] = x[row].copy()
                self._least_known[start] = evaluation.row(row)

    def returned(
        self,
        start: int,
        last: Vector,
        *,
        tolerance: float,
        converged: Callable[[], bool],
        on_set: Callable[[Vector], tuple[Vector, Evaluation]],
        affordable: Callable[[], bool],
    ) -> tuple[Vector, Evaluation]:
        """Return the point that a start gives back, on C, with an evaluation made there.

        The best of these, each projected on C: the best point of C that was evaluated, the best
        that was off C by no more than the tolerance, and the solver's last; with none of the
        first two, also the least violating one. A point of C costs no further model call. Where
        functional constraints have a tolerance, its use is charged at twice its price.

        Parameters
        ----------
        start, last : int, numpy.ndarray
            Which start, and the point (n,) where its solver ended.
        tolerance : float
            Residual that counts as converged.
        converged : callable
            Returns whether the solver converged to `last`, a point of C that may be evaluated.
        on_set : callable
            Projects a point on C and evaluates it.
        affordable : callable
            Returns whether the budget has an evaluation left; without one the last point is left
            out where another is known.
        """
        problem = self.problem
        candidates: list[tuple[Vector, Evaluation]] = []
        best, known = self.best[start], self._known[start]

        def on_set_once(x: Vector) -> tuple[Vector, Evaluation]:
            """Return what `on_set` does; a point of C whose evaluation is known costs no other."""
            there = self._known_on_set(start, x)
            return on_set(x) if there is None else (x, there)

        if best is not None and known is not None:
            candidates.append(on_set_once(best.x))
        settled: tuple[Vector, Evaluation | None] = last, None
        others = self._others(start, last)
        free = any(self._known_on_set(start, point) is not None for point in others)
        for point in others:
            # A last point in C was evaluated on the way there, so it is no better than the best;
            # but where a start converged, it may be as good to second order.
            known_worse = not problem.constraints and best is not None
            spare = point is last and (candidates or free)
            if spare and self._known_on_set(start, last) is None and not affordable():
                continue
            settles = point is last and converged()
            if settles and best is not None and not np.array_equal(point, best.x):
                there = on_set(point)
                # SciPy's words may rest on values alone: they hold where no residual is measured.
                measured = self._noise(there[1].f)[0] > 0.0
                if not measured or residuals(problem, *there).stationarity <= tolerance:
                    candidates.append(there)
                    settled = there
            elif not known_worse or problem.set.relative_violation(point) > problem.set.tolerance:
                candidates.append(on_set_once(point))
        weights = self._largest_multipliers(candidates)
        away = 0.0 if best is None else float(np.abs(settled[0] - best.x).sum())

        def rank(pair: tuple[Vector, Evaluation]) -> tuple[bool, bool, float, bool]:
            x, evaluation = pair
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
        points = [self._near_x[start], last]
        if self.best[start] is None and points[0] is None:
            points.append(self._least_violated[start])
        some = [point for point in points if point is not None]
        return [
            point
            for index, point in enumerate(some)
            if not any(np.array_equal(point, other) for other in some[:index])
        ]

    def _known_on_set(self, start: int, x: Vector) -> Evaluation | None:
        """Return the evaluation of a point of C, where it is the best or the least violating."""
        best, there = self.best[start], self._known[start]
        if best is None or not np.array_equal(x, best.x):
            least, there = self._least_violated[start], self._least_known[start]
            if least is None or not np.array_equal(x, least):
                return None
        inside = self.problem.set.relative_violation(x) <= self.problem.set.tolerance
        return there if inside else None

    def _largest_multipliers(self, candidates: list[tuple[Vector, Evaluation]]) -> Vector:
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
