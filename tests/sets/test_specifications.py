"""What users write: bad input, words, JSON, SciPy's objects, small exact cases."""

from __future__ import annotations

import json
import subprocess
import sys

import cvxpy as cp
import numpy as np
import pytest
import scipy.optimize
import scipy.sparse as sp

from constrained_actmax.conformance import check_convex_set
from constrained_actmax.errors import SpecificationError
from constrained_actmax.kernels.intersection import IntersectionKernel
from constrained_actmax.kernels.l2_ball import L2BallKernel
from constrained_actmax.layout import Input, Layout
from constrained_actmax.sets import (
    AffineSubspace,
    BandLimited,
    Box,
    Cardinality,
    ConvexHull,
    ConvexSet,
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
    MovingRange,
    NuclearNormBall,
    Simplex,
    Symmetric,
    TotalVariationBall,
    as_set,
    box_from_bounds,
    from_dict,
)

TABLE = Layout((Input("x", (4,), ("age", "income", "red", "blue")),))
IMAGE = Layout.of_array((4, 4))


@pytest.mark.parametrize(
    ("write", "words"),
    [
        (lambda: Box(2, 1), r"Box\(2, 1\): lower must be <= upper"),
        (lambda: Box([0, 3, 0, 0], [1, 2, 1, 1]).bind(TABLE), "got 3 > 2 at position 1"),
        (lambda: Box(np.zeros(3)).bind(TABLE), r"expected shape \(4,\), got \(3,\)"),
        (lambda: Box(np.nan, 1).bind(TABLE), "nan"),
        (lambda: L1Ball(-1), "L1Ball: radius must be finite and >= 0, got -1"),
        (lambda: L1Ball(float("nan")), "L1Ball: radius must be finite"),
        (lambda: L1Ball("x"), "L1Ball: radius must be a number, got 'x'"),
        (lambda: L1Ball(1, weights=[1, 0, 1, 1]).bind(TABLE), "weights must be finite and > 0"),
        (lambda: L2Ball(np.inf), "L2Ball: radius must be finite"),
        (lambda: L2Ball(True), "L2Ball: radius must be a number, got True"),
        (lambda: L2Ball("3"), "L2Ball: radius must be a number, got '3'"),
        (lambda: Simplex(np.str_("1")), "Simplex: total must be a number"),
        (lambda: Box("a", 1), "Box: lower must be numbers or None, got 'a'"),
        (lambda: Box(True, 2), "Box: lower must be numbers or None, got True"),
        (lambda: Box(0, np.True_), "Box: upper must be numbers or None, got"),
        (lambda: AffineSubspace(np.zeros((0, 4))).bind(TABLE), r"AffineSubspace: A has no coeff"),
        (lambda: AffineSubspace(np.ones(4), np.inf).bind(TABLE), "AffineSubspace: b must be fin"),
        (lambda: AffineSubspace({"agee": 1}).bind(TABLE), "AffineSubspace: no feature 'agee'"),
        (lambda: Linear(np.zeros((0, 4)), upper=1).bind(TABLE), r"no coefficient.*\(0, 4\)"),
        (lambda: Linear(np.ones(4), lower=np.inf).bind(TABLE), "no number lies above inf"),
        (lambda: Simplex(groups=[-1] * 4).bind(TABLE), "integer labels, >= 0"),
        (lambda: Simplex(groups=[0.5, 1, 1, 1]).bind(TABLE), "integer labels"),
        (lambda: BandLimited(1.5).bind(IMAGE), "cutoff must be an integer.*got 1.5"),
        (lambda: Monotone(axis="x").bind(IMAGE), "axis must be an integer, got 'x'"),
        (lambda: Monotone(falling="no").bind(IMAGE), "falling must be a bool, got 'no'"),
        (lambda: ConvexHull([[1, 2], [1]]).bind(TABLE), "points must have one shape"),
        (lambda: CvxpySet(lambda x: x <= np.zeros(3)).bind(TABLE), r"raised ValueError.*\(4,\)"),
        (lambda: L2Ball(1).project("abc"), "L2Ball: expected real numbers, got 'abc'"),
        (lambda: Box(0, 1).project([1j, 1]), "expected real numbers"),
        (lambda: L2Ball(1, center=np.inf).bind(TABLE), "L2Ball: center must be finite"),
        (lambda: LinfBall(-0.5), "LinfBall: radius must be finite and >= 0"),
        (lambda: Fixed(), "Fixed: say what is held"),
        (lambda: Fixed("age").bind(TABLE), "no value to hold; give value=, or x0= where"),
        (lambda: Fixed("agee", 1).bind(TABLE), "no feature 'agee'.*'age'"),
        (lambda: Linear([1, 2, 3, 4]), "Linear: give lower=, upper=, or both"),
        (lambda: Linear([1, 2, 3], upper=1).bind(TABLE), r"shape \(m, 4\)|4 entries"),
        (lambda: Linear({"agee": 1}, upper=1).bind(TABLE), "no feature 'agee'.*'age'"),
        (lambda: Linear({"age": 1}, upper=1).bind(IMAGE), "feature_names="),
        (lambda: Linear({"age": 1}, 2, 1).bind(TABLE), "lower must be <= upper, got 2 > 1"),
        (lambda: Linear(np.zeros(4), lower=1).bind(TABLE), "row 0 has no coefficient"),
        (lambda: Halfspace(0, 1).bind(TABLE), "normal must be finite and not zero"),
        (lambda: AffineSubspace(np.ones((2, 4)), [1, 2]).bind(TABLE), "contradict each other"),
        (lambda: Ellipsoid(1, -np.eye(4)).bind(TABLE), "positive definite"),
        (lambda: Ellipsoid(1, np.triu(np.ones((4, 4)))).bind(TABLE), "symmetric"),
        (lambda: GroupBall(-1), "GroupBall: radius"),
        (lambda: Simplex(0), "total must be > 0"),
        (lambda: Simplex(groups=[["red", "green"]]).bind(TABLE), "no feature 'green'"),
        (lambda: Simplex(groups=[["red"], ["red"]]).bind(TABLE), "'red' is in two groups"),
        (lambda: Simplex(upper=0.1).bind(TABLE), "add up to 0.6 less than the total 1"),
        (lambda: TotalVariationBall(1, length="l1"), "length must be 'isotropic' or"),
        (lambda: TotalVariationBall(1, where=[0, 1]).bind(TABLE), "whole input; drop where="),
        (lambda: TotalVariationBall(1, axes=2).bind(IMAGE), "no axis 2"),
        (lambda: NuclearNormBall(1).bind(TABLE), r"needs \(h, w\)"),
        (lambda: BandLimited(9).bind(IMAGE), r"cutoff must lie in 1..4 along axis 0, got 9"),
        (lambda: Symmetric("left-rigth"), "Did you mean 'left-right'"),
        (lambda: Symmetric("rotation-90").bind(Layout.of_array((2, 3))), "must be square"),
        (lambda: Monotone(axis=3).bind(IMAGE), "no axis 3"),
        (lambda: MovingRange(-1), "MovingRange: step must be finite and >= 0"),
        (lambda: ConvexHull([]).bind(TABLE), "at least one input"),
        (lambda: ConvexHull(np.ones((2, 3))).bind(TABLE), r"expected shape \(4,\)"),
        (lambda: Cardinality(1.5), "count must be an integer >= 0, got 1.5"),
        (lambda: CvxpySet(3), "expected a function of a cvxpy variable, got int"),
        (lambda: CvxpySet(lambda x: True).bind(TABLE), "constraint 1 of 1 is bool"),
        (lambda: CvxpySet(lambda x: []).bind(TABLE), "returned no constraint"),
        (lambda: CvxpySet(lambda x: cp.norm(x) >= 1).bind(TABLE), r"\(DCP\)"),
        (
            lambda: CvxpySet(lambda x: x <= cp.Variable(4, boolean=True, name="b")).bind(TABLE),
            "'b' is boolean",
        ),
        (lambda: CvxpySet(lambda x: x <= 1, shape=(3, 3)).bind(TABLE), "has 9 entries"),
        (lambda: Intersection([3]), "expected a convex set or SciPy's"),
        (lambda: Intersection([], strategy="fast"), "strategy must be None"),
        (lambda: L2Ball(1).project(np.full(4, np.nan)), "L2Ball.project: the point holds NaN"),
        (
            lambda: Intersection([L2Ball(1)]).bind(TABLE).project(np.zeros(3)),
            r"rows \(B, 4\), got shape \(3,\)",
        ),
        (
            lambda: (
                Intersection([Cardinality(1), L2Ball(1)], strategy="cvxpy")
                .bind(TABLE)
                .project(np.ones(4))
            ),
            "by branch and bound; leave strategy= out",
        ),
    ],
)
def test_bad_input_is_named(write, words: str) -> None:
    with pytest.raises(SpecificationError, match=words):
        write()


def test_words() -> None:
    assert str(L1Ball(60, on="image")) == "L1Ball(60) on 'image'"
    assert Linear({"age": 1, "income": 2.5}, upper=9).describe() == "Linear(age + 2.5 income <= 9)"
    assert str(Linear({"age": 1}, upper=9).bind(TABLE)) == "Linear(age <= 9)"
    assert (
        str(Box([18, 0, 0, 1], [90, 0.5, 1, 1]).bind(TABLE))
        == "Box([18, 0, 0, 1], [90, 0.5, 1, 1])"
    )
    assert str(Box(np.arange(5), 9)) == "Box(array(5,), 9)"
    assert Fixed(["age", "red"], 1).describe() == "Fixed(['age', 'red'], 1)"
    assert str(Box(0, 1, where="age")) == "Box(0, 1) at 'age'"
    assert str(Box(0, 1, where=["age", "red"])) == "Box(0, 1) at ['age', 'red']"
    assert str(Box(0, 1, where=np.arange(784) == 3)) == "Box(0, 1) at entries [3]"
    assert str(Box(0, 1, where=np.arange(5000) > 3)) == "Box(0, 1) at a mask of 4,996"
    heuristic = str(Intersection([Box(0, 1), Cardinality(3)]).bind(TABLE))
    assert heuristic.endswith("Cardinality(3), a heuristic: keeps the k largest gains, O(n)")
    assert Linear(np.ones((2, 4)), upper=1).bind(TABLE).projection_method.startswith("Newton's")
    printed = str(Intersection([Box(0, 1), L1Ball(2)]).bind(TABLE))
    assert "Box(0, 1) ∩ L1Ball(2)" in printed
    assert "root of the dual" in printed


def test_named_features() -> None:
    together = Intersection(
        [
            Linear({"age": 1, "income": 1}, upper=1),
            Simplex(groups=[["red", "blue"]]),
            Fixed("red", 0.25),
        ]
    ).bind(TABLE)
    np.testing.assert_allclose(together.project([1.0, 1.0, 9.0, 9.0]), [0.5, 0.5, 0.25, 0.75])


JSON = [
    (Box(0, None), TABLE),
    (Box([0, -np.inf, 0, 0], 1), TABLE),
    (Box(0, 1, where=["age", "red"]), TABLE),
    (L1Ball(2, center=[1, 2, 3, 4], weights=2), TABLE),
    (L2Ball(1, where=np.array([True, False, True, True])), TABLE),
    (LinfBall(1), TABLE),
    (Fixed(["age"], 0.5), TABLE),
    (Linear({"age": 1, "income": 2}, upper=-9), TABLE),
    (Linear(sp.csr_array(np.eye(4)[:2]), [-np.inf, 0], 1), TABLE),
    (Halfspace([1, 2, 3, 4], 1), TABLE),
    (AffineSubspace([[1, 1, 0, 0], [0, 0, 1, -1]], [1, 0]), TABLE),
    (AffineSubspace(sp.csr_array([[1, 1, 0, 0]]), [1]), TABLE),
    (Ellipsoid(1, np.eye(4) + 0.1), TABLE),
    (GroupBall(1, groups=[0, 0, 1, 1]), TABLE),
    (Simplex(groups=[["red", "blue"]]), TABLE),
    (ConvexHull(np.eye(4)), TABLE),
    (Monotone(falling=True), TABLE),
    (MovingRange(0.5), TABLE),
    (Cardinality(2), TABLE),
    (TotalVariationBall(1, length="anisotropic", axes=(0,)), IMAGE),
    (NuclearNormBall(1), IMAGE),
    (BandLimited((2, 3)), IMAGE),
    (Symmetric("rotation-90"), IMAGE),
    (Intersection([Box(0, 1), L1Ball(2)], strategy="closed"), TABLE),
]


@pytest.mark.parametrize(("one", "layout"), JSON, ids=lambda v: type(v).__name__)
def test_json_restores_a_set_that_projects_alike(one, layout) -> None:
    y = 3 * np.random.default_rng(0).standard_normal((3, layout.size))
    expected = one.bind(layout).project(y)
    assert not np.array_equal(expected, y)
    restored = from_dict(json.loads(json.dumps(one.to_dict())))
    assert restored.describe() == one.describe()
    np.testing.assert_allclose(restored.bind(layout).project(y), expected, atol=1e-9)


def test_json_cannot_hold_a_function() -> None:
    data = json.loads(json.dumps(CvxpySet(lambda x: x <= 1).to_dict()))
    with pytest.raises(SpecificationError, match="holds a function"):
        from_dict(data)
    with pytest.raises(SpecificationError, match="unknown set 'L3Ball'.*'L1Ball'"):
        from_dict({"set": "L3Ball"})


def test_scipy_objects_are_taken_as_they_are() -> None:
    bounds = as_set(scipy.optimize.Bounds([0, 0, -np.inf, 0], 1)).bind(TABLE)
    assert list(bounds.project(np.array([[-5.0, 5.0, -5.0, 0.5]]))[0]) == [0, 1, -5, 0.5]
    row = as_set(scipy.optimize.LinearConstraint(np.ones((1, 4)), -np.inf, 2)).bind(TABLE)
    np.testing.assert_allclose(row.project(np.ones((1, 4))), np.full((1, 4), 0.5))
    pairs = box_from_bounds([(0, None), (None, 1), (0, 1), (2, 2)], TABLE).bind(TABLE)
    assert list(pairs.project(np.array([[-5.0, 5.0, 5.0, 5.0]]))[0]) == [0, 1, 1, 2]
    pair = box_from_bounds((0, 1), IMAGE).bind(IMAGE)
    assert list(pair.project(np.full((1, 16), 3.0))[0]) == [1.0] * 16
    with pytest.raises(SpecificationError, match="4 entries, got 3 pairs"):
        box_from_bounds([(0, 1)] * 3, TABLE)


def test_an_unbound_set_projects_a_bare_array() -> None:
    image = np.arange(16.0).reshape(4, 4)
    p = L2Ball(1.0).project(image)
    assert p.shape == (4, 4)
    np.testing.assert_allclose(p, image / np.linalg.norm(image))
    assert Symmetric("up-down").project(image)[0, 0] == 6.0  # the mean of 0 and 12


MOVED = [
    lambda c: L1Ball(2, c),
    lambda c: L2Ball(2, c),
    lambda c: LinfBall(0.5, c),
    lambda c: GroupBall(2, center=c),
    lambda c: Ellipsoid(2, 0.5, c),
    lambda c: NuclearNormBall(2, c),
    lambda c: TotalVariationBall(2, c),
]


@pytest.mark.parametrize("make", MOVED)
def test_a_set_with_a_center_is_the_same_set_moved(make) -> None:
    rng = np.random.default_rng(5)
    c, y = rng.integers(-8, 8, 16) / 4.0, rng.integers(-40, 40, (1, 16)) / 4.0
    moved = make(c.reshape(4, 4)).bind(IMAGE).project(y + c)
    np.testing.assert_allclose(moved - c, make(0.0).bind(IMAGE).project(y), atol=1e-4)


def test_the_law_catches_a_wrong_projection() -> None:
    class Shrunk(L2BallKernel):
        def project(self, x):
            return 0.5 * super().project(x)

    class ClippedAfter(IntersectionKernel):
        """The projection on one set, then on the other: 0.7 to 4.4 % too far."""

        def project(self, x):
            return np.clip(self.members[1].project(x), 0, 1)

    y = 2 * np.random.default_rng(0).standard_normal((4, 9))
    with pytest.raises(AssertionError, match="idempotent|inside is moved"):
        check_convex_set(Shrunk(np.zeros(9), 1.0), y)
    layout = Layout.of_array((9,))
    wrong = ClippedAfter((Box(0, 1).bind(layout), L1Ball(1).bind(layout)), layout)
    with pytest.raises(AssertionError, match="not the nearest|idempotent"):
        check_convex_set(wrong, y)


def test_huge_points_end_inside_to_rounding() -> None:
    # A step of 1e16 left Box ∩ L1(60.5) violated by 0.38 before the last step inside.
    rng = np.random.default_rng(0)
    layout = Layout.of_array((784,))
    for one in (
        L1Ball(60.5, rng.uniform(size=784)),
        L2Ball(3.3, rng.uniform(size=784)),
        Linear(rng.standard_normal(784), -1, 1),
        Simplex(7.0),
    ):
        together = Intersection([Box(0, 1), one]).bind(layout)
        p = together.project(1e16 * rng.standard_normal((4, 784)))
        assert np.max(together.violation(p)) <= 1e-12


def test_importing_sets_loads_neither_cvxpy_nor_tensorflow() -> None:
    code = (
        "import sys, constrained_actmax.sets as s, numpy as np;"
        "s.Intersection([s.Box(0, 1), s.L1Ball(1)]).project(np.ones(9));"
        "assert not {'cvxpy', 'tensorflow', 'scipy.optimize'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("one", [BandLimited(3), TotalVariationBall(1.0)], ids=str)
def test_a_signal_with_one_channel_is_a_signal(one: ConvexSet) -> None:
    x = np.random.default_rng(0).standard_normal((2, 12))
    plain, channel = one.bind(Layout.of_array((12,))), one.bind(Layout.of_array((12, 1)))
    np.testing.assert_allclose(channel.project(x), plain.project(x), atol=1e-3)
    assert np.abs(channel.project(x) - x).max() > 0.1
