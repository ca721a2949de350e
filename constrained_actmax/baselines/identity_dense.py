"""Answer 1 of the question: a trainable Dense layer behind the input."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from typing_extensions import override

from constrained_actmax.baselines.training import Plan, TrainingBaseline, constant, one_hot
from constrained_actmax.baselines.wanted import Wanted
from constrained_actmax.layout import Vector
from constrained_actmax.tasks.task import Task

#: Inputs up to which identity rows are taken where nothing else is said: n rows a step.
LARGEST_IDENTITY = 1024
#: Seed of Keras's own draw of the kernel.
KERNEL_SEED = 0


@dataclass(frozen=True, kw_only=True)
class IdentityDense(TrainingBaseline):
    r"""A trainable n x n Dense layer behind the input, answer 1 of the question [1]_.

    With the identity matrix as data, row i of the layer's output is :math:`W_i + b`: n inputs are
    trained at once toward the wanted class, and the best of them is returned. The bias begins at
    the start, the kernel as Keras draws it. A step is n rows, so a budget of less than n rows
    buys none; with one row of ones as data the input is :math:`\mathbf 1^\top W + b`, a step is
    one row, and the effective rate is n + 1 times the optimizer's.

    It cannot keep bounds or any other constraint, has no stopping rule, and trains n (n + 1)
    weights to find n numbers.

    Parameters
    ----------
    epochs : int, default 300
        Steps of the optimizer; the answer names no number.
    rate : float, default 0.001
        Adam's, Keras's default.
    data : {"auto", "identity", "ones"}
        "auto" takes identity rows up to 1024 inputs where the budget pays for ten steps of them,
        else the row of ones.

    References
    ----------
    .. [1] https://stackoverflow.com/questions/52678215
    """

    name: ClassVar[str] = "identity-dense"
    limits: ClassVar[str] = "keeps no constraint; no stopping rule; n evaluations a step, or one"

    data: Literal["auto", "identity", "ones"] = "auto"

    @override
    def _plan(self, run: Task, aim: Wanted, x0: Vector) -> Plan:
        import keras

        n = x0.size
        rows = self.data
        if rows == "auto":
            poor = run.remaining is not None and run.remaining < 10 * n
            rows = "ones" if poor or n > LARGEST_IDENTITY else "identity"
        unit_rows = rows == "ones"
        data = np.ones((1, n)) if unit_rows else np.eye(n)
        kernel = (
            constant(np.zeros((n, n)))
            if unit_rows
            else keras.initializers.GlorotUniform(seed=KERNEL_SEED)
        )
        front = keras.layers.Dense(n, kernel_initializer=kernel, bias_initializer=constant(x0))

        def images() -> np.ndarray:
            w, b = (np.asarray(weight.value, dtype=np.float64) for weight in front.weights)
            return np.asarray((w.sum(axis=0, keepdims=True) if unit_rows else w) + b)

        target, loss, selected = one_hot(aim, len(data))
        return Plan(front, data.astype(np.float32), target, loss, images, selected)
