"""Projections by cvxpy: one problem, compiled once, the point its only parameter."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from operator import eq, ge, le
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp

from constrained_actmax.errors import ProjectionError, SpecificationError
from constrained_actmax.kernels.cone_program import SOLVERS, ConeProgram
from constrained_actmax.kernels.relative import finite_widths, powers_of_two, relative_violation
from constrained_actmax.layout import Rows, Vector

if TYPE_CHECKING:
    import cvxpy as cp

    from constrained_actmax.kernels.kernel import Kernel

LARGEST = 16_384  # entries; a cvxpy Parameter of 1e5 can end the process (cvxpy#1622)
ACCEPTED = 1e-9  # relative violation below which a solver's point counts as inside
SHARES = np.logspace(-10, -3, 15)  # steps inside; a point that needs a longer one is no answer
OPTIMAL = 1e-8  # a gap of half the squared distance, relative to the size of the point
SHARP = 5e-11  # one that leaves a near point open by 1e-5, by strong convexity
MOVED = 1e-5  # from the solver's point to one inside, relative to its size: farther is no answer
SHRUNK = 2.0**-7  # a point smaller than this share of its unit is solved for again in its own
ZERO = 1e-9  # a share of the unit that is no more than a solver's tolerance
RESCALINGS = 4
UNLIKE = 1e3  # times another entry's width: what fails in one unit is tried in those of the entries


Sized = Sequence[tuple[Any, Any]]  # constraints and the sizes of what they compare


def common_box(members: Sequence[Kernel], lower: Vector, upper: Vector) -> tuple[Vector, Vector]:
    """Return bounds that hold on the intersection of some kernels and a box."""
    for member in members:
        low, high = member.bounding_box()
        lower, upper = np.maximum(lower, low), np.minimum(upper, high)
    return np.minimum(lower, upper), upper


def entry_sizes(members: Sequence[Kernel], lower: Vector, upper: Vector) -> Rows:
    """Return (1, n): the size of each entry's numbers on the sets and a box, 0 if unknown."""
    low, high = common_box(members, lower, upper)
    ends = [np.abs(np.where(np.isfinite(point), point, 0.0)) for point in (low, high)]
    return np.asarray(np.maximum(*ends)[np.newaxis])


def worst_violation(
    x: Rows, members: Sequence[Kernel], lower: Vector, upper: Vector, widths: Vector
) -> Vector:
    """Return the largest relative violation of a kernel or a box for each row."""
    worst = relative_violation(x, lower, upper)
    for member in members:
        np.maximum(worst, member.relative_violation(x, widths), out=worst)
    return worst


def relaxed(rows: Sized, slack: Any) -> list[cp.Constraint]:
    """Return constraints that may be broken by `slack` times their sizes, or kept with room if < 0.

    Equalities become ``|left - right| <= slack``; cones are widened along their axis. A constraint
    of another kind, or without a size, stays as it is.
    """
    import cvxpy as cp

    constraints: list[cp.Constraint] = []
    for row, size in rows:
        if not np.any(size):
            constraints.append(row)
            continue
        give = slack * size
        if isinstance(row, cp.constraints.Equality | cp.constraints.Zero):
            left = row.args[0] - row.args[1] if len(row.args) == 2 else row.args[0]
            constraints.append(cp.abs(left) <= give)
        elif isinstance(row, cp.constraints.Inequality):
            constraints.append(row.args[0] - give <= row.args[1])
        elif isinstance(row, cp.constraints.NonPos):
            constraints.append(row.args[0] <= give)
        elif isinstance(row, cp.constraints.NonNeg):
            constraints.append(row.args[0] >= -give)
        elif isinstance(row, cp.constraints.SOC):
            constraints.append(cp.SOC(row.args[0] + give, row.args[1], axis=row.axis))
        elif isinstance(row, cp.constraints.PowCone3D):
            constraints.append(cp.PowCone3D(row.x + give, row.y + give, row.z, row.alpha))
        elif isinstance(row, cp.constraints.PSD):
            constraints.append(row.args[0] + give * np.eye(row.args[0].shape[0]) >> 0)
        else:
            constraints.append(row)
    return constraints


def unlike_units(widths: Vector) -> Vector | None:
    """Return powers of two near the widths of entries, where these are unlike; else None."""
    if not np.isfinite(widths).all() or not np.any(widths > 0.0):
        return None
    least = np.min(widths[widths > 0.0])
    if np.max(widths) < UNLIKE * least:
        return None
    return powers_of_two(np.where(widths > 0.0, widths, least))


def within(
    lower: Vector,
    upper: Vector,
    variable: cp.Expression,
    matrix: sp.csr_array | None = None,
    size: Vector | None = None,
) -> list[tuple[cp.Constraint, Any]]:
    """Return bounds on a variable, or on its products with rows, with their sizes, 1 by default.

    Equal bounds are equalities.
    """
    equal = lower == upper
    low, high = np.isfinite(lower) & ~equal, np.isfinite(upper) & ~equal
    size = np.ones(len(lower)) if size is None else size
    constraints = []
    for some, relation, bound in ((equal, eq, upper), (low, ge, lower), (high, le, upper)):
        at = np.flatnonzero(some)
        if at.size:
            value = variable[at] if matrix is None else matrix[at] @ variable
            constraints.append((relation(value, bound[at]), size[at]))
    return constraints


def names_of(members: Iterable[Kernel]) -> str:
    """Return the names of kernels, each once, as messages write an intersection."""
    return " ∩ ".join(dict.fromkeys(map(str, members)))


def with_room(rows: Sized, room: Any) -> list[cp.Constraint]:
    """Return constraints kept with `room` times their sizes to spare; equalities as they are."""
    import cvxpy as cp

    equalities = (cp.constraints.Equality, cp.constraints.Zero)
    return relaxed([(row, 0.0 if isinstance(row, equalities) else s) for row, s in rows], -room)


class ConvexProgram:
    """The projection on some sets and a box as one cvxpy problem, compiled on first use.

    Parameters
    ----------
    members : sequence of Kernel
        Kernels on vectors of one length.
    lower, upper : numpy.ndarray
        The box.
    units : numpy.ndarray, optional
        Of the entries, as the solvers see them; by default they are all measured in one.
    """

    def __init__(
        self,
        members: Sequence[Kernel],
        lower: Vector,
        upper: Vector,
        units: Vector | None = None,
    ) -> None:
        self.members = tuple(members)
        self.lower, self.upper = lower, upper
        self.size = len(lower)
        self.tolerance = 1e-8
        self._widths = finite_widths(*common_box(self.members, lower, upper))
        self._own = unlike_units(self._widths) if units is None else None
        self._units = np.ones(self.size) if units is None else units
        self._lock = threading.RLock()  # a compiled problem holds its point: one caller at a time
        self._solver: Any = None
        self._size = 0.0  # of the numbers of the constraints
        self._interior: Vector | None = None
        if self.size > LARGEST:
            raise SpecificationError(
                f"{self}: {self.size:,} entries are too many for cvxpy (at most {LARGEST:,})."
            )

    def __str__(self) -> str:
        return names_of(self.members)

    def constraints(self, variable: cp.Expression) -> list[cp.Constraint]:
        """Return the box and the members on a variable."""
        return [row for row, _ in self._sized_rows(variable)]

    def _sized_rows(self, variable: cp.Expression) -> list[tuple[cp.Constraint, Any]]:
        at = entry_sizes(self.members, self.lower, self.upper)
        rows = [pair for member in self.members for pair in member.sized_rows(variable, at)]
        # A bound far beyond what the members allow says nothing, in numbers out of proportion.
        low, high = common_box(self.members, self.lower, self.upper)
        with np.errstate(invalid="ignore"):
            width = np.where(np.isfinite(high - low), high - low, np.inf)
        lower = np.where(np.isfinite(self.lower), np.maximum(self.lower, low - width), -np.inf)
        upper = np.where(np.isfinite(self.upper), np.minimum(self.upper, high + width), np.inf)
        size = np.where(self._widths > 0.0, self._widths, np.where(at[0] > 0.0, at[0], 1.0))
        return [*rows, *within(lower, upper, variable, size=size)]

    def _compile(self) -> None:
        import cvxpy as cp

        self._variable = cp.Variable(self.size)
        self._target = cp.Parameter(self.size, value=np.zeros(self.size))
        x = self._variable
        if not np.all(self._units == 1.0):
            x = cp.multiply(self._units, self._variable)
        objective = 0.5 * cp.sum_squares(x) - self._target @ x
        self._rows = self.constraints(x)
        self._solver = ConeProgram(cp.Problem(cp.Minimize(objective), self._rows), self._variable)
        self._size = self._solver.size()

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
        for row, point in enumerate(x):
            projected[row], dual[row] = self._project_one(point)
        return projected, dual

    def violation(self, x: Rows) -> Vector:
        """Return the largest relative violation of a member or the box for each row."""
        return worst_violation(x, self.members, self.lower, self.upper, self._widths)

    def _project_one(self, y: Vector) -> tuple[Vector, float]:
        if self.violation(y[np.newaxis])[0] <= ACCEPTED:
            return y.copy(), 0.0
        import cvxpy as cp

        report: list[str] = []
        best: Vector | None = None
        zero: Vector | None = None
        dual, least = np.nan, np.inf
        with self._lock:
            if self._solver is None:
                self._compile()
            self._target.value = y
            size = self._size or float(np.max(np.abs(y / self._units)))
            for _ in range(RESCALINGS):
                smaller = 0.5 * size
                for attempt in self._solver.attempts(size, report):
                    if attempt.status not in (cp.OPTIMAL, cp.OPTIMAL_INACCURATE):
                        continue
                    x = self._units * self._variable.value
                    reach = float(np.max(np.abs(self._variable.value)))
                    if reach < SHRUNK * size:  # the unit is not that of the point
                        if zero is None and reach <= ZERO * size:
                            zero = self._nearby_origin(x)
                        smaller = reach or smaller
                        break
                    inside = self._near(x, reach)
                    length = float(np.linalg.norm(x))
                    gap = attempt.gap / (length * max(length, float(np.linalg.norm(y - x))))
                    if inside is not None and gap <= min(OPTIMAL, least):
                        best, least = inside, gap
                        multiplier = self._rows[0].dual_value
                        # A cone has a list of arrays.
                        if isinstance(multiplier, float | np.ndarray) and np.ndim(multiplier) == 0:
                            dual = float(multiplier)
                    if best is not None and least <= SHARP:
                        return best, dual
                    if best is not None and len(report) % len(SOLVERS) == len(SOLVERS) - 1:
                        break  # the last solver is slow and no sharper
                size = smaller
            if best is not None:
                return best, dual
            if zero is not None:
                return zero, dual
        if self._own is not None:
            own = ConvexProgram(self.members, self.lower, self.upper, self._own)
            return own._project_one(y)
        raise ProjectionError(
            f"{self}: no solver found a projection within {self.tolerance:g} of the set "
            f"({'; '.join(report)}); write the set in units in which its numbers are about 1."
        )

    def _near(self, x: Vector, reach: float) -> Vector | None:
        """Return a solver's point moved inside, None if that is far."""
        inside = self.inside(x)
        if inside is None or float(np.max(np.abs(inside - x) / self._units)) > MOVED * reach:
            return None
        return inside

    def _nearby_origin(self, x: Vector) -> Vector | None:
        origin = np.clip(0.0, self.lower, self.upper)
        return origin if self.violation(origin[np.newaxis])[0] <= ACCEPTED else self.inside(x)

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
                if self._solver is None:
                    self._compile()
                size = self._size or 1.0
                variable, room = cp.Variable(self.size), cp.Variable()
                rows = with_room(self._sized_rows(cp.multiply(self._units, variable)), room)
                near = np.clip(0.0, self.lower, self.upper) / self._units
                reach = cp.norm_inf(variable - near) / size
                problem = cp.Problem(cp.Maximize(room - 1e-6 * reach), [*rows, room <= 1.0])
                report: list[str] = []
                solution = ConeProgram(problem, variable).solved(size, report)
                if not solution or variable.value is None:
                    raise ProjectionError(f"{self}: found no interior point ({'; '.join(report)}).")
                self._interior = np.clip(self._units * variable.value, self.lower, self.upper)
            return self._interior

    def maximizer(self, g: Vector) -> Vector:
        """Return a point where g'x is largest.

        Raises
        ------
        SpecificationError
            If there is none.
        """
        import cvxpy as cp

        variable = cp.Variable(self.size)
        size = float(np.max(np.abs(g), initial=0.0)) or 1.0
        problem = cp.Problem(cp.Maximize((g / size) @ variable), self.constraints(variable))
        solver = ConeProgram(problem, variable)
        report: list[str] = []
        if solver.solved(solver.size(), report) and variable.value is not None:
            inside = self.inside(np.array(variable.value))
            if inside is not None:
                return inside
        if problem.status in (cp.UNBOUNDED, cp.UNBOUNDED_INACCURATE):
            raise SpecificationError(f"{self}: g'x has no maximum, the set is open along g.")
        raise ProjectionError(f"{self}: no solver found the maximum ({'; '.join(report)}).")

    def open_along(self, g: Vector) -> bool:
        """Say whether g'x grows without end on the set, as far as the solvers can tell."""
        import cvxpy as cp

        variable = cp.Variable(self.size)
        problem = cp.Problem(cp.Maximize(g @ variable), self.constraints(variable))
        solver = ConeProgram(problem, variable)
        solver.solved(solver.size())
        return problem.status in (cp.UNBOUNDED, cp.UNBOUNDED_INACCURATE)
