"""Symmetric signals and images."""

from __future__ import annotations

from sample_sets import CLOSED, Draw, laws

import constrained_actmax as cax


def symmetric(draw: Draw) -> list[cax.ConvexSet]:
    return [cax.Symmetric("left-right")]


def image_symmetries(draw: Draw) -> list[cax.ConvexSet]:
    return [cax.Box(-1, 1), cax.Symmetric(str(draw.rng.choice(cax.Symmetric.KINDS)))]


test_laws, test_agrees_with_cvxpy = laws(CLOSED, symmetric, image_symmetries)
