"""A concrete function laid open: one flat graph, its variables constants, nothing written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from constrained_actmax.errors import ModelError
from constrained_actmax.oracles.graph import WRITES
from constrained_actmax.oracles.state import SEED

#: Marks of functions that XLA compiles on their own: these are not inlined, and a function that is
#: not has no derivative once its graph is imported.
COMPILED, APART = "_XlaMustCompile", "_noinline"


@dataclass(frozen=True)
class Frozen:
    """The graph of a concrete function whose calls are inlined.

    Parameters
    ----------
    definition : GraphDef
        The graph.
    inputs, outputs : tuple of str
        Names of its tensors.
    """

    definition: Any
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def frozen(concrete: Any, name: str) -> Frozen:
    """Return a concrete function as one flat graph.

    Where the function writes to variables (a seed that advances at every call), each write becomes
    a read, so the variables stay as they are.

    Parameters
    ----------
    concrete : tf.types.experimental.ConcreteFunction
        Such as a SavedModel's signature.
    name : str
        What errors call it.

    Raises
    ------
    ModelError
        If an output depends on a variable that the function writes.
    """
    from tensorflow.python.framework.convert_to_constants import (
        convert_variables_to_constants_v2,
    )

    definition = concrete.graph.as_graph_def()
    compiled, writes = _laid_open(definition)
    if compiled or writes:
        concrete = _function_of(definition, concrete)
    flat = convert_variables_to_constants_v2(concrete, lower_control_flow=False)
    graph = flat.graph.as_graph_def()
    outputs = tuple(tensor.name for tensor in flat.outputs)
    state = _state_of(graph, writes, {output.partition(":")[0] for output in outputs})
    if state is not None:
        sampled = SEED in state
        raise ModelError(
            f"{name}: the same input gives different outputs: the function "
            + (
                f"samples with the seed {state!r}; pass the Keras model itself, which samples in "
                "training alone, or export it without the layer that samples."
                if sampled
                else f"keeps a state in {state!r}; export it without one (stateful=False)."
            )
        )
    return Frozen(graph, tuple(tensor.name for tensor in flat.inputs), outputs)


def _laid_open(definition: Any) -> tuple[bool, frozenset[str]]:
    """Let no function be compiled on its own, and make reads of writes, in place.

    Returns
    -------
    compiled : bool
        Whether there was such a function.
    writes : frozenset of str
        Names of the operations that wrote.
    """
    compiled, writes = False, set()
    library = definition.library.function
    for holder in (*library, *definition.node, *(node for f in library for node in f.node_def)):
        if COMPILED in holder.attr:
            for mark in (COMPILED, APART):
                holder.attr.pop(mark, None)
            compiled = True
    for node in (*definition.node, *(node for f in library for node in f.node_def)):
        if node.op in WRITES:
            writes.add(node.name)
            kept = [name for name in node.input if name.startswith("^")]
            variable, dtype = node.input[0], node.attr["dtype"].type
            node.op = "ReadVariableOp"
            del node.input[:]
            node.input.extend([variable, *kept])
            node.attr.clear()
            node.attr["dtype"].type = dtype
    return compiled, frozenset(writes)


def _function_of(definition: Any, concrete: Any) -> Any:
    """Return the concrete function of another definition of the same graph."""
    import tensorflow as tf

    inputs = concrete.inputs[: len(concrete.inputs) - len(concrete.captured_inputs)]
    names = [tensor.name for tensor in concrete.inputs]
    handles = {id(tensor.handle): str(tensor.name) for tensor in concrete.variables}

    def body(*tensors: Any) -> list[Any]:
        graph = tf.compat.v1.get_default_graph()
        for variable in concrete.variables:
            graph.watch_variable(variable)
        captured = [
            graph.capture(input_, handles.get(id(input_), "").partition(":")[0] or None)
            for input_ in concrete.captured_inputs
        ]
        imported = tf.graph_util.import_graph_def(
            definition,
            input_map=dict(zip(names, [*tensors, *captured], strict=True)),
            return_elements=[tensor.name for tensor in concrete.outputs],
            name="",
        )
        return list(imported)

    signature = [tf.TensorSpec(tensor.shape, tensor.dtype) for tensor in inputs]
    function = tf.function(body, input_signature=signature, autograph=False)
    return function.get_concrete_function()


def _state_of(graph: Any, writes: frozenset[str], outputs: set[str]) -> str | None:
    """Return the name of a variable that was written and that an output depends on, if any."""
    if not writes:
        return None
    nodes = {node.name: node for node in graph.node}
    needed, stack = set(), list(outputs)
    while stack:
        name = stack.pop()
        if name not in needed:
            needed.add(name)
            stack += [
                _node_of(tensor) for tensor in nodes[name].input if not tensor.startswith("^")
            ]
    for node in graph.node:
        if any(node.name == name or node.name.endswith(f"/{name}") for name in writes):
            variable = _node_of(node.input[0])
            while nodes[variable].op == "Identity":
                variable = _node_of(nodes[variable].input[0])
            if variable in needed:
                return variable
    return None


def _node_of(tensor: str) -> str:
    return tensor.partition(":")[0]
