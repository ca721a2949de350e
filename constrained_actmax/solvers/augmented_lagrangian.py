"""Augmented Lagrangian with the convex set kept exact."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np
from typing_extensions import override

from constrained_actmax.errors import SpecificationError
from constrained_actmax.evaluation import Evaluation
from constrained_actmax.layout import Indices, Rows, Vector
from constrained_actmax.optimality import residuals
from constrained_actmax.result import Status
from constrained_actmax.solvers.base import Solver, end_stuck, needs_gradients
from constrained_actmax.solvers.l_bfgs_b import LBFGSB
from constrained_actmax.solvers.least_violation import default_evaluations, not_found, search
from constrained_actmax.solvers.nearly_active import activate
from constrained_actmax.solvers.newton_refinement import polish
from constrained_actmax.solvers.pgd import PGD
from constrained_actmax.solvers.pqn import PQN
from constrained_actmax.solvers.restoration import (
    CROSSING_STEPS,
    RESTORATIONS,
    SETTLING_STEPS,
    holding,
    restore,
)
from constrained_actmax.solvers.shrinking_set import STEPS, can_contract, contracted
from constrained_actmax.solvers.spg import SPG
from constrained_actmax.standard_form import StandardForm
from constrained_actmax.tasks.l1_split import in_split_variables
from constrained_actmax.tasks.penalised import (
    LARGEST_PENALTY,
    PENALTY_GROWTH,
    Penalised,
    PenalisedForm,
)
from constrained_actmax.tasks.reserved import Reserved, UntilBetter
from constrained_actmax.tasks.scaled import FINEST_VIOLATION
from constrained_actmax.tasks.task import Stopped, Task

# Constants of Andreani, Birgin, Martínez and Schuverdt (2008) and of their code ALGENCAN.
SUFFICIENT_DECREASE = 0.5
FIRST_PENALTY = (1e-8, 1e8)
#: First penalty over the range of the objective, where nothing is violated: on nonsmooth networks,
#: and else. Of 10 to 1e5 these reach the most of docs/benchmarks/output_limits and published.
FIRST_SHARE = {True: 1e3, False: 100.0}
#: First residual asked of the inner solver, and its decrease a round.
FIRST_RESIDUAL, RESIDUAL_DECREASE = 1e-2, 0.1
#: Residual of the inner solver, and violation, from which Newton's method may finish.
POLISHED_FROM = 1e-3
#: Steps of the default inner solver in one round.
INNER_STEPS = 100
#: Rounds without a gain in feasibility or value after which a path is stuck at a kink, and the
#: gain that counts, over the objective's range; nonsmooth, and smooth. A violation has to fall to
#: this share of the least one.
PATIENCE = {True: 2, False: 4}
GAIN = {True: 1e-4, False: 1e-7}
NEARER = 0.9
#: What a path has to promise beyond the best of its start's paths, over the objective's range, and
#: after how many rounds without it is left.
LEAD, BEHIND = 1e-3, 2
#: Shares of a budget: that the search for a feasible point may take; that the rounds from the
#: starts take before those from its point, unless they come to a better one; and that the first
#: start keeps where there are fewer than ENOUGH evaluations for each on networks with kinks.
SEARCH_SHARE, TRIAL_SHARE, FIRST_START = 0.75, 0.75, 0.5
ENOUGH = 2 * STEPS + CROSSING_STEPS
#: Share of a start's evaluations that the first round on networks with kinks takes at most.
CROSSING_SHARE = 0.25
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


class End(NamedTuple):
    """Where and how a path ended."""

    x: Vector
    status: Status
    detail: str = ""


@dataclass
class Path:
    """One way of a start through the rounds.

    Parameters
    ----------
    number, start : int
        Which path, and the start that it works for.
    x : numpy.ndarray, shape (n,)
        x_k.
    """

    number: int
    start: int
    x: Vector

    def __post_init__(self) -> None:
        self.first = self.x
        self.going = True
        self.end: End | None = None
        #: The size of V_{k-1}; the least violation and the lowest feasible value at any x_k.
        self.worst = self.violation = self.value = float("inf")
        #: Where the last round ended, if that breaks a constraint.
        self.violating: Evaluation | None = None
        #: Rounds in a row without a gain, and with another path of the start ahead; restorations.
        self.idle = self.behind = self.restored = 0

    def idle_after(self, violation: float, value: float, gain: float, feasible: bool) -> int:
        """Take notice of a round's end; return for how many rounds there has been no gain."""
        nearer = not feasible and violation < NEARER * self.violation
        self.idle = 0 if nearer or self.value - value > gain else self.idle + 1
        self.violation = min(self.violation, violation)
        self.value = min(self.value, value)
        return self.idle

    def resume(self, x: Vector) -> None:
        """Go on from a point where all constraints are satisfied."""
        self.x, self.worst, self.idle = x, np.inf, 0
        self.restored += 1

    def finish(self, end: End | None) -> None:
        """End here, if there is an end."""
        self.going, self.end = end is None, end


@dataclass(frozen=True, kw_only=True)
class AugmentedLagrangian(Solver):
    r"""Augmented Lagrangian for :math:`l \le c(x) \le u`, with C kept exact by projection.

    Algorithm 3.1 of [1]_, with C for the lower-level constraints and bounds on both sides of c.
    From :math:`\lambda_1 = 0`, :math:`\varepsilon_1 = 0.01` and rho_1 by (12.1) of [2]_, for
    k = 1, 2, ...:

    1. Subproblem: minimise :math:`f(x) + \tfrac{\rho_k}{2} \|w - P_{[l,u]}(w)\|^2`,
       :math:`w = c(x) + \lambda_k / \rho_k`, over C by a projected method, to the stationarity
       residual :math:`\varepsilon_k`; x_k is where it ends.
    2. Multipliers: :math:`\lambda_{k+1} = \rho_k (w - P_{[l,u]}(w))`, kept within 1e20.
    3. Stop where x_k is optimal by its own residuals, or where rounds bring no gain any more.
    4. Penalty: with :math:`V_k = c(x_k) - P_{[l,u]}(w)`, zero where x_k is feasible and
       complementary, :math:`\rho_{k+1} = \rho_k` if
       :math:`\|V_k\|_\infty \le \tfrac12 \|V_{k-1}\|_\infty`, else 10 rho_k.
    5. :math:`\varepsilon_{k+1} = \max(\mathrm{tol}, \varepsilon_k / 10)`.

    A limit point is stationary for the squared violation over C; a feasible one is a KKT point
    under a constraint qualification (Theorems 4.1 and 4.2). Memory is linear in n.

    On networks with kinks each start is followed twice, side by side: from itself, and from where
    steps over a dilated set that contracts to C lead it (`shrinking_set`); the better end counts. A
    path that ends at a local minimum of the violation is led away from it (`restoration`). The best
    point is led to the bounds that it nearly reaches (`nearly_active`). A small smooth problem,
    with bounds and linear rows for C, is finished by Newton's method on its active constraints
    (`newton_refinement`).

    A search for a feasible point (``least_violation.search``) runs before the rounds if there is a
    budget, and otherwise after them if no start is feasible; the rounds continue from its point
    where they reach none as good, with a first penalty at which it is better than where they ended.
    Without a feasible point, the search goes on; the problem is called infeasible when the budget
    or the evaluations that stand for it are spent, and the least violating point is returned. If a
    budget has fewer than 400 evaluations for each of several starts on a nonsmooth network, the
    first start keeps half of it and, once there is a feasible point, the others follow in turn, the
    least violating first.

    Parameters
    ----------
    inner : Solver, optional
        Minimises over C: spg, pgd, pqn, fista, or L-BFGS-B where C is a box. By default, on
        networks with kinks, pgd in the first round, which crosses them, and then spg; on smooth
        ones L-BFGS-B under bounds alone, else pqn.
    max_rounds : int, default 50
        Updates of the multipliers.
    paths_per_start : {2, 1}
        With 1, every start is followed from itself alone. So it is on smooth problems, with
        functions that TensorFlow does not compute, where C is nothing but bounds, and where the
        budget has fewer than about 400 evaluations for a start. With 2, the model is evaluated
        outside C too, always within the bounds that C states; answers lie in C.

    References
    ----------
    .. [1] Andreani, Birgin, Martínez and Schuverdt (2008), On augmented Lagrangian methods with
       general lower-level constraints, SIAM J. Optim. 18, 1286-1309.
    .. [2] Birgin and Martínez (2014), Practical Augmented Lagrangian Methods for Constrained
       Optimization, SIAM.
    """

    name: ClassVar[str] = "augmented-lagrangian"
    stays_inside: ClassVar[bool] = False

    inner: Solver | None = None
    max_rounds: int = 50
    paths_per_start: int = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.paths_per_start not in (1, 2):
            raise SpecificationError(
                "augmented-lagrangian: paths_per_start must be 1 or 2, got "
                f"{self.paths_per_start!r}."
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
        problem = problem.l1_split or problem
        inner = self._inner(problem, 0, CROSSING_STEPS)
        reason = inner.refusal(PenalisedForm(problem))
        return None if reason is None else f"augmented-lagrangian's inner method: {reason}"

    def _inner(self, problem: StandardForm, number: int, crossing: int) -> Solver:
        """Return what minimises over C in a round; the first crosses kinks by so many steps."""
        if self.inner is not None:
            return self.inner
        if problem.smooth is False:
            if number == 0:
                return PGD(iterations=crossing)
            return SPG(max_iterations=SETTLING_STEPS)
        if problem.set.only_box:
            return LBFGSB(maxiter=INNER_STEPS)
        return PQN(max_iterations=INNER_STEPS)

    @override
    def _run(self, task: Task, x0: Rows, starts: Indices) -> None:
        self.run_keeping(task, x0, starts, 0)

    def run_keeping(self, task: Task, x0: Rows, starts: Indices, kept: int) -> None:
        """Leave evaluations for what goes on from feasible points; without one, spend them too.

        Parameters
        ----------
        task, x0, starts
            See `Solver._run`.
        kept : int
            How many of a budget of evaluations.
        """
        unsplit = task, x0
        task, x0 = in_split_variables(task, x0)
        whole = task.remaining
        violating: dict[int, Evaluation] = {}
        if whole is None:
            self._follow(task, x0, starts, violating)
            lost = [
                start not in task.ended or task.ended[start].status in SEARCHED for start in starts
            ]
            if not any(lost) or task.found(starts):
                return
            evaluations = default_evaluations(task.size, len(starts))
            if search(task, x0[lost], starts[lost], evaluations):
                self._go_on(task, starts, violating)
            self._end_rest(*unsplit, starts, evaluations)
            return
        # A feasible point first: what starts do in vain cannot take it away.
        search(task, x0, starts, max(len(x0), int(SEARCH_SHARE * whole)))
        self._follow_in_turn(Reserved(task, kept), x0, starts, violating)
        if not task.found(starts) and search(task, x0, starts, task.remaining or 0, again=True):
            # Starts that died, or ended early, have drawn again.
            self._go_on(Reserved(task, kept), starts, violating)
        self._end_rest(*unsplit, starts, whole)

    def _follow_in_turn(
        self, task: Task, x0: Rows, starts: Indices, violating: dict[int, Evaluation]
    ) -> None:
        """Follow the starts with shares of what a search has left, and the point that it found."""
        known = {start: task.best(start) for start in starts.tolist()}
        warm = any(
            best is not None and np.array_equal(best.x, x)
            for best, x in zip(known.values(), x0, strict=True)
        )
        feasible_known = not warm and any(best is not None for best in known.values())
        for index, rows in enumerate(self._groups(task, x0, starts)):
            left = task.remaining or 0
            if left == 0 or task.out_of_time:
                break
            kept = 0
            if len(rows) < len(x0):
                kept = int(FIRST_START * left) if index == 0 else max(0, left - ENOUGH)
            trial = max(kept, left - int(TRIAL_SHARE * left)) if feasible_known else kept
            trying = UntilBetter(task, kept, trial, known)
            self._follow_within(trying, x0[rows], starts[rows], violating)
            if index == 0 and feasible_known and not UntilBetter(task, 0, 0, known).better:
                self._go_on(task, starts, violating)

    @staticmethod
    def _groups(task: Task, x0: Rows, starts: Indices) -> Iterator[Indices]:
        """Yield the rows that run side by side, one group after the other.

        Without a feasible point after the first start other draws are worth more than the rest.
        """
        left, count = task.remaining, len(x0)
        if not task.nonsmooth or count == 1 or left is None or left >= ENOUGH * count:
            yield np.arange(count)
            return
        yield np.array([0])
        if task.found(starts) and (task.remaining or 0) > count:
            evaluation = task.evaluate(x0, starts)
            worst = task.problem.violation(x0, evaluation.c)
            others = 1 + np.lexsort((evaluation.f[1:], worst[1:]))
            yield from others[:, np.newaxis]

    def _follow_within(
        self, task: Task, x0: Rows, starts: Indices, violating: dict[int, Evaluation]
    ) -> None:
        """Follow some starts with a part of the budget."""
        task.carry(len(x0))  # a search asked for batches of its own
        try:
            self._follow(task, x0, starts, violating)
        except Stopped as reason:
            if reason.ends_all or task.out_of_time:
                raise

    def _go_on(self, task: Task, starts: Indices, violating: dict[int, Evaluation]) -> None:
        """Follow the feasible points of a search."""
        for start in starts.tolist():
            best = task.best(start)
            if best is not None and task.remaining != 0:
                task.ended.pop(start, None)
                self._follow_within(task, best.x[np.newaxis], np.array([start]), violating)

    @staticmethod
    def _end_rest(task: Task, x0: Rows, starts: Indices, evaluations: int) -> None:
        """Say how the starts ended that no round did, and what was spent without a point."""
        nothing = not task.found(starts)
        for start, x in zip(starts.tolist(), x0, strict=True):
            before = task.ended.get(start)
            if nothing and (before is None or before.status in SEARCHED):
                task.ended.pop(start, None)
                x = x if before is None else before.x
                task.end(start, x, Status.INFEASIBLE, not_found(task, evaluations))
            task.end(start, task.best_or(start, x), Status.BUDGET)

    def _follow(
        self, task: Task, x0: Rows, starts: Indices, violating: dict[int, Evaluation]
    ) -> None:
        """Follow some starts to their ends, each along one path or two.

        From a feasible point of a start that ended `violating` before, the first penalty holds x
        against that end. Where starts end violating is written there.
        """
        evaluation = task.evaluate(x0, starts)
        hopeful = end_stuck(task, x0, evaluation, starts, of_c=True)
        ways = 2 if self._begins_twice(task, len(x0)) else 1
        if ways > 1:
            task.carry(ways * len(x0))
        augmented = Penalised(task, np.tile(starts, ways))
        penalty = self._first_penalty(task.problem, evaluation)
        for row, start in enumerate(starts.tolist()):
            if start in violating:
                held = holding(augmented, evaluation.row(row), violating.pop(start))
                penalty[row] = max(penalty[row], held)
        augmented.penalty = np.tile(penalty, ways)
        x, going = np.tile(x0, (ways, 1)), np.flatnonzero(np.tile(hopeful, ways))
        second = going[going >= len(x0)]
        if second.size:
            x[second] = contracted(augmented, x[second], second)
        paths = [
            Path(number, int(augmented.row_starts[number]), x[number]) for number in going.tolist()
        ]
        try:
            self._rounds(augmented, paths, ways)
        finally:
            # A start ends as its better path did, also where a limit stops the others.
            for path in sorted(paths, key=lambda path: -path.violation):
                if path.violating is not None:
                    violating[path.start] = path.violating
            unfinished = {path.start for path in paths if path.going}
            for path in sorted(paths, key=lambda path: float(augmented.held[path.number])):
                if path.end is not None and path.start not in unfinished:
                    task.end(path.start, *path.end)
        if task.nonsmooth:
            for start in starts.tolist():
                activate(task, start)

    def _begins_twice(self, task: Task, count: int) -> bool:
        """Whether each start is followed from itself and from where a contracting set leads it."""
        problem, left = task.problem, task.remaining
        if self.paths_per_start == 1 or problem.smooth is not False or not problem.constraints:
            return False
        if not problem.compiled:  # a Python function may know C alone
            return False
        return (left is None or left // count >= ENOUGH) and can_contract(problem.set)

    @staticmethod
    def _first_penalty(problem: StandardForm, evaluation: Evaluation) -> Vector:
        """Return the first penalty of each row, after Birgin and Martínez (2014), (12.1)."""
        violation = evaluation.c - np.clip(evaluation.c, problem.lower, problem.upper)
        squares = np.einsum("bm,bm->b", violation, violation)
        with np.errstate(all="ignore"):
            share = FIRST_SHARE[problem.smooth is False]
            first = share * problem.range / np.maximum(1.0, 0.5 * squares)
        penalty: Vector = np.clip(np.nan_to_num(first, nan=1.0), *FIRST_PENALTY)
        return penalty

    # -- the algorithm ---------------------------------------------------------------------------

    def _rounds(self, augmented: Penalised, paths: list[Path], ways: int) -> None:
        """Take the steps of the class's docstring, all paths side by side."""
        task = augmented.inner
        augmented.tolerance = max(FIRST_RESIDUAL, task.tolerance)
        crossing, left = CROSSING_STEPS, task.remaining
        if left is not None:
            share = CROSSING_SHARE * left / len({path.start for path in paths} or {0})
            crossing = max(ways, min(crossing, int(share)))
        for number in range(self.max_rounds):
            going = [path for path in paths if path.going]
            if not going:
                return
            rows = np.array([path.number for path in going])
            augmented.restart(rows)
            inner = self._inner(task.problem, number, crossing // ways)
            inner._run(augmented, np.stack([path.x for path in going]), rows)  # step 1
            for path in going:
                if path.start in task.ended:  # it has diverged
                    path.going = False
                else:
                    path.finish(self._finish_round(augmented, path, paths))
            augmented.tolerance = max(task.tolerance, RESIDUAL_DECREASE * augmented.tolerance)
        for path in paths:
            if path.going:
                path.finish(End(path.x, Status.STALLED, "max_rounds reached."))

    def _finish_round(self, augmented: Penalised, path: Path, paths: list[Path]) -> End | None:
        """Take steps 2 to 4 for one path; return how it ends, None where it goes on."""
        task, problem = augmented.inner, augmented.inner.problem
        end = End(*augmented.round_end(path.number, path.x))
        evaluation = augmented.known(path.number, end.x)
        violation = float(problem.imposed_violation(evaluation.c)[0])
        feasible = violation <= problem.feasibility_tolerance
        path.violating = None if feasible else evaluation
        if end.status is Status.UNBOUNDED and not feasible:
            # The penalty was too small to hold x, which stays where it was.
            augmented.penalty[path.number] *= PENALTY_GROWTH
            if augmented.penalty[path.number] <= LARGEST_PENALTY:
                return None
        if end.status in (Status.NON_FINITE, Status.UNBOUNDED):
            return end
        path.x = end.x
        size = augmented.update(path.number, evaluation.c[0])  # step 2
        optimal = self._optimal(augmented, path, evaluation, violation)  # step 3
        if optimal is not None:
            return optimal
        # Across kinks the end of a round says less than the best point that it saw.
        held = float(augmented.held[path.number])
        value = held if task.nonsmooth else (float(evaluation.f[0]) if feasible else np.inf)
        gain = GAIN[task.nonsmooth] * problem.range
        exhausted = path.idle_after(violation, value, gain, feasible) >= PATIENCE[task.nonsmooth]
        stuck = not feasible and (
            (task.nonsmooth and exhausted) or self._stuck_infeasible(task, path.x, evaluation)
        )
        # Where a round has ended with all constraints satisfied, no such search helps.
        trapped = task.nonsmooth and path.violation > problem.feasibility_tolerance
        if stuck and trapped and path.restored < RESTORATIONS:
            restored = restore(augmented, path.number, [path.x, path.first])
            if restored is not None:
                path.resume(restored)
                return None
        if stuck and not np.isfinite(held):
            return End(path.x, Status.INFEASIBLE, NOT_FALLING if task.nonsmooth else STATIONARY)
        if stuck or (feasible and exhausted and augmented.tolerance <= task.tolerance):
            return End(path.x, Status.STALLED)
        if self._is_behind(augmented, path, paths, float(evaluation.f[0])):
            return End(path.x, Status.STALLED, "Another path of this start leads.")
        if size > SUFFICIENT_DECREASE * path.worst:  # step 4
            grown = PENALTY_GROWTH * augmented.penalty[path.number]
            augmented.penalty[path.number] = min(grown, LARGEST_PENALTY)
        path.worst = size
        return None

    @staticmethod
    def _optimal(
        augmented: Penalised, path: Path, evaluation: Evaluation, violation: float
    ) -> End | None:
        """Return the end at a point that the library's own measures call optimal."""
        task, problem = augmented.inner, augmented.inner.problem
        wanted = min(problem.feasibility_tolerance, max(task.tolerance, FINEST_VIOLATION))
        if violation <= wanted:
            kkt = residuals(problem, path.x, evaluation)
            complementary = kkt.complementarity <= problem.feasibility_tolerance
            if kkt.stationarity <= task.tolerance and complementary:
                return End(path.x, Status.CONVERGED)
        if max(augmented.tolerance, violation) <= POLISHED_FROM:
            goal = min(task.tolerance, wanted)
            polished, reached = polish(task, path.start, path.x, goal)
            if reached:
                return End(polished, Status.CONVERGED)
        return None

    @staticmethod
    def _stuck_infeasible(task: Task, x: Vector, evaluation: Evaluation) -> bool:
        """Whether x is stationary for the squared violation over C."""
        violation = evaluation.c[0] - np.clip(evaluation.c[0], task.lower, task.upper)
        slope = violation @ evaluation.jacobian[0]
        residual = np.max(np.abs(task.set.project(x - slope) - x), initial=0.0)
        return bool(residual <= task.tolerance * min(1.0, float(np.max(np.abs(violation)))))

    @staticmethod
    def _is_behind(augmented: Penalised, path: Path, paths: list[Path], f: float) -> bool:
        """Whether another path of the start has been ahead for some rounds.

        At best, a path gets what f is where it still violates constraints.
        """
        rivals = [other for other in paths if other.start == path.start]
        leader = min(rivals, key=lambda other: float(augmented.held[other.number]))
        ahead = float(augmented.held[leader.number])
        if leader is path or not np.isfinite(ahead):
            return False
        promising = f < ahead - LEAD * augmented.inner.problem.range
        path.behind = 0 if promising else path.behind + 1
        return path.behind == BEHIND
