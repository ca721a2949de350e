"""A model passed again is not compiled again; its changes are seen; it is freed when let go."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from sample_models import dense, nested, shaken, subclassed, two_inputs

import constrained_actmax as cax
from constrained_actmax import Logit, Oracle, Output, Scaling
from constrained_actmax.errors import ModelError
from constrained_actmax.oracles.kept import KEPT_SOURCES

L = keras.layers
X = np.array([0.3, -0.2, 0.7, 0.1, -0.5, 0.9])


def function_of(weights: tf.Variable) -> Any:
    return tf.function(
        lambda x: tf.tanh(x @ weights), input_signature=[tf.TensorSpec([None, 6], tf.float64)]
    )


def test_a_loop_over_calls_compiles_once() -> None:
    model = dense()
    results = [
        cax.maximize(model, Logit(1), cax.Box(0, 1), x0=X, budget=cax.Budget(evaluations=5))
        for _ in range(2)
    ]
    source = Oracle(model).source
    traces = source.traces
    results += [
        cax.maximize(model, Logit(k), cax.Box(0, 1), x0=X, budget=cax.Budget(evaluations=5))
        for k in (1, 2, 3)
    ]
    assert source.traces == traces
    assert Oracle(model).source is source
    assert results[0].value == results[2].value


@pytest.mark.parametrize("precision", [None, "float64"])
def test_weights_that_change_between_calls_are_seen(precision: str | None) -> None:
    model = dense(dtype="float32")
    before = Oracle(model, Output(1), precision=precision, xla=False)
    for scale in (1.0, 0.5, -1.0):
        model.get_layer("out").kernel.assign(scale * np.asarray(model.get_layer("out").kernel))
        oracle = Oracle(model, Output(1), precision=precision, xla=False)
        assert oracle.value(X) == pytest.approx(float(model(X[np.newaxis])[0, 1]), rel=1e-5)
    assert (oracle.source is before.source) == (precision is None)
    model.get_layer("out").kernel.assign(np.full((5, 4), np.nan))
    with pytest.raises(ModelError, match="out/kernel.*NaN"):
        Oracle(model, Output(1), precision=precision)


def test_weights_of_concrete_functions_are_seen() -> None:
    weights = tf.Variable(np.random.default_rng(0).normal(size=(6, 2)))
    function = function_of(weights)
    for model in (function, function.get_concrete_function()):
        for _ in range(2):
            expected = np.tanh(X @ weights.numpy())[1]
            assert Oracle(model, Output(1), xla=False).value(X) == pytest.approx(expected)
            weights.assign(weights * -1.5)


def test_structures_follow_the_weights() -> None:
    model = dense("relu", None)
    for scale in (1.0, -2.0):
        model.get_layer("out").kernel.assign(scale * np.asarray(model.get_layer("out").kernel))
        x = np.random.default_rng(0).normal(size=(4, 6))
        (values,) = Oracle(model, Output(1), xla=False).structure().values(x).values()
        np.testing.assert_allclose(values[:, 0], np.asarray(model(x))[:, 1], atol=1e-5)


def test_attributes_of_layers_and_plain_functions_that_change_are_seen() -> None:
    model = dense("tanh", "softmax")
    assert Oracle(model).source.heads[0].link == "softmax"
    model.get_layer("out").activation = keras.activations.linear
    assert Oracle(model).source.heads[0].link is None
    factor = [1.0]
    for factor[0] in (1.0, 3.0):
        oracle = Oracle(lambda x: factor[0] * x, Output(0), input_shape=(2,), xla=False)
        assert oracle.value(np.ones(2)) == factor[0]

    def scaled(x: Any) -> Any:
        return factor[0] * x

    for factor[0] in (1.0, 3.0):
        oracle = Oracle(model, Output(0), preprocess=scaled, xla=False)
        assert oracle.value(X) == pytest.approx(float(model(factor[0] * X[np.newaxis])[0, 0]))


def test_options_that_say_the_same_share_and_others_do_not() -> None:
    model = dense()
    names = list("abcdef")

    def source(**options: Any) -> Any:
        return Oracle(model, Output(0), xla=False, **options).source

    assert source(feature_names=names) is source(feature_names=np.array(names))
    assert source(feature_names=names) is not source(feature_names=names[::-1])
    mean = np.arange(6.0)
    assert source(preprocess=Scaling(mean, 2.0)) is source(preprocess=Scaling(list(mean), 2.0))
    assert source(preprocess=Scaling(mean, 2.0)) is not source(preprocess=Scaling(mean, 3.0))
    first = weakref.ref(source(labels=list("pqrs")))
    for last in range(KEPT_SOURCES):
        source(labels=[*"pqr", f"{last}"])
    gc.collect()
    assert first() is None


@pytest.mark.parametrize(
    "make",
    [dense, nested, subclassed, two_inputs, lambda: function_of(tf.Variable(np.ones((6, 2))))],
    ids=["dense", "nested", "subclassed", "two inputs", "function"],
)
@pytest.mark.parametrize("precision", [None, "float32"])
def test_a_model_that_is_let_go_is_freed_with_what_was_compiled(
    make: Any, precision: str | None
) -> None:
    model = make()
    if precision is not None and not isinstance(model, keras.Model):
        pytest.skip("a function has one precision")
    head = None if make is not two_inputs else "power"
    oracle = Oracle(model, Output(0, head=head), precision=precision, xla=False)
    oracle.evaluate(np.ones((2, oracle.size)))
    freed = weakref.ref(model), weakref.ref(oracle.source)
    del model
    gc.collect()
    oracle.evaluate(np.ones((2, oracle.size)))  # an oracle holds its model
    del oracle
    for _ in range(2):  # the model; then its source, in cycles of its own
        gc.collect()
    assert [one() for one in freed] == [None, None]


def test_a_file_is_read_again(tmp_path: Path) -> None:
    for scale in (1.0, -2.0):
        model = shaken(keras.Sequential([keras.Input((2,)), L.Dense(1)]))
        model.layers[0].kernel.assign(scale * np.ones((2, 1)))
        model.save(tmp_path / "m.keras")
        gradient = Oracle(tmp_path / "m.keras", Output(0), xla=False).gradient(np.ones(2))
        np.testing.assert_allclose(gradient, scale, rtol=1e-6)
