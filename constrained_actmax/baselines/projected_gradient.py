"""Projected gradient with a constant step size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from typing_extensions import override

from constrained_actmax.baselines.base import positive
from constrained_actmax.baselines.steps import StepBaseline
from constrained_actmax.layout import Rows
from constrained_actmax.standard_form import StandardForm


@dataclass(frozen=True, kw_only=True)
class ProjectedGradient(StepBaseline):
    r"""Projected gradient with a constant step size along the normalised gradient [1]_.

    .. math:: x \leftarrow P_C(x - \eta\, g / \|g\|_2)

    The projection is this library's, exact. It returns the best point that it evaluated. Each step
    is one evaluation.

    With a constant step size it comes within about that distance of a maximum and no nearer;
    nothing tells when to stop. It ignores constraints on outputs.

    Parameters
    ----------
    steps : int, optional
        By default what the budget allows, or 300 without one.
    step_size : float, default 0.3
        Euclidean length of a step before the projection, in input units.

    References
    ----------
    .. [1] Madry, Makelov, Schmidt, Tsipras, Vladu (2018), Towards deep learning models resistant to
       adversarial attacks, ICLR.
    """

    name: ClassVar[str] = "projected-gradient"
    limits: ClassVar[str] = "ignores constraints on outputs; no stopping rule; a step size to tune"
    returns_best: ClassVar[bool] = True

    step_size: float = 0.3

    def __post_init__(self) -> None:
        super().__post_init__()
        positive(self.name, "step_size", self.step_size)

    @override
    def _moved(self, problem: StandardForm, x: Rows, g: Rows, share: float, memory: Any) -> Rows:
        size = np.maximum(np.linalg.norm(g, axis=1, keepdims=True), np.finfo(np.float64).tiny)
        moved: Rows = problem.set.project(x - self.step_size * g / size)
        return moved
