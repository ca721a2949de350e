"""Few changes: the largest gains, groups in any order."""

from __future__ import annotations

import numpy as np
import pytest

import constrained_actmax as cax
from constrained_actmax.conformance import check_convex_set
from constrained_actmax.layout import Layout
from constrained_actmax.sets import (
    Box,
    Cardinality,
    Integers,
    Intersection,
    Linear,
)

TABLE = Layout.of_array((4,))


def test_cardinality_keeps_the_largest_gains_and_is_labelled() -> None:
    together = Intersection([Box(0, 1), Cardinality(2)]).bind(TABLE)
    # Entry 3 is largest but negative: clipped to 0 it gains nothing.
    assert list(together.project([0.9, 0.4, 5.0, -9.0])) == [0.9, 0, 1, 0]
    assert not together.convex
    assert "heuristic" in str(together)
    check_convex_set(together, np.random.default_rng(0).standard_normal((5, 4)))


@pytest.mark.parametrize("groups", [[0, 0, 1, 1], [1, 1, 0, 0], [0, 1, 0, 1], [1, 1, 2, 0]])
def test_the_order_of_group_labels_changes_nothing(groups: list[int]) -> None:
    A = np.array([[4.0, 3, -1, -3], [-3, 5, -5, 2]])
    center = np.array([-1.0, 0, 1, 0])
    rows = Linear(A, lower=A @ center, upper=A @ center)
    few = Cardinality(1, center=center, groups=groups)
    x = cax.Intersection([Box(-1, 1), Integers(), few, rows]).project(
        np.array([0.3, 0.4, 0.5, 0.6])
    )
    np.testing.assert_allclose(A @ x, A @ center, atol=1e-9)  # the center itself is feasible
    assert set(x) <= {-1.0, 0.0, 1.0}
    changed = x != center
    assert len(set(np.array(groups)[changed])) <= 1
