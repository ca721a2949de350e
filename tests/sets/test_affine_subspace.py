"""Affine subspaces, with rows that depend on each other."""

from __future__ import annotations

from sample_sets import CLOSED, Draw, laws

import constrained_actmax as cax


def affine_subspace(draw: Draw) -> list[cax.ConvexSet]:
    rows = int(draw.rng.integers(1, max(2, draw.n // 3)))
    A = draw.rng.normal(size=(rows, draw.n))
    A[-1] = A[0]  # a dependent row
    return [cax.AffineSubspace(A, A @ draw.vector())]


test_laws, test_agrees_with_cvxpy = laws(CLOSED, affine_subspace)
