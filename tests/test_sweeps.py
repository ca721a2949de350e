"""Many problems in one go: the same answers as alone, one compilation, nothing lost."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sample_models

import constrained_actmax as cax
from constrained_actmax.errors import SpecificationError

BUDGET = cax.Budget(evaluations=40)


@pytest.fixture(name="oracle", scope="module")
def _oracle() -> cax.Oracle:
    return cax.Oracle(sample_models.convolutional("float32"))


def near(oracle: cax.Oracle, count: int) -> list[cax.Problem]:
    """Return problems that differ in class, centre and radius."""
    rng = np.random.default_rng(0)
    centers = rng.uniform(size=(count, 8, 8, 2))
    return [
        cax.Problem(
            oracle,
            cax.Margin(k % 3) - 0.1 * cax.SquaredDistance(x),
            [cax.Box(0, 1), cax.L2Ball(0.5 + 0.1 * k, center=x)],
            x0=x,
        )
        for k, x in enumerate(centers)
    ]


def test_a_hundred_problems_compile_once_and_share_their_calls(oracle: cax.Oracle) -> None:
    problems = near(oracle, 100)
    cax.solve_many(problems[:1], budget=BUDGET)
    traces = oracle.traces
    calls = [0]
    import constrained_actmax.oracles.shared as shared

    class Counting(shared.Server):
        def __init__(self, rows: int) -> None:
            super().__init__(rows)
            self.rounds = calls

        def answer(self, requests: dict[int, Any]) -> dict[int, Any]:
            found = super().answer(requests)
            calls[0] = self.calls
            return found

    original, shared.Server = shared.Server, Counting  # type: ignore[misc]
    try:
        results = cax.solve_many(problems, budget=BUDGET)
    finally:
        shared.Server = original  # type: ignore[misc]
    assert oracle.traces == traces
    assert len(results) == 100
    assert all(one.feasible for one in results)
    asked = sum(one.nfev for one in results)
    assert asked > 3000
    assert calls[0] < asked / 20


@pytest.mark.parametrize("method", ["spg", "pgd"])
def test_each_problem_gets_what_it_gets_alone(method: str) -> None:
    oracle = cax.Oracle(sample_models.convolutional("float64"), xla=False)
    problems = near(oracle, 6)
    together = cax.solve_many(problems, method=method, budget=BUDGET)
    for problem, one in zip(problems, together, strict=True):
        alone = cax.solve(problem, method=method, budget=BUDGET)
        assert one.value == pytest.approx(alone.value, rel=1e-9)
        assert one.nfev == alone.nfev
        np.testing.assert_allclose(one.x, alone.x, atol=1e-6)


def test_a_list_of_objectives_gives_a_list_of_results() -> None:
    model = sample_models.dense("relu", dtype="float32")
    results = cax.maximize(model, [cax.Logit(k) for k in range(4)], cax.Box(-1, 1), seed=0)
    assert len(results) == 4
    for k, one in enumerate(results):
        assert one.objective == f"Logit({k})"
        alone = cax.maximize(model, cax.Logit(k), cax.Box(-1, 1), seed=0)
        assert one.value == pytest.approx(alone.value, rel=1e-4)
    down = cax.minimize(model, [cax.Logit(0), cax.Logit(1)], cax.Box(-1, 1), seed=0)
    assert down[0].value < results[0].value
    with pytest.raises(SpecificationError, match="one objective"):
        cax.maximize(model, [cax.Logit(0)], cax.Box(-1, 1), progress=lambda now: None)


def test_one_failure_is_one_entry(oracle: cax.Oracle) -> None:
    problems = near(oracle, 3)
    broken = cax.Problem(
        cax.FunctionOracle(lambda x: 1 / 0, 2, name="broken"), constraints=cax.Box(0, 1)
    )
    results = cax.solve_many([problems[0], broken, problems[1]], budget=BUDGET)
    assert [type(one).__name__ for one in results] == ["Result", "Failure", "Result"]
    assert results[1].error == "ZeroDivisionError"
    assert not results[1].feasible
    refused = cax.solve_many(problems, method="L-BFGS-B")
    assert {one.error for one in refused} == {"RefusedError"}
    assert "use method='spg'" in refused[0].message
    assert str(refused[0]).startswith("FAILED (RefusedError)")


@pytest.mark.timeout(60)
@pytest.mark.parametrize("method", ["COBYQA", "auto"])
def test_solvers_that_hold_a_lock_take_their_turns(method: str) -> None:
    targets = [0.25, -0.5]
    problems = [
        cax.Problem(
            cax.BlackBoxOracle(lambda x, t=t: -float(((x - t) ** 2).sum()), 2),
            constraints=cax.Box(-1, 1),
        )
        for t in targets
    ]
    results = cax.solve_many(problems, method=method, budget=BUDGET)
    for target, one in zip(targets, results, strict=True):
        np.testing.assert_allclose(one.x, target, atol=1e-5)


def test_no_problems_no_results() -> None:
    assert cax.solve_many([]) == []
    with pytest.raises(SpecificationError, match="problems: expected Problems, got 'a'"):
        cax.solve_many(["a"])


def test_sweeps_resume_from_their_folder(tmp_path: Path, oracle: cax.Oracle) -> None:
    problems = near(oracle, 4)
    done: list[int] = []

    def mapped(function: Any, tasks: list[Any]) -> Any:
        for task in tasks:
            done.append(1)
            yield function(task)
            if len(done) == 2:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cax.sweep(problems, workers=mapped, folder=tmp_path, budget=BUDGET)
    assert len(list(tmp_path.iterdir())) == 2
    results = cax.sweep(
        problems,
        workers=lambda function, tasks: map(function, tasks),
        folder=tmp_path,
        budget=BUDGET,
    )
    assert len(results) == 4
    assert len(list(tmp_path.iterdir())) == 4
    for problem, one in zip(problems, results, strict=True):
        alone = cax.solve(problem, budget=BUDGET, seed=0)
        assert one.value == pytest.approx(alone.value, rel=1e-4)
    never = cax.sweep(
        problems, workers=lambda function, tasks: 1 / 0, folder=tmp_path, budget=BUDGET
    )
    assert [one.value for one in never] == [one.value for one in results]
    other = cax.sweep(
        problems[:1],
        workers=lambda function, tasks: map(function, tasks),
        folder=tmp_path,
        budget=cax.Budget(evaluations=5),
    )
    assert other[0].nfev <= 5  # another budget is another task
    assert len(list(tmp_path.iterdir())) == 5


def test_an_executor_is_taken_and_failures_are_entries(tmp_path: Path, oracle: cax.Oracle) -> None:
    problems = near(oracle, 3)
    with ThreadPoolExecutor(1) as executor:
        results = cax.sweep(
            problems, workers=executor, method="L-BFGS-B", folder=tmp_path, budget=BUDGET
        )
    assert [one.error for one in results] == ["RefusedError"] * 3
    stored = json.loads(next(tmp_path.glob("*/failure.json")).read_text())
    assert stored[1] == "RefusedError"


def test_what_cannot_be_sent_is_told(oracle: cax.Oracle) -> None:
    problem = cax.Problem(
        oracle, cax.Custom(lambda inputs, outputs, layers: outputs[:, 0]), cax.Box(0, 1)
    )
    with pytest.raises(SpecificationError, match="cannot be sent to another process"):
        cax.sweep([problem])
    with pytest.raises(SpecificationError, match="workers: must be >= 1, got 0"):
        cax.sweep(near(oracle, 1), workers=0)
    with pytest.raises(SpecificationError, match="map-like function or a Dask client, got str"):
        cax.sweep(near(oracle, 1), workers="many")


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_spawned_processes_survive_the_death_of_one(tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    sample_models.convolutional("float32").save(path)
    problems = near(cax.Oracle(path), 4)
    results = cax.sweep(problems, workers=2, folder=tmp_path / "runs", budget=BUDGET)
    assert all(one.feasible for one in results)
    here = [cax.solve(problem, budget=BUDGET, seed=0) for problem in problems]
    for one, two in zip(results, here, strict=True):
        assert one.value == pytest.approx(two.value, rel=1e-4)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_dask_cluster_loses_a_worker_and_nothing_else(tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed")
    import os
    import signal
    import threading

    path = tmp_path / "model.keras"
    sample_models.convolutional("float32").save(path)
    problems = near(cax.Oracle(path), 8)
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        folder = tmp_path / "runs"

        def kill_one() -> None:
            while len(list(folder.glob("[!.]*"))) < 2:
                pass
            victim = next(iter(client.run(os.getpid).values()))
            os.kill(victim, signal.SIGKILL)

        folder.mkdir()
        killer = threading.Thread(target=kill_one)
        killer.start()
        results = cax.sweep(problems, workers=client, folder=folder, budget=BUDGET)
        killer.join()
    assert len(results) == 8
    assert all(one.feasible for one in results)
    assert len(list(folder.iterdir())) == 8
    here = [cax.solve(problem, budget=BUDGET, seed=0) for problem in problems]
    for one, two in zip(results, here, strict=True):
        assert one.value == pytest.approx(two.value, rel=1e-4)


UNGUARDED = """
import constrained_actmax as cax

def bowl(x):
    return -float(x @ x), -2 * x

problem = cax.Problem(cax.FunctionOracle(bowl, 3), constraints=cax.Box(1, 2))
cax.sweep([problem], workers=1)
"""


@pytest.mark.slow
def test_a_script_without_a_guard_is_told_of_it(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(UNGUARDED, encoding="utf-8")
    ended = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 1
    assert "must call sweep under if __name__ == '__main__'" in ended.stderr.splitlines()[-1]
