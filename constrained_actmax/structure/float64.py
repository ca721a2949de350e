"""A traced function frozen and rewritten in float64: a graph whose pieces can be called alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NoReturn, TypeAlias

import numpy as np
import numpy.typing as npt

from constrained_actmax.errors import RefusedError, reason_of
from constrained_actmax.objectives.signature import Tensor
from constrained_actmax.structure.operations import JOINT, LINEAR_IN, PRODUCTS, SINGLE

SMALL = 16  # entries of a constant that stays in the graph; larger ones are held once and captured

Array = npt.NDArray[Any]

#: Raises for the name and the type of an operation, and why it is refused.
Refuse: TypeAlias = Callable[[str, str, str], NoReturn]


class Float64Graph:
    """The frozen operations of one traced function, in float64.

    The deployed model's own constants are cast, so nothing is rounded twice; custom gradients and
    stopped gradients are taken out, so that derivatives are those of the values. Batch
    normalisation and resizing, whose fused operations do not exist in float64, are written out.

    Parameters
    ----------
    concrete : tensorflow.types.experimental.ConcreteFunction
        Takes x (B, n) and parameters.
    refuse : callable
        Raises for an operation's name and type, and why.

    Attributes
    ----------
    graph : tensorflow.Graph
        For reading: the operations with their shapes.
    x : Tensor
        In it.
    parameters : list of Tensor
        The other arguments.
    outputs : list of Tensor
        What the function returns.
    """

    def __init__(self, concrete: Any, refuse: Refuse) -> None:
        import tensorflow as tf
        from tensorflow.python.framework.convert_to_constants import (
            convert_variables_to_constants_v2,
        )

        frozen = convert_variables_to_constants_v2(concrete, lower_control_flow=False)
        written = _Rewriting(frozen.graph, refuse)
        self._nodes: dict[str, Any] = {node.name: node for node in written.definition.node}
        self._weights: dict[str, Tensor] = {
            name: tf.constant(value) for name, value in written.weights.items()
        }
        self._empty = tf.compat.v1.GraphDef()
        self._empty.CopyFrom(written.definition)
        del self._empty.node[:]
        self.graph = tf.Graph()
        with self.graph.as_default():
            try:
                tf.graph_util.import_graph_def(written.definition, name="")
            except ValueError as error:  # an operation whose shapes do not fit without constants
                raise RefusedError(
                    f"its operations cannot be put together in float64 ({reason_of(error)})"
                ) from error
        names = [tensor.name for tensor in frozen.inputs]
        self.x, *self.parameters = [self.graph.get_tensor_by_name(name) for name in names]
        self.outputs = [self.graph.get_tensor_by_name(tensor.name) for tensor in frozen.outputs]

    def between(
        self, ends: Iterable[Tensor], feeds: Iterable[Tensor]
    ) -> tuple[list[str], list[Tensor]]:
        """Return the operations that `ends` need from `feeds` on, and the feeds that they use."""
        stops = {tensor.name for tensor in feeds}
        used: dict[str, Tensor] = {}
        names: dict[str, None] = {}
        stack = list(ends)
        while stack:
            tensor = stack.pop()
            if tensor.name in stops:
                used[tensor.name] = tensor
            elif tensor.op.name not in names:
                names[tensor.op.name] = None
                stack += tensor.op.inputs
        return list(names), list(used.values())

    def call(
        self,
        ends: Sequence[Tensor],
        feeds: Mapping[str, Tensor],
        names: Iterable[str],
        rewrite: Callable[[Any], Sequence[Any]] | None = None,
    ) -> list[Tensor]:
        """Return `ends` as computed from tensors of the graph that is being built.

        Parameters
        ----------
        ends : sequence of Tensor
            Of `graph`.
        feeds : mapping of str to Tensor
            What stands in the place of tensors, by their names.
        names : iterable of str
            The operations between, as `between` gives them.
        rewrite : callable, optional
            Gives the nodes that replace one.
        """
        import tensorflow as tf

        definition = tf.compat.v1.GraphDef()
        definition.CopyFrom(self._empty)
        mapped = dict(feeds)
        for name in names:
            if name in self._weights:
                mapped[f"{name}:0"] = tf.identity(self._weights[name])
            for node in [self._nodes[name]] if rewrite is None else rewrite(self._nodes[name]):
                added = definition.node.add()
                added.CopyFrom(node)
                kept = [name for name in added.input if not name.startswith("^")]
                del added.input[:]
                added.input.extend(kept)
        inside = [end.name for end in ends if end.name not in feeds]
        tensors = iter(
            tf.graph_util.import_graph_def(
                definition,
                input_map={name: mapped[name] for name in _asked(definition, mapped)},
                return_elements=inside,
                name="part",
            )
            if inside
            else ()
        )
        return [feeds[end.name] if end.name in feeds else next(tensors) for end in ends]

    def function(
        self, ends: Sequence[Tensor], feeds: Sequence[Tensor]
    ) -> Callable[..., list[Array]]:
        """Return a function of arrays in the place of `feeds` that gives `ends` as arrays.

        Where it depends on the input or on parameters otherwise, those are zeros of one row.
        """
        import tensorflow as tf

        rest = [
            parameter
            for parameter in (self.x, *self.parameters)
            if all(parameter is not feed for feed in feeds)
        ]
        names, _ = self.between(ends, [*feeds, *rest])

        def values(*arrays: Tensor) -> list[Tensor]:
            feeds_ = {feed.name: array for feed, array in zip(feeds, arrays, strict=True)}
            for tensor in rest:
                shape = [length or 1 for length in tensor.shape.as_list()]
                feeds_[tensor.name] = tf.zeros(shape, tensor.dtype)
            return [tf.identity(tensor) for tensor in self.call(ends, feeds_, names)]

        specs = [tf.TensorSpec(feed.shape, feed.dtype) for feed in feeds]
        concrete = tf.function(
            values, input_signature=specs, autograph=False
        ).get_concrete_function()

        def run(*arrays: Array) -> list[Array]:
            return [np.asarray(tensor) for tensor in concrete(*map(tf.constant, arrays))]

        return run

    def absolute(self, dependent: Callable[[str], bool]) -> Callable[[Any], list[Any]]:
        """Return the rewriting that replaces every constant by its absolute value.

        Parameters
        ----------
        dependent : callable
            Whether the tensor of a name depends on the part's inputs.
        """
        import tensorflow as tf

        def rewrite(node: Any) -> list[Any]:
            data = [name for name in node.input if not name.startswith("^")]
            # Where nothing depends on the inputs, the value itself is wrapped by who takes it.
            if node.op not in JOINT | PRODUCTS | set(LINEAR_IN) or not any(map(dependent, data)):
                return [node]
            new = tf.compat.v1.NodeDef()
            new.CopyFrom(node)
            if node.op == "Sub":
                new.op = "AddV2"
            elif node.op == "Neg":
                new.op = "Identity"
            extra = []
            op = self.graph.get_operation_by_name(node.name)
            for index, name in enumerate(data):
                if dependent(name) or op.inputs[index].dtype != tf.float64:
                    continue
                wrapped = tf.compat.v1.NodeDef(
                    name=f"{node.name}/float64/absolute_{index}", op="Abs", input=[name]
                )
                wrapped.attr["T"].type = tf.float64.as_datatype_enum
                extra.append(wrapped)
                new.input[index] = wrapped.name
            return [*extra, new]

        return rewrite


class _Rewriting:
    """A graph definition in float64, and its larger constants."""

    def __init__(self, graph: Any, refuse: Refuse) -> None:
        import tensorflow as tf

        self._graph = graph
        self._refuse = refuse
        self._double = tf.float64.as_datatype_enum
        self._floats = {kind.as_datatype_enum for kind in (tf.float32, tf.float16, tf.bfloat16)}
        self.weights: dict[str, Array] = {}
        definition = graph.as_graph_def()
        self.definition = tf.compat.v1.GraphDef()
        self.definition.CopyFrom(definition)
        del self.definition.node[:]
        for node in definition.node:
            for new in self._written(node):
                self.definition.node.add().CopyFrom(new)
        for function in self.definition.library.function:
            for argument in (*function.signature.input_arg, *function.signature.output_arg):
                if argument.type in self._floats:
                    argument.type = self._double
            for node in function.node_def:
                self._widen(node)
                if node.op == "Const" and node.attr["dtype"].type == self._double:
                    self._constant(node)

    def _written(self, node: Any) -> list[Any]:
        self._widen(node)
        if node.op == "Const" and node.attr["dtype"].type == self._double:
            value = self._constant(node)
            if value.size > SMALL:
                self.weights[node.name] = value
                return [_placeholder(node.name, value.shape, self._double)]
        elif node.op in ("StopGradient", "PreventGradient"):
            node.op = "Identity"
            node.attr.pop("message", None)
        elif node.op in ("FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3"):
            return self._normalisation(node)
        elif node.op in ("ResizeBilinear", "ResizeBicubic"):
            return self._separable(node, self._resizing(node))
        elif node.op in SINGLE:
            self._refuse(node.name, node.op, "does not exist in float64")
        elif node.op == "AvgPool3D":
            return self._separable(node, self._averages(node))
        return [node]

    def _widen(self, node: Any) -> None:
        for name in ("_output_shapes", "_gradient_op_type", "_XlaMustCompile"):
            node.attr.pop(name, None)
        for attribute in node.attr.values():
            if attribute.type in self._floats:
                attribute.type = self._double
            kinds = attribute.list.type
            for i, kind in enumerate(kinds):
                if kind in self._floats:
                    kinds[i] = self._double

    def _constant(self, node: Any) -> Array:
        """Cast a constant in place."""
        import tensorflow as tf

        value = np.asarray(tf.make_ndarray(node.attr["value"].tensor)).astype(np.float64)
        node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(value))
        return value

    def _node(self, name: str, op: str, inputs: Sequence[str], **attributes: Any) -> Any:
        import tensorflow as tf

        node = tf.compat.v1.NodeDef(name=name, op=op, input=inputs)
        node.attr["T"].type = self._double
        for key, value in attributes.items():
            node.attr[key].CopyFrom(value)
        return node

    def _new_constant(self, name: str, value: Any) -> Any:
        import tensorflow as tf

        value = np.asarray(value)
        if value.dtype == np.float64 and value.size > SMALL:
            self.weights[name] = value
            return _placeholder(name, value.shape, self._double)
        node = tf.compat.v1.NodeDef(name=name, op="Const")
        node.attr["dtype"].type = tf.as_dtype(value.dtype).as_datatype_enum
        node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(value))
        return node

    def _normalisation(self, node: Any) -> list[Any]:
        """Write batch normalisation as (x - mean) (gamma / sqrt(variance + epsilon)) + beta."""
        x, gamma, beta, mean, variance = node.input[:5]
        if node.attr["is_training"].b:
            self._refuse(node.name, node.op, "normalises by the statistics of the batch")
        name = f"{node.name}/float64"
        channels = self._graph.get_tensor_by_name(full_name(mean)).shape[0]
        first = node.attr["data_format"].s == b"NCHW"
        shape = [channels, 1, 1] if first else [channels]
        nodes = [
            self._new_constant(f"{name}/epsilon", np.float64(node.attr["epsilon"].f)),
            self._node(f"{name}/variance", "AddV2", [variance, f"{name}/epsilon"]),
            self._node(f"{name}/rsqrt", "Rsqrt", [f"{name}/variance"]),
            self._node(f"{name}/factor", "Mul", [f"{name}/rsqrt", gamma]),
            self._new_constant(f"{name}/shape", np.array(shape, dtype=np.int32)),
        ]
        for part, value in (("mean", mean), ("factor", f"{name}/factor"), ("beta", beta)):
            nodes.append(self._node(f"{name}/{part}_shaped", "Reshape", [value, f"{name}/shape"]))
            nodes[-1].attr["Tshape"].type = 3  # int32
        return [
            *nodes,
            self._node(f"{name}/centred", "Sub", [x, f"{name}/mean_shaped"]),
            self._node(f"{name}/scaled", "Mul", [f"{name}/centred", f"{name}/factor_shaped"]),
            self._node(node.name, "AddV2", [f"{name}/scaled", f"{name}/beta_shaped"]),
        ]

    def _resizing(self, node: Any) -> dict[int, Array]:
        """Return the matrices of a resizing over rows and over columns."""
        import tensorflow as tf

        resize = {
            "ResizeBilinear": tf.raw_ops.ResizeBilinear,
            "ResizeBicubic": tf.raw_ops.ResizeBicubic,
        }[node.op]
        before, after = self._lengths(node)
        matrices = {}
        for axis in (1, 2):
            unit = np.eye(before[axis], dtype=np.float32)[np.newaxis, :, np.newaxis]
            resized = resize(
                images=unit,
                size=[after[axis], 1],
                align_corners=node.attr["align_corners"].b,
                half_pixel_centers=node.attr["half_pixel_centers"].b,
            )
            matrices[axis] = np.asarray(resized)[0, :, 0].astype(np.float64)
        return matrices

    def _averages(self, node: Any) -> dict[int, Array]:
        """Return the matrices of average pooling over each axis; padding is left out of means."""
        before, after = self._lengths(node)
        matrices = {}
        for axis, window in enumerate(node.attr["ksize"].list.i):
            if window == 1 and before[axis] == after[axis]:
                continue
            step = node.attr["strides"].list.i[axis]
            whole = (after[axis] - 1) * step + window - before[axis]
            pad = max(whole, 0) // 2 if node.attr["padding"].s == b"SAME" else 0
            start = np.arange(after[axis])[:, np.newaxis] * step - pad
            positions = np.arange(before[axis])
            inside = (positions >= start) & (positions < start + window)
            matrices[axis] = inside / inside.sum(axis=1, keepdims=True)
        return matrices

    def _lengths(self, node: Any) -> tuple[list[int], list[int]]:
        op = self._graph.get_operation_by_name(node.name)
        before, after = op.inputs[0].shape.as_list(), op.outputs[0].shape.as_list()
        if None in (*before[1:], *after[1:]):
            self._refuse(node.name, node.op, "gives a size that is not known beforehand")
        return before, after

    def _separable(self, node: Any, matrices: Mapping[int, Array]) -> list[Any]:
        """Write an operation as one matrix for each axis that it acts on."""
        rank = len(self._graph.get_operation_by_name(node.name).inputs[0].shape)
        letters = "abcde"[:rank]
        nodes, current = [], node.input[0]
        for axis, matrix in matrices.items():
            last = axis == max(matrices)
            name = node.name if last else f"{node.name}/float64/axis_{axis}"
            nodes.append(self._new_constant(f"{node.name}/float64/matrix_{axis}", matrix))
            product = self._node(name, "Einsum", [f"{node.name}/float64/matrix_{axis}", current])
            product.attr["N"].i = 2
            old, new = letters[axis], letters.replace(letters[axis], "z")
            product.attr["equation"].s = f"z{old},{letters}->{new}".encode()
            nodes.append(product)
            current = name
        return nodes


def _placeholder(name: str, shape: Sequence[int], kind: int) -> Any:
    import tensorflow as tf

    node = tf.compat.v1.NodeDef(name=name, op="Placeholder")
    node.attr["dtype"].type = kind
    node.attr["shape"].shape.CopyFrom(tf.TensorShape(shape).as_proto())
    return node


def full_name(name: str) -> str:
    """Return the name of a tensor as graphs write it, from how definitions do."""
    return name if ":" in name else f"{name}:0"


def _asked(definition: Any, mapped: Iterable[str]) -> list[str]:
    """Return which of the tensors the nodes of a definition take."""
    taken = {full_name(name) for node in definition.node for name in node.input}
    return [name for name in mapped if name in taken]
