"""A set written in cvxpy: shapes, variables of its own, solvers that fail."""

from __future__ import annotations

import cvxpy as cp
import numpy as np
import pytest
from sample_sets import SOLVED, Draw, laws

import constrained_actmax as cax
from constrained_actmax.errors import ProjectionError
from constrained_actmax.kernels import cone_program
from constrained_actmax.layout import Layout
from constrained_actmax.sets import CvxpySet

IMAGE = Layout.of_array((4, 4))
TABLE = Layout.of_array((4,))


def test_cvxpy_set_with_a_shape_and_an_auxiliary_variable() -> None:
    def smooth(x: cp.Variable) -> list[cp.Constraint]:
        assert x.shape == (4, 4)
        level = cp.Variable()
        return [cp.abs(x - level) <= 0.5]

    one = CvxpySet(smooth, shape=(4, 4)).bind(IMAGE)
    y = np.zeros((1, 16))
    y[0, 3] = 3.0
    p = one.project(y)
    assert p.max() - p.min() == pytest.approx(1.0, abs=1e-6)
    assert one.violation(y) == pytest.approx(1.0, abs=1e-6)  # a spread of 3 where 1 is allowed
    assert one.violation(p) <= 1e-8


def test_a_failure_of_all_solvers_reports_their_statuses(monkeypatch: pytest.MonkeyPatch) -> None:
    hopeless = (("CLARABEL", {"max_iter": 1}), ("SCS", {"max_iters": 1}))
    monkeypatch.setattr(cone_program, "SOLVERS", hopeless)
    one = CvxpySet(lambda x: cp.norm(x, 3) <= 1).bind(TABLE)
    with pytest.raises(ProjectionError, match=r"CvxpySet.*CLARABEL: .*SCS: "):
        one.project(np.full((1, 4), 1e3))


def test_a_second_solver_takes_over(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = (("CLARABEL", {"max_iter": 1}), ("SCS", {"eps_abs": 1e-9, "eps_rel": 1e-9}))
    monkeypatch.setattr(cone_program, "SOLVERS", steps)
    one = CvxpySet(lambda x: cp.norm(x, 2) <= 1).bind(TABLE)
    np.testing.assert_allclose(one.project(np.full((1, 4), 3.0)), np.full((1, 4), 0.5), atol=1e-5)


@pytest.mark.parametrize("a", [1e-6, 1.0, 1e6])
def test_how_a_cvxpy_constraint_is_written_does_not_matter(a: float) -> None:
    x = a * np.array([1.1, 0.0, 0.0])
    for function in (
        lambda v: cp.norm(v) <= a,
        lambda v: cp.norm(v) - a <= 0,
        lambda v: a - cp.norm(v) >= 0,
        lambda v: v[0] - a <= 0,
    ):
        found = CvxpySet(function).relative_violation(x)
        assert 0.05 < found < 0.15


def cvxpy_set(draw: Draw) -> list[cax.ConvexSet]:
    def smooth(x: cp.Variable) -> list[cp.Constraint]:
        bump = cp.Variable(draw.n)  # an auxiliary variable
        return [cp.norm1(bump) <= 1.0, cp.abs(x - bump) <= 0.3]

    return [cax.Box(-1, 1), cax.CvxpySet(smooth)]


test_laws, test_agrees_with_cvxpy = laws(SOLVED, cvxpy_set)
