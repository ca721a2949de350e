"""A set measured in another unit: {y : s y in C}."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from constrained_actmax.layout import Rows, Vector
from constrained_actmax.sets.base import ConvexSet
from constrained_actmax.sets.intersection import Intersection
from constrained_actmax.sets.scipy_form import ScipyForm, scaled_form


@dataclass(frozen=True, eq=False, repr=False)
class ScaledSet:
    r"""The bound set :math:`\{y : s\,y \in C\}`, as solvers ask of it.

    The projection is :math:`P_C(s\,y) / s`: with one unit for all entries it stays Euclidean.

    Parameters
    ----------
    inner : Intersection
        C, bound.
    unit : float
        s > 0.
    """

    inner: Intersection
    unit: float

    only_box = False

    @property
    def members(self) -> tuple[ConvexSet, ...]:
        """The members of C as they were written."""
        return self.inner.members

    @property
    def convex(self) -> bool:
        """Whether C is convex."""
        return self.inner.convex

    @property
    def discrete(self) -> bool:
        """Whether C is a union of convex sets; see `Intersection.discrete`."""
        return self.inner.discrete

    @cached_property
    def hull(self) -> ScaledSet:
        """A convex set that holds this one; see `Intersection.hull`."""
        return ScaledSet(self.inner.hull, self.unit)

    def part_at(self, y: Vector) -> ScaledSet | None:
        """Return the convex part of a point; see `Intersection.part_at`."""
        part = self.inner.part_at(self.unit * y)
        return None if part is None else ScaledSet(part, self.unit)

    @property
    def bounded(self) -> bool:
        """Whether C is bounded."""
        return self.inner.bounded

    @property
    def tolerance(self) -> float:
        """Largest relative violation of a projected point."""
        return self.inner.tolerance

    @property
    def accuracy(self) -> float:
        """How near a projected point is to the true projection, relative to its size."""
        return self.inner.accuracy

    @cached_property
    def diameter(self) -> float:
        """An upper bound on the distance of two points."""
        return self.inner.diameter / self.unit

    @property
    def projection_method(self) -> str:
        """How it projects and what that costs."""
        return self.inner.projection_method

    def bounding_box(self) -> tuple[Vector, Vector]:
        """Return bounds (n,) that hold on the set."""
        lower, upper = self.inner.bounding_box()
        return lower / self.unit, upper / self.unit

    def bounds(self) -> tuple[Vector, Vector]:
        """Return the bounds that the user wrote on single entries."""
        lower, upper = self.inner.bounds()
        return lower / self.unit, upper / self.unit

    def centre(self) -> Vector:
        """Return a point (n,) round which starts are drawn where bounds are infinite."""
        return self.inner.centre() / self.unit

    def project(self, y: Any) -> Any:
        """Return the projection of a point (n,) or of rows (B, n)."""
        return self.inner.project(self.unit * y) / self.unit

    def project_with_dual(self, y: Any) -> tuple[Any, Any]:
        """Return the projection and the multiplier of the radius in its own units."""
        projected, dual = self.inner.project_with_dual(self.unit * y)
        return projected / self.unit, dual / self.unit**2

    def project_inexact(self, y: Any, tolerance: float, warm: object = None) -> tuple[Any, object]:
        """Return points of the set near the projections; see `ConvexSet.project_inexact`."""
        projected, state = self.inner.project_inexact(self.unit * y, tolerance, warm)
        return projected / self.unit, state

    def relative_violation(self, y: Any) -> Any:
        """Return the largest violation of a member relative to its size."""
        return self.inner.relative_violation(self.unit * y)

    def linear_maximizer(self, g: Any) -> Any:
        """Return a point where g'y is largest."""
        return self.inner.linear_maximizer(g) / self.unit

    def to_cvxpy(self, variable: Any) -> list[Any]:
        """Return the set as cvxpy constraints on a flat variable."""
        return self.inner.to_cvxpy(self.unit * variable)

    def to_scipy(self) -> ScipyForm | None:
        """Return the set as SciPy takes it."""
        form = self.inner.to_scipy()
        return None if form is None else scaled_form(form, self.unit)

    def sample(self, rng: np.random.Generator, n: int) -> Rows:
        """Return n points of the set: uniform in finite bounds, else normal; projected."""
        lower, upper = self.bounding_box()
        finite = np.isfinite(lower) & np.isfinite(upper)
        drawn = rng.standard_normal((n, lower.size)) + self.centre()
        uniform = rng.uniform(size=(n, lower.size))
        low, high = np.where(finite, lower, 0.0), np.where(finite, upper, 1.0)
        inside: Rows = self.project(np.where(finite, low + uniform * (high - low), drawn))
        return inside
