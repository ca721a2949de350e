"""One channel of a hidden layer: the mean over its positions."""

from __future__ import annotations

import math
from dataclasses import dataclass

from typing_extensions import override

from constrained_actmax.objectives.base import Objective, Score
from constrained_actmax.objectives.selection import index_parameter, pick
from constrained_actmax.objectives.signature import Signature, Tensor, Tensors, checked_index


@dataclass(frozen=True, eq=False, repr=False)
class Channel(Objective):
    r"""The mean of one channel over all positions, :math:`\frac{1}{|P|} \sum_{p \in P} a_{p,k}`.

    Parameters
    ----------
    layer : str
        Path of the layer, as in `Neuron`.
    index : int
        The channel k; for a layer without positions, its unit.

    Raises
    ------
    SpecificationError
        When bound: if there is no such layer or channel.
    """

    layer: str
    index: int

    @override
    def _bind(self, signature: Signature) -> Score:
        activation = signature.activation(self.layer, "Channel")
        axis = activation.channel_axis
        shape = activation.shape or (1,)
        channels = shape[axis]
        index = checked_index(
            self.index, channels, "Channel: index", f"layer {self.layer!r} has {channels} channels"
        )
        path, positions = self.layer, math.prod(shape) // channels

        def function(tensors: Tensors, parameters: tuple[Tensor, ...]) -> Tensor:
            import tensorflow as tf

            a = tensors.activation(path)
            if axis == 0:
                a = tf.reshape(a, (-1, channels, positions))
                return pick(tf.reduce_mean(a, axis=2), parameters[0])
            a = tf.reshape(a, (-1, positions, channels))
            return pick(tf.reduce_mean(a, axis=1), parameters[0])

        return Score(
            ("Channel", path),
            function,
            (index_parameter(index),),
            bounded=activation.bounded,
            layers=(path,),
        )

    @override
    def describe(self) -> str:
        return f"Channel({self.layer!r}, {self.index!r})"
