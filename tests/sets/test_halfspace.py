"""Halfspaces."""

from __future__ import annotations

from sample_sets import CLOSED, Draw, laws

import constrained_actmax as cax


def halfspace(draw: Draw) -> list[cax.ConvexSet]:
    a = draw.vector()
    a[0] = 1.0
    return [cax.Halfspace(a, draw.rng.normal())]


test_laws, test_agrees_with_cvxpy = laws(CLOSED, halfspace)
