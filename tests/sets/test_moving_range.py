"""Sequences whose steps are bounded."""

from __future__ import annotations

from sample_sets import SOLVED, Draw, laws

import constrained_actmax as cax


def moving_range(draw: Draw) -> list[cax.ConvexSet]:
    return [cax.Box(-3, 3), cax.MovingRange(draw.slack())]


test_laws, test_agrees_with_cvxpy = laws(SOLVED, moving_range)
