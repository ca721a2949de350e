"""Steps over a dilated set that contracts to C."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import constrained_actmax as cax
from constrained_actmax.solvers.shrinking_set import DILATION, STEPS, can_contract, contracted
from constrained_actmax.tasks.recording import Recording

CENTRE = np.array([0.5, 0.2, 0.8, 0.4])
SETS: dict[str, list[Any]] = {
    "ball": [cax.Box(0, 1), cax.L2Ball(0.3, center=CENTRE)],
    "budget": [cax.Box(0, 1), cax.L1Ball(2.0)],
    "level": [cax.Box(0, 1), cax.Linear(np.ones((1, 4)), 1.9, 1.9)],
}


class Recorder:
    """A linear function that keeps every point at which it was asked."""

    def __init__(self, slope: np.ndarray, hole: float = np.inf) -> None:
        self.slope, self.hole = slope, hole
        self.points: list[np.ndarray] = []

    def __call__(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        self.points.append(x.copy())
        return (np.nan if x[0] > self.hole else float(self.slope @ x)), self.slope


def begun(constraints: list[Any], asked: Recorder) -> tuple[cax.Problem, Recording, np.ndarray]:
    """Return a problem of four variables, a run of it and the projected centre as its start."""
    oracle = cax.FunctionOracle(asked, 4, smooth=False)
    problem = cax.Problem(oracle, constraints=constraints, sense="minimize", x0=CENTRE)
    asked.points.clear()
    return problem, Recording(problem, 1), problem.set.project(CENTRE[np.newaxis])


@pytest.mark.parametrize("name", SETS)
def test_ends_in_the_set_and_on_the_way_never_leaves_the_bounds(name: str) -> None:
    asked = Recorder(np.array([-1.0, 0.3, 0.2, -0.4]))
    problem, run, x = begun(SETS[name], asked)
    end = contracted(run, x, np.array([0]))
    points = np.array(asked.points)
    assert len(points) == STEPS
    assert points.min() >= 0.0
    assert points.max() <= 1.0
    assert problem.set.relative_violation(end)[0] <= problem.set.tolerance
    assert problem.set.relative_violation(points).max() > 0.01


def test_the_dilated_ball_is_the_ball_with_a_longer_radius() -> None:
    ball = [cax.L2Ball(0.3, center=CENTRE)]
    asked = Recorder(np.array([-1.0, 2.0, 0.5, -0.5]))
    _, run, x = begun(ball, asked)
    contracted(run, x, np.array([0]))
    reached = np.linalg.norm(np.array(asked.points) - CENTRE, axis=1)
    # Of a linear function the steps go on to the end of the set as it is at that time.
    radii = 0.3 * (1.0 + DILATION * (1.0 - np.arange(1, STEPS) / STEPS))
    ends = np.flatnonzero(reached[1:] >= radii - 1e-9)
    np.testing.assert_allclose(reached[1:][ends], radii[ends], atol=1e-9)
    assert ends[0] <= 1.0 + DILATION
    assert len(ends) == STEPS - 1 - ends[0]


def test_a_number_that_is_not_finite_outside_leaves_the_start_where_it_is() -> None:
    asked = Recorder(np.array([-1.0, 0.0, 0.0, 0.0]), hole=0.7)
    _, run, x = begun([cax.Box(0, 1), cax.L2Ball(0.15, center=CENTRE)], asked)
    np.testing.assert_array_equal(contracted(run, x, np.array([0])), x)


def test_bounds_alone_and_sets_without_end_have_nothing_to_contract() -> None:
    row = cax.Linear(np.ones((1, 4)), None, 3.0)
    for constraints, expected in (
        ([cax.Box(0, 1)], False),
        ([row], False),
        ([cax.Box(0, 1), row], True),
        (SETS["ball"], True),
    ):
        problem = begun(constraints, Recorder(np.ones(4)))[0]
        assert can_contract(problem.set) is expected
