"""Projections by cvxpy: one problem, compiled once, the point its only parameter."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from constrained_actmax.errors import ProjectionError, SpecificationError
from constrained_actmax.layout import Rows, Vector
from constrained_actmax.sets.base import ACCEPTED, LARGEST, ConvexSet

if TYPE_CHECKING:
    import cvxpy as cp

SHARES = np.logspace(-10, -3, 15)  # steps inside; a point that needs a longer one is no answer
SOLVERS: tuple[tuple[str, dict[str, Any]], ...] = (
    # At its default tolerances Clarabel is off by up to 9e-5 in x; at 1e-12 by 1e-9, as fast. Where
    # that stalls, on curved cones, 1e-10 may stall later and nearer.
    ("CLARABEL", {"tol_gap_abs": 1e-12, "tol_gap_rel": 1e-12, "tol_feas": 1e-12, "max_iter": 200}),
    ("CLARABEL", {"tol_gap_abs": 1e-10, "tol_gap_rel": 1e-10, "tol_feas": 1e-10, "max_iter": 200}),
    ("CLARABEL", {"tol_gap_abs": 1e-8, "tol_gap_rel": 1e-8, "tol_feas": 1e-8, "max_iter": 200}),
    ("OSQP", {"eps_abs": 1e-9, "eps_rel": 1e-9, "max_iter": 100_000, "polishing": True}),
    ("SCS", {"eps_abs": 1e-9, "eps_rel": 1e-9, "max_iters": 50_000}),
)


def attempts(problem: cp.Problem, report: list[str]) -> Iterator[str]:
    """Solve by one of `SOLVERS` after the other, for as long as the caller asks; yield statuses.

    Parameters
    ----------
    problem : cvxpy.Problem
        A DPP problem.
    report : list of str
        Gets each solver's name and status.
    """
    import cvxpy as cp

    for name, settings in SOLVERS:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # the status says it too
                problem.solve(solver=name, **settings)
            status = str(problem.status)
        except (cp.SolverError, ValueError, ArithmeticError) as error:
            status = str(error).splitlines()[0] if str(error) else type(error).__name__
        report.append(f"{name}: {status}")
        # What Clarabel calls inaccurate is good to 1e-7; the others say it of any last iterate.
        yield "failed" if status == cp.OPTIMAL_INACCURATE and name != "CLARABEL" else status


def solved(problem: cp.Problem, report: list[str] | None = None) -> bool:
    """Solve by the first of `SOLVERS` that can; say whether a value was found."""
    import cvxpy as cp

    inaccurate: list[Any] | None = None
    for status in attempts(problem, [] if report is None else report):
        if status == cp.OPTIMAL:
            return True
        if status in (cp.INFEASIBLE, cp.UNBOUNDED):
            return False
        if status == cp.OPTIMAL_INACCURATE:
            if inaccurate is not None:
                return True  # two agree that this is as far as they get
            inaccurate = [one.value for one in problem.variables()]
    if inaccurate is None:
        return False
    for one, value in zip(problem.variables(), inaccurate, strict=True):
        one.value = value
    return True


def relaxed(rows: Sequence[cp.Constraint], slack: Any) -> list[cp.Constraint]:
    """Return constraints that may be broken by `slack` each, or kept with room if it is negative.

    Equalities become ``|left - right| <= slack``; cones are widened along their axis. A constraint
    of another kind stays as it is.
    """
    import cvxpy as cp

    found: list[cp.Constraint] = []
    for row in rows:
        if isinstance(row, cp.constraints.Equality | cp.constraints.Zero):
            left = row.args[0] - row.args[1] if len(row.args) == 2 else row.args[0]
            found.append(cp.abs(left) <= slack)
        elif isinstance(row, cp.constraints.Inequality):
            found.append(row.args[0] - slack <= row.args[1])
        elif isinstance(row, cp.constraints.NonPos):
            found.append(row.args[0] <= slack)
        elif isinstance(row, cp.constraints.NonNeg):
            found.append(row.args[0] >= -slack)
        elif isinstance(row, cp.constraints.SOC):
            found.append(cp.SOC(row.args[0] + slack, row.args[1], axis=row.axis))
        elif isinstance(row, cp.constraints.PSD):
            found.append(row.args[0] + slack * np.eye(row.args[0].shape[0]) >> 0)
        else:
            found.append(row)
    return found


def with_room(rows: Sequence[cp.Constraint], room: Any) -> list[cp.Constraint]:
    """Return constraints kept with `room` to spare; equalities as they are."""
    import cvxpy as cp

    equalities = (cp.constraints.Equality, cp.constraints.Zero)
    return [row if isinstance(row, equalities) else relaxed([row], -room)[0] for row in rows]


class ConvexProgram:
    """The projection on some sets and a box as one cvxpy problem, compiled on first use.

    Parameters
    ----------
    members : sequence of ConvexSet
        Bound sets on vectors of one length.
    lower, upper : numpy.ndarray
        The box.
    """

    def __init__(self, members: Sequence[ConvexSet], lower: Vector, upper: Vector) -> None:
        self.members = tuple(members)
        self.lower, self.upper = lower, upper
        self.dimension = len(lower)
        self.tolerance = 1e-8
        self._lock = threading.RLock()  # a compiled problem holds its point: one caller at a time
        self._problem: Any = None
        self._interior: Vector | None = None
        if self.dimension > LARGEST:
            raise SpecificationError(
                f"{self}: {self.dimension:,} entries are too many for cvxpy (at most {LARGEST:,})."
            )

    def __str__(self) -> str:
        return " ∩ ".join(str(one) for one in self.members)

    def constraints(self, variable: cp.Variable) -> list[cp.Constraint]:
        """Return the box and the members on a variable."""
        low, high = np.isfinite(self.lower), np.isfinite(self.upper)
        equal = low & (self.lower == self.upper)
        rows = [row for one in self.members for row in one._to_cvxpy(variable)]
        if equal.any():
            rows.append(variable[np.flatnonzero(equal)] == self.lower[equal])
        low &= ~equal
        high &= ~equal
        if low.any():
            rows.append(variable[np.flatnonzero(low)] >= self.lower[low])
        if high.any():
            rows.append(variable[np.flatnonzero(high)] <= self.upper[high])
        return rows

    def _compile(self) -> None:
        import cvxpy as cp

        # minimise s/2 |v|^2 - w'v: with s = 1, w = y the projection; a smaller s for a far y
        # keeps the numbers near one.
        self._variable = cp.Variable(self.dimension)
        self._weight = cp.Parameter(nonneg=True)
        self._target = cp.Parameter(self.dimension)
        objective = 0.5 * self._weight * cp.sum_squares(self._variable) - (
            self._target @ self._variable
        )
        self._rows = self.constraints(self._variable)
        self._problem = cp.Problem(cp.Minimize(objective), self._rows)

    def project(self, x: Rows) -> Rows:
        """Project rows, one after another.

        Raises
        ------
        ProjectionError
            If no solver finds a point, with their statuses.
        """
        return self.project_with_dual(x)[0]

    def project_with_dual(self, x: Rows) -> tuple[Rows, Vector]:
        """Project rows, with the multipliers of the first member's first constraint."""
        projected, dual = x.copy(), np.zeros(len(x))
        for row, one in enumerate(x):
            projected[row], dual[row] = self._project_one(one)
        return projected, dual

    def violation(self, x: Rows) -> Vector:
        """Return the largest relative violation of a member or the box for each row."""
        excess = np.maximum(self.lower - x, x - self.upper).max(axis=1, initial=0.0)
        worst = np.maximum(excess, 0.0) / np.maximum(1.0, np.abs(x).max(axis=1, initial=0.0))
        for one in self.members:
            worst = np.maximum(worst, one._violation(x) / one._scale(x))
        return np.asarray(worst)

    def _project_one(self, y: Vector) -> tuple[Vector, float]:
        if self.violation(y[np.newaxis])[0] <= ACCEPTED:
            return y.copy(), 0.0
        import cvxpy as cp

        report: list[str] = []
        with self._lock:
            if self._problem is None:
                self._compile()
            weight = 1.0 / max(1.0, float(np.max(np.abs(y))))
            self._weight.value, self._target.value = weight, weight * y
            best, distance, dual, tries = None, np.inf, np.nan, 0
            for status in attempts(self._problem, report):
                value = self._variable.value
                if status in (cp.OPTIMAL, cp.OPTIMAL_INACCURATE) and value is not None:
                    tries += 1
                    inside = self.inside(np.array(value, dtype=np.float64))
                    if inside is not None and self._penalised(inside, y) < distance:
                        best, distance = inside, self._penalised(inside, y)
                        price = self._rows[0].dual_value
                        if price is not None and np.ndim(price) == 0:
                            dual = float(price) / weight
                if best is not None and (status == cp.OPTIMAL or tries == 2):
                    return best, dual
        if best is not None:
            return best, dual
        raise ProjectionError(
            f"{self}: no solver found a projection within {self.tolerance:g} of the set "
            f"({'; '.join(report)})."
        )

    def _penalised(self, x: Vector, y: Vector) -> float:
        # Of points inside, the nearer is the better projection; but one that is outside by rounding
        # is nearer by as much: |x - y| + dist(x, C) is least at the projection.
        excess = max(float(one._violation(x[np.newaxis])[0]) for one in self.members)
        return float(np.linalg.norm(x - y)) + excess

    def inside(self, x: Vector) -> Vector | None:
        """Return a point near x within the tolerance, by a step toward an interior point."""
        x = np.clip(x, self.lower, self.upper)
        if self.violation(x[np.newaxis])[0] <= ACCEPTED:
            return x
        anchor = self.interior()
        for share in SHARES:
            candidate = np.clip(x + share * (anchor - x), self.lower, self.upper)
            if self.violation(candidate[np.newaxis])[0] <= ACCEPTED:
                return np.asarray(candidate)
        if self.violation(x[np.newaxis])[0] <= self.tolerance:
            return np.asarray(x)
        return None

    def interior(self) -> Vector:
        """Return a point of the set with room to spare, as far as the set has room."""
        import cvxpy as cp

        with self._lock:
            if self._interior is None:
                variable, room = cp.Variable(self.dimension), cp.Variable()
                rows = with_room(self.constraints(variable), room)
                near = np.clip(0.0, self.lower, self.upper)
                reach = cp.norm_inf(variable - near)
                problem = cp.Problem(cp.Maximize(room - 1e-6 * reach), [*rows, room <= 1.0])
                report: list[str] = []
                if not solved(problem, report) or variable.value is None:
                    raise ProjectionError(f"{self}: found no interior point ({'; '.join(report)}).")
                self._interior = np.clip(variable.value, self.lower, self.upper)
            return self._interior

    def maximizer(self, g: Vector) -> Vector:
        """Return a point where g'x is largest.

        Raises
        ------
        SpecificationError
            If there is none.
        """
        import cvxpy as cp

        variable = cp.Variable(self.dimension)
        size = float(np.max(np.abs(g), initial=0.0)) or 1.0
        problem = cp.Problem(cp.Maximize((g / size) @ variable), self.constraints(variable))
        report: list[str] = []
        if solved(problem, report) and variable.value is not None:
            inside = self.inside(np.array(variable.value))
            if inside is not None:
                return inside
        if problem.status in (cp.UNBOUNDED, cp.UNBOUNDED_INACCURATE):
            raise SpecificationError(f"{self}: g'x has no maximum, the set is open along g.")
        raise ProjectionError(f"{self}: no solver found the maximum ({'; '.join(report)}).")

    def open_along(self, g: Vector) -> bool:
        """Say whether g'x grows without end on the set, as far as the solvers can tell."""
        import cvxpy as cp

        variable = cp.Variable(self.dimension)
        problem = cp.Problem(cp.Maximize(g @ variable), self.constraints(variable))
        solved(problem)
        return problem.status in (cp.UNBOUNDED, cp.UNBOUNDED_INACCURATE)
