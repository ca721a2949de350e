"""Cuts a traced network at its nonlinear operations, or says which operation forbids it."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from constrained_actmax.errors import RefusedError
from constrained_actmax.objectives.signature import Tensor
from constrained_actmax.structure.float64 import Float64Graph, full_name
from constrained_actmax.structure.nonlinearities import (
    Curve,
    LogSumExp,
    Nonlinearity,
    Pieces,
    Softmax,
    Windows,
)
from constrained_actmax.structure.operations import (
    CALLS,
    CURVES,
    JOINT,
    LINEAR_IN,
    LOOPS,
    PASSING,
    PIECES,
    POOLS,
    PRODUCTS,
    SHAPES,
)
from constrained_actmax.structure.part import INPUT, Affine, Port, entries
from constrained_actmax.structure.patterns import Match, Patterns

Array = npt.NDArray[Any]

#: Operations that are clip(z, low, high) for some bounds.
CLIPS = frozenset(["Relu", "Relu6", "Maximum", "Minimum", "ClipByValue"])


@dataclass(frozen=True, eq=False)
class Cut:
    """Where the graph is cut: the tensor behind a nonlinear operation and those before it."""

    after: Tensor
    before: tuple[Tensor, ...]
    match: Match | None = None
    axes: Tensor | None = None  # of a log-sum-exp


class Reading:
    """A traced function read once, for any parameters.

    Parameters
    ----------
    concrete : tensorflow.types.experimental.ConcreteFunction
        Takes x (B, n) and parameters.
    names : sequence of str
        Names of its outputs.
    rows : int or None
        The number of points of a call, where the model fixes it.
    layer_of : callable
        Gives the layer of an operation's name, or None.

    Attributes
    ----------
    nonlinearities : tuple of Nonlinearity
        In an order in which each depends on earlier ones alone.
    parts : tuple of (Affine, int, Affine)
        What leads to the pre-activations of each: the part, its roundings, its absolute twin.
    outputs : dict of str to such
        What leads to each output.

    Raises
    ------
    RefusedError
        Names the operation and its layer.
    """

    def __init__(
        self,
        concrete: Any,
        names: Sequence[str],
        rows: int | None,
        layer_of: Callable[[str], str | None],
    ) -> None:
        self._layer_of = layer_of
        self._rows = rows
        self.graph = graph = Float64Graph(concrete, self._refuse_named)
        operations = graph.graph.get_operations()
        self._position = {op.name: index for index, op in enumerate(operations)}
        self._dependent = _reached(operations, [graph.x])
        self._varying = _reached(operations, graph.parameters)
        self._patterns = Patterns(graph, self._dependent, self._varying)
        ends = dict(zip(names, graph.outputs, strict=True))
        ends = {name: end for name, end in ends.items() if end.dtype.is_floating}
        cuts, walked = self._cuts(list(ends.values()))
        self._shapes = self._measured(walked)
        self.nonlinearities = tuple(self._nonlinearity(cut) for cut in cuts)
        self._ports = (self._port(graph.x), *(self._port(cut.after) for cut in cuts))
        self.parts = tuple(self._part(cut.before) for cut in cuts)
        self.outputs = {name: self._part((end,)) for name, end in ends.items()}

    # -- cutting -----------------------------------------------------------------------------------

    def _cuts(self, ends: Sequence[Tensor]) -> tuple[list[Cut], list[Tensor]]:
        """Walk back from the ends and cut at every nonlinear operation."""
        cuts: list[Cut] = []
        seen: dict[str, Tensor] = {}
        heap: list[tuple[int, str, Tensor]] = []

        def ask(tensors: Sequence[Tensor]) -> None:
            for tensor in tensors:
                if tensor.name not in seen and tensor.name in self._dependent:
                    seen[tensor.name] = tensor
                    index = self._position[tensor.op.name]
                    heapq.heappush(heap, (-index, tensor.name, tensor))

        ask(ends)
        while heap:
            _, _, tensor = heapq.heappop(heap)
            if tensor.name == self.graph.x.name:
                continue
            cut = self._cut(tensor)
            if cut is not None:
                cuts.append(cut)
                ask(cut.before)
            else:
                self._check_affine(tensor)
                ask(self._patterns.inputs(tensor))
        cuts.sort(key=lambda cut: self._position[cut.after.op.name])
        return cuts, [tensor for name, tensor in seen.items() if name != self.graph.x.name]

    def _cut(self, tensor: Tensor) -> Cut | None:
        """Return the nonlinear operation that a tensor comes from, or None where it is affine."""
        kind = tensor.op.type
        inputs = self._patterns.inputs(tensor)
        exponentials = self._patterns.log_sum_exp(tensor)
        if exponentials is not None:
            return Cut(tensor, (exponentials[0],), axes=exponentials[1])
        match = self._patterns.match(tensor)
        if match is not None:
            return Cut(tensor, (match.before,), match)
        if kind in CLIPS and len(inputs) == 1:
            return Cut(tensor, (self._clip_start(tensor),))
        single = kind in CURVES or kind in PIECES or kind in ("Softmax", "LogSoftmax")
        if (single and len(inputs) == 1) or kind in POOLS:
            if any(
                input_.name in self._varying for input_ in tensor.op.inputs if input_ not in inputs
            ):
                self._refuse(tensor.op, "bends where a parameter says")
            return Cut(tensor, tuple(inputs))
        return None

    def _clip_start(self, tensor: Tensor) -> Tensor:
        """Return what a chain of clips is taken of."""
        while True:
            (before,) = self._patterns.inputs(tensor)
            start = before
            while start.op.type in PASSING and start.name in self._dependent:
                (start,) = self._patterns.inputs(start)
            inner = self._patterns.inputs(start)
            if start.op.type not in CLIPS or len(inner) != 1 or self._patterns.match(start):
                return before
            tensor = start

    def _check_affine(self, tensor: Tensor) -> None:
        op = tensor.op
        if op.type in LOOPS or op.type.startswith("TensorList"):
            self._refuse(op, "belongs to a loop or a branch, as in a recurrent layer")
        if op.type in CALLS:
            self._refuse(op, "hides its operations in a nested call")
        if not tensor.dtype.is_floating:
            self._refuse(op, f"gives {tensor.dtype.name}, so it jumps")
        dependent = [
            index for index, input_ in enumerate(op.inputs) if input_.name in self._dependent
        ]
        if op.type in JOINT:
            return
        if op.type in LINEAR_IN:
            if set(dependent) <= LINEAR_IN[op.type]:
                return
            self._refuse(op, "divides, selects or filters by what depends on the input")
        if op.type in PRODUCTS:
            if len(dependent) == 1:
                return
            self._refuse(op, "multiplies two tensors that depend on the input")
        self._refuse(op, "is neither affine nor a nonlinear operation that is read")

    def _refuse(self, op: Any, why: str) -> NoReturn:
        self._refuse_named(op.name, op.type, why)

    def _refuse_named(self, name: str, kind: str, why: str) -> NoReturn:
        layer = self._layer_of(name)
        raise RefusedError(
            f"{f'layer {layer!r}' if layer else repr(name)}: the operation {kind} {why}, so the "
            "network cannot be read as affine parts between elementwise nonlinear ones; methods "
            "that need gradients alone take it."
        )

    # -- sizes -------------------------------------------------------------------------------------

    def _measured(self, walked: Sequence[Tensor]) -> dict[str, tuple[int, ...]]:
        """Return the shapes of tensors that depend on the input, for one call of one point."""
        graph = self.graph
        known: dict[str, tuple[int, ...]] = {graph.x.name: (self._rows or 1, int(graph.x.shape[1]))}
        open_ = []
        for tensor in walked:
            if tensor.shape.rank is None or None in tensor.shape.as_list():
                open_.append(tensor)
            else:
                known[tensor.name] = tuple(tensor.shape.as_list())
        if open_:
            values = graph.function(open_, [graph.x])(np.zeros(known[graph.x.name]))
            known |= {
                tensor.name: tuple(value.shape) for tensor, value in zip(open_, values, strict=True)
            }
        return known

    def _size(self, tensor: Tensor) -> int:
        """Return the entries for each point."""
        return entries(self._shapes[tensor.name]) // (self._rows or 1)

    def _port(self, tensor: Tensor) -> Port:
        shape = self._shapes[tensor.name]
        static = tensor.shape.as_list()
        if self._rows is None:
            if static[:1] != [None] or None in static[1:]:
                self._refuse(tensor.op, "does not keep the batch axis in front")
            shape = (-1, *shape[1:])
        return Port(tensor, shape, self._size(tensor))

    def _part(self, ends: Sequence[Tensor]) -> tuple[Affine, int, Affine]:
        """Return what leads from the cuts before to some tensors, and how many roundings it has."""
        stops = {port.tensor.name: number for number, port in enumerate(self._ports, start=INPUT)}
        predecessors: dict[int, Port] = {}
        seen: set[str] = set()
        roundings = 1
        stack = list(ends)
        while stack:
            tensor = stack.pop()
            if tensor.name in seen or tensor.name not in self._dependent:
                continue
            seen.add(tensor.name)
            if tensor.name in stops:
                number = stops[tensor.name]
                predecessors[number] = self._ports[number - INPUT]
                continue
            inputs = self._patterns.inputs(tensor)
            # A sum over all entries of a point at worst, forward or back, and a product.
            roundings += 1 + max(self._size(operand) for operand in (tensor, *inputs))
            stack += inputs
        ordered = {number: predecessors[number] for number in sorted(predecessors)}
        ports = tuple(self._port(end) for end in ends)
        plain = Affine(self.graph, ports, ordered, self._ports, self._rows)
        twin = Affine(
            self.graph,
            ports,
            ordered,
            self._ports,
            self._rows,
            self.graph.absolute(lambda name: full_name(name) in self._dependent),
        )
        return plain, roundings, twin

    # -- nonlinear operations ----------------------------------------------------------------------

    def _nonlinearity(self, cut: Cut) -> Nonlinearity:
        op = cut.after.op
        name = self._layer_of(op.name) or op.name
        size = sum(self._size(tensor) for tensor in cut.before)
        units = self._size(cut.after)
        if cut.axes is not None:
            members = self._reduced(op, cut.before[0], cut.axes)
            return LogSumExp(name, "logsumexp", size, units, members)
        if cut.match is not None:
            return self._matched(cut.match, name, size)
        if op.type in CLIPS and len(self._patterns.inputs(cut.after)) == 1:
            return self._clip(cut, name, size)
        if op.type in CURVES:
            return Curve(name, CURVES[op.type], size, units)
        if op.type in ("Softmax", "LogSoftmax"):
            kind = "softmax" if op.type == "Softmax" else "log_softmax"
            return Softmax(name, kind, size, units, self._shapes[cut.after.name][-1])
        if op.type in ("Abs", "LeakyRelu"):
            below = -1.0 if op.type == "Abs" else float(op.get_attr("alpha"))
            return _homogeneous(name, op.type.lower().replace("yr", "y_r"), size, below, 1.0)
        sign = -1 if op.type in ("Min", "Minimum") else 1
        return Windows(name, "max" if sign == 1 else "min", size, units, self._members(cut), sign)

    def _matched(self, match: Match, name: str, size: int) -> Nonlinearity:
        if match.slopes is None:
            constants = match.scale, match.inner, match.alpha
            return Curve(name, match.kind, size, size, *constants, sampled=True)
        below, above = (np.resize(slope.ravel(), size) for slope in match.slopes)
        return _homogeneous(name, "leaky_relu", size, below, above)

    def _clip(self, cut: Cut, name: str, size: int) -> Nonlinearity:
        """Return a chain of clips as one."""
        chain = []
        tensor = cut.after
        while tensor.name != cut.before[0].name:
            if tensor.op.type in CLIPS:
                chain.append(tensor.op)
            (tensor,) = self._patterns.inputs(tensor)
        low, high = np.full(size, -np.inf), np.full(size, np.inf)
        for op in reversed(chain):
            least, most = self._bounds(op, self._shapes[cut.after.name])
            low, high = np.clip(low, least, most), np.clip(high, least, most)
        zeros, unit_slopes = np.zeros(size), np.ones(size)
        if np.isinf(high).all():
            kind = "relu" if not low.any() else "maximum"
            kinks, slopes, offsets = [low], [zeros, unit_slopes], [low, zeros]
        elif np.isinf(low).all():
            kind, kinks, slopes, offsets = "minimum", [high], [unit_slopes, zeros], [zeros, high]
        else:
            kind, kinks = "clip", [low, high]
            slopes, offsets = [zeros, unit_slopes, zeros], [low, zeros, high]
        return Pieces(name, kind, size, size, np.stack(kinks), np.stack(slopes), np.stack(offsets))

    def _bounds(self, op: Any, shape: tuple[int, ...]) -> tuple[Any, Any]:
        if op.type == "Relu":
            return 0.0, np.inf
        if op.type == "Relu6":
            return 0.0, 6.0
        (tensor,) = op.outputs
        inputs = self._patterns.inputs(tensor)
        if inputs[0].shape.as_list() != tensor.shape.as_list():
            self._refuse(op, "spreads one number over several")
        fixed = [self._fixed(op, input_, shape) for input_ in op.inputs if input_ is not inputs[0]]
        if op.type == "ClipByValue":
            return fixed[0], fixed[1]
        return (fixed[0], np.inf) if op.type == "Maximum" else (-np.inf, fixed[0])

    def _fixed(self, op: Any, tensor: Tensor, shape: tuple[int, ...]) -> Array:
        """Return a constant operand for each entry of one point."""
        if tensor.name in self._varying:
            self._refuse(op, "bends where a parameter says")
        if tensor.name in self._dependent:
            self._refuse(op, "bends where the input says")
        (value,) = self.graph.function([tensor], [])()
        return np.array(np.broadcast_to(value, shape)).ravel()[
            : entries(shape) // (self._rows or 1)
        ]

    def _members(self, cut: Cut) -> Array:
        op = cut.after.op
        if op.type in ("Max", "Min"):
            return self._reduced(op, cut.before[0], op.inputs[1])
        if op.type in ("Maximum", "Minimum"):
            shape = self._shapes[cut.after.name]
            sides, start = [], 0
            for tensor in op.inputs:
                size = self._size(tensor)
                numbers = np.arange(entries(self._shapes[tensor.name])) % size + start
                numbers = numbers.reshape(self._shapes[tensor.name])
                sides.append(np.broadcast_to(numbers, shape).ravel()[: self._size(cut.after)])
                start += size
            return np.stack(sides, axis=1)
        shape = self._shapes[cut.before[0].name]
        after = self._shapes[cut.after.name]
        if op.type == "MaxPoolV2":
            windows, steps = (list(self._whole(op, input_)) for input_ in op.inputs[1:])
        else:
            windows, steps = list(op.get_attr("ksize")), list(op.get_attr("strides"))
        if op.type == "MaxPool" and op.get_attr("padding") == b"EXPLICIT":
            before = list(op.get_attr("explicit_paddings"))[::2]
        elif op.get_attr("padding") == b"SAME":
            before = [
                max((out - 1) * step + window - length, 0) // 2
                for length, out, window, step in zip(shape, after, windows, steps, strict=True)
            ]
        else:
            before = [0] * len(shape)
        return _pooled(shape, after, windows, steps, before)[: self._size(cut.after)]

    def _whole(self, op: Any, tensor: Tensor) -> Array:
        if tensor.name in self._dependent or tensor.name in self._varying:
            self._refuse(op, "takes its sizes from the input")
        return self.graph.function([tensor], [])()[0]

    def _reduced(self, op: Any, before: Tensor, axes: Tensor) -> Array:
        """Return the entries that each result of a reduction is taken over."""
        shape = self._shapes[before.name]
        rank = len(shape)
        gone = sorted({int(axis) % rank for axis in np.ravel(self._whole(op, axes))})
        if 0 in gone:
            self._refuse(op, "runs over the batch axis")
        numbers = np.arange(entries(shape)).reshape(shape)
        width = entries([shape[axis] for axis in gone])
        moved = np.moveaxis(numbers, gone, range(rank - len(gone), rank)).reshape(-1, width)
        return moved[: len(moved) // (self._rows or 1)]


def _reached(operations: Sequence[Any], starts: Sequence[Tensor]) -> set[str]:
    """Return the names of the tensors whose values depend on some tensors."""
    reached = {tensor.name for tensor in starts}
    for op in operations:
        if op.type in SHAPES:
            continue
        if op.type == "IdentityN":
            reached |= {
                after.name
                for before, after in zip(op.inputs, op.outputs, strict=True)
                if before.name in reached
            }
        elif any(input_.name in reached for input_ in op.inputs):
            reached |= {tensor.name for tensor in op.outputs}
    return reached


def _homogeneous(name: str, kind: str, size: int, below: Any, above: Any) -> Pieces:
    zeros = np.zeros((2, size))
    slopes = np.stack([np.broadcast_to(below, size), np.broadcast_to(above, size)])
    return Pieces(name, kind, size, size, zeros[:1], slopes.astype(np.float64), zeros)


def _pooled(
    shape: Sequence[int],
    after: Sequence[int],
    windows: Sequence[int],
    steps: Sequence[int],
    before: Sequence[int],
) -> Array:
    """Return the entries under each window, (results, entries of a window), -1 outside."""
    index: Array = np.zeros((1, 1), dtype=np.int64)
    inside: Array = np.ones((1, 1), dtype=bool)
    for length, out, window, step, pad in zip(shape, after, windows, steps, before, strict=True):
        positions = np.arange(out)[:, np.newaxis] * step - pad + np.arange(window)
        within = (positions >= 0) & (positions < length)
        # (results before, results of this axis) x (entries before, entries of this axis)
        joined = len(index) * out, -1
        index = (index[:, None, :, None] * length + positions[:, None, :]).reshape(joined)
        inside = (inside[:, None, :, None] & within[:, None, :]).reshape(joined)
    return np.where(inside, index, -1)
