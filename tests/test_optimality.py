"""KKT residuals and multipliers against hand calculations and finite differences."""

from __future__ import annotations

import numpy as np
import pytest
from sample_problems import bowl, quadratic

import constrained_actmax as cax
from constrained_actmax.optimality import measure

N = 12


def solved(sets: list[cax.ConvexSet], **options: object) -> cax.Result:
    return cax.solve(quadratic(N, sets), method="spg", x0=np.full(N, 0.1), tol=1e-10, **options)


def test_the_residual_on_a_box_equals_one_by_hand() -> None:
    problem = quadratic(N, [cax.Box(-0.3, 0.2)])
    a, b = bowl(N)
    rng = np.random.default_rng(0)
    for _ in range(10):
        x = rng.uniform(-0.3, 0.2, N)
        gradient = a @ x - b
        by_hand = max(
            abs(min(max(x_i - g_i, -0.3), 0.2) - x_i) for x_i, g_i in zip(x, gradient, strict=True)
        )
        found = measure(problem, x, problem.evaluate(x[None]))
        assert found.residual == pytest.approx(by_hand, rel=1e-12)
        # In units of the box's width and of the typical slope over it.
        width, slope = 0.5, problem.scales.slope
        moved = np.clip(x - width**2 * gradient / slope, -0.3, 0.2)
        assert found.stationarity == pytest.approx(np.abs(moved - x).max() / width, rel=1e-12)
        assert found.violation == 0


def test_the_residual_outside_a_ball_counts_the_way_back() -> None:
    problem = quadratic(N, [cax.L2Ball(1.0)])
    a, b = bowl(N)
    x = np.full(N, 0.5)
    target = x - (a @ x - b)
    by_hand = np.abs(target / np.linalg.norm(target) - x).max()
    found = measure(problem, x, problem.evaluate(x[None]))
    assert found.residual == pytest.approx(by_hand, rel=1e-12)
    assert found.violation == pytest.approx(np.sqrt(N) * 0.5 - 1.0)


@pytest.mark.parametrize("ball", [cax.L1Ball, cax.L2Ball])
@pytest.mark.parametrize("box", [[], [cax.Box(0, 0.6)]])
@pytest.mark.parametrize("sense", ["minimize", "maximize"])
def test_the_price_of_a_radius_is_the_slope_of_the_optimal_value(
    ball: type, box: list, sense: str
) -> None:
    a, b = bowl(N)
    sign = 1.0 if sense == "minimize" else -1.0
    oracle = cax.FunctionOracle(
        lambda x: (sign * (0.5 * float(x @ a @ x) - float(b @ x)), sign * (a @ x - b)),
        N,
        smooth=True,
    )

    def optimum(radius: float) -> cax.Result:
        problem = cax.Problem(oracle, constraints=[*box, ball(radius)], sense=sense)
        return cax.solve(problem, method="spg", x0=np.zeros(N), tol=1e-11)

    step = 1e-4
    slope = (optimum(0.7 + step).value - optimum(0.7 - step).value) / (2 * step)
    prices = optimum(0.7).optimality.multipliers
    assert list(prices) == [f"{ball.__name__}(0.7)"]
    assert prices[f"{ball.__name__}(0.7)"] == pytest.approx(slope, rel=1e-4)
    assert np.sign(slope) == -sign


def test_an_idle_radius_has_no_price() -> None:
    result = solved([cax.Box(0, 0.1), cax.L1Ball(50.0)])
    assert result.optimality.multipliers == {"L1Ball(50)": 0.0}
    assert result.success


def test_non_finite_points_have_no_residual() -> None:
    oracle = cax.FunctionOracle(lambda x: (np.nan, x), 2)
    problem = cax.Problem(oracle, constraints=[cax.Box(0, 1)])
    found = measure(problem, np.zeros(2), problem.evaluate(np.zeros((1, 2))))
    assert np.isnan(found.stationarity)


def test_success_is_never_claimed_above_tol() -> None:
    # L-BFGS-B's own test of f ends it early; the library measures again and does not believe it.
    result = cax.solve(
        quadratic(N, [cax.Box(-1, 1)]), method="L-BFGS-B", x0=np.zeros(N), options={"ftol": 1e-2}
    )
    assert result.optimality.stationarity > 1e-6
    assert result.status is cax.Status.STALLED
    assert not result.success
    assert "Residual" in result.message
