"""One call's evaluations of a problem: counts, budget, history and the best feasible points."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from typing_extensions import override

from constrained_actmax.certificate import Proof
from constrained_actmax.evaluation import Evaluation
from constrained_actmax.layout import Indices, Rows, Structure, Vector
from constrained_actmax.optimality import optimal
from constrained_actmax.oracles.base import BaseOracle
from constrained_actmax.problem import Problem
from constrained_actmax.quoting import Quoted
from constrained_actmax.result import Budget, History, Status, Termination
from constrained_actmax.scales import Scales, at_answer
from constrained_actmax.tasks.incumbents import Incumbents, Point
from constrained_actmax.tasks.projector import Projector
from constrained_actmax.tasks.scaled import Scaled
from constrained_actmax.tasks.task import Incumbent, Stopped, Task

#: Growth of max |x| beyond the start's scale that is called divergence.
DIVERGENCE = 1e8
#: So many times its start's scale away, a start that ended without success is asked whether f
#: falls without end; each tenfold distance has to bring this share of the gain before (a
#: logarithm brings all of it, 1 - 1/x a tenth).
FAR, LASTING = 10.0, 0.5

#: Entries of the input that one model call takes at most, all rows together, and rows at most.
LARGEST_BATCH = 2**21
MOST_ROWS = 64
#: Points evaluated alone that are kept with what was found there.
RECENT = 4
#: Accuracy that is asked of iterative projections.
INEXACT = 1e-4
#: Variables up to which an accurate projection is had where it is asked for, the price of a true
#: word (docs/benchmarks/inexact_projections).
ACCURATE = 2000


def padded(starts: int, n: int) -> int:
    """Return how many rows a model call of so many starts takes: a power of two."""
    most = max(1, min(MOST_ROWS, LARGEST_BATCH // max(1, n)))
    wanted = 1 << (max(1, starts) - 1).bit_length()
    return min(wanted, 1 << (most.bit_length() - 1))


@dataclass(frozen=True, repr=False)
class Intermediate(Quoted):
    """What a callback gets, the same for every method, without a further model call.

    Parameters
    ----------
    x : array, list or dict of arrays
        The iterate in the model's structure.
    value, fun : float
        The objective as written, and the number that is minimised.
    violation : float
        Largest violation of any constraint, a pure number.
    nit, start, nfev : int
        Iteration of this start, which start, and evaluations of the whole call so far.
    problem : int, default 0
        Which problem, in a call that solves several.
    """

    x: Structure
    value: float
    fun: float
    violation: float
    nit: int
    start: int
    nfev: int
    problem: int = 0


class Recording(Task):
    """A problem as a task: evaluations, counts, budget, history and the best feasible points.

    All points and values are in the units of its problem: solvers get one of a problem in its own
    units (`Problem.scaled`). History and callbacks speak in the user's. It never lets a limit pass:
    `evaluate` and `iterate` raise `Stopped` when the budget is used up or the user stops the run.

    Parameters
    ----------
    problem : Problem or Scaled
        What is asked.
    starts : int
        How many starts the call has.
    budget : Budget
        Limits of the whole call.
    callback : callable, optional
        Called once an iteration with an `Intermediate`; StopIteration or a true value ends the run.
    tolerance : float
        Stationarity residual that counts as converged, a pure number.
    progress : callable, optional
        The same for a display, called first.
    reserve : bool, default False
        Whether two evaluations of each start are kept back for the points that it may return,
        because the solver's own points may be off C by rounding.
    target : float, optional
        Value of the objective, in the user's units and sense, that ends the run: the evaluation of
        a feasible point at least as good raises `Stopped` with ``Status.TARGET``.
    elapsed : float, default 0
        Seconds of the call before: its clock does not begin here.
    padded_rows : int, optional
        Rows of every model call: fewer are padded, more are split. One shape for the whole run
        makes a row's last bits independent of how many others are live; by default the next power
        of two, as far as memory allows.
    """

    problem: Problem | Scaled

    def __init__(
        self,
        problem: Problem | Scaled,
        starts: int,
        *,
        budget: Budget | None = None,
        callback: Callable[[Intermediate], Any] | None = None,
        tolerance: float = 1e-6,
        progress: Callable[[Intermediate], Any] | None = None,
        reserve: bool = False,
        target: float | None = None,
        elapsed: float = 0.0,
        padded_rows: int | None = None,
    ) -> None:
        self.problem = problem
        self.starts = starts
        self.budget = budget or Budget()
        self.callback = callback
        self.progress = progress
        self.tolerance = tolerance
        self.history = History()
        self.evaluations = 0
        self.calls = 0
        self._work = 0.0
        self._kept_for_proof = 0.0
        self.padded_rows = padded_rows or padded(starts, problem.size)
        self._shape_is_given = padded_rows is not None
        self.notes: list[str] = []
        self.iterations = np.zeros(starts, dtype=int)
        self._began = time.perf_counter() - elapsed
        self._reserved = 2 * starts if reserve else 0
        self._limit = self._affordable(self.budget.evaluations)
        self._scale = np.ones(starts)
        #: Whether points are moved into the bounds that C states before they are evaluated.
        self.keeps_bounds = True
        #: Of a method that bounds the optimum.
        self.proof: Proof | None = None
        #: The target as the number that is minimised; and whether a start has come there.
        self._goal = -np.inf if target is None else problem.sign * target
        self._reached = False
        self.ask(problem)

    def ask(self, problem: Problem | Scaled) -> None:
        """Begin with a problem, or go on with the same one in other scales, as nothing was found.

        Counts, limits and history stay.
        """
        self.problem = problem
        self._incumbents = Incumbents(problem, self.starts)
        self._returned: dict[int, Point] = {}
        self.ended: dict[int, Termination] = {}
        self._recent: deque[tuple[Vector, Evaluation]] = deque(maxlen=RECENT)
        self._lower, self._upper = problem.set.bounds()
        self._set_tolerance = problem.set.tolerance

    # -- limits ----------------------------------------------------------------------------------

    @property
    @override
    def seconds(self) -> float:
        return time.perf_counter() - self._began

    @property
    @override
    def seconds_left(self) -> float | None:
        limit = self.budget.seconds
        if limit is None:
            return None
        if self._kept_for_proof and any(map(self.best, range(self.starts))):
            self._kept_for_proof = 0.0
        return max(0.0, limit - self._kept_for_proof - self.seconds)

    def keep_for_proof(self, share: float) -> None:
        """Keep a share of the seconds, until a point is feasible, for a proof that none is."""
        self._kept_for_proof = share * (self.budget.seconds or 0.0)

    @override
    def keep(self, proof: Proof) -> None:
        self.proof = proof

    @override
    @contextmanager
    def keeping(self, share: float) -> Iterator[None]:
        whole, left = self.budget, self.seconds_left
        if whole.seconds is not None and left is not None:
            self.budget = replace(whole, seconds=whole.seconds - share * left)
        try:
            yield
        finally:
            self.budget = whole

    @property
    @override
    def remaining(self) -> int | None:
        return None if self._limit is None else max(0, self._limit - self._spent)

    @property
    def _spent(self) -> int:
        """Evaluations, and other work in units of them."""
        return self.evaluations + int(self._work)

    @override
    def charge(self, work: float) -> None:
        self._work += work
        self._check_limits(0)

    @override
    def count(self, rows: int) -> None:
        self._check_limits(rows)
        self.spent(rows)

    @override
    def spent(self, rows: int, calls: int = 0) -> None:
        self.evaluations += rows
        self.calls += calls

    @override
    def share(self, starts_left: int) -> int | None:
        if self.budget.evaluations is not None:
            left = self.budget.evaluations - self._reserved - self._spent
            self._limit = self._spent + max(1, left // max(1, starts_left))
        return self.remaining

    @override
    def carry(self, rows: int) -> int:
        if not self._shape_is_given:
            self.padded_rows = padded(rows, self.problem.size)
        return self.padded_rows

    def _affordable(self, evaluations: int | None) -> int | None:
        return None if evaluations is None else max(1, evaluations - self._reserved)

    # -- evaluations -----------------------------------------------------------------------------

    @override
    def evaluate(self, x: Rows, starts: Sequence[int] | Indices) -> Evaluation:
        self._check_limits(len(x))
        evaluation = self._evaluate(x, starts)
        self._check_target()
        return evaluation

    @override
    def revisit(self, x: Vector, start: int) -> Evaluation:
        return self._remembered(x, start) or super().revisit(x, start)

    def _remembered(self, x: Vector, start: int) -> Evaluation | None:
        """Return the evaluation of a point that is still known."""
        for known in (*reversed(self._recent), self._incumbents.known(start)):
            if known is not None and np.array_equal(x, known[0]):
                return known[1]
        return None

    def _check_target(self) -> None:
        if self._reached:
            raise Stopped(Status.TARGET)

    def _check_limits(self, rows: int) -> None:
        self._check_target()
        if self._limit is not None and self._spent + rows > self._limit:
            raise Stopped(Status.BUDGET)
        if self.out_of_time:
            raise Stopped(Status.BUDGET)

    def _evaluate(self, x: Rows, starts: Sequence[int] | Indices) -> Evaluation:
        x = self._within_bounds(x)
        problem, size = self.problem, self.padded_rows
        before = problem.oracle.calls
        if len(x) <= size:
            evaluation = self._padded(x)
        else:
            parts = [self._padded(x[first : first + size]) for first in range(0, len(x), size)]
            evaluation = Evaluation.concatenated(parts)
        self.evaluations += len(x)
        self.calls += problem.oracle.calls - before
        return self._measured(x, evaluation, starts)

    def _within_bounds(self, x: Rows) -> Rows:
        """Return the nearest points of the bounds: steps may leave them by rounding."""
        if not self.keeps_bounds or ((x >= self._lower) & (x <= self._upper)).all():
            return x
        return np.clip(x, self._lower, self._upper)

    def _measured(
        self, x: Rows, evaluation: Evaluation, starts: Sequence[int] | Indices
    ) -> Evaluation:
        """Measure the violation at rows and keep what is best."""
        problem = self.problem
        if self.keeps_bounds and problem.set.only_box:
            inside = worst = np.zeros(len(x))  # they have just been moved there
        else:
            inside = worst = problem.set.relative_violation(x)
        if problem.constraints:
            outside = problem.functional_violation(evaluation.c)
            worst = np.maximum(inside, outside)
        kept = evaluation.finite & (worst <= problem.feasibility_tolerance)
        if problem.constraints:
            kept &= problem.functionally_feasible(evaluation.c, outside)
        evaluation.violation = worst
        if len(x) == 1:
            self._recent.append((x[0].copy(), evaluation))
        strict = inside <= self._set_tolerance
        self._incumbents.keep(x, evaluation, np.asarray(starts), kept, strict)
        if self.targeted:
            self._reached |= bool((kept & strict & self._at_goal(evaluation)).any())
        return evaluation

    def _padded(self, x: Rows) -> Evaluation:
        missing = self.padded_rows - len(x)
        if not missing or not self.problem.oracle.batches:
            return self.problem.evaluate(x)
        padding = np.broadcast_to(x[-1], (missing, x.shape[1]))
        return self.problem.evaluate(np.concatenate([x, padding])).first(len(x))

    def differenced(self, x: Vector) -> Evaluation:
        """Return the evaluation of a point with derivatives by differences, counted.

        For functions without gradients: at most 2n + 1 evaluations, beyond any budget.
        """
        with self._counted(self.problem.oracle):
            return self.problem.evaluate(x[np.newaxis], differences=True)

    @contextmanager
    def _counted(self, oracle: BaseOracle) -> Iterator[None]:
        """Count what an oracle is asked meanwhile."""
        calls, evaluations = oracle.calls, oracle.evaluations
        yield
        self.calls += oracle.calls - calls
        self.evaluations += oracle.evaluations - evaluations

    def scales_at(self, asked: Problem, x: Vector, evaluation: Evaluation) -> Scales | None:
        """Return the scales at an answer, as `at_answer` does; its probes count as evaluations."""

        def good(scales: Scales) -> bool:
            own = asked.in_scales(scales).scaled
            return optimal(own, own.point(x), own.evaluation(evaluation), self.tolerance)

        with self._counted(asked.user_oracle):
            return at_answer(asked, x, evaluation, self.remaining, good)

    @override
    def hessian_product(self, x: Vector, v: Vector, weights: Vector) -> Vector:
        if self.remaining is not None and self.remaining < 1:
            raise Stopped(Status.BUDGET)
        x = self._within_bounds(x[np.newaxis])[0]
        with self._counted(self.problem.oracle):
            return self.problem.hessian_product(x, v, weights)

    @override
    def best(self, start: int) -> Incumbent | None:
        return self._incumbents.best(start)

    def returned(self, start: int, last: Vector) -> Point:
        """Return the point that a start gives back, on C, with an evaluation made there.

        See `Incumbents.returned`.
        """
        known = self._incumbents.known(start)
        if known is not None and self._at_goal(known[1])[0]:
            return known
        if start not in self._returned:
            self._returned[start] = self._incumbents.returned(start, last, self)
        return self._returned[start]

    @property
    def targeted(self) -> bool:
        """Whether a target was asked for."""
        return self._goal > -np.inf

    def reaches(self, value: float) -> bool:
        """Return whether a value of the objective as written is at least as good as the target."""
        return self.problem.sign * value <= self._goal

    def _at_goal(self, evaluation: Evaluation) -> np.ndarray:
        written = evaluation.f if evaluation.written is None else evaluation.written
        good: np.ndarray = written <= self._goal
        return good

    def has_converged(self, start: int, x: Vector) -> bool:
        """Return whether a start converged to a point of C, and one evaluation is to be had."""
        ended = self.ended.get(start)
        if ended is None or ended.status is not Status.CONVERGED:
            return False
        inside = self.problem.set.relative_violation(x) <= self.problem.set.tolerance
        return bool(inside) and self.can_ask

    @property
    def can_ask(self) -> bool:
        """Whether the budget has an evaluation left."""
        limit = self.budget.evaluations
        return limit is None or self.evaluations < limit

    def on_set(self, x: Vector, start: int) -> Point:
        """Project a point on C and evaluate it, beyond any budget."""
        inside = self._within_bounds(self.problem.set.project(x)[np.newaxis])[0]
        known = self._remembered(inside, start)
        return Point(inside, known or self._evaluate(inside[np.newaxis], [start]))

    @override
    def projector(self, *, accurate: bool = True) -> Projector:
        exact = accurate and self.problem.size <= ACCURATE
        return Projector(self.problem.set, None if exact else min(INEXACT, self.tolerance))

    def end_runaway(self, start: int, x0: Vector) -> None:
        """Call a start unbounded that its method left far away, if f falls on along its way.

        Methods with steps of limited length get nowhere near the divergence limit. Along the ray
        from x0 the feasible points that are ten times as far each time have to bring at least as
        much, nearly, as those before.
        """
        ended, problem = self.ended[start], self.problem
        if ended.status not in (Status.STALLED, Status.BUDGET) or problem.set.bounded:
            return
        scale = max(1.0, float(np.max(np.abs(x0), initial=0.0)))
        way = ended.x - x0
        length = float(np.max(np.abs(way), initial=0.0))
        if length < FAR * scale:
            return
        values = []
        for power in range(int(np.ceil(np.log10(DIVERGENCE * scale / length))) + 1):
            point = problem.set.project(x0 + 10.0**power * way)
            try:
                evaluation = self.evaluate(point[np.newaxis], [start])
            except Stopped:
                return
            if not evaluation.finite[0] or not problem.feasible(point[np.newaxis], evaluation.c)[0]:
                return
            values.append(float(evaluation.f[0]))
        gains = -np.diff(values)
        if gains.size > 1 and gains[0] > 0 and np.all(gains[1:] >= LASTING * gains[:-1]):
            self.ended[start] = replace(ended, status=Status.UNBOUNDED, detail="")

    @override
    def iterate(self, start: int, x: Vector, f: float, violation: float | None = None) -> bool:
        if self.iterations[start] == 0:
            self._scale[start] = max(1.0, float(np.max(np.abs(x), initial=0.0)))
        self.iterations[start] += 1
        if violation is None:
            violation = float(self.problem.set.relative_violation(x))
        problem = self.problem
        value = problem.value(f)
        history = self.history
        history.start.append(start)
        history.nit.append(int(self.iterations[start]))
        history.evaluations.append(self.evaluations)
        history.seconds.append(self.seconds)
        history.value.append(value)
        history.violation.append(violation)
        if not self.problem.set.bounded and (
            float(np.max(np.abs(x), initial=0.0)) > DIVERGENCE * self._scale[start]
        ):
            self.end(start, x, Status.UNBOUNDED)
            return False
        for listener in (self.progress, self.callback):
            if listener is None:
                continue
            try:
                stop = listener(
                    Intermediate(
                        problem.layout.unflatten(problem.original(x)),
                        value,
                        problem.sign * value,
                        violation,
                        int(self.iterations[start]),
                        start,
                        self.evaluations,
                    )
                )
            except StopIteration:
                stop = True
            if stop is True:
                raise Stopped(Status.INTERRUPTED, "The callback ended the run.")
        return True
