"""Bounds: each entry by its own width, bounds that touch."""

from __future__ import annotations

import numpy as np
import pytest
from sample_sets import CLOSED, Draw, laws

import constrained_actmax as cax
from constrained_actmax.layout import Layout
from constrained_actmax.sets import (
    Box,
    Intersection,
)


def test_an_entry_is_judged_by_its_own_width() -> None:
    pressure_and_gap = Box([0.0, 0.0, 0.0, 5.0], [1e5, 1e-6, np.inf, 5.0])
    assert pressure_and_gap.relative_violation([0.0, 2e-6, 0.0, 5.0]) == pytest.approx(1.0)
    assert pressure_and_gap.relative_violation([1e5 + 1.0, 0.0, 0.0, 5.0]) == pytest.approx(1e-5)
    assert pressure_and_gap.relative_violation([0.0, 0.0, 0.0, 5.05]) == pytest.approx(0.01)
    assert pressure_and_gap.relative_violation([0.0, 0.0, -3.0, 5.0]) == 1.0
    assert pressure_and_gap.relative_violation([1.0, 1e-6, 3.0, 5.0]) == 0.0


def test_bounds_that_touch_but_for_rounding_are_one_bound() -> None:
    a, b = 0.1 + 0.2, 0.3
    assert a > b
    touching = Intersection([Box(a, 1), Box(0, b)]).bind(Layout.of_array((2,)))
    assert touching.relative_violation(touching.project([5.0, -5.0])) <= 1e-12


def box(draw: Draw) -> list[cax.ConvexSet]:
    return [cax.Box(*draw.bounds())]


test_laws, test_agrees_with_cvxpy = laws(CLOSED, box)
