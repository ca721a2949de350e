"""Euclidean balls: a radius of zero, long rows."""

from __future__ import annotations

import numpy as np
import pytest
from sample_sets import CLOSED, Draw, laws

import constrained_actmax as cax
from constrained_actmax.layout import Layout
from constrained_actmax.sets import (
    Box,
    Intersection,
    L2Ball,
)


def test_multiplier_of_a_zero_radius_is_the_smallest_one() -> None:
    y = np.array([3.0, -4.0, 2.0])
    together = Intersection([Box([0, 0, -9], 9), L2Ball(0.0)]).bind(Layout.of_array((3,)))
    p, dual = together.project_with_dual(y)
    assert np.array_equal(p, np.zeros(3))
    assert dual == pytest.approx(np.sqrt(13.0))  # entry 1 is stopped by its bound already


@pytest.mark.parametrize("upper", [1.0, np.inf])
def test_a_long_row_is_projected_on_a_box_and_a_ball_as_its_optimality_conditions_say(
    upper: float,
) -> None:
    n, radius = 20_000, 8.0
    rng = np.random.default_rng(7)
    center = rng.uniform(size=n)
    center[:50] = 0.0
    z = center + 0.3 * rng.normal(size=n)
    z[:10] = center[:10]
    oracle = cax.FunctionOracle(lambda x: (0.0, np.zeros(n)), n, smooth=True)
    pair = [cax.Box(0, upper), cax.L2Ball(radius, center=center)]
    p = cax.Problem(oracle, constraints=pair, sense="minimize", x0=center).set.project(z)
    # z - p = mu (p - c) + what the box's bounds hold back, mu >= 0.
    floor, top = p <= 1e-12, p >= upper - 1e-12  # rounding may be taken off toward the center
    free = ~floor & ~top
    mu = np.dot((z - p)[free], (p - center)[free]) / np.sum((p - center)[free] ** 2)
    assert mu > 0.0
    assert np.linalg.norm(p - center) == pytest.approx(radius, rel=1e-12)
    rest = z - p - mu * (p - center)
    np.testing.assert_allclose(rest[free], 0.0, atol=1e-12)
    assert (rest[floor] <= 1e-12).all()
    assert (rest[top] >= -1e-12).all()


def l2(draw: Draw) -> list[cax.ConvexSet]:
    return [cax.L2Ball(draw.slack(), center=draw.vector())]


test_laws, test_agrees_with_cvxpy = laws(CLOSED, l2)
