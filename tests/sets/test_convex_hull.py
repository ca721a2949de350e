"""Convex hulls, with a corner that stands twice."""

from __future__ import annotations

import numpy as np
from sample_sets import CLOSED, Draw, laws

import constrained_actmax as cax


def convex_hull(draw: Draw) -> list[cax.ConvexSet]:
    corners = draw.rng.normal(size=(int(draw.rng.integers(1, 12)), draw.n))
    return [cax.ConvexHull(np.concatenate([corners, corners[:1]]))]  # one of them twice


test_laws, test_agrees_with_cvxpy = laws(CLOSED, convex_hull)
