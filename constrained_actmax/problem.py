"""The question in standard form: minimise f(x) subject to x in C and l <= c(x) <= u."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from constrained_actmax.errors import SpecificationError, suggest
from constrained_actmax.layout import Layout, Rows, Structure, Vector
from constrained_actmax.oracles.base import BaseOracle
from constrained_actmax.oracles.negated import Negated
from constrained_actmax.result import Budget, History, Status, Termination
from constrained_actmax.sets.base import ConvexSet
from constrained_actmax.sets.intersection import Intersection

if TYPE_CHECKING:
    from constrained_actmax.objectives.base import Objective

#: Largest relative violation of a constraint that is not projected on.
FEASIBILITY_TOLERANCE = 1e-6
#: Growth of max |x| beyond the start's scale that is called divergence.
DIVERGENCE = 1e8


@dataclass(frozen=True)
class Evaluation:
    """Everything the model says at B points.

    Parameters
    ----------
    f : numpy.ndarray, shape (B,)
        The number that is minimised.
    gradient : numpy.ndarray, shape (B, n)
        Its gradient.
    c : numpy.ndarray, shape (B, m)
        Constraint functions.
    jacobian : numpy.ndarray, shape (B, m, n)
        Their Jacobian.
    finite : numpy.ndarray of bool, shape (B,)
        Rows in which every number is finite.
    """

    f: Vector
    gradient: Rows
    c: Rows
    jacobian: np.ndarray
    finite: np.ndarray

    def row(self, row: int) -> Evaluation:
        """Return a copy of one row, still with a batch axis."""
        one = slice(row, row + 1)
        return Evaluation(
            self.f[one].copy(),
            self.gradient[one].copy(),
            self.c[one].copy(),
            self.jacobian[one].copy(),
            self.finite[one].copy(),
        )


@dataclass(frozen=True)
class Imposed:
    """One functional constraint as the solvers see it: some rows of c, and its printed form."""

    description: str
    rows: slice


class Problem:
    """A model, an objective and constraints, with every shape and name checked once.

    Parameters
    ----------
    model : keras.Model, path, callable, Oracle or FunctionOracle
        Whatever `Oracle` takes, or an oracle.
    objective : Objective, optional
        What of the network should be large; not needed where `model` is an oracle that has one.
    constraints : sequence, optional
        Convex sets, comparisons on objectives, SciPy's ``Bounds``, ``LinearConstraint``,
        ``NonlinearConstraint`` and constraint dicts; one needs no list.
    sense : {"maximize", "minimize"}
        Which way `solve` takes the objective.
    bounds : sequence of pairs or scipy.optimize.Bounds, optional
        SciPy's form of a `Box`.
    x0 : array_like, optional
        A point in the model's structure: the default start, and what `Fixed` holds by default.
    feasibility_tolerance : float, default 1e-6
        Largest violation, relative to max(1, |bound|), of a constraint that is not projected on.
    **model_options
        `preprocess`, `labels`, `feature_names`, `input_shape`, `precision`, `xla`,
        `custom_objects`, `safe_mode`, `signature`: see `Oracle`.

    Raises
    ------
    SpecificationError
        If a shape, a name or a number does not fit.
    InfeasibleError
        If no point satisfies the convex constraints; the message names those that clash.
    ModelError
        If the model cannot be differentiated by its input.
    """

    def __init__(
        self,
        model: Any,
        objective: Objective | None = None,
        constraints: Any = (),
        *,
        sense: Literal["maximize", "minimize"] = "maximize",
        bounds: Any = None,
        x0: Structure | None = None,
        feasibility_tolerance: float = FEASIBILITY_TOLERANCE,
        **model_options: Any,
    ) -> None:
        if sense not in ("maximize", "minimize"):
            raise SpecificationError(
                f"Problem: sense must be 'maximize' or 'minimize', got {sense!r}."
            )
        self.sense = sense
        self.feasibility_tolerance = float(feasibility_tolerance)
        if not self.feasibility_tolerance > 0:
            raise SpecificationError(
                f"Problem: feasibility_tolerance must be > 0, got {feasibility_tolerance!r}."
            )
        sets, functional = _sorted_constraints(constraints)
        user_oracle = _oracle(model, objective, functional, model_options)
        self.user_oracle = user_oracle
        self.layout: Layout = user_oracle.layout
        self.x0 = None if x0 is None else self.layout.flatten(x0, "x0")
        if bounds is not None:
            from constrained_actmax.sets.conversion import box_from_bounds

            sets.insert(0, box_from_bounds(bounds, self.layout))
        self.set = Intersection(sets).bind(self.layout, self.x0)
        self.oracle: BaseOracle = Negated(user_oracle) if sense == "maximize" else user_oracle
        self.lower, self.upper, self.imposed, self._functions = _imposed(
            functional, user_oracle, self.layout
        )
        self.objective_text = _objective_text(user_oracle)
        self.set.check_nonempty()
        self._refuse_unbounded()

    # -- what solvers ask ------------------------------------------------------------------------

    @property
    def size(self) -> int:
        """Length n of the flat vector."""
        return self.layout.size

    @property
    def constraints(self) -> int:
        """Number m of rows of c."""
        return int(self.lower.size)

    @property
    def smooth(self) -> bool | None:
        """False where the network has kinks; None unknown."""
        return self.oracle.smooth

    @property
    def sign(self) -> float:
        """``value = sign * fun``."""
        return -1.0 if self.sense == "maximize" else 1.0

    def evaluate(self, x: Rows) -> Evaluation:
        """Return f, its gradient, c and its Jacobian at rows x (B, n), in one model call."""
        values, jacobian = self.oracle.evaluate(x)
        f, gradient = values[:, 0], jacobian[:, 0]
        c, slopes = values[:, 1:], jacobian[:, 1:]
        if self._functions:
            extra = [function.evaluate(x) for function in self._functions]
            c = np.concatenate([c, *(one[0] for one in extra)], axis=1)
            slopes = np.concatenate([slopes, *(one[1] for one in extra)], axis=1)
        finite = np.isfinite(f) & np.isfinite(gradient).all(axis=1)
        if c.shape[1]:
            finite &= np.isfinite(c).all(axis=1) & np.isfinite(slopes).all(axis=(1, 2))
        return Evaluation(f, gradient, c, slopes, finite)

    def functional_violation(self, c: Rows) -> Vector:
        """Return, for each row, the largest violation of c, each relative to max(1, |bound|)."""
        if not self.constraints:
            return np.zeros(len(c))
        low = np.where(np.isfinite(self.lower), self.lower - c, -np.inf)
        high = np.where(np.isfinite(self.upper), c - self.upper, -np.inf)
        excess = np.maximum(
            low / np.maximum(1.0, np.abs(np.where(np.isfinite(self.lower), self.lower, 0.0))),
            high / np.maximum(1.0, np.abs(np.where(np.isfinite(self.upper), self.upper, 0.0))),
        )
        return np.maximum(0.0, excess.max(axis=1))

    def violation(self, x: Rows, c: Rows) -> Vector:
        """Return, for each row, the largest relative violation of any constraint."""
        return np.maximum(self.set.relative_violation(x), self.functional_violation(c))

    def feasible(self, x: Rows, c: Rows) -> np.ndarray:
        """Return, for each row, whether it satisfies C to its tolerance and c to its own."""
        return (self.set.relative_violation(x) <= self.set.tolerance) & (
            self.functional_violation(c) <= self.feasibility_tolerance
        )

    def __repr__(self) -> str:
        parts = [str(one) for one in self.set.members] + [one.description for one in self.imposed]
        return f"{self.sense} {self.objective_text} subject to {', '.join(parts) or 'nothing'}"

    def _refuse_unbounded(self) -> None:
        objectives = getattr(self.user_oracle, "objectives", ())
        if not objectives or self.set.bounded or self.constraints:
            return
        first = objectives[0]
        grows = first.bounded_above if self.sense == "maximize" else first.bounded_below
        if grows is False:
            way = "above" if self.sense == "maximize" else "below"
            raise SpecificationError(
                f"{self.sense}: {first} is not bounded {way} on an unbounded set of inputs; add a "
                "bounded one, such as Box(0, 1) or L2Ball(radius), or a penalty such as "
                "- 0.1 * Norm(2)."
            )


def _sorted_constraints(constraints: Any) -> tuple[list[ConvexSet], list[Any]]:
    """Split what the user wrote into convex sets and functional constraints."""
    from constrained_actmax.constraints.between import Between
    from constrained_actmax.constraints.function import Function
    from constrained_actmax.sets.conversion import from_scipy

    if constraints is None:
        constraints = ()
    listed: Sequence[Any]
    if isinstance(constraints, list | tuple):
        listed = constraints
    else:
        listed = [constraints]
    sets: list[ConvexSet] = []
    functional: list[Any] = []
    for one in listed:
        if isinstance(one, ConvexSet):
            sets.append(one)
        elif isinstance(one, Between | Function):
            functional.append(one)
        elif isinstance(one, type) and issubclass(one, ConvexSet):
            raise SpecificationError(
                f"constraints: {one.__name__} is a class; write {one.__name__}(...)."
            )
        elif isinstance(one, bool | np.bool_):
            raise SpecificationError(
                f"constraints: got {one!r}; a comparison of numbers is not a constraint, "
                "one side must be an objective."
            )
        else:
            converted = from_scipy(one)
            if converted is not None:
                sets.append(converted)
                continue
            function = Function.from_scipy(one)
            if function is None:
                raise SpecificationError(
                    f"constraints: expected convex sets, comparisons on objectives or SciPy's "
                    f"constraint objects, got {type(one).__name__}."
                )
            functional.append(function)
    return sets, functional


def _oracle(
    model: Any, objective: Any, functional: Sequence[Any], options: Mapping[str, Any]
) -> BaseOracle:
    """Build, or take, the oracle of the objective and of the constraints on model outputs."""
    from constrained_actmax.constraints.between import Between
    from constrained_actmax.objectives.base import Objective
    from constrained_actmax.oracles.oracle import Oracle

    outputs = [one.imposed()[0] for one in functional if isinstance(one, Between)]
    if isinstance(objective, Between):
        raise SpecificationError(
            f"objective: {objective} is a constraint; put it into the list of constraints."
        )
    if objective is not None and not isinstance(objective, Objective):
        raise SpecificationError(
            "objective: expected an objective such as Logit(7), "
            f"got {type(objective).__name__} {objective!r}."
        )
    if isinstance(model, BaseOracle):
        if options:
            name = next(iter(options))
            raise SpecificationError(
                f"Problem: {name}= belongs to the model and is given when its Oracle is made."
            )
        if not isinstance(model, Oracle):
            if objective is not None or outputs:
                raise SpecificationError(
                    f"{type(model).__name__}: it is the function itself and has no outputs to "
                    "name; leave the objective out, and write constraints as sets or Function."
                )
            return model
        chosen = [objective] if objective is not None else list(model.objectives[:1])
        if not chosen:
            raise SpecificationError("Problem: say what should be large, such as Logit(7).")
        return model.with_objectives([*chosen, *outputs])
    if objective is None:
        raise SpecificationError("Problem: say what should be large, such as Logit(7).")
    known = (
        "preprocess",
        "labels",
        "feature_names",
        "input_shape",
        "precision",
        "xla",
        "custom_objects",
        "safe_mode",
        "signature",
    )
    for name in options:
        if name not in known:
            raise SpecificationError(f"Problem: no option {name!r}. {suggest(name, known)}")
    return Oracle(model, [objective, *outputs], **options)


def _imposed(
    functional: Sequence[Any], oracle: BaseOracle, layout: Layout
) -> tuple[Vector, Vector, list[Imposed], list[Any]]:
    """Lay the functional constraints' rows one after the other: outputs first, then functions."""
    from constrained_actmax.constraints.between import Between

    lower: list[Vector] = []
    upper: list[Vector] = []
    imposed: list[Imposed] = []
    functions: list[Any] = []
    start = 0
    outputs = [one for one in functional if isinstance(one, Between)]
    counts = list(getattr(oracle, "counts", [1] * (1 + len(outputs))))[1:]
    for one, count in zip(outputs, counts, strict=True):
        _, low, high = one.imposed()
        lower.append(_limits(low, count, str(one)))
        upper.append(_limits(high, count, str(one)))
        imposed.append(Imposed(str(one), slice(start, start + count)))
        start += count
    for one in functional:
        if isinstance(one, Between):
            continue
        function = one.bind(layout)
        functions.append(function)
        lower.append(_limits(function.lower, function.count, str(one)))
        upper.append(_limits(function.upper, function.count, str(one)))
        imposed.append(Imposed(str(one), slice(start, start + function.count)))
        start += function.count
    if not imposed:
        return np.empty(0), np.empty(0), [], []
    return np.concatenate(lower), np.concatenate(upper), imposed, functions


def _limits(value: Any, count: int, who: str) -> Vector:
    array = np.asarray(value, dtype=np.float64)
    try:
        return np.array(np.broadcast_to(array, (count,)))
    except ValueError:
        raise SpecificationError(
            f"{who}: it has {count} rows, the bound has shape {array.shape}."
        ) from None


def _objective_text(oracle: BaseOracle) -> str:
    objectives = getattr(oracle, "objectives", ())
    if objectives:
        return str(objectives[0])
    return str(oracle.describe().get("model", "function"))


class Stopped(Exception):
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
        Largest relative violation of any constraint.
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
        Projected-gradient residual, in input units, that counts as converged.
    progress : callable, optional
        The same for a display, called first.
    reserve : bool, default False
        Whether two evaluations of each start are kept back for the points that it may return,
        because the solver's own points may be off C by rounding.
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
        self.padded_rows = 1
        self.notes: list[str] = []
        self.best_f = np.full(starts, np.inf)
        self.best_x: list[Vector | None] = [None] * starts
        self._best: list[Evaluation | None] = [None] * starts
        self._near_f = np.full(starts, np.inf)
        self._near_x: list[Vector | None] = [None] * starts
        self._least_violation = np.full(starts, np.inf)
        self._least_violated: list[Vector | None] = [None] * starts
        self._returned: dict[int, tuple[Vector, Evaluation]] = {}
        self.iterations = np.zeros(starts, dtype=int)
        self.ended: dict[int, Termination] = {}
        self._began = time.perf_counter()
        self._reserved = 2 * starts if reserve else 0
        self._limit = self._affordable(self.budget.evaluations)
        self._scale = np.ones(starts)

    # -- limits ----------------------------------------------------------------------------------

    @property
    def seconds(self) -> float:
        """Wall-clock time since the run began."""
        return time.perf_counter() - self._began

    @property
    def remaining(self) -> int | None:
        """Evaluations that the current solver may still ask for, or None without a limit."""
        return None if self._limit is None else max(0, self._limit - self.rows)

    def share(self, starts_left: int) -> None:
        """Give the next start its equal share of what is left of the budget."""
        if self.budget.evaluations is not None:
            left = self.budget.evaluations - self._reserved - self.rows
            self._limit = self.rows + max(1, left // max(1, starts_left))

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
        if self._limit is not None and self.rows + len(x) > self._limit:
            raise Stopped(Status.BUDGET)
        if self.budget.seconds is not None and self.seconds >= self.budget.seconds:
            raise Stopped(Status.BUDGET)
        return self._evaluate(x, starts)

    def _evaluate(self, x: Rows, starts: Sequence[int] | np.ndarray) -> Evaluation:
        before = self.problem.oracle.calls
        asked = len(x)
        if asked < self.padded_rows:
            padding = np.broadcast_to(x[-1], (self.padded_rows - asked, x.shape[1]))
            whole = self.problem.evaluate(np.concatenate([x, padding]))
            found = Evaluation(
                whole.f[:asked],
                whole.gradient[:asked],
                whole.c[:asked],
                whole.jacobian[:asked],
                whole.finite[:asked],
            )
        else:
            found = self.problem.evaluate(x)
        self.rows += asked
        self.calls += self.problem.oracle.calls - before
        self._keep_best(x, found, starts)
        return found

    def _keep_best(self, x: Rows, found: Evaluation, starts: Sequence[int] | np.ndarray) -> None:
        problem = self.problem
        inside = problem.set.relative_violation(x)
        outside = problem.functional_violation(found.c)
        kept = found.finite & (outside <= problem.feasibility_tolerance)
        strict = kept & (inside <= problem.set.tolerance)
        # A point that is off C by a solver's rounding is worth projecting at the end, but its
        # value is too good by as much as it is off: it is not compared with points in C.
        near = kept & ~strict & (inside <= problem.feasibility_tolerance)
        total = np.maximum(inside, outside)
        for row, start in enumerate(starts):
            f = found.f[row]
            if strict[row]:
                if f < self.best_f[start]:
                    self.best_f[start] = f
                    self.best_x[start] = x[row].copy()
                    self._best[start] = found.row(row)
            elif near[row]:
                if f < self._near_f[start]:
                    self._near_f[start] = f
                    self._near_x[start] = x[row].copy()
            elif found.finite[row] and total[row] < self._least_violation[start]:
                self._least_violation[start] = total[row]
                self._least_violated[start] = x[row].copy()

    def returned(self, start: int, last: Vector) -> tuple[Vector, Evaluation]:
        """Return the point that a start gives back, on C, with an evaluation made there.

        The best of these, each projected on C: the best point of C that was evaluated, the best
        that was off C by no more than the tolerance, and the solver's last; with none of the
        first two, also the least violating one. A point of C costs no further model call.
        """
        if start in self._returned:
            return self._returned[start]
        problem = self.problem
        candidates: list[tuple[Vector, Evaluation]] = []
        best, known = self.best_x[start], self._best[start]
        if best is not None and known is not None:
            candidates.append(self._on_set(best, known, start))
        others = [self._near_x[start], last]
        if best is None and others[0] is None:
            others.append(self._least_violated[start])
        for place, point in enumerate(others):
            if point is None or any(
                other is not None and np.array_equal(point, other) for other in others[:place]
            ):
                continue
            # A last point in C was evaluated on the way there, so it is no better than the best.
            if best is None or problem.set.relative_violation(point) > problem.set.tolerance:
                candidates.append(self._on_set(point, None, start))

        def rank(one: tuple[Vector, Evaluation]) -> tuple[bool, bool, float]:
            x, found = one
            inside = bool(problem.feasible(x[np.newaxis], found.c)[0])
            worth = found.f[0] if inside else problem.violation(x[np.newaxis], found.c)[0]
            return not bool(found.finite[0]), not inside, float(worth)

        self._returned[start] = min(candidates, key=rank)
        return self._returned[start]

    def _on_set(self, x: Vector, known: Evaluation | None, start: int) -> tuple[Vector, Evaluation]:
        inside = self.problem.set.project(x)
        if known is not None and np.array_equal(inside, x):
            return x, known
        return inside, self._evaluate(inside[np.newaxis], [start])

    def end(self, start: int, x: Vector, status: Status, detail: str = "") -> None:
        """Say how one start ended; the first word counts."""
        self.ended.setdefault(
            start, Termination(x.copy(), status, int(self.iterations[start]), detail)
        )

    def iterate(self, start: int, x: Vector, f: float, violation: float) -> bool:
        """Record one accepted iterate and call the user's callback; False if it has diverged.

        Raises
        ------
        Stopped
            If the callback ends the run.
        """
        if self.iterations[start] == 0:
            self._scale[start] = max(1.0, float(np.max(np.abs(x), initial=0.0)))
        self.iterations[start] += 1
        value = self.problem.sign * f
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
                        self.problem.layout.unflatten(x),
                        value,
                        f,
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

    def name_non_finite(self, x: Vector, found: Evaluation, row: int) -> str:
        """Say what is not finite at a point, in the user's words."""
        what = "value" if not np.isfinite(found.f[row]) else "gradient"
        if what == "gradient" and np.isfinite(found.gradient[row]).all():
            what = "constraint"
        low, high = float(np.min(x, initial=np.inf)), float(np.max(x, initial=-np.inf))
        return f"The {what} is not finite at a point with entries in [{low:g}, {high:g}]."
