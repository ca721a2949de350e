"""The p-norm of the input, as a penalty."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from typing_extensions import override

from constrained_actmax.errors import SpecificationError
from constrained_actmax.layout import Layout, Vector
from constrained_actmax.objectives.base import Objective, Parameters, Score, short
from constrained_actmax.objectives.bounded import ONLY_BELOW
from constrained_actmax.objectives.signature import Signature, Tensor, Tensors
from constrained_actmax.objectives.squared_distance import (
    flat,
    flat_weights,
    part,
    span,
    weighted,
)
from constrained_actmax.quoting import quoted

#: Name scope of guards against 0/0: they leave a function as smooth as it is.
GUARD = "smooth_guard"


@dataclass(frozen=True, eq=False, repr=False)
class Norm(Objective):
    r"""The weighted norm :math:`\|w \circ (x - c)\|_p` of the input, in float64: a penalty.

    ``Logit(7) - 0.1 * Norm(2)``; or a distance: ``minimize(model, Norm(1, center=image),
    [Box(0, 1), Probability(4) >= 0.9])`` finds an input with a wanted verdict that changes few
    entries. That one, p = 1 under bounds and limits on outputs, is solved in split variables
    x = c + u - v with u, v >= 0, where it is linear.

    Where it has no derivative the gradient is the subgradient of least size: 0 at x = c, and 0
    along entries of x - c that are 0 for p = 1.

    Parameters
    ----------
    p : float, default 2
        At least 1; ``numpy.inf`` for the largest entry.
    on : str, optional
        Name of the input that it speaks of; by default all inputs together.
    center : array_like, or dict of array_like by input name, default 0
        c, in the shape of one input; a number stands for all entries.
    weights : array_like, or dict of array_like by input name, optional
        w > 0, what one unit of change of each entry costs, as in `L1Ball`; 1 by default. With
        weights 1 / (the usual change of each entry) the norm has no unit.

    Raises
    ------
    SpecificationError
        If p < 1, which is not a norm; when bound, if a shape does not fit or a weight is not
        positive.
    """

    p: float = 2.0
    on: str | None = None
    center: Any = 0.0
    weights: Any = None

    def __post_init__(self) -> None:
        if isinstance(self.p, bool | str) or not float(self.p) >= 1.0:
            raise SpecificationError(f"Norm: p must be >= 1, got {quoted(self.p)}.")

    @override
    def _bind(self, signature: Signature) -> Score:
        p = float(self.p)
        region = signature.layout.region(self.on, who="Norm", everywhere=True)
        center, weights = self.flat_center(signature.layout), self.flat_weights(signature.layout)
        parameters: Parameters = ()
        if weights is not None or np.any(center):
            parameters = (center[np.newaxis],)
        if weights is not None:
            parameters += (weights[np.newaxis],)

        def function(tensors: Tensors, parameters: tuple[Tensor, ...]) -> Tensor:
            change = part(tensors, region)
            if parameters:
                change = change - parameters[0]
            for weights in parameters[1:]:
                change = change * weights
            return norm(change, p)

        structure = ("Norm", p, span(region), len(parameters))
        return Score(structure, function, parameters, bounded=ONLY_BELOW)

    def flat_center(self, layout: Layout) -> Vector:
        """Return c over the entries that the norm speaks of."""
        region = layout.region(self.on, who="Norm", everywhere=True)
        return flat(self.center, self.on, layout, region, "Norm")

    def flat_weights(self, layout: Layout) -> Vector | None:
        """Return w over the entries that the norm speaks of; None where all are 1."""
        if self.weights is None:
            return None
        region = layout.region(self.on, who="Norm", everywhere=True)
        return flat_weights(self.weights, self.on, layout, region, "Norm")

    bounded = ONLY_BELOW

    @override
    def describe(self) -> str:
        number = isinstance(self.center, int | float | np.number)
        centred = f", center={short(self.center) if number else 'center'}"
        if number and self.center == 0:
            centred = ""
        on = "" if self.on is None else f", on={self.on!r}"
        return f"Norm({self.p:g}{on}{centred}{weighted(self.weights)})"


def norm(x: Tensor, p: float) -> Tensor:
    """Return the p-norm over the last axis, with gradient 0 where all of it is 0."""
    import tensorflow as tf

    if p == 1.0:
        return tf.reduce_sum(tf.abs(x), axis=-1)
    if np.isinf(p):
        return tf.reduce_max(tf.abs(x), axis=-1)
    if p == 2.0:
        return guarded_root(tf.reduce_sum(tf.square(x), axis=-1))
    scale = tf.stop_gradient(tf.reduce_max(tf.abs(x), axis=-1, keepdims=True))
    with tf.name_scope(GUARD):
        safe = tf.where(scale > 0, scale, tf.ones_like(scale))
        size = tf.abs(x) / safe  # |x|^p is differentiable for p > 1
    total = tf.reduce_sum(tf.pow(size, p), axis=-1)
    with tf.name_scope(GUARD):
        inside = total > 0
        root = tf.pow(tf.where(inside, total, tf.ones_like(total)), 1.0 / p)
        return tf.where(inside, root, tf.zeros_like(root)) * safe[..., 0]


def guarded_root(square: Tensor) -> Tensor:
    """Return the square root, with gradient 0 instead of infinity at 0."""
    import tensorflow as tf

    with tf.name_scope(GUARD):
        inside = square > 0
        root = tf.sqrt(tf.where(inside, square, tf.ones_like(square)))
        return tf.where(inside, root, tf.zeros_like(root))
