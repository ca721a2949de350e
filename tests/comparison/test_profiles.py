"""Profiles against the papers' formulas, written out; verdicts against SciPy."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats

import constrained_actmax as cax
from constrained_actmax.comparison import data_profile, performance_profile
from constrained_actmax.comparison.verdict import judge

COSTS = np.array(
    [
        [10.0, 20.0, np.inf, 12.0],
        [300.0, 150.0, 150.0, np.inf],
        [np.inf, np.inf, np.inf, np.inf],
        [7.0, 7.0, 21.0, 70.0],
        [1.0, 3.0, 2.0, 4.5],
    ]
)


def rho(costs: np.ndarray, method: int, tau: float) -> float:
    """Return Dolan and Moré's formula, one problem at a time."""
    solved = 0
    for row in costs.tolist():
        cheapest = min(row)
        if cheapest == float("inf") or row[method] == float("inf"):
            continue
        solved += row[method] / cheapest <= tau
    return solved / len(costs)


def d(costs: np.ndarray, sizes: list[int], method: int, kappa: float) -> float:
    """Return Moré and Wild's formula, one problem at a time."""
    solved = 0
    for row, n in zip(costs.tolist(), sizes, strict=True):
        solved += row[method] / (n + 1) <= kappa
    return solved / len(costs)


@pytest.mark.parametrize("tau", [1.0, 1.2, 1.999, 2.0, 3.0, 4.5, 10.0, 1e9])
def test_performance_profile_is_the_formula(tau: float) -> None:
    at, shares = performance_profile(COSTS)
    assert at[0] == 1.0
    row = np.searchsorted(at, tau, side="right") - 1
    np.testing.assert_allclose(shares[row], [rho(COSTS, s, tau) for s in range(4)])


@pytest.mark.parametrize("kappa", [0.2, 0.5, 1.0, 2.0, 15.0, 60.0, 1e9])
def test_data_profile_is_the_formula(kappa: float) -> None:
    sizes = [4, 9, 3, 2, 1]
    at, shares = data_profile(COSTS, sizes)
    row = np.searchsorted(at, kappa, side="right") - 1
    expected = [d(COSTS, sizes, s, kappa) for s in range(4)]
    np.testing.assert_allclose(shares[row] if row >= 0 else np.zeros(4), expected)


def test_random_profiles_are_the_formulas_everywhere() -> None:
    rng = np.random.default_rng(0)
    costs = np.exp(rng.normal(3, 1, (40, 6)))
    costs[rng.random((40, 6)) < 0.3] = np.inf
    sizes = rng.integers(1, 50, 40).tolist()
    at, shares = performance_profile(costs)
    for row in range(0, len(at), 7):
        np.testing.assert_allclose(shares[row], [rho(costs, s, at[row]) for s in range(6)])
    at, shares = data_profile(costs, sizes)
    for row in range(0, len(at), 7):
        np.testing.assert_allclose(shares[row], [d(costs, sizes, s, at[row]) for s in range(6)])
    assert (np.diff(shares, axis=0) >= 0).all()


def test_costs_must_be_positive() -> None:
    with pytest.raises(cax.SpecificationError, match="numbers > 0"):
        performance_profile([[0.0, 1.0]])
    with pytest.raises(cax.SpecificationError, match="one number >= 0 for each of 1 problems"):
        data_profile([[1.0, 2.0]], [1, 2])


def test_a_winner_needs_every_interval_to_leave_out_zero() -> None:
    rng = np.random.default_rng(1)
    base = rng.normal(10, 3, 12)  # starts differ far more than methods do: pairs take that out
    ahead = base + 1.0 + 0.1 * rng.standard_normal(12)
    near = ahead + 0.5 * rng.standard_normal(12) - 0.05
    clear = judge({"ahead": ahead, "base": base}, "u")
    assert clear.winner == "ahead"
    assert str(clear).startswith("Winner: ahead")
    tie = judge({"ahead": ahead, "near": near, "base": base}, "u")
    assert tie.winner is None
    assert {one.method for one in tie.differences if one.decided} == {"base"}
    assert str(tie) == "No winner: ahead leads, but its lead over near is not significant (u)."
    equal = judge({"ahead": ahead, "same": ahead.copy(), "base": base}, "u")
    assert equal.winner is None
    assert str(equal) == "A tie: ahead leads, but same is equal to it (u)."


def test_intervals_are_those_of_the_paired_t_test() -> None:
    rng = np.random.default_rng(2)
    a, b, c = rng.normal(size=(3, 9))
    found = judge({"a": a + 5, "b": b, "c": c}, "u", confidence=0.95)
    for one, other in zip(found.differences, (b, c), strict=True):
        expected = scipy.stats.ttest_rel(a + 5, other).confidence_interval(1 - 0.05 / 2)
        assert (one.low, one.high) == pytest.approx((expected.low, expected.high))
        assert one.pairs == 9


def test_one_pair_decides_nothing() -> None:
    found = judge({"a": np.array([2.0]), "b": np.array([1.0])}, "u")
    assert found.winner is None
    assert "use more starts" in str(found)
