"""Foolbox's projected gradient descent."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from typing_extensions import override

from constrained_actmax.baselines.rival import AttackBaseline, Ball
from constrained_actmax.baselines.wanted import Wanted

#: What EagerPy 0.30 asks NumPy for, and NumPy 2 no longer has.
GONE = "find_common_type"


@dataclass(frozen=True, kw_only=True)
class Foolbox(AttackBaseline):
    """Foolbox's L1, L2 or L∞ projected gradient descent, targeted [1]_.

    It lowers the cross-entropy of the wanted class from the ball's center, which stands for the
    start, and returns the last point. Each step is counted as one row.

    Its one question is misclassification, so a logit or a neuron is reached only by way of the
    cross-entropy, whose gradient vanishes once the class is certain. It needs one ball and the
    same bounds everywhere; it rescales to the L1 ball instead of projecting, and clips after that.

    Parameters
    ----------
    steps : int, default 100
        Gradient steps; a smaller budget cuts it.
    relative_step_size : float, default 0.1
        Length of a step over the radius (Foolbox's own default is 0.025 for L2).

    References
    ----------
    .. [1] Rauber, Brendel, Bethge (2017), Foolbox: a Python toolbox to benchmark the robustness of
       machine learning models.
    """

    name: ClassVar[str] = "foolbox"
    limits: ClassVar[str] = "one ball and bounds; from the reference; cross-entropy alone"
    distribution: ClassVar[str] = "foolbox"
    module: ClassVar[str] = "foolbox"

    @override
    def _attack(self, network: Any, aim: Wanted, ball: Ball, shape: Any, steps: int) -> Any:
        import foolbox
        import tensorflow as tf

        kinds = {
            "1": foolbox.attacks.L1ProjectedGradientDescentAttack,
            "2": foolbox.attacks.L2ProjectedGradientDescentAttack,
            "inf": foolbox.attacks.LinfProjectedGradientDescentAttack,
        }
        attack = kinds[ball.norm](
            steps=steps, rel_stepsize=self.relative_step_size, random_start=False
        )
        model = foolbox.TensorFlowModel(network, bounds=(ball.lower, ball.upper), device="/CPU:0")
        reference = tf.constant(ball.center.reshape(shape), tf.float32)
        criterion = foolbox.criteria.TargetedMisclassification(tf.constant([aim.index]))
        with _numpy_1_name():
            _, clipped, _ = attack(model, reference, criterion, epsilons=ball.radius)
        return clipped.numpy()


@contextmanager
def _numpy_1_name() -> Iterator[None]:
    """Give NumPy 2 for a while the one name that EagerPy, under Foolbox, still asks it for."""
    if hasattr(np, GONE):
        yield
        return
    setattr(np, GONE, lambda types, scalars: np.result_type(*types, *scalars))
    try:
        yield
    finally:
        delattr(np, GONE)
