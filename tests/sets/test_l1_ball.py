"""L1 balls: linear maxima where rates are equal."""

from __future__ import annotations

import numpy as np
from sample_sets import CLOSED, Draw, laws

import constrained_actmax as cax
from constrained_actmax.layout import Layout
from constrained_actmax.sets import (
    Box,
    Intersection,
    L1Ball,
)

LAYOUT = Layout.of_array((9,))


def test_linear_maximizer_of_ties_is_a_vertex() -> None:
    together = Intersection([Box(0, 1), L1Ball(2.5)]).bind(LAYOUT)
    found = together.linear_maximizer(np.ones(9))
    assert sorted(found)[::-1] == [1, 1, 0.5, 0, 0, 0, 0, 0, 0]


def l1(draw: Draw) -> list[cax.ConvexSet]:
    return [cax.L1Ball(draw.slack(), center=draw.vector())]


def weighted_l1(draw: Draw) -> list[cax.ConvexSet]:
    return [cax.L1Ball(draw.slack(), draw.vector(), weights=draw.rng.uniform(0.1, 3, draw.n))]


test_laws, test_agrees_with_cvxpy = laws(CLOSED, l1, weighted_l1)
