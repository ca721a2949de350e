"""Compiled functions of one structure: values, Jacobian, products; with XLA where it pays."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, cast

import numpy as np

from constrained_actmax.errors import ModelError, reason_of
from constrained_actmax.objectives.base import Score
from constrained_actmax.objectives.norm import GUARD
from constrained_actmax.objectives.signature import Tensor
from constrained_actmax.oracles.choices import fingerprint, recall, remember
from constrained_actmax.oracles.graph import (
    has_kinks,
    has_steps,
    is_rounding,
    operations_between,
)
from constrained_actmax.oracles.precision import tolerance_of
from constrained_actmax.oracles.source import Source

UNROLLED = 16  # functions whose backward passes stand one after the other in the graph
XLA_LARGEST_GRAPH = 400  # operations; beyond, compiling takes longer than it can win
XLA_LARGEST_BATCH = 64
XLA_MOST_FUNCTIONS = 4  # each adds a backward pass to what has to be compiled
XLA_LONGEST_CALL = 0.005  # seconds: beyond, arithmetic and not overhead takes the time
XLA_ADVANTAGE = 0.8  # XLA is taken where it needs less than this share of the time
XLA_REPEATS = 9
XLA_COMPARED = 8  # rows at least, of two kinds, at which XLA's numbers are compared
XLA_SPREAD = 0.05  # of the noise on the first kind, relative to an entry and absolute
XLA_SEED = 20260
XLA_ODD_ROWS = 0.25  # share of rows that rounding may put on the other side of a kink


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
        self._agreed: dict[tuple[str, int], float] = {}
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
                "Oracle(function, input_shape=..., differentiable=False)."
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
        found = self._concrete.get((kind, xla))
        return found if found is not None else self._traced(kind, xla)

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
        """Return a function of tensors that runs one kind with the least work around it.

        A concrete function binds its arguments to names and types at every call and looks for
        tapes that watch, which takes 100 of 220 microseconds for a small model; our tensors are
        right already and nothing watches them, so they go straight to TensorFlow's executor.
        """
        found = self._callers.get((kind, xla))
        if found is None:
            concrete = self.concrete(kind, xla)
            try:
                found = _straight(concrete)
            except (AttributeError, ImportError):  # not a promise of TensorFlow's
                found = cast("Callable[..., Any]", concrete)
            found = self._caller_of(found)
            self._callers[kind, xla] = found
        return found

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

    def takes_xla(self, kind: str, setting: bool | str, arguments: Sequence[Any]) -> bool:
        """Return whether XLA serves calls of this batch size; measured once for a model and size.

        XLA replaces many small kernels by one, which pays where overhead takes the time; its
        convolutions are slower than oneDNN's on larger batches. Wherever the choice comes from, its
        numbers are compared with TensorFlow's once for each function and batch size.

        Raises
        ------
        ModelError
            If XLA was asked for and computes other numbers; "auto" goes on without it.
        """
        if setting is False or kind not in ("jacobian", "product"):
            return False
        if setting == "auto" and self.functions > XLA_MOST_FUNCTIONS:
            return False
        batch = int(arguments[0].shape[0])
        choices = self.source.xla_choices
        key = (bool(setting is True), batch, self.source.layout.size)
        if key not in choices:
            if setting is True:
                choices[key] = self._compiles(kind, arguments)
            else:
                choices[key] = self._chosen(kind, batch, arguments)
        return choices[key] and self._agrees(kind, setting, arguments)

    def _chosen(self, kind: str, batch: int, arguments: Sequence[Any]) -> bool:
        """Return the measured choice, from an earlier process where there was one.

        A measurement that comes out differently would change the last bits of every result.
        """
        name = fingerprint(self.concrete(kind).graph, batch)
        known = recall(name)
        if known is None:
            known = self._measured(kind, batch, arguments)
            remember(name, known)
        return known and self._compiles(kind, arguments)

    def _agrees(self, kind: str, setting: bool | str, arguments: Sequence[Any]) -> bool:
        """Return whether XLA gives the numbers that TensorFlow gives without it."""
        batch = int(arguments[0].shape[0])
        if (kind, batch) not in self._agreed:
            able = self._compiles(kind, arguments)
            self._agreed[kind, batch] = self._disagreement(kind, arguments) if able else np.nan
        difference = self._agreed[kind, batch]
        if setting is True and difference > 0.0:
            raise ModelError(
                f"{self.source.name}: xla=True, but for {self._names[0]} XLA computes other values "
                f"or derivatives than TensorFlow (relative difference {difference:.2g}); leave "
                "xla= out."
            )
        return difference == 0.0

    def _disagreement(self, kind: str, arguments: Sequence[Any]) -> float:
        """Return the largest relative difference of XLA's values and derivatives; 0 if only noise.

        Compared at the rows of this call, shaken because subgradients may differ where entries are
        tied, and at draws from the unit cube; each function relative to its largest size over all
        rows. Half of the digits have to agree, but where few rows differ by less than their size,
        rounding has put them on the other side of a kink.
        """
        import tensorflow as tf

        x = arguments[0].numpy()
        rng = np.random.default_rng(XLA_SEED)
        plain, fast = self.concrete(kind), self.concrete(kind, xla=True)
        found: list[list[list[np.ndarray]]] = [[], []]
        for _ in range(-(-XLA_COMPARED // (2 * max(1, len(x))))):
            noise = XLA_SPREAD * rng.standard_normal((2, *x.shape))
            for rows in (x * (1.0 + noise[0]) + noise[1], rng.uniform(size=x.shape)):
                given = [tf.constant(rows), *arguments[1:]]
                for function, kept in zip((plain, fast), found, strict=True):
                    kept.append([np.array(one) for one in function(*given)])
        epsilon, largest = self.source.epsilon, 0.0
        ours, theirs = ([np.concatenate(part) for part in zip(*one, strict=True)] for one in found)
        for expected, given_by_xla in zip(ours, theirs, strict=True):
            relative = _relative(expected, given_by_xla, kind == "product", epsilon)
            odd = relative > tolerance_of(self.source.precision)
            if odd.mean() > XLA_ODD_ROWS or (relative > 1.0).any():
                largest = max(largest, float(relative.max()))
        return largest

    def _compiles(self, kind: str, arguments: Sequence[Any]) -> bool:
        import tensorflow as tf

        try:
            self.concrete(kind, xla=True)(*arguments)
        except (tf.errors.OpError, ValueError, NotImplementedError):
            self._concrete.pop((kind, True), None)
            return False
        return True

    def _measured(self, kind: str, batch: int, arguments: Sequence[Any]) -> bool:
        if batch > XLA_LARGEST_BATCH or self.source.operation_count > XLA_LARGEST_GRAPH:
            return False
        plain = self.concrete(kind)
        plain(*arguments)
        if min(_seconds(plain, arguments) for _ in range(3)) > XLA_LONGEST_CALL:
            return False
        if not self._compiles(kind, arguments):
            return False
        fast = self.concrete(kind, xla=True)
        fast(*arguments)
        pairs = [
            (_seconds(fast, arguments), _seconds(plain, arguments)) for _ in range(XLA_REPEATS)
        ]
        took, plainly = (statistics.median(times) for times in zip(*pairs, strict=True))
        return bool(took < XLA_ADVANTAGE * plainly)


def _relative(ours: np.ndarray, theirs: np.ndarray, total: bool, least: float) -> np.ndarray:
    """Return the relative difference of each row, the largest of its functions, inf for NaN."""
    with np.errstate(over="ignore", invalid="ignore"):
        same = (ours == theirs) | (np.isnan(ours) & np.isnan(theirs))
        difference = np.where(same, 0.0, theirs - ours)
        size = np.where(np.isfinite(ours), ours, 0.0)
        if ours.ndim == 3 or (total and ours.ndim == 2):
            difference, size = (np.linalg.norm(one, axis=-1) for one in (difference, size))
        relative = np.abs(difference) / np.maximum(np.max(np.abs(size), axis=0), least)
    rows = np.where(np.isnan(relative), np.inf, relative).reshape(len(ours), -1)
    worst: np.ndarray = rows.max(axis=1, initial=0.0)
    return worst


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


@cache
def can_begin() -> bool:
    """Return whether this TensorFlow has executors to begin calls with, which it never promised."""
    try:
        from tensorflow.python.eager import context, executor
    except ImportError:
        return False
    return hasattr(context, "executor_scope") and hasattr(executor, "new_executor")


class Line:
    """Calls that TensorFlow computes one after the other while Python goes on.

    They run in a thread of TensorFlow's own, which needs no lock of Python's to go from one call
    to the next. What waits for a call holds the line: with the last of them it is gone, its thread
    too, after the calls in it.
    """

    def __init__(self) -> None:
        from tensorflow.python.eager import executor

        self._executor = executor.new_executor(enable_async=True)

    def __del__(self) -> None:
        try:
            self._executor.wait()
        except Exception:  # of a call that nobody waits for any more
            self._executor.clear_error()

    def begin(
        self, function: Callable[..., Any], arguments: Sequence[Any]
    ) -> Callable[[], list[Any]]:
        """Put a call in line and return a function that waits for its results."""
        from tensorflow.python.eager import context

        with context.executor_scope(self._executor):
            results = function(*arguments)

        def wait() -> list[Any]:
            try:
                return [result.numpy() for result in results]
            except Exception:  # the same call at once says it in the words of the model's code
                self._executor.clear_error()
                return [result.numpy() for result in function(*arguments)]

        return wait


def _joined(columns: Sequence[Tensor]) -> Tensor:
    import tensorflow as tf

    return columns[0] if len(columns) == 1 else tf.concat(columns, axis=1)


def _seconds(function: Any, arguments: Sequence[Any]) -> float:
    start = time.perf_counter()
    result = function(*arguments)
    result[0].numpy()
    return time.perf_counter() - start


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
