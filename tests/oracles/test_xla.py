"""XLA: off unless asked for, and never with other numbers."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import sample_models
import tensorflow as tf

import constrained_actmax as cax
from constrained_actmax.errors import ModelError
from constrained_actmax.oracles import compiled, executor, xla

L = keras.layers


def upsampled() -> Any:
    """Return a network on which XLA's derivatives are other numbers than TensorFlow's."""
    x = keras.Input((4, 4, 1), dtype="float64")
    y = L.UpSampling2D(interpolation="bilinear", dtype="float64")(x)
    y = L.Flatten(dtype="float64")(L.Conv2D(3, 3, activation="tanh", dtype="float64")(y))
    model = keras.Model(x, L.Dense(1, dtype="float64")(y), name="upsampled")
    return sample_models.shaken(model)


@pytest.mark.parametrize("batch", [1, 4, 16])
def test_other_numbers_are_an_error(batch: int) -> None:
    oracle = cax.Oracle(upsampled(), cax.Output(0), xla=True)
    x = np.random.default_rng(0).random((batch, 16))
    with pytest.raises(ModelError, match=r"upsampled: xla=True, but for Output\(0\)"):
        oracle.evaluate(x)
    with pytest.raises(ModelError, match="leave xla= out"):
        oracle.vjp(x, np.ones((batch, 1)))


@pytest.mark.parametrize("make", [sample_models.convolutional, sample_models.dense])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_rounding_ties_and_kinks_are_no_other_numbers(make: Any, dtype: str) -> None:
    model = make(dtype=dtype)
    if make is sample_models.convolutional:  # at zero all entries of each pooling window are tied
        model.get_layer("conv").bias.assign(np.zeros(4))
    for batch in (1, 8):
        oracle = cax.Oracle(model, [cax.Logit(1), cax.Margin(2)], xla=True)
        oracle.evaluate(np.zeros((batch, oracle.size)))
        assert oracle.describe()["xla_batches"] == [batch]


def test_one_wild_row_is_enough_and_a_few_odd_ones_are_not() -> None:
    ours = np.linspace(1.0, 2.0, 8)[:, np.newaxis, np.newaxis] * np.ones((8, 1, 3))
    theirs = ours.copy()
    theirs[3] *= 1.01
    relative = xla.relative_difference(ours, theirs, False, 1e-16)
    assert (relative > 0).sum() == 1
    assert relative.max() == pytest.approx(0.01 * ours[3, 0, 0] / 2.0)
    theirs[5, 0, 1] = np.nan
    assert np.isinf(xla.relative_difference(ours, theirs, False, 1e-16)[5])
    assert not xla.relative_difference(theirs, theirs, False, 1e-16).any()


def test_each_function_of_a_model_is_compared_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def counted(*arguments: Any, **settings: Any) -> float:
        asked.append(1)
        return xla.disagreement(*arguments, **settings)

    monkeypatch.setattr(compiled, "disagreement", counted)
    oracle = cax.Oracle(sample_models.dense(dtype="float32"), cax.Logit(1), xla=True)
    for objective in (cax.Logit(1), cax.Logit(2), cax.Probability(1)):  # of two structures
        oracle.with_objectives(objective).evaluate(np.zeros((1, 6)))
    assert len(asked) == 2


def test_a_release_of_tensorflow_that_is_not_tested_is_called_by_its_public_function(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    release = tuple(int(part) for part in tf.__version__.split(".")[:2])
    assert executor.TESTED[0] <= release <= executor.TESTED[1]
    function = tf.function(
        lambda x: 2.0 * x, input_signature=[tf.TensorSpec([None], tf.float64)]
    ).get_concrete_function()
    x = tf.constant([1.5], tf.float64)
    direct = executor.executed(function)
    assert direct is not function
    assert float(direct(x)[0][0]) == float(function(x)[0]) == 3.0
    monkeypatch.setattr(executor, "TESTED", ((2, 0), (2, 1)))
    assert executor.executed(function) is function


def test_what_xla_cannot_compile_is_no_error() -> None:
    function = tf.function(
        lambda x: x * tf.stop_gradient(tf.unique(tf.reshape(x, [-1]))[0][:, None]),
        input_signature=[tf.TensorSpec([None, 1], tf.float64)],
    )
    oracle = cax.Oracle(function, cax.Output(0) + cax.Norm(2), xla=True)
    assert oracle.value(np.array([0.5])) == pytest.approx(0.75)
