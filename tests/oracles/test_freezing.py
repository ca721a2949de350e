"""Exported models and concrete functions, laid open: the same numbers as the model's own.

Independent source of the right numbers: the Keras model that was exported, through its own oracle.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from sample_models import shaken

from constrained_actmax import BlackBoxOracle, Logit, Oracle, Output
from constrained_actmax.conformance import check_oracle
from constrained_actmax.errors import ModelError, reason_of

L = keras.layers

#: Layers whose export writes to a seed, or holds a function that XLA compiles on its own.
EXPORTED: dict[str, tuple[Callable[[], Any], tuple[int, ...]]] = {
    "LSTM, dropout": (lambda: L.LSTM(4, dropout=0.2), (4, 3)),
    "GRU, recurrent_dropout": (lambda: L.GRU(4, recurrent_dropout=0.2), (4, 3)),
    "grouped convolution": (lambda: L.Conv2D(4, 3, groups=2), (5, 5, 4)),
}


def classifier(layer: Any, shape: tuple[int, ...]) -> Any:
    return shaken(keras.Sequential([keras.Input(shape), layer, L.Flatten(), L.Dense(3, "softmax")]))


def concrete_of(call: Any, shape: tuple[int, ...], **options: Any) -> Any:
    signature = [tf.TensorSpec([None, *shape], tf.float32)]
    return tf.function(call, input_signature=signature, **options).get_concrete_function()


@pytest.mark.parametrize("name", EXPORTED)
def test_an_export_has_the_models_numbers(tmp_path: Path, name: str) -> None:
    make, shape = EXPORTED[name]
    model = classifier(make(), shape)
    model.export(tmp_path / "folder", verbose=False)
    oracle, twin = (Oracle(one, Logit(1), xla=False) for one in (tmp_path / "folder", model))
    x = np.random.default_rng(5).uniform(size=(2, oracle.size))
    for found, expected in zip(oracle.evaluate(x), twin.evaluate(x), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
    check_oracle(oracle, x)


class Compiled(tf.Module):
    """A module whose inner function XLA compiles, and which counts its calls."""

    def __init__(self) -> None:
        super().__init__()
        rng = np.random.default_rng(1)
        self.weights = tf.Variable(rng.normal(size=(3, 2)), dtype=tf.float32)
        self.count = tf.Variable(0.0)
        self.inner = tf.function(lambda x: tf.nn.softmax(x @ self.weights), jit_compile=True)

    @tf.function(input_signature=[tf.TensorSpec([None, 3])])
    def answer(self, x: Any) -> Any:
        self.count.assign_add(1.0)
        return {"y": self.inner(x)}

    @tf.function(input_signature=[tf.TensorSpec([None, 3])])
    def tired(self, x: Any) -> Any:
        return {"y": self.inner(x) / self.count.assign_add(1.0)}


def test_a_function_that_is_compiled_on_its_own_inside_a_saved_model(tmp_path: Path) -> None:
    module = Compiled()
    tf.saved_model.save(
        module, str(tmp_path), signatures={"serving_default": module.answer, "tired": module.tired}
    )
    x = np.array([[0.1, -0.4, 0.3], [1.0, 0.5, -2.0]])
    for model in (tmp_path, module.answer.get_concrete_function()):
        oracle = Oracle(model, Logit(1), xla=False)
        values, jacobian = oracle.evaluate(x)
        np.testing.assert_allclose(values[:, 0], x @ module.weights.numpy()[:, 1], rtol=1e-5)
        expected = np.broadcast_to(module.weights.numpy()[:, 1], (2, 3))
        np.testing.assert_allclose(jacobian[:, 0], expected, rtol=1e-5)
    tired = module.tired.get_concrete_function()
    for refused in ({"model": tmp_path, "signature": "tired"}, {"model": tired}):
        with pytest.raises(ModelError, match="keeps a state in 'Variable.*stateful=False"):
            Oracle(**refused)
    assert module.count.numpy() == 0.0


def test_an_export_that_samples_is_refused_and_the_way_out_works(tmp_path: Path) -> None:
    model = classifier(L.RandomHue(0.3), (5, 5, 3))
    model.export(tmp_path / "folder", verbose=False)  # Keras exports it in training mode
    with pytest.raises(ModelError, match=r"samples with the seed.*pass the Keras model itself"):
        Oracle(tmp_path / "folder")
    oracle = Oracle(model, Output(1), xla=False)
    x = np.full((1, 5, 5, 3), 0.4)
    assert oracle.value(x.ravel()) == pytest.approx(model.predict(x, verbose=0)[0, 1], rel=1e-5)


def test_an_operation_without_a_derivative_is_named_and_the_ways_out_work(tmp_path: Path) -> None:
    model = classifier(L.Resizing(2, 2, interpolation="area", name="small"), (4, 4, 1))
    model.export(tmp_path / "folder", verbose=False)
    for one in (model, tmp_path / "folder"):
        with pytest.raises(ModelError, match=r"ResizeArea.*has no derivative.*BlackBoxOracle"):
            Oracle(one, Logit(1), xla=False).value_and_gradient(np.ones(16))
    with pytest.raises(ModelError, match="of layer 'small'"):
        Oracle(model, Logit(1), xla=False).value_and_gradient(np.ones(16))
    mended = classifier(L.Resizing(2, 2, interpolation="bilinear"), (4, 4, 1))
    assert np.isfinite(Oracle(mended, Logit(1), xla=False).value_and_gradient(np.ones(16))[1]).all()
    values = BlackBoxOracle(lambda x: np.asarray(model(x[np.newaxis]))[0], (4, 4, 1), Output(1))
    assert values.value(np.ones(16)) == pytest.approx(
        np.asarray(model(np.ones((1, 4, 4, 1))))[0, 1]
    )


def test_what_fails_while_it_runs_is_said_with_its_reason() -> None:
    def checked(x: Any) -> Any:
        tf.debugging.assert_less(x, 2.0, message="pressure above what the pump stands")
        return tf.reduce_sum(x, axis=1)

    oracle = Oracle(checked, Output(0), input_shape=(2,), xla=False)
    with pytest.raises(ModelError, match="InvalidArgumentError: .*above what the pump stands") as e:
        oracle.value_and_gradient(np.array([1.0, 3.0]))
    assert "\n" not in str(e.value)
    with pytest.raises(ModelError, match="fails when it is called.*below zero"):
        Oracle(
            lambda x: (tf.debugging.assert_less(x, 0.0, message="below zero"), x)[1],
            Output(0),
            input_shape=(2,),
        )


def test_reasons_of_keras_and_tensorflow_are_told_without_places() -> None:
    model = keras.Sequential([keras.Input((3,)), L.Dense(2)])
    nested = tf.function(lambda x: tf.reshape(x, (7, -1)))
    asked: list[tuple[Callable[[], Any], str]] = [
        (lambda: L.Dense(2)(keras.Input((None,))), "fully-defined"),
        (lambda: model(np.ones((1, 4))), "axis -1"),
        (lambda: nested(tf.ones(4)), "evenly divisible by 7"),
        (lambda: tf.reshape(tf.ones(4), (7, -1)), "multiple of 7"),
        (lambda: tf.function(lambda x: x @ x)(tf.ones((4, 3))), "Dimensions must be equal"),
    ]
    for call, word in asked:
        with pytest.raises((ValueError, tf.errors.OpError), match=r"\w") as caught:
            call()
        reason = reason_of(caught.value)
        assert word in reason
        assert not any(one in reason for one in ("\n", "File", "{{node}}", "Arguments", "\x1b"))
