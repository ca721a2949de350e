"""What a model must keep to be taken: a deterministic, connected function of each row alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from constrained_actmax.errors import ModelError, reason_of
from constrained_actmax.layout import Rows
from constrained_actmax.objectives.bounded import BOTH, Bounded
from constrained_actmax.objectives.signature import Head, Tensor
from constrained_actmax.oracles.graph import operation_types
from constrained_actmax.oracles.network import KerasNetwork
from constrained_actmax.oracles.precision import compare_copy, statistics_inputs
from constrained_actmax.oracles.state import SEED

if TYPE_CHECKING:
    from constrained_actmax.oracles.source import Source, Trace

PROBE_SEED = 20260
PROBE_ROWS = 4  # of each kind of input at which a copy is compared with its model
NOISE = 1e3  # times machine epsilon: what summation orders may change between batch sizes


def refuse_unconnected(
    model: str, heads: Mapping[str, Tensor], operations: Mapping[str, Any]
) -> None:
    """Refuse outputs without a gradient, and those that the input does not reach.

    Parameters
    ----------
    model : str
        Its name.
    heads : dict of tensors
        Outputs by name.
    operations : dict
        By head, the operations between input and output.

    Raises
    ------
    ModelError
        If the only output holds no floating-point numbers, or none depends on the input.
    """
    for name, tensor in heads.items():
        if not tensor.dtype.is_floating and len(heads) == 1:
            last = tensor.op
            while last.type in ("Identity", "Cast") and last.inputs:
                last = last.inputs[0].op
            raise ModelError(
                f"{model}: the output {name!r} is {tensor.dtype.name} (it ends in "
                f"{last.type}), which has no gradient; cut the model before that operation."
            )
    if not any(operations.values()):
        raise ModelError(
            f"{model}: the output {next(iter(heads))!r} does not depend on the input; check how "
            "the model connects them."
        )


def accepted_heads(source: Source, trace: Trace) -> tuple[Head, ...]:
    """Call a traced model at seeded inputs, judge it, and return its heads as these calls see them.

    Heads whose numbers sum to one without a softmax to be seen refuse objectives on classes.

    Raises
    ------
    ModelError
        If a call fails; if the same input gives different outputs, alone, in a batch or after
        another call; or if the copy in another precision computes another function.
    """
    rng = np.random.default_rng(PROBE_SEED)
    first, second = rng.uniform(size=(2, 1, source.layout.size))
    pair = np.concatenate([first, second])
    try:
        if trace.updates:
            _refuse_state(source, trace, first)
        once, again = source.run(first), source.run(first)
        beside = source.run(pair)
    except ModelError:
        raise
    except Exception as error:
        raise ModelError(
            f"{source.name}: the model fails when it is called ({reason_of(error)})."
        ) from error
    for name in once:
        if once[name].dtype.kind != "f" and once[name].dtype.name != "bfloat16":
            continue
        if not _close(source, once[name], again[name]):
            raise ModelError(
                f"{source.name}: the same input gives different outputs {name!r}: the model "
                f"samples{_suspects(source, trace, first, first)}; take the random part out, or "
                "fix it."
            )
        if not _close(source, once[name], beside[name][:1]):
            raise ModelError(
                f"{source.name}: the output {name!r} of one input changes with its neighbours in "
                f"the batch{_suspects(source, trace, first, pair)}; the model must treat rows one "
                "by one (training=False)."
            )
    if source.copied:
        _compare_copy(source)
    return tuple(_judged(head, beside[head.name]) for head in source.heads)


def _close(source: Source, a: np.ndarray, b: np.ndarray) -> bool:
    tolerance = NOISE * source.epsilon
    a, b = a.astype(np.float64), b.astype(np.float64)
    finite = a[np.isfinite(a)]
    scale = float(np.max(np.abs(finite), initial=0.0))
    return bool(np.allclose(a, b, rtol=tolerance, atol=tolerance * scale, equal_nan=True))


def _suspects(source: Source, trace: Trace, first_rows: Rows, other: Rows) -> str:
    """Name the first layers whose activations differ between two calls."""
    import tensorflow as tf

    if source.rows is not None:
        return ""
    names: list[str] = []

    def activations(x: Tensor) -> list[Tensor]:
        watched = source.trace(x).watchable()
        names[:] = watched
        return list(watched.values())

    function = tf.function(activations, input_signature=[source.spec()], autograph=False)
    first, second = (function(tf.constant(x)) for x in (first_rows, other))
    for name, a, b in zip(names, first, second, strict=True):
        if not _close(source, np.asarray(a)[:1], np.asarray(b)[:1]):
            return f" ({_suspect(trace, name)})"
    random = sorted(
        name
        for name in operation_types(source.outputs.graph.get_operations())
        if "Random" in name or "Multinomial" in name
    )
    return f" (suspect: the operation {random[0]})" if random else ""


def _suspect(trace: Trace, name: str) -> str:
    layer = trace.records.layers.get(name.split("#")[0])
    return f"suspect: the {type(layer).__name__} layer {name!r}"


def _refuse_state(source: Source, trace: Trace, x: Rows) -> None:
    """Refuse a model whose second call answers otherwise, because of what the first wrote.

    Both calls are computed in one graph, which hands what the first would have written to the
    second; nothing is written.
    """
    import tensorflow as tf

    names: list[str] = []

    def calls(x: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        first = source.trace(x)
        second = source.trace(x, first.updates)
        earlier, other = first.watchable(), second.watchable()
        names[:] = [name for name in earlier if name in other]
        return (
            [*(earlier[name] for name in names), *first.heads.values()],
            [*(other[name] for name in names), *second.heads.values()],
        )

    function = tf.function(calls, input_signature=[source.spec()], autograph=False)
    same = [
        _close(source, np.asarray(a), np.asarray(b))
        for a, b in zip(*function(tf.repeat(x, source.rows or 1, axis=0)), strict=True)
    ]
    if all(same[len(names) :]):
        return
    index = same.index(False)
    suspect = f" ({_suspect(trace, names[index])})" if index < len(names) else ""
    kept = [str(variable.path) for variable, _ in trace.updates if SEED not in variable.path]
    if not kept:
        raise ModelError(
            f"{source.name}: the same input gives different outputs: the model samples{suspect}; "
            "take the random part out, or fix it."
        )
    raise ModelError(
        f"{source.name}: the answer to an input depends on the inputs before it, because the "
        f"model keeps a state in {kept[0]!r}{suspect}; build the layer without a state "
        "(stateful=False)."
    )


def _compare_copy(source: Source) -> None:
    """Compare a copy at plain inputs, and where the layers' own statistics say inputs lie."""
    rng = np.random.default_rng(PROBE_SEED)
    shape = PROBE_ROWS, source.layout.size
    x = np.concatenate([rng.uniform(size=shape), rng.standard_normal(shape)])
    source.compare_precision(x, "inputs between -3 and 3")
    original, network = source.original, source.network
    if original is None or not isinstance(network, KerasNetwork) or source.rows is not None:
        return
    for inputs in statistics_inputs(original, PROBE_SEED):
        fixed = [
            np.broadcast_to(part, (len(part), *np.shape(prepared)[1:]))
            for part, prepared in zip(inputs, source.preprocessed(x[:1]), strict=True)
        ]
        compare_copy(original, network, fixed, "inputs of its layers' own statistics")


def _judged(head: Head, probes: np.ndarray) -> Head:
    """Return the head; it refuses class objectives if its numbers are hidden probabilities."""
    y = probes.astype(np.float64)
    if not (
        head.link is None
        and head.refusal is None
        and head.units > 1
        and y.size
        and (y >= 0).all()
        and np.allclose(y.sum(axis=-1), 1.0, atol=1e-3)
        and len(y) > 1
        and not np.array_equal(y[0], y[1])
    ):
        return head
    return replace(
        head,
        outputs=BOTH,
        logits=Bounded(),
        refusal=f"head {head.name!r}: its numbers sum to one, but no softmax is seen that makes "
        "them, so there are no logits; use Output(index).",
    )
