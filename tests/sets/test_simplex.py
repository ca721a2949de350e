"""Simplices: totals that cannot be."""

from __future__ import annotations

import pytest
from sample_sets import CLOSED, Draw, laws

import constrained_actmax as cax
from constrained_actmax.errors import InfeasibleError
from constrained_actmax.layout import Layout
from constrained_actmax.sets import (
    Box,
    Intersection,
    Simplex,
)

TABLE = Layout.of_array((4,))


def test_an_impossible_total_is_infeasible_not_misprojected() -> None:
    with pytest.raises(InfeasibleError, match="Simplex"):
        Intersection([Simplex(5.0), Box(0, 1)]).bind(TABLE)


def simplex(draw: Draw) -> list[cax.ConvexSet]:
    return [cax.Simplex(draw.rng.uniform(0.1, 50), upper=draw.rng.uniform(50, 60, draw.n))]


test_laws, test_agrees_with_cvxpy = laws(CLOSED, simplex)
