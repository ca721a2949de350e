"""Copies in another precision are the same function or are refused; noise is measured."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import sample_models
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

import constrained_actmax as cax
from constrained_actmax.errors import ModelError
from constrained_actmax.oracles import oracle as oracles_oracle
from constrained_actmax.oracles import precision

L = keras.layers

MEAN, SPREAD = np.array([50.0, -3.0, 1e4]), np.array([10.0, 0.1, 300.0])


def adapted(*, axis: int | None = -1, where: str = "model") -> Any:
    """Return a network behind a Normalization that was adapted to three columns of real units."""
    data = MEAN + SPREAD * np.random.default_rng(0).standard_normal((500, 3))
    layer = L.Normalization(axis=axis, name="units")
    layer.adapt(data.astype("float32"))
    inner = [layer, L.Dense(5, activation="tanh"), L.Dense(1)]
    if where == "nested":
        inner = [keras.Sequential([keras.Input((3,)), layer]), *inner[1:]]
    model = keras.Sequential([keras.Input((3,)), *inner])
    for weight in model.weights:
        if "dense" in weight.path:
            weight.assign(np.random.default_rng(weight.shape[0]).standard_normal(weight.shape))
    return model


class Shift(L.Layer):
    """Adds an amount that its configuration does not tell."""

    def __init__(self, amount: float = 0.0, **options: Any) -> None:
        super().__init__(**options)
        self.amount = amount

    def get_config(self) -> dict[str, Any]:
        return dict(super().get_config())

    def call(self, x: Any) -> Any:
        return x + self.amount


class Hinge(L.Layer):
    """Falls beyond a place that its configuration does not tell."""

    def __init__(self, place: float = 1e9, **options: Any) -> None:
        super().__init__(**options)
        self.place = place

    def get_config(self) -> dict[str, Any]:
        return dict(super().get_config())

    def call(self, x: Any) -> Any:
        return x - 3.0 * keras.ops.relu(x - self.place)


class Rounded(L.Layer):
    """Adds what rounding to eighths gives."""

    def call(self, x: Any) -> Any:
        return x + keras.ops.round(8 * x) / 8


class Saved(Shift):
    """The same amount, told to files by Keras's own contract."""

    def save_own_variables(self, store: Any) -> None:
        store["amount"] = np.array(self.amount)

    def load_own_variables(self, store: Any) -> None:
        self.amount = float(store["amount"])


@keras.saving.register_keras_serializable("tests")
class Scaled(keras.Model):
    """A model that itself does something that its configuration does not tell."""

    def __init__(self, factor: float = 1.0, **options: Any) -> None:
        super().__init__(**options)
        self.factor = factor
        self.inner = L.Dense(1)

    def call(self, x: Any) -> Any:
        return self.factor * self.inner(x)


def behind(layer: Any, *, size: int = 3) -> Any:
    return sample_models.shaken(keras.Sequential([keras.Input((size,)), layer, L.Dense(1)]))


CUSTOM = {one.__name__: one for one in (Shift, Hinge, Saved, Rounded)}


@pytest.mark.parametrize("where", ["model", "nested"])
@pytest.mark.parametrize("axis", [-1, None])
def test_adapted_statistics_are_copied(axis: int | None, where: str) -> None:
    model = adapted(axis=axis, where=where)
    box = cax.Box(MEAN - 2 * SPREAD, MEAN + 2 * SPREAD)
    result = cax.maximize(model, cax.Output(0), box, x0=MEAN, precision="float64")
    # The right value is the model's own prediction at that input.
    assert result.value == pytest.approx(model.predict(result.batch, verbose=0)[0, 0], rel=1e-4)
    copied = cax.Oracle(model, cax.Output(0), precision="float64", xla=False)
    x = MEAN + SPREAD * np.random.default_rng(1).standard_normal((6, 3))
    np.testing.assert_allclose(
        copied.values(x), model.predict(x.astype("float32"), verbose=0), rtol=1e-4, atol=1e-4
    )


def test_state_that_a_layer_saves_beside_its_weights_is_copied() -> None:
    model = behind(Saved(2.5))
    copied = cax.Oracle(model, cax.Output(0), precision="float64", custom_objects=CUSTOM, xla=False)
    x = np.random.default_rng(0).standard_normal((4, 3))
    np.testing.assert_allclose(copied.values(x), model.predict(x, verbose=0), rtol=1e-5)


@given(amount=st.floats(0.1, 1e6))
def test_hidden_state_is_refused_by_the_layers_name(amount: float) -> None:
    with pytest.raises(ModelError, match="^sequential.*another function: its layer 'shift'"):
        cax.Oracle(behind(Shift(amount, name="shift")), precision="float64", custom_objects=CUSTOM)


def test_hidden_state_of_the_model_itself_is_refused() -> None:
    model = Scaled(2.0, name="scaled")
    model(np.zeros((1, 3)))
    with pytest.raises(ModelError, match="its layer 'scaled'"):
        cax.Oracle(model, precision="float64")


def test_hidden_state_that_only_the_allowed_set_shows_is_refused() -> None:
    model = behind(Hinge(80.0, name="hinge"))
    oracle = cax.Oracle(model, cax.Output(0), precision="float64", custom_objects=CUSTOM)
    assert cax.Problem(oracle, constraints=cax.Box(0, 79)).size == 3  # there it is the same
    with pytest.raises(ModelError, match="'hinge' differs by .* at points of the allowed set"):
        cax.Problem(oracle, constraints=cax.Box(0, 100))


def test_hidden_state_that_only_a_layers_statistics_show_is_refused() -> None:
    layer = L.Normalization(mean=[500.0] * 3, variance=[100.0] * 3)
    hinge = Hinge(490.0, name="hinge")
    model = keras.Sequential([keras.Input((3,)), hinge, layer, L.Dense(1)])
    with pytest.raises(ModelError, match="'hinge' differs by .* own statistics"):
        cax.Oracle(model, precision="float64", custom_objects=CUSTOM)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16", "float32"])
def test_rounding_alone_is_no_other_function(policy: str) -> None:
    layers: list[Any] = [keras.Input((8, 8, 3)), L.Rescaling(1 / 127.5, offset=-1.0)]
    for _ in range(4):
        layers += [L.Conv2D(8, 3, padding="same", dtype=policy), L.BatchNormalization(), L.ReLU()]
    layers += [Rounded(), L.Flatten(), L.Dense(2)]
    model = sample_models.shaken(keras.Sequential(layers))
    oracle = cax.Oracle(model, cax.Output(0), precision="float64", custom_objects=CUSTOM, xla=False)
    assert cax.Problem(oracle, constraints=cax.Box(0, 255)).size == 192
    assert oracle.epsilon == np.finfo(float).eps


class Uneven(L.Layer):
    """Computes something else, relatively, when several rows are asked together."""

    def call(self, x: Any) -> Any:
        several = tf.cast(tf.shape(x)[0] > 1, x.dtype)
        return x * (1 + 2e-5 * several)


class Coarse(L.Layer):
    """Rounds float32 to the 10 bits of TensorFloat-32, as some GPUs do in products."""

    def call(self, x: Any) -> Any:
        if x.dtype != "float32":
            return x
        bits = tf.bitwise.bitwise_and(tf.bitcast(x + 0.0, tf.int32), -(2**13))
        return x + tf.stop_gradient(tf.bitcast(bits, tf.float32) - x)


def test_noise_of_batches_is_measured() -> None:
    model = keras.Sequential([keras.Input((3,)), Uneven(), L.Dense(1)])
    model.layers[1].set_weights([np.full((3, 1), 10.0), np.zeros(1)])
    oracle = cax.Oracle(model, cax.Output(0), xla=False)
    assert oracle.epsilon == pytest.approx(2e-5, rel=0.05)  # what the layer adds
    rows, calls = oracle.evaluations, oracle.calls
    assert (rows, calls) == (0, 0)  # the library's own questions are not the user's evaluations
    problem = cax.Problem(oracle, constraints=cax.Box(0, 1))
    assert problem.oracle.epsilon == oracle.epsilon
    report = cax.check(problem)
    assert report.noise == oracle.epsilon
    assert "noise         2.0e-05 of the value" in str(report)
    result = cax.solve(problem, seed=0)
    assert result.settings["tol"] == pytest.approx(np.sqrt(oracle.epsilon))


def test_noise_of_rounded_products_is_measured_on_a_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (precision, oracles_oracle):
        monkeypatch.setattr(module, "rounds_products", lambda: True)
    model = keras.Sequential([keras.Input((3,)), Coarse(), L.Dense(1)])
    model.layers[1].set_weights([np.full((3, 1), 10.0), np.zeros(1)])
    measured = cax.Oracle(model, cax.Output(0), custom_objects={"Coarse": Coarse}, xla=False)
    assert 2.0**-13 < measured.epsilon < 2.0**-10  # the largest relative error of truncated entries
    assert cax.Oracle(model, cax.Output(0), xla=False).epsilon == np.finfo("float32").eps  # no copy


def test_ordinary_networks_keep_the_epsilon_of_their_arithmetic() -> None:
    single, half = float(np.finfo("float32").eps), float(np.finfo("float16").eps)
    assert cax.Oracle(cax.examples.load_model(), cax.Logit(7)).epsilon == single
    for make in (sample_models.dense, sample_models.convolutional):
        assert cax.Oracle(make(dtype="float32"), cax.Logit(1)).epsilon == single
        assert cax.Oracle(make(), cax.Logit(1)).epsilon == np.finfo("float64").eps
    mixed = keras.Sequential([keras.Input((3,)), L.Dense(2, dtype="mixed_float16")])
    with pytest.warns(UserWarning, match="float16"):
        assert cax.Oracle(mixed, cax.Output(0)).epsilon == half
