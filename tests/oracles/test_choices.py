"""The choice of XLA, measured once for a machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import sample_models
import tensorflow as tf

import constrained_actmax as cax
from constrained_actmax.errors import ModelError
from constrained_actmax.oracles import choices, compiled

L = keras.layers


def evaluated(model: Any) -> bool:
    """Evaluate one row with "auto"; return whether XLA was taken."""
    oracle = cax.Oracle(model, cax.Logit(1))
    oracle.evaluate(np.zeros((1, 6)))
    return oracle.describe()["xla_batches"] == [1]


@pytest.mark.parametrize("choice", [True, False])
def test_a_choice_outlives_its_model(
    choice: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(choices.FOLDER_VARIABLE, str(tmp_path / "kept"))
    measured: list[int] = []

    def measure(self: Any, kind: str, batch: int, arguments: Any) -> bool:
        measured.append(batch)
        return choice

    monkeypatch.setattr(compiled.Compiled, "_measured", measure)
    assert evaluated(sample_models.dense("relu", dtype="float32")) is choice
    choices._known.cache_clear()  # as in another process
    assert evaluated(sample_models.dense("relu", dtype="float32")) is choice
    assert measured == [1]
    stored = json.loads((tmp_path / "kept" / "xla.json").read_text())
    assert list(stored.values()) == [choice]
    assert evaluated(sample_models.dense("tanh", dtype="float32")) is choice
    assert measured == [1, 1]  # another graph is measured for itself


def test_a_broken_or_forbidden_folder_costs_a_measurement_and_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "xla.json").write_text("{")
    monkeypatch.setenv(choices.FOLDER_VARIABLE, str(tmp_path))
    assert choices.recall("a") is None
    choices.remember("a", True)
    assert json.loads((tmp_path / "xla.json").read_text()) == {"a": True}
    file = tmp_path / "file"
    file.write_text("")
    monkeypatch.setenv(choices.FOLDER_VARIABLE, str(file / "below"))
    choices.remember("b", True)
    assert choices.recall("b") is True  # in this process


def upsampled() -> Any:
    """Return a network on which XLA's derivatives are other numbers than TensorFlow's."""
    x = keras.Input((4, 4, 1), dtype="float64")
    y = L.UpSampling2D(interpolation="bilinear", dtype="float64")(x)
    y = L.Flatten(dtype="float64")(L.Conv2D(3, 3, activation="tanh", dtype="float64")(y))
    model = keras.Model(x, L.Dense(1, dtype="float64")(y), name="upsampled")
    return sample_models.shaken(model)


@pytest.mark.parametrize("batch", [1, 4, 16])
@pytest.mark.parametrize("kept", [True, None])
def test_numbers_of_xla_are_compared_before_they_are_used(
    kept: bool | None, batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As if it had been measured as faster, here or, kept on disk, by an earlier process.
    monkeypatch.setattr(compiled, "recall", lambda name: kept)
    monkeypatch.setattr(compiled.Compiled, "_measured", lambda *arguments: True)
    model = upsampled()
    oracle = cax.Oracle(model, cax.Output(0))
    plain = cax.Oracle(model, cax.Output(0), xla=False)
    x = np.random.default_rng(0).random((batch, 16))
    weights = np.ones((batch, 1))
    for ours, right in zip(
        (*oracle.evaluate(x), *oracle.vjp(x, weights)),
        (*plain.evaluate(x), *plain.vjp(x, weights)),
        strict=True,
    ):
        np.testing.assert_allclose(ours, right, rtol=1e-12, atol=1e-14)
    assert oracle.describe()["xla_batches"] == []


def test_the_answer_is_that_without_xla() -> None:
    model, box = upsampled(), cax.Box(0, 1)
    x0 = np.full((4, 4, 1), 0.5)
    without, auto = (
        cax.maximize(model, cax.Output(0), box, x0=x0, xla=xla) for xla in (False, "auto")
    )
    assert auto.value == pytest.approx(without.value, rel=1e-9)
    assert auto.value == pytest.approx(model.predict(auto.batch, verbose=0)[0, 0], rel=1e-9)


def test_asked_for_by_name_other_numbers_are_an_error() -> None:
    oracle = cax.Oracle(upsampled(), cax.Output(0), xla=True)
    with pytest.raises(ModelError, match=r"upsampled: xla=True, but for Output\(0\)"):
        oracle.evaluate(np.full((1, 16), 0.5))
    with pytest.raises(ModelError, match="leave xla= out"):
        cax.maximize(upsampled(), cax.Output(0), cax.Box(0, 1), xla=True, seed=0)


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
    relative = compiled._relative(ours, theirs, False, 1e-16)
    assert (relative > 0).sum() == 1
    assert relative.max() == pytest.approx(0.01 * ours[3, 0, 0] / 2.0)
    theirs[5, 0, 1] = np.nan
    assert np.isinf(compiled._relative(ours, theirs, False, 1e-16)[5])
    assert not compiled._relative(theirs, theirs, False, 1e-16).any()


def test_other_functions_of_the_same_model_are_compared_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []
    inner = compiled.Compiled._disagreement

    def disagreement(self: Any, kind: str, arguments: Any) -> float:
        asked.append(self._names[0])
        return inner(self, kind, arguments)

    monkeypatch.setattr(compiled.Compiled, "_disagreement", disagreement)
    monkeypatch.setattr(compiled.Compiled, "_measured", lambda *arguments: True)
    oracle = cax.Oracle(sample_models.dense(dtype="float32"), cax.Logit(1))
    for objective in (cax.Logit(1), cax.Logit(2), cax.Probability(1)):  # of two structures
        oracle.with_objectives(objective).evaluate(np.zeros((1, 6)))
    assert asked == ["Logit(1)", "Probability(1)"]


def test_what_xla_cannot_compile_is_no_error() -> None:
    function = tf.function(
        lambda x: x * tf.stop_gradient(tf.unique(tf.reshape(x, [-1]))[0][:, None]),
        input_signature=[tf.TensorSpec([None, 1], tf.float64)],
    )
    oracle = cax.Oracle(function, cax.Output(0) + cax.Norm(2), xla=True)
    assert oracle.value(np.array([0.5])) == pytest.approx(0.75)
