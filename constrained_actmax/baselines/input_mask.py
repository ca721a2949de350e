"""Answer 5 of the question: a locally connected 1x1 layer behind an input of ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from typing_extensions import override

from constrained_actmax.baselines.training import Plan, TrainingBaseline, constant, one_hot
from constrained_actmax.baselines.wanted import Wanted
from constrained_actmax.layout import Vector
from constrained_actmax.tasks.task import Task


@dataclass(frozen=True, kw_only=True)
class InputMask(TrainingBaseline):
    """One weight an entry, multiplied with an input of ones, answer 5 of the question [1]_.

    Keras 3 has no LocallyConnected2D; with a 1x1 kernel and no bias it is this elementwise weight.
    It is trained by RMSprop on the categorical cross-entropy toward the class. The weight begins
    at the start. The answer's data are 60,000 equal images of ones for 100 epochs; a batch of
    equal rows has the gradient of one, so a step here is one row, and the answer's own run is
    187,500 steps of Keras's 32 rows.

    It cannot keep bounds or any other constraint and has no stopping rule.

    Parameters
    ----------
    epochs : int, default 300
        Steps of the optimizer; a smaller budget cuts it.
    rate : float, default 0.001
        RMSprop's, Keras's default and the answer's.

    References
    ----------
    .. [1] https://stackoverflow.com/questions/52678215
    """

    name: ClassVar[str] = "input-mask"
    limits: ClassVar[str] = "keeps no constraint; no stopping rule"
    optimizer: ClassVar[str] = "RMSprop"

    @override
    def _plan(self, run: Task, aim: Wanted, x0: Vector) -> Plan:
        import keras

        class Mask(keras.layers.Layer):  # type: ignore[misc]
            """Multiplies each entry with a weight of its own."""

            def build(self, input_shape: Any) -> None:
                self.kernel = self.add_weight(
                    name="kernel", shape=(x0.size,), initializer=constant(x0)
                )

            def call(self, inputs: Any) -> Any:
                return inputs * self.kernel

        front = Mask()
        target, loss, selected = one_hot(aim, 1)
        return Plan(
            front,
            np.ones((1, x0.size), dtype=np.float32),
            target,
            loss,
            lambda: np.asarray(front.kernel.value, dtype=np.float64)[np.newaxis],
            selected,
        )
