"""What every convex set offers, and the little that a new one has to write."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from constrained_actmax.errors import SpecificationError
from constrained_actmax.layout import (
    Indices,
    Layout,
    Region,
    Rows,
    Vector,
    aligned,
    is_table,
    labels_of,
)
from constrained_actmax.quoting import Quoted, quoted
from constrained_actmax.sets.scipy_form import ScipyForm, in_split_variables

LARGEST = 16_384  # entries; a cvxpy Parameter of 1e5 can end the process (cvxpy#1622)
MOST_SHOWN = 4  # entries of an array that descriptions write out
ACCEPTED = 1e-9  # relative violation below which a solver's point counts as inside

if TYPE_CHECKING:
    import cvxpy as cp

    from constrained_actmax.sets.convex_program import ConvexProgram
    from constrained_actmax.sets.separable_form import SeparableForm


@dataclass(frozen=True, eq=False, repr=False)
class ConvexSet(Quoted, ABC):
    r"""A closed convex set C of inputs.

    A set is written without a model, in the user's shapes and units, and speaks of the whole input
    or of a part of it. `bind` gives the set of flat vectors that a model's layout makes of it; all
    else works on the bound set, and on an unbound one for a bare array.

    Parameters
    ----------
    on : str, optional
        Name of the input that the set speaks of; needed where the model has several.
    where : array of bool, str, or sequence of str or int, optional
        The entries that the set speaks of: a mask, feature names, or flat positions.
    name : str, optional
        What results call it: ``result.constraints[name]``.

    Notes
    -----
    A new set writes `_bound`, `_project`, `_violation`, `_to_cvxpy` and `describe`, with its
    parameters already flat, on rows X of shape (B, n) that it must not write to. The laws that it
    has to keep are `constrained_actmax.conformance.check_convex_set`.

    A parameter with one number for each column may be a pandas Series or DataFrame: its labels are
    aligned to the model's `feature_names`, and have to be these. A default index is no labels.
    """

    on: str | None = field(default=None, kw_only=True)
    where: Any = field(default=None, kw_only=True, repr=False)
    name: str | None = field(default=None, kw_only=True, repr=False)
    _region: Region | None = field(default=None, init=False, repr=False)
    _as_written: str | None = field(default=None, init=False, repr=False)

    #: How `violation` measures, in words.
    violation_norm: ClassVar[str] = "largest excess of one entry"
    #: Whether the set is convex; HeuristicSet says no.
    convex: ClassVar[bool] = True
    #: Whether the set is nothing but bounds on entries, those of `bounding_box`.
    is_box: ClassVar[bool] = False
    #: Whether `_project_in_box` knows the projection on the intersection with any box.
    projects_in_box: ClassVar[bool] = False
    #: How it projects alone and what that costs, in a few words.
    method_alone: ClassVar[str] = "closed form, exact, O(n)"
    #: How it projects with a box and what that costs.
    method_in_box: ClassVar[str] = (
        "with its box by the root of the dual, exact, O(n) a pass, about 10 passes"
    )
    #: Whether `_project` is a closed form, or a method as exact; cvxpy is not.
    closed: ClassVar[bool] = True

    # -- binding ---------------------------------------------------------------------------------

    @property
    def bound(self) -> bool:
        """Whether the set's parameters are flat vectors of a layout."""
        return self._region is not None

    @property
    def region(self) -> Region:
        """The entries of the flat vector that the bound set was written for."""
        if self._region is None:
            raise SpecificationError(f"{type(self).__name__}: bind(layout) it first.")
        return self._region

    @property
    def dimension(self) -> int:
        """Length of the vectors that the bound set projects."""
        return self.region.dimension

    @property
    def support(self) -> Indices:
        """The entries of the flat vector that the bound set speaks of."""
        return np.arange(self.dimension)

    @property
    def core(self) -> ConvexSet:
        """The bound set on vectors of its own entries alone."""
        return self

    def takes_box(self, lower: Vector, upper: Vector) -> bool:
        """Say whether `_project_in_box` knows the projection on the intersection with this box."""
        return self.projects_in_box

    def split(self) -> Sequence[ConvexSet]:
        """Return bound sets that share no entry and whose intersection this one is."""
        return (self,)

    def bind(self, layout: Layout, x0: Vector | None = None) -> ConvexSet:
        """Return the set of flat vectors of length ``layout.size`` that this set means.

        Parameters
        ----------
        layout : Layout
            Names and shapes of the inputs.
        x0 : numpy.ndarray, optional
            The user's flat starting point, for sets that refer to it (`Fixed`).

        Raises
        ------
        SpecificationError
            If a shape, a name or a number does not fit.
        """
        if self.bound:
            if self.dimension != layout.size:
                raise SpecificationError(
                    f"{self}: it is bound to vectors of length {self.dimension}, "
                    f"the model's have {layout.size}."
                )
            return self
        region = layout.region(
            self.on, self.where, who=type(self).__name__, everywhere=self._everywhere, start=x0
        )
        inner = copy.copy(self._bound(region))
        object.__setattr__(inner, "_region", region)
        object.__setattr__(inner, "_as_written", str(self))
        if region.covers_all:
            return inner
        from constrained_actmax.sets.part import Part  # a set of its own, built on this one

        return Part.of(inner)

    @property
    def _everywhere(self) -> bool:
        """Whether the set may speak of several inputs at once without naming one."""
        return False

    @abstractmethod
    def _bound(self, region: Region) -> ConvexSet:
        """Return a copy whose parameters are flat (``region.flatten``) and checked."""

    # -- what a user asks ------------------------------------------------------------------------

    def project(self, x: Any) -> Any:
        r"""Return the nearest point of the set, :math:`\arg\min_{p \in C} \|p - x\|_2`.

        Parameters
        ----------
        x : array_like
            Bound set: one flat point (n,) or rows (B, n). Unbound set: one input of any shape.

        Returns
        -------
        numpy.ndarray
            A new float64 array of the same shape.
        """
        if not self.bound:
            array = numbers(x, type(self).__name__)
            flat = self.bind(Layout.of_array(array.shape)).project(array.ravel())
            return flat.reshape(array.shape)
        rows, single = self._rows(x, "project")
        projected = self._project(rows)
        return projected[0] if single else projected

    def project_with_dual(self, x: Any) -> tuple[Any, Any]:
        r"""Return the projection p and the multiplier of the set's radius.

        For :math:`C = \{x \in B : h(x) \le r\}` the multiplier t >= 0 satisfies
        :math:`x - p \in t\,\partial h(p) + N_B(p)`; it is the rate at which
        :math:`\tfrac12\|p - x\|^2` falls as r grows. A set without a radius gives NaN.
        """
        if not self.bound:
            array = numbers(x, type(self).__name__)
            flat, dual = self.bind(Layout.of_array(array.shape)).project_with_dual(array.ravel())
            return flat.reshape(array.shape), dual
        rows, single = self._rows(x, "project_with_dual")
        projected, dual = self._project_with_dual(rows)
        return (projected[0], float(dual[0])) if single else (projected, dual)

    def violation(self, x: Any) -> Any:
        """Return how far x breaks the set's own inequality, measured by `violation_norm`."""
        if not self.bound:
            array = numbers(x, type(self).__name__)
            return self.bind(Layout.of_array(array.shape)).violation(array.ravel())
        rows, single = self._rows(x, "violation")
        excess = self._violation(rows)
        return float(excess[0]) if single else excess

    def relative_violation(self, x: Any) -> Any:
        """Return `violation` divided by the size of the numbers that it compares: a pure number.

        The size is that of the set's own numbers, such as radius and center, and of the point where
        its rounding enters: the same point of the same set has the same relative violation in any
        units. Bounds are judged entry by entry and rows row by row, each by its own numbers, and
        where all of these are zero the relative violation is 1.
        """
        if not self.bound:
            array = numbers(x, type(self).__name__)
            return self.bind(Layout.of_array(array.shape)).relative_violation(array.ravel())
        rows, single = self._rows(x, "relative_violation")
        excess = self._relative_violation(rows)
        return float(excess[0]) if single else excess

    def linear_maximizer(self, g: Any) -> Any:
        r"""Return a point of :math:`\arg\max_{p \in C} g^\top p`, closed or by cvxpy.

        Raises
        ------
        SpecificationError
            If the maximum is not attained because the set is unbounded along g.
        """
        if not self.bound:
            array = numbers(g, type(self).__name__)
            flat = self.bind(Layout.of_array(array.shape)).linear_maximizer(array.ravel())
            return flat.reshape(array.shape)
        rows, single = self._rows(g, "linear_maximizer")
        found = self._linear_maximizer(rows)
        return found[0] if single else found

    def to_cvxpy(self, variable: cp.Variable) -> list[cp.Constraint]:
        """Return the set as cvxpy constraints on a flat variable: the definition.

        Parameters
        ----------
        variable : cvxpy.Variable
            Shape (n,), C order.
        """
        if not self.bound:
            return self.bind(Layout.of_array(tuple(variable.shape))).to_cvxpy(variable)
        return self._to_cvxpy(variable)

    def to_scipy(
        self, lower: Vector | None = None, upper: Vector | None = None
    ) -> ScipyForm | None:
        """Return bounds, sparse rows and smooth constraints, or None where there is no such form.

        Parameters
        ----------
        lower, upper : numpy.ndarray, optional
            A box that is known to hold besides: an L1 ball is one row where it fixes the signs.
        """
        box_lower, box_upper = self.bounding_box()
        lower = box_lower if lower is None else lower
        upper = box_upper if upper is None else upper
        form = self._to_scipy(lower, upper)
        return None if form is None else in_split_variables(form, lower, upper)

    def bounding_box(self) -> tuple[Vector, Vector]:
        """Return lower and upper bounds (n,) that hold on the set; infinite where there is none."""
        n = self.dimension
        return np.full(n, -np.inf), np.full(n, np.inf)

    def bounds(self) -> tuple[Vector, Vector]:
        """Return the bounds that the user wrote on single entries (those of a box)."""
        n = self.dimension
        return np.full(n, -np.inf), np.full(n, np.inf)

    @property
    def diameter(self) -> float:
        """An upper bound on the distance of two points of the bound set; infinite if unknown."""
        lower, upper = self.bounding_box()
        return float(np.linalg.norm(upper - lower))

    def excess_in_box(self, lower: Vector, upper: Vector) -> float | None:
        """Return by how much the best point of a box breaks the set's inequality; None if unknown.

        The set and the box intersect where it is <= 0, up to rounding.
        """
        return None

    def centre(self) -> Vector:
        """Return a point (n,) round which random starts are drawn where bounds are infinite."""
        lower, upper = self.bounding_box()
        middle = np.zeros(self.dimension)
        both = np.isfinite(lower) & np.isfinite(upper)
        middle[both] = 0.5 * (lower[both] + upper[both])
        return np.clip(middle, lower, upper)

    def sample(self, rng: np.random.Generator, n: int) -> Rows:
        """Return n points of the bound set: uniform in finite bounds, else normal; projected."""
        lower, upper = self.bounding_box()
        finite = np.isfinite(lower) & np.isfinite(upper)
        drawn = rng.standard_normal((n, self.dimension)) + self.centre()
        uniform = rng.uniform(size=(n, self.dimension))
        low, high = np.where(finite, lower, 0.0), np.where(finite, upper, 1.0)
        return self._project(np.where(finite, low + uniform * (high - low), drawn))

    @abstractmethod
    def describe(self) -> str:
        """Return the set in the user's words, without where it applies: ``L1Ball(60)``."""

    @property
    def projection_method(self) -> str:
        """How the set projects and what that costs, in a few words."""
        return self.method_alone if self.closed else "cvxpy, compiled once"

    @property
    def tolerance(self) -> float:
        """Largest relative violation that a projected point may have."""
        return 1e-12 if self.closed else 1e-8

    @property
    def accuracy(self) -> float:
        """How near a projected point is to the true projection, relative to its size."""
        return 1e-9 if self.closed else 1e-5

    def project_inexact(self, x: Any, tolerance: float, warm: object = None) -> tuple[Any, object]:
        """Return points inside the bound set within about `tolerance` of the projections.

        For solvers, which project on a slow set many times: what comes back second, handed in as
        `warm` with the next points, makes them cheaper. Sets with a fast projection ignore both.

        Parameters
        ----------
        x : array_like
            A flat point (n,) or rows (B, n).
        tolerance : float
            Distance to the exact projection that is good enough, relative to the size of x.
        warm : object, optional
            What the last call returned.
        """
        rows, single = self._rows(x, "project_inexact")
        projected, state = self._project_inexact(rows, tolerance, warm)
        return (projected[0] if single else projected), state

    def __str__(self) -> str:
        if self._as_written is not None:
            return self._as_written
        place = f" on {self.on!r}" if self.on is not None else ""
        mask = " where masked" if self.where is not None else ""
        return f"{self.describe()}{place}{mask}"

    def to_dict(self) -> dict[str, Any]:
        """Return the set as JSON-ready values; `constrained_actmax.sets.from_dict` reads them."""
        data: dict[str, Any] = {"set": type(self).__name__}
        for one in fields(self):
            if not one.init:
                continue
            value = getattr(self, one.name)
            if value is not None:
                data[one.name] = jsonable(value)
        return data

    # -- what a new set writes -------------------------------------------------------------------

    @abstractmethod
    def _project(self, x: Rows) -> Rows:
        """Project rows (B, n); the argument must not be written to, nor returned."""

    @abstractmethod
    def _violation(self, x: Rows) -> Vector:
        """Return one number >= 0 for each row."""

    @abstractmethod
    def _to_cvxpy(self, variable: cp.Variable) -> list[cp.Constraint]:
        """Return the definition on a flat variable."""

    def _scale(self, x: Rows) -> Vector:
        """Return, for each row, the size of the numbers that `_violation` compares: a norm of x."""
        return np.asarray(np.max(np.abs(x), axis=1, initial=0.0))

    def _relative_violation(self, x: Rows, widths: Vector | None = None) -> Vector:
        """Return `_violation` over the size of what it compares.

        `widths` (n,) are those of the bounds that hold besides: a cone has no size of its own, and
        near its apex the point has none either.
        """
        excess = self._violation(x)
        return relative(excess, self._scale(sizes(x, widths))) if excess.any() else excess  # NaN is

    def _project_with_dual(self, x: Rows) -> tuple[Rows, Vector]:
        return self._project(x), np.full(len(x), np.nan)

    def _project_in_box(self, x: Rows, lower: Vector, upper: Vector) -> tuple[Rows, Vector]:
        """Project on the intersection with a box, with the multipliers; see `projects_in_box`.

        The intersection is known not to be empty.
        """
        raise NotImplementedError(type(self).__name__)

    def _project_in_box_inexact(
        self, x: Rows, lower: Vector, upper: Vector, tolerance: float, warm: object
    ) -> tuple[Rows, object]:
        return self._project_in_box(x, lower, upper)[0], None

    def _project_inexact(self, x: Rows, tolerance: float, warm: object) -> tuple[Rows, object]:
        if self.projects_in_box:
            unlimited = np.full(self.dimension, np.inf)
            return self._project_in_box_inexact(x, -unlimited, unlimited, tolerance, warm)
        return self._project(x), None

    def _project_by_cvxpy(self, x: Rows) -> Rows:
        return self._program.project(x)

    @cached_property
    def _program(self) -> ConvexProgram:
        from constrained_actmax.sets.convex_program import ConvexProgram  # for sets that need it

        unlimited = np.full(self.dimension, np.inf)
        return ConvexProgram((self,), -unlimited, unlimited)

    def _linear_maximizer_in_box(self, g: Rows, lower: Vector, upper: Vector) -> Rows | None:
        """Return points of the set and a bounded box where g'x is largest; None if not closed."""
        return None

    def _linear_maximizer(self, g: Rows) -> Rows:
        return np.stack([self._program.maximizer(row) for row in g])

    def _sized_rows(self, variable: cp.Variable, at: Rows) -> list[tuple[cp.Constraint, Any]]:
        """Return the definition, each constraint with the size of what it compares.

        `at` (1, n) is the size of each entry's numbers; a size of 0 is that of a constraint without
        units, such as weights that add up to 1.
        """
        size = float(self._scale(at)[0]) or 1.0
        return [(row, size) for row in self._to_cvxpy(variable)]

    def _to_scipy(self, lower: Vector, upper: Vector) -> ScipyForm | None:
        return None

    def in_columns(self, units: Vector) -> ConvexSet | None:
        """Return the bound set of y with ``units * y`` in this one; None if no such form is known.

        Its multipliers are those of the same radius. With one unit for all entries the projection
        stays Euclidean, and `ScaledSet` does it for any set.

        Parameters
        ----------
        units : numpy.ndarray, shape (n,)
            One unit > 0 for each entry.
        """
        return None

    def _changed(self, **changes: Any) -> Self:
        """Return a copy of the bound set with other parameters, bound as it is."""
        other = replace(self, **changes)
        for name in ("_region", "_as_written"):
            object.__setattr__(other, name, getattr(self, name))
        return other

    def _separable(self, lower: Vector, upper: Vector) -> SeparableForm | None:
        """Return the set as a sum over entries; None where `_to_scipy` says it, or nothing does."""
        return None

    def _rows(self, x: Any, who: str) -> tuple[Rows, bool]:
        ready = type(x) is np.ndarray and x.dtype == np.float64 and x.flags.c_contiguous
        array: Vector = x if ready else numbers(x, f"{type(self).__name__}.{who}")
        if array.ndim not in (1, 2) or array.shape[-1] != self.dimension:
            raise SpecificationError(
                f"{type(self).__name__}.{who}: expected a point ({self.dimension},) or rows "
                f"(B, {self.dimension}), got shape {array.shape}."
            )
        if not who.endswith("violation") and not np.isfinite(array).all():
            raise SpecificationError(
                f"{type(self).__name__}.{who}: the point holds NaN or infinity."
            )
        return (array[np.newaxis], True) if array.ndim == 1 else (array, False)


class HeuristicSet(ConvexSet):
    """A nonconvex set: `project` gives a good nearby point, without a convex set's promises."""

    convex: ClassVar[bool] = False


def relative(excess: Vector, size: Vector) -> Vector:
    """Return excess / size; where nothing has a size, 1 for any excess."""
    return np.asarray(np.divide(excess, size, out=np.sign(excess), where=size > 0.0))


def common_box(members: Sequence[ConvexSet], lower: Vector, upper: Vector) -> tuple[Vector, Vector]:
    """Return bounds that hold on the intersection of some bound sets and a box."""
    for one in members:
        low, high = one.bounding_box()
        lower, upper = np.maximum(lower, low), np.minimum(upper, high)
    return np.minimum(lower, upper), upper


def entry_sizes(members: Sequence[ConvexSet], lower: Vector, upper: Vector) -> Rows:
    """Return (1, n): the size of each entry's numbers on the sets and a box, 0 if unknown."""
    low, high = common_box(members, lower, upper)
    ends = [np.abs(np.where(np.isfinite(one), one, 0.0)) for one in (low, high)]
    return np.asarray(np.maximum(*ends)[np.newaxis])


def sizes(x: Rows, widths: Vector | None) -> Rows:
    """Return the size of each entry's numbers: its own or the width of its bounds."""
    return np.asarray(np.abs(x) if widths is None else np.maximum(np.abs(x), widths))


def finite_widths(lower: Vector, upper: Vector) -> Vector:
    """Return the widths of bounds, 0 where one is infinite."""
    with np.errstate(invalid="ignore"):
        width = upper - lower
    return np.where(np.isfinite(width), width, 0.0)


def relative_excess(x: Rows, lower: Vector, upper: Vector) -> Vector:
    """Return the largest relative violation of bounds for each row.

    An entry is judged by its own width; where that is zero or infinite, by its bounds' size.
    """
    if ((x >= lower) & (x <= upper)).all():  # the usual case, at half the price
        return np.zeros(len(x))
    width = finite_widths(lower, upper)
    bound = np.where(np.isfinite(lower), np.abs(lower), np.abs(upper))
    bound = np.where(np.isfinite(bound), bound, 0.0)  # no bound, no excess
    size = np.where(width > 0.0, width, bound)
    excess = np.maximum(0.0, np.maximum(lower - x, x - upper))
    return np.asarray(np.max(relative(excess, size), axis=1, initial=0.0))


def powers_of_two(size: Vector) -> Vector:
    """Return the least powers of two that are >= size, 1 for zero: dividing by them is exact."""
    fraction, exponent = np.frexp(size)
    return np.asarray(np.where(size > 0.0, np.ldexp(1.0, exponent - (fraction == 0.5)), 1.0))


def numbers(x: Any, who: str) -> Vector:
    """Return a contiguous float64 array, or raise with who was asked."""
    x = aligned(x, None, who, "a flat vector")
    try:
        return np.ascontiguousarray(x, dtype=np.float64).reshape(np.shape(x))
    except (TypeError, ValueError):
        raise SpecificationError(f"{who}: expected real numbers, got {x!r:.60}.") from None


def jsonable(value: Any) -> Any:
    """Return arrays as lists, NumPy numbers as Python's, infinities as strings for float.

    Raises
    ------
    SpecificationError
        If a table has labels, which mean nothing without the model's names.
    """
    if is_table(value):
        return jsonable(np.asarray(aligned(value, None, "to_dict", "a set that is not bound")))
    if isinstance(value, np.ndarray):
        return jsonable(value.tolist())
    if isinstance(value, np.generic):
        return jsonable(value.item())
    if isinstance(value, float) and not np.isfinite(value):
        return repr(value)
    if isinstance(value, list | tuple):
        return [jsonable(one) for one in value]
    if isinstance(value, dict):
        return {str(key): jsonable(one) for key, one in value.items()}
    if value is None or isinstance(value, str | int | float):
        return value
    array = np.asarray(value)  # a tensor, for one
    return jsonable(array.tolist()) if array.dtype.kind in "fiub" else value


def checked_number(value: Any, name: str, who: str, *, minimum: float | None = None) -> float:
    """Return a finite float, or raise with the user's call in the message."""
    try:
        if isinstance(value, bool | np.bool_ | str | bytes):  # float("3") would take it
            raise TypeError
        number = float(value)
    except (TypeError, ValueError):
        raise SpecificationError(f"{who}: {name} must be a number, got {quoted(value)}.") from None
    if not np.isfinite(number) or (minimum is not None and number < minimum):
        rule = "finite" if minimum is None else f"finite and >= {minimum:g}"
        raise SpecificationError(f"{who}: {name} must be {rule}, got {quoted(value)}.")
    return number


def short(value: Any) -> str:
    """Return a number or an array in a few characters, for descriptions."""
    if value is None:
        return "None"
    array = np.asarray(value)
    labels = labels_of(value)
    if labels and array.ndim == 1 and array.size <= MOST_SHOWN:
        return f"{{{', '.join(f'{n}: {v:g}' for n, v in zip(labels, array, strict=True))}}}"
    if array.ndim == 0:
        return f"{float(array):g}"
    if array.dtype.kind in "fiub" and array.size:
        if np.all(array == array.flat[0]):
            return f"{float(array.flat[0]):g}"
        if array.ndim == 1 and array.size <= MOST_SHOWN:
            return f"[{', '.join(f'{one:g}' for one in array.tolist())}]"
    return f"array{array.shape}"
