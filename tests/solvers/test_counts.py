"""What a result counts: calls of the function, and iterations."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.optimize
from hypothesis import given
from hypothesis import strategies as st

import constrained_actmax as cax
from constrained_actmax.solvers.selection import SOLVERS, refusal

CALLS: list[int] = []


def valley(x: np.ndarray) -> tuple[float, np.ndarray]:
    """Return Rosenbrock's function and its gradient."""
    CALLS.append(1)
    rise = x[1] - x[0] ** 2
    return 100 * rise**2 + (1 - x[0]) ** 2, np.array(
        [-400 * x[0] * rise - 2 * (1 - x[0]), 200 * rise]
    )


def question(limited: bool, feasible: bool = True) -> cax.Problem:
    """Return the valley in a box, maybe with a limit on the sum that x0 keeps or breaks."""
    row = {"type": "ineq", "fun": lambda x: 1 - x.sum() - 9 * (not feasible)}
    limits = [row | {"jac": lambda x: -np.ones(2)}] if limited else []
    oracle = cax.FunctionOracle(valley, 2, smooth=True)
    constraints = [cax.Box(-2, 2), *limits]
    return cax.Problem(oracle, constraints=constraints, sense="minimize", x0=[-1.0, 1.0])


@pytest.mark.parametrize("method", SOLVERS)
@pytest.mark.parametrize(
    ("limited", "feasible"), [(False, True), (True, True), (True, False)], ids=["set", "c", "far"]
)
def test_a_budget_of_one_evaluation_makes_one_call(
    method: str, limited: bool, feasible: bool
) -> None:
    problem = question(limited, feasible)
    if refusal(SOLVERS[method](), problem) is not None:
        return
    CALLS.clear()
    result = cax.solve(problem, method=method, budget=cax.Budget(evaluations=1))
    assert result.nfev == len(CALLS) == 1
    np.testing.assert_array_equal(result.x, [-1.0, 1.0])


@pytest.mark.parametrize("method", SOLVERS)
@given(rows=st.integers(1, 120))
def test_evaluations_are_calls(method: str, rows: int) -> None:
    problem = question(limited=False)
    assert problem.scales is not None  # the probes are counted apart
    if refusal(SOLVERS[method](), problem) is not None:
        return
    CALLS.clear()
    result = cax.solve(problem, method=method, budget=cax.Budget(evaluations=rows))
    assert result.nfev == len(CALLS) <= rows


def test_products_with_the_hessian_are_counted_as_their_evaluations() -> None:
    problem = question(limited=True)
    assert problem.scales is not None
    CALLS.clear()
    result = cax.solve(problem, method="trust-constr")
    assert result.nfev == result.calls == len(CALLS)


@pytest.mark.parametrize("most", [1, 4])
def test_tnc_keeps_a_limit_of_iterations(most: int) -> None:
    result = cax.solve(question(limited=False), method="TNC", options={"maxiter": most})
    assert result.nit == most
    assert result.status is cax.Status.BUDGET


def test_iterations_of_cobyqa_are_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = []
    minimize = scipy.optimize.minimize

    def kept(*given: object, **named: object) -> object:
        theirs.append(minimize(*given, **named))  # type: ignore[call-overload]
        return theirs[-1]

    monkeypatch.setattr(scipy.optimize, "minimize", kept)
    result = cax.solve(question(limited=False), method="COBYQA")
    assert result.nit == theirs[0].nit
