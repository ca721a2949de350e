"""The border to scipy.optimize.minimize: one start, in float64, with every trap guarded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import numpy as np
import scipy.optimize
import scipy.sparse as sp
import scipy.sparse.linalg
from scipy.optimize import OptimizeResult
from typing_extensions import override

from constrained_actmax.kernels.scipy_form import Substitution, in_units
from constrained_actmax.layout import Indices, Rows, Vector
from constrained_actmax.optimality import Residuals, residuals
from constrained_actmax.result import Status
from constrained_actmax.solvers.base import RowSolver, needs_gradients
from constrained_actmax.standard_form import StandardForm
from constrained_actmax.tasks.extended import MOST_TRIALS, Extended
from constrained_actmax.tasks.l1_split import in_split_variables
from constrained_actmax.tasks.recording import DIVERGENCE, MOST_ROWS
from constrained_actmax.tasks.scaled import FINEST_VIOLATION
from constrained_actmax.tasks.task import Stopped, Task

#: What f is multiplied by where f and c are linear. Quasi-Newton methods begin with an identity for
#: the curvature, which is too much of it; their least squares lose roundings by the square of this
#: (12 drawn linear programs take SLSQP 102 evaluations at 1, 45 at 10, 33 at 30, 28 at 100).
LINEAR_WEIGHT = 30.0
#: Trials far away of one start that are turned back at most: as many as those that are not finite.
MOST_FAR = MOST_TRIALS
#: Bytes that a method's dense workspace may take.
MEMORY_LIMIT = 2 * 2**30


@dataclass
class Progress:
    """A start's last iterate, its best optimal point; how many brought nothing, followed."""

    y: Vector | None = None
    f: float = np.inf
    violation: float = np.inf
    since: int = 0
    beyond: int = 0
    optimal: Vector | None = None
    residual: float = np.inf
    settled: bool = False
    count: int = 0


class Variables:
    """What SciPy's callables see: y, which is x, scaled, or in split form; a memo of one point.

    SciPy asks for value, gradient, constraints and their Jacobians in separate calls; all of them
    come from one model call at the point.

    Parameters
    ----------
    task, start : Task, int
        Who asks, and on whose behalf.
    variables : Substitution
        The convex set as SciPy takes it. Where its entries have unlike widths each variable is
        measured in units of its own: SciPy does not project.
    written_objective : bool
        Whether SciPy sees the objective in the user's units, for tolerances that are in them.
    """

    def __init__(
        self,
        task: Task,
        start: int,
        variables: Substitution,
        *,
        written_objective: bool = False,
    ) -> None:
        self.task, self.start = Extended(task), start
        self.unit = 1.0  # the smallest of the variables' units
        if variables.matrix is None:
            variables, self.unit = _in_units_of_the_box(variables)
        self._variables = variables.normalised()
        self.form = self._variables.form
        self.objective_weight = 1.0
        if written_objective:
            self.objective_weight = task.problem.objective_unit
        elif task.problem.linear:
            self.objective_weight = LINEAR_WEIGHT
        self._key: bytes | None = None
        self._first = True
        self._bounded = task.problem.set.bounded
        #: Whether the last point is far away, and how many of this start have been.
        self._far, self._far_trials = False, 0
        self._bounds = task.problem.set.bounds()
        #: Whether points that no iterate may be have an infinite objective.
        self.guards = False
        #: What looks at every further point that is evaluated.
        self.watch: Callable[[Variables, Vector], None] | None = None
        self.progress = Progress()

    def length(self, chosen: float) -> float:
        """Return a length in input units in those of SciPy's variables, the shortest that it is."""
        return chosen / (self.task.problem.unit * self.unit)

    def slope(self, default: float, chosen: float | None) -> float:
        """Return a slope by SciPy's variables: a pure number, or one in the user's units."""
        if chosen is None:
            return self.unit * default
        return self.unit * float(np.min(self.task.problem.units)) * chosen

    def x(self, y: Vector) -> Vector:
        """Return the model's x for SciPy's y, moved into the bounds that C states."""
        lower, upper = self._bounds
        return np.minimum(np.maximum(self._variables.x(y), lower), upper)

    def y(self, x: Vector) -> Vector:
        """Return SciPy's y for the model's x, inside its bounds."""
        return np.clip(self._variables.inverse(x), self.form.lower, self.form.upper)

    def at(self, y: Vector) -> Variables:
        """Evaluate the point unless it is the last one.

        Outside the bounds, where functions may be undefined, each goes on as its tangent at the
        nearest point of them: trust-constr asks there on its way.

        Raises
        ------
        Stopped
            At a limit, at a number that is not finite, at a first gradient of zero, and where a
            line search runs away.
        """
        y = np.asarray(y, dtype=np.float64)
        key = y.tobytes()  # a copy, and compared at a fifth of the price of arrays
        if key == self._key:
            return self
        problem = self.task.problem
        x = self.x(y)
        if self._runs_away(x):
            raise Stopped(Status.UNBOUNDED)
        evaluation = self.task.evaluate(x[np.newaxis], [self.start])
        if not evaluation.finite[0]:
            raise Stopped(Status.NON_FINITE, self.task.name_non_finite(x, evaluation, 0))
        g: Vector = self._variables.pulled(evaluation.gradient[0])
        if self._first:
            sloping = evaluation.gradient.any() or not problem.differentiable
            if not sloping and not problem.constraints:
                raise Stopped(Status.ZERO_GRADIENT)
            self._first = False
            self._start_size = max(1.0, float(np.max(np.abs(x), initial=0.0)))
        self._key, self._x, self.evaluation = key, x, evaluation
        self._violation = evaluation.violation
        self.f, self.g = float(evaluation.f[0]), g
        c = evaluation.c[0]
        beyond = self._variables.x(y) - x
        if beyond.any():
            self.f += float(evaluation.gradient[0] @ beyond)
            c = c + evaluation.jacobian[0] @ beyond
        if self.guards and not problem.may_be_iterate(self._variables.x(y), c):
            self.f = np.inf
        if problem.constraints:
            self.c: Vector = c
            self.jacobian = self._variables.pulled(evaluation.jacobian[0])
        if self.watch is not None:
            self.watch(self, y)
        return self

    def _runs_away(self, x: Vector) -> bool:
        """Whether a line search has come to a point (n,) far away before its first step.

        Where constraints are broken, slopes that are nearly dependent make a step that long: a few
        such trials are turned back, as any bad ones are.
        """
        size, problem = float(np.max(np.abs(x), initial=0.0)), self.task.problem
        self._far = not (self._first or self._bounded or size <= DIVERGENCE * self._start_size)
        if not self._far:
            return False
        self._far_trials += 1
        if self._far_trials > MOST_FAR or not (problem.constraints and np.isfinite(size)):
            return True
        return self._set_violation() <= problem.feasibility_tolerance

    def value(self, y: Vector) -> float:
        """Return f, weighted."""
        return self.at(y).f * self.objective_weight

    def gradient(self, y: Vector) -> Vector:
        """Return its gradient by y."""
        g = self.at(y).g
        return g if self.objective_weight == 1.0 else g * self.objective_weight

    def report(self, y: Vector) -> None:
        """Record an iterate."""
        self.at(y)
        violation = self._set_violation()
        # SLSQP calls back with the first trial of a line search: not finite there, or turned back.
        if np.isinf(violation) or self._far:
            return
        if not self.task.iterate(self.start, self._x, self.f, violation):
            raise Stopped(Status.UNBOUNDED)

    def _set_violation(self) -> float:
        """Return the largest violation at the last point, relative to what is allowed."""
        if self._violation is None:  # an inner run leaves it to the outer one
            self._violation = self.task.problem.violation(self._x[np.newaxis], self.evaluation.c)
        return float(self._violation[0])

    @property
    def violation(self) -> float:
        """Largest violation of any constraint at the last point, as imposed."""
        imposed = self.task.problem.imposed_violation(self.evaluation.c)
        return max(self._set_violation(), float(imposed[0]))

    def optimal(self, y: Vector) -> bool:
        """Whether the library's own measures call the point optimal."""
        problem = self.task.problem
        self.at(y)
        wanted = min(problem.feasibility_tolerance, max(self.task.tolerance, FINEST_VIOLATION))
        if self.violation > wanted:
            return False
        kkt = self.residuals(y)
        return max(kkt.stationarity, kkt.complementarity) <= self.task.tolerance

    def residuals(self, y: Vector) -> Residuals:
        """Return the KKT residuals of the point by the library's own measures."""
        return residuals(self.task.problem, self.x(y), self.at(y).evaluation)

    def hessian_product(self, y: Vector, v: Vector, weights: Vector) -> Vector:
        """Return the product of the weighted Hessian with v, by y."""
        direction = np.ravel(self._variables.direction(v))
        product = self.task.hessian_product(self.x(y), direction, weights)
        return np.asarray(self._variables.pulled(product))


def _in_units_of_the_box(variables: Substitution) -> tuple[Substitution, float]:
    """Return the set in y = x / width of the box, and the smallest unit."""
    form = variables.form
    width = form.upper - form.lower
    finite = np.isfinite(width) & (width > 0)
    if not finite.any():
        return variables, 1.0
    # Relative to the largest: the set is measured in units of that already.
    units = np.ones(width.size)
    units[finite] = width[finite] / width[finite].max()
    if np.all(units == 1.0):
        return variables, 1.0
    matrix = sp.diags_array(units).tocsr()
    in_y = Substitution(in_units(form, units), matrix, np.zeros(units.size), lambda x: x / units)
    return in_y, float(units.min())


@dataclass(frozen=True, kw_only=True)
class ScipySolver(RowSolver):
    """A method of ``scipy.optimize.minimize``; its settings are SciPy's own options."""

    #: Whether it takes linear rows and smooth constraints.
    takes_rows: ClassVar[bool] = True
    stays_inside: ClassVar[bool] = False
    #: Whether values alone are enough.
    derivative_free: ClassVar[bool] = False

    maxiter: int = 1000

    def options(self) -> dict[str, Any]:
        """Return SciPy's options: every setting that is not None."""
        named = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in named.items() if value is not None}

    @override
    def refusal(self, problem: StandardForm) -> str | None:
        if not self.derivative_free and not problem.differentiable:
            return needs_gradients(self.name)
        problem = self._asked(problem)
        variables = problem.set.in_scipy_variables()
        if variables is None:
            return (
                f"{self.name} takes bounds, linear rows and smooth constraints, and "
                f"{self._without_form(problem)} has no such form; "
                "use method='spg' or 'pgd', which project."
            )
        form = variables.form
        if not (self.takes_rows or form.only_bounds):
            member = self._first_not_box(problem)
            return f"{self.name} takes bounds alone and cannot keep {member}; use method='spg'."
        if not self.takes_rows and problem.constraints:
            return (
                f"{self.name} takes bounds alone and cannot keep "
                f"{problem.imposed[0].description}; use method='augmented-lagrangian' or 'SLSQP'."
            )
        needed = self.workspace(form.lower.size, problem)
        if needed > MEMORY_LIMIT:
            other = "'spg' or 'pgd'" if not problem.constraints else "'augmented-lagrangian'"
            return (
                f"{self.name} needs {needed / 2**30:.1f} GB for {form.lower.size:,} variables; "
                f"use method={other}."
            )
        return None

    def _asked(self, problem: StandardForm) -> StandardForm:
        """Return the form that SciPy gets: the nearest point in L1 is sought along slopes."""
        return problem if self.derivative_free else problem.l1_split or problem

    @override
    def _run(self, task: Task, x0: Rows, starts: Indices) -> None:
        if not self.derivative_free:
            task, x0 = in_split_variables(task, x0)
        super()._run(task, x0, starts)

    def variables(self, task: Task, start: int, *, written_objective: bool = False) -> Variables:
        """Return what SciPy's callables see."""
        variables = task.problem.set.in_scipy_variables()
        assert variables is not None  # refusal() asked
        return Variables(task, start, variables, written_objective=written_objective)

    def workspace(self, variables: int, problem: StandardForm) -> float:
        """Return the bytes of the method's dense workspace."""
        return 0.0

    @override
    def most_at_once(self, problem: StandardForm) -> int:
        evaluation = problem.set.in_scipy_variables()
        needed = 0.0 if evaluation is None else self.workspace(evaluation.form.lower.size, problem)
        return int(min(MOST_ROWS, max(1.0, MEMORY_LIMIT // max(needed, 1.0))))

    @staticmethod
    def _without_form(problem: StandardForm) -> str:
        for member in problem.set.members:
            if member.to_scipy(*member.bounding_box()) is None:
                return str(member)
        return "these sets together"

    @staticmethod
    def _first_not_box(problem: StandardForm) -> str:
        for member in problem.set.members:
            form = member.to_scipy(*member.bounding_box())
            if form is None or not form.only_bounds:
                return str(member)
        return "this set"

    def after_iteration(self, variables: Variables, y: Vector) -> None:
        """Look at an iterate; a method whose own test is poor ends its start here."""

    def minimize(
        self,
        variables: Variables,
        y0: Vector,
        constraints: list[Any],
        options: Mapping[str, Any],
        **derivatives: Any,
    ) -> OptimizeResult:
        """Call SciPy, with an iteration reported by whichever form of callback the method has."""
        form = variables.form

        def callback(y: Vector, *_: Any) -> None:
            variables.report(y)
            self.after_iteration(variables, y)

        bounds = scipy.optimize.Bounds(form.lower, form.upper)
        if not self.derivative_free:
            derivatives["jac"] = variables.gradient
        with np.errstate(all="ignore"):
            return scipy.optimize.minimize(
                variables.value,
                y0,
                method=self.name,
                bounds=bounds,
                constraints=constraints,
                callback=callback,
                options=dict(options),
                **derivatives,
            )


def end_by_code(
    task: Task,
    start: int,
    x: Vector,
    result: OptimizeResult,
    statuses: Mapping[int, Status],
) -> None:
    """End a start by SciPy's integer code; its words go into the detail."""
    status = statuses.get(int(result.status), Status.SOLVER_ERROR)
    task.end(start, x, status, str(result.message))


def constraint_dicts(variables: Variables) -> list[dict[str, Any]]:
    """Return rows, smooth and functional constraints as SLSQP's dicts (equal to 0, or >= 0)."""
    form, problem = variables.form, variables.task.problem
    dicts: list[dict[str, Any]] = []

    def linear(kind: str, matrix: np.ndarray, offset: Vector) -> None:
        if len(matrix):
            dicts.append(
                {
                    "type": kind,
                    "fun": lambda y, a=matrix, b=offset: a @ y - b,
                    "jac": lambda y, a=matrix: a,
                }
            )

    for rows in form.rows:
        dense = rows.matrix.toarray()
        equal = rows.lower == rows.upper
        low, high = ~equal & np.isfinite(rows.lower), ~equal & np.isfinite(rows.upper)
        linear("eq", dense[equal], rows.lower[equal])
        linear("ineq", dense[low], rows.lower[low])
        linear("ineq", -dense[high], -rows.upper[high])
    for row in form.smooth:
        dicts.append(
            {
                "type": "ineq",
                "fun": lambda y, r=row: r.upper - r.value(y),
                "jac": lambda y, r=row: -r.gradient(y),
            }
        )
    if problem.constraints:
        equal = problem.lower == problem.upper
        low = ~equal & np.isfinite(problem.lower)
        high = ~equal & np.isfinite(problem.upper)
        lower, upper = problem.lower, problem.upper
        for kind, chosen, sign, limit in (
            ("eq", equal, 1.0, lower),
            ("ineq", low, 1.0, lower),
            ("ineq", high, -1.0, upper),
        ):
            if chosen.any():
                dicts.append(
                    {
                        "type": kind,
                        "fun": lambda y, k=chosen, s=sign, b=limit: s * (variables.at(y).c - b)[k],
                        "jac": lambda y, k=chosen, s=sign: s * variables.at(y).jacobian[k],
                    }
                )
    return dicts


def constraint_objects(variables: Variables, hessian: bool) -> list[Any]:
    """Return rows, smooth and functional constraints as trust-constr takes them, all sparse."""
    form, problem = variables.form, variables.task.problem
    objects: list[Any] = [
        scipy.optimize.LinearConstraint(sp.csr_matrix(rows.matrix), rows.lower, rows.upper)
        for rows in form.rows
    ]
    size = form.lower.size
    for row in form.smooth:
        objects.append(
            scipy.optimize.NonlinearConstraint(
                row.value,
                -np.inf,
                row.upper,
                jac=lambda y, r=row: sp.csr_matrix(r.gradient(y)[np.newaxis]),
                hess=lambda y, v, r=row: scipy.sparse.linalg.LinearOperator(
                    (size, size),
                    matvec=lambda p: v[0] * r.hessian_product(y, np.ravel(p)),
                    dtype=np.float64,
                ),
            )
        )
    if problem.constraints:
        outputs = problem.hessians - 1

        def product(y: Vector, v: Vector) -> Any:
            weights = np.concatenate([[0.0], v[:outputs]])
            return scipy.sparse.linalg.LinearOperator(
                (size, size),
                dtype=np.float64,
                matvec=lambda p: variables.hessian_product(y, np.ravel(p), weights),
            )

        exact = hessian and outputs == problem.constraints
        objects.append(
            scipy.optimize.NonlinearConstraint(
                lambda y: variables.at(y).c.copy(),
                problem.lower,
                problem.upper,
                jac=lambda y: sp.csr_matrix(variables.at(y).jacobian),
                hess=product if exact else scipy.optimize.BFGS(),
            )
        )
    return objects
