"""Seeded sets, and the laws of projections that each of them keeps."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

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


@dataclass
class Kind:
    """How exactly sets are projected on.

    Parameters
    ----------
    taken : callable
        Returns whether a piece is projected on so.
    entries : (int, int)
        The fewest and most that are drawn.
    examples : int
        How many sets hypothesis draws.
    least : float
        Room in which the sets meet.
    largest : float
        Of points that are projected.
    tolerance : float, optional
        That `check_convex_set` grants beside the sets' own.
    """

    taken: Callable[[Any], bool]
    entries: tuple[int, int]
    examples: int
    least: float = 0.0
    largest: float = np.inf
    tolerance: float | None = None


#: By a closed form or one root, by a dual of several multipliers, by a program.
CLOSED = Kind(lambda piece: piece.tolerance <= 1e-12, (1, 200), 40)
JOINT = Kind(lambda piece: type(piece) is not Program, (1, 200), 15, least=1e-3, tolerance=1e-9)
SOLVED = Kind(lambda piece: True, (2, 12), 6, least=0.1, largest=1e3)


def shape_of(name: str, n: int) -> tuple[int, ...]:
    if not name.startswith("image"):
        return (max(n, 2),)
    side = 2 + n % 5
    return (side, side, 3) if n % 2 and "total" not in name else (side, side)


def bound(make: Maker, n: int, seed: int, least: float) -> tuple[cax.Intersection, np.ndarray]:
    """Return a seeded intersection, bound, and points to project on it."""
    name = make.__name__.replace("_", " ")
    shape = shape_of(name, n)
    # str's hash changes from run to run; this one does not.
    rng = np.random.default_rng([seed, n, zlib.crc32(name.encode())])
    draw = Draw(rng, int(np.prod(shape)), least, shape)
    together = cax.Intersection(make(draw)).bind(Layout.of_array(shape))
    return together, draw.points()


def laws(kind: Kind, *makes: Maker) -> tuple[Any, Any]:
    """Return two tests of sets: they keep the laws, and a slow one, cvxpy finds the same points."""

    @pytest.mark.parametrize("make", makes, ids=lambda make: make.__name__)
    @given(n=st.integers(*kind.entries), seed=st.integers(0, 10_000))
    @settings(max_examples=kind.examples)
    def test_laws(make: Maker, n: int, seed: int) -> None:
        together, points = bound(make, n, seed, kind.least)
        assert all(map(kind.taken, together.pieces)), "fell back to a solver"
        granted = {} if kind.tolerance is None else {"tolerance": kind.tolerance}
        check_convex_set(together, points[np.abs(points).max(axis=1) < kind.largest], **granted)

    @pytest.mark.slow
    @pytest.mark.parametrize("make", makes, ids=lambda make: make.__name__)
    @pytest.mark.parametrize("seed", range(20))
    def test_agrees_with_cvxpy(make: Maker, seed: int) -> None:
        together, points = bound(make, 12, seed, 0.1)  # interior-point methods need an interior
        p = together.project(points[np.abs(points).max(axis=1) < 1e3])
        check_convex_set(together, p + np.sign(p), reference=True)

    return test_laws, test_agrees_with_cvxpy
