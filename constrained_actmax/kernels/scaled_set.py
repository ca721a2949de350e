"""A set measured in another unit: {y : s y in C}."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from typing_extensions import override

from constrained_actmax.kernels.intersection import IntersectionKernel
from constrained_actmax.kernels.kernel import DerivedKernel, of_inner
from constrained_actmax.kernels.scipy_form import Substitution
from constrained_actmax.layout import Rows, Vector


@dataclass(frozen=True, eq=False, repr=False)
class ScaledSet(DerivedKernel):
    r"""The set :math:`\{y : s\,y \in C\}`, as solvers ask of it.

    The projection is :math:`P_C(s\,y) / s`: with one unit for all entries it stays Euclidean.

    Parameters
    ----------
    inner : IntersectionKernel
        C.
    unit : float
        s > 0.
    """

    inner: IntersectionKernel
    unit: float

    only_box = False

    #: What one unit leaves as it is, as `IntersectionKernel` says it.
    size = of_inner("size")
    members = of_inner("members")
    discrete = of_inner("discrete")
    bounded = of_inner("bounded")
    chooses_values = of_inner("chooses_values")
    choices_are_points = of_inner("choices_are_points")
    free_inputs = of_inner("free_inputs")

    @cached_property
    def hull(self) -> ScaledSet:
        """A convex set that holds this one; see `IntersectionKernel.hull`."""
        return ScaledSet(self.inner.hull, self.unit)

    def piece(self, y: Vector) -> tuple[Vector, Vector]:
        """Return the box round a point in which its discrete choices are held."""
        lower, upper = self.inner.piece(self.unit * y)
        return lower / self.unit, upper / self.unit

    def neighbours(self, y: Vector) -> Rows:
        """Return points of the discrete members beside one; see `IntersectionKernel.neighbours`."""
        return self.inner.neighbours(self.unit * y) / self.unit

    def combinations(self, most: int) -> Rows | None:
        """Return all points, where there are few; see `IntersectionKernel.combinations`."""
        evaluation = self.inner.combinations(most)
        return None if evaluation is None else evaluation / self.unit

    def part_at(self, y: Vector) -> ScaledSet | None:
        """Return the convex part of a point; see `IntersectionKernel.part_at`."""
        part = self.inner.part_at(self.unit * y)
        return None if part is None else ScaledSet(part, self.unit)

    @cached_property
    @override
    def diameter(self) -> float:
        return self.inner.diameter / self.unit

    @override
    def bounding_box(self) -> tuple[Vector, Vector]:
        lower, upper = self.inner.bounding_box()
        return lower / self.unit, upper / self.unit

    def bounds(self) -> tuple[Vector, Vector]:
        """Return the bounds that the user wrote on single entries."""
        lower, upper = self.inner.bounds()
        return lower / self.unit, upper / self.unit

    @override
    def centre(self) -> Vector:
        return self.inner.centre() / self.unit

    @override
    def project(self, x: Rows) -> Rows:
        return self.inner.project(self.unit * x) / self.unit

    @override
    def project_with_dual(self, x: Rows) -> tuple[Rows, Any]:
        projected, dual = self.inner.project_with_dual(self.unit * x)
        return projected / self.unit, dual / self.unit**2

    @override
    def project_inexact(
        self, x: Rows, tolerance: float, warm: object = None
    ) -> tuple[Rows, object]:
        projected, state = self.inner.project_inexact(self.unit * x, tolerance, warm)
        return projected / self.unit, state

    @override
    def violation(self, x: Rows) -> Any:
        return self.inner.violation(self.unit * x)

    @override
    def relative_violation(self, x: Rows, widths: Vector | None = None) -> Any:
        return self.violation(x)

    @override
    def linear_maximizer(self, g: Rows) -> Rows:
        return self.inner.linear_maximizer(g) / self.unit

    @override
    def to_cvxpy(self, variable: Any) -> list[Any]:
        return self.inner.to_cvxpy(self.unit * variable)

    def in_scipy_variables(self) -> Substitution | None:
        """See ``IntersectionKernel.in_scipy_variables``; y is divided by the unit too."""
        combinations = self.inner.in_scipy_variables()
        return None if combinations is None else combinations.scaled(self.unit)
