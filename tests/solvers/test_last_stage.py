"""Where a search's last stage stays away, and how much it takes."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

import constrained_actmax as cax
from constrained_actmax import kinks
from constrained_actmax.certificates.branching import Search
from constrained_actmax.evaluation import Evaluation
from constrained_actmax.oracles.oracle import Oracle
from constrained_actmax.tasks.recording import Recording


def dense(n: int) -> keras.Model:
    keras.utils.set_random_seed(0)
    layers = keras.layers
    return keras.Sequential(
        [keras.Input((n,)), layers.Dense(20, activation="relu"), layers.Dense(1)]
    )


def test_the_structure_of_a_network_of_many_inputs_is_never_built(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = []
    built = Oracle.structure

    def structure(self: Oracle) -> object:
        asked.append(self.size)
        return built(self)

    monkeypatch.setattr(Oracle, "structure", structure)
    for n, count in ((5000, 0), (6, 1)):
        asked.clear()
        for constraints in ([], [cax.Output(0) <= 0.5]):
            model, x0 = dense(n), np.full(n, 0.5)
            budget = cax.Budget(evaluations=20)
            cax.maximize(model, cax.Output(0), [cax.Box(0, 1), *constraints], x0=x0, budget=budget)
        assert (len(asked) > 0) is bool(count)


def test_the_last_stage_takes_the_place_of_the_shortest_steps_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    evaluated, points = Recording._evaluate, []

    def evaluate(self: Recording, x: np.ndarray, *asked: Any) -> Evaluation:
        points.extend(x)
        return evaluated(self, x, *asked)

    monkeypatch.setattr(Recording, "_evaluate", evaluate)
    problem = cax.Problem(dense(20), cax.Output(0), [cax.Box(-1, 1), cax.L2Ball(3.0)])
    given: Any = {"x0": np.full(20, 0.2), "seed": 0, "budget": cax.Budget(evaluations=600)}
    alone = cax.solve(problem, method="successive-halving", **given)
    before = np.array(points)
    points.clear()
    both = cax.solve(problem, **given)
    # 50 evaluations are kept and one for 20 units; the search's last rounds have several points.
    assert np.array_equal(np.array(points[:546]), before[:546])
    assert alone.status is cax.Status.BUDGET
    assert both.status is cax.Status.CONVERGED
    assert both.value > alone.value
    # What it leaves is searched with.
    assert both.nfev > 600 - 20


@pytest.mark.parametrize(("seed", "evaluations"), [(0, 3000), (0, 5000), (8, 4000), (8, 700)])
def test_further_searches_take_no_success_away(seed: int, evaluations: int) -> None:
    # A last point that is off the best one by a float32's rounding is evaluated once more.
    keras.utils.set_random_seed(seed)
    layers = keras.layers
    hidden = layers.Dense(20, activation="relu", bias_initializer="random_normal")
    model = keras.Sequential([keras.Input((20,)), hidden, layers.Dense(2)])
    problem = cax.Problem(model, cax.Output(0), [cax.Box(-1, 1), cax.L2Ball(3.0)])
    result = cax.solve(problem, seed=0, budget=cax.Budget(evaluations=evaluations))
    assert result.status is cax.Status.CONVERGED
    assert evaluations - 20 < result.nfev <= evaluations


@pytest.mark.parametrize("budget", [cax.Budget(evaluations=600), cax.Budget(seconds=0.5)])
@pytest.mark.parametrize("starts", [1, 3])
def test_a_plateau_is_not_called_a_local_maximum(budget: cax.Budget, starts: int) -> None:
    # Each unit bends where its weights times x exceed 2.5, which hardly any point of the ball does.
    model = dense(20)
    hidden = model.layers[0]
    weights = hidden.get_weights()[0]
    hidden.set_weights([weights, np.full(20, -2.5)])
    problem = cax.Problem(model, cax.Output(0), [cax.Box(-1, 1), cax.L2Ball(3.0)])
    result = cax.solve(problem, starts=starts, seed=1, budget=budget)
    values = np.maximum(result.x @ weights - 2.5, 0.0)
    assert result.status is cax.Status.ZERO_GRADIENT or values.any()
    assert result.success is (result.status is cax.Status.CONVERGED)
    assert not result.success or values.any()


def test_units_after_others_are_counted_apart() -> None:
    keras.utils.set_random_seed(0)
    layers = [keras.layers.Dense(units, activation="relu") for units in (20, 30, 40)]
    model = keras.Sequential([keras.Input((5,)), *layers, keras.layers.Dense(1)])
    problem = cax.Problem(model, cax.Output(0), cax.Box(-1, 1))
    assert kinks.units(problem) == 90
    assert kinks.later_units(problem) == 70


@pytest.mark.parametrize(("seconds", "ends"), [(5, True), (1, False)])
def test_no_seconds_are_kept_for_a_last_stage_that_would_not_end_in_them(
    monkeypatch: pytest.MonkeyPatch, seconds: int, ends: bool
) -> None:
    # By a clock of its own: an evaluation takes 0.01 s and a pass half of that, so the 52 that the
    # last stage of this network is likely to take are more than a fifth of 1 s, not of 5.
    clock, kept = [0.0], []
    evaluated, walked = Recording._evaluate, cax.ActiveSignature._run_row

    def evaluate(self: Recording, *asked: Any) -> Evaluation:
        clock[0] += 0.01
        return evaluated(self, *asked)

    def walk(self: cax.ActiveSignature, *asked: Any) -> None:
        kept.append(seconds - clock[0])
        walked(self, *asked)

    monkeypatch.setattr(Recording, "seconds", property(lambda self: clock[0]))
    monkeypatch.setattr(Recording, "_evaluate", evaluate)
    monkeypatch.setattr(cax.ActiveSignature, "_run_row", walk)
    problem = cax.Problem(dense(20), cax.Output(0), [cax.Box(-1, 1), cax.L2Ball(3.0)])
    budget = cax.Budget(seconds=seconds)
    result = cax.solve(problem, x0=np.full(20, 0.2), seed=0, budget=budget)
    assert kept[0] == pytest.approx(0.2 * seconds if ends else 0.0, abs=0.05 * seconds)
    assert result.success is ends


def test_a_start_that_takes_too_many_passes_stalls_and_says_so() -> None:
    problem = cax.Problem(dense(6), cax.Output(0), cax.Box(-1, 1))
    method = cax.ActiveSignature(passes=12)
    result = cax.solve(problem, x0=np.full(6, 0.2), method=method)
    assert result.status is cax.Status.STALLED
    assert "12 passes were not enough" in result.message
    assert result.feasible


def test_a_search_follows_a_proof_whose_share_of_the_time_is_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # By a clock of its own: an evaluation takes 0.01 s of 10, the proof's first boxes all its 2 s.
    clock, after = [0.0], []
    evaluated, stepped = Recording._evaluate, Search.step

    def evaluate(self: Recording, *asked: Any) -> Evaluation:
        clock[0] += 0.01
        after.append(clock[0])
        return evaluated(self, *asked)

    def step(self: Search, count: int) -> None:
        clock[0] = max(clock[0], 2.5)
        stepped(self, count)

    monkeypatch.setattr(Recording, "seconds", property(lambda self: clock[0]))
    monkeypatch.setattr(Recording, "_evaluate", evaluate)
    monkeypatch.setattr(Search, "step", step)
    problem = cax.Problem(dense(6), cax.Output(0), cax.Box(-1, 1))
    x0 = np.full(6, 0.2)
    result = cax.solve(problem, x0=x0, method=cax.SearchAndFinish(), budget=cax.Budget(seconds=10))
    assert sum(seconds > 2.5 for seconds in after) >= 100
    assert max(after) >= 9.0
    assert result.success
