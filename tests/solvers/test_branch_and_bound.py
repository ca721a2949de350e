"""Branch and bound as a method: proven, within budgets, refused by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sample_models import dense

import constrained_actmax as cax
from constrained_actmax.conformance import check_solver


def network(activation: str = "relu", dtype: str = "float32") -> Any:
    return dense(activation, head=None, dtype=dtype)


@pytest.mark.parametrize("sense", ["maximize", "minimize"])
@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_it_ends_proven_and_carries_its_certificate(
    sense: str, activation: str, tmp_path: Path
) -> None:
    call = getattr(cax, sense)
    result = call(network(activation), cax.Output(1), [cax.Box(-2, 3)], method="branch-and-bound")
    assert result.status is cax.Status.PROVEN
    assert result.success
    assert result.certificate.proven
    assert result.value == pytest.approx(result.certificate.best_value, rel=1e-5)
    assert "Proven: no feasible input is better" in str(result)
    for seed in range(3):
        other = call(network(activation), cax.Output(1), [cax.Box(-2, 3)], starts=4, seed=seed)
        gap = 1e-4 * result.settings["scales"]["range"] + 1e-5 * abs(result.value)
        assert result.fun <= other.fun + gap
    assert cax.load_result(result.save(tmp_path)).status is cax.Status.PROVEN


def test_it_keeps_the_laws_of_a_solver() -> None:
    problem = cax.Problem(network("tanh", "float64"), cax.Output(0), [cax.Box(-1, 1)])
    starts = problem.set.sample(np.random.default_rng(1), 3)
    check_solver(cax.BranchAndBound(), problem, starts)


def test_several_starts_are_points_of_one_search() -> None:
    result = cax.maximize(
        network(), cax.Output(0), [cax.Box(-1, 1)], method="branch-and-bound", starts=3, seed=1
    )
    assert {start.status for start in result.starts} == {cax.Status.PROVEN}
    assert len({start.value for start in result.starts}) == 1


@pytest.mark.parametrize("evaluations", [4, 40, 400])
def test_a_budget_ends_it_with_the_bound_so_far(evaluations: int) -> None:
    method = cax.BranchAndBound(rtol=0.0)
    result = cax.maximize(
        network("tanh"),
        cax.Output(0),
        [cax.Box(-1, 1)],
        method=method,
        budget=cax.Budget(evaluations=evaluations),
        seed=0,
    )
    assert result.nfev <= evaluations
    assert result.status is not cax.Status.PROVEN
    assert result.certificate.dual_bound >= result.certificate.best_value or np.isnan(
        result.certificate.best_value
    )


def test_it_proves_that_no_input_satisfies_the_bounds_on_outputs() -> None:
    constraints = [cax.Box(-1, 1), cax.Output(1) >= 1e3]
    result = cax.maximize(network(), cax.Output(0), constraints, method="branch-and-bound")
    assert result.status is cax.Status.INFEASIBLE
    assert result.certificate.infeasible
    assert "proven" in result.message


def test_what_it_cannot_take_is_refused_by_name() -> None:
    asked: list[tuple[Any, Any, str]] = [
        (network("tanh"), [cax.Box(lower=0)], "has no finite bounds"),
        (cax.FunctionOracle(lambda x: (x @ x, 2 * x), (2,)), [cax.Box(0, 1)], "needs a Keras"),
    ]
    for model, sets, words in asked:
        objective = None if isinstance(model, cax.FunctionOracle) else cax.Output(0)
        with pytest.raises(cax.RefusedError, match=words):
            cax.maximize(model, objective, sets, method="branch-and-bound")
