"""Where all variables are fixed there is one point, and every method returns it."""

from __future__ import annotations

import numpy as np
import pytest

import constrained_actmax as cax
from constrained_actmax.solvers.selection import SOLVERS


def bowl(smooth: bool = True) -> cax.FunctionOracle:
    return cax.FunctionOracle(lambda x: (float((x - 1) @ (x - 1)), 2 * (x - 1)), 2, smooth=smooth)


@pytest.mark.parametrize("method", ["auto", *SOLVERS])
@pytest.mark.parametrize("starts", [1, 3])
def test_every_method_returns_the_only_point(method: str, starts: int) -> None:
    result = cax.minimize(
        bowl(), None, bounds=[(1, 1), (2, 2)], method=method, starts=starts, seed=0
    )
    assert result.status is cax.Status.CONVERGED
    np.testing.assert_array_equal(result.x, [1.0, 2.0])
    assert result.value == 1.0
    assert result.nfev == starts


@pytest.mark.parametrize("method", ["auto", "SLSQP", "trust-constr", "augmented-lagrangian"])
def test_constraints_are_judged_there(method: str) -> None:
    def solved(least: float) -> cax.Result:
        limit = {"type": "ineq", "fun": lambda x: x[0] + x[1] - least}
        return cax.minimize(bowl(), None, limit, bounds=[(1, 1), (2, 2)], method=method)

    assert solved(2.5).success
    assert solved(3.5).status is cax.Status.INFEASIBLE


def test_a_value_that_is_not_finite_there_is_named() -> None:
    oracle = cax.FunctionOracle(lambda x: (float("nan"), x), 2, smooth=True)
    result = cax.minimize(oracle, None, bounds=[(1, 1), (2, 2)])
    assert result.status is cax.Status.NON_FINITE
