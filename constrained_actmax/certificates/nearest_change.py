r"""Lower bounds of the distance to the nearest input within bounds on outputs.

For :math:`\min \|w \circ (x - c)\|_p` under bounds on outputs, a ball round c that is shown to hold
no feasible point proves its radius. Such a ball is a question for linear bounds, boxes and
programs: of the bounds on outputs, the one that c violates most is maximised over C and the ball,
and no point is feasible where it stays violated. The radius is found by bisection, first with
linear bounds alone, then from the distance of the best known point downwards (Weng et al. 2018).
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
from typing_extensions import override

from constrained_actmax.certificates.allowed import Allowed
from constrained_actmax.certificates.branching import Array, Progress, Search, structure_of
from constrained_actmax.errors import RefusedError
from constrained_actmax.layout import Rows, Vector
from constrained_actmax.objectives.squared_distance import SquaredDistance
from constrained_actmax.oracles.oracle import Oracle
from constrained_actmax.problem import Problem
from constrained_actmax.sets.distance import Distance
from constrained_actmax.structure import Structure

#: Improves the bound of a search step by step, with a method.
Ladder = Callable[[Search, str], Iterator[None]]

#: Bracket of the radius, relative, at which the bisection with linear bounds ends, and any after a
#: ball that stayed open.
CLOSE = 0.02
BALL_SHARE = 0.5  # of the time left, for one ball
#: Of the gap asked for, which the radius aimed at leaves; and a least one, relative to the value.
AIMED, LEAST_GAP = 0.9, 1e-6
ROUNDING = 1e-12  # of a distance, relative
REACHED = 1e-6  # beyond the distance of C, relative, so that a ball meets it


class NearestChange:
    """The least distance of a feasible input, between a proven radius and the best one known.

    Parameters
    ----------
    problem : Problem
        Whose `distance` is known, over a convex set.
    rtol, atol : float
        The gap is as asked at ``atol + rtol * value`` of the best known value.
    seed, seconds, evaluations, target : optional
        As for `Search`.

    Raises
    ------
    RefusedError
        If the network's structure cannot be read or bounded, or C is not bounded.
    """

    sign = -1.0  # values and bounds are those of a maximisation
    #: What the relative gap is divided by, in words; `size` is its number.
    relative_to = "the best found"

    def __init__(
        self,
        problem: Problem,
        *,
        rtol: float,
        atol: float,
        seed: int = 0,
        seconds: float | None = None,
        evaluations: int | None = None,
        target: float | None = None,
    ) -> None:
        self.began = time.perf_counter()
        self.problem, self.seconds, self._most = problem, seconds, evaluations
        self._rtol, self._atol, self.seed, self.target = rtol, atol, seed, target
        assert problem.distance is not None
        self.distance: Distance = problem.distance
        oracle = problem.user_oracle
        assert isinstance(oracle, Oracle)
        self._squared = isinstance(oracle.objectives[0], SquaredDistance)
        self.outputs = 0  # ahead of those of the constraints
        self.structure = self._read_structure(oracle)
        self.state = Progress()
        self.doubts: list[str] = []
        self.shown, self.method = "", "linear bounds"
        lower, upper = problem.set.bounding_box()
        center = self.distance.center
        far = center + np.maximum(np.abs(lower - center), np.abs(upper - center))
        nearest = problem.set.project(center[np.newaxis])
        #: No feasible point is nearer than the first; the nearest known is at the second.
        self.low, self.high = 0.0, float(self.distance(far[np.newaxis])[0])
        if not np.isfinite(self.high):
            raise RefusedError(
                "certify: the set is unbounded; a distance is bounded over a bounded set: "
                "add Box(lower, upper)."
            )
        self._least = float(self.distance(nearest)[0]) * (1.0 + REACHED)

    def _read_structure(self, oracle: Oracle) -> Structure:
        """Return the structure of the constraints alone: the distance needs none."""
        first, limits = self.problem.imposed[0], list(oracle.objectives[1:])
        if not limits:
            raise RefusedError(
                f"certify: {first.description} is a function of one's own and has no structure; "
                "bounds need a constraint on an output."
            )
        if oracle.counts[1] > 1:  # an oracle's first function is one number
            if first.objective is None:
                raise RefusedError(
                    f"certify: {first.description} bounds several numbers at once; write one "
                    "comparison for each."
                )
            limits.insert(0, first.objective)
            self.outputs = 1
        return structure_of(self.problem.asking(oracle.with_objectives(limits)))

    # -- what certify asks -------------------------------------------------------------------------

    @property
    def slack(self) -> float:
        """The gap that was asked for, in the objective's units."""
        return self._atol + self._rtol * abs(self._best)

    @property
    def goal(self) -> float:
        """A bound that is no larger ends the search."""
        return self.state.best_value + self.slack if self.target is None else -self.target

    @property
    def done(self) -> bool:
        """Whether the bound is good enough, or a target refuted."""
        refuted = self.target is not None and self.state.best_value > -self.target
        return refuted or self.state.dual_bound <= self.goal

    @property
    def seconds_left(self) -> float | None:
        """Until the time is over; None where it never is."""
        if self.seconds is None:
            return None
        return max(0.0, self.seconds - (time.perf_counter() - self.began))

    def expired(self) -> bool:
        """Whether the budget is spent."""
        return self.seconds_left == 0.0 or self._evaluations_left == 0

    def begin(self, points: Rows) -> None:
        """Take the nearest feasible one of some points (B, n), or c, for the best known."""
        whole = BallSearch(self, self.high)
        self._keep(whole, np.concatenate([points, self.distance.center[np.newaxis]]))
        self._raise(0.0, whole)

    def steps(self, ladder: Ladder, method: str) -> Iterator[None]:
        """Raise the proven radius ball by ball, and yield after each step of one."""
        programs = method in ("auto", "linear-program", "mixed-integer")
        for way in ("linear-bounds", method) if programs else (method,):
            # The bisection with linear bounds ends early, and any after a ball that stayed open.
            aims = way == method or self.target is not None
            open_ = None if aims else self.high
            while not (self.done or self.expired()):
                low, high = max(self.low, self._least), self.high if open_ is None else open_
                radius = self._aim if aims else 0.5 * (low + high)
                if radius <= low or (open_ is not None and high - low <= CLOSE * high):
                    break
                left = self.seconds_left
                seconds = None if left is None else BALL_SHARE * left
                ball = BallSearch(self, radius, seconds, self._evaluations_left)
                for _ in ladder(ball, way):
                    yield
                    if ball.done:
                        break
                self.state.nodes += ball.state.nodes
                self.state.evaluations += ball.state.evaluations
                aims = False
                if ball.state.x is not None:
                    self._keep(ball, ball.state.x[np.newaxis])
                    open_ = None if open_ is None else min(open_, self.high)
                elif ball.state.dual_bound <= ball.goal:
                    self._raise(radius, ball)
                    aims = open_ is None
                else:
                    open_ = radius
                yield
                if self.target is not None:
                    break

    # -- the bracket -------------------------------------------------------------------------------

    @property
    def _best(self) -> float:
        """The objective at the best known point, or at the farthest point of C."""
        return self._value(self.high)

    @property
    def size(self) -> float:
        """What the gap is said relative to: the nearest point's value."""
        return abs(self._best)

    def _value(self, radius: float) -> float:
        return radius**2 if self._squared else radius

    @property
    def _aim(self) -> float:
        """The radius that decides the target, or leaves the gap asked for; else all of C."""
        if self.target is not None:
            least = self.target * (1.0 + 2.0 * ROUNDING)
        elif self.state.x is not None:
            least = self._best - max(AIMED * self.slack, LEAST_GAP * self._best)
        else:
            return self.high
        return float(np.sqrt(max(least, 0.0))) if self._squared else least

    @property
    def _evaluations_left(self) -> int | None:
        return None if self._most is None else max(0, self._most - self.state.evaluations)

    def _keep(self, ball: BallSearch, points: Rows) -> None:
        """Keep the nearest feasible one of some points."""
        _, feasible = ball.measure(points)
        distances = np.where(feasible, self.distance(points), np.inf)
        nearest = int(distances.argmin())
        if distances[nearest] < np.inf and (self.state.x is None or distances[nearest] < self.high):
            self.high, self.state.x = float(distances[nearest]), points[nearest].copy()
            self.state.best_value = -self._best

    def _raise(self, radius: float, ball: BallSearch) -> None:
        """Take a ball without a feasible point for the proven one."""
        self.low = radius
        whole = self.state.x is None and 0.0 < self.high <= radius
        bound = -np.inf if whole else -self._value(radius) * (1.0 - ROUNDING)
        self.state.dual_bound = max(bound, self.state.best_value)
        self.doubts, self.shown, self.method = ball.doubts, ball.shown, ball.method


class BallSearch(Search):
    """Maximise, over C and a ball, the bound on outputs that the centre violates most.

    Parameters
    ----------
    change : NearestChange
    radius : float
    seconds, evaluations : optional
        As for `Search`.

    Its target is what a feasible point exceeds.
    """

    def __init__(
        self,
        change: NearestChange,
        radius: float,
        seconds: float | None = None,
        evaluations: int | None = None,
    ) -> None:
        self._change = change
        ball = copy.copy(change.problem)
        ball.set, ball.sense = change.distance.within(ball.set, radius), "maximize"
        super().__init__(ball, rtol=0.0, seconds=seconds, evaluations=evaluations, target=-np.inf)

    @override
    def _read_structure(self) -> Structure:
        return self._change.structure

    @override
    def _allowed(self) -> Allowed:
        allowed, whole = super()._allowed(), self._change.problem.set
        lower, upper = whole.bounding_box()
        wider = whole.tolerance * (upper - lower)  # C's tolerance is that of C, not of the ball
        return replace(allowed, lower=allowed.lower - wider, upper=allowed.upper + wider)

    @override
    def _combinations(self) -> tuple[Array, Vector]:
        start = self._change.outputs
        rows, limits = self._limits(start)
        if not len(limits):
            return np.zeros((1, self.part.size)), limits
        first = self._most_violated(rows, limits, self._change.distance.center, start)
        self.target = float(np.nextafter(limits[first], -np.inf))
        order = [first, *np.delete(np.arange(len(rows)), first)]
        return rows[order], np.delete(limits, first)
