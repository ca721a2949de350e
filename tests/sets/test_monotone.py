"""Monotone sequences."""

from __future__ import annotations

from sample_sets import CLOSED, Draw, laws

import constrained_actmax as cax


def monotone(draw: Draw) -> list[cax.ConvexSet]:
    return [cax.Monotone(falling=bool(draw.rng.integers(2)))]


test_laws, test_agrees_with_cvxpy = laws(CLOSED, monotone)
