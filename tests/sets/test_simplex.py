"""Simplices: totals that cannot be."""

from __future__ import annotations

import pytest

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
