"""Mixed-integer programs: they are exact, and HiGHS's word is taken only where it is one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import highspy
import numpy as np
import pytest
from sample_models import L, keras, shaken

import constrained_actmax as cax
from constrained_actmax.certificates.branching import Search
from constrained_actmax.certificates.mixed_integer import (
    MixedIntegerProgram,
    mixed_integer_programs,
)
from constrained_actmax.certificates.programs import cases_of, linear_programs
from constrained_actmax.kernels.row_program import dual_bound

D = "float64"
CENTER = [0.2, -0.1, 0.3, 0.0]
SETS: dict[str, list[Any]] = {
    "box": [cax.Box(-1, 1)],
    "rows": [cax.Box(-1, 1), cax.Linear([[1, 1, 1, 1], [1, -2, 0, 1]], -0.5, 0.5)],
    # Split variables: the program's value is without the constant of the centre.
    "an l1 ball round a point": [cax.Box(-1, 1), cax.L1Ball(0.9, center=CENTER)],
    "an l2 ball round a point": [cax.Box(-1, 1), cax.L2Ball(0.6, center=CENTER)],
}
Status = highspy.HighsModelStatus


@pytest.fixture(scope="module")
def oracle() -> cax.Oracle:
    layers = [keras.Input((4,), dtype=D), L.Dense(6, "relu", dtype=D)]
    layers += [L.Dense(6, dtype=D), L.LeakyReLU(0.2, dtype=D), L.Dense(2, dtype=D)]
    return cax.Oracle(shaken(keras.Sequential(layers), 1), cax.Output(0))


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("sense", ["minimize", pytest.param("maximize", marks=pytest.mark.slow)])
def test_every_rung_is_lower_and_the_last_is_the_maximum(
    name: str, sense: Any, oracle: cax.Oracle
) -> None:
    problem = cax.Problem(oracle, None, SETS[name], sense=sense)
    rungs: list[cax.Certificate] = []
    found = cax.certify(problem, method="mixed-integer", rtol=0.0, callback=rungs.append)
    bounds = [problem.sign * one.dual_bound for one in rungs]
    assert bounds == sorted(bounds)
    assert found.method == "mixed-integer program"
    assert (found.rigour, found.doubts) == (
        "solver",
        ("the bound is HiGHS's, within its tolerances",),
    )
    assert str(found).endswith("solver.")
    exact = cax.certify(problem, method="branch-and-bound", rtol=1e-3)
    # Outer cuts of a curved set leave some of what is outside.
    slack = 0.05 if "l2" in name else 1e-6
    assert problem.sign * (found.dual_bound - exact.best_value) <= 1e-6
    assert abs(found.dual_bound - exact.dual_bound) <= (1e-3 + slack) * problem.scales.range


@pytest.mark.parametrize(("ball", "unit"), [(False, 2.0**-40), (True, 2.0**20)])
def test_other_units_give_the_same_programs(ball: bool, unit: float, oracle: cax.Oracle) -> None:
    found: list[list[float]] = []
    for u in (1.0, unit):  # of the inputs, and one over it of the output
        model = keras.models.clone_model(oracle.model)
        first, *others, kernel, bias = oracle.model.get_weights()
        model.set_weights([first / u, *others, kernel / u, bias / u])
        rows = cax.Linear(np.array([[1, 1, 1, 1], [1, -2, 0, 1]]), -0.5 * u, 0.5 * u)
        center = u * np.array(CENTER)
        sets = [cax.Box(-u, u), cax.L2Ball(0.6 * u, center=center) if ball else rows]
        problem = cax.Problem(model, cax.Output(0), sets, x0=center if ball else None)
        rungs: list[cax.Certificate] = []
        cax.certify(problem, method="mixed-integer", rtol=0.0, callback=rungs.append)
        found.append([u * one.dual_bound for one in rungs])
        assert found[-1][0] > found[-1][1] > found[-1][2]
    np.testing.assert_allclose(found[1][1:], found[0][1:], rtol=1e-6)


def searched(oracle: cax.Oracle) -> tuple[Search, Any, np.ndarray]:
    search = Search(cax.Problem(oracle, None, SETS["box"]), rtol=0.0)
    search.begin(np.zeros((0, 4)))
    search.step(1)
    cases = cases_of(search)
    return search, cases, linear_programs(search, cases)


def test_only_units_of_the_last_layer_that_gain_get_a_binary(oracle: cax.Oracle) -> None:
    for sense in ("maximize", "minimize"):
        search = Search(cax.Problem(oracle, None, SETS["box"], sense=sense), rtol=0.0)
        search.step(1)
        (case,) = cases_of(search)
        first, last = MixedIntegerProgram(search, case, None).kinks
        np.testing.assert_array_equal(first[0], case.bent[0])
        weights = case.bounds.part.pull(np.ones((1, 1)))[0][1][0]
        gain = case.bent[1][search.sign * weights[case.bent[1]] > 0.0]
        np.testing.assert_array_equal(last[0], gain)


@dataclass
class Told:
    """A HiGHS that ended in some way."""

    status: Any
    mip_dual_bound: float

    def getModelStatus(self) -> Any:  # noqa: N802
        return self.status

    def getInfo(self) -> Told:  # noqa: N802
        return self


@pytest.mark.parametrize(
    ("status", "bound", "taken"),
    [
        (Status.kOptimal, 1.5, True),
        (Status.kTimeLimit, 1.5, True),
        (Status.kSolutionLimit, 1.5, True),
        (Status.kInterrupt, 1.5, True),
        (Status.kTimeLimit, -np.inf, False),  # the first relaxation was not finished
        (Status.kNotset, 0.0, False),  # a second HiGHS with other threads in one process
        (Status.kInfeasible, np.inf, False),  # within tolerances
        (Status.kInfeasible, 1.5, False),
        (Status.kObjectiveBound, 1.5, False),  # a cut-off, and no bound of the program
        (Status.kObjectiveTarget, 1.5, False),
        (Status.kSolveError, 1.5, False),
        (Status.kOptimal, np.nan, False),
    ],
)
def test_a_bound_is_taken_from_few_ways_to_end(status: Any, bound: float, taken: bool) -> None:
    assert dual_bound(Told(status, bound)) == (bound if taken else None)


def test_at_a_limit_there_is_a_bound_or_none_and_no_point_that_was_not_evaluated(
    oracle: cax.Oracle, monkeypatch: pytest.MonkeyPatch
) -> None:
    search, (case,), (linear,) = searched(oracle)
    assert MixedIntegerProgram(search, case, 1e-9).bound() is None
    search.state.x = None  # nothing to begin with
    monkeypatch.setattr("constrained_actmax.certificates.mixed_integer.NODES", 1)
    program = MixedIntegerProgram(search, case, None)
    found = program.bound()
    assert found is not None
    assert search.state.best_value <= found <= linear + 1e-6
    if search.state.x is not None:
        assert search.measure(search.state.x[np.newaxis])[0] == search.state.best_value


def test_a_solver_s_bound_below_a_known_value_is_not_taken(
    oracle: cax.Oracle, monkeypatch: pytest.MonkeyPatch
) -> None:
    search, cases, bounds = searched(oracle)
    before = search.state.dual_bound
    monkeypatch.setattr(MixedIntegerProgram, "bound", lambda _: search.state.best_value - 1.0)
    mixed_integer_programs(search, cases, bounds)
    assert search.state.dual_bound == before
    assert search.method == "linear program"


@pytest.mark.parametrize("unit", [1.0, 1e6])
def test_bounds_beyond_a_million_are_kept(unit: float) -> None:
    # A tent of height 1 at half a unit, and one of height 3 at seven units.
    corners = np.array([0.4, 0.5, 0.6, 6.9, 7.0, 7.1])
    hidden = np.zeros((12, 6))
    hidden[0] = 1.0 / unit
    weights = np.array([10.0, -20.0, 10.0, 30.0, -60.0, 30.0])[:, np.newaxis]
    model = keras.Sequential([keras.Input((12,), dtype="float64")])
    model.add(keras.layers.Dense(6, activation="relu", dtype="float64"))
    model.add(keras.layers.Dense(1, dtype="float64"))
    model.set_weights([hidden, -corners, weights, np.zeros(1)])
    upper = np.append(10.0 * unit, np.ones(11))
    x0 = np.append(0.5 * unit, np.ones(11))
    for sets in ([cax.Box(0, upper)], [cax.Box(0, upper), cax.L1Ball(9.0 * unit)]):
        problem = cax.Problem(model, cax.Output(0), sets, x0=x0)
        certificate = cax.certify(problem, method="mixed-integer")
        assert certificate.dual_bound >= 3.0 - 1e-6
