"""Compiled functions of one structure: values, Jacobian, products; with XLA where asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from constrained_actmax.errors import ModelError, reason_of
from constrained_actmax.objectives.base import Score
from constrained_actmax.objectives.norm import GUARD
from constrained_actmax.objectives.signature import Tensor
from constrained_actmax.oracles.executor import executed
from constrained_actmax.oracles.graph import (
    has_kinks,
    has_steps,
    is_rounding,
    operations_between,
)
from constrained_actmax.oracles.precision import tolerance_of
from constrained_actmax.oracles.source import Source
from constrained_actmax.oracles.xla import disagreement

UNROLLED = 16  # functions whose backward passes stand one after the other in the graph


class Compiled:
    """All compiled functions for one sequence of scores.

    Parameters
    ----------
    source : Source
        The model.
    scores : sequence of Score
        The functions, of which only the structure is compiled in.
    names : sequence of str
        What errors call them.
    """

    def __init__(self, source: Source, scores: Sequence[Score], names: Sequence[str]) -> None:
        self.source = source
        self.functions = sum(score.rows for score in scores)
        self._scores = [(score.function, score.rows, len(score.parameters)) for score in scores]
        self._shapes = [
            (array.shape[1:], array.dtype) for score in scores for array in score.parameters
        ]
        self._names = list(names)
        self._concrete: dict[tuple[str, bool], Any] = {}
        self._callers: dict[tuple[str, bool], Callable[..., Any]] = {}
        self._agreed: dict[tuple[str, int], bool] = {}
        self._smooth: bool | None = None
        self._steps: bool | None = None
        self.second_order: bool | None = None
        self.noise: float | None = None  # relative, of the first function; where it was measured

    # -- what is compiled ------------------------------------------------------------------------

    def _values(self, x: Tensor, parameters: Sequence[Tensor]) -> Tensor:
        """Return all functions (B, K), while tracing."""
        return _joined(self._columns(x, parameters))

    def _columns(self, x: Tensor, parameters: Sequence[Tensor]) -> list[Tensor]:
        """Return the functions of each score (B, rows), while tracing."""
        import tensorflow as tf

        trace = self.source.trace(x)
        columns, start = [], 0
        for (function, rows, count), name in zip(self._scores, self._names, strict=True):
            value = function(trace, tuple(parameters[start : start + count]))
            start += count
            if value.shape.rank != (1 if rows == 1 else 2):
                raise ModelError(f"{name}: expected one number for each row, got {value.shape}.")
            columns.append(tf.reshape(tf.cast(value, tf.float64), (-1, rows)))
        return columns

    def _gradient(self, column: Tensor, x: Tensor, name: str) -> Tensor:
        import tensorflow as tf

        try:
            (gradient,) = tf.gradients(column, x)
        except LookupError as error:
            stop = _without_derivative(x, column)
            if stop is None:
                raise
            layer = self.source.layer_of(stop.name)
            raise ModelError(
                f"{name}: the operation {stop.type}"
                + (f" of layer {layer!r}" if layer else "")
                + " has no derivative in TensorFlow; put a differentiable one in its place (such "
                'as Resizing(interpolation="bilinear")), or search by values alone with '
                "BlackBoxOracle(function, shape)."
            ) from error
        if gradient is None:
            stop = _without_derivative(x, column)
            raise ModelError(
                f"{name}: no gradient reaches the input"
                + (
                    f": the operation {stop.type} has none; cut the model before it."
                    if stop
                    else ", because it does not depend on it; watch something that does."
                )
            )
        return gradient

    def _jacobian(self, x: Tensor, *parameters: Tensor) -> tuple[Tensor, Tensor]:
        import tensorflow as tf

        columns = self._columns(x, parameters)  # each differentiated before they are joined
        values = _joined(columns)
        if self.functions <= UNROLLED:
            slopes = [
                self._gradient(column if column.shape[1] == 1 else column[:, k], x, name)
                for column, name in zip(columns, self._names, strict=True)
                for k in range(column.shape[1])
            ]
            if len(slopes) == 1:
                return values, tf.expand_dims(slopes[0], 1)  # the same without a copy
            return values, tf.stack(slopes, axis=1)
        for column, name in zip(columns, self._names, strict=True):
            self._gradient(column, x, name)

        def backward(weights: Tensor) -> Tensor:
            return tf.gradients(values, x, grad_ys=tf.ones_like(values) * weights)[0]

        rows = tf.map_fn(backward, tf.eye(self.functions, dtype=tf.float64))
        return values, tf.transpose(rows, (1, 0, 2))

    def _product(self, x: Tensor, weights: Tensor, *parameters: Tensor) -> tuple[Tensor, Tensor]:
        import tensorflow as tf

        values = self._values(x, parameters)
        total = tf.reduce_sum(values * weights, axis=1)
        return values, self._gradient(total, x, self._names[0])

    def _hessian(
        self, x: Tensor, direction: Tensor, weights: Tensor, *parameters: Tensor
    ) -> Tensor:
        import tensorflow as tf

        total = tf.reduce_sum(self._values(x, parameters) * weights, axis=1)
        gradient = self._gradient(total, x, self._names[0])
        (product,) = tf.gradients(tf.reduce_sum(gradient * direction, axis=1), x)
        return tf.zeros_like(x) if product is None else product

    def concrete(self, kind: str, xla: bool = False) -> Any:
        """Return the concrete function of one kind, traced on first use."""
        function = self._concrete.get((kind, xla))
        return function if function is not None else self._traced(kind, xla)

    def _traced(self, kind: str, xla: bool) -> Any:
        import tensorflow as tf

        bodies: dict[str, Callable[..., Any]] = {
            "values": lambda x, *parameters: self._values(x, parameters),
            "jacobian": self._jacobian,
            "product": self._product,
            "hessian": self._hessian,
        }
        rows = self.source.rows
        before: dict[str, list[Any]] = {
            "product": [tf.TensorSpec([rows, self.functions], tf.float64)],
            "hessian": [
                tf.TensorSpec([rows, self.source.layout.size], tf.float64),
                tf.TensorSpec([rows, self.functions], tf.float64),
            ],
        }
        signature = [self.source.spec(), *before.get(kind, [])]
        signature += [tf.TensorSpec([None, *shape], dtype) for shape, dtype in self._shapes]
        body = bodies[kind]

        def counted(*arguments: Tensor) -> Any:
            self.source.traces += 1
            return body(*arguments)

        function = tf.function(
            counted, input_signature=signature, autograph=False, jit_compile=xla or None
        )
        concrete = function.get_concrete_function()
        self._concrete[kind, xla] = concrete
        return concrete

    def caller(self, kind: str, xla: bool = False) -> Callable[..., Any]:
        """Return a function of tensors that runs one kind with the least work around it."""
        function = self._callers.get((kind, xla))
        if function is None:
            function = self._caller_of(executed(self.concrete(kind, xla)))
            self._callers[kind, xla] = function
        return function

    def _caller_of(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function whose failures are said in one sentence."""
        import tensorflow as tf

        def call(*arguments: Tensor) -> Any:
            try:
                return function(*arguments)
            except tf.errors.OpError as error:
                raise ModelError(
                    f"{self.source.name}: the model, or its derivative, fails when it is called "
                    f"({reason_of(error)})."
                ) from error

        return call

    # -- kinks -----------------------------------------------------------------------------------

    @property
    def smooth(self) -> bool:
        """Whether the functions are continuously differentiable, as far as operations tell."""
        if self._smooth is None:
            graph = self.concrete("jacobian").graph  # which will be needed anyway
            operations = operations_between([graph.inputs[0]], [graph.outputs[0]])
            self._smooth = not has_kinks(operations) and not self.steps
        return self._smooth

    @property
    def steps(self) -> bool:
        """Whether something between input and functions is constant between jumps."""
        if self._steps is None:
            graph = self.concrete("jacobian").graph
            self._steps = has_steps(graph.inputs[0], [graph.outputs[0]])
        return self._steps

    # -- XLA -------------------------------------------------------------------------------------

    def takes_xla(self, kind: str, arguments: Sequence[Any]) -> bool:
        """Return whether XLA can compile calls of this batch size; compared once for each size.

        Raises
        ------
        ModelError
            If XLA computes other numbers than TensorFlow.
        """
        if kind not in ("jacobian", "product"):
            return False
        key = kind, int(arguments[0].shape[0])
        if key not in self._agreed:
            self._agreed[key] = self._compiles(kind, arguments)
            if self._agreed[key]:
                self._compare(kind, arguments)
        return self._agreed[key]

    def _compiles(self, kind: str, arguments: Sequence[Any]) -> bool:
        import tensorflow as tf

        try:
            self.concrete(kind, xla=True)(*arguments)
        except (tf.errors.OpError, ValueError, NotImplementedError):
            self._concrete.pop((kind, True), None)
            return False
        return True

    def _compare(self, kind: str, arguments: Sequence[Any]) -> None:
        difference = disagreement(
            self.concrete(kind),
            self.concrete(kind, xla=True),
            arguments,
            tolerance=tolerance_of(self.source.precision),
            least=self.source.epsilon,
            totals=kind == "product",
        )
        if difference > 0.0:
            raise ModelError(
                f"{self.source.name}: xla=True, but for {self._names[0]} XLA computes other values "
                f"or derivatives than TensorFlow (relative difference {difference:.2g}); leave "
                "xla= out."
            )


def _joined(columns: Sequence[Tensor]) -> Tensor:
    import tensorflow as tf

    return columns[0] if len(columns) == 1 else tf.concat(columns, axis=1)


def _without_derivative(x: Tensor, end: Tensor) -> Any:
    """Return the first operation on the way back from `end` that has no derivative, or None."""
    from tensorflow.python.framework import ops

    for op in operations_between([x], [end]):
        if op.type in ("ZerosLike", "OnesLike", "Fill", "BroadcastTo") or GUARD in op.name:
            continue  # our own masks and guards
        if is_rounding(op) or op.type == "Bucketize":
            return op
        try:
            if ops.get_gradient_function(op) is None:
                return op
        except LookupError:
            return op
    return None
