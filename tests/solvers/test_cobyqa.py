"""Functions without gradients: COBYQA, and who refuses them."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.optimize
from hypothesis import given, settings
from hypothesis import strategies as st

import constrained_actmax as cax
from constrained_actmax.errors import RefusedError, SpecificationError
from constrained_actmax.solvers.selection import SOLVERS


def plant(x: np.ndarray) -> list[float]:
    """Return power and stress of a beam that nobody can differentiate."""
    assert x.shape == (2,)
    return [float(4 * x[0] + 3 * x[1] - x[0] ** 2), float(x @ x)]


def question(**options: object) -> cax.Problem:
    oracle = cax.BlackBoxOracle(plant, 2, labels=["power", "stress"])
    return cax.Problem(
        oracle,
        cax.Output("power"),
        [cax.Box(0, 10), 2 * cax.Output("stress") <= 8],
        **options,
    )


def test_solves_with_limits_on_outputs_and_prices_them() -> None:
    # KKT by hand: 4 - 2 x = 2 mu x, 3 = 2 mu y, x^2 + y^2 = 4, solved to 15 digits by bisection.
    result = cax.solve(question(), seed=0)
    assert result.method == "COBYQA"
    assert "without gradients" in result.reason
    x, y = result.x
    mu = 3 / (2 * y)
    assert x**2 + y**2 == pytest.approx(4, abs=1e-6)
    assert 4 - 2 * x == pytest.approx(2 * mu * x, abs=1e-5)
    assert result.feasible
    assert result.success
    # One more unit of 2 * stress is half a unit of stress.
    assert result.optimality.multipliers["2 * Output('stress') <= 8"] == pytest.approx(
        mu / 2, rel=1e-4
    )


def test_each_value_costs_one_call_and_the_judgement_2n_plus_1() -> None:
    calls = []

    def counted(x: np.ndarray) -> float:
        calls.append(x.copy())
        return -float((x - 0.3) @ (x - 0.3))

    oracle = cax.BlackBoxOracle(counted, 3)
    result = cax.maximize(oracle, constraints=[cax.Box(0, 1)], x0=np.zeros(3))
    np.testing.assert_allclose(result.x, 0.3, atol=1e-6)
    probes = result.settings["scales"]["evaluations"]
    assert len(calls) - probes == result.nfev == result.calls
    assert result.nfev < 100


@settings(deadline=None, max_examples=30)
@given(calls=st.integers(1, 70), constrained=st.booleans())
def test_the_best_point_outlives_a_function_that_turns_nan_for_good(
    calls: int, constrained: bool
) -> None:
    seen: list[tuple[bool, float]] = []

    def failing(x: np.ndarray) -> list[float]:
        if len(seen) >= calls + 8:  # the probes for the scales come first
            return [np.nan, np.nan]
        power, stress = plant(x)
        seen.append((not constrained or stress <= 4, power))
        return [power, stress]

    oracle = cax.BlackBoxOracle(failing, 2, labels=["power", "stress"])
    limits = [cax.Output("stress") <= 4] if constrained else []
    constraints = [cax.Box(0, 10), *limits]
    result = cax.maximize(oracle, cax.Output("power"), constraints, x0=[0.5, 0.5])
    assert result.settings["scales"]["evaluations"] == 8
    assert result.feasible
    assert result.value >= max(power for kept, power in seen if kept) - 1e-9
    assert np.isfinite(result.value)


@pytest.mark.parametrize("kind", ["ineq", "eq"])
def test_a_constraint_is_called_once_for_each_evaluation(kind: str) -> None:
    calls = []

    def on_sphere(x: np.ndarray) -> float:
        calls.append(1)
        return 1.0 - float(x @ x)

    oracle = cax.BlackBoxOracle(lambda x: float(x.sum()), 5)
    limit = {"type": kind, "fun": on_sphere}
    result = cax.maximize(oracle, constraints=[cax.Box(-2, 2), limit], x0=np.full(5, 0.2))
    assert result.value == pytest.approx(np.sqrt(5), abs=1e-5)
    assert result.feasible
    # Each evaluation, the probes, one to count the values, and central differences at the end.
    probes = result.settings["scales"]["evaluations"]
    assert len(calls) <= result.nfev + probes + 1 + 2 * 5


@pytest.mark.parametrize("kind", ["ineq", "eq"])
@pytest.mark.parametrize("n", [4, 10])
def test_points_of_the_models_are_not_asked_for_again(n: int, kind: str) -> None:
    x0, bounds, points = np.full(n, 0.3), [(-1, 2)] * n, []

    def value(x: np.ndarray) -> float:
        return float(((x - 1) ** 2).sum() + x[0] * x[1])

    def in_ball(x: np.ndarray) -> float:
        points.append(x.tobytes())
        return 1.0 - float(x @ x)

    limit = {"type": kind, "fun": in_ball}
    scipys = scipy.optimize.minimize(value, x0, method="COBYQA", bounds=bounds, constraints=limit)
    calls = len(points)
    points.clear()
    result = cax.minimize(
        cax.BlackBoxOracle(value, n), x0=x0, bounds=bounds, constraints=limit, method="COBYQA"
    )
    assert result.value == pytest.approx(scipys.fun, abs=1e-5)
    assert len(points) < 0.3 * calls  # SciPy asks for all points again after every step


def test_a_last_radius_of_zero_keeps_points_apart() -> None:
    oracle = cax.BlackBoxOracle(lambda x: float((x[0] - 2) ** 2 + (x[1] + 1) ** 2), 2)
    ball = scipy.optimize.NonlinearConstraint(lambda x: x @ x, -np.inf, 1)
    result = cax.minimize(
        oracle,
        constraints=[ball],
        bounds=[(-3, 3)] * 2,
        x0=[0.0, 0.0],
        method="COBYQA",
        options={"final_tr_radius": 0.0},
        budget=cax.Budget(evaluations=150),
    )
    assert result.value == pytest.approx((np.sqrt(5.0) - 1.0) ** 2, abs=1e-3)


def test_starts_run_one_after_another() -> None:
    result = cax.solve(question(), starts=3, seed=1)
    assert len(result.starts) == 3
    values = [start.value for start in result.starts]
    assert values == pytest.approx([result.value] * 3, rel=1e-5)  # models of values end this near


def test_methods_that_need_gradients_refuse_and_name_it() -> None:
    problem = question()
    for name, kind in SOLVERS.items():
        reason = kind().refusal(problem)
        assert (reason is None) == (name == "COBYQA"), name
        if reason is not None:
            assert "use method='COBYQA'" in reason


def test_refuses_many_variables() -> None:
    oracle = cax.BlackBoxOracle(lambda x: float(x.sum()), 60)
    with pytest.raises(RefusedError, match="at most 30 variables, and this problem has 60;"):
        cax.maximize(oracle, constraints=[cax.Box(0, 1)])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: cax.BlackBoxOracle(plant, -1), "integers >= 0"),
        (lambda: cax.BlackBoxOracle(3, 2), "is a function, got int"),
        (
            lambda: cax.BlackBoxOracle(plant, 2, cax.Logit(1)),
            "ask for Output",
        ),
        (
            lambda: cax.BlackBoxOracle(plant, 2, cax.Output("mass")),
            "no output has this label",
        ),
        (
            lambda: cax.BlackBoxOracle(plant, 2, cax.Output(7)).values(np.ones((1, 2))),
            "gives 2 outputs, there is no output 7",
        ),
    ],
)
def test_wrong_functions(call: object, message: str) -> None:
    with pytest.raises(SpecificationError, match=message):
        call()  # type: ignore[operator]
