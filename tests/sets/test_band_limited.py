"""Band-limited signals and images."""

from __future__ import annotations

from sample_sets import CLOSED, Draw, laws

import constrained_actmax as cax


def band_limited(draw: Draw) -> list[cax.ConvexSet]:
    return [cax.BandLimited(max(1, draw.n // 4))]


def image_band_limited(draw: Draw) -> list[cax.ConvexSet]:
    return [cax.BandLimited((2, 1))]


test_laws, test_agrees_with_cvxpy = laws(CLOSED, band_limited, image_band_limited)
