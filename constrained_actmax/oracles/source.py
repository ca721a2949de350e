"""One model, ready to be traced: layout, heads, layers, and the forward pass inside a graph."""

from __future__ import annotations

import os
import re
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
from typing_extensions import override

from constrained_actmax.errors import (
    ModelError,
    SpecificationError,
    foresee_backend,
    reason_of,
    suggest,
)
from constrained_actmax.layout import Input, Layout, Rows
from constrained_actmax.objectives.bounded import BOTH
from constrained_actmax.objectives.signature import (
    Activation,
    Head,
    Signature,
    Tensor,
    Tensors,
)
from constrained_actmax.oracles.acceptance import accepted_heads, refuse_unconnected
from constrained_actmax.oracles.graph import (
    WRITES,
    bounded_of,
    find_link,
    has_kinks,
    has_steps,
    operation_types,
    operations_between,
)
from constrained_actmax.oracles.loading import (
    is_saved_model,
    load_keras,
    load_signature,
    needs_tensorflow_backend,
    recorded_shape,
)
from constrained_actmax.oracles.network import (
    GraphNetwork,
    KerasNetwork,
    Network,
    checked_shapes,
    finite_weights,
    function_network,
)
from constrained_actmax.oracles.precision import (
    checked_precision,
    compare_copy,
    copy_in_precision,
    epsilon_of,
    warn_of_half,
)
from constrained_actmax.oracles.recording import Records
from constrained_actmax.oracles.scaling import Scaling
from constrained_actmax.oracles.state import Updates, without_writes


class Trace(Tensors):
    """The tensors of one call of a source inside a graph; float64 where an objective looks."""

    def __init__(
        self,
        x: Tensor,
        parts: list[Tensor],
        source: Source,
        raw: Any,
        heads: dict[str, Tensor],
        records: Records,
        updates: Updates,
    ) -> None:
        self.x = x
        self.parts = parts
        self.raw = raw
        self.heads = heads
        self.records = records
        self.updates = updates  # of Keras variables that the call would have written
        self._source = source
        self._logits: dict[str, Tensor] = {}
        self._activations = records.named()

    @override
    def inputs(self) -> Any:
        layout = self._source.layout
        if layout.structure == "array":
            return self.parts[0]
        if layout.structure == "list":
            return list(self.parts)
        return dict(zip(layout.names, self.parts, strict=True))

    @override
    def outputs(self) -> Any:
        import tensorflow as tf

        return tf.nest.map_structure(_double, self.raw)

    @override
    def output(self, head: str) -> Tensor:
        return _double(self.heads[head])

    @override
    def logits(self, head: str) -> Tensor:
        if head not in self._logits:
            self._logits[head] = _double(find_link(self.heads[head])[1])
        return self._logits[head]

    @override
    def activation(self, path: str) -> Tensor:
        return _double(self.tensor(path, "activation"))

    def watchable(self) -> dict[str, Tensor]:
        """Return the floating-point tensors that layers gave out in this graph, by path."""
        import tensorflow as tf

        return {
            name: tf.identity(tensor)
            for name, tensor in self._activations.items()
            if isinstance(tensor, tf.Tensor)
            and tensor.graph is self.x.graph
            and tensor.dtype.is_floating
        }

    def tensor(self, path: str, who: str) -> Tensor:
        """Return what a layer gave out, in its own dtype."""
        import tensorflow as tf

        names = self._activations
        if path not in names:
            ends = [name for name in names if name.endswith(f"/{path}")]
            if len(ends) == 1:
                path = ends[0]
            else:
                raise SpecificationError(
                    f"{who}: the model has no layer {path!r}. {suggest(path, names)}"
                )
        tensor = names[path]
        if not isinstance(tensor, tf.Tensor):
            raise ModelError(
                f"{who}: layer {path!r} gives out a {type(tensor).__name__}, not one tensor; "
                "watch a layer inside it."
            )
        if tensor.graph is not self.x.graph:
            raise ModelError(
                f"{who}: layer {path!r} runs inside a loop or a nested tf.function, where it "
                "cannot be watched; watch the layer that holds it."
            )
        if not tensor.dtype.is_floating:
            raise ModelError(
                f"{who}: layer {path!r} gives out {tensor.dtype.name}, which has no gradient; "
                "watch a layer behind it."
            )
        return tensor


class Source(Signature):
    """A frozen model: what all oracles of one model share.

    Parameters
    ----------
    model : object
        Whatever `Oracle` takes.
    preprocess, labels, feature_names, input_shape, precision, custom_objects, safe_mode, signature
        As in `Oracle`.

    Attributes
    ----------
    network : Network
        The model as a function of tensors.
    original : KerasNetwork or None
        The user's own model, where `network` is a copy of it in another precision.
    precision : str
        The dtype inside.
    epsilon : float
        Its machine epsilon.
    compiled : OrderedDict
        Compiled functions by structure.
    readings : OrderedDict
        What was read of the network's affine parts, by structure, or why it was not.
    traces : int
        How often one of them was traced.
    """

    def __init__(
        self,
        model: Any,
        *,
        preprocess: Any = None,
        labels: Any = None,
        feature_names: Any = None,
        input_shape: Any = None,
        precision: Any = None,
        custom_objects: Mapping[str, Any] | None = None,
        safe_mode: bool = True,
        signature: str = "serving_default",
    ) -> None:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
        precision = checked_precision(precision)
        shapes = checked_shapes(input_shape)
        self.network, self.original = _network(
            model,
            None if preprocess is not None else shapes,
            precision,
            custom_objects,
            safe_mode,
            signature,
        )
        self.name = self.network.name
        self.layout = self._layout(feature_names, shapes)
        self.preprocess = _aligned(preprocess, self.layout)
        finite_weights(self.network)
        dtypes = self.network.dtypes
        if precision is None:
            warn_of_half(self.name, dtypes)
        self.compiled: OrderedDict[Any, Any] = OrderedDict()
        self.readings: OrderedDict[Any, Any] = OrderedDict()
        self.traces = 0
        self.heads = ()
        self._writes = False  # whether a call writes to Keras variables; then traces leave it out
        self._labels = labels
        self._probe()
        self.precision = self._inner_precision()
        self.epsilon = epsilon_of(self.precision)
        self.heads = accepted_heads(self, self._trace)

    # -- weights ---------------------------------------------------------------------------------

    @property
    def reads_weights(self) -> bool:
        """Whether compiled functions read the user's own variables when they are called."""
        return not self.copied and not isinstance(self.network, GraphNetwork)

    def weights(self) -> list[tuple[str, Any]]:
        """Return names and variables of the weights that this was made from."""
        read = [(str(variable.name), variable) for variable in self.outputs.variables]
        if self.reads_weights:
            return read
        network = self.network if self.original is None else self.original
        return [*network.variables(), *read]

    def weights_changed(self) -> None:
        """Forget what was read off the weights."""
        self.readings.clear()

    # -- shapes ----------------------------------------------------------------------------------

    def _layout(self, feature_names: Any, shapes: Any) -> Layout:
        network = self.network
        tensors: Mapping[str, tuple[int, ...]] = {}
        if isinstance(shapes, Mapping):
            for name in shapes:
                known = [port.name for port in network.ports]
                if name not in known:
                    raise SpecificationError(
                        f"input_shape: the model has no input {name!r}. {suggest(name, known)}"
                    )
            tensors = shapes
        elif shapes is not None:
            if len(network.ports) > 1:
                raise SpecificationError(
                    "input_shape: the model has several inputs; give a dict with the keys "
                    f"{[port.name for port in network.ports]}."
                )
            tensors = {network.ports[0].name: shapes}
        inputs = []
        for port in network.ports:
            if not port.dtype.startswith(("float", "bfloat")):
                what = "strings" if port.dtype == "string" else "whole numbers"
                raise ModelError(
                    f"{self.name}: the input {port.name!r} takes {what} ({port.dtype}), along "
                    f"which there is no gradient; {network.where_to_cut(port.name)}"
                    + (
                        ", or hold it fixed in a function of the others, with their shapes in "
                        "input_shape=, such as "
                        "lambda x: model([x, tf.repeat(held, tf.shape(x)[0], axis=0)])."
                        if len(network.ports) > 1
                        else "."
                    )
                )
            shape = tensors.get(port.name, port.shape)
            if any(length is None for length in shape):
                raise ModelError(
                    f"{self.name}: the input {port.name!r} has the shape {(None, *shape)}, with a "
                    "second unknown dimension; give input_shape=, without the batch axis."
                )
            fixed = tuple(int(length) for length in shape if length is not None)
            inputs.append(Input(port.name, fixed, _columns(feature_names, port.name, network)))
        if isinstance(feature_names, Mapping):
            known = [port.name for port in network.ports]
            for name in feature_names:
                if name not in known:
                    raise SpecificationError(
                        f"feature_names: the model has no input {name!r}. {suggest(name, known)}"
                    )
        return Layout(tuple(inputs), network.structure)

    # -- calling the model inside a graph ----------------------------------------------------------

    @property
    def rows(self) -> int | None:
        """Length of a fixed leading axis; None where any number of rows may be asked."""
        return self.network.rows

    def spec(self) -> Any:
        """Return the signature of the flat rows that compiled functions take."""
        import tensorflow as tf

        return tf.TensorSpec([self.network.rows, self.layout.size], tf.float64, name="x")

    def trace(self, x: Tensor, state: Sequence[tuple[Any, Tensor]] = ()) -> Trace:
        """Call the model on flat rows (B, n), in the graph that is being built.

        Where a call writes to Keras variables, the writes are left out of the graph, and variables
        in `state` have the values that stand there.
        """
        import tensorflow as tf

        network, layout = self.network, self.layout
        lead = -1 if network.rows is None else network.rows
        parts, tensors = [], []
        for input_, port in zip(layout.inputs, network.ports, strict=True):
            flat = x if len(layout.inputs) == 1 else x[:, layout.slices[input_.name]]
            part = tf.reshape(flat, (lead, *input_.shape))
            parts.append(part)
            tensors.append(self._preprocessed(part, port.name, port.dtype))
        if not network.batched:
            tensors = [tf.squeeze(tensor, 0) for tensor in tensors]
        none: Updates = []
        scope = without_writes(state) if self._writes else nullcontext(none)
        with network.recording() as records, scope as updates:
            raw = network.call(tensors)
        if not network.batched:
            raw = tf.nest.map_structure(lambda tensor: tf.expand_dims(tensor, 0), raw)
        heads = self._heads(raw)
        return Trace(x, parts, self, raw, heads, records, updates)

    def preprocessed(self, x: Rows) -> list[Any]:
        """Return the model's own inputs (B, ...) of flat rows, as arrays, in the order of ports."""
        return [np.asarray(part) for part in self._prepared(x)]

    def _prepared(self, x: Rows) -> list[Any]:
        import tensorflow as tf

        prepared = []
        for input_, port in zip(self.layout.inputs, self.network.ports, strict=True):
            part = tf.constant(x[:, self.layout.slices[input_.name]].reshape(-1, *input_.shape))
            prepared.append(self._preprocessed(part, port.name, port.dtype))
        return prepared

    def _preprocessed(self, part: Tensor, name: str, dtype: str) -> Tensor:
        import tensorflow as tf

        function = self.preprocess
        if isinstance(function, Mapping):
            function = function.get(name)
        elif function is not None and len(self.layout.inputs) > 1:
            raise SpecificationError(
                "preprocess: the model has several inputs; give a dict by input name. "
                f"Known: {list(self.layout.names)}."
            )
        if function is None:
            return tf.cast(part, dtype)
        if not callable(function):
            raise SpecificationError(
                "preprocess: expected a Keras layer, a TensorFlow function or Scaling(mean, std), "
                f"got {type(function).__name__}."
            )
        if isinstance(function, Scaling):
            return tf.cast(function(part), dtype)
        return tf.cast(function(tf.cast(part, dtype)), dtype)

    def _heads(self, raw: Any) -> dict[str, Tensor]:
        import tensorflow as tf

        if isinstance(raw, Mapping):
            named = {str(key): raw[key] for key in raw}
        else:
            flat = tf.nest.flatten(raw)
            named = dict(zip(self.network.output_names(len(flat)), flat, strict=True))
        for name, tensor in named.items():
            if not isinstance(tensor, tf.Tensor):
                raise ModelError(
                    f"{self.name}: the output {name!r} is a {type(tensor).__name__}, not a tensor."
                )
        return named

    # -- what can be said before the model runs ----------------------------------------------------

    def _probe(self) -> None:
        """Trace the model once: heads, links, layers, and whether inputs reach outputs."""
        import tensorflow as tf

        recorded: dict[str, Any] = {}

        def outputs(x: Tensor) -> dict[str, Tensor]:
            trace = self.trace(x)
            links = {name: find_link(tensor) for name, tensor in trace.heads.items()}
            recorded.update(trace=trace, links=links)
            return {name: tf.identity(tensor) for name, tensor in trace.heads.items()}

        def traced() -> Any:
            function = tf.function(outputs, input_signature=[self.spec()], autograph=False)
            return function.get_concrete_function()

        try:
            concrete = traced()
            if _written(concrete):
                self._writes = True
                concrete = traced()
        except (ModelError, SpecificationError):
            raise
        except Exception as error:
            raise ModelError(
                f"{self.name}: the model cannot be called on an input of shape "
                f"{self._shapes()} ({reason_of(error)})."
            ) from error
        if _written(concrete):
            raise ModelError(
                f"{self.name}: the model writes to a tf.Variable of its own when it is called "
                f"({_written(concrete)}); let it do so only when training=True."
            )
        self.outputs = concrete
        self._trace: Trace = recorded["trace"]
        self._links: dict[str, Any] = recorded["links"]
        self._head_operations = {
            name: operations_between([self._trace.x], [tensor])
            for name, tensor in self._trace.heads.items()
        }
        refuse_unconnected(self.name, self._trace.heads, self._head_operations)
        self._unlabelled()

    def _shapes(self) -> Any:
        shapes = {input_.name: input_.shape for input_ in self.layout.inputs}
        return next(iter(shapes.values())) if len(shapes) == 1 else shapes

    def _unlabelled(self) -> None:
        heads = []
        for name, tensor in self._trace.heads.items():
            link, logits, refusal = self._links[name]
            shape = tensor.shape.as_list()
            if tensor.shape.rank is None or any(length is None for length in shape[1:]):
                raise ModelError(
                    f"{self.name}: the output {name!r} has the shape {tensor.shape}, of unknown "
                    "size; give input_shape=, or fix it in the model, as by tf.ensure_shape."
                )
            lengths = tuple(shape[1:])
            operations = self._head_operations[name]
            before = operations_between([self._trace.x], [logits]) if link else operations
            heads.append(
                Head(
                    name,
                    lengths,
                    link,
                    None,
                    outputs=BOTH if link else bounded_of(operations, tensor),
                    logits=bounded_of(before, logits),
                    refusal=refusal,
                )
            )
        self.heads = tuple(
            Head(
                head.name,
                head.shape,
                head.link,
                tensor,
                head.outputs,
                head.logits,
                None if head.refusal is None else f"head {head.name!r}: {head.refusal}",
            )
            for head, tensor in zip(heads, self._labels_of(heads), strict=True)
        )

    def _labels_of(self, heads: Sequence[Head]) -> list[tuple[str, ...] | None]:
        labels = self._labels
        if labels is None:
            return [None] * len(heads)
        if isinstance(labels, Mapping):
            known = [head.name for head in heads]
            for name in labels:
                if name not in known:
                    raise SpecificationError(
                        f"labels: the model has no head {name!r}. {suggest(name, known)}"
                    )
        elif len(heads) > 1:
            raise SpecificationError(
                f"labels: the model has {len(heads)} heads; give a dict with the keys "
                f"{[head.name for head in heads]}."
            )
        else:
            labels = {heads[0].name: labels}
        return [_checked_labels(labels.get(head.name), head) for head in heads]

    @property
    def labels(self) -> Any:
        """Names of the units: a tuple, a dict by head where there are several heads, or None."""
        if len(self.heads) == 1:
            return self.heads[0].labels
        recorded = {head.name: head.labels for head in self.heads if head.labels is not None}
        return recorded or None

    @override
    def activation(self, path: str, who: str) -> Activation:
        tensor = self._trace.tensor(path, who)
        shape = tensor.shape.as_list()
        if tensor.shape.rank is None or any(length is None for length in shape[1:]):
            raise ModelError(
                f"{who}: layer {path!r} gives out the shape {tensor.shape}, of unknown size; "
                "give input_shape=, or fix it in the model, as by tf.ensure_shape."
            )
        operations = operations_between([self._trace.x], [tensor])
        if not operations:
            raise ModelError(f"{who}: layer {path!r} does not depend on the input.")
        return Activation(
            path, tuple(shape[1:]), self._channel_axis(path), bounded_of(operations, tensor)
        )

    def _channel_axis(self, path: str) -> int:
        base = path.rsplit("#", 1)[0]
        layers = self._trace.records.layers
        layer = layers.get(base) or next(
            (layer for name, layer in layers.items() if name.endswith(f"/{base}")), None
        )
        first = getattr(layer, "data_format", "channels_last") == "channels_first"
        return 0 if first else -1

    @override
    def shape_of(self, function: Callable[[Tensors], Tensor]) -> tuple[int | None, ...]:
        import tensorflow as tf

        graph = tf.function(
            lambda x: function(self.trace(x)), input_signature=[self.spec()], autograph=False
        ).get_concrete_function()
        shape = graph.outputs[0].shape
        if shape.rank is None:
            raise ModelError(
                f"{self.name}: a function of unknown rank; let it give (B,) or (B, m)."
            )
        return tuple(shape.as_list())

    def layer_of(self, operation: str) -> str | None:
        """Return the path of the layer in which an operation of this name was traced, if any."""
        records = self._trace.records
        scopes: dict[str, str] = {}
        for path, tensor in records.named().items():
            scopes.setdefault(getattr(tensor, "name", "").rpartition("/")[0], path)
        scope = operation
        while scope := scope.rpartition("/")[0]:
            last = re.sub(r"_\d+$", "", scope.rpartition("/")[2])  # Keras numbers its calls
            named = [path for path in records.layers if path.rpartition("/")[2] == last]
            if scope in scopes or named:
                return scopes[scope] if scope in scopes else named[0]
        return None

    @property
    def nonsmooth(self) -> bool:
        """Whether some output is not continuously differentiable in the input."""
        return has_steps(self._trace.x, self._trace.heads.values()) or any(
            has_kinks(operations) for operations in self._head_operations.values()
        )

    def _inner_precision(self) -> str:
        """Return the coarsest floating-point type between input and outputs."""
        precisions = {
            tensor.dtype.name
            for operations in self._head_operations.values()
            for op in operations
            for tensor in op.outputs
            if tensor.dtype.is_floating
        }
        for name in ("bfloat16", "float16", "float32"):
            if name in precisions:
                return name
        return "float64"

    # -- a copy in another precision must be the same function -------------------------------------

    @property
    def copied(self) -> bool:
        """Whether a copy of the user's model in another precision is asked in its place."""
        return self.original is not None

    def compare_precision(self, x: Rows, where: str) -> None:
        """Compare the copy with the user's model at flat rows, where there is a copy.

        Parameters
        ----------
        x : numpy.ndarray
            Rows (B, n).
        where : str
            What these rows are, for the message.

        Raises
        ------
        ModelError
            If a layer of the copy computes another function; it is named.
        """
        original, network = self.original, self.network
        if original is None or not isinstance(network, KerasNetwork):
            return
        for piece, _ in chunks(x, len(x) if self.rows is None else self.rows):
            compare_copy(original, network, self.preprocessed(piece), where)

    def run(self, x: Rows) -> dict[str, np.ndarray]:
        """Return the raw outputs at flat rows (B, n), in as many calls as the model needs."""
        import tensorflow as tf

        fixed = self.network.rows
        size = len(x) if fixed is None else fixed
        pieces = (
            [self.outputs(tf.constant(piece)) for piece, _ in chunks(x, size)]
            if size
            else [self.outputs(tf.constant(x))]
        )
        return {
            head.name: np.concatenate([np.asarray(piece[head.name]) for piece in pieces])[: len(x)]
            for head in self.heads
        }


def _written(concrete: Any) -> str | None:
    """Return the first operation of a function that writes to a variable, if any."""
    writes = operation_types(concrete.graph.get_operations()) & WRITES
    return min(writes, default=None)


def chunks(x: Rows, size: int) -> list[tuple[Rows, int]]:
    """Cut rows into pieces of a fixed length, the last one filled up by repeating its last row."""
    recorded = []
    for start in range(0, len(x), size):
        piece = x[start : start + size]
        count = len(piece)
        if count < size:
            piece = np.concatenate([piece, np.repeat(piece[-1:], size - count, axis=0)])
        recorded.append((np.ascontiguousarray(piece), count))
    return recorded


def _network(
    model: Any,
    shapes: Any,
    precision: str | None,
    custom_objects: Mapping[str, Any] | None,
    safe_mode: bool,
    signature: str,
) -> tuple[Network, KerasNetwork | None]:
    """Return the network of what the user gave, and the user's own where that is a copy."""
    foresee_backend()
    import keras
    import tensorflow as tf

    if isinstance(model, str | Path):
        path = Path(model).expanduser()
        if is_saved_model(path):
            _refuse_precision(precision, path.name)
            concrete = load_signature(path, signature)
            return GraphNetwork(concrete, path.name), None
        needs_tensorflow_backend()
        loaded = load_keras(path, custom_objects, safe_mode)
        if shapes is None:
            recorded = recorded_shape(path)
            inputs = list(getattr(loaded, "inputs", None) or [])
            if recorded and len(inputs) == 1 and len(inputs[0].shape) == len(recorded) + 2:
                shapes = recorded
        return _keras_network(loaded, shapes, precision, custom_objects, owned=True)
    if isinstance(model, keras.Model):
        needs_tensorflow_backend()
        return _keras_network(model, shapes, precision, custom_objects, owned=False)
    if isinstance(model, type) or not callable(model):
        raise ModelError(
            "Oracle: expected a keras.Model, a path to a .keras or .h5 file, a SavedModel folder "
            f"or a TensorFlow callable, got {type(model).__name__}."
        )
    if isinstance(model, tf.types.experimental.ConcreteFunction):
        _refuse_precision(precision, "a concrete function")
    return function_network(model, shapes, precision), None


def _keras_network(
    model: Any,
    shapes: Any,
    precision: str | None,
    custom_objects: Mapping[str, Any] | None,
    *,
    owned: bool,
) -> tuple[Network, KerasNetwork | None]:
    network = KerasNetwork(model, shapes, owned=owned)
    if precision is None or set(network.dtypes) == {precision}:
        return network, None
    twin = copy_in_precision(model, precision, custom_objects)
    return KerasNetwork(twin, shapes, owned=True), network


def _refuse_precision(precision: str | None, name: str) -> None:
    if precision is not None:
        raise ModelError(
            f"{name}: precision={precision!r} needs a Keras model, since a SavedModel's arithmetic "
            "is fixed; leave precision= out, or pass the Keras model that it was made from."
        )


def _columns(feature_names: Any, name: str, network: Network) -> tuple[str, ...] | None:
    if feature_names is None:
        return None
    if isinstance(feature_names, Mapping):
        names = feature_names.get(name)
        return None if names is None else tuple(str(name) for name in names)
    if len(network.ports) > 1:
        raise SpecificationError(
            "feature_names: the model has several inputs; give a dict with the keys "
            f"{[port.name for port in network.ports]}."
        )
    return tuple(str(name) for name in feature_names)


def _aligned(preprocess: Any, layout: Layout) -> Any:
    """Return the preprocessing with every `Scaling` in the order of its input's columns."""
    if isinstance(preprocess, Mapping):
        return {
            name: function.aligned(layout.input(name, "preprocess").feature_names)
            if isinstance(function, Scaling)
            else function
            for name, function in preprocess.items()
        }
    if isinstance(preprocess, Scaling):
        return preprocess.aligned(layout.inputs[0].feature_names)
    return preprocess


def _checked_labels(labels: Any, head: Head) -> tuple[str, ...] | None:
    if labels is None:
        return None
    names = tuple(str(label) for label in labels)
    allowed = {head.units, 2} if head.units == 1 else {head.units}
    if len(names) not in allowed:
        raise SpecificationError(
            f"labels: head {head.name!r} has {head.units} units, got {len(names)} names."
        )
    if len(set(names)) != len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        raise SpecificationError(f"labels: {twice[0]!r} is given more than once.")
    return names


def _double(tensor: Tensor) -> Tensor:
    import tensorflow as tf

    return tf.cast(tensor, tf.float64)
