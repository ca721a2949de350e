"""Limits on outputs and functions: units, counts, multipliers, and hard cases told honestly."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from itertools import pairwise
from typing import Any

import cvxpy as cp
import keras
import numpy as np
import pytest
import sample_models
import scipy.optimize
import tensorflow as tf
from sample_problems import bowl

import constrained_actmax as cax
from constrained_actmax.solvers.restoration import holding
from constrained_actmax.solvers.selection import SOLVERS, named
from constrained_actmax.tasks.penalised import Penalised
from constrained_actmax.tasks.recording import Recording

METHODS = ["SLSQP", "trust-constr", "augmented-lagrangian"]


def bowl_problem(constraints: list[Any], n: int = 4, **options: Any) -> cax.Problem:
    a, b = bowl(n)
    oracle = cax.FunctionOracle(
        lambda x: (0.5 * float(x @ a @ x) - float(b @ x), a @ x - b), n, smooth=True
    )
    return cax.Problem(oracle, constraints=constraints, sense="minimize", **options)


def total(limit: float, name: str = "total") -> Any:
    return cax.Function(np.sum, None, limit, jacobian=np.ones_like, name=name)


@cache
def smooth_oracle() -> cax.Oracle:
    """Return one compiled model for all tests that only change numbers."""
    return cax.Oracle(smooth_classifier(), precision="float64", xla=False)


def smooth_classifier(seed: int = 0) -> Any:
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((6,))
    hidden = keras.layers.Dense(12, activation="tanh")(inputs)
    return keras.Model(inputs, keras.layers.Dense(4, activation="softmax")(hidden))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("sense", ["maximize", "minimize"])
def test_multipliers_are_slopes_in_the_users_units(method: str, sense: str) -> None:
    call = getattr(cax, sense)

    def optimum(limit: float, cap: float) -> cax.Result:
        constraints = [
            cax.Box(-2, 2),
            cax.Probability(1) <= cap if sense == "maximize" else cax.Probability(1) >= cap,
            10 * cax.Logit(2) >= limit,
        ]
        result: cax.Result = call(
            smooth_oracle(),
            cax.Logit(0) + cax.Logit(1),
            constraints,
            method=method,
            x0=np.full(6, 0.1),
            tol=1e-8,
        )
        assert result.feasible
        return result

    cap = 0.2 if sense == "maximize" else 0.4
    here = optimum(4.0, cap)
    named_prices = here.optimality.multipliers
    steps = {"limit": (1e-3, 0.0), "cap": (0.0, 1e-5)}
    for key, (one, two) in steps.items():
        size = one or two
        ahead, behind = optimum(4.0 + one, cap + two), optimum(4.0 - one, cap - two)
        slope = (ahead.value - behind.value) / (2 * size)
        found = [v for k, v in named_prices.items() if ("Prob" in k) == (key == "cap")]
        assert found[0] == pytest.approx(slope, rel=2e-3, abs=1e-4), key
    assert any(abs(float(one)) > 1e-3 for one in named_prices.values())
    assert "(change of the value per unit)" in str(here)


def test_a_probability_is_reported_as_one() -> None:
    model = smooth_classifier()
    problem = cax.Problem(
        model, cax.Logit(0), [cax.Box(-2, 2), cax.Probability(1) <= 0.1], precision="float64"
    )
    x = np.full((1, 6), 0.3)
    found = problem.evaluate(x)
    p = float(model(x.astype("float32"))[0, 1])
    assert p > 0.1
    assert problem.imposed[0].violation(found.c)[0] == pytest.approx(p - 0.1, abs=1e-6)
    assert problem.functional_violation(found.c)[0] > problem.feasibility_tolerance
    assert problem.imposed_violation(found.c)[0] > 0


def test_a_margin_over_all_rivals_is_one_line() -> None:
    model = smooth_classifier()
    result = cax.minimize(
        model,
        cax.SquaredDistance(np.zeros(6)),
        [cax.Box(-3, 3), cax.Margin(2) >= 0.5],
        precision="float64",
        method="SLSQP",
        x0=np.full(6, 0.1),
    )
    assert result.success
    price = result.optimality.multipliers["Margin(2) >= 0.5"]
    assert isinstance(price, float)
    assert price > 0
    logits = cax.Oracle(model, [cax.Logit(k) for k in range(4)], precision="float64").values(
        result.x[None]
    )[0]
    assert logits[2] - np.delete(logits, 2).max() == pytest.approx(0.5, abs=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_one_model_call_gives_everything_at_a_point(method: str) -> None:
    model = sample_models.dense()
    problem = cax.Problem(
        model,
        cax.Logit(0),
        [
            cax.Box(-1, 1),
            cax.Logit(1) <= 0.2,
            cax.Margin(2) >= -3,
            cax.Function(lambda x: tf.reduce_sum(x**2, axis=1), None, 2.0),
        ],
        xla=False,
    )
    assert problem.scales.evaluations > 0  # measured before anything is counted
    run = Recording(problem, 1, budget=cax.Budget(evaluations=120))
    points: list[bytes] = []
    evaluate = problem.oracle.evaluate

    def counted(x: np.ndarray) -> Any:
        points.extend(row.tobytes() for row in x)
        return evaluate(x)

    problem.oracle.evaluate = counted  # type: ignore[method-assign]
    before = problem.user_oracle.calls
    named(method).solve(run, np.full((1, 6), 0.1))
    assert len(points) >= 5
    # Value, gradient, constraints and Jacobian came from these calls and no others: products with
    # the Hessian apart, there was one call for each point that was asked.
    products = run.evaluations - len(points)
    assert problem.user_oracle.calls - before == run.calls
    assert run.calls - products <= len(points)
    repeated = sum(a == b for a, b in pairwise(points))
    assert repeated <= 0.1 * len(points)


def test_products_with_the_hessian_of_the_lagrangian_reach_trust_constr() -> None:
    model = smooth_classifier()
    problem = cax.Problem(
        model, cax.Logit(0), [cax.Box(-1, 1), cax.Logit(1) <= 0.1], precision="float64", xla=False
    )
    asked: list[np.ndarray] = []
    product = problem.oracle.hessian_product

    def counted(x: np.ndarray, v: np.ndarray, weights: Any, *others: Any) -> np.ndarray:
        asked.append(np.array(weights))
        return product(x, v, weights, *others)

    problem.oracle.hessian_product = counted  # type: ignore[method-assign]
    named("trust-constr").solve(Recording(problem, 1), np.full((1, 6), 0.1))
    assert any(w[0] == 1 for w in asked)
    assert any(w[1] != 0 for w in asked)


@pytest.mark.parametrize("method", METHODS)
def test_infeasible_says_so_and_returns_the_least_violating_point(method: str) -> None:
    # The sum of four numbers of [0, 1] is at most 4: 6 is broken by 2 at best.
    six = cax.Function(np.sum, 6, None, jacobian=np.ones_like, name="total")
    result = cax.solve(bowl_problem([cax.Box(0, 1), six]), method=method, x0=np.full(4, 0.5))
    assert not result.feasible
    assert not result.success
    assert result.status is cax.Status.INFEASIBLE
    assert str(result).startswith("NOT FEASIBLE")
    if method == "augmented-lagrangian":
        np.testing.assert_allclose(result.x, 1.0, atol=1e-6)
        assert dict(result.violations)["total >= 6"] == pytest.approx(2.0)


def two_valleys(floor: float, smooth: bool) -> cax.Problem:
    """Return a limit of 0.3 with valleys at 2, of depth 1, and at 8; the objective pulls to 0."""

    def depth(x: Any) -> Any:
        return np.minimum(1.0 + np.abs(x - 2.0), floor + np.abs(x - 8.0))[0]

    def slope(x: Any) -> Any:
        left = 1.0 + np.abs(x - 2.0) < floor + np.abs(x - 8.0)
        return np.where(left, np.sign(x - 2.0), np.sign(x - 8.0))

    pull = cax.FunctionOracle(
        lambda x: (50.0 * (float(x[0]) - 8.0), np.full(1, 50.0)), 1, smooth=smooth
    )
    limit = cax.Function(depth, None, 0.3, jacobian=slope, name="depth")
    return cax.Problem(
        pull, constraints=[cax.Box(0, 10), limit], sense="minimize", x0=np.array([8.1])
    )


@pytest.mark.parametrize("smooth", [False, True])
def test_a_search_that_ends_infeasible_speaks_of_the_point_that_it_returns(smooth: bool) -> None:
    # Nothing keeps the limit. The search ends at 2, 0.7 above it; 8.1, where it began, is nearer.
    result = cax.solve(two_valleys(0.5, smooth), method="augmented-lagrangian")
    assert result.status is cax.Status.INFEASIBLE
    assert result.maxcv <= 0.3 + 1e-12
    assert result.x == pytest.approx(8.0, abs=0.1 + 1e-12)
    assert f"violation {result.maxcv:.3g}" in str(result)
    assert "0.7" not in str(replace(result, seconds=0.0))


@pytest.mark.parametrize("smooth", [False, True])
def test_a_search_that_ends_infeasible_keeps_the_feasible_point_that_it_saw(smooth: bool) -> None:
    # [7.8, 8.2] keeps the limit, the search from 8.1 leaves it for the valley at 2.
    result = cax.solve(two_valleys(0.1, smooth), method="augmented-lagrangian")
    assert result.feasible
    assert result.status in (cax.Status.CONVERGED, cax.Status.STALLED)
    assert 7.8 - 1e-6 <= float(result.x[0]) <= 8.1
    if not smooth:  # where there are kinks it looks for feasibility again, and goes on from there
        assert result.x == pytest.approx(7.8, abs=1e-6)


def test_a_start_that_searches_for_feasibility_leaves_the_others_alone() -> None:
    # From 2.1 the valley at 2 holds the search, 8.1 is led there and back, 7.9 keeps the limit.
    starts = np.array([[8.1], [2.1], [7.9]])
    alone = [
        cax.solve(two_valleys(0.1, smooth=False), x0=x, method="augmented-lagrangian").x
        for x in starts
    ]
    result = cax.solve(two_valleys(0.1, smooth=False), starts=starts, method="augmented-lagrangian")
    for together, x in zip(result.starts, alone, strict=True):
        np.testing.assert_allclose(together.x, x, atol=1e-9)


def test_a_limit_that_stops_the_others_does_not_unsay_how_a_start_ended() -> None:
    starts = np.array([[8.1], [2.2], [7.9]])
    ended = [
        [
            one.status
            for one in cax.solve(
                two_valleys(0.1, smooth=True),
                starts=starts,
                method="augmented-lagrangian",
                budget=cax.Budget(evaluations=rows),
            ).starts
        ]
        for rows in range(60, 251, 10)
    ]
    infeasible = [second is cax.Status.INFEASIBLE for _, second, _ in ended]
    assert infeasible == sorted(infeasible)
    stopped = [cax.Status.BUDGET, cax.Status.INFEASIBLE, cax.Status.BUDGET]
    assert stopped in ended


def test_an_equality_is_kept_on_a_function_with_kinks() -> None:
    # |x|^2 = 0.5 and kinks in what is minimised: what is found to rounding only, is found.
    def value(x: np.ndarray) -> tuple[float, np.ndarray]:
        return float(np.abs(x - 0.3) @ np.arange(1.0, 4.0)), np.sign(x - 0.3) * np.arange(1.0, 4.0)

    sphere = cax.Function(lambda x: x @ x, 0.5, 0.5, jacobian=lambda x: 2.0 * x, name="square")
    row = cax.Linear(np.ones((1, 3)), None, 1.9)
    for seed in range(4):
        x0 = np.random.default_rng(seed).uniform(0.2, 0.9, size=3)
        problem = cax.Problem(
            cax.FunctionOracle(value, 3, smooth=False),
            constraints=[cax.Box(0, 1), row, sphere],
            sense="minimize",
            x0=x0,
        )
        result = cax.solve(problem, method="augmented-lagrangian")
        assert result.feasible, seed


def test_what_is_defined_on_the_set_alone_is_not_asked_outside() -> None:
    # The root is real where the entries add up to at most 2; the set ends at 1.9.
    def root(x: np.ndarray) -> float:
        return float(np.sqrt(2.0 - x.sum())) if x.sum() <= 2.0 else 1.0 / 0.0

    limit = cax.Function(
        root, 0.5, None, jacobian=lambda x: np.full(4, -0.5 / root(x)), name="root"
    )
    weights = np.array([1.0, 2.0, 3.0, 4.0])
    pull = cax.FunctionOracle(lambda x: (-float(weights @ x), -weights), 4, smooth=False)
    problem = cax.Problem(
        pull,
        constraints=[cax.Box(0, 1), cax.Linear(np.ones((1, 4)), None, 1.9), limit],
        sense="minimize",
        x0=np.full(4, 0.4),
    )
    result = cax.solve(problem, method="augmented-lagrangian")
    assert result.feasible
    # At most 1.75 in all, where the root is 0.5: the two dearest entries first.
    assert result.fun == pytest.approx(-(4.0 + 0.75 * 3.0), abs=1e-4)


#: They need the network itself, a distance, or discrete inputs.
NOT_INNER = {"active-signature", "branch-and-bound", "nearest-point", "relax-and-round"}


@pytest.mark.parametrize("name", sorted(set(SOLVERS) - NOT_INNER))
@pytest.mark.parametrize("starts", [1, 3])
def test_every_solver_can_be_the_inner_one(name: str, starts: int) -> None:
    a, b = bowl(4)
    limit = float(np.linalg.solve(a, b).sum()) - 1.0  # active: f alone wants 1 more
    system = np.block([[a, np.ones((4, 1))], [np.ones((1, 4)), np.zeros((1, 1))]])
    best = np.linalg.solve(system, np.append(b, limit))[:4]
    problem = bowl_problem([cax.Box(-20, 20), total(limit)])
    method = cax.AugmentedLagrangian(inner=SOLVERS[name]())
    budget = cax.Budget(evaluations=3000)
    result = cax.solve(problem, method=method, starts=starts, seed=0, budget=budget)
    assert result.feasible
    if name not in {
        "successive-halving",
        "converge-and-search",
        "pgd",
        "search-and-finish",
    }:  # searches
        np.testing.assert_allclose(result.x, best, atol=1e-4)


def test_a_method_that_needs_the_model_is_no_inner_one() -> None:
    method = cax.AugmentedLagrangian(inner=cax.GradientAscent())
    with pytest.raises(cax.RefusedError, match=r"inner method: .*needs the model itself"):
        cax.solve(bowl_problem([total(1.0)]), method=method)


@pytest.mark.parametrize(
    ("subject", "wanted", "rival"),
    [("Coat", "Pullover", "Shirt"), ("T-shirt/top", "Shirt", "Dress")],
)
def test_a_second_beginning_from_outside_finds_what_the_first_misses(
    subject: str, wanted: str, rival: str
) -> None:
    image = cax.examples.reference(subject)
    caps = [cax.Probability(name) <= 0.1 for name in (subject, rival)]
    ball = cax.L2Ball(2.5, center=image)
    problem = cax.Problem(
        cax.Oracle(cax.examples.load_model(), labels=list(cax.examples.CLASS_NAMES)),
        cax.Logit(wanted),
        [cax.Box(0, 1), ball, *caps],
        x0=image,
    )
    one, two = (
        cax.solve(problem, method=cax.AugmentedLagrangian(paths_per_start=count))
        for count in (1, 2)
    )
    assert one.feasible
    assert two.feasible
    assert two.value > one.value + 0.1


@pytest.mark.parametrize("method", METHODS)
def test_redundant_and_duplicate_constraints_change_nothing(method: str) -> None:
    box = cax.Box(-3, 3)
    plain = cax.solve(bowl_problem([box, total(-8)]), method=method, x0=np.zeros(4))
    extra = cax.solve(
        bowl_problem([box, total(-8), total(-8, "again"), total(900.0, "loose")]),
        method=method,
        x0=np.zeros(4),
    )
    assert extra.feasible
    assert extra.value == pytest.approx(plain.value, abs=1e-6)
    prices = [float(one) for one in extra.optimality.multipliers.values()]
    # Two equal rows share one price; the loose one has none.
    assert prices[0] + prices[1] == pytest.approx(
        float(plain.optimality.multipliers["total <= -8"]), rel=1e-3
    )
    assert prices[0] + prices[1] < 0
    assert prices[2] == 0.0


@pytest.mark.parametrize("method", METHODS)
def test_a_constraint_that_is_nan_is_named(method: str) -> None:
    def root(x: np.ndarray) -> float:
        return float(np.sqrt(x[0] - 0.5))

    broken = cax.Function(root, 0, None, jacobian=lambda x: np.full(4, np.nan), name="root")
    with np.errstate(invalid="ignore"):
        result = cax.solve(bowl_problem([cax.Box(0, 1), broken]), method=method, x0=np.zeros(4))
    assert not result.success
    assert result.status is cax.Status.NON_FINITE
    assert "constraint is not finite" in result.message


@pytest.mark.parametrize("method", METHODS)
def test_a_zero_gradient_at_the_start_is_no_success_unless_optimal(method: str) -> None:
    # f is flat at 0, its largest value there; the constraint is not met there.
    oracle = cax.FunctionOracle(lambda x: (float(-(x @ x)), -2 * x), 3, smooth=True)
    limit = cax.Function(np.sum, 1.5, None, jacobian=np.ones_like, name="total")
    problem = cax.Problem(oracle, constraints=[cax.Box(-1, 1), limit])
    result = cax.solve(problem, method=method, x0=np.zeros(3))
    np.testing.assert_allclose(result.x, 0.5, atol=1e-5)
    assert result.success
    flat = cax.FunctionOracle(lambda x: (0.0, np.zeros(3)), 3, smooth=True)
    nowhere = cax.Function(lambda x: 0.0, 1, None, jacobian=lambda x: np.zeros(3), name="none")
    dead = cax.solve(cax.Problem(flat, constraints=[cax.Box(-1, 1), nowhere]), method=method)
    assert not dead.success
    assert not dead.feasible


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("start", [-2.0, 1e3], ids=["active at x0", "x0 far outside"])
def test_other_starts_end_at_the_same_optimum(method: str, start: float) -> None:
    a, b = bowl(4)
    problem = bowl_problem([cax.Box(-50, 50), total(-8)])
    result = cax.solve(problem, method=method, x0=np.full(4, start), tol=1e-8)
    # One active linear row: its KKT system by hand.
    inverse = np.linalg.inv(a)
    ones = np.ones(4)
    price = (ones @ inverse @ b + 8) / (ones @ inverse @ ones)
    expected = inverse @ (b - price * ones)
    # A barrier method ends within a millionth of the box's width, 100.
    np.testing.assert_allclose(result.x, expected, atol=1e-4 if method == "trust-constr" else 1e-5)
    assert result.optimality.multipliers["total <= -8"] == pytest.approx(-price, rel=1e-4)
    assert result.success


@pytest.mark.parametrize("method", METHODS)
def test_scipys_own_constraints_and_vectors_and_equalities(method: str) -> None:
    n = 4
    a, b = bowl(n)
    listed = [
        scipy.optimize.NonlinearConstraint(lambda x: [x @ x, x[0] - x[1]], [-np.inf, 0], [1.0, 0]),
        {"type": "ineq", "fun": lambda x: 0.4 - x[2]},
    ]
    result = cax.solve(
        bowl_problem([cax.Box(-3, 3), *listed]), method=method, x0=np.full(n, 0.1), tol=1e-5
    )
    reference = scipy.optimize.minimize(
        lambda x: 0.5 * x @ a @ x - b @ x,
        np.full(n, 0.1),
        constraints=[
            {"type": "ineq", "fun": lambda x: 1 - x @ x},
            {"type": "eq", "fun": lambda x: x[0] - x[1]},
            {"type": "ineq", "fun": lambda x: 0.4 - x[2]},
        ],
        options={"ftol": 1e-14, "maxiter": 500},
    )
    assert result.feasible
    np.testing.assert_allclose(result.x, reference.x, atol=2e-4)


@pytest.mark.parametrize("method", METHODS)
def test_nearest_input_with_a_wanted_verdict(method: str) -> None:
    # A linear softmax: log-odds >= log(9) of two classes is a half-space, its projection known.
    w = np.random.default_rng(0).standard_normal((5, 2))
    inputs = keras.Input((5,))
    layer = keras.layers.Dense(2, activation="softmax", use_bias=False)
    model = keras.Model(inputs, layer(inputs))
    layer.set_weights([w])
    center = np.linspace(-0.2, 0.2, 5)
    result = cax.minimize(
        model,
        cax.SquaredDistance(center),
        [cax.Box(-5, 5), cax.Probability(1) >= 0.9],
        precision="float64",
        method=method,
        x0=center,
    )
    normal = np.asarray(layer.kernel, dtype=float) @ [-1, 1]
    short = np.log(9) - normal @ center
    np.testing.assert_allclose(result.x, center + normal * short / (normal @ normal), atol=1e-5)
    assert result.success


def test_scaling_on_the_way_out_gives_limits_and_prices_in_real_units() -> None:
    # The model speaks in standard scores; 3 is the first score that means 350 N of stress.
    inputs = keras.Input((2,))
    layer = keras.layers.Dense(2, use_bias=False)
    model = keras.Model(inputs, layer(inputs))
    layer.set_weights([np.array([[1.0, 2.0], [0.5, 0.0]])])
    stress = cax.Scaling(mean=200.0, std=50.0).inverse(cax.Output(1))
    result = cax.maximize(
        model,
        cax.Output(0),
        [cax.Box(0, 4), stress <= 350.0],
        precision="float64",
        method="SLSQP",
        x0=[0.1, 0.1],
    )
    np.testing.assert_allclose(result.x, [1.5, 4.0], atol=1e-6)
    # x_0 = (stress - 200) / 100: one more newton buys a hundredth.
    price = result.optimality.multipliers["50 * Output(1) + 200 <= 350"]
    assert price == pytest.approx(0.01, rel=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_linear_rows_of_the_set_and_limits_on_functions_hold_together(method: str) -> None:
    # A row of the set and a curved limit are both active: x_1 <= x_0 and x'x <= 1.
    n = 4
    a, b = bowl(n)
    row = np.array([-1.0, 1.0, 0.0, 0.0])
    ball = cax.Function(lambda x: x @ x, None, 1.0, jacobian=lambda x: 2 * x, name="ball")
    sets = [cax.Box(-3, 3), cax.Linear(row, upper=0.0)]
    result = cax.solve(bowl_problem([*sets, ball]), method=method, x0=np.full(n, 0.1), tol=1e-9)
    assert result.success
    reference = scipy.optimize.minimize(
        lambda x: 0.5 * x @ a @ x - b @ x,
        np.full(n, 0.1),
        jac=lambda x: a @ x - b,
        constraints=[
            {"type": "ineq", "fun": lambda x: 1 - x @ x},
            {"type": "ineq", "fun": lambda x: x[0] - x[1]},
        ],
        options={"ftol": 1e-15, "maxiter": 500},
    )
    np.testing.assert_allclose(result.x, reference.x, atol=1e-6)
    assert row @ result.x == pytest.approx(0.0, abs=1e-7)
    assert result.x @ result.x == pytest.approx(1.0, abs=1e-8)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("half_width", [5.0, 0.45], ids=["wide box", "tight box"])
def test_nearest_input_in_l1_is_the_one_that_cvxpy_finds(method: str, half_width: float) -> None:
    # A linear softmax of three classes: its log-odds are concave, so cvxpy knows the optimum.
    n = 12
    w = np.random.default_rng(0).standard_normal((n, 3))
    inputs = keras.Input((n,))
    layer = keras.layers.Dense(3, activation="softmax", use_bias=False)
    model = keras.Model(inputs, layer(inputs))
    layer.set_weights([w])
    kernel = np.asarray(layer.kernel, dtype=float)
    center = np.linspace(-0.2, 0.2, n)
    x = cp.Variable(n)
    z = kernel.T @ x
    program = cp.Problem(
        cp.Minimize(cp.norm1(x - center)),
        [cp.log_sum_exp(z[[0, 2]]) - z[1] <= -np.log(9), cp.abs(x) <= half_width],
    )
    best = program.solve(solver="CLARABEL", tol_gap_abs=1e-11, tol_gap_rel=1e-11, tol_feas=1e-11)
    result = cax.minimize(
        model,
        cax.Norm(1, center=center),
        [cax.Box(-half_width, half_width), cax.Probability(1) >= 0.9],
        precision="float64",
        method=method,
        x0=center,
    )
    assert result.success
    assert result.value == pytest.approx(best, rel=1e-6)
    assert result.value == pytest.approx(np.abs(result.x - center).sum(), rel=1e-12)
    # Entries stay where they were: that is what the L1 distance is for. A barrier keeps off bounds.
    near = 1e-6 if method == "trust-constr" else 1e-9
    assert np.sum(np.abs(result.x - center) <= near) >= 4
    price = result.optimality.multipliers["Probability(1) >= 0.9"]
    assert price > 0
    assert result.optimality.stationarity <= 1e-6


def test_a_penalty_holds_a_feasible_point_against_a_violating_one() -> None:
    rng = np.random.default_rng(0)
    oracle = cax.FunctionOracle(lambda x: (float(x.sum()), np.ones(2)), 2)
    above = cax.Function(lambda x: float(x[0]), 0.5, None, jacobian=lambda x: np.eye(2)[0])
    task = Recording(cax.Problem(oracle, None, [cax.Box(0, 1), above]), 1)
    augmented = Penalised(task, np.array([0]))
    for _ in range(5):
        violating, feasible = np.array([[0.4, 0.0]]) * rng.uniform(), rng.uniform(0.5, 1, (1, 2))
        z, y = (task.evaluate(x, [0]) for x in (feasible, violating))
        augmented.penalty[0] = 0.1 * holding(augmented, z, y)
        equal = [float(augmented.evaluate(x, [0]).f[0]) for x in (feasible, violating)]
        assert equal[0] == pytest.approx(equal[1])
