"""Nonlinear functions that a trace writes as several operations: SiLU, GELU, PReLU, log-sum-exp."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from constrained_actmax.objectives.signature import Tensor
from constrained_actmax.structure.float64 import Float64Graph
from constrained_actmax.structure.nonlinearities import CURVES
from constrained_actmax.structure.operations import (
    ELEMENTWISE,
    HOMOGENEOUS,
    JOINT,
    PASSING,
    PRODUCTS,
    SCALING,
)

Array = npt.NDArray[Any]

#: Where a function of several operations is compared with the known ones.
GRID = np.concatenate([np.linspace(-8.0, 8.0, 33), [-40.0, -2.6, -0.3, 0.01, 1.7, 40.0]])

AGREEMENT = 1e-12  # relative to the largest value on the grid

#: Which operations make up the curves that are recognised by their values.
MADE_OF: dict[str, frozenset[str]] = {
    "square": frozenset(["Mul"]),
    "silu": frozenset(["Mul", "Sigmoid"]),
    "gelu": frozenset("Mul Neg Erf Erfc AddV2 Add RealDiv Sub".split()),
    "gelu_tanh": frozenset("Mul Neg Tanh AddV2 Add RealDiv Sub Pow Square".split()),
    "mish": frozenset("Mul Softplus Tanh Exp Log1p".split()),
    "hard_silu": frozenset("Mul Relu6 Add AddV2 RealDiv Relu Minimum Maximum ClipByValue".split()),
    "elu": frozenset("Elu SelectV2 Select Greater GreaterEqual Mul Exp Expm1 Sub".split()),
}


@dataclass(frozen=True, eq=False)
class Match:
    """A recognised function of one tensor.

    Parameters
    ----------
    before : Tensor
        The pre-activations.
    kind : str
        "homogeneous", or the name of a curve.
    scale, inner, alpha : float
        Of a curve.
    slopes : numpy.ndarray, shape (2, ...)
        Of a homogeneous function below and above 0, in the shape of one row of the tensor.
    """

    before: Tensor
    kind: str
    scale: float = 1.0
    inner: float = 1.0
    alpha: float = 1.0
    slopes: Array | None = None


class Patterns:
    """Finds functions of each entry that several operations make up.

    Parameters
    ----------
    graph : Float64Graph
    dependent : set of str
        Names of the tensors that depend on the input.
    varying : set of str
        Names of the tensors that depend on parameters.
    """

    def __init__(self, graph: Float64Graph, dependent: set[str], varying: set[str]) -> None:
        self._graph = graph
        self._dependent = dependent
        self._varying = varying
        self._parents: dict[str, Tensor | None] = {}

    def inputs(self, tensor: Tensor) -> list[Tensor]:
        """Return the operands of a tensor's operation that depend on the network's input."""
        operands = tensor.op.inputs
        if tensor.op.type == "IdentityN":
            operands = [operands[tensor.value_index]]
        return [tensor for tensor in operands if tensor.name in self._dependent]

    def parent(self, tensor: Tensor) -> Tensor | None:
        """Return the last tensor that this one is a function of entry by entry, or None."""
        if tensor.name in self._parents:
            return self._parents[tensor.name]
        parent_ = None
        inputs = self.inputs(tensor)
        shape = tensor.shape.as_list()
        if (
            tensor.op.type in ELEMENTWISE
            and inputs
            and all(tensor.shape.as_list() == shape for tensor in inputs)
        ):
            parent_ = inputs[0]
            for other in inputs[1:]:
                parent_ = self._common(parent_, other)
                if parent_ is None:
                    break
        self._parents[tensor.name] = parent_
        return parent_

    def _common(self, a: Tensor, b: Tensor) -> Tensor | None:
        """Return the nearest tensor that both are functions of entry by entry."""
        seen = set()
        ancestor: Tensor | None = a
        while ancestor is not None:
            seen.add(ancestor.name)
            ancestor = self.parent(ancestor)
        other: Tensor | None = b
        while other is not None and other.name not in seen:
            other = self.parent(other)
        return other

    def match(self, tensor: Tensor) -> Match | None:
        """Return the known function that ends at a tensor, where its operation joins several."""
        if len(self.inputs(tensor)) < 2:
            return None
        before = self.parent(tensor)
        if before is None or not before.dtype.is_floating:
            return None
        region = self._region(tensor, before)
        types = {op.type for op in region} - PASSING
        varies = any(input_.name in self._varying for op in region for input_ in op.inputs)
        if varies or not any(self._bends(op) for op in region):
            return None
        if types <= HOMOGENEOUS and self._scales_only(region):
            below, above = self._values(tensor, before, [-1.0, 1.0])
            return Match(before, "homogeneous", slopes=np.stack([-below, above]))
        return self._curve(tensor, before, region, types)

    def _region(self, end: Tensor, before: Tensor) -> list[Any]:
        operations: dict[Any, None] = {}
        stack = [end]
        while stack:
            tensor = stack.pop()
            if tensor is not before and tensor.name != before.name and tensor.op not in operations:
                operations[tensor.op] = None
                stack += self.inputs(tensor)
        return list(operations)

    def _bends(self, op: Any) -> bool:
        """Whether an operation of a region is not affine."""
        if op.type in PRODUCTS:
            return sum(input_.name in self._dependent for input_ in op.inputs) > 1
        return op.type not in JOINT | SCALING

    def _scales_only(self, region: list[Any]) -> bool:
        """Whether operands that do not depend on the input only multiply or divide."""
        for op in region:
            fixed = [
                index
                for index, input_ in enumerate(op.inputs)
                if input_.name not in self._dependent
            ]
            if not fixed or op.type in PASSING:
                continue
            if op.type not in SCALING or (op.type == "RealDiv" and fixed != [1]):
                return False
        return all(
            sum(input_.name in self._dependent for input_ in op.inputs) == 1
            for op in region
            if op.type in SCALING
        )

    def _values(self, end: Tensor, before: Tensor, grid: Any) -> Array:
        """Return the function at the numbers of a grid, (G, ...), in the shape of one row."""
        run = self._graph.function([end], [before])
        shape = [1 if length is None else length for length in before.shape.as_list()]
        values = [run(np.full(shape, value))[0] for value in grid]
        return np.stack(values)

    def _curve(
        self, end: Tensor, before: Tensor, region: list[Any], types: set[str]
    ) -> Match | None:
        named = [kind for kind, made_of in MADE_OF.items() if types <= made_of]
        if not named or None in before.shape.as_list()[1:]:
            return None
        parent = self._values(end, before, GRID).reshape(len(GRID), -1)
        if not np.isfinite(parent).all():
            return None
        values = parent[:, 0]
        spread = np.abs(parent - values[:, np.newaxis]).max()
        at = int(np.flatnonzero(GRID == 2.0)[0])
        for kind in named:
            inner, alpha = self._constants(kind, before, region, values)
            known = CURVES[kind][0](inner * GRID, alpha)
            if known[at] == 0.0 or values[at] == 0.0:
                continue
            scale = float(values[at] / known[at])
            error = np.abs(values - scale * known).max() + spread
            if error <= AGREEMENT * np.abs(values).max():
                return Match(before, kind, scale, inner, alpha)
        return None

    def _constants(
        self, kind: str, before: Tensor, region: list[Any], values: Array
    ) -> tuple[float, float]:
        """Return the inner factor and alpha that a trace's own constants say.

        TensorFlow casts the constants of GELU by way of float32, in float64 too.
        """
        if kind == "elu":
            return 1.0, float(values[GRID == -1.0][0] / np.expm1(-1.0))
        bent = next((op for op in region if op.type in ("Sigmoid", "Erf", "Erfc", "Tanh")), None)
        if bent is None or kind == "mish":
            return 1.0, 1.0
        inside = self._values(bent.inputs[0], before, [1.0, 2.0]).reshape(2, -1)[:, 0]
        if kind == "gelu_tanh":  # c (z + d z^3)
            c = (8 * inside[0] - inside[1]) / 6
            inner = float(c * np.sqrt(np.pi / 2))
            return inner, float((inside[0] / c - 1) / inner**2)
        return float(abs(inside[0]) * (np.sqrt(2) if kind == "gelu" else 1.0)), 1.0

    def log_sum_exp(self, tensor: Tensor) -> tuple[Tensor, Tensor] | None:
        """Return z and the axes of the sum in log(sum(exp(z - m))) + m, for any m, or None.

        The value is that of the log-sum-exp of z whatever m is, as long as it is the same in both
        places and constant over the axes of the sum.
        """
        inputs = [self._passed(input_) for input_ in self.inputs(tensor)]
        if tensor.op.type not in ("Add", "AddV2") or len(inputs) != 2:
            return None
        for log, shift in (inputs, inputs[::-1]):
            if log.op.type != "Log":
                continue
            total = self._passed(log.op.inputs[0])
            if total.op.type != "Sum":
                continue
            exponential = self._passed(total.op.inputs[0])
            if exponential.op.type != "Exp":
                continue
            difference = self._passed(exponential.op.inputs[0])
            if difference.op.type == "Sub" and self._passed(difference.op.inputs[1]) is shift:
                return difference.op.inputs[0], total.op.inputs[1]
        return None

    def _passed(self, tensor: Tensor) -> Tensor:
        while tensor.op.type in PASSING | {"Reshape", "Squeeze"} and tensor.op.type != "IdentityN":
            tensor = tensor.op.inputs[0]
        return tensor
