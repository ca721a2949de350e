"""The question in standard form: minimise f(x) subject to x in C and l <= c(x) <= u."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from numbers import Real
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
from typing_extensions import override

from constrained_actmax.errors import RefusedError, SpecificationError, suggest
from constrained_actmax.evaluation import Evaluation
from constrained_actmax.layout import Indices, Layout, Rows, Structure, Vector, check_finite
from constrained_actmax.oracles import finite_differences
from constrained_actmax.oracles.base import BaseOracle
from constrained_actmax.oracles.finite_differences import Domain
from constrained_actmax.oracles.negated import Negated
from constrained_actmax.quoting import quoted
from constrained_actmax.random_points import uniform_points
from constrained_actmax.scales import Scales, column_sizes, measured_scales
from constrained_actmax.sets.base import ConvexSet
from constrained_actmax.sets.conversion import box_from_bounds, from_scipy, kept
from constrained_actmax.sets.intersection import Intersection
from constrained_actmax.standard_form import Bounds, FeasibleSet, Network, StandardForm

if TYPE_CHECKING:
    from constrained_actmax.features.features import Features
    from constrained_actmax.objectives.base import Form, Objective
    from constrained_actmax.objectives.between import Between
    from constrained_actmax.oracles.oracle import Oracle
    from constrained_actmax.sets.distance import Distance
    from constrained_actmax.tasks.l1_split import SplitForm
    from constrained_actmax.tasks.scaled import Scaled

#: Default violation of a constraint that is not projected on, in units of what its function
#: changes over the set; at least this many times the relative precision of the model.
FEASIBILITY_TOLERANCE, NOISE = 1e-6, 10.0
#: Violation of an answer where `keep_feasible` asks for more: rounding alone.
KEPT_TOLERANCE = 1e-12

#: Points of C at which a copy is compared with its model, and steps are looked for; their seed.
COPY_PROBES, STEP_PROBES, PROBE_SEED = 8, 32, 20260
#: Distance, in sizes of the centre, at which the growth of an objective is looked for; directions
#: drawn; how far values there may be from linear growth, relative; least slope of growth, in units
#: of the steepest, which growth over the bounded entries of a far point does not reach.
FAR, FAR_PROBES, LINEAR, LEAST_SLOPE = 1e6, 4, 0.25, 1e-4
NAMED = 5  # entries that a message names
#: What a problem makes of its oracle and its scales, and a copy with others makes again.
REMADE = frozenset(
    ("scaled", "l1_split", "distance", "_written", "_bounds", "_kept_bounds", "imposed_sizes")
)
#: Functions of Python's; TensorFlow's and models are callables of other types.
PLAIN_FUNCTIONS = (FunctionType, BuiltinFunctionType, MethodType, partial)
#: What belongs to the model and is handed to its `Oracle`.
MODEL_OPTIONS = (
    "preprocess",
    "labels",
    "feature_names",
    "input_shape",
    "precision",
    "xla",
    "custom_objects",
    "safe_mode",
    "signature",
)


class Merit(Protocol):
    """A function of c that is minimised in the place of f."""

    smooth: bool

    def __call__(self, evaluation: Evaluation) -> Evaluation:
        """Return an evaluation with this function and its gradient for f and its own."""


@dataclass(frozen=True)
class Imposed:
    """One functional constraint as the solvers see it: some rows of c, and its printed form.

    Parameters
    ----------
    description : str
        As the user wrote it.
    rows : slice
        Where its rows stand in c.
    lower, upper : numpy.ndarray
        Its bounds in the user's units.
    objective : Objective, optional
        What the user bounds, where the rows of c are something else: a probability is imposed on
        its log-odds, a margin as one row for each rival.
    tolerance : float, optional
        The violation that the user allows, in the constraint's own units.
    kept : numpy.ndarray of bool, optional
        Its inequalities that every iterate has to keep: SciPy's `keep_feasible`.
    name : str, optional
        What the user called it.
    origin : object, optional
        What the user wrote: a comparison, a `Function` or one of SciPy's objects.
    """

    description: str
    rows: slice
    lower: Vector
    upper: Vector
    objective: Objective | None = None
    tolerance: float | None = None
    kept: np.ndarray | None = None
    name: str | None = None
    origin: Any = None

    def written(self, c: Rows) -> Rows:
        """Return the values that the user bounds (B, k) from the rows of c (B, m)."""
        values = c[:, self.rows]
        return values if self.objective is None else self.objective.stated(values)

    def violation(self, c: Rows) -> Rows:
        """Return by how much c (B, m) breaks its bounds, in the user's units."""
        values = self.written(c)
        return np.maximum(0.0, np.maximum(self.lower - values, values - self.upper))

    def stated_multiplier(self, multipliers: Vector, c: Vector) -> Vector:
        """Return rates for one more unit of the user's bounds from those of the imposed ones."""
        if self.objective is None:
            return multipliers
        return self.objective.stated_multiplier(multipliers, c)


@dataclass(frozen=True)
class WrittenSet:
    """One set as the user wrote it, perhaps more than once.

    Parameters
    ----------
    set : ConvexSet
        Not bound.
    name : str or None
        What the user called it.
    objects : tuple
        What the user wrote: sets or SciPy's objects.
    """

    set: ConvexSet
    name: str | None
    objects: tuple[Any, ...]

    def repeated(self, other: WrittenSet) -> WrittenSet:
        """Return both as one.

        Raises
        ------
        SpecificationError
            If they have different names.
        """
        if self.name and other.name and self.name != other.name:
            raise SpecificationError(
                f"constraints: {self.set} is there twice, named {self.name!r} and {other.name!r}; "
                "give it once."
            )
        return WrittenSet(self.set, self.name or other.name, self.objects + other.objects)


class Problem(StandardForm):
    """A model, an objective and constraints, with every shape and name checked once.

    Parameters
    ----------
    model : keras.Model, path, callable, Oracle or FunctionOracle
        Whatever `Oracle` takes, or an oracle.
    objective : Objective, optional
        What of the network should be large; not needed where `model` is an oracle that has one.
    constraints : sequence, optional
        Convex sets, `Features`, comparisons on objectives, SciPy's ``Bounds``,
        ``LinearConstraint``, ``NonlinearConstraint`` and constraint dicts; one needs no list.
    sense : {"maximize", "minimize"}
        Which way `solve` takes the objective.
    bounds : scipy.optimize.Bounds, (low, high), iterable of n pairs, or (lower, upper), optional
        SciPy's form of a `Box`, as `maximize` takes it.
    x0 : array_like, optional
        A point in the model's structure: the default start, and what `Fixed` holds by default.
    feasibility_tolerance : float, optional
        Largest violation of a constraint on a function, in units of what that function changes
        over the set (`scales`), a pure number; by default 1e-6, or ten times the relative
        precision of the model where that is larger. 0 means ``l <= c <= u`` as the library
        measures it.
    **model_options
        `preprocess`, `labels`, `feature_names`, `input_shape`, `precision`, `xla`,
        `custom_objects`, `safe_mode`, `signature`: see `Oracle`.

    Raises
    ------
    SpecificationError
        If a shape, a name or a number does not fit.
    InfeasibleError
        If no point satisfies the convex constraints; the message names those that clash.
    ModelError
        If the model cannot be differentiated by its input.
    """

    def __init__(
        self,
        model: Any,
        objective: Objective | None = None,
        constraints: Any = (),
        *,
        sense: Literal["maximize", "minimize"] = "maximize",
        bounds: Any = None,
        x0: Structure | None = None,
        feasibility_tolerance: float | None = None,
        **model_options: Any,
    ) -> None:
        _check_settings(sense, feasibility_tolerance)
        bounds = kept(bounds)
        #: The call that built this problem, to build it again elsewhere.
        self.recipe: dict[str, Any] = {
            "model": model,
            "objective": objective,
            "constraints": constraints,
            "sense": sense,
            "bounds": bounds,
            "x0": x0,
            "feasibility_tolerance": feasibility_tolerance,
            **model_options,
        }
        self.sense = sense
        #: What stands in f's place, made of an evaluation of c; None where f is the objective.
        self.merit: Merit | None = None
        from constrained_actmax.oracles.oracle import Oracle
        from constrained_actmax.sets.conversion import keeps_feasible

        sets, tables, functional, origins = _sorted_constraints(constraints)
        #: Whether every iterate has to lie in C: SciPy's `keep_feasible` of linear constraints.
        self.keeps_set = any(
            keeps_feasible(constraint)
            for constraint in _listed(constraints)
            if not isinstance(constraint, ConvexSet)
        )
        #: Tables whose columns are inputs, as the user wrote them.
        self.features = tables
        user_oracle = _oracle(model, objective, functional, _named(model, model_options, tables))
        self.user_oracle = user_oracle
        self.layout: Layout = user_oracle.layout
        self.x0 = None if x0 is None else check_finite(self.layout.flatten(x0, "x0"), "x0")
        #: For each member of `set` the name and the objects that the user wrote it as.
        self.written_sets = self._written_sets(sets, bounds)
        members = [constraint.set for constraint in self.written_sets]
        self.set: FeasibleSet = Intersection(members).bind(self.layout, self.x0)
        self.user_oracle = user_oracle = user_oracle.within(self.domain)
        self.oracle: BaseOracle = Negated(user_oracle) if sense == "maximize" else user_oracle
        self.feasibility_tolerance = (
            max(FEASIBILITY_TOLERANCE, NOISE * self.oracle.epsilon)
            if feasibility_tolerance is None
            else float(feasibility_tolerance)
        )
        self.set.check_nonempty()
        self.lower, self.upper, self.imposed, self._functions = _imposed(
            functional, origins, user_oracle, self.layout, self.set, self.x0, self.domain
        )
        #: Whether TensorFlow computes the objective and all constraints on functions.
        self.compiled = not self._functions and isinstance(user_oracle, Oracle)
        self.objective_text = _objective_text(user_oracle)
        self._refuse_unbounded()
        #: Entries that C leaves free and that reach a function through steps only, (n,) of bool.
        self.stepped: np.ndarray = np.zeros(self.size, dtype=bool)
        if isinstance(user_oracle, Oracle):
            self._probe(user_oracle)

    def _written_sets(self, sets: list[tuple[ConvexSet, Any]], bounds: Any) -> list[WrittenSet]:
        """Return the sets that were written, with those of tables and of `bounds`, once each."""
        for table in self.features:
            sets.extend((part, table) for part in table.bound(self.layout, self.x0))
        if bounds is not None:
            sets.insert(0, (box_from_bounds(bounds, self.layout), bounds))
        return _without_repeats(sets)

    def _probe(self, oracle: Oracle) -> None:
        """Look for steps of the network, and at the precision of its copy, at points of C."""
        if oracle.steps:
            self.stepped = oracle.stepped(self._probes(STEP_PROBES))
        if oracle.source.copied:
            oracle.source.compare_precision(self._probes(COPY_PROBES), "points of the allowed set")

    # -- what solvers ask ------------------------------------------------------------------------

    @property
    @override
    def size(self) -> int:
        return self.layout.size

    @property
    @override
    def smooth(self) -> bool | None:
        return self.oracle.smooth if self.merit is None or self.merit.smooth else False

    @property
    @override
    def epsilon(self) -> float:
        return self.oracle.epsilon

    @property
    @override
    def differentiable(self) -> bool:
        return self.oracle.differentiable

    @property
    @override
    def hessians(self) -> int:
        return self.oracle.functions

    @property
    def sign(self) -> float:
        """``value = sign * fun``."""
        return -1.0 if self.sense == "maximize" else 1.0

    @override
    def network(self) -> Network:
        if self.merit is not None:
            raise RefusedError("The least of several slacks is no output of the network.")
        if self._functions:
            raise RefusedError("Functions of one's own have no structure.")
        structure = self.user_oracle.structure()
        return Network(structure, np.append(self.sign, np.ones(self.constraints)))

    @property
    def forms(self) -> list[Form]:
        """Each row of c as a sum of numbers that the model, or a function of the user's, gives."""
        forms = self.user_oracle.forms()[1:]
        return forms + [form for function in self._functions for form in function.forms]

    # -- units -----------------------------------------------------------------------------------

    @cached_property
    def domain(self) -> Domain:
        """The bounds that differences stay within, and the usual size of each entry."""
        lower, upper = self.set.bounding_box()
        usual = np.where(np.isfinite(upper - lower), upper - lower, np.abs(self.set.centre()))
        if self.x0 is not None:
            usual = np.where(self.x0 != 0.0, np.abs(self.x0), usual)
        return Domain(*self.set.bounds(), np.where(usual > 0, usual, 1.0))

    @cached_property
    def column_sizes(self) -> tuple[Vector, Indices]:
        """The size of each entry, 0 where it is fixed, and the entries without a known one."""
        return column_sizes(self)

    @cached_property
    def scales(self) -> Scales:
        """The sizes of the problem's numbers, measured once, at seeded points of C."""
        return measured_scales(self)

    def unprobed(self) -> Problem:
        """Return the same problem with scales from its set alone, without an evaluation."""
        return self.in_scales(measured_scales(self, probing=False))

    def in_scales(self, scales: Scales) -> Problem:
        """Return the same problem with other scales."""
        other = self.asking(self.user_oracle)
        other.scales = scales
        return other

    @property
    @override
    def range(self) -> float:
        return self.scales.range

    @cached_property
    def scaled(self) -> Scaled:
        """The problem in its own units, as solvers see it."""
        from constrained_actmax.tasks.scaled import Scaled

        return Scaled(self)

    @property
    def asked(self) -> Problem:
        """The problem in the user's units."""
        return self

    def point(self, x: Rows) -> Rows:
        """Return a point or rows of the user's in the variables of this problem."""
        return x

    @override
    def original(self, x: Rows) -> Rows:
        return x

    def value(self, f: float) -> float:
        """Return the objective as written from the number that is minimised."""
        return self.sign * f

    def evaluation(self, tolerances: Evaluation) -> Evaluation:
        """Return an evaluation that was made in the user's units in those of this problem."""
        return tolerances

    def unscaled(self, evaluation: Evaluation) -> Evaluation:
        """Return an evaluation of this problem in the user's units."""
        return evaluation

    @property
    def tolerances(self) -> list[float]:
        """The violation of each functional constraint that counts as none, in its own units."""
        evaluation = []
        for constraint, bounds in zip(self.imposed, self._written, strict=True):
            smallest = float(np.min(bounds.sizes)) * self.feasibility_tolerance
            evaluation.append(smallest if constraint.tolerance is None else constraint.tolerance)
        return evaluation

    @cached_property
    @override
    def distance(self) -> Distance | None:
        return self.distance_in(1.0, 1.0)

    def distance_in(self, objective_unit: float, units: Vector | float) -> Distance | None:
        """Return `distance` of the problem in some units of its objective and its entries."""
        from constrained_actmax.objectives.norm import Norm
        from constrained_actmax.objectives.squared_distance import SquaredDistance
        from constrained_actmax.oracles.oracle import Oracle
        from constrained_actmax.sets.distance import ORDERS, Distance

        oracle = self.user_oracle
        if self.sense != "minimize" or not self.constraints or not isinstance(oracle, Oracle):
            return None
        written = oracle.objectives[0]
        if not isinstance(written, Norm | SquaredDistance):
            return None
        center, weights = written.flat_center(self.layout), written.flat_weights(self.layout)
        order, unit = 2.0, float(np.sqrt(objective_unit))
        if isinstance(written, Norm):
            order, unit = float(written.p), objective_unit
        if center.size < self.size or order not in ORDERS:  # it speaks of one input of several
            return None
        weights = np.ones(self.size) if weights is None else weights
        return Distance(order, center, weights / unit).scaled(units)

    @cached_property
    @override
    def l1_split(self) -> SplitForm | None:
        return self.l1_split_of(self)

    def l1_split_of(self, form: Problem | Scaled) -> SplitForm | None:
        """Return `l1_split` of this problem in its own units or the user's."""
        from constrained_actmax.objectives.squared_distance import SquaredDistance
        from constrained_actmax.oracles.oracle import Oracle
        from constrained_actmax.tasks.l1_split import SplitForm

        distance, oracle = form.distance, self.user_oracle
        if distance is None or distance.order != 1.0 or not form.set.only_box:
            return None
        assert isinstance(oracle, Oracle)
        # In split variables the distance is linear; here a smooth one stands for it.
        smooth = oracle.with_objectives([SquaredDistance(), *oracle.objectives[1:]]).smooth
        return SplitForm(form, distance.center, distance.weights, smooth)

    def evaluate(self, x: Rows, *, differences: bool = False) -> Evaluation:
        """Return f, its gradient, c and its Jacobian at rows x (B, n), in one model call.

        A function without gradients leaves them zero, and so are the Jacobians of all constraints,
        unless differences are asked for at their price.
        """
        if self.oracle.differentiable:
            values, jacobian = self.oracle.evaluate(x)
        else:
            values = self.oracle.values(x)
            jacobian = np.zeros((*values.shape, self.size))
            if differences:
                for row, point in enumerate(x):
                    jacobian[row] = finite_differences.jacobian(
                        lambda y: self.oracle.values(y[np.newaxis]),
                        point,
                        values[row],
                        self.domain,
                        central=True,
                        epsilon=self.oracle.epsilon,
                    )
        if self._functions:
            slopes = self.oracle.differentiable or differences
            extra = [function.evaluate(x, slopes=slopes) for function in self._functions]
            values = np.concatenate([values, *(part[0] for part in extra)], axis=1)
            jacobian = np.concatenate([jacobian, *(part[1] for part in extra)], axis=1)
        evaluation = _evaluation(values, jacobian)
        return evaluation if self.merit is None else self.merit(evaluation)

    def hessian_product(
        self, x: Vector, v: Vector, weights: Vector, reach: float | None = None
    ) -> Vector:
        """Return the product of the weighted Hessian of f and c with v at one point."""
        return self.oracle.hessian_product(x, v, weights, self.set.bounds(), reach)

    @override
    def functional_violation(self, c: Rows) -> Vector:
        if len(self.imposed) == 1:
            return self._written[0].violation(self.imposed[0].written(c))
        worst = np.zeros(len(c))
        for constraint, bounds in zip(self.imposed, self._written, strict=True):
            np.maximum(worst, bounds.violation(constraint.written(c)), out=worst)
        return worst

    @cached_property
    def _written(self) -> list[Bounds]:
        """The bounds of each constraint as written, with what their violations are divided by."""
        return [
            Bounds(
                constraint.lower,
                constraint.upper,
                self._judged(constraint, constraint.lower, constraint.upper, sizes),
            )
            for constraint, sizes in zip(self.imposed, self.scales.written, strict=True)
        ]

    @cached_property
    @override
    def imposed_sizes(self) -> Vector:
        sizes = np.array(self.scales.constraints)
        for constraint in self.imposed:
            rows = constraint.rows
            if constraint.objective is not None and constraint.tolerance is not None:
                sizes[rows] = np.inf  # judged as it was written alone
                continue
            sizes[rows] = self._judged(constraint, self.lower[rows], self.upper[rows], sizes[rows])
        return sizes

    def _judged(self, limit: Imposed, lower: Vector, upper: Vector, sizes: Vector) -> Vector:
        """Return sizes such that the allowed violation is `feasibility_tolerance` of them."""
        tolerance = self.feasibility_tolerance
        if limit.tolerance is not None and tolerance > 0:
            return np.full(lower.size, limit.tolerance / tolerance)
        if tolerance == 0.0:
            return sizes
        largest = np.maximum(*(np.abs(np.where(np.isfinite(b), b, 0.0)) for b in (lower, upper)))
        # A bound cannot be told from its neighbours within the precision of the model.
        return np.maximum(sizes, self.oracle.epsilon * largest / tolerance)

    @cached_property
    def _restated(self) -> bool:
        """Whether a bound is imposed in another form than the user's."""
        return any(constraint.objective is not None for constraint in self.imposed)

    @override
    def functionally_feasible(self, c: Rows, written: Vector | None = None) -> np.ndarray:
        worst = self.functional_violation(c) if written is None else written
        if self._restated:
            worst = np.maximum(worst, self.imposed_violation(c))
        kept: np.ndarray = worst <= self.feasibility_tolerance
        rows = self.kept_rows
        if rows.any():
            kept &= self._kept_bounds.violation(c[:, rows]) <= KEPT_TOLERANCE
        return kept

    @cached_property
    def _kept_bounds(self) -> Bounds:
        rows = self.kept_rows
        return Bounds(self.lower[rows], self.upper[rows], self.scales.constraints[rows])

    @cached_property
    @override
    def kept_rows(self) -> np.ndarray:
        kept = np.zeros(self.constraints, dtype=bool)
        for constraint in self.imposed:
            if constraint.kept is not None:
                kept[constraint.rows] = constraint.kept
        return kept

    def remarks(self, x: Vector) -> list[str]:
        """Return what the rows of tables say of an answer (n,)."""
        remarks = []
        for feature in self.features:
            part = self.layout.slices[feature.table.on or self.layout.inputs[0].name]
            remarks += feature.remarks(x[part], None if self.x0 is None else self.x0[part])
        return remarks

    def asking(self, oracle: BaseOracle) -> Problem:
        """Return the same problem with another oracle of the same functions."""
        other = copy.copy(self)
        other.user_oracle = oracle
        other.oracle = Negated(oracle) if self.sense == "maximize" else oracle
        return other

    def __getstate__(self) -> dict[str, Any]:
        """Return what a copy takes over: all that its oracle and scales do not change."""
        return {name: value for name, value in vars(self).items() if name not in REMADE}

    def __repr__(self) -> str:
        parts = [str(member) for member in self.set.members] + [
            constraint.description for constraint in self.imposed
        ]
        return f"{self.sense} {self.objective_text} subject to {', '.join(parts) or 'nothing'}"

    @property
    def stepped_names(self) -> str:
        """The stepped entries in the user's words; empty without any."""
        positions = np.flatnonzero(self.stepped).tolist()
        names = [self.layout.describe(index) for index in positions[:NAMED]]
        return ", ".join(names) + (f" and {len(positions) - NAMED} more" * (len(positions) > NAMED))

    def _probes(self, count: int) -> Rows:
        """Return seeded points of C at which the model is tried."""
        sizes, _ = self.column_sizes
        centre = self.set.centre()
        points = uniform_points(self.set, count, PROBE_SEED, centre, sizes, varied=True)
        inside: Rows = self.set.project(points)
        return inside

    def _refuse_unbounded(self) -> None:
        bounded = getattr(self.user_oracle, "bounded", ())
        if not bounded or self.set.bounded or self.constraints:
            return
        first = self.objective_text
        grows = bounded[0].above if self.sense == "maximize" else bounded[0].below
        if grows is False and self._grows_far_out():
            way = "above" if self.sense == "maximize" else "below"
            raise SpecificationError(
                f"{self.sense}: {first} is not bounded {way} on an unbounded set of inputs; add a "
                "bounded one, such as Box(0, 1) or L2Ball(radius), or a penalty such as "
                "- 0.1 * Norm(2)."
            )

    def _grows_far_out(self) -> bool:
        """Whether an objective that may grow without end does so along a segment of C far out.

        Its operations alone cannot tell: relu(x) grows and -relu(x) does not. Segments lead from
        the centre to projected far points, along drawn directions and then along the gradients
        there, so all points are in C. Not counted.
        """
        from constrained_actmax.oracles.oracle import Oracle

        if not isinstance(self.user_oracle, Oracle):
            return True
        asked = self.user_oracle.with_objectives(self.user_oracle.objectives)
        sign = 1.0 if self.sense == "maximize" else -1.0
        centre = self.set.project(self.set.centre())
        reach = FAR * max(1.0, float(np.max(np.abs(centre), initial=0.0)))
        drawn = np.random.default_rng(PROBE_SEED).standard_normal((FAR_PROBES, self.size))
        directions = np.concatenate([drawn, -drawn])
        for _ in range(2):
            size = np.linalg.norm(directions, axis=1, keepdims=True)
            ends = self.set.project(centre + reach * directions / np.where(size > 0, size, 1.0))
            points = [centre + share * (ends - centre) for share in (0.25, 0.5, 1.0)]
            values, jacobian = asked.evaluate(np.concatenate(points))
            first, second, last = sign * values[:, 0].reshape(3, -1)
            early, late = second - first, last - second
            steepest = float(np.max(np.linalg.norm(jacobian[:, 0], axis=1)))
            least = LEAST_SLOPE * steepest * reach
            grows = (early > 0) & (late > np.maximum(least, LINEAR * np.abs(last)))
            if np.any(grows & (late > (2 - LINEAR) * early)):
                return True
            directions = sign * jacobian[-len(ends) :, 0]
        return False


def require_problem(who: str, problem: Any) -> None:
    """Raise in the caller's name where this is no Problem."""
    if not isinstance(problem, Problem):
        raise SpecificationError(
            f"{who}: expected Problem(model, objective, constraints), "
            f"got {type(problem).__name__}; maximize and minimize take a model."
        )


def _without_repeats(sets: list[tuple[ConvexSet, Any]]) -> list[WrittenSet]:
    """Drop sets that say again what another says: a pair of equal balls has no closed form."""
    kept: list[WrittenSet] = []
    for whole, origin in sets:
        parts = whole.sets if isinstance(whole, Intersection) else (whole,)
        for part in parts:
            written = WrittenSet(part, _checked_name(part.name, str(part)), (origin, part))
            index = next((k for k, other in enumerate(kept) if _repeats(part, other.set)), None)
            if index is None:
                kept.append(written)
            else:
                kept[index] = kept[index].repeated(written)
    return kept


def _repeats(set_: ConvexSet, other: ConvexSet) -> bool:
    if type(set_) is not type(other):
        return False
    try:
        words, others = set_.to_dict(), other.to_dict()
    except SpecificationError:  # a function has no such form
        return False
    words.pop("name", None)
    others.pop("name", None)
    return words == others


def _checked_name(name: Any, who: str) -> str | None:
    if name is not None and (not isinstance(name, str) or not name):
        raise SpecificationError(
            f"{who}: name must be a text that is not empty, got {quoted(name)}."
        )
    return name


def _listed(constraints: Any) -> Sequence[Any]:
    if constraints is None:
        return ()
    return constraints if isinstance(constraints, list | tuple) else [constraints]


def _check_settings(sense: str, feasibility_tolerance: float | None) -> None:
    if sense not in ("maximize", "minimize"):
        raise SpecificationError(
            f"Problem: sense must be 'maximize' or 'minimize', got {quoted(sense)}."
        )
    asked = feasibility_tolerance
    if asked is not None and (
        isinstance(asked, bool) or not (isinstance(asked, Real) and 0 <= asked < np.inf)
    ):
        raise SpecificationError(
            f"Problem: feasibility_tolerance must be a finite number >= 0, got {quoted(asked)}."
        )


def _sorted_constraints(
    constraints: Any,
) -> tuple[list[tuple[ConvexSet, Any]], list[Features], list[Between], list[Any]]:
    """Split what the user wrote into convex sets, tables and functional constraints.

    Returns
    -------
    sets : list of (ConvexSet, object)
        Each with what it was written as.
    tables : list of Features
        Which mean sets on the model's inputs.
    functional, origins : list
        Comparisons and Functions, and what each was written as.
    """
    from constrained_actmax.constraints.function import Function
    from constrained_actmax.features.features import Features
    from constrained_actmax.objectives.base import Objective
    from constrained_actmax.objectives.between import Between

    sets: list[tuple[ConvexSet, Any]] = []
    tables: list[Features] = []
    functional: list[Between] = []
    origins: list[Any] = []
    for constraint in _listed(constraints):
        if isinstance(constraint, ConvexSet):
            sets.append((constraint, constraint))
        elif isinstance(constraint, Features):
            tables.append(constraint)
        elif isinstance(constraint, Between):
            functional.append(constraint)
            origins.append(constraint)
        elif isinstance(constraint, type) and issubclass(constraint, ConvexSet):
            raise SpecificationError(
                f"constraints: {constraint.__name__} is a class; write {constraint.__name__}(...)."
            )
        elif isinstance(constraint, bool | np.bool_):
            raise SpecificationError(
                f"constraints: got {quoted(constraint)}; a comparison of numbers is not a "
                "constraint, "
                "one side must be an objective."
            )
        else:
            converted = from_scipy(constraint)
            if converted is not None:
                sets.append((converted, constraint))
                continue
            function = Function.from_scipy(constraint)
            if function is None and isinstance(constraint, Objective):
                raise SpecificationError(
                    f"constraints: {constraint} alone is an objective, which comes before the "
                    "constraints "
                    f"(model, objective, constraints); a bound on it is a comparison, such as "
                    f"{constraint} <= 1."
                )
            if function is None:
                raise SpecificationError(
                    f"constraints: expected convex sets, comparisons on objectives or SciPy's "
                    f"constraint objects, got {type(constraint).__name__}."
                )
            functional.append(function)
            origins.append(constraint)
    return sets, tables, functional, origins


def _named(model: Any, options: Mapping[str, Any], tables: Sequence[Features]) -> Mapping[str, Any]:
    """Return a model's options with the names of a table's entries, where none are said."""
    if isinstance(model, BaseOracle) or options.get("feature_names") is not None:
        return options
    names: dict[str | None, Any] = {table.table.on: table.table.names for table in tables}
    if not names:
        return options
    return {**options, "feature_names": names.get(None, names)}


def _oracle(
    model: Any, objective: Any, functional: Sequence[Between], options: Mapping[str, Any]
) -> BaseOracle:
    """Build, or take, the oracle of the objective and of the constraints on model outputs."""
    from constrained_actmax.objectives.base import Objective
    from constrained_actmax.objectives.between import Between, is_numeric
    from constrained_actmax.objectives.output import Output
    from constrained_actmax.oracles.black_box import BlackBoxOracle
    from constrained_actmax.oracles.oracle import Oracle

    refuse_plain_function(model, options)
    outputs = [function.imposed()[0] for function in functional if function.compiled]
    if isinstance(objective, Between):
        raise SpecificationError(
            f"objective: {objective} is a constraint; put it into the list of constraints."
        )
    if objective is not None and not isinstance(objective, Objective):
        point = " Where to start is said by x0=." if is_numeric(objective) else ""
        raise SpecificationError(
            "objective: expected an objective such as Logit(7), "
            f"got {type(objective).__name__} {objective!r:.60}.{point}"
        )
    if isinstance(model, BaseOracle):
        if options:
            name = next(iter(options))
            raise SpecificationError(
                f"Problem: {name}= belongs to the model and is given when its Oracle is made."
            )
        if not isinstance(model, Oracle | BlackBoxOracle) or (
            isinstance(model, BlackBoxOracle) and model.differentiable
        ):
            if objective is not None or outputs:
                raise SpecificationError(
                    f"{type(model).__name__}: it is the function itself and has no outputs to "
                    "name; leave the objective out, and write constraints as sets or Function."
                )
            return model
        chosen = [objective] if objective is not None else list(model.objectives[:1])
        if not chosen and isinstance(model, BlackBoxOracle):
            chosen = [Output(0)]
        if not chosen:
            raise SpecificationError("Problem: say what should be large, such as Logit(7).")
        asked: BaseOracle = model.with_objectives([*chosen, *outputs])
        return asked
    if objective is None:
        raise SpecificationError("Problem: say what should be large, such as Logit(7).")
    for name in options:
        if name not in MODEL_OPTIONS:
            raise SpecificationError(f"Problem: no option {name!r}. {suggest(name, MODEL_OPTIONS)}")
    return Oracle(model, [objective, *outputs], **options)


def refuse_plain_function(model: Any, options: Mapping[str, Any]) -> None:
    """Say how a NumPy function is put in the model's place; TensorFlow's come with a shape.

    Raises
    ------
    SpecificationError
        If the model is a function of Python's without an ``input_shape=``.
    """
    if isinstance(model, PLAIN_FUNCTIONS) and options.get("input_shape") is None:
        name = getattr(model, "__name__", "function")
        raise SpecificationError(
            f"{name}: a plain function is given as FunctionOracle({name}, shape) if it returns "
            f"(value, gradient), as FunctionOracle({name}, shape, jac=...) if it returns a value "
            "alone (jac= a function, '2-point', or None for no gradients), and as "
            f"Oracle({name}, Output(0), input_shape=...) if it is made of TensorFlow's operations."
        )


def _imposed(
    functional: Sequence[Between],
    origins: Sequence[Any],
    oracle: BaseOracle,
    layout: Layout,
    feasible: FeasibleSet,
    x0: Vector | None,
    domain: Domain,
) -> tuple[Vector, Vector, list[Imposed], list[Any]]:
    """Lay the functional constraints' rows one after the other: outputs first, then functions."""
    from constrained_actmax.constraints.function import Function

    lower: list[Vector] = []
    upper: list[Vector] = []
    imposed: list[Imposed] = []
    functions: list[Any] = []
    point: Vector | None = None
    start = 0
    outputs = [function for function in functional if function.compiled]
    counts = list(getattr(oracle, "counts", [1] * (1 + len(outputs))))[1:]
    for output, count in zip(outputs, counts, strict=True):
        _, low, high = output.imposed()
        lower.append(_limits(low, count, str(output)))
        upper.append(_limits(high, count, str(output)))
        imposed.append(_stated(output, slice(start, start + count)))
        start += count
    for output, origin in zip(functional, origins, strict=True):
        if not isinstance(output, Function) or output.compiled:
            continue
        if point is None:
            point = feasible.project(feasible.centre() if x0 is None else x0)
            point = np.clip(point, domain.lower, domain.upper)
        function = output.bind(layout, domain, point)
        functions.append(function)
        lower.append(_limits(function.lower, function.count, str(output)))
        upper.append(_limits(function.upper, function.count, str(output)))
        rows = slice(start, start + function.count)
        imposed.append(
            Imposed(
                str(output),
                rows,
                lower[-1],
                upper[-1],
                tolerance=output.tolerance,
                kept=function.kept,
                name=_checked_name(output.name, str(output)),
                origin=origin,
            )
        )
        start += function.count
    if not imposed:
        return np.empty(0), np.empty(0), [], []
    return np.concatenate(lower), np.concatenate(upper), imposed, functions


def _stated(between: Between, rows: slice) -> Imposed:
    """Return a constraint on an output with its limits in the user's units."""
    objective, _, _ = between.imposed()
    same = objective is between.objective
    count = rows.stop - rows.start if same else 1
    return Imposed(
        str(between),
        rows,
        _limits(between.within[0], count, str(between)),
        _limits(between.within[1], count, str(between)),
        None if same else between.objective,
        between.tolerance,
        name=_checked_name(between.name, str(between)),
        origin=between,
    )


def _evaluation(values: Rows, jacobian: np.ndarray) -> Evaluation:
    f, gradient, c, slopes = values[:, 0], jacobian[:, 0], values[:, 1:], jacobian[:, 1:]
    return Evaluation(f, gradient, c, slopes, _all_finite(values, jacobian))


def _all_finite(values: Rows, jacobian: np.ndarray) -> np.ndarray:
    """Return the rows in which all numbers are finite."""
    slopes = np.isfinite(jacobian)
    if slopes.all() and np.isfinite(values).all():
        return np.ones(len(values), dtype=bool)
    kept: np.ndarray = np.isfinite(values).all(axis=1) & slopes.all(axis=(1, 2))
    return kept


def _limits(value: Any, count: int, who: str) -> Vector:
    array = np.asarray(value, dtype=np.float64)
    try:
        return np.array(np.broadcast_to(array, (count,)))
    except ValueError:
        raise SpecificationError(
            f"{who}: it has {count} rows, the bound has shape {array.shape}."
        ) from None


def _objective_text(oracle: BaseOracle) -> str:
    objectives = getattr(oracle, "objectives", ())
    if objectives:
        return str(objectives[0])
    return str(oracle.describe().get("model", "function"))
