"""The same projection in anyone's units: each set times a, from 1e-12 to 1e12."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import cvxpy as cp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import constrained_actmax as cax
from constrained_actmax.conformance import check_scaling
from constrained_actmax.errors import InfeasibleError, ProjectionError
from constrained_actmax.kernels.cone_program import ConeProgram
from constrained_actmax.kernels.convex_program import ConvexProgram
from constrained_actmax.layout import Layout

N, IMAGE = 12, (4, 3)
RNG = np.random.default_rng(0)
C = RNG.normal(size=N)
LOWER, UPPER = -1 - RNG.uniform(size=N), 0.2 + RNG.uniform(size=N)
A = RNG.normal(size=(3, N))
Z = np.clip(0.3 * C, LOWER, UPPER)  # a point of the box
W = RNG.uniform(0.3, 2, N)
VARIANCES = RNG.uniform(0.1, 3, N)
ROOT = RNG.normal(size=(N, N))
COVARIANCE = ROOT @ ROOT.T + np.eye(N)
CORNERS = np.vstack([A, A[::-1] * 0.3 + 1, -A])
GROUPS = np.arange(N) // 3
POINTS = 2 * RNG.normal(size=(4, N))


def box(a: float) -> cax.Box:
    return cax.Box(a * LOWER, a * UPPER)


def rows(a: float) -> cax.Linear:
    return cax.Linear(A, a * (A @ Z - 0.1), a * (A @ Z + 0.1))


def mixture(a: float) -> Callable[[Any], Any]:
    def smooth(x: Any) -> list[cp.Constraint]:
        bump = cp.Variable(N)
        return [cp.norm1(bump) <= a, cp.abs(x - bump) <= 0.3 * a]

    return smooth


Members = Sequence[cax.ConvexSet]
SETS: dict[str, Callable[[float], Members]] = {
    "box": lambda a: [box(a)],
    "l1": lambda a: [cax.L1Ball(a, a * C, weights=W)],
    "l1, weights": lambda a: [box(a), cax.L1Ball(1.3, a * 0.2 * C, weights=W / a)],
    "l2": lambda a: [cax.L2Ball(a, a * C)],
    "linf": lambda a: [cax.LinfBall(0.3 * a, a * C)],
    "halfspace": lambda a: [cax.Halfspace(A[0], -0.5 * a)],
    "row, coefficients": lambda a: [cax.Linear(A[0] / a, -0.5, -0.3)],
    "affine subspace": lambda a: [cax.AffineSubspace(A, a * np.ones(3))],
    "ellipsoid": lambda a: [cax.Ellipsoid(0.7, a * a * COVARIANCE, a * C)],
    "ellipsoid, radius": lambda a: [cax.Ellipsoid(0.7 * a, COVARIANCE, a * C)],
    "groups": lambda a: [cax.GroupBall(a, GROUPS, a * C)],
    "simplex": lambda a: [cax.Simplex(2 * a, upper=0.6 * a)],
    "simplex, box": lambda a: [cax.Simplex(a, groups=GROUPS), cax.Box(0.05 * a, 0.7 * a)],
    "hull": lambda a: [cax.ConvexHull(a * CORNERS)],
    "monotone": lambda a: [cax.Monotone()],
    "monotone, box": lambda a: [cax.Monotone(), cax.Box(-0.3 * a, 0.4 * a)],
    "band limited": lambda a: [cax.BandLimited(4)],
    "symmetric": lambda a: [cax.Symmetric("left-right")],
    "symmetric, box": lambda a: [cax.Symmetric("left-right"), cax.Box(-0.5 * a, 0.4 * a)],
    "image: nuclear norm": lambda a: [cax.NuclearNormBall(a, a * C.reshape(IMAGE))],
    "cardinality": lambda a: [cax.Cardinality(4, a * C), box(a)],
    "levels, box": lambda a: [cax.Levels(None, a * np.array([-0.3, 0.1, 0.5])), box(a)],
    "levels, l1": lambda a: [
        cax.Levels([0, 2], a * np.array([-0.3, 0.1, 0.5])),
        box(a),
        cax.L1Ball(a),
    ],
    "fixed, l2": lambda a: [cax.Fixed([1, 2], 0.4 * a), cax.L2Ball(a)],
    "parts": lambda a: [cax.L1Ball(a, where=range(5)), cax.L2Ball(a, where=range(5, N)), box(a)],
    "box, l1": lambda a: [box(a), cax.L1Ball(1.3 * a, 0.2 * a * C, weights=W)],
    "box, l2": lambda a: [box(a), cax.L2Ball(0.8 * a, 0.2 * a * C)],
    "box, groups": lambda a: [box(a), cax.GroupBall(0.8 * a, GROUPS, 0.2 * a * C)],
    "box, row": lambda a: [box(a), cax.Linear(A[0], upper=a * (A[0] @ Z - 0.1))],
    "rows": lambda a: [cax.Linear(A, -0.3 * a, 0.1 * a)],
    "rows, cone": lambda a: [cax.Linear(A, upper=0.0), cax.Box(-a, a)],
    "box, rows": lambda a: [box(a), rows(a), cax.Halfspace(np.ones(N), a * (Z.sum() + 0.05))],
    "box, l1, rows": lambda a: [box(a), cax.L1Ball(1.5 * a, a * Z), rows(a)],
    "box, l1, rows, l2": lambda a: [
        box(a),
        cax.L1Ball(1.5 * a, a * Z),
        rows(a),
        cax.L2Ball(0.6 * a, a * Z),
    ],
    "box, variances": lambda a: [box(a), cax.Ellipsoid(0.6, a * a * VARIANCES, a * Z)],
    "box, ellipsoid": lambda a: [box(a), cax.Ellipsoid(0.6, a * a * COVARIANCE, a * Z)],
    "image: total variation": lambda a: [cax.TotalVariationBall(0.8 * a, a * Z.reshape(IMAGE))],
    "image: box, total variation": lambda a: [cax.Box(0, a), cax.TotalVariationBall(0.8 * a)],
    "total variation, anisotropic": lambda a: [
        cax.Box(-a, a),
        cax.TotalVariationBall(0.8 * a, length="anisotropic"),
    ],
    "total variation 0": lambda a: [cax.TotalVariationBall(0.0)],
    "moving range": lambda a: [cax.MovingRange(0.2 * a)],
    "box, moving range": lambda a: [box(a), cax.MovingRange(0.3 * a)],
    "wide box": lambda a: [
        cax.Box(-1e6 * a, 1e6 * a),
        cax.MovingRange(0.2 * a),
        cax.GroupBall(a, GROUPS),
    ],
    "two groups": lambda a: [
        cax.GroupBall(a, GROUPS, a * Z),
        cax.GroupBall(0.8 * a, np.arange(N) % 4, a * Z + 0.05 * a),
    ],
    "hull, box": lambda a: [cax.ConvexHull(a * CORNERS), cax.Box(-0.5 * a, 0.5 * a)],
    "hull, l1": lambda a: [cax.ConvexHull(a * CORNERS), cax.L1Ball(a)],
    "image: nuclear norm, box": lambda a: [
        cax.NuclearNormBall(a, a * Z.reshape(IMAGE)),
        cax.Box(a * LOWER.reshape(IMAGE), a * UPPER.reshape(IMAGE)),
    ],
    "dykstra": lambda a: (
        cax.Intersection(
            [box(a), cax.L1Ball(1.5 * a, a * Z), cax.L2Ball(0.6 * a, a * Z + 0.05 * a)],
            strategy="dykstra",
        ).sets
    ),
}
NORMS: dict[str, Callable[[float], Members]] = {
    "norms": lambda a: [
        cax.CvxpySet(lambda x: [cp.norm(x - a * Z) <= a / 2, cp.norm1(x) <= 2 * a])
    ],
    "a pure number": lambda a: [cax.CvxpySet(lambda x: cp.norm((x - a * Z) / a) <= 0.5)],
    "auxiliary variable": lambda a: [cax.Box(-a, a), cax.CvxpySet(mixture(a))],
    "3-norm": lambda a: [cax.CvxpySet(lambda x: cp.norm(x - a * Z, 3) <= 0.6 * a)],
    "difference": lambda a: [
        cax.CvxpySet(lambda x: [A @ x - a * (A @ Z + 0.1) <= 0, x[0] <= x[1]])
    ],
    "far bounds": lambda a: [cax.CvxpySet(lambda x: [cp.norm(x) <= a / 2, x <= 1e6 * a])],
    "spectral norm": lambda a: [
        cax.CvxpySet(lambda x: cp.sigma_max(cp.reshape(x, IMAGE, order="C")) <= 0.9 * a)
    ],
}
SQUARES: dict[str, Callable[[float], Members]] = {
    "sum of squares": lambda a: [cax.CvxpySet(lambda x: cp.sum_squares(x - a * Z) <= a * a / 4)],
    "difference of squares": lambda a: [
        cax.CvxpySet(lambda x: cp.sum_squares(x - a * Z) - a * a / 4 <= 0)
    ],
    "quadratic form": lambda a: [
        box(a),
        cax.CvxpySet(lambda x: cp.quad_form(x, COVARIANCE) <= a * a),
    ],
    "squares of entries": lambda a: [
        cax.CvxpySet(
            lambda x: [cp.square(x[0]) + a * cp.abs(x[1]) <= a * a / 5, cp.sum_squares(x) <= a * a]
        )
    ],
    "huber": lambda a: [cax.CvxpySet(lambda x: cp.sum(cp.huber(x, 0.3 * a)) <= a * a)],
    "fourth powers": lambda a: [
        cax.CvxpySet(lambda x: cp.sum(cp.power(x - a * Z, 4)) <= 0.2 * a**4)
    ],
}
EVERY = {**SETS, **NORMS, **SQUARES}


def made(name: str, a: float) -> cax.Intersection:
    shape = IMAGE if name.startswith("image") else (N,)
    strategy = "dykstra" if name == "dykstra" else None
    return cax.Intersection(EVERY[name](a), strategy=strategy).bind(Layout.of_array(shape))


@pytest.mark.parametrize("name", EVERY)
def test_units_in_which_the_set_is_written_change_nothing(name: str) -> None:
    ends = (1e-4, 1e4) if name in SQUARES else (1e-9, 1e9) if name in NORMS else (1e-12, 1e12)
    check_scaling(lambda a: made(name, a), POINTS, [2.0**-20, *ends])


@pytest.mark.slow
@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("far", [1e-3, 1.0, 100.0])
def test_all_units(name: str, far: float) -> None:
    if name == "dykstra" and far > 1.0:
        pytest.skip("thousands of cycles a point")
    powers = range(-12, 13) if name in SETS else range(-9, 10) if name in NORMS else range(-4, 5)
    scales = [10.0**power for power in powers] + [2.0 ** (3 * power) for power in powers]
    check_scaling(lambda a: made(name, a), far * POINTS, scales)


@given(
    name=st.sampled_from([name for name in SETS if name not in ("dykstra", "two groups")]),
    a=st.floats(1e-12, 1e12),
    seed=st.integers(0, 1000),
)
def test_any_units_at_all(name: str, a: float, seed: int) -> None:
    y = np.random.default_rng(seed).normal(size=(2, N))
    check_scaling(lambda a: made(name, a), y, [a])


@pytest.mark.filterwarnings("ignore:Solution may be inaccurate")
@pytest.mark.parametrize("a", [1e-9, 1e9])
@pytest.mark.parametrize(
    "name",
    [
        "image: total variation",
        "image: box, total variation",
        "box, ellipsoid",
        "two groups",
        "hull, box",
        "box, moving range",
        "norms",
        "far bounds",
        "sum of squares",
        "quadratic form",
    ],
)
def test_projections_in_other_units_agree_with_cvxpy(name: str, a: float) -> None:
    for y, p in zip(POINTS, made(name, a).project(a * POINTS), strict=True):
        variable = cp.Variable(N)
        definition = made(name, 1.0).to_cvxpy(variable)
        problem = cp.Problem(cp.Minimize(cp.norm(variable - y)), definition)
        problem.solve(solver="CLARABEL", tol_gap_abs=1e-11, tol_gap_rel=1e-11, tol_feas=1e-11)
        # The distance is known to the tolerance, the point to its root.
        assert np.linalg.norm(p / a - y) == pytest.approx(problem.value, abs=1e-7)
        np.testing.assert_allclose(p / a, variable.value, atol=1e-4)


def exponential(a: float) -> tuple[cax.ConvexSet, cax.ConvexSet, np.ndarray]:
    """Return log(sum(exp(x))) <= log(n) + a / 10, the halfspace that it is up to a^2, a point."""
    smooth = cax.CvxpySet(lambda x: cp.log_sum_exp(x) <= np.log(N) + 0.1 * a)
    flat = cax.Halfspace(np.ones(N) / N, 0.1 * a)
    layout = Layout.of_array((N,))
    return smooth.bind(layout), flat.bind(layout), a * (1.0 + POINTS[:1])


def test_numbers_without_units_are_projected_on_while_they_can_be() -> None:
    smooth, flat, y = exponential(1e-4)
    np.testing.assert_allclose(smooth.project(y), flat.project(y), atol=1e-7)


def test_a_point_that_no_solver_can_tell_is_an_error_with_a_way_out() -> None:
    smooth, _, y = exponential(1e-7)
    with pytest.raises(ProjectionError, match="in units in which its numbers are about 1"):
        smooth.project(y)


@pytest.mark.parametrize("a", [1e-9, 1.0, 1e9])
@pytest.mark.parametrize("name", ["hull, box", "two groups", "norms", "box, rows"])
def test_maxima_in_other_units(name: str, a: float) -> None:
    for g in POINTS:
        variable = cp.Variable(N)
        problem = cp.Problem(cp.Maximize(g @ variable), made(name, 1.0).to_cvxpy(variable))
        problem.solve(solver="CLARABEL")
        best = made(name, a).linear_maximizer(g)
        assert g @ best == pytest.approx(a * problem.value, rel=1e-6)
        assert made(name, a).relative_violation(best) <= 1e-8


@pytest.mark.parametrize("a", [1e-9, 1.0, 1e9])
def test_multipliers_are_in_the_users_units(a: float) -> None:
    y = a * POINTS[0]
    made_ = made("image: box, total variation", a)
    ball = made_.members[1]
    program = ConvexProgram((ball,), np.zeros(N), np.full(N, a))
    _, dual = made_.project_with_dual(y)
    _, duals = program.project_with_dual(y[np.newaxis])
    assert duals[0] == pytest.approx(dual, rel=1e-4)
    # min |x - y|^2 / 2 on |x|^2 <= r^2: y - x = 2 t x.
    x, r = cp.Variable(N), 0.5 * a
    ball_of_squares = cp.sum_squares(x) <= r * r
    problem = cp.Problem(cp.Minimize(0.5 * cp.sum_squares(x) - y @ x), [ball_of_squares])
    assert ConeProgram(problem, x).solved(a)
    np.testing.assert_allclose(x.value, r * y / np.linalg.norm(y), rtol=1e-6)
    expected = 0.5 * (np.linalg.norm(y) / r - 1.0)
    assert ball_of_squares.dual_value == pytest.approx(expected, rel=1e-4)


# -- violations ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "origin",
    [cax.L2Ball(0.0), cax.L1Ball(0.0), cax.Fixed([0], 0.0), cax.Box(0, 0), cax.LinfBall(0.0)],
    ids=str,
)
def test_the_origin_alone_has_no_size(origin: cax.ConvexSet) -> None:
    assert origin.relative_violation(np.zeros(3)) == 0.0
    assert origin.relative_violation([1e-30, 0.0, 0.0]) == 1.0


# -- emptiness -------------------------------------------------------------------------------------

APART: dict[str, Callable[[float, float], Members]] = {
    "boxes": lambda a, gap: [cax.Box(0, a), cax.Box(a + gap, 2 * a)],
    "balls": lambda a, gap: [cax.L2Ball(a), cax.L2Ball(a, center=a * (2 + gap / a) / np.sqrt(3))],
    "box and ball": lambda a, gap: [cax.Box(0, a), cax.L2Ball(a, center=[2 * a + gap, 0, 0])],
    "box and budget": lambda a, gap: [cax.Box(a, 2 * a), cax.L1Ball(3 * a - gap)],
    "box and row": lambda a, gap: [cax.Box(0, a), cax.Linear(np.ones(3) / a, lower=3 + gap / a)],
    "simplex": lambda a, gap: [cax.Box(0, a), cax.Simplex(3 * a + gap)],
    "rows": lambda a, gap: [
        cax.Linear(np.ones(3), upper=a),
        cax.Linear([1.0, 1, 1 + 1e-3], lower=a + gap),
        cax.L2Ball(1e-9 * a, center=a / 3),
    ],
    "hulls": lambda a, gap: [
        cax.ConvexHull(a * np.eye(3)),
        cax.ConvexHull((2 * a + gap) * np.eye(3) - (a + gap) / 3),
        cax.Halfspace([-1.0, -1, -1], -a - gap),
    ],
    "cvxpy": lambda a, gap: [
        cax.CvxpySet(lambda x: cp.norm(x) <= a),
        cax.CvxpySet(lambda x: x[0] >= a + gap),
    ],
    "squares": lambda a, gap: [
        cax.Box(a + gap, 2 * a),
        cax.CvxpySet(lambda x: cp.sum_squares(x) <= 3 * a**2),
    ],
}


@pytest.mark.parametrize("a", [1e-9, 1.0, 1e9])
@pytest.mark.parametrize("name", APART)
def test_sets_as_far_apart_as_they_are_large_are_disjoint(name: str, a: float) -> None:
    with pytest.raises(InfeasibleError):
        cax.Intersection(APART[name](a, a)).bind(Layout.of_array((3,)))


@pytest.mark.parametrize("a", [1e-9, 0.3, 1.0, 7e8])
@pytest.mark.parametrize("name", [name for name in APART if name != "rows"])
def test_sets_that_touch_are_not_empty_in_any_units(name: str, a: float) -> None:
    both = cax.Intersection(APART[name](a, 0.0)).bind(Layout.of_array((3,)))
    x = both.project(np.zeros(3))
    assert both.relative_violation(x) <= both.tolerance
