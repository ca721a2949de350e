"""Any TensorFlow function of inputs, outputs and activations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from typing_extensions import override

from constrained_actmax.errors import SpecificationError
from constrained_actmax.objectives.base import Objective, Score
from constrained_actmax.objectives.signature import Signature, Tensor, Tensors
from constrained_actmax.objectives.values import traced_shape


@dataclass(frozen=True, eq=False, repr=False)
class Custom(Objective):
    """A function of your own, written in TensorFlow.

    Parameters
    ----------
    function : callable
        ``function(inputs, outputs, activations)`` returns one number for each row, shape (B,).
        `inputs` and `outputs` have the model's structure, `activations` is a dict by layer path;
        all are float64 tensors with a batch axis, `inputs` in the user's units.
    layers : sequence of str, default ()
        Paths of the layers to watch, as in `Neuron`.
    name : str, optional
        What results call it; by default the function's name.

    Raises
    ------
    SpecificationError
        If `function` is not callable; when bound, if there is no such layer, or the function does
        not give one number for each row.

    Examples
    --------
    >>> import constrained_actmax as cax
    >>> energy = cax.Custom(lambda x, y, a: -(y[:, 0] ** 2) - y[:, 1] ** 2, name="energy")
    >>> print(energy)
    Custom(energy)
    """

    function: Callable[[Any, Any, dict[str, Any]], Any]
    layers: Sequence[str] = ()
    name: str | None = None

    def __post_init__(self) -> None:
        if not callable(self.function):
            raise SpecificationError(
                "Custom: function must be callable as function(inputs, outputs, activations), got "
                f"{type(self.function).__name__}."
            )
        paths = (self.layers,) if isinstance(self.layers, str) else tuple(self.layers)
        object.__setattr__(self, "layers", paths)

    @override
    def _bind(self, signature: Signature) -> Score:
        paths = tuple(self.layers)
        for path in paths:
            signature.activation(path, "Custom")
        supplied = self.function

        def function(tensors: Tensors, parameters: tuple[Tensor, ...]) -> Tensor:
            import tensorflow as tf

            activations = {path: tensors.activation(path) for path in paths}
            value = tf.convert_to_tensor(supplied(tensors.inputs(), tensors.outputs(), activations))
            if value.shape.rank == 2 and value.shape[1] == 1:
                value = value[:, 0]
            if value.shape.rank != 1 or not value.dtype.is_floating:
                raise SpecificationError(
                    f"{self}: the function must return one number for each row, shape (B,), got "
                    f"{value.dtype.name} of shape {value.shape}; reduce all axes but the first."
                )
            return tf.cast(value, tf.float64)

        traced_shape(self, signature, function)
        return Score(("Custom", supplied, paths), function, layers=paths)

    @override
    def describe(self) -> str:
        return f"Custom({self.name or getattr(self.function, '__name__', 'function')})"
