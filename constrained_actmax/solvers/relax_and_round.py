"""Discrete inputs: the relaxation, rounded, and a search through neighbours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np
from typing_extensions import override

from constrained_actmax.layout import Indices, Rows, Vector
from constrained_actmax.random_points import drawn
from constrained_actmax.result import NO_BETTER_NEIGHBOUR, Status
from constrained_actmax.solvers.active_signature import ActiveSignature
from constrained_actmax.solvers.augmented_lagrangian import AugmentedLagrangian
from constrained_actmax.solvers.base import Solver
from constrained_actmax.solvers.branch_and_bound import PROOF_BOXES, BranchAndBound
from constrained_actmax.solvers.cobyqa import COBYQA
from constrained_actmax.solvers.l_bfgs_b import LBFGSB
from constrained_actmax.solvers.search_and_finish import SearchAndFinish, pays
from constrained_actmax.solvers.slsqp import SLSQP
from constrained_actmax.solvers.spg import SPG
from constrained_actmax.solvers.successive_halving import SuccessiveHalving
from constrained_actmax.standard_form import OverSet, StandardForm
from constrained_actmax.tasks.over_set import Over
from constrained_actmax.tasks.recording import MOST_ROWS
from constrained_actmax.tasks.task import Stopped, Task

#: Share of a budget that the relaxation takes, and evaluations of each of its points without one.
RELAXED_SHARE, RELAXED = 0.3, 100
#: Tolerance of a rounding: near is enough.
ROUGHLY = 1.0
#: Roundings of a relaxed point that are drawn round it, beside the nearest one.
ROUNDINGS = 6
#: Moves that are made at random from the best point before another descent.
KICK = 3
#: Single moves that pairs are made of at most: the most promising ones.
PAIRED = 250
#: Marks the seeds of the draws.
DRAWS = 41047


class Candidate(NamedTuple):
    """A point of C with what the model says there.

    Parameters
    ----------
    x : numpy.ndarray, shape (n,)
        The point.
    violation, f : float
        Violation of c, 0 where it is within the tolerance, and f.
    gradient, c, jacobian : numpy.ndarray, shapes (n,), (m,), (m, n)
        Of f and c.
    """

    x: Vector
    violation: float
    f: float
    gradient: Vector
    c: Vector
    jacobian: np.ndarray

    @property
    def rank(self) -> tuple[float, float]:
        """Less is better: feasibility first."""
        return self.violation, self.f


@dataclass(frozen=True, kw_only=True)
class RelaxAndRound(Solver):
    r"""Relaxation over the hull, roundings, and a search through their neighbours.

    1. A local method minimises over the convex hull of C, from the start and from draws [1]_.
    2. Its points are rounded: the nearest point of C, and those nearest to draws round them. The
       continuous inputs of the best few are optimised again with the discrete inputs held, once for
       each choice of these.
    3. Where the network's structure can be bounded and there are few inputs, branch and bound goes
       on from there, discrete inputs first (`BranchAndBound`). If it ends within its gap, the best
       point is proven to be the optimum, and this is all.
    4. From the best few, neighbours are evaluated side by side: one step of a count or level, one
       swap in a group, one change more or less. The best neighbour is next, until none is better.
       Then, where continuous inputs are left, those of the point and of the best few neighbours
       are optimised again with the discrete inputs held; then pairs of moves are tried, the most
       promising by the differences that the single moves made.
    5. The search goes on from random moves away from the best point, and from draws [2]_.

    Feasibility comes before value: a point that violates bounds on functions less is better. It
    ends where no neighbour is better, which is no proof: the neighbourhood is small. Every point
    that it returns is in C exactly.

    Parameters
    ----------
    relaxations : int, default 4
        Points that the relaxation starts from.
    descents : int, default 4
        Of the best roundings so many are searched from.
    kicks : int, default 12
        Searches from random moves and from draws, since the best point last improved.
    reoptimised : int, default 4
        Neighbours whose continuous inputs are optimised again in a round.
    held_evaluations : int, default 60
        Evaluations of each of these.
    most_neighbours : int, default 256
        Neighbours, or pairs, that a round evaluates; of more those with the steepest slopes.
    most_boxes : int, default 1000
        Boxes of the branch and bound; fewer where each costs more, as for continuous inputs.
    most_combinations : int, default 4096
        Where all inputs are discrete and have no more combinations in C than this, all of them are
        evaluated instead, and the best is proven to be the optimum.

    References
    ----------
    .. [1] Danna, Rothberg, Le Pape (2005), Exploring relaxation induced neighborhoods to improve
       MIP solutions, Math. Program. 102.
    .. [2] Lourenço, Martin, Stützle (2003), Iterated local search, Handbook of Metaheuristics.
    """

    name: ClassVar[str] = "relax-and-round"
    stays_inside: ClassVar[bool] = False
    iterates_in_set: ClassVar[bool] = False

    relaxations: int = 4
    descents: int = 4
    kicks: int = 12
    reoptimised: int = 4
    held_evaluations: int = 60
    most_neighbours: int = 256
    most_boxes: int = PROOF_BOXES
    most_combinations: int = 4096

    @override
    def refusal(self, problem: StandardForm) -> str | None:
        if problem.set.convex:
            way = "auto" if problem.differentiable else "COBYQA"
            return (
                f"{self.name} is for discrete inputs, such as Integers or OneHot, and C has none; "
                f"use method='{way}'."
            )
        if not problem.set.discrete:
            return f"{self.name} cannot take apart a nonconvex set of one's own; use method='pgd'."
        return None

    @override
    def _run(self, task: Task, x0: Rows, starts: Indices) -> None:
        if self._enumerated(task, x0, starts):
            return
        searches = self._begun(task, x0, starts)
        proof = BranchAndBound(max_boxes=self.most_boxes).affordable(task.problem)
        if proof is not None:
            task.share(2)
            search = proof.branch(task, task.best_points(x0, starts), starts, draws=False)
            if search.done:
                status = Status.PROVEN if search.state.x is not None else Status.INFEASIBLE
                for index, (start, own) in enumerate(searches.items()):
                    task.share(len(starts) - index)
                    with _ended_by_limits(task, start, x0[index]):
                        task.end(start, own.finished(x0[index]), status)
                return
        self._search(task, x0, starts, searches)

    def _begun(self, task: Task, x0: Rows, starts: Indices) -> dict[int, NeighbourhoodSearch]:
        """Return a search for each start, begun from the rounded relaxation."""
        relaxed = self._relaxed(task, x0, starts)
        searches = {start: NeighbourhoodSearch(self, task, start) for start in starts.tolist()}
        for index, search in enumerate(searches.values()):
            task.share(2 * len(starts) - index)
            try:
                search.begin(x0[index], relaxed[index])
            except Stopped as reason:  # where no share is left, the rest of the search ends too
                if reason.ends_all:
                    raise
        return searches

    @staticmethod
    def _search(
        task: Task, x0: Rows, starts: Indices, searches: dict[int, NeighbourhoodSearch]
    ) -> None:
        for index, (start, search) in enumerate(searches.items()):
            task.share(len(starts) - index)
            with _ended_by_limits(task, start, x0[index]):
                search.go_on(x0[index])

    def _enumerated(self, task: Task, x0: Rows, starts: Indices) -> bool:
        """Evaluate all points of C where these are few, and end all starts at the best."""
        every = task.problem.set.combinations(self.most_combinations)
        left = task.remaining
        if every is None or not len(every) or (left is not None and len(every) + len(x0) > left):
            return False
        found_of_all = NeighbourhoodSearch(self, task, int(starts[0])).evaluated(every)
        best, known = found_of_all[0], np.isfinite(found_of_all[-1].f)
        for start in starts.tolist():
            evaluation = task.evaluate(best.x[np.newaxis], [start])
            task.iterate_rows(np.array([start]), best.x[np.newaxis], evaluation)
            if not evaluation.finite[0]:
                words = task.name_non_finite(best.x, evaluation, 0)
                task.end(start, best.x, Status.NON_FINITE, words)
            elif best.violation > 0.0:
                words = f"None of all {len(every):,} combinations keeps the constraints."
                task.end(start, best.x, Status.INFEASIBLE, words)
            else:
                words = f"All {len(every):,} combinations were evaluated."
                task.end(start, best.x, Status.PROVEN if known else Status.STALLED, words)
        return True

    def _relaxed(self, task: Task, x0: Rows, starts: Indices) -> np.ndarray:
        """Return points (starts, relaxations, n) where the relaxation ended."""
        hull, k = task.problem.set.hull, self.relaxations
        most = RELAXED * k * len(starts)
        if task.remaining is not None:
            most = min(most, int(RELAXED_SHARE * task.remaining))
            k = max(1, min(k, most // (2 * len(starts))))
        points = np.repeat(x0[:, np.newaxis], k, axis=1)
        over = Over(task, hull, np.repeat(starts, k), most)
        for row, start in enumerate(starts.tolist()):
            points[row, 1:] = drawn(over.problem, k - 1, (DRAWS, start))
        flat = points.reshape(-1, x0.shape[1])
        method = local_method(over.problem)
        if method.refusal(over.problem) is not None or most < len(flat):
            return points
        task.carry(len(flat))
        try:
            method._run(over, flat, np.arange(len(flat)))
        except Stopped as reason:
            if reason.status is Status.INTERRUPTED:
                raise
        ends = [over.reached(row, x) for row, x in enumerate(flat)]
        return np.array(ends).reshape(points.shape)


@contextmanager
def _ended_by_limits(task: Task, start: int, x0: Vector) -> Iterator[None]:
    """End a start where a limit stops it; what ends all is raised."""
    try:
        yield
    except Stopped as reason:
        if reason.ends_all:
            raise
        task.end(start, task.best_or(start, x0), reason.status, reason.detail)


def local_method(form: StandardForm, *, feasible: bool = False) -> Solver:
    """Return a method for the relaxation, or for the continuous inputs with the others held.

    From feasible points of networks with kinks linear programs go to a local optimum at once.
    """
    if pays(form):
        if feasible:
            return ActiveSignature()
        return SearchAndFinish(
            search=AugmentedLagrangian() if form.constraints else SuccessiveHalving()
        )
    if not form.differentiable:
        return COBYQA()
    if form.constraints:
        slsqp = SLSQP()
        if form.smooth is not False and slsqp.refusal(form) is None:
            return slsqp
        return AugmentedLagrangian()
    if form.smooth is False:
        return SuccessiveHalving()
    return LBFGSB() if form.set.only_box else SPG()


class NeighbourhoodSearch:
    """The search of one start.

    Parameters
    ----------
    settings : RelaxAndRound
        What it may spend.
    task : Task
        Its evaluations.
    start : int
        On whose behalf.
    """

    def __init__(self, settings: RelaxAndRound, task: Task, start: int) -> None:
        self.settings, self.run_, self.start = settings, task, start
        self.problem = task.problem
        self.rng = np.random.default_rng((DRAWS, start))
        self._known: dict[bytes, Candidate] = {}
        #: The best point of each choice of the discrete inputs whose others have been optimised.
        self._held: dict[bytes, Candidate] = {}
        #: Where the search begins.
        self.first: list[Candidate] = []
        #: Whether a round left out neighbours.
        self.cut = False

    def begin(self, x0: Vector, relaxed: Rows) -> None:
        """Round relaxed points, and optimise the continuous inputs of the best few."""
        candidates = self.evaluated(self._roundings(x0, relaxed))
        self.first = [candidates[0]]
        self.first = [
            self.improved(candidate) for candidate in candidates[: self.settings.descents]
        ]

    def finished(self, x0: Vector) -> Vector:
        """Return the best point so far with its continuous inputs optimised."""
        best = self.run_.best_or(self.start, x0)
        return self.improved(self.evaluated(best[np.newaxis])[0], again=True).x

    def go_on(self, x0: Vector) -> None:
        """Search from the best of these, and say how it ended."""
        best = min(self.first or self.evaluated(x0[np.newaxis]), key=_rank)
        for candidate in self.first:
            best = min(best, self.descended(candidate), key=_rank)
        kicks = 0
        while kicks < self.settings.kicks:
            kicks += 1
            other = self.descended(self._kicked(best) if kicks % 2 else self._drawn())
            if other.rank < best.rank:
                best, kicks = other, 0
        self._end(best)

    def _end(self, best: Candidate) -> None:
        words = NO_BETTER_NEIGHBOUR
        if self.cut:
            words += f" among the {self.settings.most_neighbours} most promising"
        if best.violation > 0.0:
            words = "No neighbour violates the constraints less."
            self.run_.end(self.start, best.x, Status.INFEASIBLE, words)
            return
        self.run_.end(self.start, best.x, Status.STALLED, f"{words}; usable, no proof.")

    # -- points ----------------------------------------------------------------------------------

    def _roundings(self, x0: Vector, relaxed: Rows) -> Rows:
        """Return points of C: the start, and those near relaxed ones."""
        points = [x0]
        for z in relaxed:
            p = self._rounded(z[np.newaxis])[0]
            points.append(p)
            off = 2.0 * np.abs(z - p)
            if off.any():
                draws = self.rng.uniform(-1.0, 1.0, (ROUNDINGS, z.size))
                points.extend(self._rounded(z + draws * off))
        return np.array(points)

    def _rounded(self, x: Rows) -> Rows:
        """Return points of C near rows."""
        return np.asarray(self.problem.set.project_inexact(x, ROUGHLY)[0])

    def evaluated(self, x: Rows) -> list[Candidate]:
        """Return what the model says at rows of C, best first; each point is asked once."""
        new = {row.tobytes(): row for row in x if row.tobytes() not in self._known}
        if new:
            rows = np.array(list(new.values()))
            self.run_.carry(min(len(rows), MOST_ROWS))
            problem, evaluation = self.problem, self.run_.evaluate(rows, [self.start] * len(rows))
            violation = problem.functional_violation(evaluation.c)
            violation = np.maximum(violation, problem.imposed_violation(evaluation.c))
            violation = np.where(problem.functionally_feasible(evaluation.c), 0.0, violation)
            finite = evaluation.finite if problem.differentiable else np.isfinite(evaluation.f)
            for row, key in enumerate(new):
                self._known[key] = Candidate(
                    rows[row],
                    float(violation[row]) if finite[row] else np.inf,
                    float(evaluation.f[row]) if finite[row] else np.inf,
                    evaluation.gradient[row],
                    evaluation.c[row],
                    evaluation.jacobian[row],
                )
        return sorted((self._known[row.tobytes()] for row in x), key=_rank)

    def _admitted(self, x: Rows) -> Rows:
        """Return the rows that are in C, or get there by their continuous entries alone."""
        feasible, kept = self.problem.set, []
        inside = feasible.relative_violation(x) <= feasible.tolerance if len(x) else []
        for row, ok in zip(x, inside, strict=True):
            if ok:
                kept.append(row)
            elif self._free(row):
                part = feasible.part_at(row)
                if part is not None:
                    kept.append(part.project(row))
        return np.array(kept).reshape(-1, self.problem.size)

    def _free(self, x: Vector) -> bool:
        """Whether entries are left that may move while the discrete ones keep their choice."""
        if self.problem.set.choices_are_points:
            return False
        lower, upper = self.problem.set.piece(x)
        return bool(np.any(lower < upper))

    # -- moves -----------------------------------------------------------------------------------

    def descended(self, here: Candidate) -> Candidate:
        """Return the point to which better neighbours lead."""
        here = self.improved(here)
        while True:
            moved = self.problem.set.neighbours(here.x)
            singles = self.tried(here, self._most_promising(here, moved))
            if singles and singles[0].rank < here.rank:
                here = singles[0]
            else:
                pairs = self.tried(here, self._pairs(here, moved))
                if not pairs or not pairs[0].rank < here.rank:
                    return here
                here = pairs[0]
            self.run_.iterate(self.start, here.x, here.f, here.violation)

    def tried(self, here: Candidate, moved: Rows) -> list[Candidate]:
        """Return what moves lead to.

        Where none is better as it is, with the continuous entries of this point and of the best few
        optimised: a walk of many moves does that at its end, and not at each of them.
        """
        admitted = self._admitted(moved)
        keys = [self._choice(row) for row in admitted]
        known = {key: self._held[key] for key in keys if key in self._held}
        new = admitted[[key not in known for key in keys]]
        candidates = self.evaluated(new) if len(new) else []
        found = sorted([*known.values(), *candidates], key=_rank)
        if found and found[0].rank < here.rank:
            return found
        own = self.improved(here)
        if own.rank < here.rank:
            return [own]
        few = map(self.improved, candidates[: self.settings.reoptimised])
        return sorted([*found, *few], key=_rank)

    def _choice(self, x: Vector) -> bytes:
        """Return what tells the discrete choices of points of C apart."""
        if self.problem.set.choices_are_points:
            return x.tobytes()
        return np.concatenate(self.problem.set.piece(x)).tobytes()

    def improved(self, here: Candidate, *, again: bool = False) -> Candidate:
        """Return a point with its continuous entries optimised, the discrete ones held.

        Once for each choice of these, from the first point that has it, unless asked again.
        """
        key = self._choice(here.x)
        if again or key not in self._held:
            self._held[key] = here  # also where a limit stops it
            self._held[key] = self._optimised(here)
        return min(here, self._held[key], key=_rank)

    def _optimised(self, here: Candidate) -> Candidate:
        if not self._free(here.x):
            return here
        part = self.problem.set.part_at(here.x)
        if part is None:
            return here
        over = Over(self.run_, part, np.array([self.start]), self.settings.held_evaluations)
        method = local_method(over.problem, feasible=here.violation == 0.0)
        if method.refusal(over.problem) is not None:
            return here
        self.run_.carry(1)
        try:
            method._run(over, here.x[np.newaxis], np.zeros(1, dtype=int))
        except Stopped as reason:
            if reason.status is Status.INTERRUPTED or self.run_.remaining == 0:
                raise
        end = part.project(over.reached(0, here.x))
        if self.problem.set.relative_violation(end) > self.problem.set.tolerance:
            return here
        return min(here, *self.evaluated(end[np.newaxis]), key=_rank)

    def _most_promising(self, here: Candidate, moved: Rows) -> Rows:
        """Return the moves whose slopes promise most, where there are more than are evaluated."""
        most = self.settings.most_neighbours
        if len(moved) <= most:
            return moved
        self.cut = True
        change, c = self._to_first_order(here, moved)
        return moved[self._order(change, c)[:most]]

    def _pairs(self, here: Candidate, moved: Rows) -> Rows:
        """Return the most promising pairs of moves, by the differences that each made."""
        change, c = self._to_first_order(here, moved)
        for row, y in enumerate(moved):
            known = self._known.get(y.tobytes())
            if known is not None and np.isfinite(known.f):
                change[row], c[row] = known.f - here.f, known.c
        if len(moved) > PAIRED:
            kept = self._order(change, c)[:PAIRED]
            moved, change, c = moved[kept], change[kept], c[kept]
        steps = moved - here.x
        touched = steps != 0.0
        first, second = np.triu_indices(len(moved), 1)
        apart = ~np.any(touched[first] & touched[second], axis=1)
        first, second = first[apart], second[apart]
        if not first.size:
            return moved[:0]
        both = c[first] + c[second] - here.c
        best = self._order(change[first] + change[second], both)
        pairs: list[Vector] = []
        most = self.settings.most_neighbours
        for at in range(0, best.size, most):  # those in C, best first
            chosen = best[at : at + most]
            rows = here.x + steps[first[chosen]] + steps[second[chosen]]
            pairs.extend(rows[self._in_discrete(rows)])
            if len(pairs) >= most:
                break
        return np.array(pairs[:most]).reshape(-1, here.x.size)

    def _in_discrete(self, rows: Rows) -> np.ndarray:
        """Return the rows that are in C, or may get there by continuous entries."""
        feasible = self.problem.set
        inside: np.ndarray = feasible.relative_violation(rows) <= feasible.tolerance
        free = [not ok and self._free(row) for row, ok in zip(rows, inside, strict=True)]
        reachable: np.ndarray = inside | np.array(free, dtype=bool)
        return reachable

    def _to_first_order(self, here: Candidate, moved: Rows) -> tuple[Vector, Rows]:
        """Return what moves change f by, and c there, by their gradients."""
        steps = moved - here.x
        return steps @ here.gradient, here.c + steps @ here.jacobian.T

    def _order(self, change: Vector, c: Rows) -> Indices:
        """Return the order of moves by predicted violation, then by predicted f."""
        violation = self.problem.imposed_violation(c) if c.shape[1] else np.zeros(len(change))
        violation[violation <= self.problem.feasibility_tolerance] = 0.0
        return np.lexsort((change, violation))

    def _drawn(self) -> Candidate:
        """Return a rounded draw from the hull."""
        hull = self.problem.set.hull
        seed = DRAWS, self.start, int(self.rng.integers(2**31))
        z = drawn(OverSet(self.problem, hull), 1, seed)
        return self.evaluated(self._rounded(z))[0]

    def _kicked(self, here: Candidate) -> Candidate:
        """Return where some random moves lead."""
        x = here.x
        for _ in range(KICK):
            moved = self.problem.set.neighbours(x)
            moved = self._admitted(moved[self.rng.permutation(len(moved))[:KICK]])
            if len(moved):
                x = moved[0]
        return self.evaluated(x[np.newaxis])[0]


def _rank(candidate: Candidate) -> tuple[float, float]:
    return candidate.rank
