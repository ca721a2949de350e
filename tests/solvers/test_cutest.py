"""What `auto` does on small problems of CUTEst, judged by code of the tests' own."""

from __future__ import annotations

import cutest_problems
import numpy as np
import pytest
import scipy.optimize
from cutest_problems import PROBLEMS, Small, optimality

import constrained_actmax as cax

#: Evaluations of SciPy's SLSQP on problems on which closing checks once took more than half as many
#: again: linear programs, an optimum at a vertex.
BY_SLSQP = {"CB3": 7, "LOOTSMA": 9, "MADSEN": 12, "SIMPLLPA": 2, "SIMPLLPB": 2}


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
    theirs = BY_SLSQP.get(one.name)
    assert theirs is None or result.nfev <= 1.5 * theirs


def test_with_the_probes_auto_takes_at_most_half_more_than_slsqp_of_scipy() -> None:
    # Every call of the user's function counts, whatever it was for. In the median: on one problem
    # a few steps more or less are the luck of a method's first curvature.
    ratios = []
    for one in PROBLEMS:
        lower, upper = one.limits
        rows = scipy.optimize.NonlinearConstraint(one.c, lower, upper, jac=one.jacobian)
        calls = [0, 0]

        def function(
            x: np.ndarray, one: Small = one, calls: list[int] = calls
        ) -> tuple[float, np.ndarray]:
            calls[-1] += 1
            return one.f(x)

        bounds = scipy.optimize.Bounds(*one.bounds)
        theirs = scipy.optimize.minimize(
            function, one.x0, jac=True, method="SLSQP", bounds=bounds, constraints=[rows], tol=1e-9
        )
        kkt, violation = optimality(one, theirs.x)
        calls.reverse()
        cax.minimize(
            cax.FunctionOracle(function, len(one.start)),
            constraints=[rows] if np.isinf(one.bounds).all() else [cax.Box(*one.bounds), rows],
            x0=one.start,
            tol=1e-7,
            feasibility_tolerance=1e-9,
        )
        if kkt <= 1e-4 and violation <= 1e-6:
            ratios.append(calls[1] / calls[0])
    assert len(ratios) > 30
    assert np.median(ratios) <= 1.5


@pytest.mark.parametrize("seed", range(6))
def test_a_linear_program_takes_few_steps_of_slsqp(seed: int) -> None:
    rng = np.random.default_rng(2 * seed)
    n, m = int(rng.integers(2, 15)), int(rng.integers(1, 10))
    matrix, point = rng.standard_normal((m, n)), rng.uniform(0.2, 0.8, n)
    lower = matrix @ point - rng.uniform(0.0, 0.5, m)
    slope = np.abs(rng.standard_normal(n)) * 10.0 ** rng.uniform(-2.0, 2.0)
    rows = scipy.optimize.NonlinearConstraint(
        lambda x: matrix @ x, lower, np.inf, jac=lambda x: matrix
    )
    points: list[bytes] = []

    def linear(x: np.ndarray) -> tuple[float, np.ndarray]:
        points.append(x.tobytes())
        return float(slope @ x), slope

    box = cax.Box(np.zeros(n), np.inf)
    problem = cax.Problem(
        cax.FunctionOracle(linear, n), constraints=[box, rows], sense="minimize", x0=np.full(n, 0.5)
    )
    assert problem.scales.linear
    points.clear()
    result = cax.solve(problem, method="SLSQP")
    best = scipy.optimize.linprog(slope, -matrix, -lower).fun
    assert result.success
    assert result.value == pytest.approx(best, abs=1e-6 * problem.scales.range)
    assert result.nfev == len(points) == len(set(points)) <= 7
