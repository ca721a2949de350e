"""Group balls of vectors and of images."""

from __future__ import annotations

from sample_sets import CLOSED, Draw, laws

import constrained_actmax as cax


def group_ball(draw: Draw) -> list[cax.ConvexSet]:
    groups = draw.rng.integers(0, max(1, draw.n // 3), draw.n)
    return [cax.GroupBall(draw.slack(), groups, draw.vector())]


def image_groups(draw: Draw) -> list[cax.ConvexSet]:
    return [cax.GroupBall(draw.slack())]


test_laws, test_agrees_with_cvxpy = laws(CLOSED, group_ball, image_groups)
