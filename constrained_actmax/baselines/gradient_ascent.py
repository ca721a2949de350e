"""Answer 2 of the question: gradient ascent on the input."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from typing_extensions import override

from constrained_actmax.baselines.base import positive
from constrained_actmax.baselines.steps import StepBaseline
from constrained_actmax.layout import Rows
from constrained_actmax.standard_form import StandardForm

#: The answer's own guard against a division by zero.
GUARD = 1e-5


@dataclass(frozen=True, kw_only=True)
class GradientAscent(StepBaseline):
    r"""Gradient ascent with a normalised gradient, answer 2 of the question [1]_.

    .. math:: x \leftarrow x + \eta\, g / (\|g\|_2 + 10^{-5})

    where g is the gradient of the problem's objective (with ``sense="minimize"``, of its
    negative). It returns the last point. Each step is one row.

    It cannot keep bounds or any other constraint: the point goes where the gradient leads and is
    only cut for display. Nothing stops it but the number of steps, and steps of a constant length
    do not converge.

    Parameters
    ----------
    steps : int, default 50
        As in the answer; a smaller budget cuts it.
    rate : float, default 1
        Length of a step, in input units.

    References
    ----------
    .. [1] https://stackoverflow.com/questions/52678215
    """

    name: ClassVar[str] = "gradient-ascent"
    limits: ClassVar[str] = "keeps no constraint; no stopping rule; a constant step, last point"

    steps: int | None = 50
    rate: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        positive(self.name, "rate", self.rate)

    @override
    def _moved(self, problem: StandardForm, x: Rows, g: Rows, share: float, memory: Any) -> Rows:
        length = np.linalg.norm(g, axis=1, keepdims=True)
        return np.asarray(x - self.rate * g / (length + GUARD))
