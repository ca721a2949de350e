"""Ellipsoids, of matrices and of variances."""

from __future__ import annotations

import numpy as np
from sample_sets import CLOSED, Draw, laws

import constrained_actmax as cax


def ellipsoid(draw: Draw) -> list[cax.ConvexSet]:
    root = draw.rng.normal(size=(draw.n, draw.n))
    return [cax.Ellipsoid(draw.slack(), root @ root.T + np.eye(draw.n), draw.vector())]


def ellipsoid_of_variances(draw: Draw) -> list[cax.ConvexSet]:
    return [cax.Ellipsoid(draw.slack(), draw.rng.uniform(1e-3, 10, draw.n), draw.vector())]


test_laws, test_agrees_with_cvxpy = laws(CLOSED, ellipsoid, ellipsoid_of_variances)
