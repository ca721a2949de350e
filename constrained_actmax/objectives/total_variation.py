"""The total variation of an image or a signal, as a penalty."""

from __future__ import annotations

from dataclasses import dataclass

from typing_extensions import override

from constrained_actmax.errors import SpecificationError
from constrained_actmax.objectives.base import Objective, Score
from constrained_actmax.objectives.bounded import ONLY_BELOW
from constrained_actmax.objectives.norm import guarded_root
from constrained_actmax.objectives.signature import Signature, Tensor, Tensors
from constrained_actmax.objectives.squared_distance import part, span


@dataclass(frozen=True, eq=False, repr=False)
class TotalVariation(Objective):
    r"""The total variation of the input, in the user's units, in float64: a penalty.

    .. math:: \sum_{i,j} \sqrt{(x_{i+1,j} - x_{i,j})^2 + (x_{i,j+1} - x_{i,j})^2}

    over the i, j for which both differences exist, as in ``cvxpy.tv``: the last row and column
    have none. A signal: :math:`\sum_i |x_{i+1} - x_i|`. Each channel counts for itself.

    Parameters
    ----------
    on : str, optional
        Name of the input that it speaks of; needed where the model has several.
    axes : tuple of int, optional
        The axes along which neighbours stand. By default the only axis of a signal, the first two
        of an image with or without channels, the first three of a volume with channels; axes of
        one entry are left out, so that a signal (n, 1) is one (n,).

    Raises
    ------
    SpecificationError
        When bound: if the input has no such axes.

    Notes
    -----
    Where neighbours are equal it has no derivative, and their share of the gradient is 0.

    References
    ----------
    .. [1] Rudin, Osher and Fatemi (1992), Nonlinear total variation based noise removal
       algorithms, Physica D 60.
    """

    on: str | None = None
    axes: tuple[int, ...] | None = None

    @override
    def _bind(self, signature: Signature) -> Score:
        region = signature.layout.region(self.on, who="TotalVariation")
        shape = region.whole or ()
        axes = self.axes
        if axes is None:
            axes = {1: (0,), 2: (0, 1), 3: (0, 1), 4: (0, 1, 2)}.get(len(shape), ())
            axes = tuple(axis for axis in axes if shape[axis] > 1) or axes
        if (
            not axes
            or any(not 0 <= axis < len(shape) for axis in axes)
            or (len(set(axes)) != len(axes))
        ):
            raise SpecificationError(
                f"{self}: an input of shape {shape} has no neighbours along axes {axes}; "
                "name its axes, as in TotalVariation(axes=(0,))."
            )
        along = tuple(axes)

        def function(tensors: Tensors, parameters: tuple[Tensor, ...]) -> Tensor:
            import tensorflow as tf

            x = tf.reshape(part(tensors, region), (-1, *shape))
            return total_variation(x, along)

        return Score(("TotalVariation", span(region), shape, along), function, bounded=ONLY_BELOW)

    bounded = ONLY_BELOW

    @override
    def describe(self) -> str:
        arguments = [] if self.on is None else [f"on={self.on!r}"]
        arguments += [] if self.axes is None else [f"axes={self.axes!r}"]
        return f"TotalVariation({', '.join(arguments)})"


def total_variation(x: Tensor, axes: tuple[int, ...]) -> Tensor:
    """Return the total variation (B,) of x (B, ...) along axes counted without the batch axis."""
    import tensorflow as tf

    rank = len(x.shape)

    def cut(axis: int, start: int) -> Tensor:
        """Leave out the last entry of every axis, or the first of one."""
        index = [slice(None)] * rank
        for dimension in axes:
            index[dimension + 1] = slice(0, -1)
        if start:
            index[axis + 1] = slice(1, None)
        return x[tuple(index)]

    here = cut(0, 0)
    differences = [cut(axis, 1) - here for axis in axes]
    if len(axes) == 1:
        size = tf.abs(differences[0])
    else:
        size = guarded_root(tf.add_n([tf.square(difference) for difference in differences]))
    return tf.reduce_sum(tf.reshape(size, (tf.shape(x)[0], -1)), axis=1)
