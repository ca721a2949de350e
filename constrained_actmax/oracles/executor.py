"""The only calls past TensorFlow's public functions: a concrete function by its executor alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from constrained_actmax.objectives.signature import Tensor

#: Releases of TensorFlow, first and last, on which the tests have run; others are called by
#: their public function.
TESTED = ((2, 18), (2, 21))


def executed(concrete: Any) -> Callable[..., Any]:
    """Return a call of a concrete function without the binding of arguments around it.

    A concrete function binds its arguments to names and types at every call and looks for tapes
    that watch, which takes 100 of 220 microseconds for a small model; the tensors given here are
    right already and nothing watches them. On a release that is not `TESTED` the concrete function
    itself is returned.

    Parameters
    ----------
    concrete : tensorflow.types.experimental.ConcreteFunction
        Called with tensors of its own signature.
    """
    import tensorflow as tf

    release = tuple(int(part) for part in tf.__version__.split(".")[:2])
    if not TESTED[0] <= release <= TESTED[1]:
        return cast("Callable[..., Any]", concrete)
    return _straight(concrete)


def _straight(concrete: Any) -> Callable[..., Any]:
    """Return a call of a concrete function by TensorFlow's executor alone."""
    from tensorflow.python.eager import context, execute

    inner, captured = concrete._inference_function, concrete.captured_inputs
    name, outputs = inner.name.decode(), len(inner.function_type.flat_outputs)
    eager = context.context()
    options = eager.function_call_options.as_attrs()
    attributes = tuple(item for pair in options.items() for item in pair)

    def call(*arguments: Tensor) -> Any:
        try:
            return execute.execute(name, outputs, [*arguments, *captured], attributes, eager)
        except Exception:  # the long way says it in the words of the model's code
            return concrete._call_flat(list(arguments), captured)

    return call
