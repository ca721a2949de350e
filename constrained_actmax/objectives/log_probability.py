"""The logarithm of the probability of a class."""

from __future__ import annotations

from dataclasses import dataclass

from typing_extensions import override

from constrained_actmax.objectives.bounded import Bounded
from constrained_actmax.objectives.classification import ClassObjective, class_logit
from constrained_actmax.objectives.selection import pick
from constrained_actmax.objectives.signature import Head, Link, Tensor


@dataclass(frozen=True, eq=False, repr=False)
class LogProbability(ClassObjective):
    r"""The log-probability of a class, :math:`z_k - \log\sum_j e^{z_j}` or :math:`\log\sigma(z_k)`.

    Parameters
    ----------
    target : int, str or tuple
        Class k: a number, a label, or ``(y, x, k)`` for outputs with positions.
    head : str, optional
        Name of the output; needed where the model has several.
    reduce : {"mean"}, optional
        For outputs with positions: the mean over all of them.
    link : {"softmax", "sigmoid"}, optional
        Needed on a head that ends in plain numbers.

    Raises
    ------
    SpecificationError
        When bound to a head that ends in plain numbers without `link`.
    """

    @override
    def _formula(
        self, z: Tensor, target: Tensor, rest: tuple[Tensor, ...], link: Link | None, binary: bool
    ) -> Tensor:
        return log_probability(z, target, link, binary)

    @override
    def _bounds(self, head: Head, link: Link | None, target: int) -> Bounded:
        return Bounded(above=True, below=True if head.logits.above and head.logits.below else None)

    bounded = Bounded(above=True)
    needs_link = True


def log_probability(z: Tensor, target: Tensor, link: Link | None, binary: bool) -> Tensor:
    """Return the log-probability (B, ...) of a class from logits (B, ..., C)."""
    import tensorflow as tf

    if link == "sigmoid":
        return tf.math.log_sigmoid(class_logit(z, target, binary))
    return pick(z, target) - tf.reduce_logsumexp(z, axis=-1)
