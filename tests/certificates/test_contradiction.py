"""Bounds that exclude each other are proven infeasible before anything is searched."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import NonlinearConstraint, linprog

import constrained_actmax as cax
from constrained_actmax.certificates.branching import Search
from constrained_actmax.certificates.contradiction import contradiction

L = keras.layers


def network(head: Any = None, classes: int = 3, middle: str = "relu") -> Any:
    keras.utils.set_random_seed(3)
    layers = [keras.Input((4,)), L.Dense(6, middle), L.Dense(classes, head)]
    return keras.Sequential(layers)


PLAIN, SOFTMAX, SIGMOID = network(), network("softmax"), network("sigmoid", 1)
RECURRENT = keras.Sequential([keras.Input((3, 2)), L.LSTM(3), L.Dense(2)])


def written(x: Any) -> Any:
    return np.asarray(x) ** 2


OUTPUT, LOGIT, MARGIN = cax.Output, cax.Logit, cax.Margin
AGAINST = [
    (PLAIN, [OUTPUT(1) <= 0.2, OUTPUT(1) >= 0.5]),
    (RECURRENT, [OUTPUT(1) <= 0.2, OUTPUT(1) >= 0.5]),
    (PLAIN, [2 * OUTPUT(1) - OUTPUT(0) <= 0.2, OUTPUT(0) - 2 * OUTPUT(1) + 3 <= 0]),
    (PLAIN, [LOGIT(2) == 1, OUTPUT(2) >= 2]),
    (PLAIN, [MARGIN(0) >= 0.1, LOGIT(1) - LOGIT(0) >= 0.1]),
    (SOFTMAX, [MARGIN(0, over=1) >= 1, LOGIT(1) >= LOGIT(2) + 1, MARGIN(2, over=0) >= 1]),
    (SOFTMAX, [cax.Probability(0) >= 0.6, cax.Probability(0) <= 0.5]),
    (SIGMOID, [LOGIT(0) >= 1, LOGIT(1) >= 1]),
    (PLAIN, [cax.Function(written, None, 1.0, jacobian=lambda x: np.diag(2 * x))] * 1
     + [cax.Function(written, 2.0, None, jacobian=lambda x: np.diag(2 * x))]),
]  # fmt: skip


@pytest.mark.parametrize(("model", "limits"), AGAINST)
def test_bounds_that_exclude_each_other_are_named_before_a_search(model: Any, limits: Any) -> None:
    problem = cax.Problem(model, OUTPUT(0), [cax.Box(-1, 1), *limits])
    result = cax.solve(problem, budget=cax.Budget(evaluations=5))
    assert result.status is cax.Status.INFEASIBLE
    assert not result.success
    for limit in limits:
        assert str(limit) in result.message
    assert result.message.startswith("Infeasible, proven: ")
    assert "exclude each other" in result.message
    assert result.nfev <= 3
    certificate = cax.certify(problem, result)
    assert result.certificate is certificate
    assert certificate.infeasible
    assert certificate.verdict == "infeasible, proven"
    assert str(certificate).startswith("Infeasible, proven: no allowed input")
    assert "exceeds" not in str(certificate)


NEAR = [
    [OUTPUT(1) <= 0.2, OUTPUT(1) >= 0.2],
    [OUTPUT(1) <= 0.2, OUTPUT(0) >= 0.5],
    [OUTPUT(1) <= 0.2, OUTPUT(1) + OUTPUT(0) >= 0.5],
    [MARGIN(0) >= 0.1, LOGIT(1) - LOGIT(2) >= 0.1],
    [cax.Between(None, OUTPUT(1), 0.2, tolerance=0.4), OUTPUT(1) >= 0.5],
    [NonlinearConstraint(lambda x: x[0], 1, 2), NonlinearConstraint(lambda x: -x[0], 1, 2)],
]


@pytest.mark.parametrize("limits", NEAR)
def test_what_some_values_keep_is_no_contradiction(limits: Any) -> None:
    assert contradiction(cax.Problem(PLAIN, OUTPUT(0), [cax.Box(-1, 1), *limits])) is None


FACTORS = st.lists(st.integers(-3, 3), min_size=3, max_size=3)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(FACTORS, st.integers(-4, 4)), min_size=2, max_size=6))
def test_it_is_what_a_program_over_free_values_says(asked: list[tuple[list[int], int]]) -> None:
    asked = [(weights, bound) for weights, bound in asked if any(weights)]
    sums = [
        sum((w * OUTPUT(k) for k, w in enumerate(weights) if w), start=0.0) for weights, _ in asked
    ]
    limits = [
        one >= bound + 0.25 * number  # apart by far more than the tolerance, or not at all
        for number, (one, (_, bound)) in enumerate(zip(sums, asked, strict=True))
    ]
    oracle = cax.FunctionOracle(lambda x: np.zeros(3), 2, jac=None)
    problem = cax.Problem(oracle, OUTPUT(0), [cax.Box(-1, 1), *limits], feasibility_tolerance=1e-9)
    rows = -np.array([weights for weights, _ in asked]).reshape(-1, 3)
    least = -np.array([bound + 0.25 * number for number, (_, bound) in enumerate(asked)])
    free = linprog(np.zeros(3), rows, least, bounds=(None, None)).status
    assert (contradiction(problem) is not None) == (free == 2)


def test_decimals_that_agree_but_for_rounding_exclude_nothing() -> None:
    limits = [LOGIT(0) == 0.3, LOGIT(1) == 0.1, MARGIN(0, over=1) == 0.2]
    problem = cax.Problem(PLAIN, OUTPUT(2), [cax.Box(0, 1), *limits], feasibility_tolerance=0.0)
    assert contradiction(problem) is None


def test_one_bound_against_itself_is_one_sentence() -> None:
    limits = [1.0 * LOGIT(0) - 1.0 * LOGIT(0) >= 1, LOGIT(1) >= -9]
    found = contradiction(cax.Problem(PLAIN, OUTPUT(2), [cax.Box(0, 1), *limits]))
    assert found is not None
    assert found.words == f"no values keep {limits[0]}"


def test_a_bound_below_all_values_is_a_proof() -> None:
    keras.utils.set_random_seed(0)
    hidden = [L.Dense(12, "relu"), L.Dense(12, "relu")]
    model = keras.Sequential([keras.Input((5,)), *hidden, L.Dense(3)])
    draws = np.asarray(model(np.random.default_rng(0).uniform(size=(2000, 5))))[:, 0]
    problem = cax.Problem(model, OUTPUT(0), [cax.Box(0, 1), *AGAINST[0][1]])
    search = Search(problem, rtol=0.0, tries=False)  # which knows nothing of sums
    while not search.done and search.state.nodes < 300:
        search.step(64)
        assert search.least <= draws.min()
        assert not -np.inf < search.state.dual_bound < search.least
    assert search.state.dual_bound == -np.inf
