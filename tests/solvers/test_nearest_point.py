"""Nearest points: against closed forms and cvxpy, across kinks, in any units, and to a budget."""

from __future__ import annotations

from functools import cache
from typing import Any

import cvxpy as cp
import keras
import numpy as np
import pytest

import constrained_actmax as cax
from constrained_actmax.errors import RefusedError
from constrained_actmax.layout import Layout
from constrained_actmax.sets.distance import Distance
from constrained_actmax.sets.intersection import Intersection

L = keras.layers
WEIGHTS = np.array([0.5, 2.0, 1.0, 4.0])
CENTER = np.array([0.5, -0.25, 0.0, 1.0])
DISTANCES = {
    "L1": cax.Norm(1, center=CENTER, weights=WEIGHTS),
    "L2": cax.Norm(2, center=CENTER, weights=WEIGHTS),
    "squared": cax.SquaredDistance(CENTER, weights=WEIGHTS),
    "Linf": cax.Norm(np.inf, center=CENTER, weights=WEIGHTS),
}


@cache
def scores(hidden: int = 0, units: tuple[float, ...] = (1.0,) * 4, seed: int = 4) -> Any:
    """Return three scores of x / units, with a layer of ReLU units between where asked."""
    rng = np.random.default_rng(seed)
    layers: list[Any] = [keras.Input((4,), dtype="float64")]
    if hidden:
        layers.append(L.Dense(hidden, activation="relu", dtype="float64"))
    model = keras.Sequential([*layers, L.Dense(3, dtype="float64")])
    weights = [rng.standard_normal(one.shape) for one in model.get_weights()]
    weights[0] = weights[0] / np.reshape(units, (-1, 1))
    weights[-1] = np.array([0.0, 0.0, -4.0])
    model.set_weights(weights)
    return model


@pytest.mark.parametrize(
    "name",
    ["Linf", "L2", *(pytest.param(one, marks=pytest.mark.slow) for one in ("L1", "squared"))],
)
def test_on_a_linear_model_it_is_cvxpys_point(name: str) -> None:
    model = scores()
    found = cax.minimize(
        model,
        DISTANCES[name],
        [cax.Box(-3, 3), cax.Margin(2) >= 0.5, cax.Output(0) >= -6],
        x0=CENTER,
        method="nearest-point",
    )
    A, b = model.get_weights()
    x = cp.Variable(4)
    z = A.T @ x + b
    change = cp.multiply(WEIGHTS, x - CENTER)
    distance = {"L1": cp.norm1, "L2": cp.norm2, "squared": cp.sum_squares, "Linf": cp.norm_inf}
    rows = [z[2] - z[:2] >= 0.5, cp.abs(x) <= 3, z[0] >= -6]
    right = cp.Problem(cp.Minimize(distance[name](change)), rows).solve("CLARABEL")
    assert right > 0.02
    assert found.feasible
    assert found.value == pytest.approx(right, rel=1e-3)
    assert found.maxcv <= 1e-6


def grid_minimum(model: Any, order: float) -> float:
    """Return the least distance of the feasible points among many, and their descents' limit."""
    rng = np.random.default_rng(0)
    x = CENTER + rng.uniform(-1, 1, (200_000, 4)) / WEIGHTS
    layers = model.get_weights()
    z = np.maximum(x @ layers[0] + layers[1], 0) @ layers[2] + layers[3]
    kept = (z[:, 2] >= z[:, :2].max(axis=1) + 0.5) & (np.abs(x) <= 3).all(axis=1)
    return float(np.linalg.norm(WEIGHTS * (x[kept] - CENTER), order, axis=1).min())


@pytest.mark.parametrize(
    "name", ["Linf", *(pytest.param(one, marks=pytest.mark.slow) for one in ("L1", "L2"))]
)
def test_across_kinks_auto_is_nearer_than_the_nearest_of_many_draws(name: str) -> None:
    model = scores(hidden=12, seed=2)
    found = cax.minimize(
        model, DISTANCES[name], [cax.Box(-3, 3), cax.Margin(2) >= 0.5], x0=CENTER, seed=0
    )
    assert found.method == ("chain" if name == "L2" else "nearest-point")
    assert found.feasible
    assert found.value > 0.05
    assert found.value <= grid_minimum(model, DISTANCES[name].p)
    z = model.predict(found.batch, verbose=0)[0]
    assert z[2] - z[:2].max() >= 0.5 - 1e-4


@pytest.mark.slow
def test_units_of_the_inputs_leave_every_bit() -> None:
    def nearest(units: Any) -> cax.Result:
        return cax.minimize(
            scores(hidden=12, units=tuple(units), seed=2),
            cax.Norm(np.inf, center=CENTER * units, weights=WEIGHTS / units),
            [cax.Box(-3 * units, 3 * units), cax.Margin(2) >= 0.5],
            x0=CENTER * units,
        )

    units = 2.0 ** np.array([-9, 3, 0, 11])  # powers of two leave every bit where it was
    plain, other = nearest(np.ones(4)), nearest(units)
    assert other.nfev == plain.nfev
    assert other.value == pytest.approx(plain.value, rel=1e-12)
    np.testing.assert_allclose(other.x / units, plain.x, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("budget", "starts"), [(5, 1), (40, 3), (1000, 3)])
def test_it_keeps_to_a_budget_and_says_the_same_again(budget: int, starts: int) -> None:
    asked: dict[str, Any] = {"starts": starts, "seed": 1, "method": "nearest-point"}
    problem = cax.Problem(
        scores(hidden=12, seed=2),
        DISTANCES["Linf"],
        [cax.Box(-3, 3), cax.Margin(2) >= 0.5],
        sense="minimize",
    )
    one, two = (cax.solve(problem, budget=cax.Budget(evaluations=budget), **asked) for _ in "ab")
    assert one.nfev <= budget
    np.testing.assert_array_equal(one.x, two.x)
    if budget == 1000:
        assert one.feasible


def test_what_no_point_keeps_is_not_called_feasible() -> None:
    found = cax.minimize(
        scores(hidden=12, seed=2),
        DISTANCES["Linf"],
        [cax.Box(-3, 3), cax.Output(2) >= 1e4],
        x0=CENTER,
        budget=cax.Budget(evaluations=300),
    )
    assert not found.feasible
    assert not found.success


@pytest.mark.parametrize(
    ("objective", "limit", "words"),
    [
        (cax.Norm(3), cax.Output(0) <= 1, "minimises Norm"),
        (cax.Output(1), cax.Output(0) <= 1, "minimises Norm"),
        (cax.Norm(2), cax.Output(0) == 1, "equalities"),
    ],
)
def test_it_says_what_it_cannot_take(objective: Any, limit: Any, words: str) -> None:
    problem = cax.Problem(scores(), objective, [cax.Box(-3, 3), limit], sense="minimize")
    with pytest.raises(RefusedError, match=words):
        cax.solve(problem, method="nearest-point")


@pytest.mark.parametrize("order", [1.0, 2.0, np.inf])
@pytest.mark.parametrize("weights", [np.ones(4), WEIGHTS], ids=["plain", "weighted"])
def test_a_ball_is_what_the_distance_says(order: float, weights: np.ndarray) -> None:
    distance = Distance(order, CENTER, weights)
    box = Intersection([cax.Box(-3, 3)]).bind(Layout.of_array((4,)))
    ball = distance.within(box, 0.7)
    rng = np.random.default_rng(3)
    x = ball.project(rng.standard_normal((50, 4)) * 3)
    assert distance(x).max() == pytest.approx(0.7, rel=1e-6)
    # The dual norm is the largest growth of a linear function within the ball.
    g = rng.standard_normal((1, 4))
    wide = distance.within(Intersection([cax.Box(-99, 99)]).bind(Layout.of_array((4,))), 0.7)
    best = float(g[0] @ (wide.linear_maximizer(g)[0] - CENTER))
    assert best == pytest.approx(0.7 * float(distance.dual(g)[0]), rel=1e-6)
    other = distance.scaled(np.array([2.0, 4.0, 1.0, 0.5]))
    np.testing.assert_allclose(other(x / [2.0, 4.0, 1.0, 0.5]), distance(x), rtol=1e-12)
