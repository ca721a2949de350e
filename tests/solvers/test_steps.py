"""Inputs that reach the output through steps only: named, never converged along, searched."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import sample_models
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

import constrained_actmax as cax
from constrained_actmax.errors import ModelError
from constrained_actmax.result import Status

L, ops = keras.layers, keras.ops

#: Values over 0..3 of what a network does with its first column, each constant between jumps.
STEPPED: dict[str, Callable[[Any], Any]] = {
    "cast of a comparison": lambda x: ops.cast(x > 1.5, "float32") * 5,
    "where": lambda x: ops.where(x > 1.5, 5.0, 0.0 * ops.sin(2.0)),
    "cast to integers": lambda x: ops.cast(ops.cast(x, "int32") % 3, "float32"),
    "one_hot": lambda x: (
        ops.one_hot(ops.cast(x[:, 0], "int32"), 4) @ np.array([[1.0], [0.0], [3.0], [2.0]])
    ),
    "floor": lambda x: ops.sin(2.0 * ops.floor(x)),
    "round": lambda x: ops.cos(3.0 * ops.round(x)),
    "sign": lambda x: 2.0 * ops.sign(x - 2.2),
    "embedding": lambda x: L.Embedding(4, 1, embeddings_initializer=_table)(x[:, 0]),
    "Discretization": lambda x: ops.cast(
        ops.equal(L.Discretization(bin_boundaries=[0.5, 1.7, 2.5])(x), 2), "float32"
    ),
    "CategoryEncoding": lambda x: (
        L.CategoryEncoding(4, output_mode="multi_hot")(x) @ np.array([[0.0], [4.0], [1.0], [2.0]])
    ),
    "argmax": lambda x: ops.cast(
        ops.argmax(ops.concatenate([x, 0.0 * x + 1.0, 3.5 - x], axis=1), axis=1, keepdims=True),
        "float32",
    ),
}


def _table(shape: Any, dtype: Any = None) -> Any:
    return ops.convert_to_tensor([[1.0], [-2.0], [4.0], [0.5]], dtype)


def network(step: Callable[[Any], Any]) -> Any:
    """Return step(x0) + x1 - (x1 - 1)^2; x2 does nothing."""
    x = keras.Input((3,), name="x")
    smooth = x[:, 1:2] - (x[:, 1:2] - 1.0) ** 2
    return keras.Model(x, ops.cast(step(x[:, :1]), "float32") + smooth)


def on_a_grid(model: Any, low: float, high: float) -> float:
    """Return the largest prediction on a grid over x0 and x1."""
    line = np.linspace(low, high, 61)
    points = np.array([[a, b, 0.0] for a, b in itertools.product(line, line)], dtype="float32")
    return float(np.max(model.predict(points, batch_size=len(points), verbose=0)))


@pytest.mark.parametrize("name", list(STEPPED))
def test_steps_are_named_searched_and_never_converged(name: str) -> None:
    model = network(STEPPED[name])
    problem = cax.Problem(model, cax.Output(0), cax.Box(0, 2.99))
    assert problem.smooth is False
    assert problem.stepped.tolist() == [True, False, False]
    assert problem.stepped_names == "x[0]"
    assert "no gradient along x[0]" in str(cax.check(problem))
    best = on_a_grid(model, 0, 2.99)  # brute force by predict
    for method in ("auto", "L-BFGS-B"):
        result = cax.solve(problem, x0=np.full(3, 0.2), method=method, seed=0)
        assert result.value >= best - 1e-3
        assert result.status is not Status.CONVERGED
        assert not result.success
        assert any("Along x[0] values change in steps" in note for note in result.notes)


def test_the_default_call_finds_the_higher_step() -> None:
    x = keras.Input((3,))
    model = keras.Model(x, ops.cast(x[:, :1] > 1.5, "float32") * 5 + x[:, 1:2])
    result = cax.maximize(model, cax.Output(0), cax.Box(0, 3), x0=np.full(3, 0.2))
    assert result.value == pytest.approx(8.0)  # 5 above the step, 3 at the upper bound
    assert result.status is Status.STALLED
    assert "in steps" in result.message


@given(
    jumps=st.lists(st.floats(0.5, 9.5), min_size=2, max_size=2),
    gains=st.lists(st.floats(-3, 3).filter(lambda g: abs(g) > 0.1), min_size=2, max_size=2),
)
@settings(max_examples=6)
def test_two_stepped_columns(jumps: list[float], gains: list[float]) -> None:
    x = keras.Input((3,))
    above = ops.cast(x[:, :2] > np.array(jumps), "float32") @ np.array(gains)[:, None]
    model = keras.Model(x, ops.cast(above, "float32") - (x[:, 2:] - 4.0) ** 2)
    result = cax.maximize(model, cax.Output(0), cax.Box(0, 10), x0=np.full(3, 5.0), method="spg")
    # Each gain is had or left alone, and the parabola's top is 0.
    assert result.value == pytest.approx(sum(max(0.0, gain) for gain in gains), abs=1e-3)


def test_constraints_budget_and_starts_are_kept() -> None:
    model = network(STEPPED["where"])
    problem = cax.Problem(model, cax.Output(0), [cax.Box(0, 3), cax.Halfspace([1.0, 0, 0], 1.0)])
    assert not problem.stepped[0]  # no jump in C: there is nothing to name
    problem = cax.Problem(model, cax.Output(0), [cax.Box(0, 3), cax.Halfspace([1.0, 1, 0], 2.0)])
    budget = cax.Budget(evaluations=120)
    result = cax.solve(problem, starts=3, seed=1, budget=budget, method="spg")
    assert result.nfev <= 120
    assert result.feasible
    # x0 just above 1.5, x1 below 0.5: 5 + x1 - (x1 - 1)^2 there.
    assert result.value == pytest.approx(5 + 0.5 - 0.25, abs=0.1)
    assert all(one.status is not Status.CONVERGED for one in result.starts)
    fixed = cax.Problem(model, cax.Output(0), [cax.Box([0.2, 0, 0], [0.2, 3, 3])])
    assert not fixed.stepped.any()
    assert cax.solve(fixed, seed=0, method="L-BFGS-B").status is Status.CONVERGED


def test_a_limit_on_an_output_in_steps() -> None:
    x = keras.Input((2,), name="x")
    model = keras.Model(x, ops.concatenate([x[:, 1:], ops.floor(x[:, :1]) + x[:, 1:]], axis=1))
    problem = cax.Problem(model, cax.Output(0), [cax.Box(0, 3), cax.Output(1) <= 2.5])
    result = cax.solve(problem, x0=[2.9, 0.1])
    assert problem.stepped_names == "x[0]"
    assert result.feasible
    assert result.value == pytest.approx(2.5, abs=1e-4)  # floor(x0) = 0 leaves 2.5 to x1
    assert result.status is not Status.CONVERGED


def test_without_finite_bounds_they_are_named_all_the_same() -> None:
    problem = cax.Problem(
        network(STEPPED["where"]), cax.Output(0), cax.Box([-np.inf, 0, 0], np.inf)
    )
    result = cax.solve(problem, x0=np.full(3, 1.4), method="L-BFGS-B")
    assert problem.stepped_names == "x[0]"
    assert result.status is Status.STALLED


def test_several_problems_side_by_side() -> None:
    model = network(STEPPED["embedding"])
    oracle = cax.Oracle(model, cax.Output(0))
    problems = [cax.Problem(oracle, constraints=cax.Box(0, high)) for high in (1.5, 2.9)]
    values = [one.value for one in cax.solve_many(problems, seed=0)]
    assert values == pytest.approx([on_a_grid(model, 0, 1.5), on_a_grid(model, 0, 2.9)], abs=1e-3)


def test_an_interrupted_run_is_not_searched_further() -> None:
    problem = cax.Problem(network(STEPPED["where"]), cax.Output(0), cax.Box(0, 3))
    result = cax.solve(problem, seed=0, callback=lambda intermediate: True)
    assert result.status is Status.INTERRUPTED


def test_many_stepped_columns_are_found_in_few_calls() -> None:
    n = 400
    x = keras.Input((n,), name="x")
    few, many = ([*range(0, n, 50)], [*range(n - 1)])
    for columns in (few, many):
        step = ops.sum(ops.cast(ops.take(x, columns, axis=1) > 0.5, "float32"), 1, keepdims=True)
        model = keras.Model(x, step + x[:, -1:])
        problem = cax.Problem(model, cax.Output(0), cax.Box(0, 1))
        assert np.flatnonzero(problem.stepped).tolist() == columns
    assert problem.stepped_names == "x[0], x[1], x[2], x[3], x[4] and 394 more"


def test_smooth_networks_have_no_steps() -> None:
    x = keras.Input((6, 4), dtype="float64")
    y = L.LayerNormalization(dtype="float64")(x)
    y = L.MultiHeadAttention(2, 3, dtype="float64")(y, y)
    y = L.Activation("gelu", dtype="float64")(y)
    y = L.GroupNormalization(2, dtype="float64")(y)
    y = L.LSTM(3, dtype="float64")(y)
    model = keras.Model(x, L.Dense(3, activation="softmax", dtype="float64")(y))
    for objective in (
        cax.Logit(1),
        cax.Probability(1),
        cax.LogProbability(1),
        cax.Margin(1, over=2),
        cax.Output(0) - cax.Norm(2),
        cax.SquaredDistance(0.1),
    ):
        oracle = cax.Oracle(model, objective, xla=False)
        assert not oracle.steps, objective
        assert oracle.smooth, objective
    relu = cax.Oracle(sample_models.dense("relu"), cax.Logit(1), xla=False)
    assert not relu.steps
    leaky = keras.Sequential(
        [keras.Input((6,)), L.Dense(5), L.Lambda(lambda z: tf.where(z > 0, z, 0.2 * z)), L.Dense(1)]
    )
    problem = cax.Problem(leaky, cax.Output(0), cax.Box(-1, 1))
    assert not problem.stepped.any()  # the derivative is there, on both sides


@pytest.mark.parametrize(
    ("name", "operation"),
    [("cast of a comparison", "Greater"), ("where", "Greater"), ("floor", "Floor")],
)
def test_nothing_but_steps_is_refused_by_the_operation(name: str, operation: str) -> None:
    x = keras.Input((3,))
    model = keras.Model(x, ops.cast(STEPPED[name](x[:, :1]), "float32"))
    with pytest.raises(ModelError, match=f"the operation {operation} has none"):
        cax.Problem(model, cax.Output(0), cax.Box(0, 3))


def test_a_quantizer_that_passes_gradients_is_not_smooth() -> None:
    x = keras.Input((3,))
    y = L.Lambda(lambda z: z + tf.stop_gradient(tf.round(z) - z))(x)
    oracle = cax.Oracle(keras.Model(x, L.Dense(1)(y)), cax.Output(0), xla=False)
    assert oracle.steps
    assert oracle.smooth is False
