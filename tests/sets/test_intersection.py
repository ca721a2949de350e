"""Intersections: strategies, multipliers, maximisers, emptiness, SciPy's forms."""

from __future__ import annotations

from typing import Any

import cvxpy as cp
import numpy as np
import pytest

from constrained_actmax.errors import InfeasibleError, SpecificationError
from constrained_actmax.layout import Input, Layout
from constrained_actmax.sets import (
    Box,
    Cardinality,
    ConvexHull,
    CvxpySet,
    Ellipsoid,
    Fixed,
    GroupBall,
    Halfspace,
    Intersection,
    L1Ball,
    L2Ball,
    Linear,
    LinfBall,
    Monotone,
    NuclearNormBall,
    Simplex,
    Symmetric,
    TotalVariationBall,
)

RNG = np.random.default_rng(3)
C = RNG.uniform(0, 1, 9)
LAYOUT = Layout.of_array((9,))

RADIUS = {
    "l1": lambda r: [L1Ball(r, C)],
    "box l1": lambda r: [Box(0, 1), L1Ball(r, C)],
    "weighted l1": lambda r: [Box(0, 1), L1Ball(r, C, weights=1 + C)],
    "box l2": lambda r: [Box(0, 1), L2Ball(r, C)],
    "l2": lambda r: [L2Ball(r, C)],
    "ellipsoid": lambda r: [Ellipsoid(r, 0.5 + C, C)],
    "groups": lambda r: [GroupBall(r, np.arange(9) // 3, C)],
    "groups in a box": lambda r: [Box(0, 1), GroupBall(r, np.arange(9) // 3, C)],
    "row": lambda r: [Box(0, 1), Linear(1 + C, upper=r)],
    "total variation": lambda r: [Box(0, 1), TotalVariationBall(r)],
}


@pytest.mark.parametrize("name", RADIUS)
def test_multiplier_is_the_slope_of_half_the_squared_distance(name: str) -> None:
    y, radius, step = 3 * RNG.standard_normal(9), 0.6, 1e-4

    def value(r: float) -> float:
        p = Intersection(RADIUS[name](r)).bind(LAYOUT).project(y)
        return 0.5 * float(np.sum((p - y) ** 2))

    _, dual = Intersection(RADIUS[name](radius)).bind(LAYOUT).project_with_dual(y)
    slope = (value(radius + step) - value(radius - step)) / (2 * step)
    tolerance = 2e-2 if name == "total variation" else 1e-3  # curvature, and 1e-4 in its points
    assert dual > 0.1
    assert dual == pytest.approx(-slope, rel=tolerance)


MAXIMISED = {
    "box": [Box(-1, C)],
    "l1": [L1Ball(2, C, weights=0.5 + C)],
    "l2": [L2Ball(2, C)],
    "linf": [LinfBall(2, C)],
    "box l1": [Box(0, 1), L1Ball(2, C, weights=0.5 + C)],
    "box l1, center outside": [Box(0, 1), L1Ball(6, C + 0.5)],
    "box l2": [Box(0, 1), L2Ball(0.7, C)],
    "box l2, center outside": [Box(0, 1), L2Ball(2, C + 0.8)],
    "ellipsoid": [Ellipsoid(1.5, np.diag(1 + C) + 0.1, C)],
    "groups": [GroupBall(2, np.arange(9) // 2, C)],
    "simplex": [Simplex(2.0, upper=0.6)],
    "simplex groups in a box": [Simplex(groups=np.arange(9) // 3), Box(0.1, 0.7), Fixed([4], 0.5)],
    "hull": [ConvexHull(RNG.standard_normal((5, 9)))],
    "row in a box": [Box(0, 1), Linear(C - 0.5, -0.1, 0.1)],
    "monotone in a box": [Box(0, 1), Monotone()],
    "two balls": [L1Ball(1, C), L2Ball(0.6, C + 0.1)],
}


@pytest.mark.parametrize("name", MAXIMISED)
def test_linear_maximizer_agrees_with_cvxpy(name: str) -> None:
    together = Intersection(MAXIMISED[name]).bind(LAYOUT)
    rows = RNG.standard_normal((4, 9))
    rows[1, ::2] = rows[1, 0]  # ties
    rows[2, 3:] = 0.0
    for g, found in zip(rows, together.linear_maximizer(rows), strict=True):
        variable = cp.Variable(9)
        problem = cp.Problem(cp.Maximize(g @ variable), together.to_cvxpy(variable))
        problem.solve(solver="CLARABEL")
        assert g @ found == pytest.approx(problem.value, abs=1e-6)
        assert together.violation(found) <= together.tolerance


def test_linear_maximizer_says_when_there_is_none() -> None:
    with pytest.raises(SpecificationError, match="no maximum"):
        Intersection([Box(0, None)]).bind(LAYOUT).linear_maximizer(np.ones(9))
    with pytest.raises(SpecificationError, match="no maximum"):
        Intersection([L1Ball(1, where=[0, 1])]).bind(LAYOUT).linear_maximizer(np.ones(9))


# -- strategies ------------------------------------------------------------------------------------


@pytest.mark.parametrize("members", [[Box(0, 1), L1Ball(2, C)], [Box(0, 1), L2Ball(0.5, C)]])
def test_every_strategy_finds_the_same_point(members: list) -> None:
    y = 2 * RNG.standard_normal((3, 9))
    closed = Intersection(members, strategy="closed").bind(LAYOUT).project(y)
    for strategy in ("cvxpy", "dykstra"):
        other = Intersection(members, strategy=strategy).bind(LAYOUT)
        assert strategy in str(other).lower()
        np.testing.assert_allclose(other.project(y), closed, atol=1e-5)


def test_dykstra_on_sets_that_have_no_joint_form_agrees_with_cvxpy() -> None:
    members = [Box(0, 1), L1Ball(1.5, C), L2Ball(0.6, C + 0.1)]
    y = 2 * RNG.standard_normal((3, 9))
    by_dykstra = Intersection(members, strategy="dykstra").bind(LAYOUT)
    by_cvxpy = Intersection(members).bind(LAYOUT)
    np.testing.assert_allclose(by_dykstra.project(y), by_cvxpy.project(y), atol=1e-5)
    assert np.all(by_dykstra.violation(by_dykstra.project(y)) <= 1e-8)


def test_a_large_piece_goes_to_dykstra() -> None:
    n = 17_000
    c, layout = np.linspace(0, 1, n), Layout.of_array((n,))
    loose = GroupBall(1e4, np.arange(n) // 2, c)  # never reached: the other two decide
    large = Intersection([Box(0, 1), L1Ball(500.0, c), loose]).bind(layout)
    assert "Dykstra" in str(large)
    y = c + np.random.default_rng(0).standard_normal(n)
    expected = Intersection([Box(0, 1), L1Ball(500.0, c)]).bind(layout).project(y)
    np.testing.assert_allclose(large.project(y), expected, atol=1e-6)


def test_budgets_and_rows_of_an_image_share_one_dual() -> None:
    n = 20_000
    c = np.linspace(0, 1, n)
    members = [Box(0, 1), L1Ball(500.0, c), L2Ball(5.0, c), Linear(np.ones(n), upper=c.sum())]
    large = Intersection(members, strategy="closed").bind(Layout.of_array((n,)))
    assert "Newton" in str(large)
    y = c + np.random.default_rng(0).standard_normal(n)
    p = large.project(y)
    assert large.violation(p) <= 1e-12
    assert np.linalg.norm(p - c) == pytest.approx(5.0)
    # The nearest point along each way that leads farther in.
    for z in (c, np.clip(c - 0.01, 0, 1), large.project(2 * c - y)):
        assert (y - p) @ (z - p) <= 1e-7


def test_what_the_dual_cannot_finish_goes_to_cvxpy() -> None:
    together = Intersection([Box(0, 1), L1Ball(1.5, C), L2Ball(0.6, C + 0.1)]).bind(LAYOUT)
    y = 2 * RNG.standard_normal((3, 9))
    expected = together.project(y)
    together.pieces[0].dual.project = lambda y: None  # a fault that no known input brings about
    np.testing.assert_allclose(together.project(y), expected, atol=1e-5)


def test_closed_refuses_what_is_not() -> None:
    together = Intersection([L1Ball(1), GroupBall(0.5)], strategy="closed")
    with pytest.raises(SpecificationError, match="no closed form"):
        together.bind(LAYOUT)


def test_the_intersections_that_users_write_most_are_closed() -> None:
    for members in (
        [Box(0, 1), L1Ball(2, C)],
        [Box(0, 1), L2Ball(1, C)],
        [Box(0, 1), LinfBall(0.5, C), L2Ball(1, C)],
        [Box(0, 1), L1Ball(2, C), Fixed([0, 1], C[:2])],
        [Box(0, 1), Linear(np.ones(9), upper=2)],
        [Box(0, 1), Simplex(groups=np.arange(9) // 3), Fixed([0], 0.2)],
        [Box(0, 1), Linear(np.ones(9), upper=2), Linear(C, lower=0.1)],
        [Box(0, 1), L1Ball(2, C), L2Ball(1, C), Linear(C, upper=C @ C)],
        [Box(0, 1), Ellipsoid(1, 1 + C, C)],
        [Box(0, 1), GroupBall(1, np.arange(9) // 3, C)],
    ):
        together = Intersection(members, strategy="closed").bind(LAYOUT)
        assert "cvxpy" not in together.projection_method
        assert together.relative_violation(together.project(np.ones(9))) <= 1e-12


def test_nothing_at_all_is_the_whole_space() -> None:
    everything = Intersection([]).bind(LAYOUT)
    y = RNG.standard_normal((2, 9))
    assert np.array_equal(everything.project(y), y)
    assert everything.project(y) is not y
    assert not everything.bounded
    assert everything.only_box
    assert everything.to_scipy().only_bounds


def test_bounded_knows_what_no_box_shows() -> None:
    ring = np.eye(9) - np.roll(np.eye(9), 1, axis=1)
    assert not Intersection([TotalVariationBall(1)]).bind(LAYOUT).bounded
    assert not Intersection([Linear(ring, -1, 1)]).bind(LAYOUT).bounded
    assert Intersection([Linear(ring, -1, 1), Box(0, 1, where=[0])]).bind(LAYOUT).bounded
    assert Intersection([CvxpySet(lambda x: cp.norm(x, 2) <= 3)]).bind(LAYOUT).bounded


def test_diameter_bounds_the_distance_of_any_two_points() -> None:
    for members in MAXIMISED.values():
        together = Intersection(members).bind(LAYOUT)
        points = together.project(10 * RNG.standard_normal((30, 9)))
        widest = np.max(np.linalg.norm(points[:, None] - points, axis=2))
        assert widest <= together.diameter * (1 + 1e-12)
        assert together.diameter < 13


def test_parts_of_several_inputs() -> None:
    layout = Layout((Input("image", (2, 2)), Input("noise", (3,), ("a", "b", "c"))), "dict")
    together = Intersection(
        [Box(0, 1, on="image"), L2Ball(1.0, on="noise"), Fixed("a", 0.5, on="noise")]
    ).bind(layout)
    p = together.project(np.full(7, 5.0))
    np.testing.assert_allclose(p, [1, 1, 1, 1, 0.5, *(2 * [np.sqrt(0.75 / 2)])])
    with pytest.raises(SpecificationError, match="on="):
        Intersection([L2Ball(1.0)]).bind(layout)
    with pytest.raises(SpecificationError, match="no input 'nois'.*noise"):
        Intersection([L2Ball(1.0, on="nois")]).bind(layout)
    whole = Intersection([Fixed("noise")]).bind(layout, np.arange(7.0))
    assert list(whole.project(np.zeros(7))) == [0, 0, 0, 0, 4, 5, 6]


# -- emptiness -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ([Box(0.5, 1), L1Ball(2)], r"Box\(0.5, 1\) by 0.2778.*L1Ball\(2\) by 2.5"),
        ([Box(0, 1), L2Ball(1, center=2)], r"L2Ball\(1, center=2\) by 2 "),
        ([Box(0, 1), Fixed([3], 4.0)], r"Fixed\(entries \[3\], 4\) and Box.*: at x\[3\].*give 3"),
        (
            [Box(0, 1), L2Ball(9), Linear(np.ones(9), upper=-2)],
            r"by 2 \(largest violation of one",
        ),
        ([Box(0, 1), Simplex(12.0)], r"Simplex\(12\) by 3"),
        ([L2Ball(1), L2Ball(1, center=5)], r"L2Ball\(1\) by 13.*L2Ball\(1, center=5\) by 13"),
        ([Box(0, 1), CvxpySet(lambda x: cp.sum(x) >= 10)], r"CvxpySet\(function\) by 1 "),
        ([Box(0, 1), Cardinality(2, center=2)], r"by 7 \(number of entries too many\)"),
        (
            [Box(-1, 0, where=[0]), Box(1, 2, where=[8]), Symmetric("left-right")],
            r"Symmetric\('left-right'\) by 1 ",
        ),
    ],
)
def test_an_empty_intersection_says_who_clashes_and_by_how_much(members: list, words: str) -> None:
    with pytest.raises(InfeasibleError, match=words) as caught:
        Intersection(members).bind(LAYOUT)
    assert "L2Ball(9)" not in str(caught.value), "a member that does not clash is blamed"


def test_touching_sets_are_not_empty() -> None:
    z = np.clip(C + 0.7, 0, 1)
    for members in (
        [Box(0, 1), L1Ball(np.abs(z - C - 0.7).sum(), C + 0.7)],
        [Box(0, 1), Linear(np.ones(9), lower=9)],
        [Box(0.25, 1), Simplex(9 * 0.25)],
    ):
        together = Intersection(members).bind(LAYOUT)
        p = together.project(RNG.standard_normal(9))
        assert together.violation(p) <= 1e-12


# -- SciPy's forms ---------------------------------------------------------------------------------

FORMS = {
    "one signed row": [Box(0, 1), L1Ball(2)],
    "split": [Box(0, 1), L1Ball(2, C)],
    "split on a part": [Box(0, 1), L1Ball(1, C[:4], where=[0, 1, 2, 3]), L2Ball(1.0, C)],
    "split with rows": [L1Ball(2, C), Linear(C, upper=3), Fixed([2], C[2])],
    "smooth": [L2Ball(0.5, C), Ellipsoid(1, 0.1 + C, C)],
    "rows": [Box(-1, 1), Linear(np.vander(C), -1, 1), Simplex(where=[0, 1, 2])],
    "signs": [Monotone(), Symmetric("left-right", on=None), Box(0, 1)],
}


@pytest.mark.parametrize("name", FORMS)
def test_scipy_form_has_the_same_points(name: str) -> None:
    together = Intersection(FORMS[name]).bind(LAYOUT)
    variables = together.in_scipy_variables()
    form = variables.form
    assert (variables.matrix is not None) == name.startswith("split")
    inside = together.sample(np.random.default_rng(0), 6)
    outside = together.project(3 * RNG.standard_normal((20, 9)))
    outside += 0.3 * RNG.standard_normal((20, 9))
    for x in np.concatenate([inside, outside]):
        y = variables.inverse(x)
        if variables.matrix is not None:
            back = variables.x(y)
            if together.violation(x) == 0:
                np.testing.assert_allclose(back, x, atol=1e-12)
            else:  # what bounds on the split variables cut off is outside
                if np.max(np.abs(back - x)) > 1e-12:
                    continue
        excess = [np.max(form.lower - y), np.max(y - form.upper)]
        for rows in form.rows:
            value = rows.matrix @ y
            excess += [np.max(rows.lower - value), np.max(value - rows.upper)]
        excess += [row.value(y) - row.upper for row in form.smooth]
        assert (max(excess) <= 1e-9) == (together.violation(x) <= 1e-9)
        for row in form.smooth:
            v, t = RNG.standard_normal(y.size), 1e-6
            slope = (row.value(y + t * v) - row.value(y - t * v)) / (2 * t)
            assert slope == pytest.approx(row.gradient(y) @ v, abs=1e-6)
            change = (row.gradient(y + t * v) - row.gradient(y - t * v)) / (2 * t)
            np.testing.assert_allclose(change, row.hessian_product(y, v), atol=1e-6)


def test_scipy_has_no_form_of_two_l1_balls_or_of_a_nuclear_norm() -> None:
    assert Intersection([L1Ball(9, C), L1Ball(1, C + 1)]).bind(LAYOUT).in_scipy_variables() is None
    square = Layout.of_array((3, 3))
    assert Intersection([NuclearNormBall(2)]).bind(square).to_scipy() is None


@pytest.mark.parametrize(
    "coupling",
    [
        L1Ball(9.0),
        L1Ball(4.0, center=np.linspace(0, 1, 60), weights=np.linspace(0.5, 2, 60)),
        L2Ball(1.5, center=np.linspace(1, 0, 60)),
        Halfspace(np.cos(np.arange(60.0)), 1.0),
    ],
    ids=str,
)
def test_a_row_among_others_gives_the_bits_that_it_gives_alone(coupling: Any) -> None:
    # On a network with kinks a last bit decides where a start ends.
    both = Intersection([Box(0, 1), coupling]).bind(Layout.of_array((60,)))
    rows = np.random.default_rng(0).normal(size=(37, 60)) * np.geomspace(0.1, 10, 37)[:, None]
    together = both.project(rows)
    for count in (1, 2, 7):
        for first in range(0, 37 - count, count):
            some = slice(first, first + count)
            np.testing.assert_array_equal(both.project(rows[some]), together[some])
