"""One affine part of the network: forward, and transposed on coefficient rows."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from constrained_actmax.layout import Rows, Vector
from constrained_actmax.objectives.signature import Tensor
from constrained_actmax.oracles.source import chunks
from constrained_actmax.structure.float64 import Float64Graph

Array = npt.NDArray[Any]

#: The number that stands for the network's input among the predecessors of a part.
INPUT = -1

ENTRIES = 2**25  # numbers that one call may hold for its widest tensor: 256 MiB


@dataclass(frozen=True, eq=False)
class Port:
    """A tensor between parts, as a flat row for each point.

    Parameters
    ----------
    tensor : Tensor
        Of the graph.
    shape : tuple of int
        Of one call; -1 for the leading axis where the number of points is free.
    size : int
        Entries for each point.
    """

    tensor: Tensor
    shape: tuple[int, ...]
    size: int


@dataclass(frozen=True, eq=False)
class Affine:
    """What a part computes, for any parameters: compiled once.

    Parameters
    ----------
    graph : Float64Graph
    ends : tuple of Port
        What it leads to, laid side by side.
    predecessors : dict of int to Port
        What it depends on, by number.
    ports : tuple of Port
        All tensors at which the graph may be cut.
    rows : int or None
        The number of points of a call where the model fixes it.
    rewrite : callable, optional
        Of the nodes of the absolute twin.
    """

    graph: Float64Graph
    ends: tuple[Port, ...]
    predecessors: Mapping[int, Port]
    ports: tuple[Port, ...]
    rows: int | None
    rewrite: Callable[[Any], Sequence[Any]] | None = None
    _cut: tuple[list[str], list[Port]] = field(init=False)

    def __post_init__(self) -> None:
        ends = [port.tensor for port in self.ends]
        names, used = self.graph.between(
            ends, [port.tensor for port in self.ports] + self.graph.parameters
        )
        taken = {tensor.name for tensor in used}
        object.__setattr__(
            self, "_cut", (names, [port for port in self.ports if port.tensor.name in taken])
        )

    @property
    def size(self) -> int:
        """Entries of the result for each point."""
        return sum(port.size for port in self.ends)

    @property
    def widest(self) -> int:
        """Entries for each point of the largest tensor that a call takes or gives."""
        return max(self.size, *(port.size for port in self._cut[1]), 1)

    def _result(
        self, inputs: Mapping[str, Tensor], parameters: Sequence[Tensor], count: Any
    ) -> Any:
        import tensorflow as tf

        names, used = self._cut
        feeds = {}
        for port in used:
            flat = inputs.get(port.tensor.name)
            if flat is None:  # of which the shape alone is asked
                flat = tf.zeros([count, port.size], tf.float64)
            feeds[port.tensor.name] = tf.reshape(flat, port.shape)
        for tensor, value in zip(self.graph.parameters, parameters, strict=True):
            feeds[tensor.name] = value
        tensors = self.graph.call([port.tensor for port in self.ends], feeds, names, self.rewrite)
        flat = [
            tf.reshape(tensor, [count, port.size])
            for tensor, port in zip(tensors, self.ends, strict=True)
        ]
        return flat[0] if len(flat) == 1 else tf.concat(flat, axis=1)

    def _parameters(self) -> list[Any]:
        import tensorflow as tf

        return [
            tf.TensorSpec(parameter.shape, parameter.dtype) for parameter in self.graph.parameters
        ]

    @cached_property
    def forward(self) -> Any:
        """The compiled function of the predecessors' flat rows and the parameters."""
        import tensorflow as tf

        def forward(*arguments: Tensor) -> Tensor:
            inputs = {
                port.tensor.name: value
                for port, value in zip(self.predecessors.values(), arguments, strict=False)
            }
            count = tf.shape(arguments[0])[0]
            return self._result(inputs, arguments[len(self.predecessors) :], count)

        specs = [
            tf.TensorSpec([self.rows, port.size], tf.float64) for port in self.predecessors.values()
        ]
        return tf.function(
            forward, input_signature=[*specs, *self._parameters()], autograph=False
        ).get_concrete_function()

    @cached_property
    def transposed(self) -> Any:
        """The compiled function of coefficient rows and the parameters."""
        import tensorflow as tf

        def transposed(rows: Tensor, *parameters: Tensor) -> list[Tensor]:
            count = tf.shape(rows)[0]
            inputs = {
                port.tensor.name: tf.zeros([count, port.size], tf.float64)
                for port in self.predecessors.values()
            }
            value = self._result(inputs, parameters, count)
            slopes = tf.gradients(
                value, list(inputs.values()), grad_ys=rows, unconnected_gradients="zero"
            )
            return [tf.identity(slope) for slope in slopes]

        spec = tf.TensorSpec([self.rows, self.size], tf.float64)
        return tf.function(
            transposed, input_signature=[spec, *self._parameters()], autograph=False
        ).get_concrete_function()


class Part:
    r"""An affine part, :math:`z = b + \sum_p W_p h_p`, from values before it to pre-activations.

    Parameters
    ----------
    affine : Affine
        What is compiled.
    parameters : sequence of Tensor
        The numbers that the objectives pass.
    twin : callable, optional
        Makes the twin with absolute constants.

    Attributes
    ----------
    predecessors : tuple of int
        The nonlinearities whose results it takes, ascending; -1 stands for the network's input.
    size : int
        Entries of z.
    roundings : int
        No more than so many roundings one after the other make an entry of z, or of a transposed
        product: the n of Higham's γ_n = n u / (1 - n u).
    """

    def __init__(
        self,
        affine: Affine,
        parameters: Sequence[Tensor],
        roundings: int,
        twin: Affine | None = None,
    ) -> None:
        self._affine = affine
        self._parameters = parameters
        self._twin = twin
        self.roundings = roundings
        self.predecessors = tuple(affine.predecessors)
        self.size = affine.size

    @cached_property
    def intercept(self) -> Vector:
        """What comes out where nothing goes in, the vector b."""
        zeros = [np.zeros((1, port.size)) for port in self._affine.predecessors.values()]
        return np.asarray(self._called(self._affine.forward, zeros)[0][0])

    @cached_property
    def absolute(self) -> Part | None:
        r"""The part with the absolute values of all constants, or None where there is none.

        Its maps are entrywise at least :math:`|W_p|` and :math:`|b|`; they carry error terms.
        """
        if self._twin is None:
            return None
        return Part(self._twin, self._parameters, self.roundings)

    def apply(self, values: Mapping[int, Rows]) -> Rows:
        """Return z (B, size) from values (B, units) of each predecessor."""
        return self._called(self._affine.forward, [values[p] for p in self.predecessors])[0]

    def pull(self, rows: Array) -> tuple[dict[int, Array], Array]:
        r"""Carry coefficient rows back: :math:`v^T z = \sum_p (W_p^T v)^T h_p + v^T b`.

        Parameters
        ----------
        rows : numpy.ndarray, shape (..., size)
            Coefficients v of z.

        Returns
        -------
        rows : dict of int to numpy.ndarray, shape (..., units)
            :math:`W_p^T v` for each predecessor.
        constants : numpy.ndarray, shape (...)
            :math:`v^T b`.
        """
        lead = rows.shape[:-1]
        flat = np.ascontiguousarray(rows, dtype=np.float64).reshape(-1, self.size)
        tensors = self._called(self._affine.transposed, [flat])
        pulled = {
            p: rows_.reshape(*lead, rows_.shape[-1])
            for p, rows_ in zip(self.predecessors, tensors, strict=True)
        }
        return pulled, weighted(flat, self.intercept).reshape(lead)

    def _called(self, function: Any, arrays: Sequence[Rows]) -> list[Rows]:
        """Call a compiled function on rows, in pieces that fit."""
        import tensorflow as tf

        count = len(arrays[0])
        if count == 0:
            arrays = [np.zeros((1, array.shape[1])) for array in arrays]
        fixed = self._affine.rows
        most = max(1, ENTRIES // self._affine.widest)
        size = fixed or min(max(count, 1), most)
        pieces = []
        for start in range(0, max(count, 1), size):
            cut = [array[start : start + size] for array in arrays]
            length = min(len(cut[0]), count)
            if fixed is not None:
                cut = [chunks(array, size)[0][0] for array in cut]
            results = function(*map(tf.constant, cut), *self._parameters)
            listed = results if isinstance(results, list | tuple) else [results]
            pieces.append([np.asarray(tensor)[:length] for tensor in listed])
        if len(pieces) == 1:
            return pieces[0]
        return [np.concatenate(parts) for parts in zip(*pieces, strict=True)]


def weighted(rows: Array, values: Vector) -> Vector:
    """Return rows @ values, where 0 times infinity is 0."""
    if np.isfinite(values).all():
        return np.asarray(rows @ values)
    products = np.multiply(rows, values, where=rows != 0.0, out=np.zeros_like(rows))
    return np.asarray(products.sum(axis=-1))


def entries(shape: Sequence[int]) -> int:
    """Return the number of entries of a shape."""
    return math.prod(shape)
