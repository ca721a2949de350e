"""Reading a traced graph: which operations lie between input and output, and what they imply."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from constrained_actmax.objectives.bounded import BOTH, NEITHER, UNKNOWN, Bounded
from constrained_actmax.objectives.norm import GUARD
from constrained_actmax.objectives.signature import Link, Tensor

#: Operations that are not continuously differentiable. ELU (the operation `Elu`, alpha = 1) is;
#: SELU is not: its slopes at 0 are 1.76 and 1.05. A `Select` whose condition depends on the input
#: is how Keras writes the other piecewise activations.
NONSMOOTH = frozenset(
    "Relu Relu6 LeakyRelu Selu MaxPool MaxPoolV2 MaxPool3D FractionalMaxPool Max Min Maximum "
    "Minimum Abs Sign Floor Ceil Round Rint ArgMax ArgMin SelectV2 Select ClipByValue TopKV2 Sort "
    "SegmentMax UnsortedSegmentMax Dilation2D".split()
)

#: Operations whose outputs are constant between jumps. So is all that makes integers or booleans of
#: floating-point numbers: casts, comparisons, `ArgMax`, `Bucketize`.
STEPS = frozenset(
    "Floor Ceil Round Rint Sign FloorDiv TruncateDiv FakeQuantWithMinMaxArgs "
    "FakeQuantWithMinMaxVars FakeQuantWithMinMaxVarsPerChannel QuantizeAndDequantize "
    "QuantizeAndDequantizeV2 QuantizeAndDequantizeV3 QuantizeAndDequantizeV4".split()
)

#: Operations that are linear or piecewise linear in the input, when their other operands are fixed:
#: a network of nothing else grows without end.
PIECEWISE_LINEAR = frozenset(
    "MatMul BatchMatMul BatchMatMulV2 BatchMatMulV3 Einsum Conv2D Conv3D DepthwiseConv2dNative "
    "Conv2DBackpropInput BiasAdd Add AddV2 AddN Sub Neg Mul RealDiv FusedBatchNorm "
    "FusedBatchNormV2 FusedBatchNormV3 Relu LeakyRelu MaxPool MaxPoolV2 MaxPool3D AvgPool "
    "AvgPool3D Max Mean Sum Maximum Abs Reshape Identity Cast Concat ConcatV2 Pad PadV2 MirrorPad "
    "Transpose Squeeze ExpandDims StridedSlice Slice Pack Unpack Split SplitV Gather GatherV2 Tile "
    "Shape Placeholder SpaceToBatchND BatchToSpaceND SpaceToDepth DepthToSpace ResizeBilinear "
    "ResizeNearestNeighbor Prod Const Fill ZerosLike BroadcastTo EnsureShape".split()
)

#: Operations that pass numbers on, so that the activation before them is the head's link.
PASSING = frozenset(["Identity", "Cast", "CheckNumerics", "EnsureShape"])
RESHAPING = frozenset(["Reshape", "Squeeze", "ExpandDims"])

LINK_OF: dict[str, Link] = {"Softmax": "softmax", "LogSoftmax": "softmax", "Sigmoid": "sigmoid"}
SATURATING = frozenset(["Softmax", "Sigmoid", "Tanh", "Softsign", "Erf", "Sin", "Cos", "Relu6"])
CALLS = frozenset(
    ["PartitionedCall", "StatefulPartitionedCall", "While", "StatelessWhile", "If", "StatelessIf"]
)

#: Operations that write to a variable.
WRITES = frozenset(["AssignVariableOp", "AssignAddVariableOp", "AssignSubVariableOp"])

SHAPES = frozenset(["Shape", "ShapeN", "Size", "Rank"])
SELECTIONS = frozenset(["Select", "SelectV2"])


def operations_between(
    starts: Iterable[Tensor], ends: Iterable[Tensor], *, stopped: bool = False
) -> list[Any]:
    """Return the operations on paths from `starts` to `ends` that carry derivatives.

    With `stopped`, those on paths through `StopGradient` too.
    """
    ends = list(ends)
    starts = list(starts)
    forward: set[Any] = set()
    stack = [consumer for start in starts for consumer in start.consumers()]
    while stack:
        op = stack.pop()
        if op not in forward and op.type not in SHAPES and (stopped or op.type != "StopGradient"):
            forward.add(op)
            stack += [consumer for output in op.outputs for consumer in output.consumers()]
    operations: dict[Any, None] = {}
    stack = [end.op for end in ends]
    while stack:
        op = stack.pop()
        if op in forward and op not in operations:
            operations[op] = None
            stack += [input_.op for input_ in op.inputs]
    return list(operations)


def operation_types(operations: Iterable[Any]) -> frozenset[str]:
    """Return the operations' types, with those inside the functions that they call."""
    operations = list(operations)
    types = {op.type for op in operations if GUARD not in op.name}
    if types & CALLS:
        library = operations[0].graph.as_graph_def().library.function
        types |= {node.op for function in library for node in function.node_def}
    return frozenset(types)


def has_kinks(operations: Iterable[Any]) -> bool:
    """Whether one of the operations is not continuously differentiable.

    Parameters
    ----------
    operations : iterable
        All between input and output, as `operations_between` gives them.
    """
    operations = list(operations)
    dependent = set(operations)
    for op in operations:
        if op.type in SELECTIONS and GUARD not in op.name and op.inputs[0].op in dependent:
            return True
    return bool(operation_types(op for op in operations if op.type not in SELECTIONS) & NONSMOOTH)


def has_steps(start: Tensor, ends: Iterable[Tensor]) -> bool:
    """Whether an operation on the way from `start` to `ends` is constant between jumps.

    Rounding counts behind a `StopGradient` too, as quantizers write it; comparisons there are how a
    log-sum-exp guards itself.
    """
    ends = list(ends)
    if any(is_rounding(op) for op in operations_between([start], ends, stopped=True)):
        return True
    dependent = set(operations_between([start], ends))
    for op in dependent:
        numbers = any(
            input_.dtype.is_floating for input_ in op.inputs if _depends(input_, start, dependent)
        )
        if not numbers or GUARD in op.name:
            continue
        for output in op.outputs:
            whole = output.dtype.is_integer or output.dtype.is_bool
            if whole and any(consumer in dependent for consumer in output.consumers()):
                return True
    return False


def is_rounding(op: Any) -> bool:
    """Whether an operation rounds: by name, or as a cast to integers."""
    if op.type != "Cast":
        return op.type in STEPS
    return bool(op.inputs[0].dtype.is_floating and not op.outputs[0].dtype.is_floating)


def _depends(tensor: Tensor, start: Tensor, dependent: set[Any]) -> bool:
    return tensor is start or tensor.op in dependent


def bounded_of(operations: list[Any], end: Tensor) -> Bounded:
    """Return what the operations up to `end` say about its growth."""
    last = end.op
    while last.type in PASSING | RESHAPING and last.inputs:
        last = last.inputs[0].op
    if last.type in SATURATING:
        return BOTH
    types = operation_types(operations)
    below = True if last.type in ("Relu", "Softplus", "Square", "Exp", "Abs") else None
    if not types or not types <= PIECEWISE_LINEAR:
        return Bounded(None, below)
    dependent = set(operations)
    for op in operations:
        if op.type in ("Mul", "RealDiv", "MatMul", "BatchMatMulV2", "Einsum"):
            carriers = [input_ for input_ in op.inputs if input_.op in dependent]
            if len(carriers) > 1 or (op.type == "RealDiv" and op.inputs[1].op in dependent):
                return UNKNOWN
    return Bounded(False, below) if below else NEITHER


def find_link(output: Tensor) -> tuple[Link | None, Tensor, str | None]:
    """Return the link that made `output`, what went into it, and why it cannot be told.

    Parameters
    ----------
    output : Tensor
        What the model returns, in the graph in which it was called.

    Returns
    -------
    link : {"softmax", "sigmoid"} or None
    logits : Tensor
        Of the shape of `output`; `output` itself where there is no link.
    refusal : str or None
    """
    import tensorflow as tf

    chain = []
    op = output.op
    while op.type in PASSING | RESHAPING | {"Transpose"}:
        chain.append(op)
        op = op.inputs[0].op
    if op.type in CALLS:
        return (
            None,
            output,
            (
                "its last operation is hidden inside a nested tf.function, so its logits cannot be "
                "reached; pass that function or SavedModel folder itself, or use Output(index)."
            ),
        )
    link = LINK_OF.get(op.type)
    if link is None:
        return None, output, None
    moved = any(operation.type == "Transpose" for operation in chain)
    if link == "softmax" and (moved or op.outputs[0].shape[-1] != output.shape[-1]):
        return (
            None,
            output,
            (
                "its softmax runs over an axis that is not the last, so its classes are not its "
                "last axis; use Output((...)) with a full index."
            ),
        )
    logits = op.inputs[0]
    for operation in reversed(chain):
        if operation.type == "Reshape":
            logits = tf.reshape(logits, operation.inputs[1])
        elif operation.type == "Squeeze":
            logits = tf.squeeze(logits, operation.get_attr("squeeze_dims") or None)
        elif operation.type == "ExpandDims":
            logits = tf.expand_dims(logits, operation.inputs[1])
        elif operation.type == "Transpose":
            logits = tf.transpose(logits, operation.inputs[1])
    return link, logits, None
