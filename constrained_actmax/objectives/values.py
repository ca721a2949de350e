"""Several numbers for each input, by a TensorFlow function: what a constraint can be put on."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from typing_extensions import override

from constrained_actmax.errors import SpecificationError
from constrained_actmax.objectives.base import Objective, Score
from constrained_actmax.objectives.signature import Signature, Tensor, Tensors


@dataclass(frozen=True, eq=False, repr=False)
class Values(Objective):
    """One or several numbers for each input.

    Parameters
    ----------
    function : callable
        ``function(inputs)`` or ``function(inputs, outputs)`` returns a float tensor (B,) or
        (B, m). Both have the model's structure, are float64 and have a batch axis; `inputs` are in
        the user's units.
    name : str, optional
        What results call it.

    Raises
    ------
    SpecificationError
        When bound: if the function gives something else.
    """

    function: Callable[..., Any]
    name: str | None = None

    @override
    def _bind(self, signature: Signature) -> Score:
        supplied = self.function
        both = takes_two(supplied)

        def function(tensors: Tensors, parameters: tuple[Tensor, ...]) -> Tensor:
            import tensorflow as tf

            value = (
                supplied(tensors.inputs(), tensors.outputs())
                if both
                else supplied(tensors.inputs())
            )
            value = tf.convert_to_tensor(value)
            if value.shape.rank not in (1, 2) or not value.dtype.is_floating:
                raise SpecificationError(
                    f"{self}: the function must return shape (B,) or (B, m), got "
                    f"{value.dtype.name} of shape {value.shape}; keep the batch axis."
                )
            if value.shape.rank == 2 and value.shape[1] == 1:
                value = value[:, 0]
            return tf.cast(value, tf.float64)

        shape = traced_shape(self, signature, function, ", or give jacobian= with a NumPy function")
        rows = 1 if len(shape) == 1 else shape[1]
        if not rows:
            raise SpecificationError(f"{self}: the function gives an unknown number of values.")
        return Score(("Values", supplied, rows), function, rows=rows)

    @override
    def describe(self) -> str:
        return self.name or str(getattr(self.function, "__name__", "function"))


def traced_shape(
    owner: Objective,
    signature: Signature,
    function: Callable[[Tensors, tuple[Tensor, ...]], Tensor],
    other: str = "",
) -> tuple[int | None, ...]:
    """Return the shape of a user's function of the network.

    Raises
    ------
    SpecificationError
        If it calls NumPy on TensorFlow's tensors.
    """
    try:
        return signature.shape_of(lambda tensors: function(tensors, ()))
    except NotImplementedError as error:  # TensorFlow's word for a symbolic tensor in NumPy
        raise SpecificationError(
            f"{owner}: the function gets TensorFlow tensors and must stay in TensorFlow, as "
            f"tf.reduce_sum(x, -1) does where np.sum would not; rewrite it so{other}."
        ) from error


def takes_two(function: Callable[..., Any]) -> bool:
    """Whether a function takes the outputs after the inputs."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return False
    positional = [
        parameter
        for parameter in parameters
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
        and parameter.default is parameter.empty
    ]
    return len(positional) >= 2
