"""The standard form: minimise f(x) subject to x in C and l <= c(x) <= u."""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np

from constrained_actmax.errors import RefusedError
from constrained_actmax.kernels.intersection import IntersectionKernel
from constrained_actmax.kernels.kernel import call_inner, of_inner
from constrained_actmax.kernels.scaled_set import ScaledSet
from constrained_actmax.layout import Rows, Vector

if TYPE_CHECKING:
    from constrained_actmax.problem import Imposed
    from constrained_actmax.sets.distance import Distance
    from constrained_actmax.structure import Structure
    from constrained_actmax.tasks.l1_split import SplitForm

#: C as solvers see it: in the user's units, or in the problem's own.
FeasibleSet: TypeAlias = IntersectionKernel | ScaledSet


class Bounds:
    """Bounds of the entries of c, and by how much values exceed them, in units of their sizes.

    Parameters
    ----------
    lower, upper : numpy.ndarray, shape (m,)
        Infinite where there is none.
    sizes : numpy.ndarray, shape (m,)
        What a violation of each entry is divided by; infinite for an entry that is not judged.
    """

    def __init__(self, lower: Vector, upper: Vector, sizes: Vector) -> None:
        self.sizes = sizes
        self._sides = [
            (bound, upward, sizes)
            for bound, upward in ((upper, True), (lower, False))
            if np.isfinite(bound).any()
        ]

    def violation(self, values: Rows) -> Vector:
        """Return the largest violation of each row of values (B, m), a pure number >= 0."""
        worst = np.zeros(len(values))
        with np.errstate(invalid="ignore"):  # what is not finite is told elsewhere
            for bound, upward, sizes in self._sides:
                over = (values - bound if upward else bound - values) / sizes
                np.maximum(worst, over[:, 0] if over.shape[1] == 1 else over.max(axis=1), out=worst)
        return worst


class Network(NamedTuple):
    """The network behind f and c: its functions, of x in the user's units, times `weights`."""

    structure: Structure
    weights: Vector


class StandardForm(ABC):
    r"""Minimise f(x) subject to :math:`x \in C` and :math:`l \le c(x) \le u`.

    All that is known of it before an evaluation: what `Solver.refusal` is asked about, and what a
    `Task` asks. A `Problem` is one; so is the same problem in other variables, and what an outer
    method leaves to an inner one.

    Attributes
    ----------
    set : IntersectionKernel or ScaledSet
        C.
    lower, upper : numpy.ndarray, shape (m,)
        l and u.
    feasibility_tolerance : float
        Largest violation of l <= c <= u that counts as none, a pure number.
    imposed : list of Imposed
        The functional constraints in the user's words, each with its rows of c.
    keeps_set : bool
        Whether every iterate has to lie in C: SciPy's `keep_feasible`.
    kept_rows : numpy.ndarray of bool, shape (m,)
        Entries of c whose bounds every iterate has to keep.
    compiled : bool
        Whether TensorFlow computes all functions.
    stepped : numpy.ndarray of bool, shape (n,)
        Variables that reach a function through steps only: derivatives by them are zero.
    units : numpy.ndarray, shape (n,), or float
        The user's units of each variable.
    unit, objective_unit : float
        The user's units of a length, and of f.
    linear : bool
        Whether the gradients of f and c were the same at all probes.
    """

    set: FeasibleSet
    lower: Vector
    upper: Vector
    feasibility_tolerance: float
    imposed: list[Imposed]
    keeps_set: bool
    compiled: bool
    stepped: np.ndarray
    units: Vector | float = 1.0
    unit: float = 1.0
    objective_unit: float = 1.0
    linear: bool = False

    @property
    @abstractmethod
    def size(self) -> int:
        """Number n of variables."""

    @property
    @abstractmethod
    def smooth(self) -> bool | None:
        """False where f or c has kinks or steps; None unknown."""

    @property
    @abstractmethod
    def epsilon(self) -> float:
        """Relative precision of f and c."""

    @property
    @abstractmethod
    def differentiable(self) -> bool:
        """Whether there are gradients."""

    @property
    @abstractmethod
    def hessians(self) -> int:
        """How many of f and the entries of c, in this order, have Hessians."""

    @property
    @abstractmethod
    def range(self) -> float:
        """What f changes over C."""

    @property
    @abstractmethod
    def imposed_sizes(self) -> Vector:
        """What violations of the entries of c, (m,), are divided by."""

    @property
    @abstractmethod
    def kept_rows(self) -> np.ndarray:
        """The entries of c, (m,), that every iterate has to keep, and the answer up to rounding."""

    @property
    def l1_split(self) -> SplitForm | None:
        """The problem in split variables, where it asks for the nearest point in L1; else None."""
        return None

    @property
    def distance(self) -> Distance | None:
        """The distance that is minimised, with functions bounded; None where f is another."""
        return None

    @abstractmethod
    def original(self, x: Rows) -> Rows:
        """Return a point or rows in the user's variables and units."""

    @abstractmethod
    def functional_violation(self, c: Rows) -> Vector:
        """Return, for each row, the largest violation of c as the user wrote it, a pure number."""

    @abstractmethod
    def functionally_feasible(self, c: Rows, written: Vector | None = None) -> np.ndarray:
        """Return, for each row, whether c keeps its bounds, both as written and as imposed.

        A bound on a tiny probability would mean nothing within an absolute tolerance. `written` is
        the violation as written, where it has been measured.
        """

    @property
    def constraints(self) -> int:
        """Number m of entries of c."""
        return int(self.lower.size)

    def network(self) -> Network:
        """Return the network as affine parts, read when first asked.

        Raises
        ------
        RefusedError
            Where f and c are not functions of a network that can be read, in these variables.
        """
        raise RefusedError("f and c are not the network's own functions.")

    @cached_property
    def _bounds(self) -> Bounds:
        return Bounds(self.lower, self.upper, self.imposed_sizes)

    def imposed_violation(self, c: Rows) -> Vector:
        """Return the largest violation of the bounds as imposed, such as those on log-odds."""
        return self._bounds.violation(c)

    def violation(self, x: Rows, c: Rows) -> Vector:
        """Return, for each row, the largest violation of any constraint, a pure number."""
        worst: Vector = np.maximum(self.set.relative_violation(x), self.functional_violation(c))
        return worst

    def feasible(self, x: Rows, c: Rows) -> np.ndarray:
        """Return, for each row, whether it satisfies C to its tolerance and c to its own."""
        inside: np.ndarray = self.set.relative_violation(x) <= self.set.tolerance
        inside &= self.functionally_feasible(c)
        return inside

    def may_be_iterate(self, x: Vector, c: Vector) -> bool:
        """Return whether a point keeps what SciPy's `keep_feasible` asks of every iterate."""
        if self.keeps_set and self.set.relative_violation(x) > self.set.tolerance:
            return False
        rows = self.kept_rows
        return bool(np.all((c >= self.lower)[rows]) and np.all((c <= self.upper)[rows]))


class DerivedForm(StandardForm):
    """A form made of another; a subclass says what differs.

    Parameters
    ----------
    inner : StandardForm
        The other.
    """

    def __init__(self, inner: StandardForm) -> None:
        self.inner = inner
        self.set, self.stepped = inner.set, inner.stepped
        self.lower, self.upper, self.imposed = inner.lower, inner.upper, inner.imposed
        self.feasibility_tolerance = inner.feasibility_tolerance
        self.keeps_set, self.compiled = inner.keeps_set, inner.compiled
        self.units, self.unit = inner.units, inner.unit
        self.objective_unit = inner.objective_unit

    size = of_inner("size")
    smooth = of_inner("smooth")
    epsilon = of_inner("epsilon")
    differentiable = of_inner("differentiable")
    hessians = of_inner("hessians")
    range = of_inner("range")
    imposed_sizes = of_inner("imposed_sizes")
    kept_rows = of_inner("kept_rows")
    original = call_inner(StandardForm.original)
    functional_violation = call_inner(StandardForm.functional_violation)
    functionally_feasible = call_inner(StandardForm.functionally_feasible)


class OverSet(DerivedForm):
    """A form over another set: the hull of a nonconvex C, or the part of C round a point.

    Parameters
    ----------
    inner : StandardForm
        The form.
    feasible : Intersection or ScaledSet
        The other set, in its variables.
    """

    def __init__(self, inner: StandardForm, feasible: FeasibleSet) -> None:
        super().__init__(inner)
        self.set = feasible

    network = call_inner(StandardForm.network)


def round_a_point(form: StandardForm, x: Vector) -> StandardForm:
    """Return a form whose set is convex: what C is round a point, its discrete entries held.

    Residuals and multipliers are those of the other entries. A point outside C has those of the
    hull.
    """
    if not form.set.discrete:
        return form
    part = form.set.part_at(x)
    return OverSet(form, form.set.hull if part is None else part)
