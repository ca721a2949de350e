"""Flat closed sets of vectors, as solvers project on them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Self, TypeAlias, TypeVar, cast

import numpy as np
from typing_extensions import override

from constrained_actmax.kernels.convex_program import ConvexProgram, within
from constrained_actmax.kernels.relative import relative, sizes
from constrained_actmax.layout import Indices, Rows, Vector
from constrained_actmax.quoting import Quoted

if TYPE_CHECKING:
    import cvxpy as cp

    from constrained_actmax.kernels.scipy_form import ScipyForm

Variable: TypeAlias = "cp.Variable"
Constraints: TypeAlias = "list[cp.Constraint]"
#: Constraints with the sizes of what they compare.
Sized: TypeAlias = "list[tuple[cp.Constraint, Any]]"
Method = TypeVar("Method", bound=Callable[..., Any])


@dataclass(frozen=True, eq=False, repr=False)
class Kernel(Quoted, ABC):
    r"""A closed set C of vectors of length n, usually convex, without shapes, names or units.

    Points are rows, float64 (B, n), which no method writes to. ``ConvexSet.bind`` makes a kernel
    of what the user wrote. A new one writes `size`, `project`, `violation` and `to_cvxpy`; what it
    writes besides saves time. `constrained_actmax.conformance.check_convex_set` holds the laws.

    Parameters
    ----------
    label : str
        How messages call the set.
    """

    label: str = field(default="", kw_only=True)

    @property
    @abstractmethod
    def size(self) -> int:
        """Number n of entries."""

    @abstractmethod
    def project(self, x: Rows) -> Rows:
        r"""Return the nearest points, :math:`\arg\min_{p \in C} \|p - x\|_2`, in a new array."""

    @abstractmethod
    def violation(self, x: Rows) -> Vector:
        """Return for each row how far it breaks the set's inequality, as `violation_norm` says."""

    @abstractmethod
    def to_cvxpy(self, variable: Variable) -> Constraints:
        """Return the set as constraints on a cvxpy variable (n,): the definition."""

    @property
    def violation_norm(self) -> str:
        """How `violation` measures, in words."""
        return "largest violation of one entry"

    @property
    def convex(self) -> bool:
        """Whether the set is convex."""
        return True

    @property
    def is_box(self) -> bool:
        """Whether the set is nothing but bounds on entries, those of `bounding_box`."""
        return False

    @property
    def closed(self) -> bool:
        """Whether `project` is a closed form, or a method as exact; cvxpy is not."""
        return True

    # -- projections -----------------------------------------------------------------------------

    def project_with_dual(self, x: Rows) -> tuple[Rows, Vector]:
        r"""Return the projections p and the multipliers of the set's radius, NaN without one.

        For :math:`C = \{x \in B : h(x) \le r\}` the multiplier t >= 0 satisfies
        :math:`x - p \in t\,\partial h(p) + N_B(p)`; it is the rate at which
        :math:`\tfrac12\|p - x\|^2` falls as r grows.
        """
        return self.project(x), np.full(len(x), np.nan)

    def project_inexact(self, x: Rows, tolerance: float, warm: object) -> tuple[Rows, object]:
        """Return points inside within about `tolerance` of the projections, and what to reuse.

        Parameters
        ----------
        x : numpy.ndarray, shape (B, n)
            Points.
        tolerance : float
            Distance to the exact projection that is good enough, relative to the size of x.
        warm : object
            What the last call on points nearby returned second, or None.
        """
        return self.project(x), None

    def in_box(self, lower: Vector, upper: Vector) -> InBox | None:
        """Return the intersection with a box where its projection is a formula, else None."""
        return None

    def linear_maximizer(self, g: Rows) -> Rows:
        r"""Return points of :math:`\arg\max_{p \in C} g^\top p`.

        Raises
        ------
        SpecificationError
            If the maximum is not attained because the set is unbounded along g.
        """
        return np.stack([self.program.maximizer(row) for row in g])

    def linear_maximizer_in_box(self, g: Rows, lower: Rows, upper: Rows) -> Rows | None:
        """Return points of the set and of a bounded box where g'p is largest; None if not closed.

        Parameters
        ----------
        g : numpy.ndarray, shape (B, n)
            Directions.
        lower, upper : numpy.ndarray, shape (n,) or (B, n)
            The box, or one for each direction, each of which meets the set.
        """
        return None

    @cached_property
    def program(self) -> ConvexProgram:
        """The set as one cvxpy problem."""
        return ConvexProgram((self,), *self._unlimited)

    @cached_property
    def _unlimited(self) -> tuple[Vector, Vector]:
        unlimited = np.full(self.size, np.inf)
        return -unlimited, unlimited

    # -- how far outside -------------------------------------------------------------------------

    def scale(self, x: Rows) -> Vector:
        """Return, for each row, the size of the numbers that `violation` compares: a norm of x."""
        return np.asarray(np.max(np.abs(x), axis=1, initial=0.0))

    def relative_violation(self, x: Rows, widths: Vector | None = None) -> Vector:
        """Return `violation` over the size of what it compares, a pure number.

        `widths` (n,) are those of the bounds that hold besides: a cone has no size of its own, and
        near its apex the point has none either.
        """
        violation = self.violation(x)
        return (
            relative(violation, self.scale(sizes(x, widths))) if violation.any() else violation
        )  # NaN is

    @property
    def tolerance(self) -> float:
        """Largest relative violation that a projected point may have."""
        return 1e-12 if self.closed else 1e-8

    @property
    def accuracy(self) -> float:
        """How near a projected point is to the true projection, relative to its size."""
        return 1e-9 if self.closed else 1e-5

    # -- extent ----------------------------------------------------------------------------------

    def bounding_box(self) -> tuple[Vector, Vector]:
        """Return lower and upper bounds (n,) that hold on the set; infinite where there is none."""
        return np.full(self.size, -np.inf), np.full(self.size, np.inf)

    @property
    def diameter(self) -> float:
        """An upper bound on the distance of two points; infinite if unknown."""
        lower, upper = self.bounding_box()
        return float(np.linalg.norm(upper - lower))

    def centre(self) -> Vector:
        """Return a point (n,) round which random starts are drawn where bounds are infinite."""
        lower, upper = self.bounding_box()
        middle = np.zeros(self.size)
        both = np.isfinite(lower) & np.isfinite(upper)
        middle[both] = 0.5 * (lower[both] + upper[both])
        return np.clip(middle, lower, upper)

    def sample(self, rng: np.random.Generator, n: int) -> Rows:
        """Return n points of the set: uniform in finite bounds, else normal; projected."""
        lower, upper = self.bounding_box()
        finite = np.isfinite(lower) & np.isfinite(upper)
        drawn = rng.standard_normal((n, self.size)) + self.centre()
        uniform = rng.uniform(size=(n, self.size))
        low, high = np.where(finite, lower, 0.0), np.where(finite, upper, 1.0)
        return self.project(np.where(finite, low + uniform * (high - low), drawn))

    # -- other forms -----------------------------------------------------------------------------

    @property
    def projection_method(self) -> str:
        """How the set projects and what that costs, in a few words."""
        return "closed form, exact, O(n)" if self.closed else "cvxpy, compiled once"

    def sized_rows(self, variable: Variable, at: Rows) -> Sized:
        """Return the definition, each constraint with the size of what it compares.

        `at` (1, n) is the size of each entry's numbers; a size of 0 is that of a constraint without
        units, such as weights that add up to 1.
        """
        size = float(self.scale(at)[0]) or 1.0
        return [(row, size) for row in self.to_cvxpy(variable)]

    def to_scipy(self, lower: Vector, upper: Vector) -> ScipyForm | None:
        """Return bounds, sparse rows and smooth constraints; None where there is no such form.

        Parameters
        ----------
        lower, upper : numpy.ndarray, shape (n,)
            A box that is known to hold besides: an L1 ball is one row where it fixes the signs.
        """
        return None

    def scaled(self, units: Vector) -> Kernel | None:
        """Return the set of y with ``units * y`` in this one; None if no such form is known.

        Its multipliers are those of the same radius. With one unit for all entries the projection
        stays Euclidean, and `ScaledSet` does it for any set.

        Parameters
        ----------
        units : numpy.ndarray, shape (n,)
            One unit > 0 for each entry.
        """
        return None

    # -- parts of the vector ---------------------------------------------------------------------

    @property
    def support(self) -> Indices:
        """The entries that the set binds."""
        return np.arange(self.size)

    @property
    def core(self) -> Kernel:
        """The set on vectors of its support alone."""
        return self

    def split(self) -> Sequence[Kernel]:
        """Return kernels that share no entry and whose intersection this one is."""
        return (self,)

    def labelled(self, label: str) -> Self:
        """Return the kernel with the name that messages give it."""
        return replace(self, label=label)

    @override
    def __str__(self) -> str:
        return self.label or type(self).__name__


class PolyhedralKernel(Kernel):
    """A set that bounds and linear rows say: `to_scipy` is its definition, `to_cvxpy` follows.

    A new one writes `size`, `project`, `violation` and `to_scipy`, which is the same in every box.
    """

    @override
    def to_cvxpy(self, variable: Variable) -> Constraints:
        form = self.to_scipy(*self._unlimited)
        assert form is not None
        parts = [within(rows.lower, rows.upper, variable, rows.matrix) for rows in form.rows]
        parts.append(within(form.lower, form.upper, variable))
        return [row for part in parts for row, _ in part]


def of_inner(name: str) -> Any:
    """Return a property that is the one of `inner`."""
    return property(attrgetter(f"inner.{name}"))


def call_inner(method: Method) -> Method:
    """Return a method that is the one of `inner`, given as the base class has it."""
    return cast("Method", of_inner(method.__name__))


@dataclass(frozen=True, eq=False, repr=False)
class DerivedKernel(Kernel):
    """A set made of another one, with all that the change of its points leaves as it is.

    Parameters
    ----------
    inner : Kernel
        The other one.
    """

    inner: Kernel

    is_box = of_inner("is_box")
    convex = of_inner("convex")
    closed = of_inner("closed")
    violation_norm = of_inner("violation_norm")
    tolerance = of_inner("tolerance")
    accuracy = of_inner("accuracy")
    projection_method = of_inner("projection_method")

    @override
    def __str__(self) -> str:
        return str(self.inner)


@dataclass(frozen=True, eq=False, repr=False)
class InBox:
    r"""The intersection of a kernel with a box, :math:`C \cap [l, u]`, known to be projected on.

    Parameters
    ----------
    projection : callable
        Rows -> the projections and the multipliers of the radius, where the two meet.
    excess : float, optional
        By how much the best point of the box breaks the set's inequality: the two meet where it is
        <= 0, up to rounding. None if unknown.
    method : str
        How it projects and what that costs.
    inexact : callable, optional
        ``(x, tolerance, warm)`` -> what `Kernel.project_inexact` returns.
    """

    projection: Callable[[Rows], tuple[Rows, Vector]]
    violation: float | None = None
    method: str = "with its box by the root of the dual, exact, O(n) a pass, about 10 passes"
    inexact: Callable[[Rows, float, object], tuple[Rows, object]] | None = None

    def project_with_dual(self, x: Rows) -> tuple[Rows, Vector]:
        """Return the projections of rows and the multipliers of the radius."""
        return self.projection(x)

    def project(self, x: Rows) -> Rows:
        """Return the projections of rows."""
        return self.projection(x)[0]

    def project_inexact(self, x: Rows, tolerance: float, warm: object) -> tuple[Rows, object]:
        """Return points inside near the projections, and what to reuse."""
        if self.inexact is None:
            return self.projection(x)[0], None
        return self.inexact(x, tolerance, warm)
