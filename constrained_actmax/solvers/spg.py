"""Spectral projected gradient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from typing_extensions import override

from constrained_actmax.evaluation import Evaluation
from constrained_actmax.layout import Indices, Rows, Vector
from constrained_actmax.result import Status
from constrained_actmax.solvers.base import Solver, end_stuck, needs_gradients
from constrained_actmax.solvers.candidates import Candidates
from constrained_actmax.solvers.stepwise import PATIENCE, rounding
from constrained_actmax.standard_form import StandardForm
from constrained_actmax.tasks.task import Task

# Constants of Birgin, Martínez and Raydan (2000), section 2 and 4.
SUFFICIENT_DECREASE = 1e-4
SAFEGUARD = (0.1, 0.9)
STEP_RANGE = (1e-30, 1e30)
#: A step a g is never longer than this many diameters of the set. On piecewise-linear networks
#: s'y <= 0 is routine and the paper's a_max lands on a vertex: of 1e3, 1, 0.3 and 0.1 this one
#: gave the best values on Box and L1Ball(60).
LONGEST_STEP = 1.0
#: The same where the objective is smooth: its curvature says when a step is too long. Of 1, 3, 10
#: and 1e3 this one took the fewest evaluations to a residual of 1e-5.
LONGEST_SMOOTH_STEP = 1e3
#: Default memory M: the paper's, and what did best of 10, 25 and 50 on networks with kinks.
SMOOTH_MEMORY, NONSMOOTH_MEMORY = 10, 50
#: Reductions of one step after which the row is stuck.
MAX_BACKTRACKS = 25


@dataclass(frozen=True, kw_only=True)
class SPG(Solver):
    r"""Spectral projected gradient with a nonmonotone line search [1]_, all starts at once.

    .. math:: d = P_C(x - a g) - x, \qquad x \leftarrow x + \lambda d, \qquad
              a \leftarrow s^\top s / s^\top y

    Every iterate lies in C. Each round evaluates the trial point of every live start in one model
    call. Takes any set that can be projected on; no functional constraints.

    Parameters
    ----------
    max_iterations : int, default 1000
        Accepted steps of each start.
    gradient_tolerance : float, optional
        Stop when ``max |P_C(x - g) - x|`` is below, in units of the problem's own: the
        stationarity residual, a pure number; by default the call's `tol`.
    memory : int, optional
        M: the line search compares with the worst of the last M values. By default 10, and 50 on
        networks with kinks.

    References
    ----------
    .. [1] Birgin, Martínez and Raydan (2000), Nonmonotone spectral projected gradient methods on
       convex sets, SIAM J. Optim. 10, 1196-1211.
    """

    name: ClassVar[str] = "spg"

    max_iterations: int = 1000
    gradient_tolerance: float | None = None
    memory: int | None = None

    @override
    def refusal(self, problem: StandardForm) -> str | None:
        return needs_only_a_set(self.name, problem)

    @override
    def _run(self, task: Task, x0: Rows, starts: Indices) -> None:
        tolerance = task.tolerance if self.gradient_tolerance is None else self.gradient_tolerance
        memory = self.memory or (NONSMOOTH_MEMORY if task.nonsmooth else SMOOTH_MEMORY)
        searches = Searches(task, x0, starts, tolerance, memory)
        while searches.live.any():
            searches.turn()
            rows = np.flatnonzero(searches.live)
            if rows.size:
                searches.judge(rows, *searches.tried(rows), self.max_iterations)


class Searches(Candidates):
    """Line searches side by side, in the letters of the paper.

    Parameters
    ----------
    task : Task
        Evaluates.
    x0 : numpy.ndarray, shape (B, n)
        Where they begin.
    starts : numpy.ndarray, shape (B,)
        On whose behalf.
    tolerance : float
        Residual that counts as converged.
    memory : int
        M.
    """

    def __init__(
        self, task: Task, x0: Rows, starts: Indices, tolerance: float, memory: int
    ) -> None:
        problem, count = task.problem, len(x0)
        evaluation = task.evaluate(x0, starts)
        live = end_stuck(task, x0, evaluation, starts)
        super().__init__(task, x0, evaluation.f, evaluation.gradient, starts, live)
        self.tolerance, self.memory = tolerance, memory
        self.project = task.projector(accurate=not task.nonsmooth)
        self.since = np.zeros(count, dtype=int)
        self.recent = np.full((count, memory), -np.inf)
        self.recent[:, 0] = self.f
        residual = self._end_converged(self.number, np.where(self.live[:, None], self.g, 0.0))
        self.a = 1.0 / np.maximum(residual, STEP_RANGE[0])
        if problem.smooth is not False and np.isfinite(problem.set.diameter):
            # As far as the set goes: on a small set a smooth function is nearly linear.
            self.a = np.full(count, STEP_RANGE[1])
        self.target, self.d, self.slope = x0.copy(), np.zeros_like(x0), np.zeros(count)
        self.step, self.tries = np.ones(count), np.zeros(count, dtype=int)
        self.fresh = self.live.copy()

    def _end_converged(self, rows: Indices, g: Rows) -> Vector:
        """End the rows whose residual is small; return the residuals."""
        residual = self.residual_at(rows, self.x[rows], g)
        for row in rows[self.live[rows] & (residual <= self.tolerance)].tolist():
            self.task.end(int(self.starts[row]), self.x[row], Status.CONVERGED)
            self.live[row] = False
        return residual

    def turn(self) -> None:
        """Give new directions to the rows that accepted a step."""
        rows, count = np.flatnonzero(self.fresh & self.live), len(self.x)
        if not rows.size:
            return
        at = self.at(rows)
        x, g = self.x[at], self.g[at]
        a = self.a[at] = capped(self.a[at], g, x, self.task.problem)
        back = a[:, None] * g
        ahead = self.project(np.subtract(x, back, out=back), rows.tolist())
        d = ahead - x
        slope = self.slope[at] = np.einsum("bn,bn->b", g, d)
        if rows.size == count:
            self.target, self.d = ahead, d
        else:
            self.target[rows], self.d[rows] = ahead, d
        self.step[at], self.tries[at] = 1.0, 0
        # |P(x - g) - x|_2 >= |d|_2 / max(1, a): the residual is asked for only where this bound
        # leaves it in doubt.
        length = np.sqrt(np.einsum("bn,bn->b", d, d)) / np.maximum(1.0, a)
        near = rows[length <= self.tolerance * np.sqrt(x.shape[1])]
        if near.size:
            self._end_converged(near, self.g[near])
        for row in rows[self.live[at] & (slope >= 0)].tolist():
            self.end(row, Status.STALLED, "No descent direction is left.")
        self.fresh[at] = False

    def tried(self, rows: Indices) -> tuple[Rows, Evaluation]:
        """Return the trial points of some rows, evaluated."""
        at = self.at(rows)
        trial, step = self.target[at], self.step[at]
        shortened = np.flatnonzero(step != 1.0)
        if shortened.size:
            trial, which = trial.copy(), rows[shortened]
            trial[shortened] = self.x[which] + step[shortened, None] * self.d[which]
        return trial, self.task.evaluate(trial, self.starts[at])

    def judge(self, rows: Indices, trial: Rows, evaluation: Evaluation, most: int) -> None:
        """Accept the trial points that decrease f enough, and shorten the other steps."""
        reference = self.recent[rows].max(axis=1)
        enough = reference + SUFFICIENT_DECREASE * self.step[rows] * self.slope[rows]
        enough += rounding(self.task.epsilon, reference)
        accepted = evaluation.finite & (evaluation.f <= enough)
        for index in np.flatnonzero(accepted).tolist():
            self._accept(int(rows[index]), trial[index], evaluation, index, most)
        for index in np.flatnonzero(~accepted).tolist():
            row = int(rows[index])
            rise = float(evaluation.f[index]) - float(self.f[row])
            self.step[row] = shorter(float(self.step[row]), float(self.slope[row]), rise)
            self.tries[row] += 1
            if self.tries[row] > MAX_BACKTRACKS:
                if evaluation.finite[index]:
                    self.end(row, Status.STALLED)
                else:
                    detail = self.task.name_non_finite(trial[index], evaluation, index)
                    self.end(row, Status.NON_FINITE, detail)

    def _accept(self, row: int, x: Vector, evaluation: Evaluation, index: int, most: int) -> None:
        """Take a step, and the next spectral step size."""
        task, start, value = self.task, int(self.starts[row]), float(evaluation.f[index])
        s, y = x - self.x[row], evaluation.gradient[index] - self.g[row]
        curvature = float(s @ y)
        self.a[row] = STEP_RANGE[1] if curvature <= 0 else float(s @ s) / curvature
        self.x[row], self.f[row], self.g[row] = x, value, evaluation.gradient[index]
        self.recent[row, (int(task.iterations[start]) + 1) % self.memory] = value
        self.since[row] += 1
        lead = float(self.best_f[row]) - value
        if lead > 0:
            if lead > task.epsilon * max(1.0, abs(self.best_f[row])):
                self.since[row] = 0
            self.best_x[row], self.best_f[row], self.best_g[row] = x, value, self.g[row]
        self.fresh[row] = True
        if not task.iterate(start, self.x[row], value, evaluation.violation_of(index)):
            self.live[row] = False
        elif self.since[row] > PATIENCE:
            self.end(row, Status.STALLED)
        elif task.iterations[start] >= most:
            self.end(row, Status.BUDGET, "max_iterations reached.")


def capped(a: Vector, g: Rows, x: Rows, problem: StandardForm) -> Vector:
    """Return step sizes (B,) that go no farther along g than the set does."""
    length = np.maximum(np.sqrt(np.add.reduce(g * g, axis=1)), STEP_RANGE[0])
    diameter = problem.set.diameter
    reach = diameter if np.isfinite(diameter) else np.maximum(1.0, np.linalg.norm(x, axis=1))
    longest = LONGEST_STEP if problem.smooth is False else LONGEST_SMOOTH_STEP
    sizes: Vector = np.clip(np.minimum(a, longest * reach / length), *STEP_RANGE)
    return sizes


def shorter(step: float, slope: float, rise: float) -> float:
    """Minimise the quadratic through f, its slope and the trial value, safeguarded."""
    bend = 2.0 * (rise - step * slope)
    proposal = -(step**2) * slope / bend if np.isfinite(bend) and bend > 0 else 0.0
    low, high = SAFEGUARD
    return proposal if low * step <= proposal <= high * step else 0.5 * step


def needs_only_a_set(name: str, problem: StandardForm) -> str | None:
    """Say that a projected method cannot take functional constraints."""
    if not problem.differentiable:
        return needs_gradients(name)
    if not problem.constraints:
        return None
    first = problem.imposed[0].description
    return (
        f"{name} keeps convex sets by projection and cannot take {first}; "
        "use method='augmented-lagrangian' or 'SLSQP'."
    )
