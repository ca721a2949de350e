"""Accelerated projected gradient with restart and a safeguard for nonconvex objectives."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from typing_extensions import override

from constrained_actmax.layout import Vector
from constrained_actmax.result import Status
from constrained_actmax.solvers.spg import needs_only_a_set
from constrained_actmax.solvers.stepwise import Patience, Sample, Steps, StepwiseSolver, rounding
from constrained_actmax.standard_form import StandardForm
from constrained_actmax.tasks.projector import Projector
from constrained_actmax.tasks.task import Task

#: Growth of the Lipschitz estimate L when the quadratic bound fails, and its decay a step.
GROWTH, DECAY = 2.0, 0.9  # Scheinberg, Goldfarb and Bai (2014)
#: delta of the safeguard and eta, the memory of its reference value: Li and Lin (2015).
SAFEGUARD_DECREASE, REFERENCE_MEMORY = 1e-4, 0.8
LARGEST_L = 1e30


@dataclass(frozen=True, kw_only=True)
class FISTA(StepwiseSolver):
    r"""Accelerated projected gradient (FISTA) [1]_ with restart [2]_ and nonconvex safeguard [3]_.

    .. math:: z = P_C(y - \nabla f(y) / L), \qquad
              y = x + \tfrac{t_{k-1} - 1}{t_k} (x - x_{k-1})

    L is found by backtracking on the quadratic bound. Momentum restarts where it points uphill.
    Where z does not decrease f enough, a plain projected gradient step from x is taken instead, so
    limit points are stationary without convexity. The extrapolated y may lie outside C, never
    outside the bounds that C states; every iterate x lies in C.

    Parameters
    ----------
    max_iterations : int, default 1000
        Accepted steps of each start.
    gradient_tolerance : float, optional
        Stop when ``max |P_C(x - g) - x|`` is below, in units of the problem's own: the
        stationarity residual, a pure number; by default the call's `tol`.

    References
    ----------
    .. [1] Beck and Teboulle (2009), A fast iterative shrinkage-thresholding algorithm for linear
       inverse problems, SIAM J. Imaging Sci. 2, 183-202.
    .. [2] O'Donoghue and Candès (2015), Adaptive restart for accelerated gradient schemes, Found.
       Comput. Math. 15, 715-732.
    .. [3] Li and Lin (2015), Accelerated proximal gradient methods for nonconvex programming, NIPS.
    """

    name: ClassVar[str] = "fista"
    stays_inside: ClassVar[bool] = False

    max_iterations: int = 1000
    gradient_tolerance: float | None = None

    @override
    def refusal(self, problem: StandardForm) -> str | None:
        return needs_only_a_set(self.name, problem)

    @override
    def _steps(self, task: Task, start: int, x: Vector, first: Sample) -> Steps:
        measure, project = task.projector(), task.projector(accurate=not task.nonsmooth)
        lower, upper = task.problem.set.bounds()
        epsilon = task.epsilon
        tolerance = task.tolerance if self.gradient_tolerance is None else self.gradient_tolerance
        f, g = first
        y, f_y, g_y = x, f, g
        x_before, t_before, t = x, 0.0, 1.0
        reference, weight = f, 1.0
        lipschitz = max(float(np.max(np.abs(measure(x - g) - x), initial=0.0)), 1e-12)
        patience = Patience(f, epsilon)
        for _ in range(self.max_iterations):
            if np.max(np.abs(measure(x - g) - x), initial=0.0) <= tolerance:
                task.end(start, x, Status.CONVERGED)
                return
            noise = rounding(epsilon, f)
            lipschitz *= DECAY
            # z from the extrapolated point, with L large enough for the quadratic bound.
            z, step_evaluation, lipschitz = yield from backtracked(
                project, y, f_y, g_y, lipschitz, noise
            )
            if step_evaluation is None:
                break
            (f_z, g_z), step = step_evaluation, z - y
            restart = float((y - z) @ (z - x)) > 0
            if f_z > reference - SAFEGUARD_DECREASE * (step @ step):
                v, step_evaluation, lipschitz = yield from backtracked(
                    project, x, f, g, lipschitz, noise
                )
                if step_evaluation is None:
                    break
                restart = True
                if step_evaluation.f < f_z:
                    z, (f_z, g_z) = v, step_evaluation
            x_before, x, f, g = x, z, f_z, g_z
            if not task.iterate(start, x, f):
                return
            new_weight = REFERENCE_MEMORY * weight + 1.0
            reference = (REFERENCE_MEMORY * weight * reference + f) / new_weight
            weight = new_weight
            if patience.over(f):
                break
            t_before, t = (0.0, 1.0) if restart else (t, 0.5 * (1 + np.sqrt(1 + 4 * t * t)))
            momentum = max(0.0, (t_before - 1.0) / t)
            if momentum == 0.0:
                y, f_y, g_y = x, f, g
            else:
                y = np.clip(x + momentum * (x - x_before), lower, upper)
                f_y, g_y = yield y
        else:
            task.end(start, x, Status.BUDGET, "max_iterations reached.")
        task.end(start, x, Status.STALLED)


def backtracked(
    project: Projector, y: Vector, f: float, g: Vector, lipschitz: float, noise: float
) -> Generator[Vector, Sample, tuple[Vector, Sample | None, float]]:
    """Enlarge L until the quadratic bound holds at z = P_C(y - g / L).

    Returns
    -------
    z, found, lipschitz : numpy.ndarray (n,), Sample or None, float
        The point, what was found there, None where L has grown too large, and L.
    """
    while lipschitz <= LARGEST_L:
        z = project(y - g / lipschitz)
        step, value = z - y, (yield z)
        if value.f <= f + g @ step + 0.5 * lipschitz * (step @ step) + noise:
            return z, value, lipschitz
        lipschitz *= GROWTH
    return y, None, lipschitz
