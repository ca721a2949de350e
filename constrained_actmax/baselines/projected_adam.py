"""Adam with a projection after each step, everybody's second try."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from typing_extensions import override

from constrained_actmax.baselines.base import positive
from constrained_actmax.baselines.steps import StepBaseline
from constrained_actmax.layout import Rows
from constrained_actmax.standard_form import StandardForm

# Kingma and Ba (2015), Algorithm 1.
FIRST_MOMENT = 0.9
SECOND_MOMENT = 0.999
GUARD = 1e-8


@dataclass(frozen=True, kw_only=True)
class ProjectedAdam(StepBaseline):
    r"""Adam on the input, projected on C after each step [1]_.

    .. math:: x \leftarrow P_C\bigl(x - \eta_t\, \hat m_t / (\sqrt{\hat v_t} + 10^{-8})\bigr)

    The projection is this library's, exact, so every iterate is in C. It returns the best point
    that it evaluated. Each step is one row.

    Adam's scaling by entries is not the metric of the projection: with a constraint that couples
    entries the fixed points need not be optimal, and nothing tells when to stop. It ignores
    constraints on outputs.

    Parameters
    ----------
    steps : int, optional
        By default what the budget allows, or 300 without one.
    rate : float, default 0.1
        Largest change of an entry in a step, about, in input units.
    decay : {"constant", "cosine"}
        Whether the rate falls to zero over the steps.

    References
    ----------
    .. [1] Kingma, Ba (2015), Adam: a method for stochastic optimization, ICLR.
    """

    name: ClassVar[str] = "projected-adam"
    limits: ClassVar[str] = "ignores constraints on outputs; no stopping rule; a rate to tune"
    returns_best: ClassVar[bool] = True

    rate: float = 0.1
    decay: Literal["constant", "cosine"] = "constant"

    def __post_init__(self) -> None:
        super().__post_init__()
        positive(self.name, "rate", self.rate)

    @override
    def _moved(self, problem: StandardForm, x: Rows, g: Rows, share: float, memory: Any) -> Rows:
        t = memory["t"] = memory.get("t", 0) + 1
        m = memory["m"] = FIRST_MOMENT * memory.get("m", 0.0) + (1 - FIRST_MOMENT) * g
        v = memory["v"] = SECOND_MOMENT * memory.get("v", 0.0) + (1 - SECOND_MOMENT) * g**2
        first, second = m / (1 - FIRST_MOMENT**t), v / (1 - SECOND_MOMENT**t)
        rate = self.rate
        if self.decay == "cosine":
            rate *= 0.5 * (1.0 + np.cos(np.pi * share))
        moved: Rows = problem.set.project(x - rate * first / (np.sqrt(second) + GUARD))
        return moved
