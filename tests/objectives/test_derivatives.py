"""Every objective's gradient is its derivative, on every kind of model."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from sample_models import MODELS, points

import constrained_actmax as cax
from constrained_actmax import (
    Channel,
    Custom,
    Direction,
    Layer,
    Logit,
    LogProbability,
    Margin,
    Neuron,
    Norm,
    Oracle,
    Output,
    Probability,
    SquaredDistance,
    TotalVariation,
)
from constrained_actmax.conformance import _check_taylor, check_objective
from constrained_actmax.objectives import LogOdds, Objective, RivalMargins, Values


def energy(inputs: Any, outputs: Any, activations: dict[str, Any]) -> Any:
    """Return a mixture of everything that Custom hands out."""
    import tensorflow as tf

    def total(value: Any) -> Any:
        return tf.add_n(
            [
                tf.reduce_sum(one**2, axis=tuple(range(1, len(one.shape))))
                for one in tf.nest.flatten(value)
            ]
        )

    return total(inputs) + total(outputs) + total(activations)


DENSE: list[Objective] = [
    Logit(2),
    LogProbability(1),
    Probability(3),
    LogOdds(0),
    Margin(1),
    Margin(1, over=2),
    RivalMargins(Margin(2)),
    Output(2),
    Neuron("hidden", 3),
    Channel("hidden", 2),
    Direction("hidden", np.arange(1.0, 6.0)),
    Direction("hidden", np.arange(1.0, 6.0), cosine=True),
    Layer("hidden"),
    Custom(energy, layers=["hidden"]),
    SquaredDistance(np.linspace(0, 1, 6)),
    TotalVariation(),
    Norm(1),
    Norm(1, center=0.3),
    Norm(2, center=-0.1),
    Norm(2),
    Norm(3.5),
    Norm(np.inf),
    Norm(1, center=0.3, weights=np.linspace(0.5, 2, 6)),
    Norm(2, weights=np.linspace(0.5, 2, 6)),
    Norm(np.inf, center=0.3, weights=3),
    SquaredDistance(0.5, weights=np.linspace(0.5, 2, 6)),
    Logit(1) - 0.3 * Norm(2) + 2 * Probability(2) / 3,
    Values(lambda x: x[:, :2] ** 3),
]

OTHERS: dict[str, list[Objective]] = {
    "convolutional": [
        Logit(2),
        LogProbability(1),
        Margin(0),
        Output(1),
        Neuron("conv", (2, 3, 1)),
        Channel("pool", 2),
        Direction("pool", [1.0, -2.0, 0.5, 1.0]),
        Direction("relu", [1.0, -2.0, 0.5, 1.0], cosine=True),
        Direction("scores", [1.0, 2.0, 3.0]),
        Layer("norm"),
        SquaredDistance(0.5),
        TotalVariation(),
        Norm(2),
        Custom(energy, layers=["pool"]),
    ],
    "two inputs": [
        Output("power"),
        Logit(1, head="kind"),
        Probability(2, head="kind"),
        Margin(0, head="kind"),
        Neuron("hidden", 2),
        Layer("hidden"),
        SquaredDistance({"state": 0.5, "action": [0.1, 0.2]}),
        SquaredDistance(0.5, weights={"state": 2, "action": [3, 0.2]}),
        Norm(1, center={"state": 0.5, "action": [0.1, 0.2]}, weights={"state": 2, "action": 1}),
        Norm(np.inf, on="action", weights=[1, 3]),
        Norm(2, on="action"),
        TotalVariation(on="state"),
        Custom(energy, layers=["hidden"]),
        Output(0, head="power") - Norm(2),
    ],
    "nested": [
        Logit(0),
        LogProbability(1),
        Probability(0),
        Margin(0, over=1),
        Neuron("inner/first", 2),
        Neuron("inner/first#2", 2),
        Neuron("shared", 1),
        Channel("shared#2", 1),
        Direction("inner/second#2", [1.0, 0, 0, 2.0, 1.0]),
        Layer("inner"),
    ],
    "subclassed": [
        Logit(1),
        Logit(0),
        LogProbability(0),
        Probability(1),
        Margin(0),
        Output(0),
        Neuron("block", 1),
        Neuron("block#2", 1),
        Layer("inward"),
        Custom(energy, layers=["block#2"]),
    ],
    "preprocessing": [
        Logit(2),
        LogProbability(0),
        Margin(1),
        Neuron("hidden", 0),
        SquaredDistance(100.0),
        TotalVariation(),
        Logit(1) - 0.01 * Norm(2),
    ],
}


@pytest.fixture(scope="module")
def oracles() -> dict[str, Oracle]:
    return {name: Oracle(make(), xla=False) for name, make in MODELS.items()}


@pytest.mark.parametrize("objective", DENSE, ids=str)
def test_objective_keeps_the_laws_on_a_dense_model(
    oracles: dict[str, Oracle], objective: Objective
) -> None:
    oracle = oracles["dense"]
    check_objective(objective, oracle, points("dense", oracle.size))


@pytest.mark.parametrize("name", list(OTHERS))
def test_taylor_remainders_fall_with_the_square_of_the_step(
    oracles: dict[str, Oracle], name: str
) -> None:
    first = SquaredDistance(0.0)
    oracle = oracles[name].with_objectives([first, *OTHERS[name]])
    assert oracle.epsilon == np.finfo(float).eps
    x = points(name, oracle.size)
    values, jacobian = oracle.evaluate(x)
    rng = np.random.default_rng(3)
    for row in range(len(x)):
        _check_taylor(oracle, x[row], values[row], jacobian[row], rng)


def test_each_objective_alone_agrees_with_all_in_one_call(oracles: dict[str, Oracle]) -> None:
    both = oracles["nested"].with_objectives(OTHERS["nested"])
    x = points("nested", both.size)
    values, jacobian = both.evaluate(x)
    for k in (0, 4, 9):
        alone = oracles["nested"].with_objectives(OTHERS["nested"][k])
        np.testing.assert_allclose(alone.evaluate(x)[0][:, 0], values[:, k], rtol=1e-12)
        np.testing.assert_allclose(alone.evaluate(x)[1][:, 0], jacobian[:, k], atol=1e-12)


@pytest.mark.parametrize(
    ("objective", "expected"),
    [
        (Norm(2), np.zeros(6)),
        (Norm(1), np.zeros(6)),
        (Norm(3), np.zeros(6)),
        (TotalVariation(), np.zeros(6)),
        (SquaredDistance(1.0), np.full(6, -2.0)),
    ],
    ids=str,
)
def test_penalties_have_a_finite_gradient_at_zero(
    oracles: dict[str, Oracle], objective: Objective, expected: np.ndarray
) -> None:
    oracle = oracles["dense"].with_objectives(objective)
    np.testing.assert_array_equal(oracle.gradient(np.zeros(6)), expected)
    assert np.isfinite(oracle.hessian_product(np.zeros(6), np.ones(6))).all()


def test_direction_by_cosine_is_zero_on_a_dead_layer() -> None:
    from sample_models import dense

    model = dense("relu")
    model.get_layer("hidden").bias.assign(np.full(5, -100.0))
    oracle = Oracle(model, Direction("hidden", np.ones(5), cosine=True), xla=False)
    value, gradient = oracle.value_and_gradient(np.zeros(6))
    assert value == 0.0
    np.testing.assert_array_equal(gradient, np.zeros(6))


def test_penalties_are_computed_in_float64_on_a_float32_model() -> None:
    from sample_models import dense

    oracle = Oracle(dense(dtype="float32"), SquaredDistance(1e4), xla=False)
    x = 1e4 + 1e-6 * np.arange(1.0, 7.0)  # the differences vanish in float32
    value, gradient = oracle.value_and_gradient(x)
    np.testing.assert_allclose(value, np.sum((x - 1e4) ** 2), rtol=1e-12)
    np.testing.assert_allclose(gradient, 2 * (x - 1e4), rtol=1e-12)


def test_the_variation_of_a_signal_with_one_channel_is_that_of_the_signal() -> None:
    import keras

    signal = np.random.default_rng(0).standard_normal(12)
    model = keras.Sequential([keras.Input((12, 1)), keras.layers.Flatten(), keras.layers.Dense(1)])
    found = Oracle(model, TotalVariation()).value(signal)
    assert found == pytest.approx(np.abs(np.diff(signal)).sum(), rel=1e-5)


@pytest.mark.parametrize(
    "asked",
    [
        {"objective": cax.Custom(lambda x, y, a: np.asarray(x).sum(-1))},
        {"constraints": [cax.Box(0, 1), cax.Function(lambda x: np.asarray(x).sum(-1), 0.5)]},
    ],
)
def test_numpy_in_a_function_of_the_network_is_one_sentence(asked: dict[str, Any]) -> None:
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    with pytest.raises(cax.SpecificationError, match="must stay in TensorFlow"):
        cax.Problem(model, **{"objective": cax.Output(0), "constraints": cax.Box(0, 1)} | asked)
