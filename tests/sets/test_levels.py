"""Levels: values that are one but for rounding."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from constrained_actmax.layout import Layout
from constrained_actmax.sets import (
    Box,
    Cardinality,
    Intersection,
    Levels,
)


@given(
    start=st.integers(-50, 50), count=st.integers(2, 40), step=st.sampled_from([0.1, 0.3, 0.7, 1.1])
)
@settings(max_examples=10, deadline=None)
def test_values_that_differ_by_the_rounding_of_a_sum_are_one(
    start: int, count: int, step: float
) -> None:
    summed = np.cumsum(np.append(start * step, np.full(count - 1, step)))  # rounds at every step
    wanted = [float(f"{(start + k) * step:.12g}") for k in range(count)]  # as a user writes them
    levels = Levels(None, summed)
    for k in (0, count // 2, count - 1):
        held = Intersection([levels, Box(wanted[k], wanted[k])]).bind(Layout.of_array((1,)))
        assert held.project(np.zeros(1)) == wanted[k]
        assert held.relative_violation(np.array([wanted[k]])) == 0.0
    whole = Intersection([levels, Box(wanted[0], wanted[-1])]).bind(Layout.of_array((1,)))
    rows = whole.combinations(count)
    assert rows is not None
    np.testing.assert_allclose(rows[:, 0], wanted, rtol=1e-12, atol=1e-12)
    between = wanted[0] + 1e-6 * step
    assert whole.relative_violation(np.array([between])) > whole.tolerance
    if wanted[0] != 0.0:
        few = Intersection([levels, Cardinality(1, center=wanted[0])]).bind(Layout.of_array((2,)))
        x = few.project(np.array([wanted[0], wanted[-1]]))
        assert x.tolist() == pytest.approx([wanted[0], wanted[-1]])
