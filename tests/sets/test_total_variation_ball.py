"""Total-variation balls: inexact projections, their bound on the error, boxes."""

from __future__ import annotations

import numpy as np
import pytest
from sample_sets import SOLVED, Draw, laws

import constrained_actmax as cax
from constrained_actmax.errors import SpecificationError
from constrained_actmax.kernels.total_variation_ball import TotalVariationBallKernel
from constrained_actmax.layout import Layout
from constrained_actmax.sets import Box, Intersection, TotalVariationBall

RNG = np.random.default_rng(3)


def test_warm_inexact_projections_stay_inside_and_near() -> None:
    layout = Layout.of_array((10, 10))
    members = [Box(0, 1), TotalVariationBall(8)]
    together = Intersection(members).bind(layout)
    exact = Intersection(members, strategy="cvxpy").bind(layout)
    y = RNG.uniform(size=(2, 100))
    warm = None
    for _ in range(4):
        y = y + 0.01 * RNG.standard_normal(y.shape)
        p, warm = together.project_inexact(y, 1e-3, warm)
        assert np.all(together.violation(p) <= 1e-12)
        np.testing.assert_allclose(p, exact.project(y), atol=1e-2)


@pytest.mark.slow
@pytest.mark.parametrize("radius", [5, 40, 150])
@pytest.mark.parametrize("length", ["isotropic", "anisotropic"])
def test_box_and_total_variation_at_28_by_28(radius: float, length: str) -> None:
    members = [Box(0, 1), TotalVariationBall(radius, length=length)]
    together = Intersection(members).bind(Layout.of_array((28, 28)))
    exact = Intersection(members, strategy="cvxpy").bind(Layout.of_array((28, 28)))
    y = np.concatenate([RNG.uniform(size=(3, 784)), 10 * RNG.standard_normal((2, 784))])
    p = together.project(y)
    assert np.all(together.violation(p) <= 1e-12)
    np.testing.assert_allclose(p, exact.project(y), atol=1e-4)


@pytest.mark.parametrize("length", ["isotropic", "anisotropic"])
def test_error_bound_of_total_variation_holds(length: str) -> None:
    lower, upper = np.zeros(80), np.ones(80)
    written = TotalVariationBall(3.0, 0.2, length=length)
    ball = written.bind(Layout.of_array((8, 10)))
    assert isinstance(ball, TotalVariationBallKernel)
    together = Intersection([Box(0, 1), written]).bind(Layout.of_array((8, 10)))
    y = 2 * RNG.standard_normal((3, 80))
    by_cvxpy = Intersection([Box(0, 1), written], strategy="cvxpy").bind(Layout.of_array((8, 10)))
    exact = by_cvxpy.project(y)
    for tolerance in (1e-1, 1e-2, 1e-4):
        p, warm = together.project_inexact(y, tolerance)
        bound = ball.error_bound(y, p, warm, lower, upper)
        assert np.all(np.linalg.norm(p - exact, axis=1) <= bound + 1e-5)
    assert np.max(bound) < 0.05
    with pytest.raises(SpecificationError, match="what project_inexact returned"):
        ball.error_bound(y, p, None)


def test_total_variation_with_fixed_entries_and_open_bounds() -> None:
    lower, upper = np.full(36, -np.inf), np.full(36, np.inf)
    lower[:20], upper[10:30] = 0.0, 1.0
    lower[3] = upper[3] = 0.5
    layout = Layout.of_array((6, 6))
    members = [Box(lower.reshape(6, 6), upper.reshape(6, 6)), TotalVariationBall(2.0)]
    together = Intersection(members).bind(layout)
    exact = Intersection(members, strategy="cvxpy").bind(layout)
    y = 3 * RNG.standard_normal((4, 36))
    p = together.project(y)
    assert np.all(p[:, 3] == 0.5)
    assert np.all(together.violation(p) <= 1e-12)
    np.testing.assert_allclose(p, exact.project(y), atol=1e-5)


def image_total_variation(draw: Draw) -> list[cax.ConvexSet]:
    return [cax.TotalVariationBall(draw.slack(), draw.vector().reshape(draw.shape))]


def image_total_variation_anisotropic(draw: Draw) -> list[cax.ConvexSet]:
    return [cax.TotalVariationBall(draw.slack(), length="anisotropic")]


def image_box_total_variation(draw: Draw) -> list[cax.ConvexSet]:
    return [cax.Box(0, 1), cax.TotalVariationBall(draw.slack())]


def total_variation_of_signals(draw: Draw) -> list[cax.ConvexSet]:
    return [cax.Box(-1, 1), cax.TotalVariationBall(draw.slack())]


test_laws, test_agrees_with_cvxpy = laws(
    SOLVED,
    image_total_variation,
    image_total_variation_anisotropic,
    image_box_total_variation,
    total_variation_of_signals,
)
