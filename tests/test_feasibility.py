"""Feasible points on networks that are flat or have kinks where their limits are broken."""

from __future__ import annotations

import re
import time
from types import SimpleNamespace
from typing import Any

import cvxpy as cp
import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import constrained_actmax as cax
from constrained_actmax.errors import RefusedError, SpecificationError
from constrained_actmax.problem import Problem
from constrained_actmax.solvers.augmented_lagrangian import AugmentedLagrangian
from constrained_actmax.solvers.least_violation import (
    INEXACT,
    MOST_STEPS,
    Candidate,
    default_evaluations,
    on_simplex,
    proximal_steps,
)
from constrained_actmax.solvers.search_and_finish import SearchAndFinish
from constrained_actmax.solvers.successive_halving import SuccessiveHalving
from constrained_actmax.tasks.recording import Recording

L = keras.layers


def flat() -> Any:
    """Return a network that is constant over 98.6 % of the box [0, 1]^5, by simulation."""
    model = keras.Sequential([keras.Input((5,)), L.Dense(1, activation="relu"), L.Dense(2)])
    weights = [np.ones((5, 1)), np.array([-3.8]), np.array([[2.0, 0.0]]), np.array([0.0, 0.1])]
    model.set_weights(weights)
    return model


MODEL = flat()
ALLOWED = [cax.Box(0, 1), cax.Output(1) - cax.Output(0) <= 0]


def kept(x: Any) -> bool:
    """Return whether 0.1 <= 2 relu(sum x - 3.8) in the box, by hand."""
    x = np.asarray(x)
    return bool(x.min() >= 0 and x.max() <= 1 and 2 * max(0.0, x.sum() - 3.8) >= 0.1 - 1e-5)


@pytest.mark.parametrize("starts", [1, 16])
@pytest.mark.parametrize("budget", [None, cax.Budget(evaluations=300)])
def test_auto_finds_a_feasible_point_where_its_starts_are_flat(starts: int, budget: Any) -> None:
    result = cax.maximize(MODEL, cax.Output(0), ALLOWED, starts=starts, seed=0, budget=budget)
    assert result.feasible
    assert kept(result.x)
    assert result.value == pytest.approx(2.4, abs=1e-5)  # at the corner of ones


def test_find_feasible_makes_the_least_slack_large() -> None:
    first = cax.find_feasible(MODEL, ALLOWED, seed=0, target=0)
    assert first.status is cax.Status.TARGET
    assert kept(first.x)
    result = cax.find_feasible(MODEL, ALLOWED, seed=0)
    assert kept(result.x)
    assert result.nfev > first.nfev
    size = result.settings["scales"]["constraints"][0][0]
    assert result.value == pytest.approx((2.4 - 0.1) / size, rel=1e-6)
    assert result.value >= first.value >= 0


def test_a_starting_point_on_a_flat_piece_leaves_the_sizes_of_limits() -> None:
    hidden = L.Dense(1, activation="relu", dtype="float64")
    half = keras.Sequential(
        [keras.Input((5,), dtype="float64"), hidden, L.Dense(2, dtype="float64")]
    )
    half.set_weights([np.ones((5, 1)), np.array([-2.5]), *MODEL.get_weights()[2:]])
    for x0 in (None, np.full(5, 0.2)):
        sizes = Problem(half, cax.Output(1), ALLOWED, x0=x0).scales.constraints
        assert sizes == pytest.approx([10.0])  # 2 for each of five entries


@pytest.mark.parametrize("method", ["find_feasible", "auto"])
def test_a_start_on_a_flat_piece_costs_its_evaluation_and_nothing_else(method: str) -> None:
    # All starts lie where the network is constant; the draws are those of the first one.
    points = np.random.default_rng(0).uniform(0.0, 0.7, size=(64, 5))
    spent = {}
    for count in (1, 4, 16, 64):
        asked: dict[str, Any] = {"starts": points[:count], "seed": 0}
        asked["budget"] = cax.Budget(evaluations=1000)
        if method == "auto":
            result = cax.maximize(MODEL, cax.Output(0), ALLOWED, target=-1.0, **asked)
        else:
            result = cax.find_feasible(MODEL, ALLOWED, target=0, **asked)
        assert result.status is cax.Status.TARGET
        spent[count] = result.nfev - count
    assert len(set(spent.values())) == 1


def test_linear_limits_are_met_without_a_draw() -> None:
    rng = np.random.default_rng(0)
    for _ in range(5):
        a = rng.standard_normal((2, 6))
        limits = [
            cax.Function(
                lambda x, row=row: float(row @ x), None, -0.5, jacobian=lambda x, row=row: row
            )
            for row in a
        ]
        oracle = cax.FunctionOracle(lambda x: (0.0, np.zeros(6)), 6)
        allowed = [cax.Box(-1, 1), *limits]
        result = cax.find_feasible(oracle, allowed, x0=-0.1 * a.sum(axis=0), target=0)
        assert (a @ result.x <= -0.5 + 1e-6).all()
        assert result.nfev <= 5


def test_without_a_feasible_point_what_a_last_stage_would_take_is_spent() -> None:
    own = Problem(MODEL, cax.Output(1), [cax.Box(0, 1), cax.Output(0) >= 3]).scaled  # 2.4 at most
    run = Recording(own, 16, budget=cax.Budget(evaluations=800), reserve=True)
    points = own.point(np.random.default_rng(0).uniform(0.0, 0.7, size=(16, 5)))
    SearchAndFinish(search=AugmentedLagrangian())._run(run, points, np.arange(16))
    assert run.remaining == 0
    assert {end.status for end in run.ended.values()} == {cax.Status.INFEASIBLE}
    assert "None of 768 evaluations" in run.ended[0].detail  # two of each start are kept


@pytest.mark.parametrize("kept_back", [60, 120])
def test_what_is_kept_for_a_last_stage_is_not_taken_from_the_search(kept_back: int) -> None:
    # The violation is least in the middle, where each of many drawn starts ends.
    points: list[tuple[float, ...]] = []

    def distance(x: Any) -> float:
        points.append(tuple(x))
        return float(x @ x)

    allowed = cax.Function(distance, None, -0.1, jacobian=lambda x: 2 * x)
    oracle = cax.FunctionOracle(lambda x: (0.0, np.zeros(3)), 3, smooth=False)
    own = Problem(oracle, None, [cax.Box(-1, 1), allowed]).scaled
    x0, starts = own.point(np.full((1, 3), 0.5)), np.arange(1)
    searches = []
    for kept in (0, kept_back):
        points.clear()
        run = Recording(own, 1, budget=cax.Budget(evaluations=400))
        AugmentedLagrangian().run_keeping(run, x0, starts, kept)
        searches.append(points[:300])
    assert len(searches[0]) == 300  # three quarters of the budget
    assert searches[0] == searches[1]


def test_infeasible_is_said_of_what_was_spent() -> None:
    # A function of one's own has no structure in which a proof could be found.
    lowest = cax.Function(lambda x: x.sum(), None, -0.1, jacobian=lambda x: np.ones(5))
    impossible = [cax.Box(0, 1), lowest]
    asked = default_evaluations(5, 2)
    for result in (
        cax.maximize(MODEL, cax.Output(1), impossible, seed=0, starts=2),
        cax.find_feasible(MODEL, impossible, seed=0, starts=2),
    ):
        assert result.status is cax.Status.INFEASIBLE
        assert f"None of {asked:,} evaluations" in result.message
        assert "where no budget= of evaluations is given" in result.message
        assert asked <= result.nfev
    spent = cax.find_feasible(MODEL, impossible, seed=0, budget=cax.Budget(evaluations=64))
    assert spent.status is cax.Status.INFEASIBLE
    assert "None of 64 evaluations kept" in spent.message
    assert "no budget=" not in spent.message
    assert spent.value < 0
    for budget, measured in ((1, False), (15, False), (16, True)):
        few = cax.find_feasible(MODEL, impossible, budget=cax.Budget(evaluations=budget))
        assert few.nfev <= budget
        size = few.settings["scales"]["constraints"][0][0]
        assert ("over the bounds' sizes" in repr(few)) is not measured
        assert few.value == pytest.approx(-few.maxcv)
        assert measured or size == 0.1


AFFINE = keras.Sequential([keras.Input((3,)), L.Dense(3)])


@pytest.mark.parametrize(
    ("seed", "ball", "apart"), [(0, False, 0.5), (1, True, 0.05), (2, True, -0.2)]
)
def test_affine_limits_are_called_infeasible_by_a_true_certificate(
    seed: int, ball: bool, apart: float
) -> None:
    rng = np.random.default_rng(seed)
    a, b = rng.standard_normal((3, 3)), rng.standard_normal(3)
    AFFINE.set_weights([a, b])
    x = cp.Variable(3)  # the least violation that bounds at zero have, by another program
    inside = [x >= 0, x <= 1, *([cp.norm(x - 0.5) <= 0.4] if ball else [])]
    least = cp.Problem(cp.Minimize(cp.max(x @ a + b)), inside).solve()
    bound = float(least - apart)
    sets = [cax.Box(0, 1), *([cax.L2Ball(0.4, center=np.full(3, 0.5))] if ball else [])]
    limits = [cax.Output(k) <= bound for k in range(3)]
    result = cax.find_feasible(
        cax.Oracle(AFFINE, xla=False), [*sets, *limits], budget=cax.Budget(evaluations=32), target=0
    )
    assert result.feasible == (apart < 0)
    if apart < 0:
        return
    assert result.status is cax.Status.INFEASIBLE
    assert result.certificate is not None
    assert result.certificate.infeasible
    said = re.findall(r"([\d.e-]+) for Output\((\d)\)", result.message)
    multipliers = np.zeros(3)
    for weight, k in said:
        multipliers[int(k)] = float(weight)
    promised = float(result.message.rsplit(maxsplit=1)[1].rstrip("."))
    assert promised > 0
    sizes = np.array([one[0] for one in result.settings["scales"]["constraints"]])
    weights = multipliers / sizes
    total = cp.Problem(cp.Minimize((x @ a + b - bound) @ weights), inside).solve()
    assert total >= promised - 1e-5
    # By duality, the best multipliers promise the least violation over the sizes.
    least = cp.Problem(cp.Minimize(cp.max(cp.multiply(x @ a + b - bound, 1 / sizes))), inside)
    assert promised >= 0.98 * least.solve() - 5e-4


def test_infeasible_is_proven_where_boxes_are_few() -> None:
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [keras.Input((2,)), L.Dense(8, "relu"), L.Dense(8, "relu"), L.Dense(1)]
    )
    axis = np.linspace(0, 1, 201)
    grid = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    values = np.asarray(model(grid))
    limit = cax.Budget(evaluations=40)
    for beyond in (-1e-3, 0.05):
        bound = float(values.max() + beyond * np.ptp(values))
        allowed = [cax.Box(0, 1), cax.Output(0) >= bound]
        result = cax.maximize(model, cax.Output(0), allowed, seed=0, budget=limit)
        assert ("Infeasible, proven" in result.message) == (beyond > 0)
        assert beyond < 0 or result.status is cax.Status.INFEASIBLE
    # Of a limit of seconds, which a search uses up, a share is the proof's.
    result = cax.maximize(model, cax.Output(0), allowed, seed=0, budget=cax.Budget(seconds=1))
    assert "Infeasible, proven" in result.message
    assert result.seconds < 1 or "box" in result.message


def test_infeasibility_is_proven_by_as_many_boxes_in_any_units() -> None:
    keras.utils.set_random_seed(0)
    network = keras.Sequential(
        [keras.Input((3,)), L.Dense(16, "relu"), L.Dense(16, "relu"), L.Dense(2)]
    )
    axis = np.linspace(0, 1, 21)
    grid = np.stack(np.meshgrid(axis, axis, axis), axis=-1).reshape(-1, 3)
    least = float(np.asarray(network(grid)).min(axis=1).max()) + 0.1
    boxes = []
    for unit in (1.0, 2.0**20):  # powers of two, which change no digit
        sizes = np.array([unit, 1.0, 16.0])
        model = keras.models.clone_model(network)
        first, *others = network.get_weights()
        model.set_weights([first / sizes[:, np.newaxis], *others])
        asked = [
            cax.Box(0, sizes),
            cax.Linear([1.0 / unit, 0.0, 1.0 / 16.0], lower=1.0),
            cax.Output(0) >= least,
            cax.Output(1) >= least,
        ]
        result = cax.find_feasible(model, asked, seed=0, budget=cax.Budget(evaluations=10))
        assert result.certificate is not None
        assert result.certificate.infeasible
        boxes.append(result.certificate.nodes)
    assert boxes[0] == boxes[1] > 1


@pytest.mark.parametrize("inputs", [3, 40])
def test_what_a_linear_bound_shows_takes_no_search(inputs: int) -> None:
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((inputs,)), L.Dense(8, "relu"), L.Dense(2)])
    most = cax.certify(
        cax.Problem(model, cax.Output(0), cax.Box(0, 1)), method="linear-bounds"
    ).dual_bound
    allowed = [cax.Box(0, 1), cax.Output(0) >= most + 0.01, cax.Output(1) <= 10]
    result = cax.find_feasible(model, allowed, seed=0, budget=cax.Budget(evaluations=40))
    assert "Infeasible, proven" in result.message
    assert result.nfev <= 3
    assert result.certificate is not None
    assert result.certificate.infeasible


def test_a_feasible_point_is_what_find_feasible_is_for() -> None:
    for budget in (cax.Budget(evaluations=60), cax.Budget(seconds=0.3)):
        result = cax.find_feasible(MODEL, ALLOWED, seed=0, starts=2, budget=budget)
        assert result.status is cax.Status.FEASIBLE
        assert result.success
        assert kept(result.x)
        assert result.message.startswith("Feasible: ")
    missed = cax.find_feasible(MODEL, ALLOWED, seed=0, budget=cax.Budget(evaluations=60), target=9)
    assert missed.feasible
    assert missed.status in (cax.Status.BUDGET, cax.Status.CONVERGED)  # as of any objective


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 10**6), count=st.integers(1, 3))
def test_what_is_called_feasible_is_feasible_by_hand(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = rng.standard_normal((4, 6)), rng.standard_normal(6)
    v = rng.standard_normal((6, count))

    def outputs(x: np.ndarray) -> np.ndarray:
        return np.asarray(np.maximum(x @ a + b, 0) @ v)

    draws = outputs(rng.uniform(-1, 1, size=(400, 4)))
    bounds = np.quantile(draws, 0.2, axis=0)
    limits = [
        cax.Function(
            lambda x, k=k: outputs(x)[k],
            None,
            float(bounds[k]),
            jacobian=lambda x, k=k: ((x @ a + b > 0) * a) @ v[:, k],
        )
        for k in range(count)
    ]
    oracle = cax.FunctionOracle(lambda x: (float(x.sum()), np.ones(4)), 4)
    result = cax.find_feasible(
        oracle, [cax.Box(-1, 1), *limits], seed=seed, budget=cax.Budget(evaluations=150)
    )
    x = np.asarray(result.x)
    sizes = np.array([one[0] for one in result.settings["scales"]["constraints"]])
    slack = ((bounds - outputs(x)) / sizes).min()
    assert np.abs(x).max() <= 1
    assert result.value == pytest.approx(slack, abs=1e-9)
    assert result.feasible == (slack >= -1e-6)
    some = (draws <= bounds).all(axis=1).any()  # a feasible draw among 400: more is there to find
    assert result.feasible or not some


def test_steps_minimise_their_model() -> None:
    rng = np.random.default_rng(0)
    oracle = cax.FunctionOracle(lambda x: (float(x.sum()), np.ones(6)), 6)
    for sets in ([cax.Box(-1, 1)], [cax.Box(-1, 1), cax.L2Ball(0.8)]):
        form = Problem(oracle, None, sets)
        for rows in (1, 3, 5):
            x = form.set.project(rng.uniform(-1, 1, size=(1, 6)))[0]
            one = Candidate(0, x, rng.standard_normal(rows), rng.standard_normal((rows, 6)))
            one.weight = 0.3
            steps, promised = proximal_steps(form, [one])
            d = cp.Variable(6)
            inside = [cp.abs(x + d) <= 1]
            if len(sets) > 1:
                inside.append(cp.norm(x + d) <= 0.8)
            model = cp.max(one.h + one.slopes @ d) + cp.sum_squares(d) / 0.6
            best = cp.Problem(cp.Minimize(model), inside).solve()
            reached = promised[0] + float(steps[0] @ steps[0]) / 0.6
            possible = one.violation - best  # the least worth an evaluation is far below this
            assert best - 1e-6 <= reached <= best + INEXACT * possible + 1e-6


@pytest.mark.parametrize("seed", range(6))
def test_steps_follow_a_kink_to_its_end(seed: int) -> None:
    # h = steep |u.x| - sum x + 3.9 is convex; along u.x = 0 it falls to -0.1 at the ones.
    rng = np.random.default_rng(seed)
    steep, u = rng.uniform(3, 30), rng.permutation([1.0, -1.0, 1.0, -1.0])
    oracle = cax.FunctionOracle(lambda x: (float(x.sum()), np.ones(4)), 4)
    form = Problem(oracle, None, cax.Box(0, 1))

    def at(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        h = steep * abs(u @ x) - x.sum() + 3.9
        return np.array([h]), (steep * np.sign(u @ x) * u - 1.0)[np.newaxis]

    start = rng.uniform(0.0, 0.5, size=4)
    one = Candidate(0, start, *at(start))
    for _ in range(MOST_STEPS):
        steps, promised = proximal_steps(form, [one])
        if one.violation <= 0 or not one.goes_on(promised[0]):
            break
        x = form.set.project(one.x + steps[0])
        one.moved(x, *at(x), float(promised[0]))
    assert one.violation <= 0


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(-5, 5), min_size=1, max_size=6))
def test_projection_on_the_simplex(y: list[float]) -> None:
    p = on_simplex(np.array([y]))[0]
    assert p.min() >= 0
    assert p.sum() == pytest.approx(1)
    for vertex in np.eye(len(y)):  # the variational inequality, at every vertex
        assert (np.array(y) - p) @ (vertex - p) <= 1e-9


def test_a_vain_search_that_the_clock_ended_says_so() -> None:
    def total(x: np.ndarray) -> tuple[float, np.ndarray]:
        time.sleep(0.01)
        return float(x.sum()), np.ones(2)

    never = {"type": "ineq", "fun": lambda x: -1.0 - float(x @ x)}
    allowed = [cax.Box(0, 1), never]
    limit = cax.Budget(seconds=0.2)
    result = cax.find_feasible(cax.FunctionOracle(total, 2), allowed, seed=0, budget=limit)
    assert "No evaluation within 0." in result.message


@pytest.mark.parametrize("starts", [1, 3])
@pytest.mark.parametrize("budget", [False, True])
def test_a_start_that_dies_draws_again(starts: int, budget: bool) -> None:
    # A peak over 6.4 % of the box: a start and its draws may all lie outside.
    whole = starts * SuccessiveHalving().evaluations
    limit = cax.Budget(evaluations=whole) if budget else None
    for seed in range(5):
        centre = np.random.default_rng(seed).uniform(0.2, 0.8, size=3)

        def peak(x: np.ndarray, centre: np.ndarray = centre) -> tuple[float, np.ndarray]:
            off = x - centre
            far = int(np.argmax(np.abs(off)))
            height = 1.0 - 5.0 * abs(off[far])
            inside = height > 0
            return max(height, 0.0), -5.0 * inside * np.sign(off[far]) * np.eye(3)[far]

        result = cax.maximize(
            cax.FunctionOracle(peak, 3),
            constraints=cax.Box(0, 1),
            method="successive-halving",
            starts=starts,
            seed=seed,
            budget=limit,
        )
        assert result.value > 0.8
        assert 0.75 * whole <= result.nfev <= whole + 2
    nothing = cax.FunctionOracle(lambda x: (0.0, np.zeros(3)), 3)
    result = cax.maximize(
        nothing, constraints=cax.Box(0, 1), method="successive-halving", budget=limit
    )
    assert result.status is cax.Status.ZERO_GRADIENT


def test_what_cannot_be_asked_is_told() -> None:
    bounding_nothing: list[Any] = [[], cax.Box(0, 1), cax.Box(0)]
    for sets in bounding_nothing:
        with pytest.raises(SpecificationError, match=r"find_feasible: constraints bound no output"):
            cax.find_feasible(MODEL, sets)
    with pytest.raises(SpecificationError, match="starts: holds infinity at 5 of its entries"):
        cax.find_feasible(MODEL, ALLOWED, starts=[np.zeros(5), np.full(5, np.inf)])
    with pytest.raises(SpecificationError, match="x0: holds infinity at 1 of its entries"):
        cax.maximize(MODEL, cax.Output(0), ALLOWED, x0=[0, 0, -np.inf, 0, 0])
    with pytest.raises(SpecificationError, match=r"no option 'stars'.*starts"):
        cax.find_feasible(MODEL, ALLOWED, stars=3)
    without = cax.FunctionOracle(lambda x: float(x.sum()), 2, jac=None)
    limit = cax.Function(lambda x: float(x @ x), None, 1.0)
    with pytest.raises(RefusedError, match="needs gradients"):
        cax.find_feasible(without, [cax.Box(0, 1), limit])


@pytest.mark.parametrize("search", [False, True])
def test_whole_numbers_that_keep_no_bound_are_infeasible_by_proof(search: bool) -> None:
    model = keras.Sequential([keras.Input((2,)), L.Dense(4, activation="relu"), L.Dense(1)])
    first = np.array([[1.0, -1.0, 1.0, 0.0], [1.0, 1.0, -1.0, 0.0]])
    last = np.array([[1.0], [1.0], [1.0], [0.0]])
    model.set_weights([first, np.zeros(4), last, np.zeros(1)])
    # c(x) = x0 + x1 + |x0 - x1| = 2 max(x) is even at whole numbers: never between 2.5 and 3.5.
    allowed = [cax.Box(0, 3), cax.Integers(), cax.Between(2.5, cax.Output(0), 3.5)]
    if search:
        result = cax.find_feasible(model, allowed, seed=0)
    else:
        result = cax.maximize(model, cax.Output(0), allowed, seed=0)
    assert result.status is cax.Status.INFEASIBLE
    assert result.message.startswith("Infeasible, proven")


@pytest.mark.parametrize("kept", [True, False])
def test_a_limit_of_seconds_alone_is_spent(monkeypatch: pytest.MonkeyPatch, kept: bool) -> None:
    now = [0.0]
    call, seconds = 0.01, 30.0

    def total(x: np.ndarray) -> tuple[float, np.ndarray]:
        return float(x.sum()), np.ones(2)

    def sine(x: np.ndarray) -> float:
        now[0] += call
        return float(np.sin(9 * x[0]) + np.sin(8 * x[1])) - (1.0 if kept else 3.0)

    clock = SimpleNamespace(perf_counter=lambda: now[0])
    for module in ("tasks.recording", "solving", "feasibility"):
        monkeypatch.setattr(f"constrained_actmax.{module}.time", clock)
    limits = [
        cax.Box(0, 1),
        cax.Function(
            sine, 0, None, jacobian=lambda x: [9 * np.cos(9 * x[0]), 8 * np.cos(8 * x[1])]
        ),
    ]
    oracle, budget = cax.FunctionOracle(total, 2), cax.Budget(seconds=seconds)
    result = cax.find_feasible(oracle, limits, seed=0, budget=budget)
    assert result.feasible is kept
    assert result.nfev > 2 * default_evaluations(2, 1)
    # What comes before the search is in the limit; one round of evaluations may pass it.
    assert 0.99 * seconds <= now[0] <= seconds + 64 * call
    assert result.seconds == pytest.approx(now[0])
