"""Every task against the law, and a solver written against the contract alone."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import scipy.optimize
from sample_problems import bowl

import constrained_actmax as cax
from constrained_actmax import tasks
from constrained_actmax.conformance import check_task
from constrained_actmax.tasks import (
    LockStep,
    OneStart,
    Penalised,
    Recording,
    Split,
    Stopped,
    Task,
    Wrapper,
    in_split_variables,
)
from constrained_actmax.tasks.extended import Extended
from constrained_actmax.tasks.over_set import Over
from constrained_actmax.tasks.reserved import Limited, Reserved, UntilBetter
from constrained_actmax.tasks.timed import Timed

DOCS = Path(__file__).parents[2] / "docs"
BUDGET = cax.Budget(evaluations=400, seconds=600.0)


def smooth_network(dtype: str = "float64") -> Any:
    keras.utils.set_random_seed(3)
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(6, activation="tanh", dtype=dtype),
            layers.Dense(2, dtype=dtype),
        ]
    )


def quadratic(limit: float = 4.0) -> cax.Problem:
    """Return a quadratic in unlike units under a bound on a function."""
    a, b = bowl(3)
    oracle = cax.FunctionOracle(
        lambda x: (0.5 * float(x @ a @ x) - float(b @ x), a @ x - b), 3, smooth=True
    )
    total = cax.Function(
        lambda x: float(x @ x), None, limit, jacobian=lambda x: 2.0 * x, name="squares"
    )
    box = cax.Box([-1.0, -0.2, -0.04], [1.0, 0.2, 0.04])
    return cax.Problem(oracle, constraints=[box, total], sense="minimize")


def nearest() -> cax.Problem:
    """Return a nearest point in L1 under a limit on a network."""
    center = np.array([0.2, -0.3, 0.4, 0.1])
    return cax.Problem(
        smooth_network(),
        cax.Norm(1, center=center),
        [cax.Box(-1, 1), cax.Output(0) <= 50.0],
        sense="minimize",
        precision="float64",
        xla=False,
    )


def output(dtype: str, sense: Any) -> cax.Problem:
    return cax.Problem(
        smooth_network(dtype),
        cax.Output(1),
        [cax.Box(-1, 1), cax.L1Ball(2.0), cax.Output(0) <= 50.0],
        sense=sense,
        xla=False,
    )


PROBLEMS = {
    "quadratic": quadratic,
    "nearest in L1": nearest,
    "float64 network": lambda: output("float64", "maximize"),
    "float32 network": lambda: output("float32", "minimize"),
}


def inside(problem: cax.Problem, count: int = 3) -> np.ndarray:
    """Return points strictly inside C, in the user's units, that keep the limits too."""
    points = problem.set.sample(np.random.default_rng(0), count)
    return np.asarray(0.9 * problem.set.project(0.2 * points) + 0.01)


@pytest.mark.parametrize("name", PROBLEMS)
@pytest.mark.parametrize("scaled", [False, True])
def test_a_recorded_problem(name: str, scaled: bool) -> None:
    problem = PROBLEMS[name]()
    own = problem.scaled if scaled else problem
    task, points = Recording(own, 2, budget=BUDGET), inside(problem)
    check_task(task, own.point(points), problem=problem, start=1)
    f = problem.evaluate(points[:1]).f[0]
    assert task.history.value[0] == pytest.approx(problem.sign * f, rel=1e-6)


@pytest.mark.parametrize("scaled", [False, True])
def test_split_variables(scaled: bool) -> None:
    problem = nearest()
    own = problem.scaled if scaled else problem
    task, y = in_split_variables(Recording(own, 1, budget=BUDGET), own.point(inside(problem)))
    assert task.size == 2 * problem.size
    check_task(task, y, problem=problem)


@pytest.mark.parametrize("name", ["quadratic", "float64 network", "nearest in L1"])
def test_the_augmented_lagrangians_function(name: str) -> None:
    problem = PROBLEMS[name]()
    task = Penalised(Recording(problem.scaled, 1, budget=BUDGET), np.array([0, 0]))
    task.penalty[:] = 3.0
    check_task(task, problem.scaled.point(inside(problem)), problem=problem, start=1)


def test_the_augmented_lagrangian_by_hand_outside() -> None:
    problem = quadratic(limit=0.5)
    task = Penalised(Recording(problem, 1), np.array([0]))
    task.penalty[0], task.multipliers[0] = 3.0, 0.25
    x = np.array([[0.9, -0.2, 0.03]])
    found, there = task.evaluate(x, [0]), problem.evaluate(x)
    # L = f + rho / 2 (c + lambda / rho - u)^2, where that is above its bound.
    w = float(x[0] @ x[0]) + 0.25 / 3.0 - 0.5
    assert found.f[0] == pytest.approx(there.f[0] + 1.5 * w**2, rel=1e-14)
    np.testing.assert_allclose(found.gradient, there.gradient + 3.0 * w * 2.0 * x, rtol=1e-14)


@pytest.mark.parametrize("name", PROBLEMS)
def test_one_start_in_lock_step(name: str) -> None:
    problem = PROBLEMS[name]()
    whole = Recording(problem.scaled, 1, budget=BUDGET)
    points, seen = problem.scaled.point(inside(problem)), []

    def work(task: Task, start: int, x0: np.ndarray) -> None:
        check_task(task, points, problem=problem, start=start)
        seen.append(start)

    LockStep(work, whole, 1).solve(points[:1], np.array([0]))
    assert seen == [0]
    assert whole.ended[0].detail == "first"


@pytest.mark.parametrize("name", PROBLEMS)
@pytest.mark.parametrize(
    "wrap",
    [
        Extended,
        lambda task: Reserved(task, 30),
        Timed,
        lambda task: UntilBetter(task, 30, 0, {0: None}),
    ],
)
def test_tasks_in_the_same_variables(name: str, wrap: Any) -> None:
    problem = PROBLEMS[name]()
    task, x = Recording(problem.scaled, 1, budget=BUDGET), problem.scaled.point(inside(problem))
    check_task(wrap(task), x, problem=problem)
    if problem.l1_split is not None:  # a wrapper of a wrapper
        split, y = in_split_variables(Recording(problem.scaled, 1, budget=BUDGET), x)
        check_task(wrap(split), y, problem=problem)
        assert split.ended[0].x.shape == (problem.size,)


def test_less_is_left_until_a_point_is_better() -> None:
    far = cax.Function(lambda x: float(x[0]), 0.5, None, jacobian=lambda x: np.eye(3)[0])
    oracle = cax.FunctionOracle(lambda x: (float(x.sum()), np.ones(3)), 3)
    problem = cax.Problem(oracle, None, [cax.Box(0, 1), far])
    run = Recording(problem, 2, budget=BUDGET)
    task = UntilBetter(run, 30, 300, {0: None, 1: None})
    assert task.remaining == 370
    task.evaluate(np.array([[0.1, 0.2, 0.3]]), [0])
    with pytest.raises(Stopped):  # it may take 99 more
        task.evaluate(np.zeros((100, 3)), [0] * 100)
    assert run.evaluations == 1
    task.evaluate(np.array([[0.9, 0.2, 0.3]]), [1])
    assert task.remaining == 400 - 2 - 30
    task.evaluate(np.zeros((100, 3)), [0] * 100)
    assert run.evaluations == 102


@pytest.mark.parametrize("most", [None, 300])
def test_the_hull_of_a_discrete_set(most: int | None) -> None:
    problem = quadratic()
    levels = cax.Levels([0], [-1.0, 0.0, 1.0])
    discrete = cax.Problem(
        problem.recipe["model"],
        constraints=[*problem.recipe["constraints"], levels],
        sense="minimize",
    )
    own = discrete.scaled
    task = Over(Recording(own, 2, budget=BUDGET), own.set.hull, np.array([0, 1]), most)
    check_task(task, own.point(inside(problem)), problem=problem, start=1)


def test_every_task_is_held_to_the_law() -> None:
    checked = {Recording, Split, Penalised, OneStart, Extended, Reserved, UntilBetter, Timed}
    checked |= {Over}
    found = {
        value
        for path in Path(tasks.__file__).parent.glob("*.py")
        for value in vars(importlib.import_module(f"constrained_actmax.tasks.{path.stem}")).values()
        if isinstance(value, type) and issubclass(value, Task)
    }
    assert found - {Task, Wrapper, Limited} == checked


def test_work_is_charged_to_the_share_of_a_start() -> None:
    run = Recording(quadratic(), 2, budget=cax.Budget(evaluations=100))
    run.charge(20)
    assert run.share(2) == 40
    with pytest.raises(Stopped):
        run.charge(41)
    assert run.evaluations == 0  # no evaluation


def test_seconds_are_kept_by_every_wrapper() -> None:
    run = Recording(nearest(), 1, budget=cax.Budget(seconds=1e-9))
    task, y = in_split_variables(run, np.zeros((1, 4)))
    for one, x in ((task, y), (Penalised(run, np.array([0])), np.zeros((1, 4)))):
        assert one.seconds_left == 0.0
        assert one.out_of_time
        with pytest.raises(Stopped):
            one.evaluate(x, [0])
    assert Recording(nearest(), 1).seconds_left is None


# -- a solver of one's own -----------------------------------------------------------------------


def own_solver(**options: Any) -> Any:
    spec = importlib.util.spec_from_file_location("own", DOCS / "tutorials" / "falling_steps.py")
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules["own"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.FallingSteps(**options)


@pytest.mark.parametrize("starts", [1, 16])
@pytest.mark.parametrize("units", [1.0, 1e3])
def test_the_tutorials_solver(starts: int, units: float) -> None:
    target = units * np.array([0.3, 0.6])
    oracle = cax.FunctionOracle(
        lambda x: (float((x - target) @ (x - target)), 2.0 * (x - target)), 2, smooth=True
    )
    problem = cax.Problem(oracle, constraints=cax.Box(0, units), sense="minimize")
    method = own_solver(first_step_size=0.3, max_iterations=300)
    result = cax.solve(problem, method=method, starts=starts, seed=0)
    np.testing.assert_allclose(result.x, target, atol=0.02 * units)
    assert len(result.starts) == starts


@pytest.mark.parametrize("starts", [1, 16])
def test_the_tutorials_solver_as_inner_one(starts: int) -> None:
    method = cax.AugmentedLagrangian(inner=own_solver(first_step_size=0.3, max_iterations=100))
    result = cax.solve(quadratic(0.5), method=method, starts=starts, seed=0)
    reference = scipy.optimize.minimize(
        lambda x: float(quadratic().evaluate(x[np.newaxis]).f[0]),
        np.zeros(3),
        method="SLSQP",
        constraints={"type": "ineq", "fun": lambda x: 0.5 - x @ x},
        bounds=[(-1, 1), (-0.2, 0.2), (-0.04, 0.04)],
    )
    assert result.feasible
    assert result.fun == pytest.approx(reference.fun, abs=0.05)


@pytest.mark.parametrize("starts", [1, 16])
def test_the_tutorials_solver_for_the_nearest_point_in_l1(starts: int) -> None:
    center = np.array([0.2, -0.3, 0.4, 0.1])
    floor = float(smooth_network()(center[np.newaxis]).numpy()[0, 0]) + 0.2
    problem = cax.Problem(
        smooth_network(),
        cax.Norm(1, center=center),
        [cax.Box(-1, 1), cax.Output(0) >= floor],
        sense="minimize",
        precision="float64",
        xla=False,
        x0=center,
    )
    method = cax.AugmentedLagrangian(inner=own_solver(first_step_size=0.3, max_iterations=100))
    result = cax.solve(problem, method=method, starts=starts, seed=0)
    best = cax.solve(problem, method="SLSQP", starts=starts, seed=0)
    assert result.feasible
    assert result.fun <= 1.1 * best.fun


def roughness() -> cax.Problem:
    """Return a smooth function of a picture under a bound on its total variation."""
    oracle = cax.FunctionOracle(lambda x: (float(x.ravel() @ x.ravel()), 2.0 * x), (4, 4))
    return cax.Problem(oracle, constraints=[cax.Box(0, 1), cax.TotalVariationBall(2.0)])


def test_a_projector_keeps_the_warm_starts_of_its_rows_apart() -> None:
    bound = tasks.Recording(roughness(), 1).set
    assert bound.accuracy > 1e-8  # iterative
    rng = np.random.default_rng(4)
    first, second = rng.uniform(-1.0, 2.0, (2, 3, 16))
    together, alone, other = (tasks.Projector(bound, 1e-4) for _ in range(3))
    accurate = tasks.Projector(bound)
    for one, two in zip(first, second, strict=True):
        mixed = together(np.stack([two, one]), [5, 2])
        np.testing.assert_array_equal(mixed, np.stack([other(two), alone(one)]))
        assert (bound.relative_violation(mixed) <= bound.tolerance).all()
        np.testing.assert_allclose(mixed, accurate(np.stack([two, one])), atol=1e-2)
    assert not np.array_equal(together(first[2], [2]), tasks.Projector(bound, 1e-4)(first[2]))
