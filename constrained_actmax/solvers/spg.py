"""Spectral projected gradient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from typing_extensions import override

from constrained_actmax.layout import Indices, Rows, Vector
from constrained_actmax.result import Status
from constrained_actmax.solvers.base import Solver, end_hopeless, needs_gradients
from constrained_actmax.standard_form import StandardForm
from constrained_actmax.tasks.task import Task

# Constants of Birgin, Martínez and Raydan (2000), section 2 and 4.
SUFFICIENT_DECREASE = 1e-4
SAFEGUARD = (0.1, 0.9)
STEP_RANGE = (1e-30, 1e30)
#: Slack of the line search against rounding of the model, in units of epsilon max(1, |f|).
ROUNDING_SLACK = 10.0
#: A step a g is never longer than this many diameters of the set. On piecewise-linear networks
#: s'y <= 0 is routine and the paper's a_max lands on a vertex: of 1e3, 1, 0.3 and 0.1 this one
#: gave the best values on Box and L1Ball(60).
LONGEST_STEP = 1.0
#: The same where the objective is smooth: its curvature says when a step is too long. Of 1, 3, 10
#: and 1e3 this one took the fewest evaluations to a residual of 1e-5.
LONGEST_SMOOTH_STEP = 1e3
#: Default memory M: the paper's, and what did best of 10, 25 and 50 on networks with kinks.
SMOOTH_MEMORY, KINKED_MEMORY = 10, 50
#: Reductions of one step after which the row is stuck.
MAX_BACKTRACKS = 25
#: Iterations without a gain beyond rounding after which the row is stuck.
PATIENCE = 30


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
        problem = task.problem
        tolerance = task.tolerance if self.gradient_tolerance is None else self.gradient_tolerance
        count, n = x0.shape
        x = x0.copy()
        found = task.evaluate(x, starts)
        f, g = found.f.copy(), found.gradient.copy()
        live = end_hopeless(task, x, found, starts)
        best_f, best_x, since = f.copy(), x.copy(), np.zeros(count, dtype=int)
        memory = self.memory or (KINKED_MEMORY if problem.smooth is False else SMOOTH_MEMORY)
        recent = np.full((count, memory), -np.inf)
        recent[:, 0] = f
        residual = np.max(
            np.abs(task.project(x - np.where(live[:, None], g, 0.0), starts, "residual") - x),
            axis=1,
        )
        for row in np.flatnonzero(live & (residual <= tolerance)).tolist():
            task.end(int(starts[row]), x[row], Status.CONVERGED)
        live &= residual > tolerance
        a = 1.0 / np.maximum(residual, STEP_RANGE[0])
        if problem.smooth is not False and np.isfinite(problem.set.diameter):
            # As far as the set goes: on a small set a smooth function is nearly linear.
            a = np.full(count, STEP_RANGE[1])
        target, d, slope = x.copy(), np.zeros_like(x), np.zeros(count)
        step, tries = np.ones(count), np.zeros(count, dtype=int)
        fresh = live.copy()
        epsilon = problem.epsilon
        while live.any():
            # New directions for the rows that accepted a step.
            rows = np.flatnonzero(fresh & live)
            if rows.size:
                # a slice copies nothing
                at: slice | Indices = slice(None) if rows.size == count else rows
                x_, g_, a_ = x[at], g[at], a[at]
                a_ = a[at] = self._capped(a_, g_, x_, problem)
                back = a_[:, None] * g_
                ahead = task.project(np.subtract(x_, back, out=back), starts[at])
                d_ = ahead - x_
                slope_ = slope[at] = np.einsum("bn,bn->b", g_, d_)
                if rows.size == count:
                    target, d = ahead, d_
                else:
                    target[rows], d[rows] = ahead, d_
                step[at], tries[at] = 1.0, 0
                # |P(x - g) - x|_2 >= |d|_2 / max(1, a): the residual is asked for only where
                # this bound leaves it in doubt.
                length = np.sqrt(np.einsum("bn,bn->b", d_, d_)) / np.maximum(1.0, a_)
                near = rows[length <= tolerance * np.sqrt(n)]
                if near.size:
                    back = task.project(x[near] - g[near], starts[near], "residual")
                    residual = np.max(np.abs(back - x[near]), axis=1)
                    for row in near[residual <= tolerance].tolist():
                        task.end(int(starts[row]), x[row], Status.CONVERGED)
                        live[row] = False
                for row in rows[live[at] & (slope_ >= 0)].tolist():
                    task.end(
                        int(starts[row]),
                        best_x[row],
                        Status.STALLED,
                        "No descent direction is left.",
                    )
                    live[row] = False
                fresh[at] = False
            rows = np.flatnonzero(live)
            if not rows.size:
                break
            at = slice(None) if rows.size == count else rows
            trial, step_ = target[at], step[at]
            shortened = np.flatnonzero(step_ != 1.0)
            if shortened.size:
                trial = trial.copy()
                which = rows[shortened]
                trial[shortened] = x[which] + step[which, None] * d[which]
            found = task.evaluate(trial, starts[at])
            reference = recent[at].max(axis=1)
            slack = ROUNDING_SLACK * epsilon * np.maximum(1.0, np.abs(reference))
            enough = reference + SUFFICIENT_DECREASE * step_ * slope[at] + slack
            accepted = found.finite & (found.f <= enough)
            values = found.f.tolist()
            for place in np.flatnonzero(accepted).tolist():
                row, value = int(rows[place]), values[place]
                start = int(starts[row])
                s, y = trial[place] - x[row], found.gradient[place] - g[row]
                curvature = float(s @ y)
                a[row] = STEP_RANGE[1] if curvature <= 0 else float(s @ s) / curvature
                x[row], f[row], g[row] = trial[place], value, found.gradient[place]
                recent[row, (int(task.iterations[start]) + 1) % memory] = value
                since[row] += 1
                lead = float(best_f[row]) - value
                if lead > 0:
                    if lead > epsilon * max(1.0, abs(best_f[row])):
                        since[row] = 0
                    best_f[row], best_x[row] = value, x[row]
                fresh[row] = True
                if not task.iterate(start, x[row], value, found.violation_of(place)):
                    live[row] = False
                elif since[row] > PATIENCE:
                    task.end(start, best_x[row], Status.STALLED)
                    live[row] = False
                elif task.iterations[start] >= self.max_iterations:
                    task.end(start, best_x[row], Status.BUDGET, "max_iterations reached.")
                    live[row] = False
            for place in np.flatnonzero(~accepted).tolist():
                row = int(rows[place])
                step[row] = self._shorter(
                    float(step[row]), float(slope[row]), values[place] - float(f[row])
                )
                tries[row] += 1
                if tries[row] > MAX_BACKTRACKS:
                    if found.finite[place]:
                        task.end(int(starts[row]), best_x[row], Status.STALLED)
                    else:
                        detail = task.name_non_finite(trial[place], found, place)
                        task.end(int(starts[row]), best_x[row], Status.NON_FINITE, detail)
                    live[row] = False

    @staticmethod
    def _capped(a: Vector, g: Rows, x: Rows, problem: StandardForm) -> Vector:
        length = np.maximum(np.sqrt(np.add.reduce(g * g, axis=1)), STEP_RANGE[0])
        diameter = problem.set.diameter
        reach = diameter if np.isfinite(diameter) else np.maximum(1.0, np.linalg.norm(x, axis=1))
        longest = LONGEST_STEP if problem.smooth is False else LONGEST_SMOOTH_STEP
        capped: Vector = np.minimum(a, longest * reach / length)
        np.maximum(capped, STEP_RANGE[0], out=capped)
        return np.minimum(capped, STEP_RANGE[1], out=capped)

    @staticmethod
    def _shorter(step: float, slope: float, rise: float) -> float:
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
