"""The words of a status are true of the run that they are said of."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import constrained_actmax as cax

SLOPE = np.array([1.0, 2.0])


def linear(**settings: Any) -> cax.FunctionOracle:
    return cax.FunctionOracle(lambda x: (float(SLOPE @ x), SLOPE), 2, **settings)


@pytest.mark.parametrize("status", list(cax.Status))
@pytest.mark.parametrize("feasible", [True, False])
@pytest.mark.parametrize("smooth", [True, False, None])
def test_every_sentence_keeps_to_what_is_known(
    status: cax.Status, feasible: bool, smooth: bool | None
) -> None:
    words = status.message(feasible=feasible, smooth=smooth)
    assert ("kink" in words) == (status is cax.Status.STALLED and smooth is False)
    if status is cax.Status.NON_FINITE:
        assert ("best feasible point" in words) == feasible
    assert words.endswith(".")


@pytest.mark.parametrize("smooth", [True, None])
def test_a_function_that_stalls_has_no_kink(smooth: bool | None) -> None:
    def steep(x: np.ndarray) -> tuple[float, np.ndarray]:  # its gradient is not its derivative
        return -float(x @ x), 1e3 * np.ones(2)

    function = cax.FunctionOracle(steep, 2, smooth=smooth)
    result = cax.maximize(function, bounds=(-1, 2), x0=[0, 0], method="spg")
    assert result.status is cax.Status.STALLED
    assert result.message.startswith("Stalled: no more progress; usable")
    assert "kink" not in str(result)


def test_a_nonsmooth_function_that_stalls_may_be_at_a_kink() -> None:
    def bent(x: np.ndarray) -> tuple[float, np.ndarray]:
        slopes = np.sign([x[0] - 0.3, x[0] + x[1]])
        value = abs(x[0] - 0.3) + 3 * abs(x[0] + x[1])
        return -float(value), -np.array([slopes[0] + 3 * slopes[1], 3 * slopes[1]])

    function = cax.FunctionOracle(bent, 2, smooth=False)
    result = cax.maximize(function, bounds=(-1, 2), x0=[1, 1], method="spg")
    assert result.status is cax.Status.STALLED
    assert "kink of the network" in result.message


@pytest.mark.parametrize("method", ["SLSQP", "trust-constr", "augmented-lagrangian", "COBYQA"])
def test_infinity_before_any_feasible_point_is_said(method: str) -> None:
    def torn(x: np.ndarray) -> tuple[float, np.ndarray]:
        return (np.nan if x.sum() > 1 else float(SLOPE @ x)), SLOPE

    function = cax.FunctionOracle(torn, 2, smooth=True)
    limit = {"type": "ineq", "fun": lambda x: x[0] + x[1] - 1.5}
    result = cax.maximize(function, None, limit, bounds=(0, 1), x0=[0.3, 0.3], method=method)
    assert not result.feasible
    assert "best feasible point" not in str(result)


@pytest.mark.parametrize("smooth", [True, False])
def test_a_search_without_a_feasible_point_claims_no_more_than_it_saw(smooth: bool) -> None:
    limit = cax.Function(lambda x: x @ x, 3.0, None, jacobian=lambda x: 2 * x, name="far")
    result = cax.maximize(
        linear(smooth=smooth), None, [cax.Box(-1, 1), limit], method="augmented-lagrangian"
    )
    assert result.status is cax.Status.INFEASIBLE
    assert "is near" not in result.message
    assert "starts= or x0=" in result.message


def test_success_that_a_method_claims_is_no_reason_for_another_status() -> None:
    limits = [{"type": "ineq", "fun": lambda x: x[0] - 2}]
    for method in ("SLSQP", "trust-constr", "COBYQA"):
        result = cax.maximize(linear(), None, limits, bounds=(0, 1), method=method, seed=0)
        assert result.status is cax.Status.INFEASIBLE
        assert "success" not in result.message
        assert "satisfied" not in result.message.replace("satisfies", "")
