"""How each independent piece of an intersection is projected on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from typing_extensions import override

from constrained_actmax.errors import ProjectionError
from constrained_actmax.kernels.convex_program import (
    ACCEPTED,
    ConvexProgram,
    common_box,
    names_of,
    worst_violation,
)
from constrained_actmax.kernels.dykstra import dykstra
from constrained_actmax.kernels.kernel import InBox, Kernel
from constrained_actmax.kernels.relative import finite_widths
from constrained_actmax.kernels.separable_program import SeparableProgram
from constrained_actmax.layout import Indices, Rows, Vector

MOST_ROWS = 200  # above, a dense system of their size costs what cvxpy's sparse one does
MOST_NUMBERS = 20_000_000  # in the rows, which are held dense
INSIDE = 1e-12  # relative violation of a dual's answer; what is farther outside goes to cvxpy


@dataclass(frozen=True, eq=False, repr=False)
class Piece(ABC):
    """Some entries of the flat vector, the sets that bind them together, and their box.

    Parameters
    ----------
    indices : numpy.ndarray of int
        The entries, ascending.
    members : tuple of Kernel
        The sets, on vectors of these entries alone.
    lower, upper : numpy.ndarray
        The box on these entries.
    """

    indices: Indices
    members: tuple[Kernel, ...]
    lower: Vector
    upper: Vector

    @property
    def bounded(self) -> bool:
        """Whether the box says anything."""
        return bool(np.isfinite(self.lower).any() or np.isfinite(self.upper).any())

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
        return max(member.tolerance for member in self.members)

    @property
    def accuracy(self) -> float:
        """How near a projected point is to the true projection, relative to its size."""
        return max(member.accuracy for member in self.members)

    def project_inexact(self, x: Rows, tolerance: float, warm: object) -> tuple[Rows, object]:
        """Return feasible points within about `tolerance` of the projections, and what to reuse."""
        return self.project(x)[0], None

    @cached_property
    def _widths(self) -> Vector:
        return finite_widths(*common_box(self.members, self.lower, self.upper))

    def violation(self, x: Rows) -> Vector:
        """Return the largest relative violation of a member or the box for each row."""
        return worst_violation(x, self.members, self.lower, self.upper, self._widths)

    @cached_property
    def program(self) -> ConvexProgram:
        """The piece as one cvxpy problem."""
        return ConvexProgram(self.members, self.lower, self.upper)


@dataclass(frozen=True, eq=False, repr=False)
class Direct(Piece):
    """One set, alone or with its box, by a formula of its own.

    Parameters
    ----------
    pair : InBox
        The two.
    """

    pair: InBox

    @override
    def project(self, x: Rows) -> tuple[Rows, Vector | None]:
        return self.pair.project_with_dual(x)

    @override
    def project_inexact(self, x: Rows, tolerance: float, warm: object) -> tuple[Rows, object]:
        return self.pair.project_inexact(x, tolerance, warm)

    @property
    @override
    def method(self) -> str:
        return self.pair.method


@dataclass(frozen=True, eq=False, repr=False)
class Program(Piece):
    """Sets of any kind with their box, by one compiled cvxpy problem."""

    @override
    def project(self, x: Rows) -> tuple[Rows, Vector | None]:
        return self.program.project(x), None

    @property
    @override
    def method(self) -> str:
        return f"cvxpy, compiled once (Clarabel), about {5 + len(self.indices) // 50} ms a point"

    tolerance = 1e-8

    accuracy = 1e-5


@dataclass(frozen=True, eq=False, repr=False)
class Separable(Program):
    """Couplings that are sums over entries, with their box, by Newton's method on the dual.

    A point for which the method does not end inside goes to cvxpy.

    Parameters
    ----------
    dual : SeparableProgram
        The couplings and the box.
    """

    dual: SeparableProgram

    @staticmethod
    def dual_of(members: Sequence[Kernel], lower: Vector, upper: Vector) -> SeparableProgram | None:
        """Return the dual of these sets, None if one of them has no such form."""
        forms = []
        for member in members:
            form = member.to_scipy(lower, upper)
            if form is None or form.squares is None:
                return None
            forms.append(form)
        count = sum(rows.matrix.shape[0] for form in forms for rows in form.rows)
        if count > MOST_ROWS or count * len(lower) > MOST_NUMBERS:
            return None
        if sum(len(form.l1) for form in forms) > 1:
            return None
        if any(radius == 0.0 for form in forms for _, _, radius in form.squares or ()):
            return None
        return SeparableProgram(forms, lower, upper)

    @override
    def project(self, x: Rows) -> tuple[Rows, Vector | None]:
        p = x.copy()
        for row, point in enumerate(x):
            projection = self.dual.project(point)
            if projection is None or self.violation(projection[np.newaxis])[0] > INSIDE:
                projection = self.program.project(point[np.newaxis])[0]
            p[row] = projection
        return p, None

    def holds_a_point(self) -> bool:
        """Say whether the method finds a point; that it does not proves nothing."""
        projection = self.dual.project(np.clip(0.0, self.lower, self.upper))
        return projection is not None and bool(self.violation(projection[np.newaxis])[0] <= INSIDE)

    @property
    @override
    def method(self) -> str:
        count = len(self.dual.equal)
        return (
            f"with its box by Newton's method on the dual, {count} "
            f"multiplier{'s' if count != 1 else ''}, exact, O({count if count != 1 else ''}n) "
            "a step, about 10 steps"
        )


@dataclass(frozen=True, eq=False, repr=False)
class Alternating(Piece):
    """Sets with projections of their own, too large for cvxpy, by Dykstra's method."""

    @cached_property
    def _projections(self) -> list[Callable[[Rows], Rows]]:
        lower, upper = self.lower, self.upper
        projections: list[Callable[[Rows], Rows]] = []
        boxed = not self.bounded
        for member in self.members:
            pair = member.in_box(lower, upper) if member.convex and not boxed else None
            projections.append(member.project if pair is None else pair.project)
            boxed = boxed or pair is not None
        if not boxed:
            projections.append(lambda x: np.minimum(np.maximum(x, lower), upper))
        return projections

    @cached_property
    def _anchor(self) -> Vector:
        """A point of the set, as far inside as alternating projections lead."""
        start = np.clip(self.members[0].centre(), self.lower, self.upper)[np.newaxis]
        anchor, _ = dykstra(start, self._projections, enough=1e-24)
        return np.asarray(anchor[0])

    @override
    def project(self, x: Rows) -> tuple[Rows, Vector | None]:
        p = x.copy()
        out = np.flatnonzero(self.violation(x) > ACCEPTED)
        if not out.size:
            return p, None
        projection, settled = dykstra(x[out], self._projections)
        np.clip(projection, self.lower, self.upper, out=projection)
        worst = self.violation(projection)
        for row in np.flatnonzero(worst > self.tolerance):
            # The anchor is a point of the set: toward it the violation falls.
            for share in np.logspace(-8, 0, 17):
                moved = np.clip(
                    projection[row] + share * (self._anchor - projection[row]),
                    self.lower,
                    self.upper,
                )
                worst[row] = self.violation(moved[np.newaxis])[0]
                if worst[row] <= self.tolerance:
                    projection[row] = moved
                    break
        if np.any(worst > self.tolerance):
            raise ProjectionError(
                f"{names_of(self.members)}: Dykstra's method ended {np.max(worst):.3g} outside"
                f"{'' if settled else ', unfinished'}; the set may be empty."
            )
        p[out] = projection
        return p, None

    method = "Dykstra's method, some hundred projections on each set"

    tolerance = 1e-8

    accuracy = 1e-5
