"""A model of whatever kind as one function of tensors: Keras models, signatures, callables."""

from __future__ import annotations

import inspect
import weakref
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from typing_extensions import override

from constrained_actmax.errors import ModelError, SpecificationError
from constrained_actmax.objectives.signature import Tensor
from constrained_actmax.oracles.freezing import frozen
from constrained_actmax.oracles.recording import Records, recording
from constrained_actmax.quoting import quoted


@dataclass(frozen=True)
class Port:
    """One input as the model takes it: shape without the batch axis, None where it is open."""

    name: str
    shape: tuple[int | None, ...]
    dtype: str
    key: str = ""  # in the model's dict, if it takes one


class Network(ABC):
    """A model that can be called on tensors.

    Attributes
    ----------
    name : str
        What results call it.
    ports : tuple of Port
        Its inputs in its own order.
    structure : {"array", "list", "dict"}
        How it takes them.
    rows : int or None
        Length of a fixed leading axis; None where the batch axis is free.
    batched : bool
        Whether there is a batch axis at all.
    dtypes : tuple of str
        Of the arithmetic inside.
    """

    name: str = "model"
    ports: tuple[Port, ...]
    structure: Literal["array", "list", "dict"] = "array"
    rows: int | None = None
    batched: bool = True
    dtypes: tuple[str, ...] = ()

    @abstractmethod
    def call(self, tensors: Sequence[Tensor]) -> Any:
        """Return the outputs, in the model's structure, in inference mode."""

    def recording(self) -> Any:
        """Return a context that gives the `Records` of the layers called in it."""
        return nullcontext(Records())

    def variables(self) -> list[tuple[str, Any]]:
        """Return names and variables of all weights."""
        return []

    def output_names(self, count: int) -> list[str]:
        """Return names for the outputs, where the model gives them in a list."""
        return ["output"] if count == 1 else [f"output_{i}" for i in range(count)]

    def where_to_cut(self, port: str) -> str:
        """Return the way out for an input of whole numbers."""
        return "give the part of the model that takes floating-point numbers"


class KerasNetwork(Network):
    """A `keras.Model`, called with ``training=False``.

    Parameters
    ----------
    model : keras.Model
        The model.
    shapes : tuple or mapping, optional
        Shapes of its inputs, where it does not know them.
    owned : bool
        Whether nobody else holds the model; else it is referred to weakly, so that it is freed when
        its user lets it go.
    """

    def __init__(
        self,
        model: Any,
        shapes: Mapping[str, tuple[int, ...]] | tuple[int, ...] | None,
        *,
        owned: bool,
    ) -> None:
        import keras

        self._reference = weakref.ref(model)
        self._owned = model if owned else None
        self.name = str(model.name)
        self._by_layers = False
        if not model.built and shapes is not None:
            _refuse_several(model)
            _build(model, shapes)
        if not self._read_inputs(model):
            shapes = self._ports_of_shapes(model, shapes)
        if isinstance(model, keras.Sequential) and isinstance(shapes, tuple):
            (port,) = self.ports
            self._by_layers = len(port.shape) != len(shapes)
            if self._by_layers:
                self.ports = (Port(port.name, tuple(shapes), port.dtype),)
        policies = {
            str(layer.compute_dtype) for layer in model._flatten_layers() if layer.compute_dtype
        }
        self.dtypes = tuple(sorted(policies))

    def _read_inputs(self, model: Any) -> bool:
        """Take the ports from the model's symbolic inputs; return whether it has any."""
        try:
            flat = list(model.inputs or [])
        except (AttributeError, ValueError):
            flat = []
        if not flat:
            return False
        struct = _input_structure(model, flat)
        if isinstance(struct, Mapping):
            self.structure = "dict"
            self._keys: list[Any] = sorted(struct)
            tensors = [struct[key] for key in self._keys]
            names = [str(key) for key in self._keys]
        else:
            self.structure = "array" if len(flat) == 1 else "list"
            self._keys = []
            tensors, names = flat, [_port_name(tensor) for tensor in flat]
        self._bare = struct is flat[0]
        self.ports = tuple(
            Port(name, tuple(tensor.shape[1:]), str(tensor.dtype))
            for name, tensor in zip(names, tensors, strict=True)
        )
        leading = {tensor.shape[0] for tensor in tensors} - {None}
        if leading:
            self.rows = int(leading.pop())
        return True

    def _ports_of_shapes(self, model: Any, shapes: Any) -> Any:
        """Take the ports from shapes, the user's or those that the layers have seen; return them.

        Raises
        ------
        ModelError
            If there are none.
        """
        _refuse_several(model)
        shapes = shapes if shapes is not None else _seen_shapes(model)
        if shapes is None:
            raise ModelError(
                f"{self.name}: the model does not know the shape of its input; "
                "give input_shape=, without the batch axis."
            )
        self._bare, self._keys = True, []
        if isinstance(shapes, Mapping):
            self.structure, self._keys = "dict", sorted(shapes)
            self.ports = tuple(Port(key, tuple(shapes[key]), _dtype(model)) for key in self._keys)
        else:
            self.ports = (Port("input", tuple(shapes), _dtype(model)),)
        return shapes

    @property
    def model(self) -> Any:
        """The model."""
        return self._reference()

    @override
    def call(self, tensors: Sequence[Tensor]) -> Any:
        if self._by_layers:  # a Sequential whose recorded input shape is wrong
            (value,) = tensors
            for layer in self.model.layers:
                value = layer(value, training=False) if _takes_training(layer) else layer(value)
            return value
        example: Any
        if self.structure == "dict":
            example = dict(zip(self._keys, tensors, strict=True))
        elif self.structure == "list" or not self._bare:
            example = list(tensors)
        else:
            example = tensors[0]
        return self.model(example, training=False)

    @override
    def recording(self) -> Any:
        return recording(self.model)

    @override
    def variables(self) -> list[tuple[str, Any]]:
        return [(weight.path, weight.value) for weight in self.model.weights]

    @override
    def output_names(self, count: int) -> list[str]:
        try:
            names = [str(name) for name in self.model.output_names]
        except (AttributeError, ValueError):
            names = []
        if len(names) == count and len(set(names)) == count:
            return names
        return super().output_names(count)

    @override
    def where_to_cut(self, port: str) -> str:
        import keras

        for layer in self.model._flatten_layers():
            if isinstance(layer, keras.layers.Embedding):
                return (
                    f"cut the model behind its Embedding layer {layer.name!r} and maximise over "
                    f"the vectors that it gives"
                )
        return "cut the model behind the layer that turns these into floating-point numbers"


class FunctionNetwork(Network):
    """A TensorFlow callable: with its input signature, or with a shape that the user gives.

    A leading axis of unknown length is the batch axis. A fixed leading axis of length 1 is one
    too if the output has it; otherwise the function takes one point at a time.
    """

    def __init__(
        self,
        function: Any,
        specs: Sequence[Any] | Mapping[str, Any],
        name: str,
    ) -> None:
        self.name = name
        self._function = function
        named = isinstance(specs, Mapping)
        listed = (
            list(specs.items())
            if isinstance(specs, Mapping)
            else [(getattr(spec, "name", None) or f"x{i}", spec) for i, spec in enumerate(specs)]
        )
        if len(listed) == 1 and not named:
            listed = [(listed[0][1].name or "x", listed[0][1])]
        self.structure = "array" if len(listed) == 1 else "dict" if named else "list"
        ports, leading = [], []
        for key, spec in listed:
            if spec.shape.rank is None:
                raise ModelError(
                    f"{name}: the input {key!r} has no known rank; give it a signature with a "
                    "shape, or a plain callable with input_shape=."
                )
            lengths = spec.shape.as_list()
            leading.append(lengths[0] if lengths else -1)
            ports.append(Port(key, tuple(lengths[1:]), spec.dtype.name, key))
        if all(length is None for length in leading):
            pass
        elif all(length == 1 for length in leading):
            self.rows = 1
        else:
            self.rows, self.batched = 1, False
            ports = [
                Port(port.name, tuple(spec.shape.as_list()), port.dtype, port.key)
                for port, (_, spec) in zip(ports, listed, strict=True)
            ]
        self.ports = tuple(ports)
        self.dtypes = tuple({port.dtype for port in ports})

    @override
    def call(self, tensors: Sequence[Tensor]) -> Any:
        if self.structure == "dict":
            return self._function(
                {port.key: tensor for port, tensor in zip(self.ports, tensors, strict=True)}
            )
        return self._function(*tensors)

    @override
    def variables(self) -> list[tuple[str, Any]]:
        owner = getattr(self._function, "variables", ())
        return (
            [(str(tensor.name), tensor) for tensor in owner]
            if isinstance(owner, list | tuple)
            else []
        )


class GraphNetwork(FunctionNetwork):
    """A concrete function (such as a SavedModel's signature), inlined, its weights as constants.

    Inlining lays its operations open, so that logits are found, kinks are seen and derivatives are
    taken as for any other model.
    """

    def __init__(self, concrete: Any, name: str) -> None:
        import tensorflow as tf

        _, keywords = concrete.structured_input_signature
        flat = [
            spec
            for spec in tf.nest.flatten(concrete.structured_input_signature)
            if isinstance(spec, tf.TensorSpec)
        ]
        # Flat inputs follow the sorted keywords.
        specs: Any = {key: keywords[key] for key in sorted(keywords)} if keywords else flat
        self._weights = [(str(variable.name), variable) for variable in concrete.variables]
        self._frozen = frozen(concrete, name)
        self._outputs = concrete.structured_outputs
        super().__init__(self._inlined, specs, name)

    @override
    def call(self, tensors: Sequence[Tensor]) -> Any:
        return self._inlined(*tensors)

    def _inlined(self, *tensors: Tensor) -> Any:
        import tensorflow as tf

        ends = tf.graph_util.import_graph_def(
            self._frozen.definition,
            input_map=dict(zip(self._frozen.inputs, tensors, strict=True)),
            return_elements=list(self._frozen.outputs),
            name="model",
        )
        return tf.nest.pack_sequence_as(self._outputs, ends)

    @override
    def variables(self) -> list[tuple[str, Any]]:
        return self._weights


def function_network(
    function: Any, shapes: Mapping[str, tuple[int, ...]] | tuple[int, ...] | None, dtype: str | None
) -> Network:
    """Return the network of a TensorFlow callable.

    Raises
    ------
    ModelError
        If it has no input signature and no shape is given.
    """
    import tensorflow as tf

    name = str(
        getattr(function, "__name__", None)
        or getattr(function, "name", None)
        or type(function).__name__
    )
    if isinstance(function, tf.types.experimental.ConcreteFunction):
        return GraphNetwork(function, name)
    python = function
    specs: Any = None
    if isinstance(function, tf.types.experimental.PolymorphicFunction):
        python = function.python_function
        specs = function.input_signature
        name = str(getattr(python, "__name__", name))
    if specs is not None:
        specs = list(tf.nest.flatten(specs))
        return FunctionNetwork(python, [_named(s, n) for s, n in _with_names(python, specs)], name)
    several = _required(python)
    if len(several) > 1:
        raise ModelError(
            f"{name}: it takes several arguments ({', '.join(several)}); pass tf.function(f, "
            "input_signature=[tf.TensorSpec([None, ...]), ...]) with a TensorSpec for each."
        )
    if shapes is None:
        raise ModelError(
            f"{name}: a callable needs an input signature: pass "
            "tf.function(f, input_signature=[tf.TensorSpec([None, ...])]), or input_shape=."
        )
    kind = tf.dtypes.as_dtype(dtype or "float32")
    if isinstance(shapes, Mapping):
        return FunctionNetwork(
            python,
            {key: tf.TensorSpec([None, *shape], kind) for key, shape in sorted(shapes.items())},
            name,
        )
    return FunctionNetwork(python, [tf.TensorSpec([None, *shapes], kind, name="x")], name)


def _required(function: Any) -> list[str]:
    """Return the names of the arguments that a call must give by position."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return []
    return [
        parameter.name
        for parameter in parameters
        if parameter.default is parameter.empty
        and parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
        and parameter.name not in ("training", "mask")
    ]


def _refuse_several(model: Any) -> None:
    """Refuse a subclassed model whose call takes several tensors, with the way to wrap it."""
    several = _required(model.call)
    if len(several) > 1:
        listed = ", ".join(several)
        raise ModelError(
            f"{model.name}: its call takes several arguments ({listed}); wrap it in a functional "
            f"model: with keras.Input(...) for each of them, pass keras.Model([{listed}], "
            f"model({listed}))."
        )


def _with_names(function: Any, specs: list[Any]) -> list[tuple[Any, str]]:
    try:
        names = [
            parameter.name
            for parameter in inspect.signature(function).parameters.values()
            if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
        ]
    except (TypeError, ValueError):
        names = []
    names += [f"x{i}" for i in range(len(names), len(specs))]
    return list(zip(specs, names, strict=False))


def _named(spec: Any, name: str) -> Any:
    import tensorflow as tf

    return tf.TensorSpec(spec.shape, spec.dtype, spec.name or name)


def _input_structure(model: Any, flat: list[Any]) -> Any:
    functional = getattr(model, "_functional", None) or model
    return getattr(functional, "_inputs_struct", flat[0] if len(flat) == 1 else flat)


def _seen_shapes(model: Any) -> Mapping[str, tuple[int, ...]] | tuple[int, ...] | None:
    """Return the shape, without the batch axis, on which a subclassed model was built."""
    seen = (model.get_build_config() or {}).get("input_shape") if model.built else None
    if isinstance(seen, Mapping):
        return {str(key): tuple(shape[1:]) for key, shape in seen.items()}
    if isinstance(seen, list | tuple) and not any(isinstance(part, list | tuple) for part in seen):
        return tuple(seen[1:])
    return None


def _port_name(tensor: Any) -> str:
    return str(tensor.name).split(":")[0]


def _dtype(model: Any) -> str:
    return str(model.compute_dtype or "float32")


def _takes_training(layer: Any) -> bool:
    return bool(layer._call_has_training_arg)


def _build(model: Any, shapes: Mapping[str, tuple[int, ...]] | tuple[int, ...]) -> None:
    import tensorflow as tf

    def zeros(shape: tuple[int, ...]) -> Any:
        return tf.zeros((1, *shape), dtype=_dtype(model))

    if isinstance(shapes, Mapping):
        model({key: zeros(shape) for key, shape in shapes.items()}, training=False)
    else:
        model(zeros(shapes), training=False)


def finite_weights(network: Network) -> None:
    """Refuse a model whose weights hold NaN or infinity, by the name of the first."""
    for name, variable in network.variables():
        value = np.asarray(variable)
        if value.dtype.kind == "V" or value.dtype.name == "bfloat16":
            value = value.astype(np.float32)
        if value.dtype.kind == "f" and not np.isfinite(value).all():
            count = int((~np.isfinite(value)).sum())
            raise ModelError(
                f"{network.name}: the weight {name!r} holds NaN or infinity at {count} of its "
                f"{value.size} entries; load a checkpoint from before the training diverged."
            )


def checked_shapes(
    shape: Any,
) -> Mapping[str, tuple[int, ...]] | tuple[int, ...] | None:
    """Return the user's ``input_shape=`` as tuples of integers, or raise."""
    if shape is None:
        return None
    if isinstance(shape, Mapping):
        return {str(key): _checked_shape(value) for key, value in shape.items()}
    return _checked_shape(shape)


def _checked_shape(shape: Any) -> tuple[int, ...]:
    lengths = (shape,) if isinstance(shape, int) else shape
    try:
        sizes = tuple(int(length) for length in lengths)
    except (TypeError, ValueError):
        raise SpecificationError(
            f"input_shape: expected integers without the batch axis, got {quoted(shape)}."
        ) from None
    if any(length < 1 for length in sizes):
        raise SpecificationError(f"input_shape: lengths must be >= 1, got {quoted(shape)}.")
    return sizes
