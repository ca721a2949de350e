"""How each independent piece of an intersection is projected on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from constrained_actmax.layout import Indices, Rows, Vector
from constrained_actmax.sets.base import POLISHED, ConvexSet

if TYPE_CHECKING:
    from constrained_actmax.sets.convex_program import ConvexProgram


@dataclass(frozen=True, eq=False)
class Piece(ABC):
    """Some entries of the flat vector, the sets that bind them together, and their box.

    Parameters
    ----------
    indices : numpy.ndarray of int
        The entries, ascending.
    members : tuple of ConvexSet
        The sets, on vectors of these entries alone.
    lower, upper : numpy.ndarray
        The box on these entries.
    """

    indices: Indices
    members: tuple[ConvexSet, ...]
    lower: Vector
    upper: Vector

    @abstractmethod
    def project(self, x: Rows) -> tuple[Rows, Vector | None]:
        """Return the projections of rows, and the multipliers of the one radius if there is one."""

    @property
    @abstractmethod
    def method(self) -> str:
        """How it projects and what that costs, in a few words."""

    @property
    def tolerance(self) -> float:
        """Largest relative violation of a projected point."""
        return max(one.tolerance for one in self.members)

    @property
    def accuracy(self) -> float:
        """How near a projected point is to the true projection, relative to its size."""
        return max(one.accuracy for one in self.members)

    def project_inexact(self, x: Rows, tolerance: float, warm: object) -> tuple[Rows, object]:
        """Return feasible points within about `tolerance` of the projections, and what to reuse."""
        return self.project(x)[0], None

    def project_polished(self, x: Rows) -> Rows:
        """Return the projections as accurately as can be."""
        return self.project(x)[0]

    @cached_property
    def program(self) -> ConvexProgram:
        """The piece as one cvxpy problem."""
        from constrained_actmax.sets.convex_program import ConvexProgram  # loads cvxpy when used

        return ConvexProgram(self.members, self.lower, self.upper)


@dataclass(frozen=True, eq=False)
class Alone(Piece):
    """One set without bounds: its own projection."""

    def project(self, x: Rows) -> tuple[Rows, Vector | None]:
        return self.members[0]._project_with_dual(x)

    def project_inexact(self, x: Rows, tolerance: float, warm: object) -> tuple[Rows, object]:
        return self.members[0]._project_inexact(x, tolerance, warm)

    def project_polished(self, x: Rows) -> Rows:
        return self.members[0]._project_polished(x)

    @property
    def method(self) -> str:
        return self.members[0].projection_method


@dataclass(frozen=True, eq=False)
class InBox(Piece):
    """One set with a box, by the root of its dual."""

    def project(self, x: Rows) -> tuple[Rows, Vector | None]:
        return self.members[0]._project_in_box(x, self.lower, self.upper)

    def project_inexact(self, x: Rows, tolerance: float, warm: object) -> tuple[Rows, object]:
        return self.members[0]._project_in_box_inexact(
            x, self.lower, self.upper, tolerance, warm
        )

    def project_polished(self, x: Rows) -> Rows:
        from constrained_actmax.sets.convex_program import LARGEST

        if self.accuracy <= POLISHED or len(self.indices) > LARGEST:
            return self.project(x)[0]
        return self.program.project(x)

    @property
    def method(self) -> str:
        return self.members[0].method_in_box


@dataclass(frozen=True, eq=False)
class Program(Piece):
    """Sets of any kind with their box, by one compiled cvxpy problem."""

    def project(self, x: Rows) -> tuple[Rows, Vector | None]:
        return self.program.project(x), None

    @property
    def method(self) -> str:
        return f"cvxpy, compiled once (Clarabel), about {5 + len(self.indices) // 50} ms a point"

    @property
    def tolerance(self) -> float:
        return 1e-8

    @property
    def accuracy(self) -> float:
        return 1e-5
