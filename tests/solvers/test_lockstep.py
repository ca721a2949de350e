"""Starts side by side: the same bits as alone, clean ends, no thread left behind."""

from __future__ import annotations

import gc
import threading
import tracemalloc
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sample_models
from sample_problems import bowl, quadratic

import constrained_actmax as cax
from constrained_actmax.rounds import Rounds
from constrained_actmax.solvers.selection import named
from constrained_actmax.tasks.recording import Recording, padded

SIDE_BY_SIDE = ["L-BFGS-B", "SLSQP", "trust-constr", "TNC"]
pytestmark = pytest.mark.timeout(120)


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Any:
    before = set(threading.enumerate())
    yield
    left = [one for one in threading.enumerate() if one not in before and "start" in one.name]
    assert not left


def wavy(n: int, asked: list[int] | None = None) -> cax.Problem:
    """Return a nonconvex problem on which starts take different numbers of steps."""
    a, b = bowl(n)

    def function(x: np.ndarray) -> tuple[float, np.ndarray]:
        if asked is not None:
            asked.append(1)
        value = 0.5 * float(x @ a @ x) - float(b @ x) + float(np.cos(5 * x).sum())
        return value, a @ x - b - 5 * np.sin(5 * x)

    oracle = cax.FunctionOracle(function, n, smooth=True)
    return cax.Problem(oracle, constraints=[cax.Box(-1, 1)], sense="minimize")


@pytest.mark.parametrize("method", SIDE_BY_SIDE)
def test_side_by_side_gives_the_same_bits_as_one_after_another(method: str) -> None:
    problem = wavy(8)
    starts = problem.set.sample(np.random.default_rng(0), 9)
    together = cax.solve(problem, method=method, starts=starts)
    for row, point in enumerate(starts):
        alone = cax.solve(problem, method=method, x0=point)
        np.testing.assert_array_equal(together.starts[row].x, alone.starts[0].x)
        assert together.starts[row].nit == alone.nit
        assert together.starts[row].status == alone.starts[0].status
    assert len({one.nit for one in together.starts}) > 1


@pytest.mark.parametrize("method", ["L-BFGS-B", "SLSQP"])
def test_the_network_gives_the_same_bits_at_the_same_padded_shape(method: str) -> None:
    model = sample_models.convolutional("float32")  # ReLU and MaxPool: a last bit decides a kink
    problem = cax.Problem(model, cax.Logit(1), [cax.Box(0, 1)])
    starts = problem.set.sample(np.random.default_rng(0), 5)
    solver = named(method)
    budget = cax.Budget(evaluations=300)
    together = Recording(problem, 5, budget=budget, reserve=True)
    solver.solve(together, starts)
    assert together.padded_rows == 8
    assert together.calls < 0.5 * together.evaluations
    for row, point in enumerate(starts):
        alone = Recording(problem, 1, padded_rows=8, budget=budget, reserve=True)
        solver.solve(alone, point[None])
        ours = [
            v
            for s, v in zip(together.history.start, together.history.value, strict=True)
            if s == row
        ]
        shorter = min(len(ours), len(alone.history.value))
        assert shorter >= 1
        assert ours[:shorter] == alone.history.value[:shorter]


@pytest.mark.parametrize("ending", ["budget", "callback", "Ctrl-C", "exception", "model"])
def test_whatever_ends_the_call_leaves_no_start_behind(
    ending: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    problem = cax.Problem(cax.examples.load_model(), cax.Logit(7), [cax.Box(0, 1)])
    seen: list[int] = []

    def callback(one: cax.Intermediate) -> bool:
        seen.append(one.start)
        if len(seen) == 15 and ending == "Ctrl-C":
            raise KeyboardInterrupt
        if len(seen) == 15 and ending == "exception":
            raise RuntimeError("the user's own")
        return len(seen) == 15 and ending == "callback"

    settings: dict[str, Any] = {
        "method": "L-BFGS-B",
        "starts": problem.set.sample(np.random.default_rng(0), 10),
        "budget": cax.Budget(evaluations=150),
        "callback": callback,
    }
    cax.solve(problem, **settings | {"callback": None})  # traced, and measured
    native = Path("/proc/self/task")
    before = len(list(native.iterdir())) if native.exists() else 0
    if ending == "exception":
        with pytest.raises(RuntimeError, match="the user's own"):
            cax.solve(problem, **settings)
    elif ending == "model":
        oracle = problem.user_oracle
        ready = dict(oracle._ready)  # type: ignore[attr-defined]
        asked: list[int] = []

        def failing(*arguments: Any) -> Any:
            asked.append(1)
            if len(asked) > 4:
                raise ArithmeticError("the model is gone")
            return ready["jacobian", 16][0](*arguments)

        monkeypatch.setitem(oracle._ready, ("jacobian", 16), (failing, False))  # type: ignore[attr-defined]
        with pytest.raises(ArithmeticError, match="the model is gone"):
            cax.solve(problem, **settings)
    else:
        result = cax.solve(problem, **settings)
        status = cax.Status.BUDGET if ending == "budget" else cax.Status.INTERRUPTED
        assert result.status is status
        assert result.feasible
        assert result.nfev <= 150
    gc.collect()  # pytest's own record of the exception holds frames
    if native.exists():
        assert len(list(native.iterdir())) <= before


def test_one_model_call_a_round() -> None:
    model = cax.examples.load_model()
    problem = cax.Problem(model, cax.LogProbability(7), [cax.Box(0, 1)])
    result = cax.solve(problem, method="L-BFGS-B", starts=8, seed=0)
    longest = max(one.nit for one in result.starts)
    assert result.nfev > 3 * result.calls
    assert result.calls <= 3 * longest + 40


def test_finished_starts_are_replaced_from_the_queue() -> None:
    problem = wavy(4)
    starts = problem.set.sample(np.random.default_rng(0), 150)  # more than sit at a time
    result = cax.solve(problem, method="L-BFGS-B", starts=starts)
    assert len(result.starts) == 150
    assert all(one.status in (cax.Status.CONVERGED, cax.Status.STALLED) for one in result.starts)
    best = min(one.value for one in result.starts)
    assert result.value == best


@pytest.mark.parametrize("method", SIDE_BY_SIDE)
def test_an_exception_ends_all_and_reaches_the_user(method: str) -> None:
    asked: list[int] = []
    a, b = bowl(6)

    def function(x: np.ndarray) -> tuple[float, np.ndarray]:
        asked.append(1)
        if len(asked) == 12:
            raise RuntimeError("the model is gone")
        return 0.5 * float(x @ a @ x) - float(b @ x), a @ x - b

    problem = cax.Problem(
        cax.FunctionOracle(function, 6), constraints=[cax.Box(-1, 1)], sense="minimize"
    )
    with pytest.raises(RuntimeError, match="the model is gone"):
        cax.solve(problem, method=method, starts=5, seed=0)


@pytest.mark.parametrize("method", SIDE_BY_SIDE)
def test_ctrl_c_ends_all_and_keeps_the_best(method: str) -> None:
    asked: list[int] = []
    a, b = bowl(6)

    def function(x: np.ndarray) -> tuple[float, np.ndarray]:
        asked.append(1)
        if len(asked) == 9:
            raise KeyboardInterrupt
        return 0.5 * float(x @ a @ x) - float(b @ x), a @ x - b

    problem = cax.Problem(
        cax.FunctionOracle(function, 6), constraints=[cax.Box(-1, 1)], sense="minimize"
    )
    result = cax.solve(problem, method=method, starts=5, seed=0)
    assert result.status is cax.Status.INTERRUPTED
    assert result.feasible


@pytest.mark.parametrize("method", [*SIDE_BY_SIDE, "spg", "pgd", "pqn"])
def test_a_budget_ends_all_within_it(method: str) -> None:
    result = cax.solve(wavy(8), method=method, starts=6, seed=0, budget=cax.Budget(evaluations=100))
    assert result.nfev <= 100
    assert result.feasible


@pytest.mark.parametrize("method", SIDE_BY_SIDE)
def test_a_nan_in_one_start_ends_that_one_alone(method: str) -> None:
    a, b = bowl(4)

    def function(x: np.ndarray) -> tuple[float, np.ndarray]:
        if x[0] > 0.95:
            return np.nan, np.full(4, np.nan)
        return 0.5 * float(x @ a @ x) - float(b @ x), a @ x - b

    problem = cax.Problem(
        cax.FunctionOracle(function, 4),
        constraints=[cax.Box(-1, [0.9, 1, 1, 1])],
        sense="minimize",
    )
    good = problem.set.sample(np.random.default_rng(0), 3)
    bad = quadratic(4, [cax.Box(-1, 1)])
    assert bad.size == 4
    result = cax.solve(problem, method=method, starts=good)
    assert result.feasible
    assert all(one.feasible for one in result.starts)


def test_the_callback_sees_all_starts_in_order_and_may_stop_them() -> None:
    seen: list[tuple[int, int]] = []

    def stop(one: cax.Intermediate) -> bool:
        seen.append((one.start, one.nit))
        return len(seen) == 7

    result = cax.solve(wavy(6), method="L-BFGS-B", starts=3, seed=0, callback=stop)
    assert result.status is cax.Status.INTERRUPTED
    assert len(seen) == 7
    again: list[tuple[int, int]] = []
    cax.solve(
        wavy(6),
        method="L-BFGS-B",
        starts=3,
        seed=0,
        callback=lambda one: again.append((one.start, one.nit)),
    )
    assert again[:7] == seen


def test_slsqp_counts_the_memory_of_its_live_starts() -> None:
    solver = named("SLSQP")
    small = quadratic(10, [cax.Box(-1, 1)])
    big = cax.Problem(cax.FunctionOracle(lambda x: (0.0, x), 3000), constraints=[cax.Box(-1, 1)])
    assert solver.most_at_once(small) == 64
    assert solver.most_at_once(big) == 3  # 2 GiB over 8.5 * 3000^2 doubles


def test_padded_shapes_are_few_and_bounded() -> None:
    assert [padded(k, 784) for k in (1, 2, 3, 5, 16, 17, 64, 1000)] == [
        1,
        2,
        4,
        8,
        16,
        32,
        64,
        64,
    ]
    assert padded(64, 224 * 224 * 3) == 8
    assert padded(64, 10**9) == 1


def test_many_runs_leave_nothing_behind() -> None:
    problem = wavy(3)
    before = set(threading.enumerate())
    for seed in range(60):
        cax.solve(problem, method="L-BFGS-B", starts=4, seed=seed)
    left = [thread.name for thread in threading.enumerate() if thread not in before]
    assert left in ([], ["progress"])  # one thread writes the log of all runs, and ends after them


@pytest.mark.timeout(20)
def test_an_error_between_a_request_and_its_answer_ends_all() -> None:
    ended: list[int] = []

    def failing() -> None:
        raise ArithmeticError("the clock broke")

    def job(ask: Any) -> None:
        ask("first")

    rounds = Rounds(lambda asked: dict.fromkeys(asked, 0), 3, RuntimeError, expired=failing)
    with pytest.raises(ArithmeticError, match="the clock broke"):
        rounds.run(((key, job) for key in range(3)), lambda key, _: ended.append(key))
    assert not ended


def adding(keys: range, log: list[str], fails: type[BaseException] | None = None) -> list[Any]:
    """Return jobs that ask for numbers until their sum passes 10, and say how they ended."""

    def work(key: int, ask: Any) -> None:
        total = 0
        try:
            while total < 10:
                total += ask(key)
                if fails is not None and key == keys[1] and total > 4:
                    raise fails
        except BaseException as error:
            log.append(f"{key} {type(error).__name__}")
            raise
        log.append(f"{key} {total}")

    return [(key, partial(work, key)) for key in keys]


def test_rounds_inside_a_job_go_on_with_those_outside() -> None:
    log: list[str] = []
    outside: list[list[int]] = []

    def answer(asked: dict[int, Any]) -> dict[int, Any]:
        outside.append(sorted(asked))
        return {key: 2 * sum(asked[key]) for key in asked}

    def outer(key: int, ask: Any) -> None:
        inner = Rounds(lambda asked: dict.fromkeys(asked, ask(list(asked))), 2, RuntimeError)
        inner.run(adding(range(10 * key, 10 * key + 3), log), lambda _, error: None)

    Rounds(answer, 2, RuntimeError).run(
        [(key, partial(outer, key)) for key in (1, 2, 3)], lambda _, error: None
    )
    first, second = ["10 42", "11 42", "12 24"], ["20 82", "21 82", "22 44"]
    assert sorted(log) == [*first, *second, "30 122", "31 122", "32 64"]
    assert outside == [[1, 2], [1, 2], [3], [3]]


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, ArithmeticError])
def test_an_interrupt_inside_a_job_ends_the_others(error: type[BaseException]) -> None:
    log: list[str] = []

    def done(key: int, reason: BaseException | None) -> None:
        if reason is not None:
            raise reason

    rounds = Rounds(lambda asked: dict.fromkeys(asked, 3), 3, RuntimeError)
    with pytest.raises(error):
        rounds.run(adding(range(5), log, error), done)
    assert log == [f"1 {error.__name__}", "0 RuntimeError", "2 RuntimeError"]


def test_a_second_interrupt_while_the_jobs_are_ended_leaves_none_of_them() -> None:
    log: list[str] = []
    dismissed: list[int] = []

    def dismissal() -> BaseException:
        dismissed.append(1)
        if len(dismissed) == 2:
            raise KeyboardInterrupt  # as if it came just now
        return RuntimeError()

    def answer(asked: dict[int, Any]) -> dict[int, Any]:
        raise ArithmeticError

    rounds = Rounds(answer, 3, dismissal)
    with pytest.raises(KeyboardInterrupt):
        rounds.run(adding(range(3), log), lambda _, error: None)
    assert sorted(log) == ["0 RuntimeError", "1 GreenletExit", "2 GreenletExit"]


def test_seconds_end_an_augmented_lagrangian_with_starts_side_by_side() -> None:
    problem = wavy(8)
    solver = cax.AugmentedLagrangian(inner=cax.LBFGSB())
    starts = problem.set.sample(np.random.default_rng(0), 4)
    result = cax.solve(problem, method=solver, starts=starts, budget=cax.Budget(seconds=60))
    assert result.feasible


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_thousand_runs_do_not_grow() -> None:
    """Every ending in turn: converged, budget, exception, NaN, callback, Ctrl-C; and a network."""
    a, b = bowl(5)
    asked = [0]

    def problem(ending: str) -> cax.Problem:
        def function(x: np.ndarray) -> tuple[float, np.ndarray]:
            asked[0] += 1
            if asked[0] == 9:
                if ending == "exception":
                    raise RuntimeError("the model is gone")
                if ending == "Ctrl-C":
                    raise KeyboardInterrupt
                if ending == "NaN":
                    return np.nan, np.full(5, np.nan)
            return 0.5 * float(x @ a @ x) - float(b @ x), a @ x - b

        oracle = cax.FunctionOracle(function, 5)
        return cax.Problem(oracle, constraints=[cax.Box(-1, 1)], sense="minimize")

    network = cax.Problem(cax.examples.load_model(), cax.Logit(7), [cax.Box(0, 1)])
    endings = ["converged", "budget", "exception", "NaN", "callback", "Ctrl-C"]
    before = set(threading.enumerate())

    def run(number: int) -> None:
        ending = endings[number % len(endings)]
        asked[0] = 0
        settings: dict[str, Any] = {"starts": 4, "seed": number}
        if ending == "budget":
            settings["budget"] = cax.Budget(evaluations=18)
        if ending == "callback":
            settings["callback"] = lambda one: one.nit == 2
        method = ["L-BFGS-B", "SLSQP", "TNC", "auto"][number % 4]
        allowed = pytest.raises(RuntimeError) if ending == "exception" else nullcontext()
        with allowed:
            cax.solve(problem(ending), method=method, **settings)
        if number % 4 == 0:
            budget = cax.Budget(evaluations=8)
            cax.solve(network, method="L-BFGS-B", starts=2, seed=number, budget=budget)
        new = set(threading.enumerate()) - before
        assert [thread.name for thread in new] in ([], ["progress"])  # one for all logs

    for number in range(700):
        run(number)
    gc.collect()
    tracemalloc.start()
    try:
        for number in range(300):
            run(number)
        gc.collect()
        held = tracemalloc.get_traced_memory()[0] / 2**20
    finally:
        tracemalloc.stop()
    assert held < 0.5  # MB, with NumPy's arrays; starts of the network alone are 0.9


def test_an_oracle_that_overrides_its_evaluation_is_asked_by_it() -> None:
    class Damped(cax.Oracle):
        asked = 0

        def _evaluate(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            Damped.asked += len(x)
            return super()._evaluate(x)

    problem = cax.Problem(
        Damped(cax.examples.load_model(), cax.Logit(0)), constraints=[cax.Box(0, 1)]
    )
    result = cax.solve(problem, method="L-BFGS-B", starts=16, options={"maxiter": 3})
    assert Damped.asked >= result.nfev
