"""Keras models that write to their own variables: judged by their answers, and left as they were.

Independent source of the right numbers: `predict` of the model itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from sample_models import shaken

from constrained_actmax import Logit, Oracle, Output
from constrained_actmax.conformance import check_oracle
from constrained_actmax.errors import ModelError

L = keras.layers

SEQUENCE, IMAGE, FILM = (4, 3), (6, 6, 3), (3, 5, 5, 1)


class Counting(L.Layer):
    """Counts its calls, which its output does not show."""

    def build(self, shape: Any) -> None:
        self.count = self.add_weight(shape=(), initializer="zeros", trainable=False)

    def call(self, x: Any) -> Any:
        self.count.assign_add(1.0)
        return x * 1.0


class Tiring(Counting):
    """Gives less at every call."""

    def call(self, x: Any) -> Any:
        self.count.assign_add(1.0)
        return x / (1.0 + self.count)


#: Layers that advance a seed, or a count, in inference too, and shapes of their inputs.
ADVANCING: dict[str, tuple[Callable[[], Any], tuple[int, ...]]] = {
    "LSTM, dropout": (lambda: L.LSTM(4, dropout=0.2), SEQUENCE),
    "GRU, recurrent_dropout": (lambda: L.GRU(4, recurrent_dropout=0.2), SEQUENCE),
    "SimpleRNN, both": (lambda: L.SimpleRNN(4, dropout=0.2, recurrent_dropout=0.3), SEQUENCE),
    "Bidirectional": (lambda: L.Bidirectional(L.LSTM(4, dropout=0.2)), SEQUENCE),
    "ConvLSTM1D": (lambda: L.ConvLSTM1D(2, 2, dropout=0.2), FILM[1:]),
    "RandomHue": (lambda: L.RandomHue(0.2), IMAGE),
    "RandomGrayscale": (lambda: L.RandomGrayscale(0.5), IMAGE),
    "MixUp": (L.MixUp, IMAGE),
    "Counting": (Counting, SEQUENCE),
}


def model_of(layer: Any, shape: tuple[int, ...], **batch: Any) -> Any:
    given = keras.Input(batch_shape=(1, *shape)) if batch else keras.Input(shape)
    return shaken(keras.Sequential([given, layer, L.Flatten(), L.Dense(3, "softmax")]))


def contents(model: Any) -> list[np.ndarray]:
    return [np.array(one.numpy()) for one in model.variables]


@pytest.mark.parametrize("name", ADVANCING)
def test_a_model_that_repeats_itself_is_taken_and_left_as_it_was(name: str) -> None:
    make, shape = ADVANCING[name]
    model = model_of(make(), shape)
    before = contents(model)
    oracle = Oracle(model, Logit(1), xla=False)
    x = np.random.default_rng(3).uniform(size=(3, oracle.size))
    check_oracle(oracle, x)
    answers = oracle.outputs(x)
    for then, now in zip(before, contents(model), strict=True):
        np.testing.assert_array_equal(now, then)
    np.testing.assert_allclose(
        answers, model.predict(x.reshape(3, *shape), verbose=0), rtol=1e-5, atol=1e-6
    )
    called = tf.function(
        lambda x: model(x, training=False), input_signature=[tf.TensorSpec([None, *shape])]
    )
    np.testing.assert_array_equal(Oracle(called, Output(1), xla=False).outputs(x), answers)


def test_a_copy_in_float64_leaves_the_seeds_as_they_were() -> None:
    model = model_of(L.LSTM(4, dropout=0.2), SEQUENCE)
    before = contents(model)
    oracle = Oracle(model, Logit(1), xla=False, precision="float64")
    oracle.value_and_gradient(np.ones(oracle.size))
    for then, now in zip(before, contents(model), strict=True):
        np.testing.assert_array_equal(now, then)


@pytest.mark.parametrize(
    ("layer", "text"),
    [
        (lambda: L.LSTM(4, stateful=True, name="memory"), "state.*memory.*stateful=False"),
        (lambda: L.GRU(4, stateful=True, dropout=0.2, name="memory"), "state.*the GRU layer"),
        (lambda: Tiring(name="tiring"), "depends on the inputs before it.*the Tiring layer"),
    ],
    ids=["LSTM", "GRU with dropout", "Tiring"],
)
def test_a_stateful_model_is_refused_and_keeps_its_state(layer: Any, text: str) -> None:
    model = model_of(layer(), SEQUENCE, fixed=True)
    model(np.ones((1, *SEQUENCE)))  # a state of its own, which is not zero
    before = contents(model)
    with pytest.raises(ModelError, match=text):
        Oracle(model, Logit(1), xla=False)
    for then, now in zip(before, contents(model), strict=True):
        np.testing.assert_array_equal(now, then)


def test_the_way_out_of_a_stateful_model_works() -> None:
    stateful = model_of(L.LSTM(4, stateful=True), SEQUENCE, fixed=True)
    plain = model_of(L.LSTM(4), SEQUENCE)
    plain.set_weights(stateful.get_weights())
    x = np.ones((1, *SEQUENCE))
    np.testing.assert_allclose(Oracle(plain, xla=False).outputs(x.ravel()), stateful(x), rtol=1e-5)
