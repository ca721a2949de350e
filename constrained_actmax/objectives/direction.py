"""How far a layer's activation goes along a direction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from typing_extensions import override

from constrained_actmax.errors import SpecificationError
from constrained_actmax.layout import aligned, conform
from constrained_actmax.objectives.base import Objective, Score
from constrained_actmax.objectives.bounded import BOTH, Bounded
from constrained_actmax.objectives.norm import GUARD, guarded_root
from constrained_actmax.objectives.signature import Signature, Tensor, Tensors
from constrained_actmax.quoting import quoted


@dataclass(frozen=True, eq=False, repr=False)
class Direction(Objective):
    r"""The inner product of a layer's activation with a vector, :math:`\langle a, v \rangle`.

    A vector with one entry for each channel is taken at every position, and the mean over positions
    is the score; one of the activation's full shape is taken once.

    Parameters
    ----------
    layer : str
        Path of the layer, as in `Neuron`.
    vector : array_like
        v: shape (channels,) or the shape of the activation. Not all zero.
    cosine : bool, default False
        The cosine of the angle, :math:`\langle a, v \rangle / (\|a\| \|v\|)`, and 0 where a = 0.

    Raises
    ------
    SpecificationError
        When bound: if there is no such layer, or the vector's shape does not fit.

    References
    ----------
    .. [1] Olah, Mordvintsev and Schubert (2017), Feature Visualization, Distill.
    """

    layer: str
    vector: Any
    cosine: bool = False

    def __post_init__(self) -> None:
        array = np.asarray(aligned(self.vector, None, "Direction: vector", "a layer's output"))
        if array.dtype.kind not in "fiu" or not np.isfinite(array).all() or not array.any():
            raise SpecificationError(
                "Direction: vector must hold finite numbers that are not all zero."
            )
        if not isinstance(self.cosine, bool):
            raise SpecificationError(
                f"Direction: cosine must be True or False, got {quoted(self.cosine)}."
            )

    @override
    def _bind(self, signature: Signature) -> Score:
        activation = signature.activation(self.layer, "Direction")
        shape = activation.shape or (1,)
        channels = shape[activation.channel_axis]
        vector = np.asarray(self.vector, dtype=np.float64)
        everywhere = vector.shape == (channels,) and vector.shape != shape
        if not everywhere:
            if vector.ndim < len(shape):
                raise SpecificationError(
                    f"Direction: layer {self.layer!r} has shape {shape}; vector must have that "
                    f"shape or ({channels},), got {vector.shape}."
                )
            vector = conform(vector, shape, "Direction: vector")
        first = activation.channel_axis == 0
        path, cosine = self.layer, self.cosine

        def function(tensors: Tensors, parameters: tuple[Tensor, ...]) -> Tensor:
            import tensorflow as tf

            a = tensors.activation(path)
            batch = tf.shape(a)[0]
            if not everywhere:
                a = tf.reshape(a, (batch, 1, -1))
            elif first:
                a = tf.transpose(tf.reshape(a, (batch, channels, -1)), (0, 2, 1))
            else:
                a = tf.reshape(a, (batch, -1, channels))
            v = parameters[0][:, None, :]
            along = tf.reduce_sum(a * v, axis=2)
            if cosine:
                length = guarded_root(tf.reduce_sum(a * a, axis=2))
                with tf.name_scope(GUARD):
                    inside = length > 0
                    along = along / tf.where(inside, length, tf.ones_like(length))
                    along = tf.where(inside, along, tf.zeros_like(along))
                along = along / tf.sqrt(tf.reduce_sum(v * v, axis=2))
            return tf.reduce_mean(along, axis=1)

        return Score(
            ("Direction", path, everywhere, cosine),
            function,
            (vector.reshape(1, -1),),
            bounded=BOTH if cosine or activation.bounded == BOTH else Bounded(),
            layers=(path,),
        )

    @property
    @override
    def bounded(self) -> Bounded:
        return BOTH if self.cosine else Bounded()

    @override
    def describe(self) -> str:
        return f"Direction({self.layer!r}, vector{', cosine=True' if self.cosine else ''})"
