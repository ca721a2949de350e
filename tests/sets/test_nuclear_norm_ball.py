"""Nuclear-norm balls."""

from __future__ import annotations

from sample_sets import CLOSED, Draw, laws

import constrained_actmax as cax


def image_nuclear_norm(draw: Draw) -> list[cax.ConvexSet]:
    return [cax.NuclearNormBall(draw.slack(), draw.vector().reshape(draw.shape))]


test_laws, test_agrees_with_cvxpy = laws(CLOSED, image_nuclear_norm)
