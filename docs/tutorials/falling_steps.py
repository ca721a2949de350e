"""A solver of one's own: the projected subgradient method with decreasing step sizes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

import constrained_actmax as cax
from constrained_actmax.solvers import Sample, Steps, StepwiseSolver
from constrained_actmax.standard_form import StandardForm
from constrained_actmax.tasks import Task


@dataclass(frozen=True, kw_only=True)
class FallingSteps(StepwiseSolver):
    r"""Projected subgradient steps of size :math:`a_k = a_0 / \sqrt{k + 1}` [1]_.

    .. math:: x \leftarrow P_C(x - a_k\, g / \|g\|_2)

    Parameters
    ----------
    first_step_size : float
        a_0, in the units of the model's input.
    max_iterations : int
        Steps of each start.

    References
    ----------
    .. [1] Shor (1985), Minimization Methods for Non-Differentiable Functions, Springer.
    """

    name: ClassVar[str] = "falling-steps"

    first_step_size: float = 1.0
    max_iterations: int = 1000

    def refusal(self, problem: StandardForm) -> str | None:
        if problem.constraints:
            return f"{self.name} keeps convex sets alone; use method='augmented-lagrangian'."
        return None

    def _steps(self, task: Task, start: int, x: np.ndarray, first: Sample) -> Steps:
        project = task.projector()
        g = first.gradient
        for k in range(self.max_iterations):
            if np.max(np.abs(project(x - g) - x)) <= task.tolerance:
                task.end(start, x, cax.Status.CONVERGED)
                return
            step_size = self.first_step_size / np.sqrt(k + 1)
            x = project(x - step_size * g / np.linalg.norm(g))
            f, g = yield x  # ask for an evaluation; all starts share one model call
            if not task.iterate(start, x, f):  # counted, recorded; False: the callback said stop
                return
        task.end(start, x, cax.Status.BUDGET, "max_iterations reached.")
