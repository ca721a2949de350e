"""The problem in its own units: what solvers see."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from typing_extensions import override

from constrained_actmax.evaluation import Evaluation
from constrained_actmax.kernels.intersection import IntersectionKernel
from constrained_actmax.kernels.relative import powers_of_two
from constrained_actmax.kernels.scaled_set import ScaledSet
from constrained_actmax.layout import Layout, Rows, Vector
from constrained_actmax.sets.box import Box
from constrained_actmax.standard_form import DerivedForm, FeasibleSet, Network

if TYPE_CHECKING:
    from constrained_actmax.problem import Problem
    from constrained_actmax.sets.distance import Distance
    from constrained_actmax.tasks.l1_split import SplitForm

#: Violation, in units of each constraint, that solvers aim at where `tol` is as small; and how far
#: inside its bounds they keep a function that may not leave them at all.
FINEST_VIOLATION = 1e-9
INSIDE = 4 * FINEST_VIOLATION


class Scaled(DerivedForm):
    r"""Minimise f / G over y = x / w in C / w, subject to l / k <= c / k <= u / k.

    With the problem's `Scales`: w the sizes of the entries where C is bounds, linear rows and L1
    balls, which have weights; their common size s elsewhere, so that the projection stays
    Euclidean; G the typical slope of f; k the sizes of the functions that are bounded.
    Tolerances of solvers are then pure numbers.

    Parameters
    ----------
    problem : Problem
        In the user's units.
    """

    inner: Problem

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.oracle, self.layout, self.sign = problem.oracle, problem.layout, problem.sign
        scales = problem.scales
        self.objective_unit = scales.slope
        self.unit, self.linear = scales.set, scales.linear
        self.units, self.set = self._set_in_units(problem)
        self._plain = bool(np.all(self.units == 1.0))
        self._slopes = self.units / scales.slope
        self._same_slopes = bool(np.all(self._slopes == 1.0))
        self._sizes = scales.constraints
        self.lower, self.upper = problem.lower / self._sizes, problem.upper / self._sizes
        if problem.feasibility_tolerance == 0.0:
            self.feasibility_tolerance = 0.5 * INSIDE
            room = self.upper - self.lower > 2 * INSIDE
            self.lower = np.where(room, self.lower + INSIDE, self.lower)
            self.upper = np.where(room, self.upper - INSIDE, self.upper)
        self.lower = np.where(scales.dependent, -np.inf, self.lower)
        self.upper = np.where(scales.dependent, np.inf, self.upper)
        self._box = problem.set.bounds()

    @staticmethod
    def _set_in_units(problem: Problem) -> tuple[Vector | float, FeasibleSet]:
        whole, scales = problem.set, problem.scales
        assert isinstance(whole, IntersectionKernel)
        columns, size = scales.columns, scales.set
        if not whole.convex:  # whole numbers stay whole: a power of two rounds nothing
            exact = whole.discrete_entries
            columns = np.where(exact, powers_of_two(columns), columns)
            size = float(powers_of_two(np.array(size)))
        if np.all(columns == 1.0):
            return columns, whole
        couplings = [coupling.scaled(columns) for coupling in whole.members if not coupling.is_box]
        if any(coupling is None for coupling in couplings) or (
            couplings and np.all(columns == size)
        ):
            return size, ScaledSet(whole, size)
        lower, upper = whole.bounds()
        layout = Layout.of_array((problem.size,))
        box = Box(lower / columns, upper / columns).bind(layout)
        members = box, *(coupling for coupling in couplings if coupling is not None)
        return columns, IntersectionKernel(members, layout)

    @property
    def asked(self) -> Problem:
        """The problem in the user's units."""
        return self.inner

    @cached_property
    @override
    def range(self) -> float:
        return self.inner.range / self.objective_unit

    @cached_property
    @override
    def imposed_sizes(self) -> Vector:
        return self.inner.imposed_sizes / self._sizes

    @cached_property
    @override
    def distance(self) -> Distance | None:
        return self.inner.distance_in(self.objective_unit, self.units)

    @cached_property
    @override
    def l1_split(self) -> SplitForm | None:
        return self.inner.l1_split_of(self)

    # -- between the user's units and these ------------------------------------------------------

    def point(self, x: Rows) -> Rows:
        """Return a point or rows of the user's in these units."""
        if self._plain:
            return x
        lower, upper = self.set.bounds()
        return np.minimum(np.maximum(x / self.units, lower), upper)

    @override
    def original(self, x: Rows) -> Rows:
        if self._plain:
            return x
        lower, upper = self._box  # a product may end a rounding outside
        return np.minimum(np.maximum(x * self.units, lower), upper)

    def value(self, f: float) -> float:
        """Return the objective as written from the number that is minimised."""
        return self.inner.value(f * self.objective_unit)

    def evaluation(self, network: Evaluation) -> Evaluation:
        """Return an evaluation that was made in the user's units in these."""
        gradient, jacobian = network.gradient, network.jacobian
        if not self._same_slopes:
            gradient = gradient * self._slopes
        c = network.c
        if c.shape[1]:
            c = c / self._sizes
            jacobian = jacobian / self._sizes[:, np.newaxis]
            if not self._plain:
                jacobian = jacobian * self.units
        f = network.f / self.objective_unit
        return Evaluation(f, gradient, c, jacobian, network.finite, network.violation, network.f)

    def unscaled(self, evaluation: Evaluation) -> Evaluation:
        """Return an evaluation that was made in these units in the user's."""
        gradient, jacobian, c = evaluation.gradient, evaluation.jacobian, evaluation.c
        if not self._same_slopes:
            gradient = gradient / self._slopes
        if c.shape[1]:
            c = c * self._sizes
            jacobian = jacobian * self._sizes[:, np.newaxis]
            if not self._plain:
                jacobian = jacobian / self.units
        f = evaluation.f * self.objective_unit if evaluation.written is None else evaluation.written
        return Evaluation(f, gradient, c, jacobian, evaluation.finite, evaluation.violation)

    # -- what solvers ask ------------------------------------------------------------------------

    def evaluate(self, x: Rows, *, differences: bool = False) -> Evaluation:
        """See `Problem.evaluate`."""
        return self.evaluation(self.inner.evaluate(self.original(x), differences=differences))

    @override
    def network(self) -> Network:
        evaluation = self.inner.network()
        return Network(
            evaluation.structure, evaluation.weights / np.append(self.objective_unit, self._sizes)
        )

    def hessian_product(self, x: Vector, v: Vector, weights: Vector) -> Vector:
        """See `Problem.hessian_product`."""
        sizes = np.concatenate([[self.objective_unit], self._sizes[: len(weights) - 1]])
        way, length = v * self.units, float(np.linalg.norm(v))
        # One size of a bounded entry, wherever its bounds lie; of others as far as they are.
        open_ = ~np.isfinite(self.scaled_width)
        reach = max(1.0, float(np.linalg.norm(x[open_])))
        if length > 0.0:
            reach *= float(np.linalg.norm(way)) / length
        product = self.inner.hessian_product(self.original(x), way, weights / sizes, reach)
        return product * self.units

    @cached_property
    def scaled_width(self) -> Vector:
        """The widths of the set's bounding box, infinite where it has none."""
        lower, upper = self.set.bounding_box()
        return upper - lower

    @override
    def functional_violation(self, c: Rows) -> Vector:
        return self.inner.functional_violation(c * self._sizes)

    @override
    def functionally_feasible(self, c: Rows, written: Vector | None = None) -> np.ndarray:
        return self.inner.functionally_feasible(c * self._sizes, written)
