"""Projected quasi-Newton."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from typing_extensions import override

from constrained_actmax.layout import Rows, Vector
from constrained_actmax.result import Status
from constrained_actmax.solvers.spg import (
    STEP_RANGE,
    SUFFICIENT_DECREASE,
    needs_only_a_set,
    shorter,
)
from constrained_actmax.solvers.stepwise import Patience, Sample, Steps, StepwiseSolver, rounding
from constrained_actmax.standard_form import StandardForm
from constrained_actmax.tasks.projector import Projector
from constrained_actmax.tasks.task import Task

#: A pair with s'y below this share of y'y is skipped: Schmidt et al. (2009), section 4.
SMALLEST_CURVATURE = 1e-10
MAX_BACKTRACKS = 25


class CompactModel:
    r"""The compact form of L-BFGS, :math:`B = \sigma I - W M^{-1} W^\top`.

    :math:`W = [\sigma S, Y]`, :math:`M = [[\sigma S^\top S, L], [L^\top, -D]]` after Byrd, Nocedal
    and Schnabel (1994), Theorem 2.3.
    """

    def __init__(self, n: int, memory: int) -> None:
        self.memory = memory
        self.sigma = 1.0
        self.s: Rows = np.empty((0, n))
        self.y: Rows = np.empty((0, n))
        self._middle = np.empty((0, 0))

    def update(self, s: Vector, y: Vector) -> None:
        """Take a pair, unless its curvature is not positive."""
        curvature = float(s @ y)
        if curvature <= SMALLEST_CURVATURE * float(y @ y):
            return
        self.s = np.concatenate([self.s, s[np.newaxis]])[-self.memory :]
        self.y = np.concatenate([self.y, y[np.newaxis]])[-self.memory :]
        self.sigma = float(y @ y) / curvature
        products = self.s @ self.y.T
        lower = np.tril(products, -1)
        self._middle = np.block(
            [
                [self.sigma * (self.s @ self.s.T), lower],
                [lower.T, -np.diag(np.diag(products))],
            ]
        )

    def product(self, v: Vector) -> Vector:
        """Return B v, O(n memory)."""
        if not len(self.s):
            return self.sigma * v
        inner = np.concatenate([self.sigma * (self.s @ v), self.y @ v])
        solved = np.linalg.solve(self._middle, inner)
        count = len(self.s)
        low_rank: Vector = self.sigma * (self.s.T @ solved[:count]) + self.y.T @ solved[count:]
        return self.sigma * v - low_rank


@dataclass(frozen=True, kw_only=True)
class PQN(StepwiseSolver):
    r"""Projected quasi-Newton [1]_.

    A limited-memory model :math:`q(p) = g^\top (p - x) + \tfrac12 (p - x)^\top B (p - x)` is
    minimised over C by a few spectral projected gradient steps, which ask for projections but for
    no model call; then a line search along :math:`d = p - x`. Strong where the objective is
    smooth. Every iterate lies in C.

    Parameters
    ----------
    max_iterations : int, default 1000
        Accepted steps of each start.
    gradient_tolerance : float, optional
        Stop when ``max |P_C(x - g) - x|`` is below, in units of the problem's own: the
        stationarity residual, a pure number; by default the call's `tol`.
    memory : int, default 10
        Stored pairs (s, y).
    inner_iterations : int, default 10
        Projected steps on the model.

    References
    ----------
    .. [1] Schmidt, van den Berg, Friedlander and Murphy (2009), Optimizing costly functions with
       simple constraints: a limited-memory projected quasi-Newton algorithm, AISTATS.
    """

    name: ClassVar[str] = "pqn"

    max_iterations: int = 1000
    gradient_tolerance: float | None = None
    memory: int = 10
    inner_iterations: int = 10

    @override
    def refusal(self, problem: StandardForm) -> str | None:
        return needs_only_a_set(self.name, problem)

    @override
    def _steps(self, task: Task, start: int, x: Vector, first: Sample) -> Steps:
        measure, project = task.projector(), task.projector(accurate=not task.nonsmooth)
        epsilon = task.epsilon
        tolerance = task.tolerance if self.gradient_tolerance is None else self.gradient_tolerance
        f, g = first
        model = CompactModel(x.size, self.memory)
        patience = Patience(f, epsilon)
        for iteration in range(self.max_iterations):
            residual = float(np.max(np.abs(measure(x - g) - x), initial=0.0))
            if residual <= tolerance:
                task.end(start, x, Status.CONVERGED)
                return
            if iteration == 0:
                p = project(x - g / residual)
            else:
                p = self._minimize_model(project, model, x, g)
            d = p - x
            slope = float(g @ d)
            if slope >= 0:
                task.end(start, x, Status.STALLED, "No descent direction is left.")
                return
            noise = rounding(epsilon, f)
            step, trial = 1.0, p
            for _ in range(MAX_BACKTRACKS):
                f_new, g_new = yield trial
                if f_new <= f + SUFFICIENT_DECREASE * step * slope + noise:
                    break
                step = shorter(step, slope, f_new - f)
                trial = x + step * d
            else:
                if not len(model.s):
                    task.end(start, x, Status.STALLED)
                    return
                # The memory of another piece of the network misleads here: forget it once.
                model = CompactModel(x.size, self.memory)
                continue
            model.update(trial - x, g_new - g)
            x, f, g = trial, f_new, g_new
            if not task.iterate(start, x, f):
                return
            if patience.over(f):
                task.end(start, x, Status.STALLED)
                return
        task.end(start, x, Status.BUDGET, "max_iterations reached.")

    def _minimize_model(
        self, project: Projector, model: CompactModel, x: Vector, g: Vector
    ) -> Vector:
        """Take monotone spectral projected gradient steps on q; returns the best point."""
        p, r = x, g
        a = 1.0 / max(model.sigma, STEP_RANGE[0])
        for _ in range(self.inner_iterations):
            d = project(p - a * r) - p
            curved = model.product(d)
            slope, bend = float(r @ d), float(d @ curved)
            if slope >= 0:
                break
            step = 1.0 if bend <= 0 else min(1.0, -slope / bend)
            p = p + step * d
            r = r + step * curved
            a = float(np.clip((d @ d) / bend if bend > 0 else STEP_RANGE[1], *STEP_RANGE))
        return p
