"""Callbacks of SciPy's users: what each signature gets, and what ends a run."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.optimize

import constrained_actmax as cax
from constrained_actmax.errors import SpecificationError

START = np.array([-1.2, 1.0])


def rosenbrock() -> cax.FunctionOracle:
    return cax.FunctionOracle(
        lambda x: (scipy.optimize.rosen(x), scipy.optimize.rosen_der(x)), 2, smooth=True
    )


def solved(callback: Any, **settings: Any) -> cax.Result:
    return cax.minimize(rosenbrock(), None, cax.Box(-2, 2), x0=START, callback=callback, **settings)


@pytest.mark.parametrize("word", [True, np.True_, np.bool_(True)])
def test_true_ends_the_run(word: Any) -> None:
    result = solved(lambda intermediate_result: word)
    assert result.status is cax.Status.INTERRUPTED
    assert result.nit == 1


@pytest.mark.parametrize("word", [None, False, np.False_, 1, "go on", np.array([True])])
def test_nothing_else_does(word: Any) -> None:
    assert solved(lambda intermediate_result: word).status is cax.Status.CONVERGED


def test_stop_iteration_ends_the_run() -> None:
    def stop(xk: np.ndarray) -> None:
        raise StopIteration

    assert solved(stop).status is cax.Status.INTERRUPTED


def test_each_signature_gets_what_scipy_gives_it() -> None:
    heard: dict[str, list[Any]] = {name: [] for name in ("state", "keyword", "x", "xk", "both")}

    def keyword(*, intermediate_result: Any) -> None:
        heard["keyword"].append(intermediate_result)

    def both(xk: np.ndarray, state: Any, more: int = 0) -> None:
        heard["both"].append((xk, state))

    solved(lambda intermediate_result: heard["state"].append(intermediate_result))
    solved(keyword)
    solved(lambda x: heard["x"].append(x))
    solved(lambda xk: heard["xk"].append(xk))
    solved(both)
    points = [one.x for one in heard["state"]]
    assert len(points) > 3
    for others in (
        [one.x for one in heard["keyword"]],
        heard["x"],
        heard["xk"],
        [x for x, _ in heard["both"]],
        [state.x for _, state in heard["both"]],
    ):
        np.testing.assert_array_equal(points, others)
    assert heard["state"][-1].fun == pytest.approx(scipy.optimize.rosen(points[-1]))


@pytest.mark.parametrize(
    "wrong", [lambda: None, lambda *, x: None, lambda a, b, c: None, 3, True, "print"]
)
def test_other_signatures_are_named_before_any_work(wrong: Any) -> None:
    oracle = rosenbrock()
    with pytest.raises(SpecificationError, match="callback: "):
        cax.minimize(oracle, None, cax.Box(-2, 2), x0=START, callback=wrong)
    with pytest.raises(SpecificationError, match="callback: "):
        cax.solve_many([cax.Problem(oracle, None, cax.Box(-2, 2))], callback=wrong)
    assert oracle.evaluations == 0


def problems() -> list[cax.Problem]:
    sets = [cax.Box(-2, upper) for upper in (2.0, 0.5, 0.1)]
    return [cax.Problem(rosenbrock(), None, one, sense="minimize", x0=[-1.2, -0.5]) for one in sets]


def test_several_problems_say_which() -> None:
    heard: dict[int, int] = {}

    def count(intermediate_result: cax.Intermediate) -> bool:
        number = intermediate_result.problem
        heard[number] = heard.get(number, 0) + 1
        return number == 1

    results = cax.solve_many(problems(), callback=count)
    assert set(heard) == {0, 1, 2}
    assert [one.status is cax.Status.INTERRUPTED for one in results] == [False, True, False]
    assert heard[1] == 1


def stop_the_second(intermediate_result: cax.Intermediate) -> bool:
    return intermediate_result.problem == 1


def test_a_sweep_calls_it_where_the_problem_is_solved(tmp_path: Any) -> None:
    quick = [
        cax.Problem(cax.FunctionOracle(bowl, 2, smooth=True), None, one, x0=[0.4, 0.3])
        for one in (cax.Box(-1, 1), cax.Box(-1, 0.5))
    ]
    results = cax.sweep(quick, workers=map, method="spg", callback=stop_the_second, folder=tmp_path)
    assert [one.status is cax.Status.INTERRUPTED for one in results] == [False, True]
    again = cax.sweep(quick, workers=map, method="spg", folder=tmp_path)  # nothing is solved twice
    assert [one.status for one in again] == [one.status for one in results]


def bowl(x: np.ndarray) -> tuple[float, np.ndarray]:
    return float(np.sum(np.cos(x))), -np.sin(x)
