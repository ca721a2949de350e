"""The DeepDream tutorial's loop: ascent with clipping to the bounds after each step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from typing_extensions import override

from constrained_actmax.baselines.base import positive
from constrained_actmax.baselines.steps import StepBaseline
from constrained_actmax.layout import Rows
from constrained_actmax.standard_form import StandardForm

GUARD = 1e-8  # the tutorial's


@dataclass(frozen=True, kw_only=True)
class ClippedAscent(StepBaseline):
    r"""Ascent with the gradient over its standard deviation, clipped to the bounds each step [1]_.

    .. math:: x \leftarrow \mathrm{clip}\bigl(x + \eta\, g / (\mathrm{std}(g) + 10^{-8}), l, u\bigr)

    l and u are the problem's bounds on entries. It returns the last point. Each step is one row.

    It keeps bounds and nothing else (a budget, a ball or an output constraint is ignored), and has
    no stopping rule.

    Parameters
    ----------
    steps : int, default 100
        As in the tutorial; a smaller budget cuts it.
    rate : float, default 0.01
        Standard deviation of a step's entries, in input units.

    References
    ----------
    .. [1] TensorFlow's DeepDream tutorial, https://www.tensorflow.org/tutorials/generative/deepdream
    """

    name: ClassVar[str] = "clipped-ascent"
    limits: ClassVar[str] = "keeps bounds alone; no stopping rule; last point"

    steps: int | None = 100
    rate: float = 0.01

    def __post_init__(self) -> None:
        super().__post_init__()
        positive(self.name, "rate", self.rate)

    @override
    def _moved(self, problem: StandardForm, x: Rows, g: Rows, share: float, memory: Any) -> Rows:
        spread = np.std(g, axis=1, keepdims=True) + GUARD
        lower, upper = problem.set.bounds()
        moved: Rows = np.clip(x - self.rate * g / spread, lower, upper)
        return moved
