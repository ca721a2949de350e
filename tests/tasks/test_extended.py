"""Trials where a function is not finite: methods turn back and go on."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.optimize
from hypothesis import given
from hypothesis import strategies as st

import constrained_actmax as cax
from constrained_actmax.conformance import check_task
from constrained_actmax.tasks import Extended, Recording


def shares(w: np.ndarray) -> tuple[float, np.ndarray]:
    """Return log w0 + 3 log w1, which is not finite on the edge of the simplex."""
    with np.errstate(all="ignore"):
        return float(np.log(w[0]) + 3 * np.log(w[1])), np.array([1 / w[0], 3 / w[1]])


def barrier(n: int = 3) -> cax.Problem:
    """Return x'x where the sum is at most 1, NaN elsewhere, on a box that goes farther."""

    def function(x: np.ndarray) -> tuple[float, np.ndarray]:
        if x.sum() > 1.0:
            return np.nan, np.full(n, np.nan)
        return float(x @ x - 3 * x.sum()), 2 * x - 3

    oracle = cax.FunctionOracle(function, n)
    return cax.Problem(oracle, constraints=[cax.Box(-1, 1)], sense="minimize", x0=np.zeros(n))


@pytest.mark.parametrize(
    "method", ["pqn", "fista", "frank-wolfe", "spg", "pgd", "SLSQP", "trust-constr", "auto"]
)
def test_logarithms_of_shares(method: str) -> None:
    # Lagrange: w is proportional to the weights 1 and 3.
    oracle = cax.FunctionOracle(shares, 2)
    result = cax.maximize(oracle, constraints=cax.Simplex(), x0=[0.5, 0.5], method=method)
    np.testing.assert_allclose(result.x, [0.25, 0.75], atol=1e-4)
    assert result.status in (cax.Status.CONVERGED, cax.Status.STALLED, cax.Status.BUDGET)


@pytest.mark.parametrize("method", ["augmented-lagrangian", "SLSQP", "trust-constr", "auto"])
def test_logarithms_under_a_constraint_on_a_function(method: str) -> None:
    # At w1 = 0.6 the rest is w0.
    oracle = cax.FunctionOracle(shares, 2)
    limit = scipy.optimize.NonlinearConstraint(
        lambda w: w[1] ** 2, -np.inf, 0.36, jac=lambda w: [0.0, 2 * w[1]]
    )
    result = cax.maximize(oracle, constraints=[cax.Simplex(), limit], x0=[0.5, 0.5], method=method)
    np.testing.assert_allclose(result.x, [0.4, 0.6], atol=1e-4)
    assert result.success


@pytest.mark.parametrize("method", ["SLSQP", "trust-constr", "augmented-lagrangian", "auto"])
def test_powers_of_shares_of_a_large_total(method: str) -> None:
    # Cobb and Douglas: shares of the total are proportional to the exponents.
    def output(x: np.ndarray) -> tuple[float, np.ndarray]:
        with np.errstate(all="ignore"):
            value = x[0] ** 0.3 * x[1] ** 0.6
            return float(value), np.array([0.3 * value / x[0], 0.6 * value / x[1]])

    total = scipy.optimize.NonlinearConstraint(
        lambda x: x.sum(), -np.inf, 3e6, jac=lambda x: [1.0, 1.0]
    )
    result = cax.maximize(
        cax.FunctionOracle(output, 2), constraints=total, x0=[1e6, 1e6], method=method
    )
    np.testing.assert_allclose(result.x, [1e6, 2e6], rtol=1e-3)
    assert result.feasible


@given(
    good=st.lists(st.floats(-1, 0.3), min_size=3, max_size=3),
    bad=st.lists(st.floats(0.4, 1), min_size=3, max_size=3),
)
def test_a_trial_that_is_not_finite_gains_nothing(good: list[float], bad: list[float]) -> None:
    form = barrier().scaled
    recording = Recording(form, 2)
    task = Extended(recording)
    z, x = form.point(np.array([good])), form.point(np.array([bad]))
    assert not task.evaluate(x, [0]).finite[0]  # nothing is known yet
    known, trial = task.evaluate(z, [0]), task.evaluate(x, [0])
    assert trial.finite[0]
    assert trial.f[0] >= known.f[0]
    assert trial.gradient[0] @ (x[0] - z[0]) >= 0
    assert trial.violation is not None
    assert np.isinf(trial.violation[0])
    assert not task.evaluate(x, [1]).finite[0]  # another start has its own
    best = recording.best(0)
    assert best is not None
    np.testing.assert_array_equal(best.x, z[0])
    for _ in range(40):
        last = task.evaluate(x, [0])
    assert not last.finite[0]
    assert task.evaluate(z, [0]).finite[0]


def test_where_all_is_finite_it_is_the_task_itself() -> None:
    problem: Any = barrier()
    recording = Recording(problem.scaled, 1, budget=cax.Budget(evaluations=2000))
    points = problem.scaled.point(np.array([[-0.5, 0.2, -0.1], [0.1, 0.1, -0.6]]))
    check_task(Extended(recording), points, problem=problem)


@pytest.mark.parametrize("method", ["auto", "SLSQP", "successive-halving", "pgd"])
def test_a_drawn_starting_point_that_is_not_finite_is_drawn_again(method: str) -> None:
    def root(x: np.ndarray) -> tuple[float, np.ndarray]:
        with np.errstate(invalid="ignore"):
            return float(np.sqrt(x[0] - 0.5)), np.array([0.5 / np.sqrt(x[0] - 0.5), 0.0])

    oracle = cax.FunctionOracle(root, 2, smooth=method not in ("successive-halving", "pgd"))
    result = cax.maximize(oracle, constraints=cax.Box(0, 1), starts=6, seed=0, method=method)
    assert all(one.x0[0] > 0.5 for one in result.starts)
    assert all(one.value == pytest.approx(np.sqrt(0.5)) for one in result.starts)
    given = cax.maximize(oracle, constraints=cax.Box(0, 1), x0=[0.2, 0.2], method=method, seed=0)
    assert given.starts[0].x0[0] == 0.2  # the user's own stays


@pytest.mark.parametrize("method", ["pgd", "successive-halving"])
@pytest.mark.parametrize("starts", [1, 3])
def test_steps_of_a_given_length_turn_back_from_what_is_not_finite(
    method: str, starts: int
) -> None:
    # max sqrt(1 - x'x) + a'x is sqrt(1 + a'a); outside the unit ball there is no number.
    a = np.array([0.5, -0.7, 0.3])

    def function(x: np.ndarray) -> tuple[float, np.ndarray]:
        with np.errstate(all="ignore"):
            root = np.sqrt(1.0 - x @ x)
            return float(root + a @ x), a - x / root

    for smooth in (None, False):
        points = 0.4 * np.random.default_rng(1).uniform(-1, 1, (starts, 3))
        result = cax.maximize(
            cax.FunctionOracle(function, 3, smooth=smooth),
            constraints=cax.Box(-1, 1),
            starts=points,
            method=method,
        )
        for one in result.starts:
            assert one.value == pytest.approx(np.sqrt(1 + a @ a), abs=5e-3)
            assert one.status is not cax.Status.NON_FINITE
