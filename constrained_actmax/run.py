"""One call's evaluations of a problem: counts, budget, history and the best feasible points."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from constrained_actmax.layout import Indices, Rows, Structure, Vector
from constrained_actmax.optimality import multipliers, residuals
from constrained_actmax.problem import Evaluation, Problem
from constrained_actmax.result import Budget, History, Status, Termination

#: Growth of max |x| beyond the start's scale that is called divergence.
DIVERGENCE = 1e8
#: So many times its start's scale away, a start that ended without success is asked whether f
#: falls without end; each tenfold distance has to bring this share of the gain before (a
#: logarithm brings all of it, 1 - 1/x a tenth).
FAR, LASTING = 10.0, 0.5

#: Entries of the input that one model call takes at most, all rows together, and rows at most.
LARGEST_BATCH = 2**21
MOST_ROWS = 64
#: What the use of a tolerance is charged at where no gradient prices it.
UNKNOWN_PRICE = 1e3
#: A point where a start converged is its answer unless another is better by this share of the
#: tolerance, in units of the objective's range: to second order both have the same value.
EQUAL_VALUES = 1e-3
#: Values of smooth functions that differ by no more than so many times the model's noise are equal:
#: of such points the one of smaller stationarity residual is kept, since gradients are accurate
#: where values no longer tell points apart. A rounding or two on either side of a difference.
EQUAL_TO_NOISE = 2.0
#: Accuracy of a projection that is as good as exact, and what is asked of iterative ones.
EXACT, INEXACT = 1e-8, 1e-4
#: Variables up to which steps of smooth problems, and tests of convergence, take the accurate
#: projection, the price of a true word (docs/benchmarks/inexact_projections).
ACCURATE_STEPS = ACCURATE_TESTS = 2000


def padded(starts: int, n: int) -> int:
    """Return how many rows a model call of so many starts takes: a power of two."""
    most = max(1, min(MOST_ROWS, LARGEST_BATCH // max(1, n)))
    wanted = 1 << (max(1, starts) - 1).bit_length()
    return min(wanted, 1 << (most.bit_length() - 1))


class Stopped(Exception):  # noqa: N818 - a signal, like StopIteration
    """A run's limit was reached in the middle of a solver; carries the status."""

    def __init__(self, status: Status, detail: str = "") -> None:
        super().__init__(detail or status.sentence)
        self.status = status
        self.detail = detail


@dataclass(frozen=True)
class Intermediate:
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
    """

    x: Structure
    value: float
    fun: float
    violation: float
    nit: int
    start: int
    nfev: int


class Run:
    """One call's evaluations of a problem: counts, budget, history and the best feasible points.

    All points and values are in the units of its problem: solvers get one of a problem in its own
    units (`Problem.scaled`). History and callbacks speak in the user's.

    Solvers see the problem through this. It never lets a limit pass: `evaluate` and `iterate`
    raise `Stopped` when the budget is used up or the user stops the run.

    Parameters
    ----------
    problem : Problem
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
    padded_rows : int, optional
        Rows of every model call: fewer are padded, more are split. One shape for the whole run
        makes a row's last bits independent of how many others are live; by default the next power
        of two, as far as memory allows.
    """

    def __init__(
        self,
        problem: Problem,
        starts: int,
        *,
        budget: Budget | None = None,
        callback: Callable[[Intermediate], Any] | None = None,
        tolerance: float = 1e-6,
        progress: Callable[[Intermediate], Any] | None = None,
        reserve: bool = False,
        padded_rows: int | None = None,
    ) -> None:
        self.problem = problem
        self.starts = starts
        self.budget = budget or Budget()
        self.callback = callback
        self.progress = progress
        self.tolerance = tolerance
        self.history = History()
        self.rows = 0
        self.calls = 0
        self.padded_rows = padded_rows or padded(starts, problem.size)
        self._shape_is_given = padded_rows is not None
        self.notes: list[str] = []
        self.best_f = np.full(starts, np.inf)
        self.best_x: list[Vector | None] = [None] * starts
        self._best: list[Evaluation | None] = [None] * starts
        self._least_f = np.full(starts, np.inf)
        self._near_f = np.full(starts, np.inf)
        self._near_x: list[Vector | None] = [None] * starts
        self._least_violation = np.full(starts, np.inf)
        self._least_violated: list[Vector | None] = [None] * starts
        self._returned: dict[int, tuple[Vector, Evaluation]] = {}
        self.iterations = np.zeros(starts, dtype=int)
        self.ended: dict[int, Termination] = {}
        self._warm: dict[tuple[int, str], object] = {}
        self._began = time.perf_counter()
        self._reserved = 2 * starts if reserve else 0
        self._limit = self._affordable(self.budget.evaluations)
        self._scale = np.ones(starts)
        #: Whether points are moved into the bounds that C states before they are evaluated.
        self.keeps_bounds = True
        self._lower, self._upper = problem.set.bounds()

    # -- limits ----------------------------------------------------------------------------------

    @property
    def seconds(self) -> float:
        """Wall-clock time since the run began."""
        return time.perf_counter() - self._began

    @property
    def out_of_time(self) -> bool:
        """Whether the budget's seconds are used up."""
        return self.budget.seconds is not None and self.seconds >= self.budget.seconds

    @property
    def remaining(self) -> int | None:
        """Evaluations that the current solver may still ask for, or None without a limit."""
        return None if self._limit is None else max(0, self._limit - self.rows)

    def share(self, starts_left: int) -> None:
        """Give the next start its equal share of what is left of the budget."""
        if self.budget.evaluations is not None:
            left = self.budget.evaluations - self._reserved - self.rows
            self._limit = self.rows + max(1, left // max(1, starts_left))

    def carry(self, rows: int) -> None:
        """Let model calls from here on take so many rows, unless their shape was given."""
        if not self._shape_is_given:
            self.padded_rows = padded(rows, self.problem.size)

    @contextmanager
    def tightened(self, factor: float) -> Iterator[None]:
        """Ask for this share of the tolerance for a while."""
        tolerance = self.tolerance
        self.tolerance = factor * tolerance
        try:
            yield
        finally:
            self.tolerance = tolerance

    def _affordable(self, evaluations: int | None) -> int | None:
        return None if evaluations is None else max(1, evaluations - self._reserved)

    # -- evaluations -----------------------------------------------------------------------------

    def evaluate(self, x: Rows, starts: Sequence[int] | np.ndarray) -> Evaluation:
        """Evaluate rows x (B, n), row b on behalf of start ``starts[b]``, in one model call.

        Raises
        ------
        Stopped
            If the budget does not cover these rows.
        """
        self._check_limits(len(x))
        return self._evaluate(x, starts)

    def begin(self, x: Rows, starts: Sequence[int] | np.ndarray) -> Callable[[], Evaluation]:
        """Begin `evaluate` and return a function that waits for its result, to be called once.

        For problems that overlap, and no more rows than one model call takes. The rows are counted
        at once; what is best is known when their result is taken.

        Raises
        ------
        Stopped
            If the budget does not cover these rows.
        """
        self._check_limits(len(x))
        x = self._within_bounds(x)
        problem, missing = self.problem, self.padded_rows - len(x)
        before = problem.oracle.calls
        padding = np.broadcast_to(x[-1], (missing, x.shape[1]))
        finish = problem.begin(np.concatenate([x, padding]))
        self.rows += len(x)
        self.calls += problem.oracle.calls - before
        return lambda: self._measured(x, finish().first(len(x)), starts)

    def _check_limits(self, rows: int) -> None:
        if self._limit is not None and self.rows + rows > self._limit:
            raise Stopped(Status.BUDGET)
        if self.out_of_time:
            raise Stopped(Status.BUDGET)

    def count(self, rows: int) -> None:
        """Count rows of passes through the network's structure as evaluations.

        Raises
        ------
        Stopped
            If the budget does not cover them.
        """
        self._check_limits(rows)
        self.rows += rows

    def _evaluate(self, x: Rows, starts: Sequence[int] | np.ndarray) -> Evaluation:
        x = self._within_bounds(x)
        problem, size = self.problem, self.padded_rows
        before = problem.oracle.calls
        parts = [self._padded(x[first : first + size]) for first in range(0, len(x), size)]
        found = parts[0] if len(parts) == 1 else Evaluation.concatenated(parts)
        self.rows += len(x)
        self.calls += problem.oracle.calls - before
        return self._measured(x, found, starts)

    def _within_bounds(self, x: Rows) -> Rows:
        """Return the nearest points of the bounds: steps may leave them by rounding."""
        if not self.keeps_bounds or ((x >= self._lower) & (x <= self._upper)).all():
            return x
        return np.clip(x, self._lower, self._upper)

    def _measured(
        self, x: Rows, found: Evaluation, starts: Sequence[int] | np.ndarray
    ) -> Evaluation:
        """Measure the violation at rows and keep what is best."""
        problem = self.problem
        inside = worst = problem.set.relative_violation(x)
        if problem.constraints:
            outside = problem.functional_violation(found.c)
            worst = np.maximum(inside, outside)
        kept = found.finite & (worst <= problem.feasibility_tolerance)
        if problem.constraints:
            kept &= problem.functionally_feasible(found.c, outside)
        found.violation = worst
        self._keep_best(x, found, starts, kept, inside <= problem.set.tolerance)
        return found

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
        oracle = self.problem.oracle
        calls, rows = oracle.calls, oracle.rows
        found = self.problem.evaluate(x[np.newaxis], differences=True)
        self.calls += oracle.calls - calls
        self.rows += oracle.rows - rows
        return found

    def hessian_product(self, x: Vector, v: Vector, weights: Vector) -> Vector:
        """Return the weighted Hessian's product with v at one point, counted.

        Raises
        ------
        Stopped
            If the budget is used up.
        """
        if self.remaining is not None and self.remaining < 1:
            raise Stopped(Status.BUDGET)
        oracle = self.problem.oracle
        calls, rows = oracle.calls, oracle.rows
        x = self._within_bounds(x[np.newaxis])[0]
        product = self.problem.hessian_product(x, v, weights)
        self.calls += oracle.calls - calls
        self.rows += oracle.rows - rows
        return product

    def _keep_best(
        self,
        x: Rows,
        found: Evaluation,
        starts: Sequence[int] | np.ndarray,
        kept: np.ndarray,
        inside: np.ndarray,
    ) -> None:
        f = found.f
        # A point that is off C by a solver's rounding is worth projecting at the end, but its
        # value is too good by as much as it is off: it is not compared with points in C.
        whose = np.asarray(starts)
        strict = kept & inside
        # Several rows may speak for one start, so each asks again.
        if not strict.all():
            self._keep_outside(x, found, whose, kept & ~inside, found.finite & ~kept)
        for row in np.flatnonzero(strict & (f < self.best_f[whose] + self._noise(f))).tolist():
            start = int(whose[row])
            if self._is_better(x[row], found, row, start):
                self.best_f[start] = f[row]
                self.best_x[start] = x[row].copy()
                self._best[start] = found.row(row)
            self._least_f[start] = min(self._least_f[start], f[row])

    def _noise(self, f: Vector) -> Vector:
        """Return by how much values may differ that the model's arithmetic cannot tell apart.

        Zero where their residual does not tell more: not known as smooth, with bounds on
        functions, or with a projection that is iterative.
        """
        problem = self.problem
        if problem.smooth is not True or problem.constraints or problem.set.accuracy > EXACT:
            return np.zeros_like(f)
        noise: Vector = (
            EQUAL_TO_NOISE * problem.oracle.epsilon * np.maximum(np.abs(f), problem.range)
        )
        return noise

    def _is_better(self, x: Vector, found: Evaluation, row: int, start: int) -> bool:
        """Return whether a row is better than the best point of its start."""
        f, best, known = float(found.f[row]), self.best_x[start], self._best[start]
        noise = float(self._noise(found.f[row : row + 1])[0])
        if best is None or known is None or noise == 0.0 or f < self.best_f[start] - noise:
            return bool(f < self.best_f[start])
        if f > self._least_f[start] + noise or np.array_equal(x, best):
            return False
        problem = self.problem
        return (
            residuals(problem, x, found, row).stationarity
            < residuals(problem, best, known).stationarity
        )

    def _keep_outside(
        self, x: Rows, found: Evaluation, whose: Indices, near: np.ndarray, least: np.ndarray
    ) -> None:
        """Keep the best points that are off C by rounding, and the least violating ones."""
        worst, f = found.violation, found.f
        assert worst is not None
        for row in np.flatnonzero(near & (f < self._near_f[whose])).tolist():
            start = int(whose[row])
            if f[row] < self._near_f[start]:
                self._near_f[start] = f[row]
                self._near_x[start] = x[row].copy()
        for row in np.flatnonzero(least & (worst < self._least_violation[whose])).tolist():
            start = int(whose[row])
            if worst[row] < self._least_violation[start]:
                self._least_violation[start] = worst[row]
                self._least_violated[start] = x[row].copy()

    def best_points(self, x0: Rows, starts: Indices) -> Rows:
        """Return the best point of C of each start so far; the given one where there is none."""
        best = [self.best_x[start] for start in starts.tolist()]
        rows = [x if one is None else one for x, one in zip(x0, best, strict=True)]
        return np.array(rows).reshape(x0.shape)

    def returned(self, start: int, last: Vector) -> tuple[Vector, Evaluation]:
        """Return the point that a start gives back, on C, with an evaluation made there.

        The best of these, each projected on C: the best point of C that was evaluated, the best
        that was off C by no more than the tolerance, and the solver's last; with none of the
        first two, also the least violating one. A point of C costs no further model call. Where
        functional constraints have a tolerance, its use is charged at twice its price.
        """
        if start in self._returned:
            return self._returned[start]
        problem = self.problem
        candidates: list[tuple[Vector, Evaluation]] = []
        best, known = self.best_x[start], self._best[start]
        if best is not None and known is not None:
            candidates.append(self._on_set(best, known, start))
        settled: tuple[Vector, Evaluation | None] = last, None
        others = [self._near_x[start], last]
        if best is None and others[0] is None:
            others.append(self._least_violated[start])
        for place, point in enumerate(others):
            if point is None or any(
                other is not None and np.array_equal(point, other) for other in others[:place]
            ):
                continue
            # A last point in C was evaluated on the way there, so it is no better than the best;
            # but where a start converged, it may be as good to second order.
            known_worse = not problem.constraints and best is not None
            converged = point is last and self._has_converged(start, last)
            if converged and best is not None and not np.array_equal(point, best):
                there = self._on_set(point, None, start)
                # SciPy's words may rest on values alone: they hold where no residual is measured.
                measured = self._noise(there[1].f)[0] > 0.0
                if not measured or residuals(problem, *there).stationarity <= self.tolerance:
                    candidates.append(there)
                    settled = there
            elif not known_worse or problem.set.relative_violation(point) > problem.set.tolerance:
                candidates.append(self._on_set(point, None, start))
        prices = self._prices(candidates)

        def rank(one: tuple[Vector, Evaluation]) -> tuple[bool, bool, float]:
            x, found = one
            inside = bool(problem.feasible(x[np.newaxis], found.c)[0])
            worth = found.f[0] if inside else problem.violation(x[np.newaxis], found.c)[0]
            if found is settled[1]:
                worth -= EQUAL_VALUES * self.tolerance * problem.range
            if inside and problem.constraints:
                c = found.c[0]
                worth += 2.0 * float(prices @ np.abs(c - np.clip(c, problem.lower, problem.upper)))
            return not bool(found.finite[0]), not inside, float(worth)

        self._returned[start] = min(candidates, key=rank)
        return self._returned[start]

    def _has_converged(self, start: int, x: Vector) -> bool:
        """Return whether a start converged to a point of C, and one evaluation is to be had."""
        ended, limit = self.ended.get(start), self.budget.evaluations
        if ended is None or ended.status is not Status.CONVERGED:
            return False
        inside = self.problem.set.relative_violation(x) <= self.problem.set.tolerance
        return bool(inside) and (limit is None or self.rows < limit)

    def _prices(self, candidates: list[tuple[Vector, Evaluation]]) -> Vector:
        """Return the largest multiplier of each functional constraint at any candidate."""
        prices = np.zeros(self.problem.constraints)
        if not prices.size or len(candidates) < 2:
            return prices
        if not self.problem.oracle.differentiable:
            return np.full(prices.size, UNKNOWN_PRICE)
        for x, found in candidates:
            if found.finite[0]:
                mu = multipliers(self.problem, x, found.gradient[0], found.c[0], found.jacobian[0])
                prices = np.maximum(prices, np.abs(mu))
        return prices

    def _on_set(self, x: Vector, known: Evaluation | None, start: int) -> tuple[Vector, Evaluation]:
        feasible = self.problem.set
        if known is not None and feasible.relative_violation(x) <= feasible.tolerance:
            return x, known
        inside = self._within_bounds(feasible.project(x)[np.newaxis])[0]
        return inside, self._evaluate(inside[np.newaxis], [start])

    def project(self, x: Rows, starts: Sequence[int] | np.ndarray, purpose: str = "step") -> Rows:
        """Project rows on C, row b on behalf of start ``starts[b]``.

        On sets whose projection is iterative the answer may be inexact and warm-started with the
        start's last one for the same purpose (Birgin, Martínez and Raydan 2003): it lies in C,
        within about 1e-4 of the projection, at a part of the cost. The purpose "residual", a test
        of convergence, is served accurately where cvxpy can go, and "step" where the problem is
        smooth too; "length", a step of set length, never needs it.
        """
        feasible = self.problem.set
        size, smooth = self.problem.size, self.problem.smooth is not False
        accurate = (purpose == "residual" and size <= ACCURATE_TESTS) or (
            purpose == "step" and smooth and size <= ACCURATE_STEPS
        )
        if feasible.accuracy <= EXACT or accurate:
            exact: Rows = feasible.project(x)
            return exact
        projected = np.empty_like(x)
        for row, start in enumerate(starts):
            key = int(start), purpose
            projected[row], self._warm[key] = feasible.project_inexact(
                x[row], min(INEXACT, self.tolerance), self._warm.get(key)
            )
        return projected

    def projector(self, start: int) -> Callable[..., Vector]:
        """Return ``project(x, purpose="step")`` of flat points on behalf of one start."""

        def project(x: Vector, purpose: str = "step") -> Vector:
            point: Vector = self.project(x[np.newaxis], [start], purpose)[0]
            return point

        return project

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
                found = self.evaluate(point[np.newaxis], [start])
            except Stopped:
                return
            if not found.finite[0] or not problem.feasible(point[np.newaxis], found.c)[0]:
                return
            values.append(float(found.f[0]))
        gains = -np.diff(values)
        if gains.size > 1 and gains[0] > 0 and np.all(gains[1:] >= LASTING * gains[:-1]):
            self.ended[start] = replace(ended, status=Status.UNBOUNDED, detail="")

    def end(self, start: int, x: Vector, status: Status, detail: str = "") -> None:
        """Say how one start ended; the first word counts."""
        self.ended.setdefault(
            start, Termination(x.copy(), status, int(self.iterations[start]), detail)
        )

    def iterate(self, start: int, x: Vector, f: float, violation: float | None = None) -> bool:
        """Record one accepted iterate and call the user's callback; False if it has diverged.

        Without a violation, that of C is measured here: there is no other for methods that take
        sets alone.

        Raises
        ------
        Stopped
            If the callback ends the run.
        """
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
        history.rows.append(self.rows)
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
                        self.rows,
                    )
                )
            except StopIteration:
                stop = True
            if stop is True:
                raise Stopped(Status.INTERRUPTED, "The callback ended the run.")
        return True

    def iterate_rows(self, starts: Indices, x: Rows, found: Evaluation) -> np.ndarray:
        """Record the finite iterates of one round, row b on behalf of ``starts[b]``.

        Returns
        -------
        numpy.ndarray of bool, shape (B,)
            False where `iterate` returns it: rows that have diverged.

        Raises
        ------
        Stopped
            If the callback ends the run.
        """
        whose, values = starts.tolist(), found.f.tolist()
        heard = self.progress is not None or self.callback is not None
        plain = self.problem.set.bounded and found.violation is not None and found.finite.all()
        if heard or not plain:
            going = [
                not found.finite[row]
                or self.iterate(start, x[row], values[row], found.violation_of(row))
                for row, start in enumerate(whose)
            ]
            return np.array(going, dtype=bool)
        assert found.violation is not None
        history, written, count = self.history, self.problem.value, len(whose)
        for start in whose:
            self.iterations[start] += 1
            history.nit.append(int(self.iterations[start]))
        history.start.extend(whose)
        history.rows.extend([self.rows] * count)
        history.seconds.extend([self.seconds] * count)
        history.value.extend([written(value) for value in values])
        history.violation.extend(found.violation.tolist())
        return np.ones(count, dtype=bool)

    def name_non_finite(self, x: Vector, found: Evaluation, row: int) -> str:
        """Say what is not finite at a point, in the user's words."""
        what = "value" if not np.isfinite(found.f[row]) else "gradient"
        if what == "gradient" and np.isfinite(found.gradient[row]).all():
            what = "constraint"
        x = self.problem.original(x)
        low, high = float(np.min(x, initial=np.inf)), float(np.max(x, initial=-np.inf))
        return f"The {what} is not finite at a point with entries in [{low:g}, {high:g}]."
