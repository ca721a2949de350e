"""Sets of constraints that cvxpy can write."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp
from typing_extensions import override

from constrained_actmax.errors import ProjectionError
from constrained_actmax.kernels.convex_program import relaxed
from constrained_actmax.kernels.kernel import Kernel
from constrained_actmax.kernels.relative import relative, sizes
from constrained_actmax.layout import Rows, Vector

if TYPE_CHECKING:
    import cvxpy as cp

    from constrained_actmax.kernels.cone_program import ConeProgram

SOLVED_TO = 1e-9  # a relative violation below this is the auxiliary problem's own tolerance


@dataclass(frozen=True, eq=False, repr=False)
class CvxpyKernel(Kernel):
    """What constraints of cvxpy allow, projected on by one problem, compiled once.

    Parameters
    ----------
    stated : callable
        A cvxpy variable (n,) -> DCP constraints.
    entries : int
        n.
    """

    stated: Callable[[cp.Variable], list[cp.Constraint]]
    entries: int

    violation_norm = (
        "largest violation of one of its constraints; outside their domain, distance to the set"
    )
    closed = False

    @property
    @override
    def size(self) -> int:
        return self.entries

    @cached_property
    def _lock(self) -> threading.Lock:
        return threading.Lock()

    @override
    def project(self, x: Rows) -> Rows:
        return self.program.project(x)

    @override
    def to_cvxpy(self, variable: cp.Variable) -> list[cp.Constraint]:
        rows = self.stated(variable)
        # Not DCP is g >= 0 of power(g, p) with a convex g: cvxpy takes max(g, 0), unlimited.
        return [*rows, *(constraint for constraint in domain(rows) if constraint.is_dcp())]

    @cached_property
    def _meter(self) -> tuple[Any, list[Any], list[Any], bool]:
        import cvxpy as cp

        variable = cp.Variable(self.size)
        rows = self.stated(variable)
        auxiliary = any(leaf.id != variable.id for row in rows for leaf in row.variables())
        misvalued = any(leaf is cp.quantum_rel_entr for row in rows for leaf in row.atoms())
        return variable, rows, domain(rows), auxiliary or misvalued

    def _measured(self, x: Vector, at: Vector | None) -> float:
        """Return the largest violation of a constraint; given sizes of entries, relative."""
        if not np.isfinite(x).all():
            return np.nan
        with self._lock:
            if self._meter[-1]:
                return self._elastic(x, at)
            worst = self._evaluated(x, at)
            return worst if np.isfinite(worst) else self._distance(x, at)

    def _evaluated(self, x: Vector, at: Vector | None) -> float:
        """Return the largest violation of a constraint; NaN off their domain."""
        variable, rows, limits, _ = self._meter
        variable.value = x
        worst = [0.0]
        try:
            with np.errstate(all="ignore"):
                if not all(np.all(limit.violation() <= 0.0) for limit in limits):
                    return np.nan
                for row in rows:
                    violation = np.atleast_1d(_violation(row)).ravel(order="F")
                    if at is not None and violation.any():  # NaN is
                        violation = relative(violation, self._size_of(row, at, violation.size))
                    worst.append(float(np.max(violation, initial=0.0)))
        except (ArithmeticError, ValueError):  # on the domain's boundary, such as a singular matrix
            return np.nan
        return float(np.max(worst))  # NaN, if one is

    def _size_of(self, row: Any, at: Vector, count: int) -> Vector:
        """Return the size of what a constraint compares: its sides, and what x adds to them."""
        sides = [np.abs(np.ravel(arg.value, order="F")) for arg in row.args]
        sizes_ = np.zeros(count)
        for arg, side in zip(row.args, sides, strict=True):
            # A side may be the difference of what is compared: ``f(x) - r <= 0``.
            alone = any(not other.all() for other in sides if other is not side)
            if arg.is_affine() or alone or len(sides) == 1:
                side = np.maximum(side, np.sqrt(np.asarray(self._squares(arg).T @ (at * at))))
            sizes_ = np.maximum(sizes_, side if side.size == count else np.max(side, initial=0.0))
        return sizes_

    def _squares(self, expression: Any) -> Any:
        """Return the squares of the slopes of an expression at the variable's value."""
        if id(expression) in self._affine:
            return self._affine[id(expression)]
        variable = self._meter[0]
        try:
            slopes = expression.grad.get(variable)
        except (TypeError, NotImplementedError, ArithmeticError, ValueError):  # cvxpy has none
            slopes = None
        nothing = sp.csr_array((variable.size, expression.size))
        squares = nothing if slopes is None else sp.csr_array(slopes).power(2)
        if expression.is_affine():
            self._affine[id(expression)] = squares
        return squares

    @cached_property
    def _affine(self) -> dict[int, Any]:
        return {}

    @override
    def sized_rows(self, variable: cp.Variable, at: Rows) -> list[tuple[cp.Constraint, Any]]:
        point, known, limits, unmeasured = self._meter
        rows = self.to_cvxpy(variable)
        if unmeasured:
            return [(row, float(np.max(at)) or 1.0) for row in rows]
        with self._lock:
            point.value = np.zeros(self.size)
            measured = [*known, *(limit for limit in limits if limit.is_dcp())]
            sizes_ = [self._size_here(constraint, at[0]) for constraint in measured]
        return list(zip(rows, sizes_, strict=True))

    def _size_here(self, row: Any, at: Vector) -> float:
        """Return the size of a constraint at the variable's value; that of x where it has none."""
        try:
            with np.errstate(all="ignore"):
                size = float(np.max(self._size_of(row, at, 1)))
        except (ArithmeticError, ValueError):  # a singular matrix
            size = np.nan
        return (size or 1.0) if np.isfinite(size) else float(np.max(at)) or 1.0

    @cached_property
    def _elastic_problem(self) -> tuple[Any, Any, Any]:
        import cvxpy as cp

        from constrained_actmax.kernels.cone_program import ConeProgram

        variable, rows, _, _ = self._meter
        point, slack = cp.Parameter(self.size), cp.Variable(nonneg=True)
        problem = cp.Problem(
            cp.Minimize(slack), [*relaxed([(row, 1.0) for row in rows], slack), variable == point]
        )
        return problem, point, ConeProgram(problem, variable)

    def _elastic(self, x: Vector, at: Vector | None) -> float:
        problem, point, solver = self._elastic_problem
        point.value = x
        size = solver.size()
        if not solver.solved(size):
            return self._distance(x, at)  # no slack helps outside a domain
        return _beyond_rounding(float(problem.value), size, at)

    @cached_property
    def _distance_problem(self) -> tuple[Any, Any, ConeProgram]:
        import cvxpy as cp

        from constrained_actmax.kernels.cone_program import ConeProgram

        nearest, point = cp.Variable(self.size), cp.Parameter(self.size)
        apart = cp.norm_inf(nearest - point)
        problem = cp.Problem(cp.Minimize(apart), self.to_cvxpy(nearest))
        return problem, point, ConeProgram(problem, nearest)

    def _distance(self, x: Vector, at: Vector | None) -> float:
        """Return the distance to the set in the largest entry; infinite if it is empty."""
        import cvxpy as cp

        problem, point, solver = self._distance_problem
        point.value = x
        size = max(solver.size(), float(np.max(np.abs(x))))
        if solver.solved(size):
            return _beyond_rounding(float(problem.value), size, at)
        if problem.status in (cp.INFEASIBLE, cp.INFEASIBLE_INACCURATE):
            return np.inf
        raise ProjectionError(f"{self}: violation: cvxpy reports {problem.status}.")

    @override
    def violation(self, x: Rows) -> Vector:
        return np.array([self._measured(row, None) for row in x])

    @override
    def relative_violation(self, x: Rows, widths: Vector | None = None) -> Vector:
        return np.array([self._measured(*pair) for pair in zip(x, sizes(x, widths), strict=True)])


def _beyond_rounding(value: float, size: float, at: Vector | None) -> float:
    """Return a solver's violation, 0 within its tolerance; given sizes of entries, relative."""
    if value <= SOLVED_TO * size:
        return 0.0
    return value if at is None else value / (size or float(np.max(at)) or 1.0)


def _violation(row: cp.Constraint) -> Any:
    """Return by how much a constraint is broken at the variables' values.

    A power cone measures itself by a projection too: here by |z| - x^a y^(1 - a), -x and -y.
    """
    import cvxpy as cp

    if not isinstance(row, cp.constraints.PowCone3D):
        return row.violation()
    x, y, z, power = (np.asarray(argument.value) for argument in (row.x, row.y, row.z, row.alpha))
    mean = np.maximum(x, 0.0) ** power * np.maximum(y, 0.0) ** (1.0 - power)
    return np.maximum.reduce([np.abs(z) - mean, -x, -y, np.zeros_like(mean)])


def domain(rows: Sequence[cp.Constraint]) -> list[cp.Constraint]:
    """Return the constraints that keep the functions in others inside their domains.

    Parameters
    ----------
    rows : sequence of cvxpy.Constraint
        Their expressions are searched to the leaves.
    """
    import cvxpy as cp

    constraints = []
    for constraint in (limit for row in rows for part in row.args for limit in part.domain):
        if constraint.variables():
            constraints.append(constraint)
            matrix = constraint.args[0]
            if isinstance(constraint, cp.constraints.PSD) and not matrix.is_hermitian():
                constraints.append(matrix == matrix.T)
    return constraints
