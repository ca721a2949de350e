"""Equalities that others say already change nothing; those that contradict them are told."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import constrained_actmax as cax

METHODS = ["auto", "SLSQP", "trust-constr", "augmented-lagrangian"]


def bowl() -> cax.FunctionOracle:
    return cax.FunctionOracle(lambda x: (float((x - 1) @ (x - 1)), 2 * (x - 1)), 2, smooth=True)


def equal(function: Any) -> dict[str, Any]:
    return {"type": "eq", "fun": function}


def solved(
    equalities: list[dict[str, Any]], method: str, x0: tuple[float, float] = (0.0, 0.0)
) -> cax.Result:
    return cax.minimize(bowl(), None, equalities, bounds=[(-5, 5)] * 2, x0=x0, method=method)


@pytest.mark.parametrize("method", METHODS)
def test_multiples_by_differences_are_one_equality(method: str) -> None:
    # The point of x + 2 y = 1 nearest to (1, 1): (3/5, 1/5), at a squared distance of 4/5.
    rows = [
        equal(lambda x: x[0] + 2 * x[1] - 1),
        equal(lambda x: 0.37 * x[0] + 0.74 * x[1] - 0.37),
    ]
    result = solved(rows, method)
    assert result.value == pytest.approx(0.8, abs=1e-6)
    assert result.success
    for rate in result.optimality.multipliers.values():
        assert np.all(np.abs(rate) < 10)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("other", [lambda x: x[0] + x[1] - 1, lambda x: 0.0])
def test_repeated_and_constant_equalities_are_left_out(method: str, other: Any) -> None:
    result = solved([equal(lambda x: x[0] + x[1] - 1), equal(other)], method)
    assert result.value == pytest.approx(0.5, abs=1e-6)  # at (1/2, 1/2)
    assert result.success


@pytest.mark.parametrize("method", METHODS)
def test_parallel_equalities_are_infeasible(method: str) -> None:
    rows = [equal(lambda x: x[0] + x[1] - 1), equal(lambda x: 2 * x[0] + 2 * x[1] - 3)]
    result = solved(rows, method)
    assert not result.feasible
    assert result.status is cax.Status.INFEASIBLE


@pytest.mark.parametrize("method", METHODS)
def test_equalities_that_meet_at_one_point_alone_stay(method: str) -> None:
    # At 0 both gradients are the same; elsewhere they are not: (1, 0) and (0, 1) are left.
    rows = [
        equal(lambda x: x[0] + x[1] - 1),
        equal(lambda x: x[0] ** 2 + x[0] + x[1] ** 2 + x[1] - 2),
    ]
    result = solved(rows, method, (0.2, 0.0))
    np.testing.assert_allclose(np.sort(result.x), [0, 1], atol=1e-5)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), powers=st.lists(st.floats(-9, 2), min_size=3, max_size=3))
def test_a_starting_point_near_zero_makes_no_equality_dependent(
    seed: int, powers: list[float]
) -> None:
    # Orthogonal rows, and spheres round two points: independent whatever x0 has for numbers.
    rng = np.random.default_rng(seed)
    rows, start = np.linalg.qr(rng.normal(size=(3, 3)))[0][:2], 10.0 ** np.array(powers)
    spheres = [equal(lambda x: x @ x - 9), equal(lambda x: (x - rows[0]) @ (x - rows[0]) - 9)]
    for equalities in ([equal(lambda x, a=one: a @ x - 1) for one in rows], spheres):
        problem = cax.Problem(
            cax.FunctionOracle(lambda x: (float(x.sum()), np.ones(3)), 3),
            constraints=equalities,
            sense="minimize",
            x0=start,
        )
        assert not problem.scales.dependent.any()
    repeated = cax.Problem(
        problem.user_oracle, constraints=[*spheres, spheres[0]], sense="minimize", x0=start
    )
    assert repeated.scales.dependent.tolist() == [False, False, True]


def test_equalities_that_look_the_same_near_the_starting_point_are_both_kept() -> None:
    # CUTEst's BYRDSPHR: two spheres meet in the circle x1 = 1/2, x2^2 + x3^2 = 35/4.
    spheres = [equal(lambda x: x @ x - 9), equal(lambda x: (x[0] - 1) ** 2 + x[1:] @ x[1:] - 9)]
    oracle = cax.FunctionOracle(lambda x: (-float(x.sum()), -np.ones(3)), 3)
    result = cax.minimize(oracle, constraints=spheres, x0=[5, 1e-4, -1e-4])
    assert result.success
    assert result.value == pytest.approx(-0.5 - np.sqrt(35 / 2), abs=1e-6)
