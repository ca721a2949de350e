"""No function is called outside the bounds, by any method, difference or check."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.optimize
from hypothesis import given, settings
from hypothesis import strategies as st

import constrained_actmax as cax
from constrained_actmax.solvers.selection import SOLVERS, named

WIDTHS = st.sampled_from([0.0, 1e-6, 0.3, 1.0, 40.0, np.inf])


@st.composite
def questions(draw: st.DrawFn, derivatives: bool = True) -> cax.Problem:
    """Draw a problem whose functions raise outside its bounds, and a start, often on a bound."""
    n = draw(st.integers(2, 4))
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    lower = rng.uniform(-2.0, 1.0, n)
    upper = lower + draw(st.lists(WIDTHS, min_size=n, max_size=n).filter(any))
    x0 = lower + rng.choice([0.0, 0.5, 1.0], n) * np.minimum(upper - lower, 1.0)
    x0 = np.clip(x0, lower, upper)
    target = x0 + rng.standard_normal(n)
    curvature = rng.uniform(0.5, 5.0, n)

    def inside(x: np.ndarray) -> np.ndarray:
        assert np.all(x >= lower), f"{np.min(x - lower):.1e} below"
        assert np.all(x <= upper), f"{np.max(x - upper):.1e} above"
        return x

    def distance(x: np.ndarray) -> tuple[float, np.ndarray]:
        d = inside(x) - target
        return float(curvature @ d**2 + d.sum() ** 2), 2 * curvature * d + 2 * d.sum()

    sets: list[Any] = [cax.Box(lower, upper)]
    if draw(st.booleans()):
        sets.append(cax.L2Ball(0.7, center=x0))
    functions: list[Any] = []
    if draw(st.booleans()):
        radius = float(np.linalg.norm(target - x0))
        functions.append(
            scipy.optimize.NonlinearConstraint(
                lambda x: np.sqrt(1.0 + np.sum((inside(x) - target) ** 2)),
                0.9 * np.sqrt(1.0 + radius**2),
                np.inf,
                jac=draw(st.sampled_from(["2-point", "3-point"])),
            )
        )
    oracle: Any
    if derivatives:
        smooth = draw(st.sampled_from([True, False, None]))
        oracle = cax.FunctionOracle(distance, n, smooth=smooth)
    else:
        oracle = cax.BlackBoxOracle(lambda x: distance(x)[0], n)
    sense: Any = draw(st.sampled_from(["minimize", "maximize"]))
    if not np.isfinite(upper).all():
        sense = "minimize"
    return cax.Problem(oracle, None, [*sets, *functions], sense=sense, x0=x0)


@pytest.mark.parametrize("method", SOLVERS)
@settings(max_examples=15)
@given(data=st.data())
def test_no_call_leaves_the_bounds(method: str, data: st.DataObject) -> None:
    problem = data.draw(questions())
    solver = named(method)
    if solver.refusal(problem) is None:
        budget = cax.Budget(evaluations=120)
        result = cax.solve(problem, method=solver, starts=2, seed=0, budget=budget)
        assert np.all(result.flat >= problem.set.bounds()[0])
        assert np.all(result.flat <= problem.set.bounds()[1])


@given(data=st.data())
@settings(max_examples=8)
def test_no_call_of_a_black_box_leaves_the_bounds(data: st.DataObject) -> None:
    problem = data.draw(questions(derivatives=False))
    result = cax.solve(problem, seed=0, budget=cax.Budget(evaluations=80))
    assert np.all(result.flat >= problem.set.bounds()[0])
    assert np.all(result.flat <= problem.set.bounds()[1])


@given(data=st.data())
def test_no_call_of_check_leaves_the_bounds(data: st.DataObject) -> None:
    problem = data.draw(questions())
    assert cax.check(problem).gradient_error < 1e-3


@pytest.mark.parametrize("inner", ["spg", "pgd", "fista", "pqn", "L-BFGS-B"])
@settings(max_examples=8)
@given(data=st.data())
def test_no_call_of_an_inner_method_leaves_the_bounds(inner: str, data: st.DataObject) -> None:
    problem = data.draw(questions())
    solver = named("augmented-lagrangian").with_options({"inner": named(inner)})
    if solver.refusal(problem) is None:
        result = cax.solve(problem, method=solver, seed=0, budget=cax.Budget(evaluations=120))
        assert np.all(result.flat >= problem.set.bounds()[0])
        assert np.all(result.flat <= problem.set.bounds()[1])


def test_the_number_of_values_is_learnt_inside_the_bounds() -> None:
    # Smallest x0 + x1 with 1 / x0 <= 2 and x1 >= x0, at (0.5, 0.5); at x = 0 it divides by zero.
    bowl = cax.FunctionOracle(lambda x: (float(x.sum()), np.ones(2)), 2, smooth=True)
    constraint = {"type": "ineq", "fun": lambda x: [2 - 1 / float(x[0]), x[1] - x[0]]}
    for x0 in (None, [0.9, 0.9]):
        result = cax.minimize(bowl, None, constraint, bounds=[(0.4, 1.0), (0.4, 1.0)], x0=x0)
        np.testing.assert_allclose(result.x, 0.5, atol=1e-6)


@pytest.mark.parametrize("method", ["SLSQP", "trust-constr", "augmented-lagrangian", "COBYQA"])
def test_differences_at_the_edge_of_a_domain(method: str) -> None:
    # Smallest (x0 - 1)^2 + (x1 - 2)^2 with x1 + sqrt(1 - x0) <= 1: SciPy's SLSQP and a grid over
    # x0 agree that it is where x1 = 1 - s, s = sqrt(1 - x0), s^4 + (1 + s)^2 is least: s = 0.
    def edge(x: np.ndarray) -> float:
        assert x[0] <= 1.0
        return float(x[1] + np.sqrt(1.0 - x[0]))

    bowl = cax.FunctionOracle(
        lambda x: (float((x[0] - 1) ** 2 + (x[1] - 2) ** 2), np.array([2, 2]) * (x - [1, 2])),
        2,
        smooth=True,
    )
    constraint = scipy.optimize.NonlinearConstraint(edge, -np.inf, 1.0)
    result = cax.minimize(
        bowl, None, constraint, bounds=[(-3.0, 1.0), (-3.0, 3.0)], x0=[0.0, -1.0], method=method
    )
    assert result.feasible
    assert result.fun == pytest.approx(1.0, abs=0.05)


def test_a_black_box_is_judged_inside_its_bounds() -> None:
    # The largest x0 + sqrt(x1) on [0, 1]^2 is 2, at the corner where a step outside raises.
    def function(x: np.ndarray) -> float:
        if not (x.min() >= 0.0 and x.max() <= 1.0):
            raise ValueError(f"not defined at {x}")
        return float(x[0] + np.sqrt(x[1]))

    oracle = cax.BlackBoxOracle(function, 2)
    result = cax.maximize(oracle, None, cax.Box(0, 1), x0=[0.2, 0.7])
    assert result.success
    np.testing.assert_allclose(result.x, 1.0)
    assert result.optimality.stationarity == pytest.approx(0.0, abs=1e-6)
