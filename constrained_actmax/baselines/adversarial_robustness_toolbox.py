"""The Adversarial Robustness Toolbox's projected gradient descent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from typing_extensions import override

from constrained_actmax.baselines.rival import AttackBaseline, Ball
from constrained_actmax.baselines.wanted import Wanted


@dataclass(frozen=True, kw_only=True)
class AdversarialRobustnessToolbox(AttackBaseline):
    """The Adversarial Robustness Toolbox's projected gradient descent, targeted [1]_.

    It lowers the cross-entropy of the wanted class from the ball's center, which stands for the
    start, and returns its answer. Each step is counted as one row.

    Its one question is misclassification, so a logit or a neuron is reached only by way of the
    cross-entropy, whose gradient vanishes once the class is certain. It needs one ball and the
    same bounds everywhere; by default it rescales to the L1 ball instead of projecting, and it
    clips after that.

    Parameters
    ----------
    steps : int, default 100
        Gradient steps; a smaller budget cuts it.
    relative_step_size : float, default 0.1
        Length of a step over the radius.

    References
    ----------
    .. [1] Nicolae et al. (2018), Adversarial Robustness Toolbox v1.0.0, arXiv:1807.01069.
    """

    name: ClassVar[str] = "adversarial-robustness-toolbox"
    limits: ClassVar[str] = "one ball and bounds; from the reference; cross-entropy alone"
    distribution: ClassVar[str] = "adversarial-robustness-toolbox"
    module: ClassVar[str] = "art"

    @override
    def _attack(self, network: Any, aim: Wanted, ball: Ball, shape: Any, steps: int) -> Any:
        import keras
        from art.attacks.evasion import ProjectedGradientDescent
        from art.estimators.classification import TensorFlowV2Classifier

        classifier = TensorFlowV2Classifier(
            model=network,
            nb_classes=aim.units,
            input_shape=shape[1:],
            loss_object=keras.losses.CategoricalCrossentropy(from_logits=True),
            clip_values=(ball.lower, ball.upper),
        )
        attack = ProjectedGradientDescent(
            classifier,
            norm={"1": 1, "2": 2, "inf": np.inf}[ball.norm],
            eps=ball.radius,
            eps_step=self.relative_step_size * ball.radius,
            max_iter=steps,
            targeted=True,
            num_random_init=0,
            verbose=False,
        )
        target = np.zeros((1, aim.units), dtype=np.float32)
        target[0, aim.index] = 1.0
        return attack.generate(ball.center.reshape(shape).astype(np.float32), target)
