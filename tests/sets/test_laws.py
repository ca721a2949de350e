"""The laws of projections, for the intersections that users write most."""

from __future__ import annotations

import numpy as np
from sample_sets import CLOSED, JOINT, Draw, laws

import constrained_actmax as cax


def box_l1(draw: Draw) -> list[cax.ConvexSet]:
    lower, upper = draw.bounds()
    c, w = draw.vector(), draw.rng.uniform(0.1, 3, draw.n)
    weights = w if draw.rng.random() < 0.5 else np.ones(draw.n)
    radius = weights @ np.abs(np.clip(c, lower, upper) - c) * (1 + 1e-15) + draw.slack()
    return [
        cax.Box(lower, upper),
        cax.L1Ball(radius, c, weights=weights),
    ]


def box_l2(draw: Draw) -> list[cax.ConvexSet]:
    lower, upper = draw.bounds()
    c = draw.vector()
    return [
        cax.Box(lower, upper),
        # A curved ball that touches the box is determined to the root of rounding only.
        cax.L2Ball(np.linalg.norm(np.clip(c, lower, upper) - c) + max(1e-4, draw.slack()), c),
    ]


def box_linf_l2(draw: Draw) -> list[cax.ConvexSet]:
    lower, upper = draw.bounds()
    z = draw.inside(lower, upper)
    a, b = draw.vector(), draw.vector()
    return [
        cax.Box(lower, upper),
        cax.LinfBall(np.max(np.abs(z - a)) + draw.slack(), a),
        cax.L2Ball(np.linalg.norm(z - b) + max(1e-4, draw.slack()), b),
    ]


def box_l1_fixed(draw: Draw) -> list[cax.ConvexSet]:
    lower, upper = draw.bounds()
    z = draw.inside(lower, upper)
    mask = draw.rng.random(draw.n) < 0.5
    mask[0] = True
    c = draw.vector()
    return [
        cax.Box(lower, upper),
        cax.L1Ball(np.sum(np.abs(z - c)) + draw.slack(), c),
        cax.Fixed(mask, z),
    ]


def box_one_row(draw: Draw) -> list[cax.ConvexSet]:
    lower, upper = draw.bounds()
    a, z = draw.vector(), draw.inside(lower, upper)
    return [cax.Box(lower, upper), cax.Linear(a, a @ z - draw.slack(), a @ z + draw.slack())]


def rows_apart(draw: Draw) -> list[cax.ConvexSet]:
    lower, upper = draw.bounds()
    z = draw.inside(lower, upper)
    A = np.zeros((2, draw.n))
    A[0, ::2], A[1, 1::2] = 1.0, draw.vector()[1::2]
    return [cax.Box(lower, upper), cax.Linear(A, A @ z - draw.slack(), A @ z + draw.slack())]


def parts(draw: Draw) -> list[cax.ConvexSet]:
    half = np.arange(draw.n) < max(1, draw.n // 2)
    return [
        cax.Box(-1, 1),
        cax.L1Ball(draw.slack(), where=half),
        *([cax.L2Ball(draw.slack(), where=~half)] if (~half).any() else []),
    ]


def box_halfspace(draw: Draw) -> list[cax.ConvexSet]:
    lower, upper = draw.bounds()
    a, z = draw.vector(), draw.inside(lower, upper)
    a[0] = 1.0
    return [cax.Box(lower, upper), cax.Halfspace(a, a @ z + draw.slack())]


def simplex_groups_box_fixed(draw: Draw) -> list[cax.ConvexSet]:
    groups = np.arange(draw.n) // 3
    groups[draw.rng.random(draw.n) < 0.1] = -1
    groups[0] = 0
    _, label = np.unique(groups, return_inverse=True)
    grouped = groups >= 0
    z = draw.rng.uniform(0.01, 1.0, draw.n)
    z[grouped] /= np.bincount(label, z)[label][grouped]
    mask = draw.rng.random(draw.n) < 0.3
    mask[0] = True
    return [
        cax.Box(z - draw.slack(), z + draw.slack()),
        cax.Simplex(groups=groups),
        cax.Fixed(mask, z),
    ]


def box_monotone(draw: Draw) -> list[cax.ConvexSet]:
    return [cax.Box(-1, draw.slack()), cax.Monotone()]


def box_symmetric(draw: Draw) -> list[cax.ConvexSet]:
    lower, upper = draw.bounds()
    return [
        cax.Box(np.minimum(lower, lower[::-1]) - 1, np.maximum(upper, upper[::-1])),
        cax.Symmetric("left-right"),
    ]


def box_several_rows(draw: Draw) -> list[cax.ConvexSet]:
    lower, upper = draw.bounds()
    A, z = draw.rng.normal(size=(3, draw.n)), draw.inside(lower, upper)
    A[2] = A[1]  # twice the same
    return [
        cax.Box(lower, upper),
        cax.Linear(A, A @ z - draw.slack(), A @ z + draw.slack()),
        cax.Halfspace(np.ones(draw.n), z.sum() + draw.slack()),
    ]


def box_l1_rows(draw: Draw) -> list[cax.ConvexSet]:
    lower, upper = draw.bounds()
    z, c, a = draw.inside(lower, upper), draw.vector(), draw.rng.normal(size=draw.n)
    return [
        cax.Box(lower, upper),
        cax.L1Ball(np.abs(z - c).sum() + draw.slack(), c),
        cax.Linear(a, a @ z - draw.slack(), a @ z + draw.slack()),
    ]


def box_l1_l2(draw: Draw) -> list[cax.ConvexSet]:
    lower, upper = draw.bounds()
    z, c, w = draw.inside(lower, upper), draw.vector(), draw.rng.uniform(0.1, 3, draw.n)
    return [
        cax.Box(lower, upper),
        cax.L1Ball(w @ np.abs(z - c) + draw.slack(), c, weights=w),
        cax.L2Ball(np.linalg.norm(z - c) + draw.slack(), c),
    ]


def box_ellipsoid(draw: Draw) -> list[cax.ConvexSet]:
    lower, upper = draw.bounds()
    z, c, s = draw.inside(lower, upper), draw.vector(), draw.rng.uniform(0.1, 3, draw.n)
    return [
        cax.Box(lower, upper),
        cax.Ellipsoid(np.linalg.norm((z - c) / np.sqrt(s)) + draw.slack(), s, c),
    ]


def box_group_ball(draw: Draw) -> list[cax.ConvexSet]:
    lower, upper = draw.bounds()
    groups = draw.rng.integers(0, max(1, draw.n // 3), draw.n)
    c, z = draw.vector(), draw.inside(lower, upper)
    _, label = np.unique(groups, return_inverse=True)
    reach = np.sqrt(np.bincount(label, (z - c) ** 2)).sum()
    return [cax.Box(lower, upper), cax.GroupBall(reach + max(1e-4, draw.slack()), groups, c)]


def two_balls(draw: Draw) -> list[cax.ConvexSet]:
    z = draw.vector()
    a, b = z + draw.rng.normal(size=draw.n), z + draw.rng.normal(size=draw.n)
    return [
        cax.L1Ball(np.sum(np.abs(z - a)) + draw.slack(), a),
        cax.L2Ball(np.linalg.norm(z - b) + draw.slack(), b),
    ]


def simplex_groups_rows(draw: Draw) -> list[cax.ConvexSet]:
    groups = np.arange(draw.n) % 6
    z = draw.rng.uniform(0.01, 1.0, draw.n)
    z /= np.bincount(groups, z)[groups]
    a = draw.vector()
    return [cax.Simplex(groups=groups), cax.Linear(a, a @ z - draw.slack(), a @ z + draw.slack())]


test_laws, test_agrees_with_cvxpy = laws(
    CLOSED,
    box_l1,
    box_l2,
    box_linf_l2,
    box_l1_fixed,
    box_one_row,
    rows_apart,
    parts,
    box_halfspace,
    simplex_groups_box_fixed,
    box_monotone,
    box_symmetric,
)
test_laws_of_couplings, test_agrees_with_cvxpy_of_couplings = laws(
    JOINT,
    box_several_rows,
    box_l1_rows,
    box_l1_l2,
    box_ellipsoid,
    box_group_ball,
    two_balls,
    simplex_groups_rows,
)
