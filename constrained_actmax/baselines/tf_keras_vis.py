"""tf-keras-vis: activation maximization with penalties."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from typing_extensions import override

from constrained_actmax.baselines.base import affordable, asked, positive
from constrained_actmax.baselines.rival import RivalBaseline
from constrained_actmax.baselines.wanted import Wanted, wanted
from constrained_actmax.errors import SpecificationError
from constrained_actmax.layout import Vector
from constrained_actmax.oracles.network import KerasNetwork
from constrained_actmax.oracles.oracle import Oracle
from constrained_actmax.problem import Problem
from constrained_actmax.result import Status
from constrained_actmax.tasks.task import Task

#: The range that tf-keras-vis's own rate is meant for.
RANGE = 255.0


@dataclass(frozen=True, kw_only=True)
class TfKerasVis(RivalBaseline):
    """ActivationMaximization of tf-keras-vis, on a clone of the model [1]_.

    RMSprop on the logit, minus penalties on total variation and on the norm, with random shifts
    and turns of the image; the last point, clipped to the bounds, is returned. Each step is
    counted as one row.

    It knows bounds and penalties, no other constraint; the value of the clipped point is never
    computed, and there is no stopping rule. Its shifts and turns draw from TensorFlow's and
    NumPy's global generators, so that no seed of ours repeats it. It takes the gradient eagerly,
    which ends the process on some networks (TensorFlow 2.21 on a CPU, a 1x1 convolution with
    stride 2).

    Parameters
    ----------
    steps : int, default 200
        As in tf-keras-vis; a smaller budget cuts it.
    rate : float, default 1
        Of RMSprop, on a range of 0 to 255; scaled to the problem's bounds.
    penalties : float, default 1
        Times tf-keras-vis's own weights, 1 for total variation and 0.3 for the L1 norm.
    modifiers : bool, default True
        Whether images are shifted by up to 4 pixels and turned by up to 1 degree.

    References
    ----------
    .. [1] https://keisen.github.io/tf-keras-vis-docs/
    """

    name: ClassVar[str] = "tf-keras-vis"
    limits: ClassVar[str] = "bounds and penalties alone; last point; cannot be seeded"
    distribution: ClassVar[str] = "tf-keras-vis"
    module: ClassVar[str] = "tf_keras_vis"

    steps: int = 200
    rate: float = 1.0
    penalties: float = 1.0
    modifiers: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        positive(self.name, "rate", self.rate)
        if not self.penalties >= 0:
            raise SpecificationError(f"{self.name}: penalties must be >= 0, got {self.penalties}.")

    @override
    def _refusal(self, problem: Problem, aim: Wanted) -> str | None:
        oracle = problem.user_oracle
        assert isinstance(oracle, Oracle)
        network = oracle.source.network
        if not isinstance(network, KerasNetwork) or oracle.source.preprocess is not None:
            return f"{self.name} needs a Keras model without preprocess=; use method='auto'."
        if not getattr(network.model, "inputs", None):
            return f"{self.name} clones functional and Sequential models, not subclassed ones."
        if len(network.model.outputs) > 1 or aim.link == "sigmoid":
            return f"{self.name} is entered for models of one softmax or plain output."
        if oracle.source.network.dtypes != ("float32",):
            return f"{self.name} needs a model in float32; leave precision= out."
        return None

    @override
    def _search(self, run: Task, start: int, x0: Vector) -> tuple[Vector, Status, str]:
        import keras
        from tf_keras_vis.activation_maximization import ActivationMaximization
        from tf_keras_vis.activation_maximization.input_modifiers import Jitter, Rotate2D
        from tf_keras_vis.activation_maximization.regularizers import Norm, TotalVariation2D
        from tf_keras_vis.utils.model_modifiers import ReplaceToLinear
        from tf_keras_vis.utils.scores import CategoricalScore

        problem, x0 = asked(run).asked, run.problem.original(x0)
        aim = wanted(self.name, problem)
        oracle = problem.user_oracle
        assert isinstance(aim, Wanted)
        assert isinstance(oracle, Oracle)
        network = oracle.source.network
        assert isinstance(network, KerasNetwork)
        steps = affordable(run, self.steps)
        if not steps:
            return x0, Status.BUDGET, "The budget has no evaluation left."
        shape = problem.layout.inputs[0].shape
        image = len(shape) == 3 and min(shape[:2]) > 1
        lower, upper = problem.set.bounds()
        low, high = float(lower.min()), float(upper.max())
        bounded = bool(np.isfinite([low, high]).all())
        visual = ActivationMaximization(
            keras.Model(network.model.inputs, network.model.outputs),  # it knows no Sequential
            model_modifier=ReplaceToLinear(),
            clone=True,
        )
        modifiers: list[Any] = [Jitter(jitter=4), Rotate2D(degree=1)]
        images = visual(
            CategoricalScore(aim.index),
            seed_input=x0.reshape(1, *shape).astype(np.float32),
            input_range=(low, high) if bounded else None,
            input_modifiers=modifiers if self.modifiers and image else [],
            regularizers=[
                *([TotalVariation2D(weight=1.0 * self.penalties)] if image else []),
                Norm(weight=0.3 * self.penalties, p=1),
            ],
            steps=steps,
            optimizer=keras.optimizers.RMSprop(
                self.rate * ((high - low) if bounded else 1.0) / RANGE, rho=0.999
            ),
        )
        run.spent(steps, steps)
        run.iterations[start] = steps
        status = Status.BUDGET if steps < self.steps else Status.STALLED
        x = asked(run).point(np.asarray(images, dtype=np.float64).reshape(-1))
        return x, status, f"{steps} of {self.steps} steps."
