"""Answers 1, 3 and 5: a Keras layer in front of the frozen model, trained by ``fit``."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
from typing_extensions import override

from constrained_actmax.baselines.base import Baseline, affordable, asked, positive
from constrained_actmax.baselines.wanted import Wanted, wanted
from constrained_actmax.layout import Vector
from constrained_actmax.problem import Problem
from constrained_actmax.result import Status
from constrained_actmax.tasks.task import Task


class Plan(NamedTuple):
    """What one ``fit`` needs.

    Parameters
    ----------
    front : keras.layers.Layer
        The layer that is trained; its output is the flat input (B, n) of the model.
    data, target : numpy.ndarray
        What `fit` is given; one batch is all of it.
    loss : str
        Keras's name.
    images : callable
        Returns the inputs (K, n) that the trained layer holds.
    selected : bool
        Whether the loss sees the wanted unit alone, (B, 1), or the whole output.
    """

    front: Any
    data: np.ndarray
    target: np.ndarray
    loss: str
    images: Any
    selected: bool


@dataclass(frozen=True, kw_only=True)
class TrainingBaseline(Baseline):
    """A layer in front of the frozen model, trained by Keras.

    The model is called inside the graph that Keras trains and is no part of the trained one, so
    that its weights, flags and compilation stay as they are. Training does not pass through the
    library's oracle: each sample of each step is counted as one row, its forward and backward pass
    together.

    Parameters
    ----------
    epochs : int
        Steps of the optimizer, since one batch holds all the data; a smaller budget cuts it.
    rate : float
        Learning rate.
    """

    epochs: int = 300
    rate: float = 1e-3
    #: Name of the optimizer in ``keras.optimizers``.
    optimizer: ClassVar[str] = "Adam"

    def __post_init__(self) -> None:
        super().__post_init__()
        positive(self.name, "rate", self.rate)

    @override
    def _refused(self, problem: Problem) -> str | None:
        reason = wanted(self.name, problem)
        return reason if isinstance(reason, str) else None

    @abstractmethod
    def _plan(self, run: Task, aim: Wanted, x0: Vector) -> Plan:
        """Return the layer, its data and the loss."""

    @override
    def _search(self, run: Task, start: int, x0: Vector) -> tuple[Vector, Status, str]:
        import keras
        import tensorflow as tf

        aim = wanted(self.name, asked(run).asked)
        assert isinstance(aim, Wanted)  # refusal() asked
        plan = self._plan(run, aim, x0)
        rows = len(plan.data)
        epochs = affordable(run, self.epochs, rows)
        if not epochs:
            return x0, Status.BUDGET, f"One step takes {rows} evaluations; the budget has fewer."
        model = _extended(plan, aim)
        model.compile(
            optimizer=getattr(keras.optimizers, self.optimizer)(self.rate),
            loss=plan.loss,
            jit_compile=False,
        )
        done = 0

        class Counting(keras.callbacks.Callback):  # type: ignore[misc]
            def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
                nonlocal done
                done += 1
                run.spent(rows, 1)
                if run.out_of_time:
                    self.model.stop_training = True

        status, detail = Status.STALLED, f"All of its {epochs} epochs are done."
        try:
            batch = tf.data.Dataset.from_tensors((plan.data, plan.target))
            model.fit(
                batch.repeat(),
                steps_per_epoch=epochs,  # one batch is an epoch: the same steps, without its cost
                verbose=0,
                callbacks=[Counting()],
            )
        except KeyboardInterrupt:
            status, detail = Status.INTERRUPTED, "Ctrl-C."
        if status is Status.STALLED and done < self.epochs:
            status, detail = Status.BUDGET, f"{done} of {self.epochs} epochs."
        run.iterations[start] = done
        images = np.asarray(plan.images(), dtype=np.float64)
        if len(images) == 1 or status is Status.INTERRUPTED:
            return images[0], status, detail
        calls = asked(run).oracle.calls
        f = asked(run).oracle.values(images)[:, 0]
        run.spent(0, asked(run).oracle.calls - calls)  # their outputs are known from training
        return images[int(np.nanargmin(f))], status, f"{detail} The best of {len(images)} rows."


def one_hot(aim: Wanted, count: int) -> tuple[np.ndarray, str, bool]:
    """Return targets, loss and whether the wanted unit alone is trained, for a class."""
    if aim.link == "softmax" and aim.units > 1:
        target = np.zeros((count, aim.units), dtype=np.float32)
        target[:, aim.index] = 1.0
        return target, "categorical_crossentropy", False
    value = 0.0 if aim.complement else 1.0
    loss = "binary_crossentropy" if aim.link == "sigmoid" else "mean_absolute_error"
    return np.full((count, 1), value, dtype=np.float32), loss, True


def _extended(plan: Plan, aim: Wanted) -> Any:
    import keras

    class Extended(keras.Model):  # type: ignore[misc]
        """The trained layer, then the frozen model, which is no layer of this one."""

        def __init__(self) -> None:
            super().__init__()
            self.front = plan.front

        def call(self, inputs: Any) -> Any:
            outputs = aim.outputs(self.front(inputs))
            return outputs[:, aim.index : aim.index + 1] if plan.selected else outputs

    return Extended()


def constant(value: Any) -> Any:
    """Return a Keras initializer that gives this array."""

    def initializer(shape: Any, dtype: Any = None) -> Any:
        import keras

        return keras.ops.convert_to_tensor(np.broadcast_to(value, shape), dtype=dtype)

    return initializer
