"""Unions of boxes: whole numbers, levels, categories, few changes."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

import numpy as np
from typing_extensions import override

from constrained_actmax.errors import SpecificationError
from constrained_actmax.kernels.kernel import Constraints, InBox, Kernel, Variable
from constrained_actmax.layout import Indices, Rows, Vector

#: Lower and upper bounds (n,) of a box; empty where they cross.
Bounds: TypeAlias = tuple[Vector, Vector]

#: Whole numbers of an entry that are listed at most.
MOST_VALUES = 4096
#: A value is one of those allowed or it is not: the least relative violation of one that is not.
LEAST_VIOLATION = 1e-6
#: Numbers this near are one: a share of the number for the rounding of its own arithmetic, and a
#: share of the step between values for that of a sum of steps, as `numpy.arange` makes them.
ROUNDING, SAME = 4 * float(np.finfo(np.float64).eps), 1e-12


@dataclass(frozen=True, eq=False, repr=False)
class DiscreteKernel(Kernel):
    r"""A union of boxes, :math:`\{x : x \in B_1 \text{ or } x \in B_2 \text{ or } \dots\}`.

    A whole number is a box of one point, a category of a group is one, and a choice of the entries
    that may change is a box in which the others are held. What solvers ask of such a set beside its
    projection is here: the box that a point lies in (`piece`), what the set leaves of a box
    (`tightened`, `hull`, `branches`), and the points beside one (`neighbours`).
    """

    convex = False

    def piece(self, x: Vector) -> Bounds:
        """Return a box of the union that holds a point of the set: by default that point."""
        return x.copy(), x.copy()

    @abstractmethod
    def tightened(self, lower: Vector, upper: Vector) -> Bounds:
        """Return bounds that hold on the set within a box; they cross where nothing is left."""

    def hull(self, lower: Vector, upper: Vector) -> tuple[Kernel, ...]:
        """Return convex kernels that hold the set within a box, beside its tightened bounds."""
        return ()

    @abstractmethod
    def branches(self, p: Vector, lower: Vector, upper: Vector) -> list[Bounds]:
        """Return boxes without p that hold all of the set within a box; p is not in the set."""

    @abstractmethod
    def parts(self, entry: int, lower: Vector, upper: Vector) -> list[Bounds]:
        """Return smaller boxes that hold all of the set within a box, divided at an open entry."""

    @property
    def held(self) -> np.ndarray:
        """Which entries (n,) have one value in every box of the union."""
        return np.ones(self.size, dtype=bool)

    def open(self, lower: Vector, upper: Vector) -> np.ndarray:
        """Return at which entries (n,) a tightened box leaves a choice."""
        return np.asarray(lower < upper)

    def joined(self, lower: Vector, upper: Vector) -> int:
        """Return how many of the entries that a box leaves open follow from others."""
        return 0

    @abstractmethod
    def neighbours(self, x: Vector, lower: Vector, upper: Vector) -> Rows:
        """Return points (B, n) of a box that are one step or one swap away from a point."""

    @abstractmethod
    def choices(self, lower: Vector, upper: Vector) -> list[tuple[Indices, Rows]] | None:
        """Return entries that are chosen together, each with all that a box lets them be.

        None where that is infinitely much. A set that chooses no values, but which may change, has
        no entries here.
        """

    def repaired(self, y: Rows, x: Vector) -> tuple[Rows, Indices]:
        """Return points of the set that keep what rows y (B, n) change of x, and of which row."""
        inside = np.flatnonzero(self.violation(y) == 0.0)
        return y[inside], inside

    @abstractmethod
    def emptiness(self, lower: Vector, upper: Vector) -> tuple[int, str] | None:
        """Return an entry at which the box holds nothing of the set, and what is missing there."""

    @abstractmethod
    def projected_in(self, lower: Vector, upper: Vector, x: Rows) -> tuple[Rows, Vector]:
        """Return the projections of rows on the set within a box, and NaN for multipliers."""

    @override
    def project(self, x: Rows) -> Rows:
        return self.projected_in(*self._unlimited, x)[0]

    @override
    def in_box(self, lower: Vector, upper: Vector) -> InBox:
        projection = partial(self.projected_in, lower, upper)
        return InBox(projection, self.violation_in(lower, upper), self.projection_method)

    def violation_in(self, lower: Vector, upper: Vector) -> float:
        """Return 0 where a box holds a point of the set, else infinity or how much is missing."""
        return 0.0 if self.emptiness(lower, upper) is None else np.inf

    @abstractmethod
    def distances(self, x: Rows) -> Rows:
        """Return how far each entry of x (B, n) is from the nearest value that it may have."""

    @abstractmethod
    def sizes(self) -> Vector:
        """Return the size of each entry's numbers (n,), > 0."""

    @override
    def violation(self, x: Rows) -> Vector:
        return np.asarray(np.max(self.distances(x), axis=1, initial=0.0))

    @override
    def scale(self, x: Rows) -> Vector:
        return np.full(len(x), float(np.max(self.sizes(), initial=0.0)))

    def off(self, x: Rows) -> Vector:
        """Return how far off an allowed value each row is, in sizes of its entries."""
        return np.asarray(np.max(self.distances(x) / self.sizes(), axis=1, initial=0.0))

    @override
    def relative_violation(self, x: Rows, widths: Vector | None = None) -> Vector:
        violation = self.off(x)
        return np.where(violation > 0.0, np.maximum(violation, LEAST_VIOLATION), 0.0)

    @override
    def linear_maximizer(self, g: Rows) -> Rows:
        raise SpecificationError(f"{self}: it is not convex; a linear maximum is one of its hull.")

    @override
    def to_cvxpy(self, variable: Variable) -> Constraints:
        raise SpecificationError(f"{self}: it is not convex, cvxpy cannot write it.")


def meet(first: Bounds, second: Bounds) -> Bounds:
    """Return the box that two boxes have in common."""
    return np.maximum(first[0], second[0]), np.minimum(first[1], second[1])


def is_empty(box: Bounds) -> bool:
    """Say whether the bounds of a box cross."""
    return bool(np.any(box[0] > box[1]))


def with_entry(
    box: Bounds, entry: int, *, low: float | None = None, high: float | None = None
) -> Bounds:
    """Return a box with other bounds at one entry."""
    lower, upper = box[0].copy(), box[1].copy()
    if low is not None:
        lower[entry] = low
    if high is not None:
        upper[entry] = high
    return lower, upper
