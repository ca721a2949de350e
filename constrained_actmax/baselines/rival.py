"""What other packages share: whether they are installed, and a ball round a reference."""

from __future__ import annotations

import importlib.util
from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
from typing_extensions import override

from constrained_actmax.baselines.base import Baseline, affordable, asked, positive
from constrained_actmax.baselines.wanted import Wanted, wanted
from constrained_actmax.layout import Vector
from constrained_actmax.oracles.oracle import Oracle
from constrained_actmax.problem import Problem
from constrained_actmax.result import Status
from constrained_actmax.sets import L1Ball, L2Ball, LinfBall
from constrained_actmax.tasks.task import Task


@dataclass(frozen=True, kw_only=True)
class RivalBaseline(Baseline):
    """An entrant that another package computes, through its public calls.

    Install them all with ``pip install "constrained-actmax[rivals]"``.
    """

    #: The package's name for pip, and for import.
    distribution: ClassVar[str]
    module: ClassVar[str]

    @override
    def _refused(self, problem: Problem) -> str | None:
        if importlib.util.find_spec(self.module) is None:
            return (
                f"{self.name} needs the package {self.distribution}, which is not installed; "
                'pip install "constrained-actmax[rivals]".'
            )
        reason = wanted(self.name, problem)
        return reason if isinstance(reason, str) else self._refusal(problem, reason)

    def _refusal(self, problem: Problem, aim: Wanted) -> str | None:
        return None


class Ball(NamedTuple):
    """The one ball of a problem and its bounds, as attacks take them.

    Parameters
    ----------
    norm : str
        "1", "2" or "inf".
    radius : float
        In input units.
    center : numpy.ndarray
        The reference (n,), inside the bounds.
    lower, upper : float
        The same bounds for every entry.
    """

    norm: str
    radius: float
    center: Vector
    lower: float
    upper: float


NORMS = {L1Ball: "1", L2Ball: "2", LinfBall: "inf"}


def ball_of(who: str, problem: Problem) -> Ball | str:
    """Return the one ball round a reference and the bounds, or why there are none."""
    pairs = [
        (written.set, member)
        for written, member in zip(problem.written_sets, problem.set.members, strict=True)
    ]
    balls = [
        (written, set_)
        for written, set_ in pairs
        if isinstance(written, L1Ball | L2Ball | LinfBall) and set_.support.size == problem.size
    ]
    others = [set_ for _, set_ in pairs if all(set_ is not ball for _, ball in balls)]
    boxes = [other for other in others if other.is_box]
    if len(balls) != 1 or len(boxes) < len(others) or problem.constraints:
        return (
            f"{who} searches one L1, L2 or L∞ ball round a reference, within bounds, and this "
            "problem has other constraints; use method='auto' or 'spg'."
        )
    ((written, ball),) = balls
    lower, upper = problem.set.bounds()
    if boxes:
        lower = np.max([box.bounding_box()[0] for box in boxes], axis=0)
        upper = np.min([box.bounding_box()[1] for box in boxes], axis=0)
    low, high = float(lower.min()), float(upper.max())
    same = bool((lower == low).all() and (upper == high).all())
    if not boxes or not same or not np.isfinite([low, high]).all():
        return f"{who} needs the same finite bounds for every entry; add Box(0, 1)."
    center = ball.centre()
    if (center < low).any() or (center > high).any():
        return f"{who} needs a reference inside the bounds; move the ball's center."
    return Ball(NORMS[type(written)], written.radius, center, low, high)


@dataclass(frozen=True, kw_only=True)
class AttackBaseline(RivalBaseline):
    """A targeted attack: lower the cross-entropy of a class in a ball round a reference.

    Parameters
    ----------
    steps : int, default 100
        Gradient steps, one row each; a smaller budget cuts it.
    relative_step_size : float, default 0.1
        Length of a step over the radius.
    """

    steps: int = 100
    relative_step_size: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        positive(self.name, "relative_step_size", self.relative_step_size)

    @override
    def _refusal(self, problem: Problem, aim: Wanted) -> str | None:
        if aim.link != "softmax":
            return f"{self.name} attacks a softmax over classes, which this output is not."
        reason = ball_of(self.name, problem)
        return reason if isinstance(reason, str) else None

    @abstractmethod
    def _attack(self, network: Any, aim: Wanted, ball: Ball, shape: Any, steps: int) -> Any:
        """Return the attack's answer, shape (1, ...)."""

    @override
    def _search(self, run: Task, start: int, x0: Vector) -> tuple[Vector, Status, str]:
        problem = asked(run).asked
        aim = wanted(self.name, problem)
        ball = ball_of(self.name, problem)
        assert isinstance(aim, Wanted)  # refusal() asked
        assert isinstance(ball, Ball)
        steps = affordable(run, self.steps)
        if not steps:
            return x0, Status.BUDGET, "The budget has no evaluation left."
        oracle = problem.user_oracle
        assert isinstance(oracle, Oracle)
        shape = (1, *problem.layout.inputs[0].shape)
        adversarial = self._attack(logits_of(oracle, aim, x0.size), aim, ball, shape, steps)
        run.spent(steps, steps)
        run.iterations[start] = steps
        status = Status.BUDGET if steps < self.steps else Status.STALLED
        x = asked(run).point(np.asarray(adversarial, dtype=np.float64).reshape(-1))
        return x, status, f"{steps} of {self.steps} steps, from the reference, not from the start."


def logits_of(oracle: Oracle, aim: Wanted, n: int) -> Any:
    """Return a compiled TensorFlow function from inputs (B, ...) to the logits (B, units)."""
    import tensorflow as tf

    source = oracle.source

    @tf.function(autograph=False)  # type: ignore[untyped-decorator]
    def logits(x: Any, training: bool = False) -> Any:
        flat = tf.cast(tf.reshape(x, (-1, n)), tf.float64)
        rows = tf.reshape(source.trace(flat).logits(aim.head), (-1, aim.units))
        return tf.cast(rows, tf.float32)

    return logits
