"""An objective of one's own: how undecided a classifier is."""

from __future__ import annotations

from dataclasses import dataclass

from constrained_actmax import Objective, SpecificationError
from constrained_actmax.objectives import Bounded, Score


@dataclass(frozen=True, eq=False)
class Entropy(Objective):
    r"""The entropy of the class probabilities, :math:`-\sum_k p_k \log p_k`, in nats.

    Parameters
    ----------
    head : str, optional
        Name of the output; needed where the model has several.

    Raises
    ------
    SpecificationError
        When bound to a head that does not end in a softmax.
    """

    head: str | None = None

    def _bind(self, signature) -> Score:
        head = signature.head(self.head, "Entropy")
        if head.link != "softmax":
            raise SpecificationError(f"Entropy: head {head.name!r} does not end in a softmax.")
        name = head.name

        def function(tensors, parameters):
            import tensorflow as tf

            log_p = tf.nn.log_softmax(tensors.logits(name))
            return -tf.reduce_sum(tf.exp(log_p) * log_p, axis=-1)

        return Score(("Entropy", name), function, bounded=Bounded(above=True, below=True))

    def describe(self) -> str:
        return "Entropy()" if self.head is None else f"Entropy(head={self.head!r})"
