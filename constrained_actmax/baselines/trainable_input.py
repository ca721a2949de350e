"""Answer 3 of the question: a layer that holds the input as its weight."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from typing_extensions import override

from constrained_actmax.baselines.training import Plan, TrainingBaseline, constant
from constrained_actmax.baselines.wanted import Wanted
from constrained_actmax.layout import Vector
from constrained_actmax.tasks.task import Task


@dataclass(frozen=True, kw_only=True)
class TrainableInput(TrainingBaseline):
    """A layer whose weight is the input, trained by Adam, answer 3 of the question [1]_.

    A second layer selects the wanted output, and the loss is its mean absolute error toward 1.
    The weight begins at the start. A step is one row.

    It cannot keep bounds or any other constraint and has no stopping rule. Where the softmax is
    saturated the gradient of a probability is zero and nothing moves; where the probability is 1
    it has arrived, however large the logit could become.

    Parameters
    ----------
    epochs : int, default 300
        As in the answer; a smaller budget cuts it.
    rate : float, default 0.001
        Adam's, Keras's default and the answer's.
    target : float, default 1
        What the output is trained toward; 1 is the answer's, for a probability.

    References
    ----------
    .. [1] https://stackoverflow.com/questions/52678215
    """

    name: ClassVar[str] = "trainable-input"
    limits: ClassVar[str] = "keeps no constraint; no stopping rule; stops at probability 1"

    target: float = 1.0

    @override
    def _plan(self, run: Task, aim: Wanted, x0: Vector) -> Plan:
        import keras

        class Held(keras.layers.Layer):  # type: ignore[misc]
            """Gives its weight, whatever it is called with."""

            def build(self, input_shape: Any) -> None:
                self.kernel = self.add_weight(
                    name="kernel", shape=(1, x0.size), initializer=constant(x0)
                )

            def call(self, inputs: Any) -> Any:
                return self.kernel + 0.0 * inputs

        front = Held()
        wish = 1.0 - self.target if aim.complement else self.target
        return Plan(
            front,
            np.ones((1, 1), dtype=np.float32),
            np.full((1, 1), wish, dtype=np.float32),
            "mean_absolute_error",
            lambda: np.asarray(front.kernel.value, dtype=np.float64),
            True,
        )
