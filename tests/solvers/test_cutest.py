"""What `auto` does on small problems of CUTEst, judged by code of the tests' own."""

from __future__ import annotations

import cutest_problems
import numpy as np
import pytest
import scipy.optimize
from cutest_problems import PROBLEMS, Small, optimality

import constrained_actmax as cax


def test_there_are_forty_of_them() -> None:
    assert len(cutest_problems.BY_NAME) == len(PROBLEMS) == 40


@pytest.mark.parametrize("one", PROBLEMS, ids=lambda one: one.name)
def test_complex_steps_are_derivatives(one: Small) -> None:
    x = one.x0 + 0.01 * (1.0 + np.arange(len(one.start)))
    near = scipy.optimize.approx_fprime(x, lambda y: one.f(y)[0])
    size = 1.0 + float(np.abs(near).max())
    np.testing.assert_allclose(one.f(x)[1] / size, near / size, atol=1e-5)
    rows = scipy.optimize.approx_fprime(x, one.c).reshape(one.jacobian(x).shape)
    size = 1.0 + float(np.abs(rows).max())
    np.testing.assert_allclose(one.jacobian(x) / size, rows / size, atol=1e-5)


@pytest.mark.parametrize("one", PROBLEMS, ids=lambda one: one.name)
def test_auto_ends_at_a_point_of_kkt_and_says_so(one: Small) -> None:
    lower, upper = one.limits
    rows = scipy.optimize.NonlinearConstraint(one.c, lower, upper, jac=one.jacobian)
    constraints = [rows] if np.isinf(one.bounds).all() else [cax.Box(*one.bounds), rows]
    result = cax.minimize(
        cax.FunctionOracle(one.f, len(one.start)),
        constraints=constraints,
        x0=one.start,
        tol=1e-7,
        feasibility_tolerance=1e-9,
    )
    kkt, violation = optimality(one, result.flat)
    solved = kkt <= 1e-4 and violation <= 1e-6
    assert result.success
    assert solved
