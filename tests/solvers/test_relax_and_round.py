"""Discrete inputs: optima by brute force, words, budgets, claims."""

from __future__ import annotations

import re

import numpy as np
import pytest
import tensorflow as tf
from discrete_problems import FAMILIES, SAME_VALUE, Discrete, problems

import constrained_actmax as cax
from constrained_actmax.conformance import check_solver
from constrained_actmax.result import NO_BETTER_NEIGHBOUR

#: The search alone: nothing is enumerated.
SEARCH = cax.RelaxAndRound(most_combinations=1)
BUDGET = cax.Budget(evaluations=60)


def bowl(target: np.ndarray, curvature: np.ndarray) -> cax.FunctionOracle:
    return cax.FunctionOracle(
        lambda x: (float((x - target) @ curvature @ (x - target)), 2 * curvature @ (x - target)),
        target.shape,
        smooth=True,
    )


def checked(one: Discrete, result: cax.Result) -> float:
    """Hold that what is called feasible is, exactly; return the loss to brute force."""
    x = np.ravel(result.x)[np.newaxis]
    assert result.feasible
    assert np.any(np.all(one.combinations == x, axis=1))
    assert one.feasible(x)[0]
    assert result.value == pytest.approx(float(one.f.values(x)[0]))
    return (result.value - one.optimum()) / one.spread()


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.__name__)
def test_few_combinations_are_proven_by_evaluating_all(family) -> None:
    one = family(0)
    result = cax.solve(one.problem(), seed=0, options={"most_combinations": 6000})
    assert result.status is cax.Status.PROVEN
    assert "combinations were evaluated" in result.message
    assert checked(one, result) <= SAME_VALUE


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.__name__)
def test_the_search_alone_is_near_and_claims_no_proof(family) -> None:
    one = family(2)
    result = cax.solve(one.problem(), method=SEARCH, seed=0)
    assert result.status is cax.Status.STALLED
    assert not result.success
    assert result.message.startswith(NO_BETTER_NEIGHBOUR)
    assert checked(one, result) <= 0.01


@pytest.mark.slow
def test_the_optimum_is_found_where_brute_force_finds_it() -> None:
    losses = [checked(one, cax.solve(one.problem(), seed=0)) for one in problems(2)]
    assert np.mean(np.array(losses) <= SAME_VALUE) >= 0.95


def test_the_search_keeps_the_laws_of_solvers() -> None:
    oracle = bowl(np.array([1.3, 2.6, 0.2]), np.diag([1.0, 2.0, 3.0]))
    problem = cax.Problem(
        oracle, constraints=[cax.Box(0, 5), cax.Integers([0, 1])], sense="minimize"
    )
    check_solver(SEARCH, problem, np.array([[0.0, 0.0, 0.0], [5.0, 4.0, 1.0]]))


def test_continuous_inputs_are_optimised_with_the_discrete_ones_held() -> None:
    curvature = np.array([[2.0, 1.2, 0.4], [1.2, 1.5, 0.3], [0.4, 0.3, 1.0]])
    target = np.array([1.4, -0.7, 0.6])
    result = cax.minimize(
        bowl(target, curvature), constraints=[cax.Box(-3, 3), cax.Integers([0, 1])], seed=0
    )
    values = {}
    for a in range(-3, 4):
        for b in range(-3, 4):
            rest = target[2] - curvature[2, :2] @ (np.array([a, b]) - target[:2]) / curvature[2, 2]
            x = np.array([a, b, np.clip(rest, -3, 3)])
            values[(a, b)] = (float((x - target) @ curvature @ (x - target)), x)
    value, x = min(values.values(), key=lambda one: one[0])
    assert result.value == pytest.approx(value, abs=1e-8)
    np.testing.assert_allclose(result.x, x, atol=1e-4)
    assert result.x[:2].tolist() == x[:2].tolist()
    assert result.optimality.stationarity <= 1e-4


def test_what_no_combination_keeps_is_infeasible_and_says_so() -> None:
    limit = cax.Function(lambda x: x.sum(), 2.2, 2.8, jacobian=lambda x: np.ones(3))
    oracle = bowl(np.zeros(3), np.eye(3))
    allowed = [cax.Box(0, 3), cax.Integers(), limit]
    every = cax.minimize(oracle, constraints=allowed, seed=0)
    assert every.status is cax.Status.INFEASIBLE
    assert "None of all 64 combinations" in every.message
    searched = cax.minimize(oracle, constraints=allowed, method=SEARCH, seed=0)
    assert searched.status is cax.Status.INFEASIBLE
    assert searched.x.tolist() == np.round(searched.x).tolist()


def test_functions_without_gradients_are_searched_by_values() -> None:
    target = np.array([2.2, 0.7, 3.9])
    oracle = cax.BlackBoxOracle(lambda x: float(np.sum(np.abs(x - target))), (3,))
    allowed = [cax.Box(0, 6), cax.Integers([0, 2]), cax.Levels([1], [0.0, 0.5, 2.0])]
    result = cax.minimize(oracle, constraints=allowed, method=SEARCH, seed=0)
    assert result.x.tolist() == [2.0, 0.5, 4.0]


def test_a_budget_and_several_starts_are_kept() -> None:
    one = FAMILIES[1](3)
    result = cax.solve(one.problem(), method=SEARCH, starts=2, seed=0, budget=BUDGET)
    assert result.nfev <= 60
    assert len(result.starts) == 2
    assert result.feasible
    again = cax.solve(one.problem(), method=SEARCH, starts=2, seed=0, budget=BUDGET)
    np.testing.assert_array_equal(result.x, again.x)


def test_a_convex_set_is_refused_with_the_way_out() -> None:
    oracle = bowl(np.zeros(2), np.eye(2))
    with pytest.raises(cax.RefusedError, match="discrete inputs.*method='auto'"):
        cax.minimize(oracle, constraints=[cax.Box(0, 1)], method="relax-and-round")


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.__name__)
def test_refusals_name_methods_that_take_the_problem(family) -> None:
    problem = family(0).problem()
    seen = cax.check(problem)
    assert seen.method.startswith("relax-and-round: discrete inputs")
    assert "relax-and-round" in seen.methods
    lines = str(seen).splitlines()
    assert len(set(lines)) == len(lines)
    for name, reason in seen.refused.items():
        for way in re.findall("method='([^']*)'", reason):
            assert way in ("auto", *seen.methods), name


def test_what_a_callback_hears_as_feasible_is_feasible() -> None:
    one = FAMILIES[2](3)
    heard: list[cax.Intermediate] = []
    problem = one.problem()
    cax.solve(
        problem, method=SEARCH, seed=0, budget=cax.Budget(evaluations=300), progress=heard.append
    )
    kept = [now for now in heard if now.violation <= problem.feasibility_tolerance]
    assert kept
    assert len(kept) < len(heard)  # the relaxation is heard too
    for now in kept:
        x = np.ravel(now.x)[np.newaxis]
        assert np.any(np.all(one.combinations == x, axis=1))
        assert one.limit is not None
        assert one.limit[0].values(x)[0] <= one.limit[1] + 1e-4


def test_a_function_that_is_finite_nowhere_is_not_called_infeasible() -> None:
    oracle = cax.Oracle(lambda x: tf.math.log(-1.0 - x**2), cax.Output(0), input_shape=(1,))
    result = cax.maximize(oracle, constraints=[cax.Box(0, 3), cax.Integers()], seed=0)
    assert result.status is cax.Status.NON_FINITE


def test_the_proof_takes_as_many_boxes_as_auto_affords() -> None:
    model = cax.Oracle(
        lambda x: tf.nn.relu(x @ tf.ones((14, 4))) @ tf.ones((4, 2)), input_shape=(14,)
    )
    choices = cax.OneHot(np.array([0] * 12 + [-1, -1]))  # one choice, of twelve entries
    for limits, boxes in (([], 1000), ([cax.Output(1) <= 20], 300)):
        problem = cax.Problem(model, cax.Output(0), [cax.Box(0, 9), choices, *limits])
        proof = cax.BranchAndBound(max_boxes=10_000).affordable(problem)
        assert proof is not None
        assert proof.max_boxes == boxes
