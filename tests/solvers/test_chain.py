"""Methods one after the other: who goes on, from where, within which budget."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import keras
import numpy as np
import pytest
import scipy.optimize
from cutest_problems import Small, optimality
from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import override

import constrained_actmax as cax
from constrained_actmax.result import Status
from constrained_actmax.solvers.base import Solver
from constrained_actmax.solvers.selection import by_rule


@dataclass(frozen=True, kw_only=True)
class GivesUp(Solver):
    """Evaluates its starts so many times and ends without success."""

    name: ClassVar[str] = "gives-up"
    stays_inside: ClassVar[bool] = False
    claims: bool = False
    times: int = 3

    @override
    def refusal(self, problem: Any) -> str | None:
        return None

    @override
    def _run(self, run: Any, x0: np.ndarray, starts: np.ndarray) -> None:
        for _ in range(self.times):
            run.evaluate(x0, starts)
        for start, point in zip(starts.tolist(), x0, strict=True):
            run.end(start, point, Status.CONVERGED if self.claims else Status.STALLED)


def disc(smooth: bool | None = None, n: int = 2) -> cax.Problem:
    """Return the linear function on the unit ball: its minimum is -norm of the weights."""
    weights = np.arange(1.0, n + 1)
    oracle = cax.FunctionOracle(lambda x: (float(weights @ x), weights), n, smooth=smooth)
    ball = scipy.optimize.NonlinearConstraint(lambda x: x @ x, -np.inf, 1.0, jac=lambda x: 2 * x)
    return cax.Problem(oracle, constraints=[cax.Box(-2, 2), ball], sense="minimize")


@pytest.mark.parametrize("claims", [False, True])
def test_the_next_goes_on_where_the_library_sees_no_success(claims: bool) -> None:
    chain = cax.Chain(methods=(GivesUp(claims=claims), cax.SLSQP()))
    result = cax.solve(disc(), method=chain, starts=2, seed=0)
    assert result.success
    assert result.value == pytest.approx(-np.sqrt(5), abs=1e-6)
    assert all(one.status is Status.CONVERGED for one in result.starts)
    assert "gives-up ended without success; SLSQP went on." in result.notes


@pytest.mark.parametrize("unit", [1.0, 1e3])
@pytest.mark.parametrize(
    "problem",
    [
        Small(
            "HS8",
            -1.0,
            [2, 1],
            lambda x: -1.0 + 0.0 * x[0],
            lambda x: [x[0] ** 2 + x[1] ** 2 - 25, x[0] * x[1] - 9],
            2,
        ),
        Small(
            "HS18",
            5.0,
            [2, 2],
            lambda x: 0.01 * x[0] ** 2 + x[1] ** 2,
            lambda x: [x[0] * x[1] - 25, x[0] ** 2 + x[1] ** 2 - 25],
            0,
            [2, 0],
            50,
        ),
    ],
    ids=lambda problem: getattr(problem, "name", None),
)
def test_an_answer_has_digits_to_spare_by_independent_code(problem: Small, unit: float) -> None:
    # Hock and Schittkowski (1981). Constraints in other units lose no digits of the point.
    lower, upper = problem.limits
    rows = scipy.optimize.NonlinearConstraint(
        lambda x: unit * problem.c(x), lower, upper, jac=lambda x: unit * problem.jacobian(x)
    )
    sets = [rows] if np.isinf(problem.bounds).all() else [cax.Box(*problem.bounds), rows]
    oracle = cax.FunctionOracle(problem.f, len(problem.start))
    result = cax.minimize(oracle, constraints=sets, x0=problem.x0)
    kkt, violation = optimality(problem, result.flat)
    assert result.success
    assert kkt <= 1e-6
    assert violation <= 1e-6
    assert result.value == pytest.approx(problem.best, abs=1e-6)


def test_the_next_is_not_asked_after_a_success() -> None:
    alone = cax.solve(disc(), method="SLSQP", x0=[0.3, 0.1])
    chain = cax.solve(
        disc(), method=cax.Chain(methods=(cax.SLSQP(), GivesUp(times=50))), x0=[0.3, 0.1]
    )
    np.testing.assert_array_equal(chain.x, alone.x)
    assert chain.nfev == alone.nfev
    assert not chain.notes


@given(rows=st.integers(1, 40), starts=st.integers(1, 3))
def test_all_share_one_budget(rows: int, starts: int) -> None:
    if rows < starts:
        return
    chain = cax.Chain(methods=(GivesUp(), cax.SLSQP(), cax.AugmentedLagrangian()))
    points = np.linspace(-0.6, 0.5, 2 * starts).reshape(starts, 2)
    result = cax.solve(disc(), method=chain, starts=points, budget=cax.Budget(evaluations=rows))
    assert result.nfev <= max(rows, 2)
    assert result.feasible


def test_unknown_smoothness_counts_as_smooth() -> None:
    for smooth in (None, True):
        solver, reason = by_rule(disc(smooth))
        assert solver.name == "chain"
        assert "few variables" in reason
    assert by_rule(disc(False))[0].name == "augmented-lagrangian"
    assert by_rule(disc(None, 101))[0].name == "augmented-lagrangian"


def test_a_convex_quadratic_program_takes_a_few_evaluations() -> None:
    # The augmented Lagrangian takes thousands and stalls. SciPy's own SLSQP is the measure.
    rng = np.random.default_rng(3)
    root, target = rng.normal(size=(15, 15)), rng.normal(size=15)
    hessian, rows = root @ root.T + 0.01 * np.eye(15), rng.normal(size=(8, 15))

    def function(x: np.ndarray) -> tuple[float, np.ndarray]:
        return float(0.5 * x @ hessian @ x - target @ x), hessian @ x - target

    limits = {"type": "ineq", "fun": lambda x: 1 - rows @ x, "jac": lambda x: -rows}
    theirs = scipy.optimize.minimize(
        function,
        np.zeros(15),
        jac=True,
        method="SLSQP",
        constraints=[limits],
        options={"ftol": 1e-12},
    )
    ours = cax.minimize(
        cax.FunctionOracle(function, 15), constraints=limits, x0=np.zeros(15), tol=1e-8
    )
    assert ours.success
    assert ours.value == pytest.approx(theirs.fun, abs=1e-7)
    assert ours.nfev <= 1.5 * theirs.nfev


def test_options_reach_the_methods_that_have_them() -> None:
    chain = cax.Chain().with_options({"maxiter": 7, "max_rounds": 3})
    slsqp, trust_constr, lagrangian = chain.methods
    assert (slsqp.maxiter, trust_constr.maxiter, lagrangian.max_rounds) == (7, 7, 3)  # type: ignore[attr-defined]
    with pytest.raises(cax.SpecificationError, match="no option 'maxitr'"):
        chain.with_options({"maxitr": 7})
    with pytest.raises(cax.SpecificationError, match="tuple of solvers"):
        cax.Chain(methods=())


@pytest.mark.parametrize("first", [cax.SearchAndFinish(), cax.BranchAndBound()])
def test_no_method_goes_on_from_a_proven_optimum(first: Any) -> None:
    keras.utils.set_random_seed(0)
    layers = keras.layers
    model = keras.Sequential(
        [keras.Input((3,)), layers.Dense(8, activation="relu"), layers.Dense(1)]
    )
    problem = cax.Problem(model, cax.Output(0), cax.Box(-1, 1))
    method = cax.Chain(methods=(first, cax.SPG()))
    result = cax.solve(problem, x0=np.full(3, 0.2), seed=0, method=method)
    assert result.status is cax.Status.PROVEN
    assert not any("went on" in note for note in result.notes)


@pytest.mark.parametrize("seed", [2, 6, 10, 16, 24])
def test_a_fine_tolerance_on_a_convex_quadratic_program_takes_one_method(seed: int) -> None:
    # SciPy's own test ends SLSQP where f no longer changes, with slopes of 1e-9 left; from there
    # another method took 10 to 30 times as many evaluations. Nonnegative least squares judges.
    rng = np.random.default_rng(seed)
    n = 4 + seed % 4
    root = rng.standard_normal((n, n))
    a, b = root.T @ root + np.eye(n), 3.0 * rng.standard_normal(n)
    rows, limits = rng.standard_normal((n - 1, n)), rng.uniform(0.5, 2.0, n - 1)
    problem = cax.Problem(
        cax.FunctionOracle(lambda x: (float(0.5 * x @ a @ x - b @ x), a @ x - b), n),
        constraints=[
            cax.Box(0, np.inf),
            cax.Function(lambda x: rows @ x, None, limits, jacobian=lambda x: rows),
        ],
        sense="minimize",
        x0=np.full(n, 0.1),
    )
    result = cax.solve(problem, tol=1e-10)
    assert result.success
    assert not result.notes
    x = result.flat
    sides = np.concatenate([rows, -np.eye(n)])
    tight = sides @ x > np.append(limits, np.zeros(n)) - 1e-8
    assert np.all(sides @ x <= np.append(limits, np.zeros(n)) + 1e-6)
    assert scipy.optimize.nnls(sides[tight].T, b - a @ x)[1] <= 1e-8 * np.abs(b).max()
