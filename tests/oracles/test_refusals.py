"""Models that are no differentiable function of each row are refused in one sentence."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from sample_models import dense

from constrained_actmax import Logit, Oracle, Output
from constrained_actmax.errors import BackendError, ModelError, SpecificationError
from constrained_actmax.oracles.loading import needs_tensorflow_backend

L = keras.layers


class Noisy(L.Layer):
    """Adds noise in inference too."""

    def call(self, x: Any) -> Any:
        return x + tf.random.normal(tf.shape(x))


class Centred(L.Layer):
    """Subtracts the mean of the batch."""

    def call(self, x: Any) -> Any:
        return x - tf.reduce_mean(x, axis=0, keepdims=True)


class Counting(L.Layer):
    """Counts its calls."""

    def build(self, shape: Any) -> None:
        self.count = tf.Variable(0.0, trainable=False)

    def call(self, x: Any) -> Any:
        self.count.assign_add(1.0)
        return x * 1.0


class Trained(L.Layer):
    """Calls a layer as in training, always."""

    def __init__(self, inner: Any) -> None:
        super().__init__()
        self.inner = inner

    def call(self, x: Any) -> Any:
        return self.inner(x, training=True)


def sequential(shape: tuple[int, ...], *layers: Any, dtype: str = "float32") -> Any:
    return keras.Sequential([keras.Input(shape, dtype=dtype), *layers])


CASES: list[tuple[str, Any, str]] = [
    ("integers", lambda: sequential((4,), L.Dense(2), dtype="int32"), "takes whole numbers.*int32"),
    (
        "tokens",
        lambda: sequential((4,), L.Embedding(9, 3, name="words"), L.Flatten(), dtype="int32"),
        "behind its Embedding layer 'words'",
    ),
    (
        "second unknown dimension",
        lambda: sequential((None, None, 3), L.GlobalAveragePooling2D(), L.Dense(2)),
        r"second unknown dimension; give input_shape=",
    ),
    (
        "argmax",
        lambda: tf.function(
            lambda x: tf.argmax(x, axis=-1), input_signature=[tf.TensorSpec([None, 3])]
        ),
        "ends in ArgMax.*cut the model before",
    ),
    (
        "constant",
        lambda: tf.function(lambda x: tf.ones([2, 1]), input_signature=[tf.TensorSpec([None, 3])]),
        "does not depend on the input",
    ),
    ("sampling", lambda: sequential((3,), L.Dense(3), Noisy(name="noise")), "samples.*'noise'"),
    (
        "dropout left on",
        lambda: sequential((8,), Trained(L.Dropout(0.5, name="mc"))),
        "samples.*the Dropout layer '.*/mc'",
    ),
    (
        "batch statistics",
        lambda: sequential((3,), L.Dense(3), Centred(name="centring")),
        "neighbours.*the Centred layer 'centring'",
    ),
    (
        "batch norm in training mode",
        lambda: sequential((8,), Trained(L.BatchNormalization(name="bn"))),
        "neighbours.*/bn'",
    ),
    ("counting", lambda: sequential((3,), Counting()), "writes to a tf.Variable of its own"),
    ("a list", lambda: [1, 2], "expected a keras.Model, a path"),
    ("a class", lambda: keras.Sequential, "expected a keras.Model, a path"),
]


@pytest.mark.parametrize(("make", "text"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_refusals(make: Any, text: str) -> None:
    with pytest.raises(ModelError, match=text) as caught:
        Oracle(make(), xla=False)
    assert "\n" not in str(caught.value)


def test_training_flags_of_a_functional_model_are_overruled() -> None:
    x = keras.Input((8,))
    model = keras.Model(x, L.Dropout(0.5)(x, training=True))
    assert Oracle(model, Output(1), xla=False).value(np.ones(8)) == 1.0


def test_gradient_that_does_not_reach_the_input_is_refused_with_the_operation() -> None:
    model = tf.function(
        lambda x: tf.stack([tf.cast(tf.argmax(x, -1), tf.float32), tf.reduce_sum(x, -1)], -1),
        input_signature=[tf.TensorSpec([None, 3])],
    )
    oracle = Oracle(model, Output(1), xla=False)
    assert oracle.value(np.ones(3)) == 3.0
    floor = sequential((3,), L.Dense(2), L.Lambda(lambda x: tf.math.floor(x), output_shape=(2,)))
    with pytest.raises(ModelError, match="no gradient reaches the input: the operation Floor"):
        Oracle(floor, Output(0), xla=False).evaluate(np.ones((1, 3)))


def test_nan_weights_are_named() -> None:
    model = dense()
    model.get_layer("hidden").kernel.assign(np.full((6, 5), np.nan))
    with pytest.raises(ModelError, match="hidden/kernel.*30 of its 30"):
        Oracle(model, Logit(1))


def test_unknown_dimension_is_filled_by_the_user() -> None:
    model = sequential((None, None, 3), L.Conv2D(2, 3), L.GlobalAveragePooling2D())
    oracle = Oracle(model, Output(1), input_shape=(5, 7, 3), xla=False)
    assert oracle.layout.inputs[0].shape == (5, 7, 3)
    assert oracle.evaluate(np.zeros((2, 105)))[1].shape == (2, 1, 105)
    for wrong in ("ab", (0, 3), (1.5, "x")):
        with pytest.raises(SpecificationError, match="input_shape"):
            Oracle(model, Output(1), input_shape=wrong)


def test_sequential_whose_recorded_shape_has_an_axis_too_many() -> None:
    model = sequential((None, 6), L.Dense(4, activation="relu"), L.Dense(2))
    oracle = Oracle(model, Output(1), input_shape=(6,), xla=False)
    x = np.arange(6.0)
    expected = np.asarray(model(x[None, None]))[0, 0, 1]
    assert oracle.value(x) == pytest.approx(expected, rel=1e-6)


def test_wrong_shape_is_said_with_the_models_words() -> None:
    with pytest.raises(ModelError, match=r"cannot be called on an input of shape \(5,\)"):
        Oracle(dense(), Logit(1), input_shape=(5,))


def test_outputs_that_sum_to_one_without_a_softmax() -> None:
    model = sequential(
        (3,), L.Dense(4, "softplus"), L.Lambda(lambda y: y / tf.reduce_sum(y, -1, keepdims=True))
    )
    oracle = Oracle(model, Output(1), xla=False)
    with pytest.raises(ModelError, match=r"no softmax is seen.*Output\(index\)"):
        oracle.with_objectives(Logit(1))


def test_hidden_softmax_is_not_taken_for_logits() -> None:
    hidden = tf.function(lambda y: tf.nn.softmax(y))
    model = tf.function(lambda x: hidden(2 * x), input_signature=[tf.TensorSpec([None, 3])])
    oracle = Oracle(model, Output(1), xla=False)
    with pytest.raises(ModelError, match="hidden inside a nested"):
        oracle.with_objectives(Logit(1))
    inlined = Oracle(model.get_concrete_function(), Logit(1), xla=False)
    assert inlined.value(np.array([1.0, 2.0, 3.0])) == 4.0


def test_another_backend_is_refused_with_the_way_to_switch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("keras.config.backend", lambda: "jax")  # none other is installed
    with pytest.raises(BackendError, match="KERAS_BACKEND=tensorflow"):
        needs_tensorflow_backend()


def test_another_backend_is_refused_before_keras_looks_for_it() -> None:
    code = "import constrained_actmax as cax; cax.examples.load_model()"
    run = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"KERAS_BACKEND": "jax"},
    )
    assert "BackendError: Keras runs on the backend 'jax'" in run.stderr
    assert "KERAS_BACKEND=tensorflow" in run.stderr


def test_importing_loads_no_tensorflow() -> None:
    code = (
        "import sys, constrained_actmax.oracles, constrained_actmax.objectives\n"
        "import constrained_actmax.constraints\n"
        "print([m for m in ('tensorflow', 'keras', 'cvxpy') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
