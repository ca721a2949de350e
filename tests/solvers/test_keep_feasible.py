"""SciPy's ``keep_feasible`` and ``finite_diff_rel_step``: honoured, or refused by a sentence."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.optimize

import constrained_actmax as cax
from constrained_actmax.errors import RefusedError, SpecificationError
from constrained_actmax.solvers.selection import SOLVERS

#: The nearest point to (2, 1) of the unit disc: (2, 1) / sqrt(5).
TARGET, NEAREST = np.array([2.0, 1.0]), np.array([2.0, 1.0]) / np.sqrt(5.0)


def bowl(smooth: bool | None = True) -> cax.FunctionOracle:
    return cax.FunctionOracle(
        lambda x: (float((x - TARGET) @ (x - TARGET)), 2 * (x - TARGET)), 2, smooth=smooth
    )


def disc(keep: Any) -> scipy.optimize.NonlinearConstraint:
    return scipy.optimize.NonlinearConstraint(
        lambda x: x @ x, -np.inf, 1.0, jac=lambda x: 2 * x, keep_feasible=keep
    )


def iterates(constraint: Any, **options: Any) -> tuple[Any, np.ndarray]:
    seen: list[np.ndarray] = []
    result = cax.minimize(
        bowl(options.pop("smooth", True)),
        None,
        constraint,
        callback=lambda now: seen.append(now.x.copy()),
        **options,
    )
    return result, np.array(seen)


@pytest.mark.parametrize("smooth", [True, False])
@pytest.mark.parametrize("x0", [[0.0, 0.0], [-0.6, 0.5], [0.0, -1.0], [1.0, 0.0]])
def test_every_iterate_keeps_a_function(x0: list[float], smooth: bool) -> None:
    result, seen = iterates(disc(True), x0=x0, smooth=smooth)
    assert result.method == "trust-constr"
    assert len(seen) > 3
    assert np.all((seen**2).sum(axis=1) <= 1.0)
    np.testing.assert_allclose(result.x, NEAREST, atol=1e-4)
    assert result.success or not smooth
    assert result.x @ result.x <= 1.0 + 1e-12


def test_without_it_iterates_leave_the_disc() -> None:
    _, seen = iterates(disc(False), x0=[-0.6, 0.5], method="trust-constr", tol=1e-8)
    _, kept = iterates(disc(True), x0=[-0.6, 0.5], method="trust-constr", tol=1e-8)
    assert (seen**2).sum(axis=1).max() > 1.0 >= (kept**2).sum(axis=1).max()


def test_only_the_values_that_are_named_are_kept() -> None:
    constraint = scipy.optimize.NonlinearConstraint(
        lambda x: [x @ x, x[0] - x[1], x[0] + x[1]],
        [-np.inf, -np.inf, 0.5],
        [1.0, 0.2, 0.5],
        keep_feasible=[True, False, True],
    )
    problem = cax.Problem(bowl(), None, constraint, sense="minimize", x0=[0.0, 0.0])
    # The last is an equality, for which SciPy's field has no effect.
    np.testing.assert_array_equal(problem.kept_rows, [True, False, False])
    result = cax.solve(problem, seed=0)
    assert result.method == "trust-constr"
    np.testing.assert_allclose(result.x, [0.35, 0.15], atol=1e-5)
    with pytest.raises(SpecificationError, match="keep_feasible must be one bool or 1"):
        cax.Problem(bowl(), None, disc([True, False]))


@pytest.mark.parametrize("method", SOLVERS)
def test_methods_that_cannot_keep_a_function_refuse(method: str) -> None:
    problem = cax.Problem(bowl(), None, [disc(True), cax.Box(-2, 2)], sense="minimize", x0=[0, 0])
    if method == "trust-constr":
        assert cax.solve(problem, method=method).success
        return
    with pytest.raises(RefusedError, match="keep_feasible forbids; use method='trust-constr'"):
        cax.solve(problem, method=method)
    assert "keep_feasible" in cax.check(problem).refused[method]


@pytest.mark.parametrize("method", SOLVERS)
def test_every_iterate_keeps_a_linear_constraint(method: str) -> None:
    # The nearest point to (2, 1) with x0 + x1 <= 1 is (1, 0).
    row = scipy.optimize.LinearConstraint([[1.0, 1.0]], -np.inf, 1.0, keep_feasible=True)
    if method in ("SLSQP", "COBYQA", "chain", "relax-and-round"):
        with pytest.raises(RefusedError, match=r"break the linear constraints.*'trust-constr'"):
            iterates(row, x0=[-3.0, -1.0], method=method)
        return
    bounds = scipy.optimize.Bounds([-5, -5], [5, 5], keep_feasible=True)
    if method in ("L-BFGS-B", "TNC", "active-signature", "branch-and-bound", "nearest-point"):
        words = "takes bounds alone|has no kinks|needs a Keras|minimises Norm"
        with pytest.raises(RefusedError, match=words):
            iterates(row, x0=[-3.0, -1.0], method=method)
        return
    result, seen = iterates(row, x0=[-3.0, -1.0], method=method, bounds=bounds)
    assert seen.sum(axis=1).max() <= 1.0 + 1e-9
    np.testing.assert_allclose(result.x, [1.0, 0.0], atol=1e-3)


def test_a_linear_constraint_to_keep_routes_auto() -> None:
    row = scipy.optimize.LinearConstraint([[1.0, 1.0]], -np.inf, 1.0, keep_feasible=True)
    result, seen = iterates([row, disc(False)], x0=[-0.5, -0.5])
    assert result.method == "augmented-lagrangian"
    assert seen.sum(axis=1).max() <= 1.0 + 1e-9


def test_a_start_that_breaks_what_is_kept_is_named() -> None:
    result, seen = iterates(disc(True), x0=[3.0, 0.0])
    assert not result.success
    assert "keep_feasible needs a starting point" in result.message
    assert not len(seen)


def test_no_method_keeps_a_function_without_gradients() -> None:
    oracle = cax.BlackBoxOracle(lambda x: float(x.sum()), 2)
    with pytest.raises(RefusedError, match="leave keep_feasible out"):
        cax.maximize(oracle, None, disc(True), x0=[0.0, 0.0])


@pytest.mark.parametrize("scheme", ["2-point", "3-point"])
def test_the_relative_step_reaches_the_differences(scheme: str) -> None:
    # SciPy's definition: |x_i| times the relative step.
    calls: list[np.ndarray] = []

    def square(x: np.ndarray) -> float:
        calls.append(x.copy())
        return float(x @ x)

    constraint = scipy.optimize.NonlinearConstraint(
        square, -np.inf, 90.0, jac=scheme, finite_diff_rel_step=[1e-3, 1e-2]
    )
    x0 = np.array([2.0, -4.0])
    problem = cax.Problem(bowl(), None, constraint, x0=x0)
    calls.clear()
    problem.evaluate(x0[np.newaxis])
    steps = np.array([one - x0 for one in calls[1:]])
    wanted = [[2e-3, 0.0], [0.0, -4e-2]]
    if scheme == "3-point":
        wanted = [[2e-3, 0.0], [-2e-3, 0.0], [0.0, 4e-2], [0.0, -4e-2]]
    np.testing.assert_allclose(steps, wanted, atol=1e-12)
