"""What "auto" takes, its annealed search, and what it does with the rest of a budget."""

from __future__ import annotations

import itertools
from functools import partial
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sample_problems import distance_l1

import constrained_actmax as cax
from constrained_actmax.comparison.running import resolved
from constrained_actmax.random_points import drawn
from constrained_actmax.solvers.selection import by_rule, named

#: Minimised by the sum over entries; the global minimum of an entry is near -0.8, another near 0.9.
CENTRES = np.linspace(-0.6, 0.7, 12)


def hilly(smooth: bool) -> cax.Problem:
    """Return two valleys for each of two variables, with or without a kink that does not matter."""

    def function(x: np.ndarray) -> tuple[float, np.ndarray]:
        value = float((x**4 - 1.5 * x**2 + 0.2 * x).sum())
        return value, 4 * x**3 - 3 * x + 0.2

    oracle = cax.FunctionOracle(function, 2, smooth=smooth, name="hills")
    return cax.Problem(oracle, constraints=[cax.Box(-1, 1)], sense="minimize")


def least_on_a_grid(problem: cax.Problem) -> float:
    """Return the least value on a fine grid: what no local method needs to find."""
    line = np.linspace(-1, 1, 401)
    return min(
        float(problem.evaluate(np.array([[a, b]])).f[0])
        for a, b in itertools.product(line[::8], line[::8])
    )


def test_kinks_are_crossed() -> None:
    problem = distance_l1(CENTRES, [cax.Box(-1, 1)])
    result = cax.solve(problem, x0=np.full(12, 0.95))
    assert result.method == "successive-halving"
    assert result.value <= 0.02 * 12  # the minimum is 0, at the centres; it began at 11.2
    stuck = cax.solve(problem, method="L-BFGS-B", x0=np.full(12, 0.95))
    assert result.nfev <= 300
    assert stuck.feasible


@pytest.mark.parametrize("smooth", [True, False])
def test_a_budget_buys_a_better_valley(smooth: bool) -> None:
    problem = hilly(smooth)
    wrong = np.array([0.9, 0.9])
    found = cax.solve(problem, x0=wrong, budget=cax.Budget(evaluations=300))
    local = cax.solve(problem, method="L-BFGS-B", x0=wrong)
    assert found.nfev <= 300
    assert local.value > least_on_a_grid(problem) + 0.1
    assert found.value <= least_on_a_grid(problem) + 1e-3


def test_without_a_budget_a_smooth_problem_gets_the_local_method() -> None:
    problem = hilly(smooth=True)
    assert cax.solve(problem, x0=[0.5, 0.5]).method == "L-BFGS-B"
    solver, reason = by_rule(problem, cax.Budget(evaluations=100))
    assert solver.name == "converge-and-search"
    assert "L-BFGS-B until it converges" in reason
    assert "\n" not in reason


@given(rows=st.integers(1, 400), starts=st.integers(1, 4), smooth=st.booleans())
def test_any_budget_is_kept_and_enough(rows: int, starts: int, smooth: bool) -> None:
    problem = hilly(smooth)
    points = np.linspace(-0.9, 0.8, 2 * starts).reshape(starts, 2)
    if rows < starts:
        return
    result = cax.solve(problem, starts=points, budget=cax.Budget(evaluations=rows))
    assert result.nfev <= rows
    assert result.feasible
    assert result.value <= min(float(f) for f in problem.evaluate(points).f) + 1e-12


@pytest.mark.parametrize("smooth", [True, False])
def test_it_says_the_same_again_and_to_every_start(smooth: bool) -> None:
    problem = hilly(smooth)
    points = np.array([[0.9, 0.9], [0.3, -0.2], [-0.9, 0.6]])
    budget = cax.Budget(evaluations=600)
    one = cax.solve(problem, starts=points, budget=budget)
    two = cax.solve(problem, starts=points, budget=budget)
    for first, second in zip(one.starts, two.starts, strict=True):
        np.testing.assert_array_equal(first.x, second.x)
    alone = cax.solve(problem, starts=points[:1], budget=cax.Budget(evaluations=200))
    if not smooth:  # the same draws, the same share: the same bits
        np.testing.assert_array_equal(one.starts[0].x, alone.starts[0].x)


def test_a_limit_of_seconds_ends_the_schedule_and_not_only_the_run() -> None:
    asked: list[float] = []

    def slow(x: np.ndarray) -> tuple[float, np.ndarray]:
        import time

        time.sleep(0.004)
        asked.append(float(np.abs(x - CENTRES).sum()))
        return asked[-1], np.sign(x - CENTRES)

    oracle = cax.FunctionOracle(slow, 12, smooth=False)
    problem = cax.Problem(oracle, constraints=[cax.Box(-1, 1)], sense="minimize")
    result = cax.solve(problem, x0=np.full(12, 0.95), budget=cax.Budget(seconds=0.9))
    assert len(asked) < 250  # of 300 rows that it would take without the limit
    assert result.value < 2.0  # steps of the first length alone would leave it above
    assert min(asked[:20]) > 2.0


class Clock:
    """Seconds that pass by evaluations alone: some of every call, and some of every row."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, call: float, row: float) -> None:
        self.now, self.call, self.row = 0.0, call, row
        evaluate = cax.Problem.evaluate

        def counted(problem: cax.Problem, x: np.ndarray, **settings: Any) -> Any:
            if type(problem) is cax.Problem:  # not its forms, which ask it
                self.now += self.call + self.row * len(x)
            return evaluate(problem, x, **settings)

        monkeypatch.setattr(cax.Problem, "evaluate", counted)
        clock = SimpleNamespace(perf_counter=lambda: self.now)
        for module in ("tasks.recording", "solving"):
            monkeypatch.setattr(f"constrained_actmax.{module}.time", clock)


def folded() -> cax.Problem:
    """Return a ReLU network with a last stage by programs, and too many inputs for a proof."""
    keras.utils.set_random_seed(5)
    layers = [keras.Input((12,)), keras.layers.Dense(12, activation="relu"), keras.layers.Dense(2)]
    oracle = cax.Oracle(keras.Sequential(layers), cax.Logit(0), precision="float64")
    return cax.Problem(oracle, cax.Logit(0), [cax.Box(-1, 1)], x0=np.full(12, 0.1))


def nearest() -> cax.Problem:
    """Return the least change that raises an output of the same network."""
    oracle, start = folded().user_oracle, np.full(12, 0.1)
    raised = cax.Output(0) >= float(oracle.values(start[np.newaxis])[0, 0]) + 0.3
    distance = cax.Norm(np.inf, center=start)
    limits = [cax.Box(-1, 1), raised]
    return cax.Problem(oracle.model, distance, limits, sense="minimize", x0=start)


def unproven() -> cax.Problem:
    """Return a smooth network with few inputs, so that a proof is tried after the local method."""
    keras.utils.set_random_seed(5)
    layers = [keras.Input((3,)), keras.layers.Dense(12, activation="tanh"), keras.layers.Dense(1)]
    return cax.Problem(keras.Sequential(layers), cax.Output(0), [cax.Box(-3, 3)])


def bounded(activation: str) -> cax.Problem:
    """Return a network with a bound on another output, which a local method solves at once."""
    keras.utils.set_random_seed(5)
    layers = [keras.Input((12,)), keras.layers.Dense(12, activation=activation)]
    model = keras.Sequential([*layers, keras.layers.Dense(2)])
    limits = [cax.Box(-1, 1), cax.Output(1) <= 0.0]
    return cax.Problem(model, cax.Output(0), limits, precision="float64", x0=np.full(12, 0.1))


@pytest.mark.parametrize(
    ("kind", "starts", "call", "row"),
    [
        ("relu", 2, 0.001, 0.0002),
        ("tanh", 1, 0.02, 0.001),
        ("nearest", 2, 0.005, 0.001),
        ("unproven", 1, 0.01, 0.001),
        ("smooth", 1, 0.005, 0.0),
        ("smooth", 3, 0.001, 0.003),
        ("kinks", 1, 0.005, 0.0),
        ("kinks", 3, 0.001, 0.003),
        ("network", 1, 0.03, 0.001),
    ],
)
def test_a_limit_of_seconds_alone_is_spent(
    monkeypatch: pytest.MonkeyPatch, kind: str, starts: int, call: float, row: float
) -> None:
    special = {"network": folded, "nearest": nearest, "unproven": unproven}
    special |= {name: partial(bounded, name) for name in ("relu", "tanh")}
    options = {"prove": cax.BranchAndBound(max_boxes=1)} if kind == "unproven" else None
    problem = special[kind]() if kind in special else hilly(kind == "smooth")
    problem.scales  # noqa: B018 - the probes are no part of the time
    clock = Clock(monkeypatch, call, row)
    spent, counts = {}, {}
    for limit in (1.0, 4.0):
        before = clock.now
        budget = cax.Budget(seconds=limit)
        result = cax.solve(problem, starts=starts, seed=0, budget=budget, options=options)
        spent[limit], counts[limit] = clock.now - before, result.nfev
        # The last plan may leave what 20 evaluations of a start take; one call may pass the limit.
        assert spent[limit] >= 0.9 * limit - 20 * starts * (call + row)
        assert spent[limit] <= limit + 4 * (call + 64 * row)
        assert result.feasible
    assert counts[4.0] > 2 * counts[1.0]


@pytest.mark.parametrize("kind", ["relu", "tanh"])
def test_further_draws_keep_what_was_found(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    problem = bounded(kind)
    once = cax.solve(problem, seed=0)
    Clock(monkeypatch, 0.01, 0.001)
    result = cax.solve(problem, seed=0, budget=cax.Budget(seconds=60.0))
    assert result.nfev > 2 * once.nfev
    assert result.value >= once.value - 1e-9
    assert result.success >= once.success
    alone = cax.solve(
        problem, seed=0, method="augmented-lagrangian", budget=cax.Budget(seconds=60.0)
    )
    assert alone.nfev < result.nfev  # a method that was asked for by name runs once


def test_a_function_of_numpy_that_converged_is_asked_no_more() -> None:
    limit = {"type": "ineq", "fun": lambda x: 1.0 - x[0] - x[1]}
    oracle = cax.FunctionOracle(lambda x: (float(x @ x - x.sum()), 2.0 * x - 1.0), 2)
    budget = cax.Budget(seconds=100.0)
    result = cax.solve(cax.Problem(oracle, None, [limit], sense="minimize"), budget=budget)
    assert result.status is cax.Status.CONVERGED
    assert result.seconds < 10.0


def test_what_comes_before_the_search_is_in_the_limit_of_seconds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Clock(monkeypatch, 0.0, 0.4)  # 3 probes take longer than the limit
    result = cax.solve(hilly(smooth=True), seed=0, budget=cax.Budget(seconds=1.0))
    assert (result.status, result.feasible) == (cax.Status.BUDGET, True)
    assert result.nfev <= 2
    assert result.seconds == pytest.approx(clock.now)
    building = iter([0.0, 5.0])
    clock = SimpleNamespace(perf_counter=lambda: next(building))
    monkeypatch.setattr("constrained_actmax.maximization.time", clock)
    oracle = cax.FunctionOracle(lambda x: (float(x @ x), 2.0 * x), 2, smooth=True)
    settings = {"x0": [0.9, 0.8], "seed": 0, "budget": cax.Budget(seconds=4.0)}
    late = cax.minimize(oracle, constraints=cax.Box(-1, 1), **settings)
    assert (late.status, late.feasible) == (cax.Status.BUDGET, True)
    assert late.seconds >= 5.0
    assert any("all of the budget of seconds: nothing was searched" in note for note in late.notes)


@given(
    share=st.integers(1, 5000),
    per=st.integers(1, 100),
    most=st.integers(1, 64),
    narrowing=st.integers(2, 5),
)
def test_rungs_narrow_and_spend_what_there_is(
    share: int, per: int, most: int, narrowing: int
) -> None:
    solver = cax.SuccessiveHalving(evaluations_per_draw=per, most_draws=most, narrowing=narrowing)
    rungs = solver.rungs(share)
    counts = [count for count, _ in rungs]
    assert sum(rows for _, rows in rungs) == share
    near = abs(np.log2(counts[0] * per / max(share, per))) <= 0.5 + 1e-12
    assert counts[0] == min(most, share) or (counts[0].bit_count() == 1 and near)
    assert counts[0] <= min(most, share)
    assert all(after == -(-before // narrowing) for before, after in itertools.pairwise(counts))
    assert all(rows % count == 0 for count, rows in rungs[:-1] if sum(counts) <= share)
    assert counts[-1] == 1 or rungs[-1][1] >= solver.last_steps * counts[-1]


@pytest.mark.parametrize("starts", [1, 3])
def test_the_history_is_the_same_whether_or_not_somebody_listens(starts: int) -> None:
    problem, heard = hilly(smooth=False), []
    settings = {"starts": starts, "seed": 1, "budget": cax.Budget(evaluations=200 * starts)}
    alone = cax.solve(problem, **settings)
    told = cax.solve(problem, callback=heard.append, **settings)
    for name in ("start", "nit", "evaluations", "value", "violation"):
        assert getattr(alone.history, name) == getattr(told.history, name), name
    assert [one.value for one in heard] == alone.history.value
    np.testing.assert_array_equal(alone.x, told.x)


def test_draws_differ_in_more_than_noise() -> None:
    oracle = cax.FunctionOracle(lambda x: (0.0, np.zeros(400)), 400, smooth=False)
    for constraints in ([cax.Box(0, 1)], [cax.Box(0, 1), cax.L1Ball(30)]):
        problem = cax.Problem(oracle, constraints=constraints)
        points, noise = (drawn(problem, 20, 3, varied=one) for one in (True, False))
        assert np.all(problem.set.relative_violation(points) <= problem.set.tolerance)
        np.testing.assert_array_equal(points, drawn(problem, 20, 3, varied=True))
        apart = [np.linalg.norm(x[:, np.newaxis] - x, axis=2).max() for x in (points, noise)]
        assert apart[0] > 1.2 * apart[1]
    unbounded = cax.Problem(oracle, constraints=[cax.L2Ball(2.0)])
    away = unbounded.set.relative_violation(drawn(unbounded, 4, 3, varied=True))
    assert np.all(away <= unbounded.set.tolerance)


def test_slopes_below_tol_are_no_convergence() -> None:
    """The tiny channel: at every point the residual is below tol, and there is a way to go."""
    oracle = cax.FunctionOracle(
        lambda x: (1e-6 * float(np.abs(x - 0.5).sum()), 1e-6 * np.sign(x - 0.5)), 6, smooth=False
    )
    problem = cax.Problem(oracle, constraints=[cax.Box(0, 1)], sense="minimize")
    result = cax.solve(problem, x0=np.zeros(6), budget=cax.Budget(evaluations=150))
    assert result.value < 1e-8  # from 3e-6


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"evaluations_per_draw": 0}, "evaluations_per_draw must be an integer >= 1"),
        ({"rung_share": 0.5}, "in (0, 0.5)"),
        ({"narrowing": 1}, "narrowing must be >= 2"),
    ],
)
def test_bad_settings_are_named(options: dict[str, float], words: str) -> None:
    with pytest.raises(cax.SpecificationError) as caught:
        cax.SuccessiveHalving(**options)  # type: ignore[arg-type]
    assert words in str(caught.value)


def test_a_flat_start_is_named_where_nothing_can_leave_it() -> None:
    oracle = cax.FunctionOracle(lambda x: (0.0, np.zeros(3)), 3, smooth=False)
    result = cax.solve(cax.Problem(oracle, constraints=[cax.Box(0, 1)]), seed=0)
    assert result.status is cax.Status.ZERO_GRADIENT


def test_candidates_share_model_calls() -> None:
    model = cax.examples.load_model()
    budget = cax.Budget(evaluations=400)
    result = cax.maximize(model, cax.Logit(7), [cax.Box(0, 1)], seed=0, budget=budget)
    assert result.nfev <= 400
    assert result.calls < 0.6 * result.nfev


def test_long_steps_do_not_lose_a_hill_among_plains() -> None:
    """The entropy of a classifier is nearly 0 almost everywhere, and at most log 10."""
    import tensorflow as tf

    def entropy(inputs: Any, outputs: Any, activations: Any) -> Any:
        return -tf.reduce_sum(outputs * tf.math.log(outputs + 1e-7), axis=-1)

    result = cax.maximize(
        cax.examples.load_model(),
        cax.Custom(entropy),
        [cax.Box(0, 1)],
        seed=0,
        budget=cax.Budget(evaluations=300),
    )
    assert result.value > 0.98 * np.log(10)


def test_a_former_name_of_a_method_still_works() -> None:
    for method in ("annealed", "Annealed", "successive-halving"):
        assert named(method) == cax.SuccessiveHalving()
        assert resolved(method) == cax.SuccessiveHalving()
