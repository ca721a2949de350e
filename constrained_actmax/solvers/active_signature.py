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
from constrained_actmax.result import FIRST_ORDER, LOCAL_OPTIMUM, UNDECIDED, Status
from constrained_actmax.solvers.base import RowSolver, needs_gradients
from constrained_actmax.standard_form import StandardForm
from constrained_actmax.tasks.task import Stopped, Task

#: Rows of kinks that one program gets more than the last, at most.
ROWS_AT_ONCE = 64
#: Rows that stay in a program when it goes to the next region; above, those that are not tight go.
MOST_ROWS = 600
#: Programs in a row without descent after which directions decide: the kinks that meet there have
#: more regions than can be visited.
MOST_STILL = 10
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
    passes : int, default 100000
        Forward and transposed passes of one row for one start at most.

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
    passes: int = 100_000

    @override
    def refusal(self, problem: StandardForm) -> str | None:
        if not problem.differentiable:
            return needs_gradients(self.name)
        reason = kinks.refusal(problem)
        if reason is None:
            return None
        way = "'successive-halving'" if not problem.constraints else "'augmented-lagrangian'"
        return f"{self.name}: {reason}; use method={way}."

    @override
    def _run_row(self, task: Task, start: int, x0: Vector) -> None:
        walk = _Walk(task, start, x0, self)
        try:
            walk.go()
        except Stopped as reason:
            if reason.status not in (Status.BUDGET, Status.STALLED):
                raise
            walk.end(reason.status, reason.detail)


class _Walk:
    """One start: the point, its region, the rows of the program and the regions that were seen."""

    def __init__(self, task: Task, start: int, x0: Vector, most: ActiveSignature) -> None:
        self.task, self.start, self.most, self.passes = task, start, most, 0
        self.began = task.seconds
        self.problem: StandardForm = task.problem
        self.kinks = Kinks(self.problem, self.count)
        self.y, self.values = x0, np.full(1 + self.problem.constraints, np.inf)
        self.program: RowProgram = row_program(self.problem.set, self.problem.size)
        self.static = self.problem.constraints
        n, m = self.problem.size, self.static
        self.program.extend(np.zeros((m, n)), np.full(m, -np.inf), np.full(m, np.inf))
        #: The boundaries that have rows a x + effects p + b >= 0, which are of length 1 in the
        #: program, their multipliers, and whether a crossing has given them other numbers.
        self.rows: Indices = np.zeros(0, dtype=int)
        self.a, self.b, self.row_lengths = np.zeros((0, n)), np.zeros(0), np.zeros(0)
        self.effects, self.weights = np.zeros((0, 0)), np.zeros(0)
        self.stale = np.zeros(0, dtype=bool)
        self.outer = np.zeros(m)
        #: Of the amounts p by which results bend: the column of each row, in units of `sizes`, and
        #: how far each may bend, 0 where that would pay.
        self.columns: Indices = np.zeros(0, dtype=int)
        self.sizes, self.furthest = np.zeros(0), np.zeros(0)
        self.outputs = np.zeros((1 + m, 0))
        self.exact = self.kinks.structure.piecewise_affine
        self.radius = np.inf if self.exact else FIRST_RADIUS
        self.seen: set[bytes] = set()
        self.still = 0
        self.noise = PAYS * max(self.problem.range, 1e-300)

    def go(self) -> None:
        self.values = self.kinks.values(self.y[np.newaxis])[0]
        region = self.kinks.region(self.y)
        if self.functional_violation(self.values) > self.problem.feasibility_tolerance:
            return self.end(Status.INFEASIBLE, "It goes on from points that keep all bounds alone.")
        self.report(self.y)
        while True:
            self.seen.add(region.key)
            solved = self.solve(region)
            if solved is None:
                return None
            y, bent = solved
            accepted = self.accept(y)
            self.still = 0 if self.predicted > self.noise else self.still + 1
            beyond = region.crossed(bent) if bent.size and accepted else region
            if not self.exact and self.radius < SMALLEST_RADIUS:
                return self.end(Status.STALLED, "The trust region shrank to nothing.")
            following: Region | None
            if not self.exact:
                following = self.go_to(self.kinks.region(self.y, beyond), region)
                if self.predicted <= self.goal:
                    tight = following.tight(self.y, self.nearness)
                    following = self.by_direction(following, tight)
            elif beyond is not region:
                following = self.go_to(beyond, region)
            else:
                following = self.next_region(region)
            if following is None:
                return None
            region = following

    def count(self, rows: int) -> None:
        """Count passes through the network; an evaluation is kept for the point at the end."""
        self.passes += rows
        if self.passes > self.most.passes:
            raise Stopped(Status.STALLED, f"{self.most.passes:,} passes were not enough.")
        left = self.task.remaining
        if left is not None and rows + 1 > left:
            raise Stopped(Status.BUDGET)
        self.task.count(rows)

    @property
    def goal(self) -> float:
        """The descent within the trust region that counts as none."""
        return self.task.tolerance * self.problem.range * min(1.0, self.radius)

    @property
    def nearness(self) -> float:
        """The distance within which the point lies on a kink."""
        return 2.0 * self.program.tight

    # -- one region ------------------------------------------------------------------------------

    def solve(self, region: Region) -> tuple[Vector, Indices] | None:
        """Return the best point of a region and of those behind its costly boundaries.

        With the boundaries behind which it lies.
        """
        self.renew(region)
        n, slopes = self.problem.size, region.slopes[0]
        lower, upper = self.y - self.radius, self.y + self.radius
        here, length = region.distances(self.y[np.newaxis])[0], region.lengths
        while True:
            if self.program.programs >= self.most.programs:
                self.end(Status.STALLED, f"{self.most.programs} programs were not enough.")
                return None
            if self.task.out_of_time:
                raise Stopped(Status.BUDGET)
            g = np.append(slopes[0], self.outputs[0] * self.sizes)
            solution = self.program.minimum(g, lower, upper)
            if solution is None:
                self.end(Status.STALLED, "The program over a region was not solved.")
                return None
            self.outer = -solution.multipliers[: self.static]
            self.weights = np.maximum(solution.multipliers[self.static :], 0.0) / self.row_lengths
            x, p = solution.x[:n], solution.x[n:] * self.sizes
            bent = self.bent
            there = region.distances(x[np.newaxis], region.moved(bent, p))[0]
            out = -there - region.behind(bent, p) > 0.5 * self.program.tight * length
            out[self.rows] = False
            if out.any():
                # Those that the way there meets first.
                crossed = np.flatnonzero(out)
                before = np.maximum(here[crossed], 0.0)
                met = before / (before - there[crossed])
                self.add(region, crossed[np.argsort(met, kind="stable")[:ROWS_AT_ONCE]])
                continue
            depth = -there[self.rows]
            deepest = np.zeros(len(p))
            np.maximum.at(deepest, self.columns, depth)
            broken = p - deepest > self.program.tight * self.sizes
            self.predicted = float(slopes[0] @ (self.y - x) - self.outputs[0] @ p)
            behind = p > 0.5 * self.program.tight * self.sizes
            if self.predicted <= self.noise:
                broken |= behind
            if not broken.any():
                break
            # More than they do, or without a gain: these do not bend in this region.
            self.furthest[broken] = 0.0
            self.program.limit(self.furthest / self.sizes)
        if np.abs(x).max(initial=0.0) >= 0.5 * FAR and not self.problem.set.bounded:
            if self.predicted >= GROWS * FAR * np.abs(slopes[0]).max(initial=0.0):
                self.task.end(self.start, self.y, Status.UNBOUNDED)
            else:
                self.end(Status.STALLED, "The region's best points reach without end.")
            return None
        order = np.argsort(depth, kind="stable")
        last = np.zeros(len(p), dtype=int)
        last[self.columns[order]] = order
        return x, self.rows[last[behind]]

    @property
    def bent(self) -> Indices:
        """A boundary of each way in which results may bend."""
        _, first = np.unique(self.columns, return_index=True)
        return self.rows[first]

    def renew(self, region: Region) -> None:
        """Give the program the numbers of a region."""
        stale, bent = np.flatnonzero(self.stale), self.bent
        if stale.size:
            self.set_rows(region, stale, bent)
        self.stale[:] = False
        self.outputs = region.output_effects(bent)
        self.furthest = self.may_bend(region, bent, self.sizes)
        self.program.limit(self.furthest / self.sizes)
        self.program.rewrite(*self.matrix(region, len(self.rows)))

    def add(self, region: Region, boundaries: Indices) -> None:
        """Give the program further rows, and what may bend behind them."""
        old, before = len(self.rows), len(self.sizes)
        known = {code: index for index, code in enumerate(region.ways(self.bent).tolist())}
        columns = [known.setdefault(code, len(known)) for code in region.ways(boundaries).tolist()]
        self.rows, self.columns = np.append(self.rows, boundaries), np.append(self.columns, columns)
        more, wider = len(boundaries), len(known) - before
        self.a, self.b = np.pad(self.a, ((0, more), (0, 0))), np.pad(self.b, (0, more))
        self.effects = np.pad(self.effects, ((0, more), (0, wider)))
        self.row_lengths = np.pad(self.row_lengths, (0, more))
        self.weights, self.stale = np.pad(self.weights, (0, more)), np.pad(self.stale, (0, more))
        bent = self.bent
        new = bent[before:]
        # What bends earlier moves later boundaries.
        first = region.layers(new).min(initial=len(region.signature))
        later = np.flatnonzero(region.layers(self.rows[:old]) > first)
        self.set_rows(region, np.append(later, np.arange(old, old + more)), bent)
        _, positions = np.unique(self.columns, return_index=True)
        sizes = self.row_lengths[positions[before:]]
        self.sizes = np.append(self.sizes, sizes)
        self.outputs = np.concatenate([self.outputs, region.output_effects(new)], axis=1)
        furthest = self.may_bend(region, new, sizes)
        self.furthest = np.append(self.furthest, furthest)
        self.program.widen(furthest / sizes)
        A, low, high = self.matrix(region, old + more)
        if later.size or (self.static and wider):
            self.program.rewrite(A[:-more], low[:-more], high[:-more])
        self.program.extend(A[-more:], low[-more:], high[-more:])

    def may_bend(self, region: Region, bent: Indices, sizes: Vector) -> Vector:
        """Return how far results may bend: not where that pays, by the last multipliers."""
        if not bent.size:
            return np.zeros(0)
        costs = region.costs(bent, self.rows, self.weights, self.outer)
        most = np.minimum(region.rooms(bent), FAR * sizes)
        return np.where(costs * sizes > PAYS, most, 0.0)

    def matrix(self, region: Region, count: int) -> tuple[np.ndarray, Vector, Vector]:
        """Return the program's rows, those of c and the first boundaries."""
        slopes, offsets = region.slopes
        problem = self.problem
        of_c = np.concatenate([slopes[1:], self.outputs[1:] * self.sizes], axis=1)
        own = np.concatenate([self.a[:count], self.effects[:count] * self.sizes], axis=1)
        low = np.concatenate([problem.lower - offsets[1:], -self.b[:count]])
        high = np.concatenate([problem.upper - offsets[1:], np.full(count, np.inf)])
        return np.concatenate([of_c, own]), low, high

    def set_rows(self, region: Region, indices: Indices, bent: Indices) -> None:
        a, b, effects = region.effects(self.rows[indices], bent)
        effects[np.arange(len(indices)), self.columns[indices]] += 1.0
        length = np.linalg.norm(a, axis=1)
        length = np.where(length > 0.0, length, 1.0)
        self.a[indices], self.b[indices] = a / length[:, np.newaxis], b / length
        self.effects[indices], self.row_lengths[indices] = effects / length[:, np.newaxis], length

    def accept(self, y: Vector) -> bool:
        """Go to a point if it is better; adjust the trust region of curved networks."""
        inside = self.problem.set.project(y)
        values = self.kinks.values(inside[np.newaxis])[0]
        descent = self.values[0] - values[0]
        before, after = self.functional_violation(self.values), self.functional_violation(values)
        feasible = after <= max(before, self.problem.feasibility_tolerance)
        better = bool(feasible and (descent > self.noise or after < before - PAYS))
        if not self.exact:
            good = descent >= ACCEPTED * self.predicted or after < before - PAYS
            better = better and good
            step = float(np.max(np.abs(inside - self.y), initial=0.0))
            if not better and self.predicted > self.goal:
                self.radius = 0.25 * min(self.radius, max(step, SMALLEST_RADIUS))
            elif descent >= GOOD * self.predicted:
                self.radius = min(2.0 * self.radius, 1.0)
        accepted = better or bool(self.exact and feasible and descent >= -self.noise)
        if accepted:
            self.y, self.values = inside, values
        if better:
            self.report(inside)
        return accepted

    def functional_violation(self, values: Vector) -> float:
        c = values[np.newaxis, 1:]
        return float(self.problem.functional_violation(c)[0]) if self.static else 0.0

    # -- the next region -------------------------------------------------------------------------

    def next_region(self, region: Region) -> Region | None:
        """Return the region behind kinks whose crossing pays; end the start where none does."""
        if self.functional_violation(self.values) > self.problem.feasibility_tolerance:
            self.end(Status.INFEASIBLE, "No point of the region keeps the bounds on outputs.")
            return None
        tight = region.tight(self.y, self.nearness)
        of_rows = dict(zip(self.rows.tolist(), self.weights.tolist(), strict=True))
        weights = np.array([of_rows.get(code, 0.0) for code in tight.tolist()])
        self.prune(tight)
        if not tight.size:
            self.end(Status.CONVERGED, self.claim)
            return None
        gains = region.crossing_gains(tight, weights, self.outer)
        # A tie of constants has no normal of its own; it bends with what bends before it.
        lengths = region.lengths[tight]
        rates = gains * np.where(lengths > 0.0, lengths, region.lengths.max())
        if rates.max() <= PAYS:
            self.end(Status.CONVERGED, self.claim)
            return None
        if self.still >= MOST_STILL:
            return self.by_direction(region, tight)
        best = np.argsort(-rates, kind="stable")
        paying = tight[best[: int(np.sum(rates > PAYS))]]
        _, first = np.unique(region.results(paying), return_index=True)
        for crossed in (paying[np.sort(first)], *paying[:, np.newaxis]):
            beyond = region.crossed(crossed)
            if beyond.key not in self.seen:
                return self.go_to(beyond, region)
        return self.by_direction(region, tight)

    def by_direction(self, region: Region, tight: Indices) -> Region | None:
        """Let the program over directions decide where crossings lead nowhere."""
        enough = PAYS if self.exact else self.task.tolerance * self.problem.range
        direction = region.descent(self.y, tight, enough)
        if direction.undecided:
            self.end(Status.STALLED, UNDECIDED.format(direction.undecided))
            return None
        if direction.slope <= enough:
            self.end(Status.CONVERGED, self.claim)
            return None
        beyond = region.along(tight, direction.way)
        if beyond.key in self.seen:
            self.end(Status.STALLED, "A descent across kinks was found, and is too short to take.")
            return None
        if not self.exact:  # it shrank at kinks that are behind now
            self.radius = max(self.radius, FIRST_RADIUS)
        return self.go_to(beyond, region)

    def go_to(self, beyond: Region, region: Region) -> Region:
        """Keep the rows that are boundaries of the next region too."""
        self.stale |= region.changed(self.rows, beyond)
        positions = beyond.same_boundaries(self.rows, region)
        gone = positions < 0
        if gone.any():
            self.keep(~gone)
        self.rows = positions[~gone]
        return beyond

    def prune(self, tight: Indices) -> None:
        if len(self.rows) > MOST_ROWS:
            self.keep(np.isin(self.rows, tight))

    def keep(self, kept: np.ndarray) -> None:
        """Leave out other rows, and what bends behind none."""
        self.program.keep(np.concatenate([np.ones(self.static, dtype=bool), kept]))
        columns = np.isin(np.arange(len(self.sizes)), self.columns[kept])
        self.program.keep_variables(columns)
        self.columns = (np.cumsum(columns) - 1)[self.columns[kept]]
        self.sizes, self.furthest = self.sizes[columns], self.furthest[columns]
        self.outputs, self.effects = self.outputs[:, columns], self.effects[kept][:, columns]
        self.rows, self.row_lengths, self.weights = (
            array[kept] for array in (self.rows, self.row_lengths, self.weights)
        )
        self.a, self.b, self.stale = self.a[kept], self.b[kept], self.stale[kept]

    # -- reports ---------------------------------------------------------------------------------

    @property
    def claim(self) -> str:
        return LOCAL_OPTIMUM if self.exact else FIRST_ORDER

    def report(self, y: Vector) -> None:
        if not self.task.iterate(self.start, y, float(self.values[0]), self.violation(y)):
            raise Stopped(Status.UNBOUNDED)

    def violation(self, y: Vector) -> float:
        return max(
            float(self.problem.set.relative_violation(y)), self.functional_violation(self.values)
        )

    def end(self, status: Status, detail: str) -> None:
        evaluation = self.task.evaluate(self.y[np.newaxis], [self.start])
        if not evaluation.finite[0]:
            detail = self.task.name_non_finite(self.y, evaluation, 0)
            self.task.end(self.start, self.y, Status.NON_FINITE, detail)
            return
        program = self.program
        seconds = self.task.seconds - self.began
        counts = (program.programs, "program"), (program.iterations, "iteration")
        work = ", ".join(f"{count} {noun}{'s' * (count != 1)}" for count, noun in counts)
        work += f", {seconds:.1f} s"
        self.task.end(self.start, self.y, status, f"{detail} ({work}.)")
