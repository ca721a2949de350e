"""Linear rows: each by its own numbers, columns in unlike units."""

from __future__ import annotations

import numpy as np
import pytest
from sample_sets import CLOSED, JOINT, Draw, laws

import constrained_actmax as cax
from constrained_actmax.errors import SpecificationError
from constrained_actmax.sets import (
    Box,
    Intersection,
    Linear,
)


def test_a_row_is_judged_by_its_own_numbers() -> None:
    both = Linear(np.diag([1.0, 1.0]), upper=[1e5, 1e-6])
    assert both.relative_violation([0.0, 2e-6]) == pytest.approx(0.5)
    assert both.relative_violation([2e5, 0.0]) == pytest.approx(0.5)


def test_unlike_units_are_no_reason_to_call_a_set_empty() -> None:
    units = np.array([1e6, 1.0, 1e-3, 1e3, 1.0, 1e-2])
    y = np.array([1.0, 0.5, 2.5, 0.7, 1.9, 0.2])
    A = np.random.default_rng(2).normal(size=(3, 6)) * np.array([[1e4], [1.0], [1e-5]])
    rows = Linear(A / units, A @ y, A @ y)
    x = Intersection([Box(0, 2.5 * units), rows]).project(units * [2.0, 0.1, 1.0, 1.0, 2.4, 1.3])
    assert np.all(np.abs(A @ (x / units - y)) <= 1e-7 * np.abs(A).sum(axis=1))


def test_a_name_that_is_no_text_is_a_name_that_the_input_lacks() -> None:
    with pytest.raises(SpecificationError, match="need feature_names="):
        Linear({0: 1.0, 2: 0.5}, lower=1).project(np.zeros(3))


def one_row(draw: Draw) -> list[cax.ConvexSet]:
    a, middle = draw.vector(), draw.rng.normal()
    a[0] = 1.0
    return [cax.Linear(a, middle, middle + draw.slack())]


def rows_that_share_entries(draw: Draw) -> list[cax.ConvexSet]:
    A = draw.rng.normal(size=(3, draw.n))
    z = draw.vector()
    return [cax.Linear(A, A @ z - draw.slack(), A @ z + draw.slack())]


test_laws, test_agrees_with_cvxpy = laws(CLOSED, one_row)
test_laws_of_couplings, test_agrees_with_cvxpy_of_couplings = laws(JOINT, rows_that_share_entries)
