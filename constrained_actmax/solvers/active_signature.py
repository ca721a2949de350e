"""Local minima on networks with kinks, by linear programs over the regions between them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from typing_extensions import override

from constrained_actmax import kinks
from constrained_actmax.kernels.row_program import FAR, RowProgram, row_program
from constrained_actmax.kinks import Kinks, Region
from constrained_actmax.layout import Indices, Vector
from constrained_actmax.result import FIRST_ORDER, LOCAL_OPTIMUM, Status
from constrained_actmax.solvers.base import RowSolver, needs_gradients
from constrained_actmax.standard_form import StandardForm
from constrained_actmax.tasks.task import Stopped, Task

#: Rows of kinks that one program gets more than the last, at most.
ROWS_AT_ONCE = 64
#: Rows that stay in a program when it goes to the next region; above, those that are not tight go.
MOST_ROWS = 600
#: A crossing pays, a value is lower, and a multiplier is not zero, above this: with the slopes of f
#: and the lengths of normals of size 1, a hundred times the program's tolerance.
PAYS = 1e-7
#: A region in which the objective gains this share of what its steepest entry would gain over the
#: largest distance is unbounded; one in which it is constant along free directions is not.
GROWS = 1e-3
#: Trust region of networks with curved functions: first size, the share of the predicted descent
#: that is a success, and the smallest size, in units of the set (Conn, Gould and Toint 2000).
FIRST_RADIUS, ACCEPTED, GOOD, SMALLEST_RADIUS = 0.25, 0.1, 0.75, 1e-9


@dataclass(frozen=True, kw_only=True)
class ActiveSignature(RowSolver):
    r"""Vertices of the regions of a ReLU network, one linear program each, to a local minimum.

    Between its kinks the network is affine. From the region that the point lies in, a linear
    program finds the best point of the region and C; rows are made only for kinks that a solution
    would cross. At that point the multipliers say whether crossing a kink pays
    (``Region.crossing_gains``): then the next program is that of the region behind it. Where none
    pays the point is a local minimum, exactly [1]_ [2]_. Where the normals are dependent and
    crossings lead nowhere, a program over directions decides, mixed-integer where it must be, with
    a limit on its nodes; if that does not, the start ends as stalled.

    Where the network has curved functions too (a softmax in a log-probability), the same programs
    on its tangents, in a trust region; the claim is then first-order.

    C by its linear rows goes to HiGHS, any other to Clarabel; bounds on outputs are further rows.
    Each forward and transposed pass of one row counts as an evaluation.

    Parameters
    ----------
    programs : int, default 300
        Programs of one start at most.

    References
    ----------
    .. [1] Kreimeier, Walther, Griewank (2024), An active signature method for constrained
       abs-linear minimization, arXiv:2302.07609.
    .. [2] Griewank, Walther (2016), First- and second-order optimality conditions for piecewise
       smooth objective functions, Optimization Methods and Software 31.
    """

    name: ClassVar[str] = "active-signature"
    side_by_side: ClassVar[bool] = False  # a start is a chain of programs

    programs: int = 300

    @override
    def refusal(self, problem: StandardForm) -> str | None:
        if not problem.differentiable:
            return needs_gradients(self.name)
        reason = kinks.refusal(problem)
        if reason is None:
            return None
        way = "'annealed'" if not problem.constraints else "'augmented-lagrangian'"
        return f"{self.name}: {reason}; use method={way}."

    @override
    def _run_row(self, run: Task, start: int, x0: Vector) -> None:
        walk = _Walk(run, start, x0, self.programs)
        try:
            walk.go()
        except Stopped as reason:
            if reason.status is not Status.BUDGET:
                raise
            walk.end(Status.BUDGET, "")


class _Walk:
    """One start: the point, its region, the rows of the program and the regions that were seen."""

    def __init__(self, run: Task, start: int, x0: Vector, most: int) -> None:
        self.run, self.start, self.most = run, start, most
        self.began = run.seconds
        self.problem: StandardForm = run.problem
        self.kinks = Kinks(self.problem, self.count)
        self.y, self.values = x0, np.full(1 + self.problem.constraints, np.inf)
        self.program: RowProgram = row_program(self.problem.set, self.problem.size)
        self.static = self.problem.constraints
        n, m = self.problem.size, self.static
        self.program.extend(np.zeros((m, n)), np.full(m, -np.inf), np.full(m, np.inf))
        #: The boundaries that have rows, which are of length 1 here, and whether a crossing has
        #: given them other numbers.
        self.rows: Indices = np.zeros(0, dtype=int)
        self.a, self.b, self.row_lengths = np.zeros((0, n)), np.zeros(0), np.zeros(0)
        self.stale = np.zeros(0, dtype=bool)
        self.exact = self.kinks.structure.piecewise_affine
        self.radius = np.inf if self.exact else FIRST_RADIUS
        self.seen: set[bytes] = set()
        self.noise = PAYS * max(self.problem.range, 1e-300)

    def go(self) -> None:
        self.values = self.kinks.values(self.y[np.newaxis])[0]
        region = self.kinks.region(self.y)
        if self.excess(self.values) > self.problem.feasibility_tolerance:
            return self.end(Status.INFEASIBLE, "It goes on from points that keep all bounds alone.")
        self.report(self.y)
        while True:
            self.seen.add(region.key)
            solved = self.solve(region)
            if solved is None:
                return None
            y, multipliers, outer = solved
            self.accept(y)
            if not self.exact and self.radius < SMALLEST_RADIUS:
                return self.end(Status.STALLED, "The trust region shrank to nothing.")
            if self.exact:
                following = self.next_region(region, multipliers, outer)
            else:
                region = self.go_to(self.kinks.region(self.y, region), region)
                goal = self.run.tolerance * self.problem.range * min(1.0, self.radius)
                if self.predicted > goal:
                    continue
                following = self.by_direction(region, region.tight(self.y, self.nearness))
            if following is None:
                return None
            region = following

    def count(self, rows: int) -> None:
        """Count passes through the network; an evaluation is kept for the point at the end."""
        left = self.run.remaining
        if left is not None and rows + 1 > left:
            raise Stopped(Status.BUDGET)
        self.run.count(rows)

    @property
    def nearness(self) -> float:
        """The distance within which the point lies on a kink."""
        return 2.0 * self.program.tight

    # -- one region ------------------------------------------------------------------------------

    def solve(self, region: Region) -> tuple[Vector, Vector, Vector] | None:
        """Return the best point of a region, with the multipliers of its rows and of c."""
        slopes, offsets = region.slopes
        self.renew(region, slopes, offsets)
        lower, upper = self.y - self.radius, self.y + self.radius
        here, length = region.distances(self.y[np.newaxis])[0], region.lengths
        while True:
            if self.program.programs >= self.most:
                self.end(Status.STALLED, f"{self.most} programs were not enough.")
                return None
            found = self.program.minimum(slopes[0], lower, upper)
            if found is None:
                self.end(Status.STALLED, "The program over a region was not solved.")
                return None
            there = region.distances(found.x[np.newaxis])[0]
            out = there < -0.5 * self.program.tight * length
            out[self.rows] = False
            if not out.any():
                break
            # Those that the way there meets first.
            crossed = np.flatnonzero(out)
            met = np.maximum(here[crossed], 0.0) / (np.maximum(here[crossed], 0.0) - there[crossed])
            new = crossed[np.argsort(met, kind="stable")[:ROWS_AT_ONCE]]
            self.add(region, new)
        self.predicted = float(slopes[0] @ (self.y - found.x))
        if np.abs(found.x).max(initial=0.0) >= 0.5 * FAR and not self.problem.set.bounded:
            if self.predicted >= GROWS * FAR * np.abs(slopes[0]).max(initial=0.0):
                self.run.end(self.start, self.y, Status.UNBOUNDED)
            else:
                self.end(Status.STALLED, "The region's best points reach without end.")
            return None
        multipliers = found.multipliers
        return found.x, np.maximum(multipliers[self.static :], 0.0), -multipliers[: self.static]

    def renew(self, region: Region, slopes: np.ndarray, offsets: Vector) -> None:
        """Give the program's rows the numbers of a region."""
        changed = np.flatnonzero(self.stale)
        self.a[changed], self.b[changed], self.row_lengths[changed] = _normed(
            *region.rows(self.rows[changed])
        )
        self.stale[:] = False
        problem = self.problem
        A = np.concatenate([slopes[1:], self.a])
        low = np.concatenate([problem.lower - offsets[1:], -self.b])
        high = np.concatenate([problem.upper - offsets[1:], np.full(len(self.b), np.inf)])
        self.program.rewrite(A, low, high)

    def add(self, region: Region, boundaries: Indices) -> None:
        """Give the program further rows."""
        a, b, length = _normed(*region.rows(boundaries))
        self.program.extend(a, -b, np.full(len(b), np.inf))
        self.a, self.b = np.concatenate([self.a, a]), np.append(self.b, b)
        self.rows = np.append(self.rows, boundaries)
        self.row_lengths = np.append(self.row_lengths, length)
        self.stale = np.zeros(len(self.rows), dtype=bool)

    def accept(self, y: Vector) -> None:
        """Go to a point if it is better; adjust the trust region of curved networks."""
        inside = self.problem.set.project(y)
        values = self.kinks.values(inside[np.newaxis])[0]
        descent = self.values[0] - values[0]
        before, after = self.excess(self.values), self.excess(values)
        feasible = after <= max(before, self.problem.feasibility_tolerance)
        better = bool(feasible and (descent > self.noise or after < before - PAYS))
        if not self.exact:
            good = descent >= ACCEPTED * self.predicted or after < before - PAYS
            better = better and good
            step = float(np.max(np.abs(inside - self.y), initial=0.0))
            if not better and self.predicted > 0.0:
                self.radius = 0.25 * min(self.radius, max(step, SMALLEST_RADIUS))
            elif descent >= GOOD * self.predicted:
                self.radius = min(2.0 * self.radius, 1.0)
        if better or (self.exact and feasible and descent >= -self.noise):
            self.y, self.values = inside, values
        if better:
            self.report(inside)

    def excess(self, values: Vector) -> float:
        c = values[np.newaxis, 1:]
        return float(self.problem.functional_violation(c)[0]) if self.static else 0.0

    # -- the next region -------------------------------------------------------------------------

    def next_region(self, region: Region, multipliers: Vector, outer: Vector) -> Region | None:
        """Return the region behind a kink whose crossing pays; end the start where none does."""
        if self.excess(self.values) > self.problem.feasibility_tolerance:
            self.end(Status.INFEASIBLE, "No point of the region keeps the bounds on outputs.")
            return None
        tight = region.tight(self.y, self.nearness)
        known = (multipliers / self.row_lengths).tolist()
        of_rows = dict(zip(self.rows.tolist(), known, strict=True))
        weights = np.array([of_rows.get(one, 0.0) for one in tight.tolist()])
        self.prune(tight)
        if not tight.size:
            self.end(Status.CONVERGED, self.claim)
            return None
        gains = region.crossing_gains(tight, weights, outer)
        # A tie of constants has no normal of its own; it bends with what bends before it.
        lengths = region.lengths[tight]
        rates = gains * np.where(lengths > 0.0, lengths, region.lengths.max())
        if rates.max() <= PAYS:
            self.end(Status.CONVERGED, self.claim)
            return None
        for place in np.argsort(-rates, kind="stable").tolist():
            if rates[place] <= PAYS:
                break
            beyond = region.crossed(int(tight[place]))
            if beyond.key not in self.seen:
                return self.go_to(beyond, region)
        return self.by_direction(region, tight)

    def by_direction(self, region: Region, tight: Indices) -> Region | None:
        """Let the program over directions decide where crossings lead nowhere."""
        found = region.descent(self.y, tight)
        if found is None:
            self.end(Status.STALLED, f"Degenerate, not decided: {len(tight)} kinks meet here.")
            return None
        if found.slope <= (PAYS if self.exact else self.run.tolerance * self.problem.range):
            self.end(Status.CONVERGED, self.claim)
            return None
        beyond = region.along(self.y, tight, found.way)
        if beyond.key in self.seen:
            self.end(Status.STALLED, "A descent across kinks was found, and is too short to take.")
            return None
        return self.go_to(beyond, region)

    def go_to(self, beyond: Region, region: Region) -> Region:
        """Keep the rows that are boundaries of the next region too."""
        changed = np.flatnonzero([not np.array_equal(*pair) for pair in _pairs(beyond, region)])
        places = beyond.same_boundaries(self.rows, region)
        self.stale |= region.layers(self.rows) >= changed.min(initial=len(region.signature))
        gone = places < 0
        if gone.any():
            self.keep(~gone)
            places = places[~gone]
        self.rows = places
        return beyond

    def prune(self, tight: Indices) -> None:
        if len(self.rows) > MOST_ROWS:
            self.keep(np.isin(self.rows, tight))

    def keep(self, kept: np.ndarray) -> None:
        self.program.keep(np.concatenate([np.ones(self.static, dtype=bool), kept]))
        self.rows, self.row_lengths = self.rows[kept], self.row_lengths[kept]
        self.a, self.b, self.stale = self.a[kept], self.b[kept], self.stale[kept]

    # -- reports ---------------------------------------------------------------------------------

    @property
    def claim(self) -> str:
        return LOCAL_OPTIMUM if self.exact else FIRST_ORDER

    def report(self, y: Vector) -> None:
        if not self.run.iterate(self.start, y, float(self.values[0]), self.violation(y)):
            raise Stopped(Status.UNBOUNDED)

    def violation(self, y: Vector) -> float:
        return max(float(self.problem.set.relative_violation(y)), self.excess(self.values))

    def end(self, status: Status, detail: str) -> None:
        found = self.run.evaluate(self.y[np.newaxis], [self.start])
        if not found.finite[0]:
            detail = self.run.name_non_finite(self.y, found, 0)
            self.run.end(self.start, self.y, Status.NON_FINITE, detail)
            return
        program = self.program
        seconds = self.run.seconds - self.began
        work = f"{program.programs} programs, {program.iterations} iterations, {seconds:.1f} s"
        self.run.end(self.start, self.y, status, f"{detail} ({work}.)")


def _normed(a: np.ndarray, b: Vector) -> tuple[np.ndarray, Vector, Vector]:
    """Return rows of length 1 with their offsets, and the lengths that they had."""
    length = np.linalg.norm(a, axis=1)
    length = np.where(length > 0.0, length, 1.0)
    return a / length[:, np.newaxis], b / length, length


def _pairs(one: Region, other: Region) -> list[tuple[np.ndarray, np.ndarray]]:
    return list(zip(one.signature, other.signature, strict=True))
