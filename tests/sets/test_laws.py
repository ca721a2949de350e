"""The laws of projections, for every set and every intersection that users write most."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass

import cvxpy as cp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import constrained_actmax as cax
from constrained_actmax.conformance import check_convex_set
from constrained_actmax.kernels.components import Program
from constrained_actmax.layout import Layout


@dataclass
class Draw:
    """Seeded parameters, ordinary and nasty ones."""

    rng: np.random.Generator
    n: int
    least: float = 0.0  # of the room
    shape: tuple[int, ...] = ()

    def vector(self) -> np.ndarray:
        kind = self.rng.integers(4)
        if kind == 0:
            return self.rng.integers(-2, 3, self.n).astype(float)  # ties
        if kind == 1:
            return np.full(self.n, self.rng.normal())
        return self.rng.normal(size=self.n) * self.rng.choice([1e-3, 1.0, 30.0])

    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        lower, upper = np.sort(self.rng.normal(size=(2, self.n)), axis=0)
        same = self.rng.random(self.n) < 0.2
        upper[same] = lower[same]
        lower[self.rng.random(self.n) < 0.1] = -np.inf
        upper[self.rng.random(self.n) < 0.1] = np.inf
        return lower, upper

    def inside(self, lower: np.ndarray, upper: np.ndarray) -> np.ndarray:
        return np.clip(self.vector(), lower, upper)

    def slack(self) -> float:
        """Return room beyond a point that is known to lie inside: none, little, or much."""
        return max(self.least, float(self.rng.choice([0.0, 1e-6, 0.5, 20.0])))

    def points(self) -> np.ndarray:
        scale = self.rng.choice([1e-9, 1.0, 1.0, 50.0, 1e16], size=(5, 1))
        y = self.rng.normal(size=(5, self.n)) * scale
        y[1] = np.round(y[1] / scale[1])  # ties
        y[2] = 0.0
        return y


Maker = Callable[[Draw], list[cax.ConvexSet]]
MAKERS: dict[str, Maker] = {}


def maker(make: Maker) -> Maker:
    MAKERS[make.__name__.replace("_", " ")] = make
    return make


@maker
def box(draw: Draw) -> list[cax.ConvexSet]:
    return [cax.Box(*draw.bounds())]


@maker
def l1(draw: Draw) -> list[cax.ConvexSet]:
    return [cax.L1Ball(draw.slack(), center=draw.vector())]


@maker
def weighted_l1(draw: Draw) -> list[cax.ConvexSet]:
    return [cax.L1Ball(draw.slack(), draw.vector(), weights=draw.rng.uniform(0.1, 3, draw.n))]


@maker
def l2(draw: Draw) -> list[cax.ConvexSet]:
    return [cax.L2Ball(draw.slack(), center=draw.vector())]


@maker
def linf(draw: Draw) -> list[cax.ConvexSet]:
    return [cax.LinfBall(draw.slack(), center=draw.vector())]


@maker
def box_l1(draw: Draw) -> list[cax.ConvexSet]:
    lower, upper = draw.bounds()
    c, w = draw.vector(), draw.rng.uniform(0.1, 3, draw.n)
    weights = w if draw.rng.random() < 0.5 else np.ones(draw.n)
    radius = weights @ np.abs(np.clip(c, lower, upper) - c) * (1 + 1e-15) + draw.slack()
    return [
        cax.Box(lower, upper),
        cax.L1Ball(radius, c, weights=weights),
    ]


@maker
def box_l2(draw: Draw) -> list[cax.ConvexSet]:
    lower, upper = draw.bounds()
    c = draw.vector()
    return [
        cax.Box(lower, upper),
        # A curved ball that touches the box is determined to the root of rounding only.
        cax.L2Ball(np.linalg.norm(np.clip(c, lower, upper) - c) + max(1e-4, draw.slack()), c),
    ]


@maker
def box_linf_l2(draw: Draw) -> list[cax.ConvexSet]:
    lower, upper = draw.bounds()
    z = draw.inside(lower, upper)
    a, b = draw.vector(), draw.vector()
    return [
        cax.Box(lower, upper),
        cax.LinfBall(np.max(np.abs(z - a)) + draw.slack(), a),
        cax.L2Ball(np.linalg.norm(z - b) + max(1e-4, draw.slack()), b),
    ]


@maker
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


@maker
def one_row(draw: Draw) -> list[cax.ConvexSet]:
    a, middle = draw.vector(), draw.rng.normal()
    a[0] = 1.0
    return [cax.Linear(a, middle, middle + draw.slack())]


@maker
def box_one_row(draw: Draw) -> list[cax.ConvexSet]:
    lower, upper = draw.bounds()
    a, z = draw.vector(), draw.inside(lower, upper)
    return [cax.Box(lower, upper), cax.Linear(a, a @ z - draw.slack(), a @ z + draw.slack())]


@maker
def rows_apart(draw: Draw) -> list[cax.ConvexSet]:
    lower, upper = draw.bounds()
    z = draw.inside(lower, upper)
    A = np.zeros((2, draw.n))
    A[0, ::2], A[1, 1::2] = 1.0, draw.vector()[1::2]
    return [cax.Box(lower, upper), cax.Linear(A, A @ z - draw.slack(), A @ z + draw.slack())]


@maker
def parts(draw: Draw) -> list[cax.ConvexSet]:
    half = np.arange(draw.n) < max(1, draw.n // 2)
    return [
        cax.Box(-1, 1),
        cax.L1Ball(draw.slack(), where=half),
        *([cax.L2Ball(draw.slack(), where=~half)] if (~half).any() else []),
    ]


# -- the second wave ------------------------------------------------------------------------------


@maker
def halfspace(draw: Draw) -> list[cax.ConvexSet]:
    a = draw.vector()
    a[0] = 1.0
    return [cax.Halfspace(a, draw.rng.normal())]


@maker
def box_halfspace(draw: Draw) -> list[cax.ConvexSet]:
    lower, upper = draw.bounds()
    a, z = draw.vector(), draw.inside(lower, upper)
    a[0] = 1.0
    return [cax.Box(lower, upper), cax.Halfspace(a, a @ z + draw.slack())]


@maker
def affine_subspace(draw: Draw) -> list[cax.ConvexSet]:
    rows = int(draw.rng.integers(1, max(2, draw.n // 3)))
    A = draw.rng.normal(size=(rows, draw.n))
    A[-1] = A[0]  # a dependent row
    return [cax.AffineSubspace(A, A @ draw.vector())]


@maker
def ellipsoid(draw: Draw) -> list[cax.ConvexSet]:
    root = draw.rng.normal(size=(draw.n, draw.n))
    return [cax.Ellipsoid(draw.slack(), root @ root.T + np.eye(draw.n), draw.vector())]


@maker
def ellipsoid_of_variances(draw: Draw) -> list[cax.ConvexSet]:
    return [cax.Ellipsoid(draw.slack(), draw.rng.uniform(1e-3, 10, draw.n), draw.vector())]


@maker
def group_ball(draw: Draw) -> list[cax.ConvexSet]:
    groups = draw.rng.integers(0, max(1, draw.n // 3), draw.n)
    return [cax.GroupBall(draw.slack(), groups, draw.vector())]


@maker
def simplex(draw: Draw) -> list[cax.ConvexSet]:
    return [cax.Simplex(draw.rng.uniform(0.1, 50), upper=draw.rng.uniform(50, 60, draw.n))]


@maker
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


@maker
def convex_hull(draw: Draw) -> list[cax.ConvexSet]:
    corners = draw.rng.normal(size=(int(draw.rng.integers(1, 12)), draw.n))
    return [cax.ConvexHull(np.concatenate([corners, corners[:1]]))]  # one of them twice


@maker
def monotone(draw: Draw) -> list[cax.ConvexSet]:
    return [cax.Monotone(falling=bool(draw.rng.integers(2)))]


@maker
def box_monotone(draw: Draw) -> list[cax.ConvexSet]:
    return [cax.Box(-1, draw.slack()), cax.Monotone()]


@maker
def band_limited(draw: Draw) -> list[cax.ConvexSet]:
    return [cax.BandLimited(max(1, draw.n // 4))]


@maker
def symmetric(draw: Draw) -> list[cax.ConvexSet]:
    return [cax.Symmetric("left-right")]


@maker
def box_symmetric(draw: Draw) -> list[cax.ConvexSet]:
    lower, upper = draw.bounds()
    return [
        cax.Box(np.minimum(lower, lower[::-1]) - 1, np.maximum(upper, upper[::-1])),
        cax.Symmetric("left-right"),
    ]


@maker
def image_symmetries(draw: Draw) -> list[cax.ConvexSet]:
    return [cax.Box(-1, 1), cax.Symmetric(str(draw.rng.choice(cax.Symmetric.KINDS)))]


@maker
def image_band_limited(draw: Draw) -> list[cax.ConvexSet]:
    return [cax.BandLimited((2, 1))]


@maker
def image_nuclear_norm(draw: Draw) -> list[cax.ConvexSet]:
    return [cax.NuclearNormBall(draw.slack(), draw.vector().reshape(draw.shape))]


@maker
def image_groups(draw: Draw) -> list[cax.ConvexSet]:
    return [cax.GroupBall(draw.slack())]


TOGETHER: dict[str, Maker] = {}


def together_maker(make: Maker) -> Maker:
    TOGETHER[make.__name__.replace("_", " ")] = make
    return make


@together_maker
def rows_that_share_entries(draw: Draw) -> list[cax.ConvexSet]:
    A = draw.rng.normal(size=(3, draw.n))
    z = draw.vector()
    return [cax.Linear(A, A @ z - draw.slack(), A @ z + draw.slack())]


@together_maker
def box_several_rows(draw: Draw) -> list[cax.ConvexSet]:
    lower, upper = draw.bounds()
    A, z = draw.rng.normal(size=(3, draw.n)), draw.inside(lower, upper)
    A[2] = A[1]  # twice the same
    return [
        cax.Box(lower, upper),
        cax.Linear(A, A @ z - draw.slack(), A @ z + draw.slack()),
        cax.Halfspace(np.ones(draw.n), z.sum() + draw.slack()),
    ]


@together_maker
def box_l1_rows(draw: Draw) -> list[cax.ConvexSet]:
    lower, upper = draw.bounds()
    z, c, a = draw.inside(lower, upper), draw.vector(), draw.rng.normal(size=draw.n)
    return [
        cax.Box(lower, upper),
        cax.L1Ball(np.abs(z - c).sum() + draw.slack(), c),
        cax.Linear(a, a @ z - draw.slack(), a @ z + draw.slack()),
    ]


@together_maker
def box_l1_l2(draw: Draw) -> list[cax.ConvexSet]:
    lower, upper = draw.bounds()
    z, c, w = draw.inside(lower, upper), draw.vector(), draw.rng.uniform(0.1, 3, draw.n)
    return [
        cax.Box(lower, upper),
        cax.L1Ball(w @ np.abs(z - c) + draw.slack(), c, weights=w),
        cax.L2Ball(np.linalg.norm(z - c) + draw.slack(), c),
    ]


@together_maker
def box_ellipsoid(draw: Draw) -> list[cax.ConvexSet]:
    lower, upper = draw.bounds()
    z, c, s = draw.inside(lower, upper), draw.vector(), draw.rng.uniform(0.1, 3, draw.n)
    return [
        cax.Box(lower, upper),
        cax.Ellipsoid(np.linalg.norm((z - c) / np.sqrt(s)) + draw.slack(), s, c),
    ]


@together_maker
def box_group_ball(draw: Draw) -> list[cax.ConvexSet]:
    lower, upper = draw.bounds()
    groups = draw.rng.integers(0, max(1, draw.n // 3), draw.n)
    c, z = draw.vector(), draw.inside(lower, upper)
    _, label = np.unique(groups, return_inverse=True)
    reach = np.sqrt(np.bincount(label, (z - c) ** 2)).sum()
    return [cax.Box(lower, upper), cax.GroupBall(reach + max(1e-4, draw.slack()), groups, c)]


@together_maker
def two_balls(draw: Draw) -> list[cax.ConvexSet]:
    z = draw.vector()
    a, b = z + draw.rng.normal(size=draw.n), z + draw.rng.normal(size=draw.n)
    return [
        cax.L1Ball(np.sum(np.abs(z - a)) + draw.slack(), a),
        cax.L2Ball(np.linalg.norm(z - b) + draw.slack(), b),
    ]


@together_maker
def simplex_groups_rows(draw: Draw) -> list[cax.ConvexSet]:
    groups = np.arange(draw.n) % 6
    z = draw.rng.uniform(0.01, 1.0, draw.n)
    z /= np.bincount(groups, z)[groups]
    a = draw.vector()
    return [cax.Simplex(groups=groups), cax.Linear(a, a @ z - draw.slack(), a @ z + draw.slack())]


SLOW: dict[str, Maker] = {}


def slow_maker(make: Maker) -> Maker:
    SLOW[make.__name__.replace("_", " ")] = make
    return make


@slow_maker
def image_total_variation(draw: Draw) -> list[cax.ConvexSet]:
    return [cax.TotalVariationBall(draw.slack(), draw.vector().reshape(draw.shape))]


@slow_maker
def image_total_variation_anisotropic(draw: Draw) -> list[cax.ConvexSet]:
    return [cax.TotalVariationBall(draw.slack(), length="anisotropic")]


@slow_maker
def image_box_total_variation(draw: Draw) -> list[cax.ConvexSet]:
    return [cax.Box(0, 1), cax.TotalVariationBall(draw.slack())]


@slow_maker
def total_variation_of_signals(draw: Draw) -> list[cax.ConvexSet]:
    return [cax.Box(-1, 1), cax.TotalVariationBall(draw.slack())]


@slow_maker
def moving_range(draw: Draw) -> list[cax.ConvexSet]:
    return [cax.Box(-3, 3), cax.MovingRange(draw.slack())]


@slow_maker
def cvxpy_set(draw: Draw) -> list[cax.ConvexSet]:
    def smooth(x: cp.Variable) -> list[cp.Constraint]:
        bump = cp.Variable(draw.n)  # an auxiliary variable
        return [cp.norm1(bump) <= 1.0, cp.abs(x - bump) <= 0.3]

    return [cax.Box(-1, 1), cax.CvxpySet(smooth)]


def shape_of(name: str, n: int) -> tuple[int, ...]:
    if not name.startswith("image"):
        return (max(n, 2),)
    side = 2 + n % 5
    return (side, side, 3) if n % 2 and "total" not in name else (side, side)


def bound(name: str, n: int, seed: int, least: float = 0.0) -> tuple[cax.Intersection, np.ndarray]:
    # str's hash changes from run to run; this one does not.
    shape = shape_of(name, n)
    rng = np.random.default_rng([seed, n, zlib.crc32(name.encode())])
    draw = Draw(rng, int(np.prod(shape)), least, shape)
    together = cax.Intersection({**MAKERS, **TOGETHER, **SLOW}[name](draw)).bind(
        Layout.of_array(shape)
    )
    return together, draw.points()


@pytest.mark.parametrize("name", MAKERS)
@given(n=st.integers(1, 200), seed=st.integers(0, 10_000))
def test_laws(name: str, n: int, seed: int) -> None:
    together, points = bound(name, n, seed)
    assert all(piece.tolerance <= 1e-12 for piece in together.pieces), "fell back to a solver"
    check_convex_set(together, points)


@pytest.mark.parametrize("name", TOGETHER)
@given(n=st.integers(1, 200), seed=st.integers(0, 10_000))
@settings(max_examples=15)
def test_laws_of_couplings_together(name: str, n: int, seed: int) -> None:
    together, points = bound(name, n, seed, least=1e-3)
    assert all(type(piece) is not Program for piece in together.pieces), "fell back to cvxpy"
    check_convex_set(together, points, tolerance=1e-9)


@pytest.mark.parametrize("name", SLOW)
@given(n=st.integers(2, 12), seed=st.integers(0, 10_000))
@settings(max_examples=6)
def test_laws_of_solved_sets(name: str, n: int, seed: int) -> None:
    together, points = bound(name, n, seed, least=0.1)
    check_convex_set(together, points[np.abs(points).max(axis=1) < 1e3])


@pytest.mark.slow
@pytest.mark.parametrize("name", [*MAKERS, *TOGETHER, *SLOW])
@pytest.mark.parametrize("seed", range(20))
def test_agrees_with_cvxpy(name: str, seed: int) -> None:
    together, points = bound(name, 12, seed, least=0.1)  # interior-point methods need an interior
    p = together.project(points[np.abs(points).max(axis=1) < 1e3])
    check_convex_set(together, p + np.sign(p), reference=True)
