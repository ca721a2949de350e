"""Whole numbers: bounds that are whole but for rounding."""

from __future__ import annotations

import numpy as np

from constrained_actmax.sets import (
    Box,
    Integers,
    Intersection,
)


def test_a_bound_that_is_whole_but_for_rounding_is_whole() -> None:
    allowed = Intersection([Integers(), Box(-3 * (0.1 + 0.2) / 0.3, 0.1 * 3 / 0.1 - 4e-16)])
    x = allowed.project(np.array([9.0, -9.0]))
    assert x.tolist() == [3.0, -3.0]
