"""Held entries."""

from __future__ import annotations

from sample_sets import CLOSED, Draw, laws

import constrained_actmax as cax


def fixed(draw: Draw) -> list[cax.ConvexSet]:
    mask = draw.rng.random(draw.n) < 0.5
    mask[0] = True
    return [cax.Fixed(mask, draw.vector())]


test_laws, test_agrees_with_cvxpy = laws(CLOSED, fixed)
