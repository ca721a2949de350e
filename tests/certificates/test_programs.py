"""Laws of the programs: every input is a point of them, any multipliers give a bound."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from sample_models import L, keras, shaken
from sample_networks import networks

import constrained_actmax as cax
from constrained_actmax.certificates.branching import Search
from constrained_actmax.certificates.programs import cases_of, linear_programs, program_over

D = "float64"
POINTS = 300
DRAWN = (Phase.explicit, Phase.generate)  # a network takes seconds, so failures are not shrunk

SETS: dict[str, list[Any]] = {
    "box": [cax.Box(-1, 1)],
    "l1": [cax.Box(-1, 1), cax.L1Ball(1.2)],
    "l2": [cax.Box(-0.5, 1), cax.L2Ball(0.8, center=[0.2, -0.1, 0.3, 0.0, 0.1])],
    "rows": [cax.Box(-1, 1), cax.Linear([[1, 1, 1, 1, 1], [1, -2, 0, 1, 0]], -0.5, 0.5)],
    "monotone": [cax.Box(-1, 1), cax.Monotone()],
}


def dense(sizes: list[int], activation: str = "relu", seed: int = 0) -> Any:
    layers: list[Any] = [keras.Input((sizes[0],), dtype=D)]
    layers += [L.Dense(size, activation=activation, dtype=D) for size in sizes[1:]]
    return shaken(keras.Sequential([*layers, L.Dense(3, dtype=D)]), seed)


def bounded(problem: cax.Problem) -> Search:
    search = Search(problem, rtol=0.0)
    search.begin(np.zeros((0, problem.size)))
    search.step(1)
    return search


class Written:
    """A program that keeps what it is given."""

    def __init__(self, n: int) -> None:
        self.most, self.A = np.zeros(0), np.zeros((0, n))
        self.low, self.high = np.zeros(0), np.zeros(0)

    def widen(self, most: np.ndarray) -> None:
        self.most = most
        self.A = np.zeros((0, self.A.shape[1] + len(most)))

    def extend(self, A: np.ndarray, low: np.ndarray, high: np.ndarray) -> None:
        self.A = np.vstack([self.A, A])
        self.low, self.high = np.append(self.low, low), np.append(self.high, high)


@pytest.mark.slow
@given(model=networks())
@settings(max_examples=4, deadline=None, phases=DRAWN)
def test_every_input_is_a_point_of_the_program_with_its_value(model: Any) -> None:
    search = bounded(cax.Problem(cax.Oracle(model, cax.Logit(0)), None, [cax.Box(-1, 1)]))
    x = np.random.default_rng(0).uniform(-1, 1, (50, search.problem.size))
    outputs = search.structure.values(x)
    for case in cases_of(search):
        written = Written(case.size)
        g = case.load(written)  # type: ignore[arg-type]
        y = case.variables(x)
        size = 1e-9 * (1.0 + np.abs(y).max() * np.abs(written.A).max(initial=1.0))
        reached = y @ written.A.T
        assert (reached >= written.low - size).all()
        assert (reached <= written.high + size).all()
        assert (y[:, case.size :] <= written.most + size).all()
        assert (y[:, case.size :] >= -size).all()
        values = -(y @ g) + case.rows[0] @ case.preactivations[-1][1]
        np.testing.assert_allclose(values, outputs["functions"][:, 0], rtol=1e-8, atol=size)


@pytest.fixture(scope="module")
def oracle() -> cax.Oracle:
    return cax.Oracle(dense([5, 8, 8]), cax.Output(0))


@pytest.mark.parametrize("name", SETS)
def test_linear_bounds_programs_and_values_are_in_order(name: str, oracle: cax.Oracle) -> None:
    problem = cax.Problem(oracle, None, SETS[name])
    x = problem.set.project(np.random.default_rng(1).uniform(-1, 1, (POINTS, 5)))
    best = oracle.structure().values(x)["functions"][:, 0].max()
    steps: list[cax.Certificate] = []
    found = cax.certify(problem, method="linear-program", rtol=0.0, callback=steps.append)
    assert [one.method for one in steps] == ["linear bounds", "linear program"]
    assert best <= found.dual_bound < steps[0].dual_bound
    assert found.rigour == "rigorous"


@pytest.mark.parametrize("name", ["a limit", "a margin", "l2", "rows"])
def test_any_multipliers_give_a_bound_and_the_solvers_give_its_value(
    name: str, oracle: cax.Oracle
) -> None:
    objective, limits = {
        "a limit": (cax.Output(0), [cax.Output(1) <= 0.3]),
        "a margin": (cax.Margin(0, link="softmax"), []),
    }.get(name, (None, []))
    problem = (
        cax.Problem(oracle, None, SETS[name])
        if objective is None
        else cax.Problem(dense([5, 8], seed=2), objective, [cax.Box(-1, 1), *limits])
    )
    search = bounded(problem)
    x = problem.set.project(np.random.default_rng(1).uniform(-1, 1, (POINTS, 5)))
    values, feasible = search.measure(x)
    best = values[feasible].max()
    (case,) = cases_of(search)
    program = program_over(problem, search.allowed)
    g = case.load(program)
    found = program.minimum(g, case.lower, case.upper)
    assert found is not None
    exact = case.rows[0] @ case.preactivations[-1][1] - g @ found.x
    assert case.value(search, found.multipliers) == pytest.approx(exact, abs=1e-5)
    assert case.value(search) >= exact  # none: the linear bound itself
    assert name != "a margin" or case.value(search) > exact + 0.1  # one rival for all inputs
    rng = np.random.default_rng(3)
    size = len(found.multipliers)
    for corrupted in (
        found.multipliers + rng.standard_normal(size),
        rng.standard_normal(size),
        -found.multipliers,
        1e12 * rng.standard_normal(size),
        np.where(rng.uniform(size=size) < 0.5, np.nan, found.multipliers),
        np.full(size, np.inf),
    ):
        assert case.value(search, corrupted) >= best
        slopes, offset = case.above(corrupted)
        slack = 1e-12 * (np.abs(x) @ np.abs(slopes) + abs(offset))
        assert (x @ slopes + offset + slack >= values)[feasible].all()
    assert case.value(search, np.full(size, np.nan)) == case.value(search)
    # Cut short, Clarabel has multipliers and the simplex method none; neither is a wrong bound.
    program = program_over(problem, search.allowed)
    program.finish(1e-9)
    unfinished = case.solve(program)
    assert (unfinished is None) is (name != "l2")
    if unfinished is not None:
        assert case.value(search, unfinished.multipliers) >= best


def test_the_largest_rival_is_bounded_rival_by_rival() -> None:
    problem = cax.Problem(
        dense([4, 8]), cax.Margin(0, link="softmax"), [cax.Box(-0.3, 0.3)], sense="minimize"
    )
    search = bounded(problem)
    before = search.state.dual_bound
    cases = cases_of(search)
    assert len(cases) == 2
    x = np.random.default_rng(0).uniform(-0.3, 0.3, (POINTS, 4))
    z = search.structure.preactivations(x)[-1]
    bounds = linear_programs(search, cases)
    for case, bound in enumerate(bounds):
        assert bound >= z[:, 1 + case].max() - 1e-9
    assert search.state.dual_bound <= max(bounds) <= before


def test_too_many_units_are_left_to_linear_bounds(
    monkeypatch: pytest.MonkeyPatch, oracle: cax.Oracle
) -> None:
    monkeypatch.setattr("constrained_actmax.certificates.programs.ENTRIES", 10)
    problem = cax.Problem(oracle, None, SETS["box"])
    assert cax.certify(problem, method="linear-program").method == "linear bounds"


def test_a_budget_that_ends_before_the_first_bound_leaves_none() -> None:
    problem = cax.Problem(dense([12, 8]), cax.Logit(0), [cax.Box(-1, 1)])
    certificate = cax.certify(problem, budget=cax.Budget(seconds=1e-9))
    assert certificate.dual_bound == np.inf
    assert not certificate.proven
    assert "no bound of Logit(0) is known" in str(certificate)
