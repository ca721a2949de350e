"""Augmented Lagrangian with the convex set kept exact."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from typing_extensions import override

from constrained_actmax.errors import SpecificationError
from constrained_actmax.layout import Indices, Rows, Vector
from constrained_actmax.optimality import measure
from constrained_actmax.problem import Evaluation, Problem
from constrained_actmax.result import Status
from constrained_actmax.run import Run
from constrained_actmax.solvers.base import Solver, needs_gradients
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
LARGEST_PENALTY = 1e12
TINY = 1e-30
#: Relative violation that it aims at where `tol` is as small; `feasibility_tolerance` is enough
#: to count as feasible.
FINEST_VIOLATION = 1e-9
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
#: relative gain that counts; with kinks, and without.
PATIENCE = {True: 3, False: 4}
GAIN = {True: 1e-5, False: 1e-7}
#: Steps of pgd on the violation alone where the rounds end at its local minimum, and how often.
RESTORING_STEPS, RESTORATIONS = 100, 2


class Subproblem:
    """The problem that the inner solver sees: minimise the augmented Lagrangian over C."""

    constraints = 0

    def __init__(self, problem: Problem) -> None:
        self.set = problem.set
        self.oracle = problem.oracle
        self.layout = problem.layout
        self.smooth = problem.smooth
        self.sign = problem.sign
        self.size = problem.size
        self.sense = problem.sense
        self.imposed: list[Any] = []
        self.lower = self.upper = np.empty(0)
        self.feasibility_tolerance = problem.feasibility_tolerance

    def violation(self, x: Rows, c: Rows) -> Vector:
        """Return the violation of C alone."""
        worst: Vector = self.set.relative_violation(x)
        return worst


class Augmented:
    r"""The run that the inner solver sees: f and c folded into one function.

    .. math:: L(x) = f(x) + \tfrac{\rho}{2} \|w - P_{[l, u]}(w)\|^2, \qquad
              w = c(x) + \lambda / \rho

    with a multiplier and a penalty for each start.
    """

    def __init__(self, run: Run, scale: Rows) -> None:
        self.outer = run
        self.problem = Subproblem(run.problem)
        self.scale = scale  # (starts, m): 1 / max(1, |grad c_i|_inf) at each start
        self._lower, self._upper = run.problem.lower * scale, run.problem.upper * scale
        count, m = scale.shape
        self.multipliers = np.zeros((count, m))
        self.penalty = np.ones(count)
        self.weight = np.ones(count)  # of f: 0 where feasibility alone is sought
        self.notes = run.notes
        self.tolerance = run.tolerance
        self.padded_rows = run.padded_rows
        self.starts = run.starts
        self.budget = run.budget
        self.begin(range(count))

    def begin(self, starts: Sequence[int] | Indices) -> None:
        """Forget the last round of these starts."""
        self.ended: dict[int, tuple[Vector, Status, str]] = {}
        self.iterations = np.zeros(self.starts, dtype=int)
        self.best_f = np.full(self.starts, np.inf)
        self.best_x: list[Vector | None] = [None] * self.starts
        self.last: dict[int, list[tuple[Vector, Evaluation]]] = {int(s): [] for s in starts}

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
        found = self.outer.evaluate(x, starts)
        where: Any = slice(None) if self.starts == 1 else np.asarray(starts)
        scale, rho = self.scale[where], self.penalty[where, np.newaxis]
        w = found.c * scale + self.multipliers[where] / rho
        nearest = np.maximum(w, self._lower[where])
        excess = w - np.minimum(nearest, self._upper[where], out=nearest)
        value = 0.5 * rho[:, 0] * np.einsum("bm,bm->b", excess, excess)
        weights = rho * excess * scale
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
        for row, start in enumerate(np.asarray(starts).tolist()):
            kept = self.last[start]
            point = x[row].copy()
            kept.append((point, found.row(row)))
            del kept[:-REMEMBERED]
            if values[row] < self.best_f[start]:
                self.best_f[start] = values[row]
                self.best_x[start] = point
        nothing = np.empty((len(x), 0))
        return Evaluation(value, gradient, nothing, np.empty((len(x), 0, x.shape[1])), found.finite)

    def project(self, x: Rows, starts: Sequence[int] | Indices, purpose: str = "step") -> Rows:
        """Project rows on C."""
        return self.outer.project(x, starts, purpose)

    def projector(self, start: int) -> Callable[..., Vector]:
        """Return the projection of one start's points."""
        return self.outer.projector(start)

    def iterate(self, start: int, x: Vector, f: float, violation: float | None = None) -> bool:
        """Hand an accepted iterate on, with its own f and violation."""
        self.iterations[start] += 1
        found = self.known(start, x)
        return self.outer.iterate(start, x, float(found.f[0]), found.violation_of(0))

    def known(self, start: int, x: Vector) -> Evaluation:
        """Return f and c at a point that was just evaluated, or evaluate it."""
        for point, found in reversed(self.last[start]):
            if (point == x).all():
                return found
        self.evaluate(x[np.newaxis], [start])
        return self.last[start][-1][1]

    def update(self, start: int, c: Vector) -> float:
        """Update the multipliers of one start, lam <- rho (w - P(w)); return |V|.

        V = c - P(w), scaled, is zero where the point is feasible and complementary.
        """
        problem, scale, rho = self.outer.problem, self.scale[start], self.penalty[start]
        w = c * scale + self.multipliers[start] / rho
        nearest = np.clip(w, problem.lower * scale, problem.upper * scale)
        new = rho * (w - nearest)
        self.multipliers[start] = np.clip(new, -LARGEST_MULTIPLIER, LARGEST_MULTIPLIER)
        return float(np.max(np.abs(c * scale - nearest), initial=0.0))

    def distance(self, start: int, c: Vector) -> float:
        """Return the squared distance of c, scaled, to its limits."""
        excess = (c - np.clip(c, self.outer.problem.lower, self.outer.problem.upper)) * (
            self.scale[start]
        )
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
    halved. Memory is linear in n. A small smooth problem, with bounds and linear rows for C, is
    finished by Newton's method on its active limits. Where the violation stays and its own gradient
    vanishes on C, or on networks with kinks a search for feasibility alone fails too, the problem
    is called infeasible there and the least violating point is returned.

    Parameters
    ----------
    inner : Solver, optional
        Minimises over C: spg, pgd, pqn, fista, or L-BFGS-B where C is a box. By default, on
        networks with kinks, pgd in the first round, which crosses them, and then spg; on smooth
        ones L-BFGS-B under bounds alone, else pqn.
    max_rounds : int, default 50
        Updates of the multipliers.
    autoscale : bool, default True
        Whether each constraint is divided by max(1, its largest slope) at the start; tolerances
        stay in the user's units.

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
    autoscale: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.inner is not None and not isinstance(self.inner, Solver):
            raise SpecificationError(
                "augmented-lagrangian: inner must be a Solver such as SPG(), "
                f"got {type(self.inner).__name__}."
            )
        if isinstance(self.inner, AugmentedLagrangian):
            raise SpecificationError("augmented-lagrangian: inner must minimise over C alone.")

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

    def _inner(self, problem: Problem, number: int = 0) -> Solver:
        """Return what minimises over C in a round."""
        if self.inner is not None:
            return self.inner
        if problem.smooth is False:
            if number == 0:
                return PGD(iterations=CROSSING_STEPS)
            return SPG(max_iterations=SETTLING_STEPS)
        if problem.set.only_box:
            return LBFGSB(maxiter=INNER_STEPS)
        return PQN(max_iterations=INNER_STEPS)

    @override
    def _run(self, run: Run, x0: Rows, starts: Indices) -> None:
        problem, kinked = run.problem, run.problem.smooth is False
        x = x0.copy()
        found = run.evaluate(x, starts)
        live = self._hopeful(run, x, found, starts)
        augmented = self._augmented(run, found, starts)
        worst = np.full(len(x), np.inf)
        best_violation, best_value = np.full(len(x), np.inf), np.full(len(x), np.inf)
        since = np.zeros(len(x), dtype=int)
        restored = np.zeros(len(x), dtype=int)
        tolerance = max(FIRST_RESIDUAL, run.tolerance)
        wanted = min(problem.feasibility_tolerance, max(run.tolerance, FINEST_VIOLATION))
        for number in range(self.max_rounds):
            rows = np.flatnonzero(live)
            if not rows.size:
                return
            augmented.begin(starts[rows])
            augmented.tolerance = tolerance
            inner = self._inner(problem, number)
            inner._run(augmented, x[rows], starts[rows])  # type: ignore[arg-type]
            for row in rows.tolist():
                start = int(starts[row])
                if start in run.ended:
                    live[row] = False
                    continue
                point, status, detail = augmented.ended[start]
                known = augmented.known(start, point)
                f, c = float(known.f[0]), known.c[0]
                violation = float(problem.imposed_violation(c[np.newaxis])[0])
                small = violation <= problem.feasibility_tolerance
                if status is Status.UNBOUNDED and not small:
                    # The penalty was too small to hold x, which stays where it was.
                    augmented.penalty[start] *= PENALTY_GROWTH
                    if augmented.penalty[start] <= LARGEST_PENALTY:
                        continue
                if status in (Status.NON_FINITE, Status.UNBOUNDED):
                    run.end(start, point, status, detail)
                    live[row] = False
                    continue
                x[row] = point
                size = augmented.update(start, c)
                if violation <= wanted and self._optimal(problem, x[row], known, run):
                    run.end(start, x[row], Status.CONVERGED)
                    live[row] = False
                    continue
                if max(tolerance, violation) <= POLISHED_FROM:
                    polished, reached = polish(run, start, x[row], run.tolerance)
                    if reached:
                        run.end(start, polished, Status.CONVERGED)
                        live[row] = False
                        continue
                # Across kinks the end of a round says less than the best point that it saw.
                held = float(run.best_f[start])
                value = held if kinked else (f if small else np.inf)
                nearer = not small and violation < 0.9 * best_violation[row]
                lead = GAIN[kinked] * max(1.0, abs(value)) if np.isfinite(value) else 0.0
                gained = nearer or best_value[row] - value > lead
                since[row] = 0 if gained else since[row] + 1
                best_violation[row] = min(best_violation[row], violation)
                best_value[row] = min(best_value[row], value)
                exhausted = bool(since[row] >= PATIENCE[kinked])
                stuck = not small and (
                    (kinked and exhausted) or self._stuck_infeasible(problem, x[row], known, run)
                )
                # Where a round has ended with all limits kept, no search for feasibility helps.
                trapped = best_violation[row] > problem.feasibility_tolerance
                if stuck and kinked and trapped and restored[row] < RESTORATIONS:
                    found_one = self._restore(augmented, start, [x[row], x0[row]])
                    if found_one is not None:
                        x[row], worst[row], since[row] = found_one, np.inf, 0
                        restored[row] += 1
                        continue
                if stuck and np.isfinite(held):
                    run.end(start, x[row], Status.STALLED)
                    live[row] = False
                    continue
                if stuck:
                    run.end(
                        start,
                        x[row],
                        Status.INFEASIBLE,
                        "Where the search ended, no smaller violation is near.",
                    )
                    live[row] = False
                    continue
                if small and exhausted and tolerance <= run.tolerance:
                    run.end(start, x[row], Status.STALLED)
                    live[row] = False
                    continue
                if size > SUFFICIENT_DECREASE * worst[row]:
                    augmented.penalty[start] = min(
                        PENALTY_GROWTH * augmented.penalty[start], LARGEST_PENALTY
                    )
                worst[row] = size
            tolerance = max(run.tolerance, RESIDUAL_DECREASE * tolerance)
        for row in np.flatnonzero(live).tolist():
            run.end(int(starts[row]), x[row], Status.STALLED, "max_rounds reached.")

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

    def _augmented(self, run: Run, found: Evaluation, starts: Indices) -> Augmented:
        """Return the inner run, with the first penalties of Birgin and Martínez (2014), (12.1)."""
        problem = run.problem
        scale = np.ones((run.starts, problem.constraints))
        if self.autoscale and problem.constraints:
            steepest = np.max(np.abs(found.jacobian), axis=2)
            scale[starts] = 1.0 / np.maximum(1.0, np.where(np.isfinite(steepest), steepest, 1.0))
        augmented = Augmented(run, scale)
        excess = (found.c - np.clip(found.c, problem.lower, problem.upper)) * scale[starts]
        squares = np.einsum("bm,bm->b", excess, excess)
        with np.errstate(all="ignore"):
            first = 10.0 * np.maximum(1.0, np.abs(found.f)) / np.maximum(1.0, 0.5 * squares)
        augmented.penalty[starts] = np.clip(np.nan_to_num(first, nan=1.0), *FIRST_PENALTY)
        return augmented

    @staticmethod
    def _restore(augmented: Augmented, start: int, candidates: list[Vector]) -> Vector | None:
        """Seek a point that keeps all limits, by the violation alone, and go on from there.

        The search begins at each candidate in turn. A larger penalty then keeps the point from
        falling back; one more crossing follows.
        """
        run, whose = augmented.outer, np.array([start])
        stuck = augmented.known(start, candidates[0])
        distance = augmented.distance(start, stuck.c[0])
        penalty = PENALTY_GROWTH * augmented.penalty[start]
        augmented.multipliers[start] = 0.0

        def crossed(x: Vector, steps: int, weight: float, rho: float) -> Vector:
            augmented.weight[start], augmented.penalty[start] = weight, rho
            augmented.begin([start])
            crossing: Any = PGD(iterations=steps)
            crossing._run(augmented, x[np.newaxis], whose)
            found: Vector = augmented.ended[start][0]
            return found

        restored = None
        for x in candidates:
            point = crossed(x, RESTORING_STEPS, 0.0, 1.0)
            if run.problem.feasible(point[np.newaxis], augmented.known(start, point).c)[0]:
                # At the point that it was stuck at L has to be larger than here.
                lead = float(augmented.known(start, point).f[0] - stuck.f[0])
                penalty = max(penalty, 2.0 * PENALTY_GROWTH * lead / max(distance, TINY))
                penalty = min(penalty, LARGEST_PENALTY)
                restored = crossed(point, CROSSING_STEPS, 1.0, penalty)
                break
        augmented.weight[start], augmented.penalty[start] = 1.0, penalty
        return restored

    @staticmethod
    def _optimal(problem: Problem, x: Vector, found: Evaluation, run: Run) -> bool:
        """Whether the library's own measures call the point optimal."""
        kkt = measure(problem, x, found)
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
