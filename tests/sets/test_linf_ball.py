"""L-infinity balls."""

from __future__ import annotations

from sample_sets import CLOSED, Draw, laws

import constrained_actmax as cax


def linf(draw: Draw) -> list[cax.ConvexSet]:
    return [cax.LinfBall(draw.slack(), center=draw.vector())]


test_laws, test_agrees_with_cvxpy = laws(CLOSED, linf)
