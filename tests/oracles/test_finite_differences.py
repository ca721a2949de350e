"""Finite differences within bounds, against closed forms."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.optimize
from hypothesis import given
from hypothesis import strategies as st

from constrained_actmax.oracles.finite_differences import Domain, central_pair, jacobian, units

EPSILON = np.finfo(np.float64).eps
#: Where a box begins, its width (0: fixed, infinite: none), and where in it the point lies.
COLUMN = st.tuples(
    st.sampled_from([-1e3, -1.0, 0.0, 0.5, 7e4]),
    st.sampled_from([0.0, 1e-9, 1e-3, 1.0, 20.0, 1e9, np.inf]),
    st.sampled_from([0.0, 1e-12, 0.3, 0.5, 1.0]),
    st.sampled_from(["both", "lower", "upper"]),
)


def boxed(columns: list[tuple[float, float, float, str]]) -> tuple[np.ndarray, ...]:
    lower, upper, x = [], [], []
    for low, width, share, sides in columns:
        high = low + width
        point = low + share * min(width, 2.0)
        lower.append(-np.inf if sides == "upper" and width else low)
        upper.append(np.inf if sides == "lower" and width else high)
        x.append(min(point, high))
    return np.array(lower), np.array(upper), np.array(x)


@pytest.mark.parametrize("central", [False, True])
@given(columns=st.lists(COLUMN, min_size=1, max_size=4))
def test_derivatives_are_right_and_no_call_leaves_the_bounds(
    columns: list[tuple[float, float, float, str]], central: bool
) -> None:
    # Each value varies over the lengths that `units` names, as the law of the steps supposes:
    # f = sin((x - m) / L) has the derivative cos((x - m) / L) / L.
    lower, upper, x = boxed(columns)
    free = lower < upper
    length = units(x, lower, upper, np.ones(x.size))

    def function(y: np.ndarray) -> np.ndarray:
        assert np.all(y >= lower)
        assert np.all(y <= upper)
        return np.append(np.sin((y - x) / length + 1.0), float(np.sum((y - x) / length)))

    slopes = jacobian(
        function, x, function(x), Domain(lower, upper, np.ones(x.size)), central=central
    )
    expected = np.vstack([np.diag(np.cos(1.0) / length), 1.0 / length])
    expected[:, ~free] = 0.0  # fixed columns
    # Truncation is of order h / L, or its square; rounding of order eps |x| / h.
    order = 2 if central else 1
    relative = np.maximum(1.0, np.abs(x) / length)
    allowed = 20.0 * (EPSILON * relative) ** (order / (order + 1))
    assert np.all(np.abs(slopes - expected) * length <= np.minimum(allowed, 1.0))


def test_fixed_columns_cost_no_call_and_central_ones_two() -> None:
    calls: list[np.ndarray] = []

    def function(y: np.ndarray) -> float:
        calls.append(y)
        return float(y @ y)

    x = np.array([1.0, 0.0, 2.0])
    domain = Domain(np.array([1.0, 0.0, -5.0]), np.array([1.0, 1.0, 5.0]), np.ones(3))
    found = jacobian(function, x, np.array([5.0]), domain, central=True)
    assert len(calls) == 4
    np.testing.assert_allclose(found, [[0.0, 0.0, 4.0]], atol=1e-8)
    calls.clear()
    found = jacobian(function, x, np.array([5.0]), domain, columns=[2])
    assert len(calls) == 1
    np.testing.assert_allclose(found, [[0.0, 0.0, 4.0]], atol=1e-6)


def test_units_of_a_box_change_nothing() -> None:
    # In units a thousand times as small, every call is made at the same place.
    rng = np.random.default_rng(0)
    lower, width = rng.standard_normal(5), rng.uniform(0.1, 50.0, 5)
    x = lower + rng.uniform(size=5) * width
    places = []
    for factor in (1.0, 1024.0):
        calls: list[np.ndarray] = []

        def function(y: np.ndarray, factor: float = factor, calls: list = calls) -> float:
            calls.append(y / factor)
            return float(np.sum(np.sin(y / factor)))

        domain = Domain(factor * lower, factor * (lower + width), factor * width)
        found = jacobian(function, factor * x, np.array([np.sin(x).sum()]), domain)
        np.testing.assert_allclose(factor * found[0], np.cos(x), atol=1e-5)
        places.append(np.array(calls))
    np.testing.assert_array_equal(places[0], places[1])


def test_a_bound_that_is_as_good_as_none_says_nothing() -> None:
    # SciPy's step, 1.5e-8 max(1, |x|), for bounds of 1e20.
    x, domain = np.array([2.0]), Domain(np.array([0.0]), np.array([1e20]), np.ones(1))
    calls: list[float] = []
    jacobian(lambda y: calls.append(float(y[0])) or 0.0, x, np.array([0.0]), domain)
    assert calls[0] - 2.0 == pytest.approx(2.0 * EPSILON**0.5, rel=1e-6)


@pytest.mark.parametrize("relative", [1e-3, -1e-3, [1e-2, 1e-4, 1e-3, 1e-3]])
@pytest.mark.parametrize("scheme", ["2-point", "3-point"])
def test_the_relative_step_is_scipys(relative: object, scheme: str) -> None:
    # SciPy's own calls, recorded from what it differences with the same field.
    x = np.array([2.0, -3.0, 0.5, 1.0])
    bounds = scipy.optimize.Bounds([-10, -10, -10, -10], [10, 10, 10, 1], keep_feasible=True)
    ours: list[np.ndarray] = []
    theirs: list[np.ndarray] = []

    def recorded(y: np.ndarray, calls: list[np.ndarray]) -> float:
        calls.append(y.copy())
        return float(np.sum(y**2))

    jacobian(
        lambda y: recorded(y, ours),
        x,
        np.array([14.25]),
        Domain(bounds.lb, bounds.ub, np.ones(4)),
        central=scheme == "3-point",
        relative=relative,
    )
    scipy.optimize.minimize(
        lambda y: recorded(y, theirs),
        x,
        method="trust-constr",
        jac=scheme,
        bounds=bounds,
        options={"finite_diff_rel_step": relative, "maxiter": 1},
    )
    first = {one.tobytes() for one in theirs[1 : 1 + len(ours)]}
    assert {one.tobytes() for one in ours} == first


@given(columns=st.lists(COLUMN, min_size=1, max_size=4), seed=st.integers(0, 99))
def test_a_central_pair_stays_within_the_bounds(
    columns: list[tuple[float, float, float, str]], seed: int
) -> None:
    lower, upper, x = boxed(columns)
    direction = np.random.default_rng(seed).standard_normal(x.size)
    points, step = central_pair(x, direction, (lower, upper), 1e-5)
    assert np.all(points >= lower)
    assert np.all(points <= upper)
    np.testing.assert_allclose(points[0], x, atol=1e-4)
    moved = np.where(lower < upper, direction, 0.0)
    slack = 8 * EPSILON * np.maximum(np.abs(x), 1e-5)
    assert np.all(np.abs(points[1] - points[2] - 2 * step * moved) <= slack)
