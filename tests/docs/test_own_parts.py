"""Set, solver and objective of tutorial 7 keep the laws, and refuse what they cannot do."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import constrained_actmax as cax
from constrained_actmax.conformance import check_convex_set, check_objective, check_solver

TUTORIALS = Path(__file__).parents[2] / "docs" / "tutorials"


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    monkeypatch.syspath_prepend(TUTORIALS)
    return importlib.import_module


def test_own_set_keeps_the_laws_and_bounds_the_deviation(
    load: Callable[[str], ModuleType],
) -> None:
    set_ = load("contrast").Contrast(1.5)
    y = np.random.default_rng(0).normal(size=(5, 12)) * [[0.1], [1.0], [9.0], [50.0], [0.0]]
    check_convex_set(set_, y, reference=True)
    p = set_.project([0.0, 3.0, 6.0])  # mean 3, deviation (-3, 0, 3) of length sqrt(18)
    np.testing.assert_allclose(p, 3.0 + 1.5 / np.sqrt(18.0) * np.array([-3.0, 0.0, 3.0]))
    oracle = cax.FunctionOracle(lambda x: (x[0] - x[1], np.array([1.0, -1.0, 0.0])), 3)
    found = cax.maximize(oracle, constraints=[set_, cax.Box(0, 1)], seed=0)
    assert found.value == pytest.approx(1.0)  # the box alone binds: (1, 0, x) deviates by at most 1


def test_own_solver_keeps_the_laws_and_nears_a_known_optimum(
    load: Callable[[str], ModuleType],
) -> None:
    solver = load("falling_steps").FallingSteps(max_iterations=300)
    rng = np.random.default_rng(0)
    target = rng.uniform(0.5, 1.5, 6)  # outside the ball: the optimum is its projection
    oracle = cax.FunctionOracle(
        lambda x: (-np.abs(x - target).sum(), -np.sign(x - target)), 6, smooth=False
    )
    ball = cax.L2Ball(1.0)
    problem = cax.Problem(oracle, constraints=ball)
    check_solver(solver, problem, problem.set.sample(rng, 3))
    found = cax.solve(problem, method=solver, seed=0)
    # All slopes are 1 until an entry reaches its target, so the optimum is (1, ..., 1) / sqrt(6).
    np.testing.assert_allclose(found.x, np.full(6, 6**-0.5), atol=0.02)
    assert np.linalg.norm(found.x) <= 1 + 1e-12


def test_own_solver_refuses_limits_on_outputs(load: Callable[[str], ModuleType]) -> None:
    solver = load("falling_steps").FallingSteps()
    model = cax.examples.load_model()
    with pytest.raises(cax.RefusedError, match="augmented-lagrangian"):
        cax.maximize(model, cax.Logit(7), [cax.Box(0, 1), cax.Logit(9) <= 3], method=solver)


def test_own_objective_keeps_the_laws_and_is_the_entropy(load: Callable[[str], ModuleType]) -> None:
    entropy = load("entropy").Entropy()
    model = cax.examples.load_model()
    points = np.random.default_rng(0).random((2, 784))
    check_objective(entropy, cax.Oracle(model, cax.Logit(0), precision="float64"), points)
    oracle = cax.Oracle(model, entropy, precision="float64")
    p = model.predict(points.reshape(-1, 28, 28), verbose=0).astype(np.float64)
    np.testing.assert_allclose(
        oracle.values(points)[:, 0], -np.sum(p * np.log(p), axis=1), rtol=1e-5
    )


def test_own_objective_refuses_plain_numbers(load: Callable[[str], ModuleType]) -> None:
    import keras

    plain = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    with pytest.raises(cax.SpecificationError, match="does not end in a softmax"):
        cax.Oracle(plain, load("entropy").Entropy())
