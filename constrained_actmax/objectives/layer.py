"""A whole hidden layer: the mean square of its activation."""

from __future__ import annotations

from dataclasses import dataclass

from typing_extensions import override

from constrained_actmax.objectives.base import Objective, Score
from constrained_actmax.objectives.bounded import Bounded
from constrained_actmax.objectives.signature import Signature, Tensor, Tensors


@dataclass(frozen=True, eq=False, repr=False)
class Layer(Objective):
    r"""The mean square of all that a layer gives out, :math:`\frac{1}{m} \sum_i a_i^2`.

    The objective of DeepDream.

    Parameters
    ----------
    layer : str
        Path of the layer, as in `Neuron`.

    Raises
    ------
    SpecificationError
        When bound: if there is no such layer.

    References
    ----------
    .. [1] Mordvintsev, Olah and Tyka (2015), Inceptionism: Going deeper into neural networks.
    """

    layer: str

    @override
    def _bind(self, signature: Signature) -> Score:
        activation = signature.activation(self.layer, "Layer")
        path = self.layer

        def function(tensors: Tensors, parameters: tuple[Tensor, ...]) -> Tensor:
            import tensorflow as tf

            a = tensors.activation(path)
            return tf.reduce_mean(tf.square(tf.reshape(a, (tf.shape(a)[0], -1))), axis=1)

        both = activation.bounded.above and activation.bounded.below
        grows = activation.bounded.above is False or activation.bounded.below is False
        above = True if both else False if grows else None
        return Score(("Layer", path), function, bounded=Bounded(above, True), layers=(path,))

    bounded = Bounded(below=True)

    @override
    def describe(self) -> str:
        return f"Layer({self.layer!r})"
