"""One unit of a hidden layer."""

from __future__ import annotations

import math
from dataclasses import dataclass

from typing_extensions import override

from constrained_actmax.objectives.base import Objective, Score
from constrained_actmax.objectives.selection import index_parameter, pick
from constrained_actmax.objectives.signature import Signature, Tensor, Tensors, flat_position


@dataclass(frozen=True, eq=False, repr=False)
class Neuron(Objective):
    """What one unit of a layer gives out.

    Parameters
    ----------
    layer : str
        Path of the layer: ``conv2``, ``outer/inner`` in nested models, ``dense#2`` for the second
        call of a shared layer.
    index : int or tuple of int
        The unit; a full tuple such as ``(y, x, channel)`` where the layer has positions.

    Raises
    ------
    SpecificationError
        When bound: if there is no such layer or unit, or the index leaves positions open (take
        `Channel` for the mean over positions).
    """

    layer: str
    index: int | tuple[int, ...]

    @override
    def _bind(self, signature: Signature) -> Score:
        activation = signature.activation(self.layer, "Neuron")
        position = flat_position(self.index, activation.shape, "Neuron", f"layer {self.layer!r}")
        path, size = self.layer, math.prod(activation.shape)

        def function(tensors: Tensors, parameters: tuple[Tensor, ...]) -> Tensor:
            import tensorflow as tf

            a = tensors.activation(path)
            return pick(tf.reshape(a, (-1, size)), parameters[0])

        return Score(
            ("Neuron", path),
            function,
            (index_parameter(position),),
            bounded=activation.bounded,
            layers=(path,),
        )

    @override
    def describe(self) -> str:
        return f"Neuron({self.layer!r}, {self.index!r})"
