"""Augmented Lagrangian with the convex set kept exact."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from typing_extensions import override

from constrained_actmax.errors import SpecificationError
from constrained_actmax.layout import Indices, Rows, Vector
from constrained_actmax.optimality import residuals
from constrained_actmax.problem import Evaluation, Problem
from constrained_actmax.result import Status
from constrained_actmax.run import Run
from constrained_actmax.scaled import FINEST_VIOLATION
from constrained_actmax.solvers.annealed import Annealed
from constrained_actmax.solvers.base import Solver, needs_gradients
from constrained_actmax.solvers.contraction import STEPS, can_contract, contracted
from constrained_actmax.solvers.converge_and_search import ConvergeAndSearch
from constrained_actmax.solvers.l_bfgs_b import LBFGSB
from constrained_actmax.solvers.pgd import PGD
from constrained_actmax.solvers.polishing import polish
from constrained_actmax.solvers.pqn import PQN
from constrained_actmax.solvers.spg import SPG

# Constants of Andreani, Birgin, Martínez and Schuverdt (2007) and of their code ALGENCAN.
PENALTY_GROWTH = 10.0
SUFFICIENT_DECREASE = 0.5
LARGEST_MULTIPLIER = 1e20
FIRST_PENALTY = (1e-8, 1e8)
#: First penalty over the range of the objective, where nothing is violated: on nonsmooth networks,
#: and else. Of 10 to 1e5 these reach the most of docs/benchmarks/output_limits and published.
FIRST_SHARE = {True: 1e3, False: 100.0}
LARGEST_PENALTY = 1e12
TINY = 1e-30
#: First residual asked of the inner solver, and its decrease a round.
FIRST_RESIDUAL, RESIDUAL_DECREASE = 1e-2, 0.1
#: Iterates of a start that are remembered, to report the one that the inner solver accepts.
REMEMBERED = 4
#: Residual of the inner solver, and violation, from which Newton's method may finish.
POLISHED_FROM = 1e-3
#: Steps of the default inner solver in one round.
INNER_STEPS = 100
#: On networks with kinks: steps of pgd in the first round, which crosses them, and of spg in the
#: others, which put x on its limits. Measured by docs/benchmarks/output_limits.py.
CROSSING_STEPS, SETTLING_STEPS = 300, 30
#: Rounds without a gain in feasibility or value after which a row is stuck at a kink, and the
#: gain that counts, over the objective's range; nonsmooth, and smooth.
PATIENCE = {True: 2, False: 4}
GAIN = {True: 1e-4, False: 1e-7}
#: What a path has to promise beyond the best of its start's paths, over the objective's range, and
#: after how many rounds without it is left.
LEAD, BEHIND = 1e-3, 2
#: How near to its bound c is led against it, in units of its size, and how often that is tried.
PRESSED_FROM, PRESSES = 1e-2, 3
#: Steps of pgd on the violation alone where the rounds end at its local minimum, and how often.
RESTORING_STEPS, RESTORATIONS = 100, 2


class Subproblem:
    """The problem that the inner solver sees: minimise the augmented Lagrangian over C."""

    constraints = 0
    keeps_set = False  # its inner methods project
    kept_rows = np.zeros(0, dtype=bool)

    def __init__(self, problem: Problem) -> None:
        self.set = problem.set
        self.oracle = problem.oracle
        self.layout = problem.layout
        self.smooth = problem.smooth
        self.sign = problem.sign
        self.size = problem.size
        self.sense = problem.sense
        self.unit, self.objective_unit = problem.unit, problem.objective_unit
        self._problem = problem
        self.imposed: list[Any] = []
        self.lower = self.upper = np.empty(0)
        self.feasibility_tolerance = problem.feasibility_tolerance

    @property
    def range(self) -> float:
        """What the objective changes over C."""
        return self._problem.range

    def violation(self, x: Rows, c: Rows) -> Vector:
        """Return the violation of C alone."""
        worst: Vector = self.set.relative_violation(x)
        return worst


class Augmented:
    r"""The run that the inner solver sees: f and c folded into one function.

    .. math:: L(x) = f(x) + \tfrac{\rho}{2} \|w - P_{[l, u]}(w)\|^2, \qquad
              w = c(x) + \lambda / \rho

    with a multiplier and a penalty for each path. To the inner solver a path is a start; several
    may work for one start of the run.

    Parameters
    ----------
    run : Run
        Of the whole call.
    whose : numpy.ndarray, shape (paths,)
        The start that each path works for.
    """

    def __init__(self, run: Run, whose: Indices) -> None:
        self.outer = run
        self.problem = Subproblem(run.problem)
        self.whose = whose
        self._lower, self._upper = run.problem.lower, run.problem.upper
        count = len(whose)
        self.multipliers = np.zeros((count, run.problem.constraints))
        self.penalty = np.ones(count)
        self.weight = np.ones(count)  # of f: 0 where feasibility alone is sought
        self.notes = run.notes
        self.tolerance = run.tolerance
        self.padded_rows = run.padded_rows
        self.starts = count
        self.budget = run.budget
        #: Lowest f of each path's points that keep all limits.
        self.held = np.full(count, np.inf)
        #: How each round of a path ended, and how each path did.
        self.ended: dict[int, tuple[Vector, Status, str]] = {}
        self.left: dict[int, tuple[Vector, Status, str]] = {}
        self.iterations = np.zeros(count, dtype=int)
        self.best_f = np.full(count, np.inf)
        self.best_x: list[Vector | None] = [None] * count
        self.last: dict[int, list[tuple[Vector, Evaluation]]] = {}
        self.begin(range(count))

    def begin(self, starts: Sequence[int] | Indices) -> None:
        """Forget the last round of these paths, and of these alone."""
        for start in np.asarray(starts).tolist():
            self.ended.pop(start, None)
            self.iterations[start] = 0
            self.best_f[start] = np.inf
            self.best_x[start] = None
            self.last[start] = []

    # -- what inner solvers call -----------------------------------------------------------------

    @property
    def remaining(self) -> int | None:
        """Evaluations left of the whole budget."""
        return self.outer.remaining

    @property
    def out_of_time(self) -> bool:
        """Whether the seconds of the budget are used up."""
        return self.outer.out_of_time

    @property
    def rows(self) -> int:
        """Evaluations so far."""
        return self.outer.rows

    def share(self, starts_left: int) -> None:
        """Leave the sharing of the budget to the outer loop."""

    def evaluate(self, x: Rows, starts: Sequence[int] | Indices) -> Evaluation:
        """Return L and its gradient; f and c are remembered for `iterate`."""
        paths = np.asarray(starts)
        found = self.outer.evaluate(x, self.whose[paths])
        where: Any = slice(None) if self.starts == 1 else paths
        rho = self.penalty[where, np.newaxis]
        w = found.c + self.multipliers[where] / rho
        nearest = np.maximum(w, self._lower)
        excess = w - np.minimum(nearest, self._upper, out=nearest)
        value = 0.5 * rho[:, 0] * np.einsum("bm,bm->b", excess, excess)
        weights = rho * excess
        gradient = found.gradient
        weight = self.weight[where]
        if (weight == 1.0).all():
            value += found.f
        else:
            value += weight * found.f
            gradient = weight[:, np.newaxis] * gradient
        if weights.any():
            gradient = gradient + np.matmul(weights[:, np.newaxis], found.jacobian)[:, 0]
        values = np.where(found.finite, value, np.inf).tolist()
        problem, kept = self.outer.problem, np.zeros(len(x), dtype=bool)
        assert found.violation is not None  # just measured
        if (found.violation <= problem.feasibility_tolerance).any():
            kept = found.finite & problem.functionally_feasible(found.c, found.violation)
        for row, path in enumerate(paths.tolist()):
            last = self.last[path]
            point = x[row].copy()
            last.append((point, found.row(row)))
            del last[:-REMEMBERED]
            if kept[row] and found.f[row] < self.held[path]:
                self.held[path] = found.f[row]
            if values[row] < self.best_f[path]:
                self.best_f[path] = values[row]
                self.best_x[path] = point
        nothing = np.empty((len(x), 0))
        return Evaluation(value, gradient, nothing, np.empty((len(x), 0, x.shape[1])), found.finite)

    def project(self, x: Rows, starts: Sequence[int] | Indices, purpose: str = "step") -> Rows:
        """Project rows on C."""
        return self.outer.project(x, self.whose[np.asarray(starts)], purpose)

    def projector(self, start: int) -> Callable[..., Vector]:
        """Return the projection of one path's points."""
        return self.outer.projector(int(self.whose[start]))

    def iterate(self, start: int, x: Vector, f: float, violation: float | None = None) -> bool:
        """Hand an accepted iterate on, with its own f and violation."""
        self.iterations[start] += 1
        found = self.known(start, x)
        whose = int(self.whose[start])
        return self.outer.iterate(whose, x, float(found.f[0]), found.violation_of(0))

    def known(self, start: int, x: Vector) -> Evaluation:
        """Return f and c at a point that was just evaluated, or evaluate it."""
        for point, found in reversed(self.last[start]):
            if (point == x).all():
                return found
        self.evaluate(x[np.newaxis], [start])
        return self.last[start][-1][1]

    def update(self, start: int, c: Vector) -> float:
        """Update the multipliers of one start, lam <- rho (w - P(w)); return |V|.

        V = c - P(w) is zero where the point is feasible and complementary.
        """
        rho = self.penalty[start]
        w = c + self.multipliers[start] / rho
        nearest = np.clip(w, self._lower, self._upper)
        new = rho * (w - nearest)
        self.multipliers[start] = np.clip(new, -LARGEST_MULTIPLIER, LARGEST_MULTIPLIER)
        return float(np.max(np.abs(c - nearest), initial=0.0))

    def distance(self, c: Vector) -> float:
        """Return the squared distance of c to its bounds."""
        excess = c - np.clip(c, self._lower, self._upper)
        return float(excess @ excess)

    def end(self, start: int, x: Vector, status: Status, detail: str = "") -> None:
        """Note how one start's round ended."""
        self.ended.setdefault(start, (x.copy(), status, detail))

    def hessian_product(self, x: Vector, v: Vector, weights: Vector) -> Vector:
        """Refuse: L has no second derivative where a constraint becomes active."""
        raise SpecificationError("augmented-lagrangian: the inner method must use gradients alone.")

    def name_non_finite(self, x: Vector, found: Evaluation, row: int) -> str:
        """Say what is not finite."""
        return self.outer.name_non_finite(x, found, row)


@dataclass(frozen=True, kw_only=True)
class AugmentedLagrangian(Solver):
    r"""Augmented Lagrangian for :math:`l \le c(x) \le u`, with C kept exact by projection [1]_.

    Each round minimises :math:`f + \tfrac{\rho}{2} \|w - P_{[l,u]}(w)\|^2`,
    :math:`w = c + \lambda / \rho`, over C by a projected method; then
    :math:`\lambda \leftarrow \rho (w - P_{[l,u]}(w))`, and rho grows tenfold unless the violation
    halved. Memory is linear in n. On networks with kinks each start is followed twice, side by
    side: from itself, and from where steps over a dilated set that contracts to C lead it; the
    better end counts, led against the limits that it nearly reaches. A small smooth problem, with
    bounds and linear rows for C, is finished by Newton's method on its active limits. Where the
    violation stays and its own gradient vanishes on C, or on networks with kinks a search for
    feasibility alone fails too, the problem is called infeasible there and the least violating
    point is returned.

    Parameters
    ----------
    inner : Solver, optional
        Minimises over C: spg, pgd, pqn, fista, or L-BFGS-B where C is a box. By default, on
        networks with kinks, pgd in the first round, which crosses them, and then spg; on smooth
        ones L-BFGS-B under bounds alone, else pqn.
    max_rounds : int, default 50
        Updates of the multipliers.
    beginnings : {2, 1}
        With 1, every start is followed from itself alone. So it is on smooth problems, with
        functions that TensorFlow does not compute, where C is nothing but bounds, and where the
        budget has fewer than about 400 evaluations for a start. With 2, the model is evaluated
        outside C too, always within the bounds that C states; answers lie in C.

    References
    ----------
    .. [1] Andreani, Birgin, Martínez and Schuverdt (2007), On augmented Lagrangian methods with
       general lower-level constraints, SIAM J. Optim. 18, 1286-1309.
    """

    name: ClassVar[str] = "augmented-lagrangian"
    stays_inside: ClassVar[bool] = False
    takes_split: ClassVar[bool] = True

    inner: Solver | None = None
    max_rounds: int = 50
    beginnings: int = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.beginnings not in (1, 2):
            raise SpecificationError(
                f"augmented-lagrangian: beginnings must be 1 or 2, got {self.beginnings!r}."
            )
        if self.inner is not None and not isinstance(self.inner, Solver):
            raise SpecificationError(
                "augmented-lagrangian: inner must be a Solver such as SPG(), "
                f"got {type(self.inner).__name__}."
            )
        if isinstance(self.inner, AugmentedLagrangian | Annealed | ConvergeAndSearch):
            raise SpecificationError(
                "augmented-lagrangian: inner must be a local method over C alone, such as SPG(), "
                f"got {type(self.inner).__name__}."
            )

    @override
    def refusal(self, problem: Problem) -> str | None:
        if not problem.oracle.differentiable:
            return needs_gradients(self.name)
        if not problem.set.convex:
            return "augmented-lagrangian needs a convex set; use method='pgd'."
        problem = problem.split or problem
        inner = self._inner(problem)
        reason = inner.refusal(Subproblem(problem))  # type: ignore[arg-type]
        return None if reason is None else f"augmented-lagrangian's inner method: {reason}"

    def _inner(self, problem: Problem, number: int = 0, ways: int = 1) -> Solver:
        """Return what minimises over C in a round."""
        if self.inner is not None:
            return self.inner
        if problem.smooth is False:
            if number == 0:
                return PGD(iterations=CROSSING_STEPS // ways)
            return SPG(max_iterations=SETTLING_STEPS)
        if problem.set.only_box:
            return LBFGSB(maxiter=INNER_STEPS)
        return PQN(max_iterations=INNER_STEPS)

    @override
    def _run(self, run: Run, x0: Rows, starts: Indices) -> None:
        found = run.evaluate(x0, starts)
        hopeful = self._hopeful(run, x0, found, starts)
        ways = 2 if self._begins_twice(run, len(x0)) else 1
        whose = np.tile(starts, ways)
        if ways > 1:
            run.carry(len(whose))
        augmented = self._augmented(run, found, whose)
        x, live = np.tile(x0, (ways, 1)), np.tile(hopeful, ways)
        try:
            if ways > 1 and hopeful.any():
                others = len(x0) + np.flatnonzero(hopeful)
                x[others] = contracted(augmented, x[others], others)  # type: ignore[arg-type]
            self._follow(run, augmented, x, live, ways)
        finally:
            # A start ends as its better path did, also where a limit stops the others.
            going = set(whose[live].tolist())
            for path in np.lexsort([np.arange(len(whose)), augmented.held]).tolist():
                if path in augmented.left and int(whose[path]) not in going:
                    run.end(int(whose[path]), *augmented.left[path])
        if run.problem.smooth is False:
            for start in starts.tolist():
                self._press(run, start)

    @staticmethod
    def _press(run: Run, start: int) -> None:
        """Lead the best point against the limits that it nearly reaches, downhill over C.

        Across kinks a path ends a little before them, and then nothing shows what they cost.
        """
        problem = run.problem
        for _ in range(PRESSES):
            x = run.best_x[start]
            if x is None:
                return
            found = run.evaluate(x[np.newaxis], [start])
            length = float(np.linalg.norm(found.gradient[0]))
            if not length > 0.0:
                return
            there = run.project(x[np.newaxis] - found.gradient / length, [start], "length")[0]
            way = there - x
            rate, c = found.jacobian[0] @ way, found.c[0]
            limit = np.where(rate > 0.0, problem.upper, problem.lower)
            gap = np.abs(limit - c)
            near = (rate != 0.0) & (gap <= PRESSED_FROM)
            if not near.any():
                return
            step = float(np.min(gap[near] / np.abs(rate[near])))
            shares = min(step, 1.0) * np.array([0.5, 0.9, 0.99, 1.0])
            points = run.project(x + shares[:, np.newaxis] * way, [start] * len(shares), "length")
            before = run.best_f[start]
            run.evaluate(points, [start] * len(shares))
            if not run.best_f[start] < before:
                return

    def _begins_twice(self, run: Run, count: int) -> bool:
        """Whether each start is followed from itself and from where a contracting set leads it."""
        problem, left = run.problem, run.remaining
        if self.beginnings == 1 or problem.smooth is not False or not problem.constraints:
            return False
        if not problem.compiled:  # a Python function may know C alone
            return False
        affordable = left is None or left // count >= 2 * STEPS + CROSSING_STEPS
        return affordable and can_contract(problem.set)

    def _follow(self, run: Run, augmented: Augmented, x: Rows, live: np.ndarray, ways: int) -> None:
        """Follow every path to its end, so many of each start."""
        problem, kinked = run.problem, run.problem.smooth is False
        count, whose, first = len(x), augmented.whose, x.copy()
        worst = np.full(count, np.inf)
        best_violation, best_value = np.full(count, np.inf), np.full(count, np.inf)
        since = np.zeros(count, dtype=int)
        restored, behind = np.zeros(count, dtype=int), np.zeros(count, dtype=int)
        tolerance = max(FIRST_RESIDUAL, run.tolerance)
        wanted = min(problem.feasibility_tolerance, max(run.tolerance, FINEST_VIOLATION))

        def leave(path: int, point: Vector, status: Status, detail: str = "") -> None:
            augmented.left[path] = point, status, detail
            live[path] = False

        for number in range(self.max_rounds):
            paths = np.flatnonzero(live)
            if not paths.size:
                return
            augmented.begin(paths)
            augmented.tolerance = tolerance
            inner = self._inner(problem, number, ways)
            inner._run(augmented, x[paths], paths)  # type: ignore[arg-type]
            for path in paths.tolist():
                if int(whose[path]) in run.ended:
                    live[path] = False
                    continue
                point, status, detail = augmented.ended[path]
                known = augmented.known(path, point)
                f, c = float(known.f[0]), known.c[0]
                violation = float(problem.imposed_violation(c[np.newaxis])[0])
                small = violation <= problem.feasibility_tolerance
                if status is Status.UNBOUNDED and not small:
                    # The penalty was too small to hold x, which stays where it was.
                    augmented.penalty[path] *= PENALTY_GROWTH
                    if augmented.penalty[path] <= LARGEST_PENALTY:
                        continue
                if status in (Status.NON_FINITE, Status.UNBOUNDED):
                    leave(path, point, status, detail)
                    continue
                x[path] = point
                size = augmented.update(path, c)
                if violation <= wanted and self._optimal(problem, x[path], known, run):
                    leave(path, x[path], Status.CONVERGED)
                    continue
                if max(tolerance, violation) <= POLISHED_FROM:
                    goal = min(run.tolerance, wanted)
                    polished, reached = polish(run, int(whose[path]), x[path], goal)
                    if reached:
                        leave(path, polished, Status.CONVERGED)
                        continue
                # Across kinks the end of a round says less than the best point that it saw.
                held = float(augmented.held[path])
                value = held if kinked else (f if small else np.inf)
                nearer = not small and violation < 0.9 * best_violation[path]
                lead = GAIN[kinked] * problem.range
                gained = nearer or best_value[path] - value > lead
                since[path] = 0 if gained else since[path] + 1
                best_violation[path] = min(best_violation[path], violation)
                best_value[path] = min(best_value[path], value)
                exhausted = bool(since[path] >= PATIENCE[kinked])
                stuck = not small and (
                    (kinked and exhausted) or self._stuck_infeasible(problem, x[path], known, run)
                )
                # Where a round has ended with all limits kept, no search for feasibility helps.
                trapped = best_violation[path] > problem.feasibility_tolerance
                if stuck and kinked and trapped and restored[path] < RESTORATIONS:
                    found_one = self._restore(augmented, path, [x[path], first[path]])
                    if found_one is not None:
                        x[path], worst[path], since[path] = found_one, np.inf, 0
                        restored[path] += 1
                        continue
                if stuck and np.isfinite(held):
                    leave(path, x[path], Status.STALLED)
                    continue
                if stuck:
                    detail = "Where the search ended, no smaller violation is near."
                    leave(path, x[path], Status.INFEASIBLE, detail)
                    continue
                if small and exhausted and tolerance <= run.tolerance:
                    leave(path, x[path], Status.STALLED)
                    continue
                # At best, a path gets what f is where it has still broken limits.
                others = np.flatnonzero(whose == whose[path])
                leader = int(others[np.argmin(augmented.held[others])])
                ahead = float(augmented.held[leader])
                if path != leader and np.isfinite(ahead):
                    promising = f < ahead - LEAD * problem.range
                    behind[path] = 0 if promising else behind[path] + 1
                    if behind[path] == BEHIND:
                        leave(path, x[path], Status.STALLED, "Another path of this start leads.")
                        continue
                if size > SUFFICIENT_DECREASE * worst[path]:
                    augmented.penalty[path] = min(
                        PENALTY_GROWTH * augmented.penalty[path], LARGEST_PENALTY
                    )
                worst[path] = size
            tolerance = max(run.tolerance, RESIDUAL_DECREASE * tolerance)
        for path in np.flatnonzero(live).tolist():
            leave(path, x[path], Status.STALLED, "max_rounds reached.")

    @staticmethod
    def _hopeful(run: Run, x: Rows, found: Evaluation, starts: Indices) -> np.ndarray:
        """End the starts that cannot be left; return which rows can."""
        flat = found.finite & ~found.gradient.any(axis=1) & ~found.jacobian.any(axis=(1, 2))
        for row in np.flatnonzero(~found.finite):
            detail = run.name_non_finite(x[row], found, int(row))
            run.end(int(starts[row]), x[row], Status.NON_FINITE, detail)
        for row in np.flatnonzero(flat):
            run.end(int(starts[row]), x[row], Status.ZERO_GRADIENT)
        hopeful: np.ndarray = found.finite & ~flat
        return hopeful

    def _augmented(self, run: Run, found: Evaluation, whose: Indices) -> Augmented:
        """Return the inner run, with the first penalties of Birgin and Martínez (2014), (12.1)."""
        problem = run.problem
        excess = found.c - np.clip(found.c, problem.lower, problem.upper)
        squares = np.einsum("bm,bm->b", excess, excess)
        with np.errstate(all="ignore"):
            share = FIRST_SHARE[problem.smooth is False]
            first = share * problem.range / np.maximum(1.0, 0.5 * squares)
        ways = len(whose) // len(found.f)
        augmented = Augmented(run, whose)
        augmented.penalty = np.tile(np.clip(np.nan_to_num(first, nan=1.0), *FIRST_PENALTY), ways)
        return augmented

    @staticmethod
    def _restore(augmented: Augmented, path: int, candidates: list[Vector]) -> Vector | None:
        """Seek a point that keeps all limits, by the violation alone, and go on from there.

        The search begins at each candidate in turn. A larger penalty then keeps the point from
        falling back; one more crossing follows.
        """
        run, whose = augmented.outer, np.array([path])
        stuck = augmented.known(path, candidates[0])
        distance = augmented.distance(stuck.c[0])
        penalty = PENALTY_GROWTH * augmented.penalty[path]
        augmented.multipliers[path] = 0.0
        tolerance = augmented.tolerance

        def led(x: Vector, solver: Solver, weight: float, rho: float) -> Vector:
            augmented.weight[path], augmented.penalty[path] = weight, rho
            augmented.tolerance = tolerance if weight else 0.1 * FINEST_VIOLATION
            augmented.begin([path])
            solver._run(augmented, x[np.newaxis], whose)  # type: ignore[arg-type]
            found: Vector = augmented.ended[path][0]
            return found

        restored = None
        for x in candidates:
            point = led(x, PGD(iterations=RESTORING_STEPS), 0.0, 1.0)
            point = led(point, SPG(max_iterations=SETTLING_STEPS), 0.0, 1.0)
            if run.problem.feasible(point[np.newaxis], augmented.known(path, point).c)[0]:
                # At the point that it was stuck at L has to be larger than here.
                lead = float(augmented.known(path, point).f[0] - stuck.f[0])
                penalty = max(penalty, 2.0 * PENALTY_GROWTH * lead / max(distance, TINY))
                penalty = min(penalty, LARGEST_PENALTY)
                restored = led(point, PGD(iterations=CROSSING_STEPS // 2), 1.0, penalty)
                break
        augmented.weight[path], augmented.penalty[path] = 1.0, penalty
        augmented.tolerance = tolerance
        return restored

    @staticmethod
    def _optimal(problem: Problem, x: Vector, found: Evaluation, run: Run) -> bool:
        """Whether the library's own measures call the point optimal."""
        kkt = residuals(problem, x, found)
        return (
            kkt.stationarity <= run.tolerance
            and kkt.complementarity <= problem.feasibility_tolerance
        )

    @staticmethod
    def _stuck_infeasible(problem: Problem, x: Vector, found: Evaluation, run: Run) -> bool:
        """Whether x is stationary for the squared violation over C."""
        excess = found.c[0] - np.clip(found.c[0], problem.lower, problem.upper)
        slope = excess @ found.jacobian[0]
        residual = np.max(np.abs(problem.set.project(x - slope) - x), initial=0.0)
        return bool(residual <= run.tolerance * min(1.0, float(np.max(np.abs(excess)))))
