"""Augmented Lagrangian with the convex set kept exact."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from typing_extensions import override

from constrained_actmax.errors import SpecificationError
from constrained_actmax.evaluation import Evaluation
from constrained_actmax.layout import Indices, Rows, Vector
from constrained_actmax.optimality import residuals
from constrained_actmax.result import Status
from constrained_actmax.solvers.base import Solver, needs_gradients
from constrained_actmax.solvers.contraction import STEPS, can_contract, contracted
from constrained_actmax.solvers.l_bfgs_b import LBFGSB
from constrained_actmax.solvers.least_violation import default_evaluations, not_found, search
from constrained_actmax.solvers.pgd import PGD
from constrained_actmax.solvers.polishing import polish
from constrained_actmax.solvers.pqn import PQN
from constrained_actmax.solvers.spg import SPG
from constrained_actmax.standard_form import StandardForm
from constrained_actmax.tasks.l1_split import in_split_variables
from constrained_actmax.tasks.penalised import Penalised, PenalisedForm
from constrained_actmax.tasks.reserved import UntilBetter
from constrained_actmax.tasks.scaled import FINEST_VIOLATION
from constrained_actmax.tasks.task import Stopped, Task

# Constants of Andreani, Birgin, Martínez and Schuverdt (2007) and of their code ALGENCAN.
PENALTY_GROWTH = 10.0
SUFFICIENT_DECREASE = 0.5
FIRST_PENALTY = (1e-8, 1e8)
#: First penalty over the range of the objective, where nothing is violated: on nonsmooth networks,
#: and else. Of 10 to 1e5 these reach the most of docs/benchmarks/output_limits and published.
FIRST_SHARE = {True: 1e3, False: 100.0}
LARGEST_PENALTY = 1e12
TINY = 1e-30
#: First residual asked of the inner solver, and its decrease a round.
FIRST_RESIDUAL, RESIDUAL_DECREASE = 1e-2, 0.1
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
#: Shares of a budget: that the search for a feasible point may take; that the rounds from the
#: starts take before those from its point, unless they come to a better one; and that the first
#: start keeps where there are fewer than ENOUGH evaluations for each on networks with kinks.
SEARCH_SHARE, TRIAL_SHARE, FIRST_START = 0.75, 0.75, 0.5
ENOUGH = 2 * STEPS + CROSSING_STEPS
#: How a start ends that a search for a feasible point may help.
SEARCHED = (Status.INFEASIBLE, Status.ZERO_GRADIENT)
#: How a search ends that found no feasible point, on smooth problems and on networks with kinks.
STATIONARY = (
    "The search ended where the violation is stationary over the set; other starting points, by "
    "starts= or x0=, may lead to a feasible one."
)
NOT_FALLING = (
    "The violation fell no further in the last rounds; other starting points, by starts= or x0=, "
    "may lead to a feasible one."
)


@dataclass(frozen=True, kw_only=True)
class AugmentedLagrangian(Solver):
    r"""Augmented Lagrangian for :math:`l \le c(x) \le u`, with C kept exact by projection [1]_.

    Each round minimises :math:`f + \tfrac{\rho}{2} \|w - P_{[l,u]}(w)\|^2`,
    :math:`w = c + \lambda / \rho`, over C by a projected method; then
    :math:`\lambda \leftarrow \rho (w - P_{[l,u]}(w))`, and rho grows tenfold unless the violation
    halved. Memory is linear in n. On networks with kinks each start is followed twice, side by
    side: from itself, and from where steps over a dilated set that contracts to C lead it; the
    better end counts, led against the limits that it nearly reaches. A small smooth problem, with
    bounds and linear rows for C, is finished by Newton's method on its active limits.

    A search for a feasible point (``least_violation.search``) runs before the rounds if there is a
    budget, and otherwise after them if no start is feasible; the rounds continue from its point
    where they reach none as good. Without a feasible point, the problem is called infeasible when
    the budget or the evaluations that stand for it are spent, and the least violating point is
    returned. If a budget has fewer than 400 evaluations for each of several starts on a nonsmooth
    network, the first start keeps half of it and the others follow in turn, the least violating
    first.

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

    @override
    def refusal(self, problem: StandardForm) -> str | None:
        if not problem.differentiable:
            return needs_gradients(self.name)
        if not problem.set.convex:
            return "augmented-lagrangian needs a convex set; use method='pgd'."
        problem = problem.split or problem
        inner = self._inner(problem)
        reason = inner.refusal(PenalisedForm(problem))
        return None if reason is None else f"augmented-lagrangian's inner method: {reason}"

    def _inner(self, problem: StandardForm, number: int = 0, ways: int = 1) -> Solver:
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
    def _run(self, run: Task, x0: Rows, starts: Indices) -> None:
        run, x0 = in_split_variables(run, x0)
        whole = run.remaining
        if whole is None:
            self._rounds(run, x0, starts)
            lost = [one not in run.ended or run.ended[one].status in SEARCHED for one in starts]
            if not any(lost) or any(run.best(start) is not None for start in starts.tolist()):
                return
            evaluations = default_evaluations(run.size, len(starts))
            if search(run, x0[lost], starts[lost], evaluations):
                self._go_on(run, starts)
            self._end_rest(run, x0, starts, evaluations)
            return
        # A feasible point first: what starts do in vain cannot take it away.
        search(run, x0, starts, max(len(x0), int(SEARCH_SHARE * whole)))
        known = {start: run.best(start) for start in starts.tolist()}
        given = any(
            best is not None and np.array_equal(best.x, x)
            for best, x in zip(known.values(), x0, strict=True)
        )
        found = not given and any(best is not None for best in known.values())
        for place, rows in enumerate(self._groups(run, x0, starts)):
            left = run.remaining or 0
            if left == 0 or run.out_of_time:
                break
            kept = 0
            if len(rows) < len(x0):
                kept = int(FIRST_START * left) if place == 0 else max(0, left - ENOUGH)
            trial = max(kept, left - int(TRIAL_SHARE * left)) if found else kept
            self._tried(UntilBetter(run, kept, trial, known), x0[rows], starts[rows])
            if place == 0 and found and not UntilBetter(run, 0, 0, known).better:
                self._go_on(run, starts)
        self._end_rest(run, x0, starts, whole)

    @staticmethod
    def _groups(run: Task, x0: Rows, starts: Indices) -> list[Indices]:
        """Return the rows that run side by side, one group after the other."""
        left, count = run.remaining, len(x0)
        if not run.nonsmooth or count == 1 or left is None or left >= ENOUGH * count:
            return [np.arange(count)]
        found = run.evaluate(x0, starts)
        worst = run.problem.violation(x0, found.c)
        others = 1 + np.lexsort((found.f[1:], worst[1:]))
        return [np.array([0]), *others[:, np.newaxis]]

    def _tried(self, run: Task, x0: Rows, starts: Indices) -> None:
        """Go through the rounds with a part of the budget."""
        run.carry(len(x0))  # a search asked for batches of its own
        try:
            self._rounds(run, x0, starts)
        except Stopped as reason:
            if reason.ends_all or run.out_of_time:
                raise

    def _go_on(self, run: Task, starts: Indices) -> None:
        """Go through the rounds from the feasible points of a search."""
        for start in starts.tolist():
            best = run.best(start)
            if best is not None and run.remaining != 0:
                run.ended.pop(start, None)
                self._tried(run, best.x[np.newaxis], np.array([start]))

    @staticmethod
    def _end_rest(run: Task, x0: Rows, starts: Indices, evaluations: int) -> None:
        """Say how the starts ended that no round did, and what was spent without a point."""
        nothing = all(run.best(start) is None for start in starts.tolist())
        for start, x in zip(starts.tolist(), x0, strict=True):
            before = run.ended.get(start)
            if nothing and (before is None or before.status in SEARCHED):
                run.ended.pop(start, None)
                x = x if before is None else before.x
                run.end(start, x, Status.INFEASIBLE, not_found(run, evaluations))
            run.end(start, run.best_or(start, x), Status.BUDGET)

    def _rounds(self, run: Task, x0: Rows, starts: Indices) -> None:
        """Follow some starts to their ends."""
        found = run.evaluate(x0, starts)
        hopeful = self._hopeful(run, x0, found, starts)
        ways = 2 if self._begins_twice(run, len(x0)) else 1
        whose = np.tile(starts, ways)
        if ways > 1:
            run.carry(len(whose))
        augmented = self._augmented(run, found, whose)
        x, live = np.tile(x0, (ways, 1)), np.tile(hopeful, ways)
        left: dict[int, tuple[Vector, Status, str]] = {}
        try:
            if ways > 1 and hopeful.any():
                others = len(x0) + np.flatnonzero(hopeful)
                x[others] = contracted(augmented, x[others], others)
            self._follow(run, augmented, x, live, left)
        finally:
            # A start ends as its better path did, also where a limit stops the others.
            going = set(whose[live].tolist())
            for path in np.lexsort([np.arange(len(whose)), augmented.held]).tolist():
                if path in left and int(whose[path]) not in going:
                    run.end(int(whose[path]), *left[path])
        if run.problem.smooth is False:
            for start in starts.tolist():
                self._press(run, start)

    @staticmethod
    def _press(run: Task, start: int) -> None:
        """Lead the best point against the limits that it nearly reaches, downhill over C.

        Across kinks a path ends a little before them, and then nothing shows what they cost.
        """
        problem = run.problem
        for _ in range(PRESSES):
            best = run.best(start)
            if best is None:
                return
            x = best.x
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
            run.evaluate(points, [start] * len(shares))
            after = run.best(start)
            if after is None or not after.f < best.f:
                return

    def _begins_twice(self, run: Task, count: int) -> bool:
        """Whether each start is followed from itself and from where a contracting set leads it."""
        problem, left = run.problem, run.remaining
        if self.beginnings == 1 or problem.smooth is not False or not problem.constraints:
            return False
        if not problem.compiled:  # a Python function may know C alone
            return False
        affordable = left is None or left // count >= 2 * STEPS + CROSSING_STEPS
        return affordable and can_contract(problem.set)

    def _follow(
        self,
        run: Task,
        augmented: Penalised,
        x: Rows,
        live: np.ndarray,
        left: dict[int, tuple[Vector, Status, str]],
    ) -> None:
        """Follow every path to its end, and say in `left` how it ended."""
        problem, kinked = run.problem, run.nonsmooth
        count, whose, first = len(x), augmented.whose, x.copy()
        ways = count // len(set(whose.tolist()))
        worst = np.full(count, np.inf)
        best_violation, best_value = np.full(count, np.inf), np.full(count, np.inf)
        since = np.zeros(count, dtype=int)
        restored, behind = np.zeros(count, dtype=int), np.zeros(count, dtype=int)
        tolerance = max(FIRST_RESIDUAL, run.tolerance)
        wanted = min(problem.feasibility_tolerance, max(run.tolerance, FINEST_VIOLATION))

        def leave(path: int, point: Vector, status: Status, detail: str = "") -> None:
            left[path] = point, status, detail
            live[path] = False

        for number in range(self.max_rounds):
            paths = np.flatnonzero(live)
            if not paths.size:
                return
            augmented.restart(paths)
            augmented.tolerance = tolerance
            inner = self._inner(problem, number, ways)
            inner._run(augmented, x[paths], paths)
            for path in paths.tolist():
                if int(whose[path]) in run.ended:
                    live[path] = False
                    continue
                point, status, detail = augmented.round_end(path, x[path])
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
                    leave(path, x[path], Status.INFEASIBLE, NOT_FALLING if kinked else STATIONARY)
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
    def _hopeful(run: Task, x: Rows, found: Evaluation, starts: Indices) -> np.ndarray:
        """End the starts that cannot be left; return which rows can."""
        flat = found.finite & ~found.gradient.any(axis=1) & ~found.jacobian.any(axis=(1, 2))
        for row in np.flatnonzero(~found.finite):
            detail = run.name_non_finite(x[row], found, int(row))
            run.end(int(starts[row]), x[row], Status.NON_FINITE, detail)
        for row in np.flatnonzero(flat):
            run.end(int(starts[row]), x[row], Status.ZERO_GRADIENT)
        hopeful: np.ndarray = found.finite & ~flat
        return hopeful

    def _augmented(self, run: Task, found: Evaluation, whose: Indices) -> Penalised:
        """Return the inner run, with the first penalties of Birgin and Martínez (2014), (12.1)."""
        problem = run.problem
        excess = found.c - np.clip(found.c, problem.lower, problem.upper)
        squares = np.einsum("bm,bm->b", excess, excess)
        with np.errstate(all="ignore"):
            share = FIRST_SHARE[problem.smooth is False]
            first = share * problem.range / np.maximum(1.0, 0.5 * squares)
        ways = len(whose) // len(found.f)
        augmented = Penalised(run, whose)
        augmented.penalty = np.tile(np.clip(np.nan_to_num(first, nan=1.0), *FIRST_PENALTY), ways)
        return augmented

    @staticmethod
    def _restore(augmented: Penalised, path: int, candidates: list[Vector]) -> Vector | None:
        """Seek a point that keeps all limits, by the violation alone, and go on from there.

        The search begins at each candidate in turn. A larger penalty then keeps the point from
        falling back; one more crossing follows.
        """
        run, whose = augmented.inner, np.array([path])
        stuck = augmented.known(path, candidates[0])
        distance = augmented.distance(stuck.c[0])
        penalty = PENALTY_GROWTH * augmented.penalty[path]
        augmented.multipliers[path] = 0.0
        tolerance = augmented.tolerance

        def led(x: Vector, solver: Solver, weight: float, rho: float) -> Vector:
            augmented.weight[path], augmented.penalty[path] = weight, rho
            augmented.tolerance = tolerance if weight else 0.1 * FINEST_VIOLATION
            augmented.restart([path])
            solver._run(augmented, x[np.newaxis], whose)
            return augmented.round_end(path, x)[0]

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
    def _optimal(problem: StandardForm, x: Vector, found: Evaluation, run: Task) -> bool:
        """Whether the library's own measures call the point optimal."""
        kkt = residuals(problem, x, found)
        return (
            kkt.stationarity <= run.tolerance
            and kkt.complementarity <= problem.feasibility_tolerance
        )

    @staticmethod
    def _stuck_infeasible(problem: StandardForm, x: Vector, found: Evaluation, run: Task) -> bool:
        """Whether x is stationary for the squared violation over C."""
        excess = found.c[0] - np.clip(found.c[0], problem.lower, problem.upper)
        slope = excess @ found.jacobian[0]
        residual = np.max(np.abs(problem.set.project(x - slope) - x), initial=0.0)
        return bool(residual <= run.tolerance * min(1.0, float(np.max(np.abs(excess)))))
