"""Whole numbers, levels, categories, few changes: nearest points by brute force, claims, words."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import constrained_actmax as cax
from constrained_actmax.conformance import check_convex_set
from constrained_actmax.errors import InfeasibleError, SpecificationError
from constrained_actmax.kernels.intersection import IntersectionKernel, together
from constrained_actmax.kernels.kernel import Kernel
from constrained_actmax.layout import Input, Layout
from constrained_actmax.sets import (
    Box,
    Cardinality,
    ConvexSet,
    Integers,
    Intersection,
    L1Ball,
    L2Ball,
    Levels,
    Linear,
    LinfBall,
    OneHot,
    Simplex,
    from_dict,
)

FOUR = Layout((Input("x", (4,), ("age", "red", "green", "blue")),))
VALUES = (-1.5, 0.25, 2.0)
COLOURS = [["red", "green", "blue"]]

numbers = st.floats(-4, 4, allow_nan=False, width=32)
points = st.lists(numbers, min_size=4, max_size=4).map(np.array)


def lattice(low: float, high: float) -> list[float]:
    return [float(k) for k in range(int(np.ceil(low)), int(np.floor(high)) + 1)]


def one_hot(dropped: bool) -> list[tuple[float, ...]]:
    none = [(0.0, 0.0, 0.0)] if dropped else []
    return [*map(tuple, np.eye(3).tolist()), *none]


def product(*parts: Sequence[float]) -> np.ndarray:
    return np.array(list(itertools.product(*parts))).reshape(-1, len(parts))


INTEGERS = product(*[lattice(-5, 5)] * 4)
LEVELS = product(*[VALUES] * 4)
COLOURED = np.array([(age, *hot) for age in lattice(-5, 5) for hot in one_hot(False)])

#: Sets of discrete points alone, and all of these points that lie near the origin.
FINITE: dict[str, tuple[list[ConvexSet], np.ndarray]] = {
    "integers": ([Integers()], INTEGERS),
    "integers, box": ([Box(-2.5, 1.7), Integers()], product(*[lattice(-2.5, 1.7)] * 4)),
    "levels": ([Levels(None, VALUES)], LEVELS),
    "levels, box": ([Levels(None, VALUES), Box(-1, 9)], product(*[VALUES[1:]] * 4)),
    "one-hot": ([OneHot(COLOURS), Integers(["age"])], COLOURED),
    "one-hot, dropped": (
        [OneHot(COLOURS, dropped=True), Levels(["age"], VALUES)],
        np.array([(age, *hot) for age in VALUES for hot in one_hot(True)]),
    ),
    "one-hot, box": (
        [OneHot(COLOURS), Integers(["age"]), Box(0, [2, 0.5, 1, 1])],
        np.array([(age, *hot) for age in (0.0, 1.0, 2.0) for hot in one_hot(False)[1:]]),
    ),
    "integers, l1": (
        [Integers(), L1Ball(2.4)],
        INTEGERS[np.abs(INTEGERS).sum(axis=1) <= 2.4],
    ),
    "integers, l2, box": (
        [Integers(), L2Ball(1.83, center=0.4), Box(-1, 2)],
        INTEGERS[
            (np.linalg.norm(INTEGERS - 0.4, axis=1) <= 1.83)
            & (np.abs(INTEGERS - 0.5) <= 1.5).all(1)
        ],
    ),
    "integers, rows": (
        [Integers(), Box(-2, 3), Linear([1, 2, -1, 3], 1.5, 4.5)],
        product(*[lattice(-2, 3)] * 4)[
            np.abs(product(*[lattice(-2, 3)] * 4) @ [1, 2, -1, 3] - 3.0) <= 1.5
        ],
    ),
    "integers, total": (
        [Integers(), Simplex(3)],
        INTEGERS[(INTEGERS.sum(axis=1) == 3) & (INTEGERS >= 0).all(axis=1)],
    ),
    "levels, linf": (
        [Levels(None, VALUES), LinfBall(1.75, center=0.2)],
        LEVELS[(np.abs(LEVELS - 0.2) <= 1.75).all(axis=1)],
    ),
    "integers, few changes": (
        [Integers(), Box(-2, 2), Cardinality(2, center=[0, 1, 0, -1])],
        product(*[lattice(-2, 2)] * 4)[
            (product(*[lattice(-2, 2)] * 4) != [0, 1, 0, -1]).sum(axis=1) <= 2
        ],
    ),
    "a change of category counts once": (
        [
            OneHot(COLOURS),
            Integers(["age"]),
            Cardinality(1, center=[2, 1, 0, 0], groups=COLOURS),
        ],
        COLOURED[(COLOURED[:, 0] != 2).astype(int) + (COLOURED[:, 1] != 1) <= 1],
    ),
}


@pytest.mark.parametrize("name", FINITE)
@given(y=points)
@settings(max_examples=8, deadline=None)
def test_the_projection_is_the_nearest_of_all_points(name: str, y: np.ndarray) -> None:
    members, every = FINITE[name]
    whole = Intersection(members).bind(FOUR)
    p = whole.project(y)
    least = np.min(np.sum((every - y) ** 2, axis=1))
    assert np.any(np.all(every == p, axis=1))  # exactly: whole numbers are whole
    assert np.sum((p - y) ** 2) <= least + 1e-9
    assert whole.relative_violation(p) == 0.0


@pytest.mark.parametrize("name", FINITE)
@given(y=points)
@settings(max_examples=5, deadline=None)
def test_violations_hull_and_neighbours_agree_with_all_points(name: str, y: np.ndarray) -> None:
    members, every = FINITE[name]
    whole = Intersection(members).bind(FOUR)
    assert np.all(whole.relative_violation(every) == 0.0)
    off = every[0] + np.where(np.arange(4) == 0, 1e-9, 0.0)
    assert whole.relative_violation(off) > whole.tolerance
    assert whole.discrete
    assert not whole.convex
    assert whole.hull.convex
    assert np.max(whole.hull.relative_violation(every)) <= 1e-9
    x = whole.project(y)
    part = whole.part_at(x)
    assert part is not None
    assert part.convex
    assert part.relative_violation(x) == 0.0
    lower, upper = whole.bounds()
    for one, at in whole.union.discrete:
        moved = one.neighbours(x[at], lower[at], upper[at])
        assert np.all(np.any(moved != x[at], axis=1))
        repaired, of = one.repaired(moved, x[at])
        assert np.all(one.violation(repaired) == 0.0)
        assert np.all((repaired == moved[of]) | (moved[of] == x[at]))  # its move is kept
        low, high = one.piece(x[at])
        assert np.array_equal(low[one.held], high[one.held])
    low, high = whole.piece(x)
    assert not whole.choices_are_points or np.array_equal(low, high)


def test_branches_leave_out_their_point_and_nothing_else() -> None:
    rng = np.random.default_rng(3)
    box = np.full(4, -2.0), np.full(4, 2.0)
    for kind in (Integers(), Levels(None, VALUES), OneHot(), OneHot(dropped=True), Cardinality(2)):
        one = kind.bind(Layout.of_array((4,)))
        inside = one.project(rng.uniform(-2, 2, (60, 4)))
        inside = inside[np.all(np.abs(inside) <= 2, axis=1)]
        hull = Intersection([Box(*box), kind]).bind(Layout.of_array((4,))).hull
        for p in hull.project(rng.uniform(-2, 2, (20, 4))):
            if one.violation(p[np.newaxis]) < 1e-9:
                continue
            boxes = one.branches(p, *box)
            assert boxes
            held = [np.all((inside >= low) & (inside <= high), axis=1) for low, high in boxes]
            assert np.any(held, axis=0).all()
            assert not any(np.all((p >= low) & (p <= high)) for low, high in boxes)


MIXED: dict[str, list[ConvexSet]] = {
    "l2": [Integers([0, 1]), L2Ball(1.7)],
    "l1": [Integers([0, 1]), Box(-3, 3), L1Ball(2.2)],
    "row": [Levels([0, 1], VALUES), Box(-3, 3), Linear([1, 1, 1, 1], 0.3, 0.7)],
    "few": [Integers([0, 1]), Box(-2, 2), Cardinality(2, center=0.0), L2Ball(1.9)],
    "hot": [OneHot([0, 0, -1, -1]), Box(-1, 1), Linear([1, 2, 3, 4], upper=1.0)],
}


@pytest.mark.parametrize("name", MIXED)
def test_other_entries_are_projected_with_the_discrete_ones(name: str) -> None:
    layout = Layout.of_array((4,))
    whole = Intersection(MIXED[name]).bind(layout)
    rng = np.random.default_rng(0)
    y = rng.uniform(-2, 2, (4, 4))
    check_convex_set(whole, y)
    p = whole.project(y)
    # Every discrete choice held, the rest projected on what is left of the convex set.
    choices = list(itertools.product(*[sorted({*lattice(-2, 2), *VALUES})] * 2))
    for row, found in zip(y, p, strict=True):
        least = np.inf
        for choice in choices:
            at = np.array([[*choice, 0.0, 0.0]])
            if any(one.core.violation(at[:, one.support[:2]]) for one in pure(whole, name)):
                continue
            for free in ([2, 3], [2], [3], []) if name == "few" else ([2, 3],):
                if name == "few" and np.count_nonzero(choice) + len(free) > 2:
                    continue
                held = np.isin(np.arange(4), [0, 1, *free], invert=True)
                low = np.where(held, 0.0, -np.inf)
                high = np.where(held, 0.0, np.inf)
                low[:2] = high[:2] = choice
                try:
                    held_box = Box(low, high).bind(layout)
                    part = together([held_box, *whole.union.convex, *boxes(whole)])
                    q = part.project(row)
                except InfeasibleError:
                    continue
                least = min(least, float(np.sum((q - row) ** 2)))
        assert np.sum((found - row) ** 2) <= least * (1 + 1e-7) + 1e-9


def pure(whole: IntersectionKernel, name: str) -> list[Kernel]:
    """Return the discrete members on the first two entries."""
    parts = [part for one in whole.members if not one.convex for part in one.split()]
    return [one for one in parts if set(one.support.tolist()) <= {0, 1}]


def boxes(whole: IntersectionKernel) -> list[Kernel]:
    return [one for one in whole.members if one.is_box]


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ([Box(2.2, 2.8), Integers(["age"])], "'age'.*no whole number between 2.2 and 2.8"),
        ([Levels(["red"], [1, 2]), Box(1.2, 1.8)], "'red'.*none of the values lies between 1.2"),
        ([OneHot(COLOURS), Box(0, [9, 0.5, 0.5, 0.5])], "the bounds leave no category"),
        ([Integers(), Linear([2, 2, 2, 2], 1, 1), Box(0, 1)], "no choice of the discrete values"),
        ([Integers(), L2Ball(0.4, center=0.5)], "no choice of the discrete values"),
        ([OneHot(COLOURS), Cardinality(0, center=[0, 1, 1, 0])], "no choice of the discrete"),
    ],
)
def test_an_empty_set_names_what_clashes(members: list[ConvexSet], words: str) -> None:
    with pytest.raises(InfeasibleError, match=words):
        Intersection(members).bind(FOUR)


@pytest.mark.parametrize(
    ("write", "words"),
    [
        (lambda: Levels(["age"], []), "values must be finite numbers, at least one"),
        (lambda: Levels(["age"]), "say which values are allowed"),
        (lambda: Levels(["age"], [1, np.nan]), "values must be finite numbers"),
        (lambda: Integers(["agee"]).bind(FOUR), "no feature 'agee'.*'age'"),
        (lambda: OneHot([["red", "gren"]]).bind(FOUR), "OneHot: no feature 'gren'"),
        (lambda: OneHot(dropped="no"), "dropped must be True or False"),
        (lambda: Cardinality(1, groups=[["red"], ["red"]]).bind(FOUR), "in two groups"),
        (lambda: Integers().linear_maximizer(np.ones(3)), "not convex"),
        (lambda: Integers().bind(FOUR).to_cvxpy(None), "cvxpy cannot write it"),
    ],
)
def test_bad_input_says_the_rule(write: Callable[[], object], words: str) -> None:
    with pytest.raises(SpecificationError, match=words):
        write()


@pytest.mark.parametrize("name", FINITE)
def test_json_restores_a_discrete_set(name: str) -> None:
    members, _ = FINITE[name]
    y = np.random.default_rng(0).uniform(-3, 3, (6, 4))
    whole = Intersection(members)
    restored = from_dict(json.loads(json.dumps(whole.to_dict())))
    np.testing.assert_array_equal(restored.bind(FOUR).project(y), whole.bind(FOUR).project(y))


@pytest.mark.parametrize("method", ["spg", "pgd", "successive-halving"])
def test_no_residual_is_called_convergence_and_whole_numbers_are_whole(method: str) -> None:
    target = np.array([13.3, 0.21, 700.2])
    oracle = cax.FunctionOracle(
        lambda x: (float(np.sum((x / target - 1) ** 2)), 2 * (x / target - 1) / target), (3,)
    )
    allowed = [Box(0, [30, 1, 1000]), Integers([0, 2]), Levels([1], [0.1, 0.3, 0.7])]
    result = cax.minimize(oracle, constraints=allowed, method=method, seed=0)
    assert result.feasible
    assert not result.success
    assert result.status is cax.Status.STALLED
    assert result.x[[0, 2]].tolist() == np.round(result.x[[0, 2]]).tolist()
    assert result.x[1] in (0.1, 0.3, 0.7)


def test_a_point_of_levels_but_for_rounding_is_put_on_them() -> None:
    members, every = FINITE["levels, linf"]
    near = np.nextafter(every[:5], np.inf)
    np.testing.assert_array_equal(Intersection(members).bind(FOUR).project(near), every[:5])
