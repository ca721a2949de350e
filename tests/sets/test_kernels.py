"""What is special about kernels: many boxes at once, sets asked without a layout."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from constrained_actmax.kernels.kernel import Kernel
from constrained_actmax.layout import Layout
from constrained_actmax.sets import Box, ConvexSet, L1Ball, L2Ball, MovingRange, Simplex, Symmetric

N = 6
CLOSED: dict[str, ConvexSet] = {
    "l1": L1Ball(1.5, center=np.linspace(-0.5, 0.5, N)),
    "l1, weights": L1Ball(2.0, weights=np.arange(1.0, N + 1.0)),
    "l2": L2Ball(1.2, center=np.linspace(-0.5, 0.5, N)),
    "simplex": Simplex(1.5, groups=[0, 0, 0, 1, 1, -1]),
    "symmetric": Symmetric("left-right"),
}


def bound(name: str) -> Kernel:
    return CLOSED[name].bind(Layout.of_array((N,)))


def boxes(name: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return boxes (5, n) round points of the set: each meets it."""
    rng = np.random.default_rng(seed)
    inside = bound(name).project(rng.normal(size=(5, N)))
    lower = inside - rng.uniform(0.0, 0.6, size=(5, N))
    return lower, inside + rng.uniform(0.0, 0.6, size=(5, N))


@pytest.mark.parametrize("name", CLOSED)
@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=10, deadline=None)
def test_support_points_in_many_boxes_are_those_in_each(name: str, seed: int) -> None:
    kernel, (lower, upper) = bound(name), boxes(name, seed)
    g = np.random.default_rng(seed).normal(size=(5, N))
    found = kernel.linear_maximizer_in_box(g, lower, upper)
    assert found is not None
    for row in range(5):
        alone = kernel.linear_maximizer_in_box(g[[row]], lower[row], upper[row])
        assert alone is not None
        np.testing.assert_allclose(found[[row]], alone, rtol=0, atol=1e-12)
    # Inside, and no point of the set in the box lies farther along g.
    assert np.max(kernel.relative_violation(found)) <= 1e-12
    assert np.all((found >= lower - 1e-12) & (found <= upper + 1e-12))
    for row in range(5):
        pair = kernel.in_box(lower[row], upper[row])
        assert pair is not None
        others = pair.project(np.random.default_rng(seed).normal(size=(20, N)))
        assert np.all(others @ g[row] <= found[row] @ g[row] + 1e-9)


def test_a_set_without_a_layout_is_bound_once_for_each_shape(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shapes: list[int] = []
    bind = L2Ball.bind

    def counted(self: L2Ball, layout: Layout) -> Kernel:
        shapes.append(layout.size)
        return bind(self, layout)

    monkeypatch.setattr(L2Ball, "bind", counted)
    ball = L2Ball(1.0)
    for x in (np.ones(3), np.ones(4), np.ones(3), np.ones((2, 2))):
        assert np.linalg.norm(ball.project(x)) == pytest.approx(1.0)
        assert ball.violation(x) == pytest.approx(np.sqrt(x.size) - 1.0)
    assert shapes == [3, 4, 4]


@pytest.mark.parametrize("one", [L2Ball(1.0), MovingRange(0.5), Box(0, 1)], ids=str)
def test_a_set_that_was_asked_can_travel(one: ConvexSet) -> None:
    x = np.array([3.0, 0.0, -1.0])
    expected = one.project(x)  # by cvxpy, which cannot be pickled, for one of them
    for other in (pickle.loads(pickle.dumps(one)), copy.deepcopy(one)):
        np.testing.assert_allclose(other.project(x), expected, atol=1e-9)
