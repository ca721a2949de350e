"""Every solver against the laws, against cvxpy, and against its own promises."""

from __future__ import annotations

import time
from typing import Any

import cutest_problems
import cvxpy as cp
import numpy as np
import pytest
from sample_problems import bowl, distance_l1, quadratic, rosenbrock

import constrained_actmax as cax
from constrained_actmax.conformance import check_solver
from constrained_actmax.errors import RefusedError, SpecificationError
from constrained_actmax.solvers.selection import SOLVERS

N = 20
BOX = [cax.Box(-0.5, 0.4)]
SETS = {
    "box": BOX,
    "box and l1": [cax.Box(0, 1), cax.L1Ball(2.0)],
    "l1, signs free": [cax.L1Ball(2.0, center=0.1)],
    "box and l2": [cax.Box(-1, 1), cax.L2Ball(1.2, center=0.2)],
    "box and row": [cax.Box(-1, 1), cax.Linear(np.ones((1, N)), upper=0.5)],
}
OTHERS = ("active-signature", "branch-and-bound", "nearest-point", "relax-and-round")
#: Those that take plain functions.
METHODS = [one for one in SOLVERS if one not in OTHERS]
CASES = [(method, name) for method in METHODS if method != "COBYQA" for name in SETS]
ONLY_BOUNDS = {"L-BFGS-B", "TNC"}


def reference(sets: list[cax.ConvexSet]) -> float:
    """Return the least value by cvxpy at tight tolerance."""
    a, b = bowl(N)
    x = cp.Variable(N)
    rows = [row for one in sets for row in one.to_cvxpy(x)]
    program = cp.Problem(cp.Minimize(0.5 * cp.quad_form(x, cp.psd_wrap(a)) - b @ x), rows)
    program.solve(solver="CLARABEL", tol_gap_abs=1e-12, tol_gap_rel=1e-12, tol_feas=1e-12)
    return float(program.value)


@pytest.mark.parametrize(("method", "name"), CASES)
def test_finds_the_optimum_of_a_convex_problem(method: str, name: str) -> None:
    problem = quadratic(N, SETS[name])
    if method in ONLY_BOUNDS and name != "box":
        with pytest.raises(RefusedError, match="use method='spg'"):
            cax.solve(problem, method=method)
        return
    result = cax.solve(problem, method=method, x0=np.full(N, 0.1), tol=1e-8)
    best = reference(SETS[name])
    assert result.feasible
    assert result.maxcv <= 1e-12
    # TNC ends by its own test of f, Frank-Wolfe by its gap, the annealed search by its schedule.
    loose = {"TNC": 1e-7, "frank-wolfe": 1e-6, "successive-halving": 1e-6}.get(method, 1e-8)
    assert best - 1e-8 <= result.value <= best + loose * max(1.0, abs(best))
    assert result.fun == result.value


@pytest.mark.parametrize(("method", "name"), CASES)
def test_keeps_the_laws(method: str, name: str) -> None:
    if method in ONLY_BOUNDS and name != "box":
        pytest.skip("refused, and tested above")
    problem = quadratic(N, SETS[name])
    starts = problem.set.sample(np.random.default_rng(1), 3)
    check_solver(SOLVERS[method](), problem, starts)


@pytest.mark.parametrize("method", ["spg", "pqn", "fista", "L-BFGS-B", "SLSQP"])
def test_solves_rosenbrock_in_a_box(method: str) -> None:
    # The unconstrained optimum (1, ..., 1) is cut off by x_1 <= 0.5; SciPy's SLSQP, L-BFGS-B and
    # trust-constr and a grid over x_2 agree on the value.
    problem = rosenbrock(2, [cax.Box(-1, [0.5, 2.0])])
    result = cax.solve(problem, method=method, x0=[-0.7, 1.5])
    np.testing.assert_allclose(result.x, [0.5, 0.25], atol=1e-5)
    assert result.value == pytest.approx(0.25, abs=1e-8)
    assert result.success


@pytest.mark.parametrize("method", ["spg", "pgd", "fista", "pqn", "frank-wolfe"])
def test_starts_do_not_see_each_other(method: str) -> None:
    problem = quadratic(N, SETS["box and l1"])
    starts = problem.set.sample(np.random.default_rng(3), 4)
    together = cax.solve(problem, method=method, starts=starts)
    for row, point in enumerate(starts):
        alone = cax.solve(problem, method=method, x0=point)
        np.testing.assert_allclose(together.starts[row].x, alone.starts[0].x, atol=1e-6)
        assert together.starts[row].nit == alone.nit


def test_pgd_crosses_kinks_at_which_a_line_search_stalls() -> None:
    rng = np.random.default_rng(0)
    mixing = rng.standard_normal((60, 30))
    shift = rng.standard_normal(60)
    oracle = cax.FunctionOracle(
        lambda x: (
            float(np.abs(mixing @ x - shift).sum()),
            mixing.T @ np.sign(mixing @ x - shift),
        ),
        30,
        smooth=False,
    )
    problem = cax.Problem(oracle, constraints=[cax.L2Ball(2.0)], sense="minimize")
    x = cp.Variable(30)
    program = cp.Problem(cp.Minimize(cp.norm1(mixing @ x - shift)), [cp.norm2(x) <= 2.0])
    best = program.solve(solver="CLARABEL")
    stalled = cax.solve(problem, method="spg", x0=np.zeros(30))
    crossed = cax.solve(problem, method="pgd", x0=np.zeros(30), options={"iterations": 1000})
    assert best - 1e-6 <= crossed.value <= best * 1.02
    assert crossed.value < stalled.value
    assert not stalled.success


@pytest.mark.parametrize("schedule", ["halved", "geometric", "constant"])
def test_pgd_schedules_approach_the_optimum(schedule: str) -> None:
    center = np.linspace(-1, 1, 12)
    problem = distance_l1(center, [cax.Box(-0.5, 0.5)])
    best = np.abs(np.clip(center, -0.5, 0.5) - center).sum()
    options = {"schedule": schedule, "iterations": 400}
    if schedule == "constant":
        options["first_step_size"] = 0.05
    result = cax.solve(problem, method="pgd", x0=np.full(12, 0.3), options=options)
    assert best <= result.value <= best + {"constant": 0.2}.get(schedule, 0.05)


def test_frank_wolfe_finds_sparse_points_and_reports_its_gap() -> None:
    problem = quadratic(N, SETS["l1, signs free"])
    result = cax.solve(problem, method="frank-wolfe", x0=np.full(N, 0.1))
    moved = np.abs(result.x - 0.1) > 1e-9
    exact = cax.solve(problem, method="spg", x0=np.full(N, 0.1), tol=1e-9)
    assert moved.sum() == (np.abs(exact.x - 0.1) > 1e-6).sum() < N
    assert result.optimality.frank_wolfe_gap is not None
    assert 0 <= result.optimality.frank_wolfe_gap <= 1e-5
    a, b = bowl(N)
    slope = a @ result.x - b
    vertex = problem.set.linear_maximizer(-slope)
    assert result.optimality.frank_wolfe_gap == pytest.approx(
        float(slope @ (result.x - vertex)), abs=1e-12
    )


@pytest.mark.parametrize("steps", ["away", "plain"])
def test_frank_wolfe_steps(steps: str) -> None:
    problem = quadratic(N, SETS["box and l1"])
    result = cax.solve(
        problem, method="frank-wolfe", x0=np.zeros(N), options={"steps": steps}, tol=1e-4
    )
    best = reference(SETS["box and l1"])
    assert best - 1e-8 <= result.value <= best + 1e-3


def test_refuses_by_memory_and_names_a_method_that_can() -> None:
    problem = quadratic(2, [cax.Box(0, 1)])
    big = cax.FunctionOracle(lambda x: (0.0, x), 12_288)
    with pytest.raises(RefusedError, match=r"9\.6 GB for 12,288 variables; use method='spg'"):
        cax.maximize(big, constraints=[cax.Box(0, 1)], method="SLSQP")
    assert cax.solve(problem, method="SLSQP").feasible


def test_refuses_a_set_without_a_smooth_form() -> None:
    cone = cax.CvxpySet(lambda x: [cp.norm(x, 3) <= 1.0])
    with pytest.raises(RefusedError, match="has no such form; use method='spg' or 'pgd'"):
        cax.solve(quadratic(4, [cone]), method="SLSQP")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ({"method": "SLSPQ"}, r"method: no 'SLSPQ'\. Did you mean 'SLSQP'"),
        ({"method": 3}, "method: expected a name or a Solver, got int 3"),
        ({"method": "spg", "options": {"memori": 3}}, "no option 'memori'.*'memory'"),
        ({"method": "L-BFGS-B", "options": {"maxcorr": 3}}, "no option 'maxcorr'.*'maxcor'"),
        ({"method": "pgd", "options": {"schedule": "cosine"}}, "schedule must be"),
        ({"tol": 0}, "tol: must be a number > 0, got 0"),
        ({"seed": -1}, "seed: must be an integer >= 0, got -1"),
        ({"starts": 0}, "starts: must be >= 1, got 0"),
        ({"starts": True}, "starts: expected a number or an array"),
        ({"budget": 300}, r"budget: expected Budget\(evaluations=\.\.\., seconds=\.\.\.\)"),
        ({"callback": 5}, "callback: expected a function, got int"),
        ({"x0": np.zeros(3)}, r"x0: expected shape \(4,\), got \(3,\)"),
        ({"x0": [np.nan] * 4}, "x0: holds NaN"),
        ({"starts": np.zeros((2, 4)), "x0": np.zeros(4)}, "starts: an array gives them all"),
    ],
)
def test_bad_calls_are_told_before_any_model_call(call: dict, message: str) -> None:
    asked: list[int] = []

    def function(x: np.ndarray) -> tuple[float, np.ndarray]:
        asked.append(1)
        return 0.0, x

    problem = cax.Problem(cax.FunctionOracle(function, 4), constraints=[cax.Box(0, 1)])
    with pytest.raises(SpecificationError, match=message):
        cax.solve(problem, **call)
    assert not asked


@pytest.mark.parametrize("method", METHODS)
def test_a_zero_gradient_at_the_start_is_named(method: str) -> None:
    flat = cax.FunctionOracle(lambda x: (1.0, np.zeros_like(x)), 3)
    result = cax.maximize(flat, constraints=[cax.Box(0, 1)], method=method)
    assert result.status is cax.Status.ZERO_GRADIENT
    assert result.feasible
    assert not result.success
    assert result.message.startswith("Zero gradient at the start")


@pytest.mark.parametrize("method", METHODS)
def test_nan_in_the_middle_keeps_the_best_feasible_point(method: str) -> None:
    seen: list[float] = []

    def function(x: np.ndarray) -> tuple[float, np.ndarray]:
        if len(seen) >= 3:
            return np.nan, np.full(5, np.nan)
        value = -float((x - 0.7) @ (x - 0.7))
        seen.append(value)
        return value, -2 * (x - 0.7)

    problem = cax.Problem(cax.FunctionOracle(function, 5), constraints=[cax.Box(0, 1)])
    result = cax.solve(problem, method=method, x0=np.full(5, 0.1))
    assert result.feasible
    assert result.status in (cax.Status.NON_FINITE, cax.Status.CONVERGED)
    assert result.value in seen
    if result.status is cax.Status.NON_FINITE:
        assert "not finite at a point with entries in [" in result.message


UNLIMITED = [one for one in METHODS if one not in ("frank-wolfe", "COBYQA")]


@pytest.mark.parametrize("method", UNLIMITED)
@pytest.mark.parametrize("bend", [0.0, 1.0], ids=["linear", "convex"])
def test_divergence_ends_as_unbounded(method: str, bend: float) -> None:
    def slope(x: np.ndarray) -> tuple[float, np.ndarray]:
        return float(x.sum()) + bend * float(x @ x), 1.0 + 2.0 * bend * x

    result = cax.maximize(cax.FunctionOracle(slope, 3), method=method, x0=np.ones(3))
    assert result.status in (cax.Status.UNBOUNDED, cax.Status.NON_FINITE)
    assert not result.success


@pytest.mark.parametrize("method", ["SLSQP", "trust-constr", "augmented-lagrangian"])
def test_divergence_along_a_functional_constraint_too(method: str) -> None:
    slope = cax.FunctionOracle(lambda x: (float(x.sum()), np.ones(3)), 3)
    order = cax.Function(
        lambda x: x[0] - x[1], None, 0.0, jacobian=lambda x: np.array([1.0, -1.0, 0.0])
    )
    result = cax.solve(cax.Problem(slope, constraints=[order]), method=method, x0=np.ones(3))
    assert result.status is cax.Status.UNBOUNDED


@pytest.mark.parametrize("n", [2, 3, 4])
def test_a_far_trial_that_is_no_better_is_turned_back(n: int) -> None:
    # At the start the gradients of two spheres through it are nearly dependent, so the first step
    # to their linear forms is as long as the smallest entries are small. Where the spheres meet is
    # x_0 = 1/2 and |x|^2 = 9: nothing there is unbounded.
    def spheres(x: np.ndarray) -> np.ndarray:
        return np.array([x @ x, x @ x - 2.0 * x[0]])

    meet = cax.Function(
        spheres,
        [9.0, 8.0],
        [9.0, 8.0],
        jacobian=lambda x: np.array([2 * x, 2 * x - 2 * np.eye(n)[0]]),
    )
    total = cax.FunctionOracle(lambda x: (float(x.sum()), np.ones(n)), n)
    x0 = np.full(n, 1e-4)
    x0[0] = 5.0
    result = cax.maximize(total, constraints=[meet], x0=x0, method="SLSQP")
    assert result.success
    assert result.value == pytest.approx(0.5 + np.sqrt(8.75 * (n - 1)), abs=1e-5)


def test_far_trials_that_break_a_constraint_come_to_an_end() -> None:
    # x_1 grows without end along x_0 = x_1^2, and SLSQP's points are off it by more each time.
    curve = cax.Function(
        lambda x: x[0] - x[1] ** 2, 0, 0, jacobian=lambda x: np.array([[1.0, -2.0 * x[1]]])
    )
    oracle = cax.FunctionOracle(lambda x: (-float(x[1]), np.array([0.0, -1.0])), 2)
    result = cax.minimize(oracle, constraints=[curve], x0=[1.0, 1.0], method="SLSQP")
    # The least squares of an older SciPy fail on the way.
    assert result.status in (cax.Status.UNBOUNDED, cax.Status.SOLVER_ERROR)
    assert result.feasible
    assert result.nfev < 100


def test_a_product_with_no_direction_is_zero() -> None:
    oracle = cax.FunctionOracle(lambda x: (float(x @ x), 2.0 * x), 2)
    problem = cax.Problem(oracle, None, [cax.Box(-1, 1)], sense="minimize")
    product = problem.hessian_product(np.array([0.5, 0.5]), np.zeros(2), np.ones(1))
    np.testing.assert_array_equal(product, np.zeros(2))


@pytest.mark.parametrize("seed", range(1, 4))
def test_a_first_trial_that_breaks_constraints_is_no_iterate(seed: int) -> None:
    # SLSQP calls back with the first trial of each line search; POLAK6 grows as an exponential.
    one = cutest_problems.BY_NAME["POLAK6"]
    start = 2e-3 * np.random.default_rng(seed).standard_normal(len(one.start))
    lower, upper = one.limits
    rows = cax.Function(one.c, lower, upper, jacobian=one.jacobian)
    oracle = cax.FunctionOracle(one.f, len(one.start))
    result = cax.minimize(oracle, constraints=[rows], x0=start, method="SLSQP", tol=1e-7)
    assert result.status is not cax.Status.UNBOUNDED


@pytest.mark.parametrize("method", ["pgd", "spg", "trust-constr"])
def test_a_far_optimum_is_not_called_unbounded(method: str) -> None:
    # -sqrt(1 + |x - 1e3|^2) has its maximum, -1, a thousand units from the start.
    def function(x: np.ndarray) -> tuple[float, np.ndarray]:
        d = x - 1e3
        height = np.sqrt(1.0 + d @ d)
        return -float(height), -d / height

    result = cax.maximize(cax.FunctionOracle(function, 3), method=method, x0=np.ones(3))
    assert result.status is not cax.Status.UNBOUNDED


@pytest.mark.parametrize("method", METHODS)
def test_ctrl_c_keeps_the_best_feasible_point(method: str) -> None:
    a, b = bowl(6)
    asked: list[int] = []

    def function(x: np.ndarray) -> tuple[float, np.ndarray]:
        asked.append(1)
        if len(asked) == 5:
            raise KeyboardInterrupt
        return 0.5 * float(x @ a @ x) - float(b @ x), a @ x - b

    problem = cax.Problem(
        cax.FunctionOracle(function, 6), constraints=[cax.Box(-1, 1)], sense="minimize"
    )
    result = cax.solve(problem, method=method, x0=np.full(6, 0.9))
    assert result.status is cax.Status.INTERRUPTED
    assert result.feasible
    assert result.value <= function(np.full(6, 0.9))[0]


@pytest.mark.parametrize("method", METHODS)
def test_a_budget_of_seconds_ends_the_run(method: str) -> None:
    a, b = bowl(6)

    def slow(x: np.ndarray) -> tuple[float, np.ndarray]:
        time.sleep(0.01)
        return 0.5 * float(x @ a @ x) - float(b @ x) + np.sin(50 * x).sum(), (
            a @ x - b + 50 * np.cos(50 * x)
        )

    problem = cax.Problem(
        cax.FunctionOracle(slow, 6), constraints=[cax.Box(-1, 1)], sense="minimize"
    )
    result = cax.solve(problem, method=method, starts=50, seed=0, budget=cax.Budget(seconds=0.3))
    assert result.feasible
    assert result.nfev <= 200
    assert any(one.status is cax.Status.BUDGET for one in result.starts)


@pytest.mark.parametrize("method", METHODS)
def test_the_callback_sees_the_same_fields_for_every_method(method: str) -> None:
    problem = quadratic(N, BOX)
    seen: list[cax.Intermediate] = []
    result = cax.solve(problem, method=method, x0=np.full(N, 0.1), callback=seen.append)
    assert [one.nit for one in seen] == list(range(1, len(seen) + 1))
    assert all(one.fun == one.value for one in seen)
    # An interior point method passes outside the bounds, and says so.
    assert method == "trust-constr" or all(one.violation <= 1e-6 for one in seen)
    assert all(np.shape(one.x) == (N,) for one in seen)
    assert len(result.history.value) == len(seen)
    a, b = bowl(N)
    for one in seen[:: max(1, len(seen) // 5)]:
        assert one.value == pytest.approx(0.5 * one.x @ a @ one.x - b @ one.x, abs=1e-10)


def test_the_budget_is_shared_by_all_starts() -> None:
    problem = rosenbrock(6, [cax.Box(-2, 2)])
    for method in ("L-BFGS-B", "spg", "pgd"):
        result = cax.solve(
            problem, method=method, starts=5, seed=0, budget=cax.Budget(evaluations=60)
        )
        assert result.nfev <= 60
        assert len({one.nit > 0 for one in result.starts}) == 1


def test_stop_iteration_from_the_callback_is_an_interruption() -> None:
    def stop(intermediate: cax.Intermediate) -> None:
        if intermediate.nit == 2:
            raise StopIteration

    for method in METHODS:
        result = cax.solve(quadratic(N, BOX), method=method, x0=np.full(N, 0.1), callback=stop)
        assert result.status is cax.Status.INTERRUPTED, method
        assert result.message.startswith("Interrupted")
        assert result.feasible


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: cax.SPG(max_iterations=0), "spg: max_iterations must be an integer >= 1, got 0"),
        (lambda: cax.SPG(memory=-3), "spg: memory must be an integer >= 1, got -3"),
        (lambda: cax.SPG(gradient_tolerance="1e-3"), "must be a number >= 0, got '1e-3'"),
        (lambda: cax.LBFGSB(maxcor=2.5), "L-BFGS-B: maxcor must be an integer >= 1, got 2.5"),
        (lambda: cax.LBFGSB(ftol=np.nan), "ftol must be a number >= 0, got nan"),
        (lambda: cax.PGD(iterations=True), "pgd: iterations must be an integer >= 1, got True"),
        (lambda: cax.PGD(schedule="linear"), "must be 'halved', 'geometric' or 'constant', got 'l"),
        (lambda: cax.FrankWolfe(steps=["away"]), "'pairwise', 'away' or 'plain', got .'away'"),
        (lambda: cax.AugmentedLagrangian(max_rounds=None), "max_rounds must be an integer >= 1"),
        (lambda: cax.TNC(eta="a"), "TNC: eta must be a number, got 'a'"),
        (lambda: cax.ProjectedAdam(rate=0), "rate must be > 0, got 0"),
    ],
)
def test_settings_are_checked_at_birth(build: Any, message: str) -> None:
    with pytest.raises(SpecificationError, match=message):
        build()


def test_settings_that_scipy_reads_as_choose_for_me_are_kept() -> None:
    assert cax.TNC(eta=-1, maxCGit=-1).options()["maxCGit"] == -1
    assert cax.LBFGSB(ftol=0).options()["ftol"] == 0


@pytest.mark.parametrize("method", ["spg", "pqn", "fista"])
def test_convergence_on_an_iterative_projection_is_said_by_an_accurate_one(method: str) -> None:
    n = 144
    a, b = bowl(n)

    def quadratic_form(picture: np.ndarray) -> tuple[float, np.ndarray]:
        x = picture.ravel()
        return 0.5 * float(x @ a @ x) - float(b @ x), (a @ x - b).reshape(picture.shape)

    oracle = cax.FunctionOracle(quadratic_form, (12, 12), smooth=True)
    sets = [cax.Box(-1, 1), cax.TotalVariationBall(3.0)]
    result = cax.minimize(oracle, constraints=sets, x0=np.zeros((12, 12)), method=method, tol=1e-4)
    assert result.status is cax.Status.CONVERGED, result
    assert result.optimality.stationarity <= 1e-4
    assert "TotalVariationBall" in " ".join(result.optimality.multipliers)


@pytest.mark.parametrize("method", ["auto", *METHODS])
def test_a_point_that_its_bounds_fix_is_returned_with_one_evaluation(method: str) -> None:
    bowl_ = cax.FunctionOracle(lambda x: (-float(x @ x), -2 * x), 2, smooth=True)
    budget = cax.Budget(evaluations=50)
    result = cax.maximize(bowl_, bounds=[(1, 1), (2, 2)], method=method, budget=budget)
    assert result.x.tolist() == [1, 2]
    assert result.value == -5
    assert result.success
    assert result.nfev == 1


@pytest.mark.parametrize("method", ["auto", "SLSQP", "trust-constr", "augmented-lagrangian"])
def test_a_point_that_its_bounds_fix_may_break_a_constraint(method: str) -> None:
    bowl_ = cax.FunctionOracle(lambda x: (-float(x @ x), -2 * x), 2, smooth=True)
    broken = {"type": "ineq", "fun": lambda x: x[0] - 1.5}
    result = cax.maximize(bowl_, constraints=broken, bounds=[(1, 1), (2, 2)], method=method)
    assert result.x.tolist() == [1, 2]
    assert result.status is cax.Status.INFEASIBLE
    assert "fix every variable" in result.message
