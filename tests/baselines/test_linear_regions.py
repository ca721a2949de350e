"""Entrants over linear regions: the best point of one region, and the walk, by an exact case."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from scipy.optimize import linprog

import constrained_actmax as cax


def network(W: np.ndarray, b: np.ndarray, v: np.ndarray) -> keras.Model:
    """v'relu(W x + b) as a model."""
    layers = keras.layers
    model = keras.Sequential(
        [keras.Input((W.shape[1],)), layers.Dense(len(b), activation="relu"), layers.Dense(1)]
    )
    model.layers[0].set_weights([W.T, b])
    model.layers[1].set_weights([v[:, np.newaxis], np.zeros(1)])
    return model


def answer(problem: cax.Problem, method: Any, x0: np.ndarray) -> Any:
    return cax.compare(problem, {"it": method}, starts=x0[np.newaxis]).trials[0]


#: f = relu(x) - relu(1 - 2 x) - 3 relu(x - 0.8) over [-1, 1]: kinks at 0, 0.5 and 0.8, slopes 2, 3,
#: 1 and -2, so 0.8 is the maximum.
LINE = (
    np.array([[1.0], [-2.0], [1.0]]),
    np.array([0.0, 1.0, -0.8]),
    np.array([1.0, -1.0, -3.0]),
)


def test_the_walk_goes_from_region_to_region_and_ends_at_the_maximum() -> None:
    problem = cax.Problem(network(*LINE), cax.Output(0), cax.Box(-1, 1))
    for regions, best in ((1, 0.0), (2, 0.5), (3, 0.8), (9, 0.8)):
        trial = answer(problem, cax.LPWalk(regions=regions), np.array([-0.5]))
        assert trial.raw == pytest.approx([best], abs=1e-6)


def test_the_valve_ends_a_step_a_little_behind_its_region() -> None:
    problem = cax.Problem(network(*LINE), cax.Output(0), cax.Box(-1, 1))
    x = -0.5
    for count, kink in enumerate((0.0, 0.5, 0.8, 0.8), start=2):
        x += 1.01 * (kink - x)
        method = cax.PerturbedGradient(regions=count, rate=2.0, valve=True)
        assert answer(problem, method, np.array([-0.5])).raw == pytest.approx([x], abs=1e-6)


def test_a_perturbation_leads_on_where_a_step_gains_nothing() -> None:
    problem = cax.Problem(network(*LINE), cax.Output(0), cax.Box(-1, 1))
    for regions, least, largest in ((5, 0.699, 0.701), (100, 0.795, 0.805)):
        method = cax.PerturbedGradient(regions=regions, rate=0.4)  # -0.1, 0.3, 0.7, 1, ...
        assert least < answer(problem, method, np.array([-0.5])).raw[0] < largest


@pytest.mark.parametrize("name", ["lp-walk", "region-sampling"])
def test_one_region_is_one_linear_program(name: str) -> None:
    rng = np.random.default_rng(0)
    W, b, v = (rng.standard_normal(shape).astype(np.float32) for shape in ((12, 4), 12, 12))
    problem = cax.Problem(network(W, b, v), cax.Output(0), [cax.Box(-1, 1), cax.L1Ball(2.0)])
    x0 = problem.set.sample(rng, 1)[0]
    on = W @ x0 + b > 0
    inward = np.where(on, 1.0, -1.0)[:, np.newaxis] * np.column_stack([W, b])
    # In x = p - q, p, q >= 0, with the L1 ball as the sum of both.
    A = np.concatenate([-inward[:, :4], inward[:, :4]], axis=1)
    A = np.concatenate([A, np.ones((1, 8))])
    g = (v * on) @ W
    found = linprog(np.append(-g, g), A, np.append(inward[:, 4], 2.0), bounds=(0, 1))
    kind = {"lp-walk": cax.LPWalk, "region-sampling": cax.RegionSampling}[name]
    trial = answer(problem, kind(regions=1), x0)
    assert trial.raw_value == pytest.approx(-found.fun + (v * on) @ b, abs=1e-5)
    more = answer(problem, kind(), x0)
    assert more.raw_value >= trial.raw_value - 1e-6


def test_outputs_with_bounds_and_curved_networks_are_refused() -> None:
    model = network(*LINE)
    bounded = cax.Problem(model, cax.Output(0), [cax.Box(-1, 1), cax.Output(0) <= 0.1])
    layers = keras.layers
    classes = keras.Sequential([keras.Input((2,)), layers.Dense(4, "relu"), layers.Dense(3)])
    curved = cax.Problem(classes, cax.LogProbability(1, link="softmax"), cax.Box(-1, 1))
    for problem, words in ((bounded, "no constraints on outputs"), (curved, "curved")):
        for method in (cax.LPWalk(), cax.PerturbedGradient()):
            reason = method.refusal(problem)
            assert reason is not None
            assert words in reason
            assert "use method=" in reason
