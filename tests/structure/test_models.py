"""Structures of every kind of model that an oracle takes, of objectives, and refusals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import sample_models as samples
import tensorflow as tf
from sample_models import L, shaken

import constrained_actmax as cax

SHARED = {
    "adult_income.h5": 2,
    "aircraft_sizing.keras": 6,
    "cifar10_resnet.h5": 8,
    "crepe_tiny_pitch.keras": 13,
    "dna_regulatory_cnn.keras": 3,
    "fashion_mnist_cnn.keras": 7,
    "fer2013_mini_xception.hdf5": 11,
    "half_plus_two_saved_model": 0,
    "molecule_properties.h5": 3,
    "racing_critic_two_inputs.keras": 2,
    "reformer_surrogate.keras": 2,
    "visual_wake_words_mobilenet.keras": 28,
}


def near_kinks(structure: Any, x: np.ndarray, kinks: int = 4) -> np.ndarray:
    """Points on a few kinks, and a little to either side: Newton's steps from the first point."""
    rng = np.random.default_rng(0)
    points: list[np.ndarray] = []
    numbers = [k for k, one in enumerate(structure.nonlinearities) if one.piecewise_affine]
    for k in rng.permutation(numbers)[:kinks].astype(int).tolist():
        step = structure.nonlinearities[k]
        point, share = x[0].astype(np.float64), rng.uniform()
        for _ in range(5):
            signature = structure.signature(point[np.newaxis])
            E, e = step.sides(signature[k][0])
            if not E.shape[0]:
                break
            j = int(share * E.shape[0])
            g, t = structure.affine(signature, structure.parts[k], E[[j]].toarray())
            normal, z = g[0, 0], float(g[0, 0] @ point + t[0, 0] + e[j])
            square = float(normal @ normal)
            if square < 1e-20:
                break
            point = point - z / square * normal
        else:
            way = 1e-6 * normal / np.sqrt(square)
            points += [point, point + way, point - way]
    return np.array(points).reshape(-1, x.shape[1])


def check(oracle: Any, x: np.ndarray, tolerance: float = 1e-12) -> None:
    """Compare values, and slopes of one combination of the outputs, with the model."""
    structure = oracle.structure()
    x = np.concatenate([x, near_kinks(structure, x)])
    structure.check(x)
    assert structure.difference <= tolerance
    values, deployed = structure.values(x), oracle.source.run(x)
    signature = structure.signature(x)
    assert list(values) == sorted(deployed)
    for name, part in structure.outputs.items():
        expected = deployed[name].reshape(values[name].shape)
        size = np.abs(expected).max() + 1e-30
        np.testing.assert_allclose(values[name], expected, rtol=0, atol=tolerance * size)
        v = np.random.default_rng(0).standard_normal((1, part.size))
        slopes, offsets = structure.affine(signature, part, v)
        there = np.einsum("bmn,bn->bm", np.broadcast_to(slopes, (len(x), 1, oracle.size)), x)
        np.testing.assert_allclose(
            there + offsets, values[name] @ v.T, rtol=0, atol=1e-11 * size * part.size
        )


@pytest.mark.parametrize("name", samples.MODELS)
def test_models_of_every_kind(name: str) -> None:
    oracle = cax.Oracle(samples.MODELS[name]())
    check(oracle, samples.points(name, oracle.size, 3))


@pytest.mark.parametrize("structure", ["list", "dict"])
def test_several_inputs_and_outputs(structure: str) -> None:
    oracle = cax.Oracle(samples.two_inputs(structure))
    assert list(oracle.structure().outputs) == ["kind", "power"]
    check(oracle, samples.points("two inputs", oracle.size))


def test_preprocessing_and_units() -> None:
    scaling = cax.Scaling(mean=np.arange(6.0), std=np.arange(1.0, 7.0))
    oracle = cax.Oracle(samples.dense("relu", None), preprocess=scaling)
    check(oracle, samples.points("dense", 6))
    by_layer = cax.Oracle(samples.dense("relu", None, "float32"), preprocess=L.Rescaling(0.5, -1.0))
    check(by_layer, samples.points("dense", 6), 1e-5)


def test_single_and_half_precision_are_read_in_double() -> None:
    oracle = cax.Oracle(samples.convolutional("float32"))
    structure = oracle.structure()
    x = np.random.default_rng(0).uniform(size=(2, oracle.size))
    assert structure.values(x)["softmax"].dtype == np.float64
    assert 0 < structure.difference < 1e-5
    twin = cax.Oracle(samples.convolutional("float32"), precision="float64").structure()
    np.testing.assert_allclose(structure.values(x)["softmax"], twin.values(x)["softmax"], atol=1e-9)


def test_saved_models(tmp_path: Path) -> None:
    model = samples.convolutional("float32")
    model.export(tmp_path / "saved", verbose=False)
    oracle = cax.Oracle(tmp_path / "saved")
    check(oracle, np.random.default_rng(0).uniform(size=(2, oracle.size)), 1e-5)


def test_fused_batch_normalisation_of_older_graphs() -> None:
    rng = np.random.default_rng(0)
    gamma, beta, mean, variance = (rng.uniform(0.5, 2, 3).astype(np.float32) for _ in range(4))

    @tf.function(input_signature=[tf.TensorSpec([None, 4, 4, 3])])
    def network(x: Any) -> Any:
        y = tf.compat.v1.nn.fused_batch_norm(
            x, gamma, beta, mean, variance, epsilon=1e-3, is_training=False
        )[0]
        return tf.nn.relu(y)

    oracle = cax.Oracle(network)
    check(oracle, rng.uniform(-1, 1, (3, oracle.size)), 1e-5)
    assert [step.kind for step in oracle.structure().nonlinearities] == ["relu"]


def test_callables_with_nested_functions_a_fixed_batch_and_none() -> None:
    weights = tf.constant(np.random.default_rng(0).standard_normal((4, 3)))

    @tf.function
    def inner(x: Any) -> Any:
        return tf.nn.relu(tf.matmul(x, weights))

    @tf.function(input_signature=[tf.TensorSpec([None, 4], tf.float64)])
    def outer(x: Any) -> Any:
        return tf.reduce_sum(inner(x) - inner(-x), axis=1, keepdims=True)

    @tf.function(input_signature=[tf.TensorSpec([4], tf.float64)])
    def single(x: Any) -> Any:
        return tf.nn.relu(tf.linalg.matvec(weights, x, transpose_a=True))

    @tf.function(input_signature=[tf.TensorSpec([1, 4], tf.float64)])
    def fixed(x: Any) -> Any:
        return tf.nn.relu(tf.matmul(x, weights)) + 1.0

    for function in (outer, single, fixed):
        check(cax.Oracle(function), np.random.default_rng(1).standard_normal((3, 4)))


def test_custom_and_stopped_gradients_do_not_count() -> None:
    @tf.custom_gradient
    def odd(x: Any) -> Any:
        return 3.0 * x, lambda up: 0.0 * up

    @tf.function(input_signature=[tf.TensorSpec([None, 2], tf.float64)])
    def network(x: Any) -> Any:
        return odd(x) + tf.stop_gradient(2.0 * x) - x

    structure = cax.Oracle(network).structure()
    slopes, _ = structure.affine((), structure.outputs["output"])
    np.testing.assert_allclose(slopes[0], 4 * np.eye(2))


def test_a_batch_axis_that_moves_is_refused() -> None:
    @tf.function(input_signature=[tf.TensorSpec([None, 3], tf.float64)])
    def network(x: Any) -> Any:
        return tf.transpose(tf.nn.relu(tf.transpose(x)))

    refusal = cax.Oracle(network).structure_refusal()
    assert refusal is not None
    assert "does not keep the batch axis in front" in refusal


def test_the_check_finds_a_part_that_is_not_the_affine_function_read() -> None:
    structure = cax.Oracle(samples.dense("relu", None)).structure()
    x = samples.points("dense", 6)
    structure.check(x)
    structure.parts[0].__dict__["intercept"] = structure.parts[0].intercept + 1e-6
    with pytest.raises(cax.RefusedError, match="hidden: what leads to it is not the affine"):
        structure.check(x)


def test_reading_is_not_counted_as_evaluation() -> None:
    oracle = cax.Oracle(samples.dense("relu", None), cax.Output(0))
    oracle.structure()
    assert (oracle.evaluations, oracle.calls) == (0, 0)


def test_a_model_that_rounding_makes_another_function_is_refused() -> None:
    offset = tf.constant(1e7)

    @tf.function(input_signature=[tf.TensorSpec([None, 2])])
    def network(x: Any) -> Any:
        return tf.nn.relu(x + offset) - offset

    refusal = cax.Oracle(network).structure_refusal()
    assert refusal is not None
    assert "in float64 its values differ from the model's own" in refusal


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (lambda x: tf.nn.gelu(x, approximate=True), "gelu_tanh"),
        (lambda x: x * tf.sigmoid(1.702 * x), "silu"),
        (lambda x: 0.5 * x * (1 + tf.math.erf(x / np.sqrt(2.0))), "gelu"),
        (lambda x: x * tf.tanh(tf.math.softplus(x)), "mish"),
        (lambda x: tf.maximum(0.3 * x, x), "leaky_relu"),
        (lambda x: tf.where(x > 0, x, 0.7 * (tf.exp(x) - 1)), "elu"),
        (lambda x: tf.clip_by_value(x, -0.5, 0.25), "clip"),
        (lambda x: tf.minimum(tf.nn.relu(x), 0.25), "clip"),
        (lambda x: x * x, "square"),
        (lambda x: tf.nn.relu(x) - 0.2 * tf.nn.relu(-x), "leaky_relu"),
        (lambda x: tf.reduce_logsumexp(x, axis=1, keepdims=True), "logsumexp"),
    ],
)
def test_functions_written_as_several_operations(make: Any, kind: str) -> None:
    function = tf.function(make, input_signature=[tf.TensorSpec([None, 4], tf.float64)])
    oracle = cax.Oracle(function)
    assert [step.kind for step in oracle.structure().nonlinearities] == [kind]
    check(oracle, np.random.default_rng(0).uniform(-2, 2, (4, 4)))


def attention(x: Any) -> Any:
    return L.Attention(name="look", dtype="float64")([x, x])


REFUSED = {
    "attention": (attention, "layer 'look'", "multiplies two tensors"),
    "lstm": (lambda x: L.LSTM(3, name="memory", dtype="float64")(x), "layer 'memory'", "loop"),
    "layer norm": (
        lambda x: L.LayerNormalization(name="even", dtype="float64")(x),
        "layer 'even'",
        "multiplies two tensors",
    ),
    "gate": (
        lambda x: L.Multiply(name="gate", dtype="float64")([x, L.Dense(4, dtype="float64")(x)]),
        "layer 'gate'",
        "multiplies two tensors",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusals_name_the_layer_and_the_operation(name: str) -> None:
    make, layer, why = REFUSED[name]
    x = keras.Input((5, 4), dtype="float64")
    y = L.Dense(4, activation="relu", dtype="float64")(x)
    model = keras.Model(x, L.Flatten(dtype="float64")(make(y)), name="net")
    oracle = cax.Oracle(model)
    refusal = oracle.structure_refusal()
    assert refusal is not None
    assert refusal.startswith(f"net: {layer}: the operation ")
    assert why in refusal
    with pytest.raises(cax.RefusedError, match=why):
        oracle.structure()


def test_a_part_of_the_model_that_the_objective_leaves_out_is_not_read() -> None:
    x = keras.Input((5, 4), dtype="float64", name="x")
    good = L.Dense(2, dtype="float64", name="good")(L.Flatten(dtype="float64")(x))
    bad = L.Flatten(dtype="float64", name="bad")(attention(x))
    oracle = cax.Oracle(shaken(keras.Model(x, [good, bad])))
    assert oracle.structure_refusal() is not None
    limited = oracle.with_objectives(cax.Output(0, head="good"))
    assert limited.structure_refusal() is None


OBJECTIVES = {
    "logit": cax.Logit(2),
    "difference": cax.Logit(2) - 0.5 * cax.Logit(0),
    "margin": cax.Margin(1),
    "margin over": cax.Margin(1, over=2),
    "log-probability": cax.LogProbability(1),
    "probability": cax.Probability(1),
    "neuron": cax.Neuron("conv", (2, 3, 1)),
    "layer": cax.Neuron("relu", (2, 3, 1)),
    "channel": cax.Channel("pool", 1),
    "output": cax.Output(1),
    "penalised": cax.Logit(1) - 0.1 * cax.Norm(1) - 0.05 * cax.SquaredDistance(0.5),
    "several": [cax.Logit(0), cax.Logit(1), cax.Margin(2)],
}


@pytest.mark.parametrize("name", OBJECTIVES)
def test_functions_of_objectives_are_read_too(name: str) -> None:
    oracle = cax.Oracle(samples.convolutional()).with_objectives(OBJECTIVES[name])
    structure = oracle.structure()
    x = np.random.default_rng(0).standard_normal((3, oracle.size))
    values, jacobian = oracle.evaluate(x)
    np.testing.assert_allclose(structure.values(x)["functions"], values, rtol=1e-12, atol=1e-12)
    slopes, offsets = structure.affine(structure.signature(x), structure.outputs["functions"])
    slopes = np.broadcast_to(slopes, jacobian.shape)  # a neuron before any ReLU has one slope
    np.testing.assert_allclose(slopes, jacobian, rtol=0, atol=1e-11 * np.abs(jacobian).max())
    there = np.einsum("bmn,bn->bm", slopes, x) + offsets
    np.testing.assert_allclose(there, values, rtol=1e-10, atol=1e-10)


def test_the_graph_is_read_once_and_classes_share_what_is_compiled() -> None:
    oracle = cax.Oracle(samples.convolutional())
    assert not oracle.source.readings
    first = oracle.with_objectives(cax.Logit(0)).structure()
    second = oracle.with_objectives(cax.Logit(2)).structure()
    assert len(oracle.source.readings) == 1
    x = np.random.default_rng(0).standard_normal((1, oracle.size))
    ours = first.values(x)["functions"][0, 0], second.values(x)["functions"][0, 0]
    expected = oracle.with_objectives([cax.Logit(0), cax.Logit(2)]).values(x)[0]
    np.testing.assert_allclose(ours, expected, rtol=1e-12)
    assert first.parts[0]._affine is second.parts[0]._affine


def test_maximize_does_not_read_that_of_a_smooth_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cax.Oracle, "structure", lambda self: pytest.fail("read"))
    cax.maximize(samples.dense("tanh", None), cax.Output(0), cax.Box(0, 1), method="spg", seed=0)


def test_back_substitution_with_a_relaxation_bounds_the_model() -> None:
    """Linear bounds of a ReLU network over a box, by the structure alone (Zhang et al. 2018)."""
    model = shaken(
        keras.Sequential(
            [
                keras.Input((5,), dtype="float64"),
                L.Dense(8, activation="relu", dtype="float64"),
                L.Dense(8, activation="relu", dtype="float64"),
                L.Dense(2, dtype="float64"),
            ]
        )
    )
    oracle = cax.Oracle(model)
    structure = oracle.structure()
    centre, radius = np.full((1, 5), 0.2), np.full((1, 5), 0.3)
    known: list[tuple[np.ndarray, np.ndarray]] = []

    def above(k: int, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        low, high = (one[:, np.newaxis] for one in known[k])
        unstable = (low < 0) & (high > 0)
        upper = np.where(unstable, high / np.maximum(high - low, 1e-30), low >= 0)
        lower = np.where(unstable, high > -low, low >= 0)
        slopes = np.where(rows > 0, upper, lower)
        constants = np.where((rows > 0) & unstable, -upper * low, 0.0)
        return rows * slopes, (rows * constants).sum(axis=-1)

    def bound(part: Any, rows: np.ndarray) -> np.ndarray:
        g, t = structure.back_substitute(part, rows[np.newaxis], above)
        return (g @ centre[0] + np.abs(g) @ radius[0] + t)[0]

    for part in structure.parts:
        eye = np.eye(part.size)
        known.append((-bound(part, -eye)[np.newaxis], bound(part, eye)[np.newaxis]))
    part = structure.outputs["output"]
    upper = bound(part, np.eye(2))
    x = centre + radius * np.random.default_rng(0).uniform(-1, 1, (10_000, 5))
    values = oracle.source.run(x)["output"]
    assert (values <= upper + 1e-12).all()
    assert (upper - values.max(axis=0) < np.ptp(values, axis=0)).all()


@pytest.mark.parametrize("name", SHARED)
def test_real_models(name: str, shared: Path) -> None:
    oracle = cax.Oracle(shared / "models" / name)
    check(oracle, np.random.default_rng(0).uniform(-1, 1, (2, oracle.size)), 1e-5)
    assert len(oracle.structure().nonlinearities) == SHARED[name]
