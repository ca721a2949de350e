"""A target ends a run at a feasible point that is as good, and says nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import constrained_actmax as cax
from constrained_actmax.errors import SpecificationError
from constrained_actmax.maximization import Options
from constrained_actmax.solvers import SOLVERS

CENTER = np.array([0.3, -0.4, 0.2])
BEST = 2.0  # of the hill below, at its centre


def hill(x: np.ndarray) -> tuple[float, np.ndarray]:
    d = x - CENTER
    return BEST - float(d @ d) - float(np.sum(d**4)), -2 * d - 4 * d**3


def value(x: np.ndarray) -> float:
    return hill(np.asarray(x))[0]


ORACLE = cax.FunctionOracle(hill, 3, smooth=True)
BOX = cax.Box(-1, [0.2, 1.0, 1.0])  # the centre lies outside
LIMIT = cax.Function(lambda x: float(x @ x), None, 0.16, jacobian=lambda x: 2 * x)
#: By method what it may be asked: COBYQA and branch and bound have other oracles.
OTHERS = ("branch-and-bound", "active-signature", "nearest-point", "relax-and-round")
METHODS = [name for name in SOLVERS if name not in OTHERS]


def network() -> Any:
    """Return four inputs, 8 ReLU units, two outputs."""
    layers = [keras.Input((4,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(2)]
    model = keras.Sequential(layers)
    rng = np.random.default_rng(0)
    model.set_weights([rng.standard_normal(one.shape) for one in model.get_weights()])
    return model


@pytest.mark.parametrize("starts", [1, 9])
@pytest.mark.parametrize("method", METHODS)
def test_every_method_stops_at_the_target_and_says_so(method: str, starts: int) -> None:
    problem = cax.Problem(ORACLE, None, BOX)
    asked: dict[str, Any] = {"method": method, "starts": starts, "seed": 3}
    whole = cax.solve(problem, **asked)
    worst = max(value(one.x0) for one in whole.starts)
    target = 0.5 * (worst + whole.value)
    result = cax.solve(problem, target=target, **asked)
    assert result.status is cax.Status.TARGET
    assert result.success
    assert result.feasible
    assert result.value >= target
    assert result.value == pytest.approx(value(result.x), rel=1e-12)
    assert result.message.startswith("Target reached")
    assert result.nfev <= whole.nfev
    for one in result.starts:
        assert (one.status is cax.Status.TARGET) == (one.feasible and one.value >= target)
        assert one.status is not cax.Status.SOLVER_ERROR


@pytest.mark.parametrize("method", METHODS)
def test_a_target_beyond_the_maximum_changes_nothing(method: str) -> None:
    problem = cax.Problem(ORACLE, None, BOX)
    asked: dict[str, Any] = {"method": method, "starts": 2, "seed": 3}
    asked["budget"] = cax.Budget(evaluations=200)
    one, other = (cax.solve(problem, target=target, **asked) for target in (None, BEST + 1e-9))
    assert other.status is one.status is not cax.Status.TARGET
    np.testing.assert_array_equal(one.x, other.x)
    assert one.nfev == other.nfev


@settings(max_examples=25, deadline=None)
@given(
    target=st.floats(-3, 2.5),
    sense=st.sampled_from(["maximize", "minimize"]),
    limited=st.booleans(),
    seed=st.integers(0, 99),
)
def test_the_status_is_target_exactly_where_the_value_is_as_good(
    target: float, sense: Any, limited: bool, seed: int
) -> None:
    limits = [BOX, LIMIT] if limited else [BOX]
    problem = cax.Problem(ORACLE, None, limits, sense=sense)
    result = cax.solve(
        problem, target=target, seed=seed, starts=2, budget=cax.Budget(evaluations=120)
    )
    x = np.asarray(result.x)
    good = value(x) >= target if sense == "maximize" else value(x) <= target
    inside = np.abs(x).max() <= 1 and (not limited or x @ x <= 0.16 + 1e-5)
    assert (result.status is cax.Status.TARGET) == (result.feasible and good)
    assert inside or not result.feasible


def test_a_network_with_a_limit_stops_inside_it(tmp_path: Path) -> None:
    model = network()
    limit = float(np.median(model(np.random.default_rng(1).uniform(size=(99, 4)))[:, 1]))
    allowed = [cax.Box(0, 1), cax.Output(1) <= limit]
    whole = cax.maximize(model, cax.Output(0), allowed, seed=0)
    target = whole.value - 0.05 * abs(whole.value)
    result = cax.maximize(model, cax.Output(0), allowed, seed=0, target=target)
    first, second = np.asarray(model(np.asarray(result.x)[np.newaxis]))[0]
    assert result.status is cax.Status.TARGET
    assert first >= target - 1e-6
    assert second <= limit + 1e-5
    assert result.nfev <= whole.nfev
    assert cax.load_result(result.save(tmp_path)).status is cax.Status.TARGET
    assert result.to_scipy().status == 10


def test_several_problems_stop_each_at_the_target(tmp_path: Path) -> None:
    model = network()
    oracle = cax.Oracle(model)
    problems = [cax.Problem(oracle, cax.Output(k), cax.Box(0, 1)) for k in (0, 1)]
    whole = cax.solve_many(problems, seed=0)
    target = min(one.value for one in whole if isinstance(one, cax.Result)) - 0.01
    for found in (
        cax.solve_many(problems, seed=0, target=target),
        cax.maximize(model, [cax.Output(0), cax.Output(1)], cax.Box(0, 1), seed=0, target=target),
    ):
        for one in found:
            assert isinstance(one, cax.Result)
            assert one.status is cax.Status.TARGET
            assert one.value >= target


def test_statuses_keep_their_numbers() -> None:
    """They are saved, and SciPy's callers compare them."""
    names = "CONVERGED STALLED BUDGET INTERRUPTED INFEASIBLE UNBOUNDED ZERO_GRADIENT NON_FINITE"
    names += " SOLVER_ERROR PROVEN TARGET FEASIBLE"
    expected = {name: number for number, name in enumerate(names.split())}
    assert {one.name: int(one) for one in cax.Status} == expected


@pytest.mark.parametrize("target", ["high", float("nan"), float("inf"), True, [1.0]])
def test_a_target_that_is_no_number_is_told(target: Any) -> None:
    problem = cax.Problem(ORACLE, None, BOX)
    for call in (
        lambda: cax.solve(problem, target=target),
        lambda: cax.solve_many([problem], target=target),
        lambda: cax.sweep([problem], target=target),
    ):
        with pytest.raises(SpecificationError, match="target: must be a finite number"):
            call()
    assert "target" in Options.__annotations__
