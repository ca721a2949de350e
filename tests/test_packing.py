"""A problem built in another process is the same problem."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sample_models

import constrained_actmax as cax
from constrained_actmax.errors import SpecificationError
from constrained_actmax.packing import packed

BUDGET = cax.Budget(evaluations=20)


def bowl(x: np.ndarray) -> tuple[float, np.ndarray]:
    return -float(x @ x), -2 * x


def distance(x: np.ndarray) -> float:
    return -float(x @ x)


def squares(x: Any) -> Any:
    return -(x**2)


def model_in(kind: str, folder: Path) -> Any:
    if kind == "function":
        return cax.FunctionOracle(bowl, 6)
    if kind == "black box":
        return cax.BlackBoxOracle(distance, 6)
    if kind == "tensorflow":
        return cax.Oracle(squares, -cax.Output(1), input_shape=6, xla=False)
    model = sample_models.dense()
    if kind == "file":
        model.save(folder / "model.keras")
        return folder / "model.keras"
    if kind == "oracle":
        return cax.Oracle(model, cax.Logit("b"), labels=list("abcd"), xla=False)
    return model


@pytest.mark.parametrize("kind", ["function", "black box", "tensorflow", "file", "keras", "oracle"])
def test_a_packed_problem_is_the_same_problem(kind: str, tmp_path: Path) -> None:
    named = {"labels": list("abcd"), "xla": False} if kind in ("file", "keras") else {}
    objective = cax.Logit("b") if named else None
    problem = cax.Problem(model_in(kind, tmp_path), objective, cax.Box(-1, 1), **named)
    copies = [pickle.loads(pickle.dumps(one)) for one in packed([problem, problem], "test")]
    x = np.linspace(-0.5, 0.7, 6)[np.newaxis]
    for one in copies:
        built = one.problem()
        assert str(built) == str(problem)
        here, there = problem.evaluate(x), built.evaluate(x)
        np.testing.assert_allclose(there.f, here.f, rtol=1e-13)
        np.testing.assert_allclose(there.gradient, here.gradient, rtol=1e-12)
    assert copies[0].model.oracle() is copies[0].model.oracle()
    if kind not in ("function", "black box"):
        assert copies[0].model.oracle() is copies[1].model.oracle()


def test_a_problem_on_an_oracle_with_an_objective_and_options_is_swept() -> None:
    problem = cax.Problem(cax.Oracle(squares, -cax.Output(1), input_shape=6), None, cax.Box(1, 2))
    (result,) = cax.sweep([problem], workers=lambda work, tasks: map(work, tasks), budget=BUDGET)
    assert result.value == pytest.approx(cax.solve(problem, seed=0, budget=BUDGET).value)


def test_what_cannot_be_sent_is_named() -> None:
    problem = cax.Problem(cax.FunctionOracle(lambda x: bowl(x), 6), None, cax.Box(0, 1))
    words = "cannot be sent to another process.*not lambdas"
    with pytest.raises(SpecificationError, match=f"^sweep: .*{words}"):
        cax.sweep([problem])
    with pytest.raises(SpecificationError, match=f"^workers: .*{words}"):
        cax.compare(problem, ["spg"], starts=2, budget=BUDGET, workers=2)
