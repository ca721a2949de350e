"""Branch and bound over the input: the best value, and what no allowed input exceeds."""

from __future__ import annotations

import heapq
import itertools
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from constrained_actmax.certificate import Certificate, Proof
from constrained_actmax.certificates.allowed import ACCURATE, EPSILON, Allowed
from constrained_actmax.certificates.choices import Choices
from constrained_actmax.certificates.contradiction import one_sided
from constrained_actmax.certificates.linear_bounds import Bounded, Intervals, LinearBounds, Side
from constrained_actmax.errors import BoundError, RefusedError
from constrained_actmax.kernels.intersection import IntersectionKernel
from constrained_actmax.layout import Indices, Rows, Vector
from constrained_actmax.oracles.oracle import Oracle
from constrained_actmax.problem import Problem
from constrained_actmax.random_points import drawn
from constrained_actmax.structure import Pieces, Structure

if TYPE_CHECKING:
    from constrained_actmax.certificates.nearest_change import NearestChange

Array = npt.NDArray[Any]

MOST_BOXES = 256  # of one batch
MOST_INPUTS = 10  # that are free, up to which halving boxes pays
MOST_KINKS = 12  # units that bend in a box that is branched by them and no longer by inputs
EXACT = 1e-8  # accuracy of a projection in closed form, and cheap
DRAWS = 32  # points at which the search begins, besides those that are given
POINTS = 2  # that are tried in each box: the middle and the one that the bound names
ASCENT = 40  # steps of a local ascent
FIRST_STEP, LONGER, SHORTER = 0.2, 1.5, 0.5  # of an ascent, in units of the box
SMALLEST_WIDTH = 1e-13  # of an entry, relative to the root's, that is still halved
#: A value may exceed a bound by the rounding of its own evaluation and by the tolerance of C.
FAULT = 1e-9
BY_SOLVER = "mixed-integer program"  # the method whose bound is a solver's own
SOLVERS_SET = "the set's largest value of a linear function is a solver's"


@dataclass(eq=False)
class Progress:
    """Where a search stands.

    Attributes
    ----------
    dual_bound, best_value : float
        In the sense of maximising.
    x : numpy.ndarray or None
        The best feasible point.
    nodes, evaluations : int
        Boxes bounded, points evaluated.
    open : int
        Boxes left.
    seconds : float
        Since the search began.
    """

    dual_bound: float = np.inf
    best_value: float = -np.inf
    x: Vector | None = None
    nodes: int = 0
    evaluations: int = 0
    open: int = 1
    seconds: float = 0.0


@dataclass(order=True, slots=True)
class _Box:
    """A box that waits, best bound first; ties go to the older one."""

    key: tuple[float, int]
    lower: Vector = field(compare=False)
    upper: Vector = field(compare=False)
    around: Intervals | None = field(default=None, compare=False)
    row: int = field(default=0, compare=False)
    sides: tuple[Side, ...] = field(default=(), compare=False)


class Search(Proof):
    r"""Maximise one output of a network over C, with other outputs within bounds.

    Best-first over boxes, in batches. Each box is bounded by linear functions (`LinearBounds`), by
    the mean value form :math:`f(m) + \max_x \nabla f([x])^\top (x - m)`, and by its parent; it
    is dropped where its bound is no better than the best point, or a bound on an output must break.
    An input that nothing couples and whose derivative keeps one sign in the box goes to its end.
    The others are halved where the width contributes most to the gap of the relaxations, discrete
    ones first; boxes are bounded over the convex hull of C. Halves
    are bounded twice: first with the pre-activations' intervals that the linear functions of the
    whole give on them, at a hundredth of the work, which drops about half of them. Points tried are
    those that the bounds name, the centres, and local ascents from the best.

    Parameters
    ----------
    problem : Problem
        In the user's units.
    rtol, atol : float
        A box is finished at a gap of ``atol + rtol * range``.
    seed : int
        Of the draws.
    seconds : float, optional
        After which bounds are no longer improved.
    evaluations : int, optional
        Of points, at most.
    target : float, optional
        The search ends where it is known whether a feasible point is better; the gap ends nothing.
    tries : bool, default True
        Whether points are evaluated; not where bounds alone are asked for.

    Raises
    ------
    RefusedError
        If the network's structure cannot be read or bounded, or C is not bounded.
    """

    def __init__(
        self,
        problem: Problem,
        *,
        rtol: float,
        atol: float = 0.0,
        seed: int = 0,
        seconds: float | None = None,
        evaluations: int | None = None,
        target: float | None = None,
        tries: bool = True,
    ) -> None:
        self.began = time.perf_counter()
        self.seconds, self._most = seconds, evaluations
        self.problem, self.seed = problem, seed
        self.range = problem.scales.range
        self.slack = atol + rtol * self.range
        self.structure = self._read_structure()
        self.allowed = self._allowed()
        self.part = self.structure.outputs["functions"]
        self.bounds = LinearBounds(self.structure, self.part, self.allowed, self.expired)
        self.sign = 1.0 if problem.sense == "maximize" else -1.0
        self.target, self._tries = target, tries
        self.state = Progress()
        #: What linear bounds say of the whole, once the first box is bounded.
        self.root: Bounded | None = None
        #: What no allowed point's value is below; a bound below it leaves no point.
        self.least = -np.inf
        #: Which program has shown the bound, if one has.
        self.shown = ""
        self.rows, self.limits = self._combinations()
        self._finished = -np.inf  # the largest bound of boxes that were dropped
        self._number = itertools.count()
        self._heap: list[_Box] = []
        self._climbed = -np.inf
        #: Why a bound is no proof.
        self.doubts = list(self.bounds.doubts)
        #: The discrete inputs, where there are any.
        self.choices: Choices | None = None
        if not problem.set.convex:
            assert isinstance(problem.set, IntersectionKernel)
            self.choices = Choices(problem.set)
        self._free = self._uncoupled()
        self._curved = not all(
            isinstance(nonlinearity, Pieces) for nonlinearity in self.structure.nonlinearities
        )
        self.most_kinks = MOST_KINKS
        self._widths = self.allowed.upper - self.allowed.lower
        lower, upper = self.allowed.lower, self.allowed.upper
        if self.choices is not None:
            lower, upper = self.choices.union.tightened((lower, upper))
        heapq.heappush(self._heap, _Box((-np.inf, next(self._number)), lower, upper))

    def begin(self, points: Rows) -> None:
        """Try points of C (B, n), and draws where a projection is cheap; ascend from them."""
        draws = DRAWS if self._most is None else min(DRAWS, self._most // DRAWS)
        cheap = self.problem.set.accuracy <= EXACT or not len(points)
        if draws and cheap and self.choices is None:
            points = np.concatenate([points, drawn(self.problem, draws, self.seed)])
        if not len(points) or not self._affords(2 * len(points) + POINTS):
            return
        self.try_points(points)
        self.climb(points)

    #: What the relative gap is divided by, in words; `size` is its number.
    relative_to = "the range of the values"

    @property
    def size(self) -> float:
        """What the objective changes over the set."""
        return self.range

    @property
    def method(self) -> str:
        """What has shown the bound, in words."""
        return self.shown or ("linear bounds" if self.state.nodes <= 1 else "branch and bound")

    # -- the question ------------------------------------------------------------------------------

    def _read_structure(self) -> Structure:
        return structure_of(self.problem)

    def _allowed(self) -> Allowed:
        return Allowed.of(self.problem)

    def _combinations(self) -> tuple[Array, Vector]:
        """Return rows over the outputs (1 + q, size), and what each further one has to reach."""
        rows, limits = self._limits(1)
        first = np.zeros((1, self.part.size))
        first[0, 0] = self.sign
        return np.concatenate([first, rows]), limits

    def _limits(self, start: int) -> tuple[Array, Vector]:
        """Return rows (q, size) over the outputs, constraints from `start`, and their bounds."""
        outputs, signs, limits = one_sided(self.problem)
        compiled = outputs < self.part.size - start
        outputs, signs = outputs[compiled], signs[compiled]
        rows = np.zeros((len(outputs), self.part.size))
        rows[np.arange(len(outputs)), start + outputs] = signs
        return rows, limits[compiled]

    def _most_violated(self, rows: Array, limits: Vector, x: Vector, start: int) -> int:
        """Return which of the `_limits` from `start` a point (n,) violates most, over its size."""
        values = self.structure.values(x[np.newaxis])["functions"][0]
        sizes = np.abs(rows[:, start:]) @ self.problem.imposed_sizes[: rows.shape[1] - start]
        return int(((limits - rows @ values) / sizes).argmax())

    def _uncoupled(self) -> Array:
        """Return which entries (n,) may go to their ends where the objective is monotone."""
        free = np.full(self.problem.size, self.allowed.complete and not self.problem.constraints)
        free &= ~(self.allowed.matrix != 0.0).any(axis=0)
        for _, weights, _ in (*self.allowed.l1, *self.allowed.squares):
            free &= weights == 0.0
        return free if self.choices is None else free & ~self.choices.coupled

    def expired(self) -> bool:
        """Whether the time is over."""
        return self.seconds is not None and time.perf_counter() - self.began >= self.seconds

    def allow(self, seconds: float | None) -> None:
        """Set the seconds that are left; None for no end."""
        spent = time.perf_counter() - self.began
        self.seconds = None if seconds is None else spent + seconds

    @property
    def seconds_left(self) -> float | None:
        """Until the time is over; None where it never is."""
        if self.seconds is None:
            return None
        return max(0.0, self.seconds - (time.perf_counter() - self.began))

    # -- points ------------------------------------------------------------------------------------

    def measure(self, x: Rows) -> tuple[Vector, Array]:
        """Return values in the sense of maximising, in float64, and which points are feasible."""
        values = self.structure.values(x)["functions"]
        self.state.evaluations += len(x)
        problem = self.problem
        first = self.part.size - problem.constraints
        c = values[:, first:] if problem.compiled else problem.evaluate(x).c
        index = int(np.abs(self.rows[0]).argmax())
        f = self.rows[0][index] * values[:, index]
        return f, problem.feasible(x, c) & np.isfinite(f)

    def _affords(self, points: int) -> bool:
        return self._most is None or self.state.evaluations + points <= self._most

    @property
    def spent(self) -> bool:
        """Whether no further box is affordable."""
        return not self._affords(POINTS)

    def try_points(self, x: Rows) -> Vector:
        """Evaluate points of C and keep the best; return their values, -inf where not feasible."""
        if not len(x):
            return np.empty(0)
        f, feasible = self.measure(x)
        f = np.where(feasible, f, -np.inf)
        self._keep(x, f)
        return f

    def _keep(self, x: Rows, f: Vector) -> None:
        """Keep the best of some feasible points."""
        best = int(f.argmax())
        if f[best] > self.state.best_value:
            self.state.best_value, self.state.x = float(f[best]), x[best].copy()

    @override
    def certificate(self, x: Vector | None, slack: float) -> Certificate:
        state, best = self.state, self.state.best_value
        if x is not None:
            (value,) = self.try_points(x[np.newaxis]).tolist()
            same = self._close(value) == self._close(best)
            if best - slack * self.range <= value <= best and same:
                state.best_value, state.x = value, x.copy()
            self.tighten(state.dual_bound)
        return replace(certificate_of(self), seconds=state.seconds)

    def _close(self, value: float) -> bool:
        """Whether a value is as near to the bound as asked."""
        return self.state.dual_bound - value <= self.slack

    def climb(self, x: Rows) -> None:
        """Follow the slopes from feasible points, each with a step of its own."""
        f, feasible = self.measure(x)
        x, f = x[feasible], f[feasible]
        if not len(x):
            return
        project = self.problem.set.project
        steps = np.full(len(x), FIRST_STEP)
        row = self.rows[:1]
        g = self._gradient(x, row)
        for _ in range(ASCENT):
            if self.expired() or not self._affords(len(x) + POINTS) or f.max() > self._beyond:
                break  # a first box is bounded in any case
            way = g * self._widths
            if self.choices is not None:
                way *= self.choices.free(x)
            length = np.linalg.norm(way, axis=1, keepdims=True)
            way = way / np.where(length > 0.0, length, 1.0) * self._widths
            trial = x + steps[:, np.newaxis] * way
            trial = project(trial) if self.choices is None else self.choices.held(trial, x)
            value, feasible = self.measure(trial)
            better = feasible & (value > f)
            x = np.where(better[:, np.newaxis], trial, x)
            f = np.where(better, value, f)
            steps = np.where(better, LONGER * steps, SHORTER * steps)
            if better.any():
                g[better] = self._gradient(x[better], row)
        self._keep(x, f)
        self._climbed = self.state.best_value

    def _gradient(self, x: Rows, row: Array) -> Rows:
        slopes, _ = self.structure.affine(self.structure.signature(x), self.part, row)
        return np.array(np.broadcast_to(slopes[:, 0], x.shape))

    # -- boxes -------------------------------------------------------------------------------------

    @property
    def _beyond(self) -> float:
        """A feasible point with a larger value refutes the target."""
        return np.inf if self.target is None else self.sign * self.target

    @property
    def goal(self) -> float:
        """A box whose bound is no larger is finished."""
        return self.state.best_value + self.slack if self.target is None else self._beyond

    @property
    def done(self) -> bool:
        """Whether every box is finished, the bound of the whole good enough or a target refuted."""
        waiting = -self._heap[0].key[0] if self._heap else -np.inf
        refuted = self.state.best_value > self._beyond
        return refuted or min(waiting, self.state.dual_bound) <= self.goal

    def step(self, most: int = MOST_BOXES) -> Progress:
        """Bound the best boxes that wait, at most so many, and halve them."""
        taken: list[_Box] = []
        if self._most is not None:
            most = min(most, (self._most - self.state.evaluations) // POINTS)
        while self._heap and len(taken) < most and -self._heap[0].key[0] > self.goal:
            taken.append(heapq.heappop(self._heap))
        waiting = taken
        try:
            if taken:
                self._bound(taken)
            waiting = []
        finally:
            # What was not bounded waits again, whatever ended it; a box twice does no harm.
            self._heap = [*self._heap, *waiting]
            heapq.heapify(self._heap)
            self._tell()
        return self.state

    def _tell(self) -> None:
        waiting = -self._heap[0].key[0] if self._heap else -np.inf
        self.tighten(max(waiting, self._finished))

    def contradicts(self, bound: float) -> bool:
        """Whether a feasible point has a larger value than a bound, beyond roundings."""
        best = self.state.best_value
        return bound < best - FAULT * (self.range + abs(best))

    def tighten(self, bound: float) -> bool:
        """Take a bound of the whole; return whether it is better than what was known.

        Raises
        ------
        BoundError
            If a feasible point is better.
        """
        state = self.state
        if self.contradicts(bound):
            raise BoundError(
                f"certify: {self.problem.objective_text} was bounded by {self.sign * bound:.9g}, "
                f"and a feasible input has {self.sign * state.best_value:.9g}: the bound is wrong; "
                "please report it with the model."
            )
        before = state.dual_bound
        if state.x is None and bound < self.least:
            bound = -np.inf
        state.dual_bound = min(before, max(bound, state.best_value))
        state.open = len(self._heap)
        state.seconds = time.perf_counter() - self.began
        return state.dual_bound < before

    def _bound(self, boxes: list[_Box]) -> None:
        lower = np.array([box.lower for box in boxes])
        upper = np.array([box.upper for box in boxes])
        self.state.nodes += len(boxes)
        sides = [box.sides for box in boxes]
        bounded = self.bounds.bound(
            lower,
            upper,
            self.rows,
            self._around(boxes),
            sides=sides if any(sides) else (),
            cutoff=self.goal,
        )
        if self.root is None and len(self.limits):
            below = self.bounds.bound(lower[:1], upper[:1], -self.rows[:1])
            self.least = -float(below.upper[0, 0])
        self.root = self.root or bounded
        whole = np.array([not some for some in sides])  # on both sides of every kink
        known = -np.array([box.key[0] for box in boxes])
        bound = self._by_linear_bounds(known, bounded, lower, upper)
        least, most, reached = self.bounds.slopes(bounded.intervals, self.rows[0], len(boxes))
        steep = np.maximum(np.abs(least), np.abs(most))
        width = upper - lower
        by_slopes = self._mean_value(0.5 * (lower + upper), width, steep)
        bound = np.where(whole, np.fmin(bound, by_slopes), bound)
        self._try_named(bounded, lower, upper, bound)
        going = self._going(bound)
        free = self._free & whole[:, np.newaxis]
        rising, falling = free & (least > 0.0), free & (most < 0.0)
        lower, upper = np.where(rising, upper, lower), np.where(falling, lower, upper)
        score = self._scores(bounded, steep, upper - lower)
        kinks = self._kinks(bounded, reached)
        if self.choices is not None:
            for row in np.flatnonzero(going).tolist():
                first = self.choices.open(lower[row], upper[row])
                if first.any():  # the widest where no other tells more
                    widest = np.maximum(score[row], SMALLEST_WIDTH * (upper[row] - lower[row]))
                    score[row], kinks[row] = np.where(first, widest, -1.0), None
        split = going & np.any(score > 0.0, axis=1)
        moved = np.any(upper - lower < width, axis=1)
        for row in np.flatnonzero(going).tolist():
            side, box = kinks[row], (lower[row], upper[row], bounded.intervals, row)
            if side is not None:
                split[row] = False
                for sign in (1.0, -1.0):
                    self._push(bound[row], *box, (*sides[row], side._replace(sign=sign)))
            elif not split[row] and moved[row]:
                self._push(bound[row], *box, sides[row])
            elif not split[row]:  # a point: there is nothing left to halve
                self._finished = max(self._finished, float(bound[row]))
        rows = np.flatnonzero(split)
        if len(rows):
            entry = score[rows].argmax(axis=1)
            self._halve(lower[rows], upper[rows], entry, bound[rows], bounded, rows, sides)

    def _push(
        self,
        bound: float,
        lower: Vector,
        upper: Vector,
        around: Intervals,
        row: int,
        sides: tuple[Side, ...],
    ) -> None:
        key = -float(bound), next(self._number)
        heapq.heappush(self._heap, _Box(key, lower, upper, around, row, sides))

    def _going(self, bound: Vector) -> Array:
        """Return which boxes are not finished, and remember the largest bound of the others."""
        going = bound > self.goal
        self._finished = max(self._finished, float(bound[~going].max(initial=-np.inf)))
        return going

    def _around(self, boxes: list[_Box]) -> Intervals | None:
        """Return the pre-activations' intervals of the boxes' parents; None for the whole."""
        if boxes[0].around is None:
            return None
        parents = [(box.around, box.row) for box in boxes if box.around is not None]
        return [
            (
                np.array([around[k][0][row] for around, row in parents]),
                np.array([around[k][1][row] for around, row in parents]),
            )
            for k in range(len(self.structure.nonlinearities))
        ]

    def _by_linear_bounds(
        self, known: Vector, bounded: Bounded, lower: Rows, upper: Rows
    ) -> Vector:
        """Return the bounds that linear functions, the parents and the set itself give."""
        bound = np.minimum(known, bounded.upper[:, 0])
        if len(self.limits):
            bound = np.fmin(bound, self._with_limits(bounded, lower, upper))
        bound = np.where(bound < self.least, -np.inf, bound)
        if self.choices is not None:  # a box of one point, and that not in C
            single = np.all(lower == upper, axis=1)
            single &= self.problem.set.relative_violation(lower) > self.problem.set.tolerance
            bound = np.where(single, -np.inf, bound)
        if not self.allowed.complete and self.state.nodes == 1:
            bound = self._over_set(bounded.slopes[:, 0], bounded.offsets[:, 0], bound)
        return bound

    def _try_named(self, bounded: Bounded, lower: Rows, upper: Rows, bound: Vector) -> None:
        """Try the points that the bounds name and the centres; ascend from a much better one."""
        if not self._tries:
            return
        named = np.concatenate([bounded.points[:, 0], 0.5 * (lower + upper)])
        if self.choices is None:
            self.try_points(self.problem.set.project(named))
        else:
            both = np.concatenate([lower, lower]), np.concatenate([upper, upper])
            self.try_points(self.choices.projected(named, *both))
        better = self.state.best_value > self._climbed + self.slack
        if better and not self.done and (bound > self.goal).any() and self._affords(2):
            assert self.state.x is not None
            self.climb(self.state.x[np.newaxis])

    def _scores(self, bounded: Bounded, steep: Rows, width: Rows) -> Rows:
        """Return what halving each entry promises, -1 where it is too narrow to be halved."""
        wide = width > SMALLEST_WIDTH * self._widths
        score = np.where(wide, self.bounds.looseness(bounded, len(width)) * width, -1.0)
        for other in (steep * width, width):  # where all relaxations are exact, or all is flat
            flat = np.all(score <= 0.0, axis=1)
            score = np.where(flat[:, np.newaxis], np.where(wide, other, -1.0), score)
        return score

    def _halve(
        self,
        lower: Rows,
        upper: Rows,
        entry: Indices,
        bound: Vector,
        bounded: Bounded,
        rows: Indices,
        sides: list[tuple[Side, ...]],
    ) -> None:
        """Halve parts (R, n) of boxes `rows`, bound the halves quickly, keep what is not done."""
        lower, upper, positions = self._divided(lower, upper, entry)
        if not len(positions):
            return
        rows, bound = rows[positions], bound[positions]
        chosen = [sides[row] for row in rows.tolist()]
        quick = self.bounds.bound(
            lower,
            upper,
            self.rows,
            self.bounds.within(bounded, rows, lower, upper),
            sides=chosen if any(chosen) else (),
            refine=False,
        )
        bound = np.minimum(bound, quick.upper[:, 0])
        if len(self.limits):
            broken = (quick.upper[:, 1:] < self.limits).any(axis=1)
            bound = np.where(broken, -np.inf, bound)
        for index in np.flatnonzero(self._going(bound)).tolist():
            box = lower[index], upper[index], quick.intervals, index, chosen[index]
            self._push(bound[index], *box)

    def _divided(self, lower: Rows, upper: Rows, entry: Indices) -> tuple[Rows, Rows, Indices]:
        """Return boxes (R, n) divided at one entry each, and of which box each is a part."""
        each = np.arange(len(entry))
        middle = 0.5 * (lower[each, entry] + upper[each, entry])
        first, second = upper.copy(), lower.copy()
        first[each, entry] = second[each, entry] = middle
        if self.choices is None:
            lower, upper = np.concatenate([lower, second]), np.concatenate([first, upper])
            return lower, upper, np.tile(each, 2)
        parts: list[tuple[Vector, Vector]] = []
        positions: list[int] = []
        for row, at in enumerate(entry.tolist()):
            box = lower[row], upper[row]
            halves = [(box[0], first[row]), (second[row], box[1])]
            some = self.choices.parts(at, *box) if self.choices.open(*box)[at] else halves
            parts += some
            positions += [row] * len(some)
        low, high, kept = self.choices.tightened(
            np.array([part[0] for part in parts]), np.array([part[1] for part in parts])
        )
        return low[kept], high[kept], np.array(positions)[kept]

    def _kinks(self, bounded: Bounded, reached: list[Rows]) -> list[Side | None]:
        """Return for each box where few units bend the kink to branch on, None for the others.

        That where the chord is farthest from the function, times the largest derivative behind it.
        """
        count = len(bounded.upper)
        if self._curved or self.allowed.l1 or self.allowed.squares:
            return [None] * count
        bends = np.zeros(count)
        best = np.zeros(count)
        chosen: list[Side | None] = [None] * count
        for k, step in enumerate(self.structure.nonlinearities):
            assert isinstance(step, Pieces)
            low, high = bounded.intervals[k]
            for number, kink in enumerate(step.kinks):
                inside = (low < kink) & (kink < high) & (reached[k] > 0.0)
                bends += inside.sum(axis=1)
                turn = np.abs(step.slopes[number + 1] - step.slopes[number])
                width = np.where(inside, high - low, 1.0)
                far = np.where(inside, (high - kink) * (kink - low) / width, 0.0)
                score = far * turn * reached[k]
                unit = score.argmax(axis=1)
                for row in np.flatnonzero(score.max(axis=1) > best).tolist():
                    best[row] = score[row, unit[row]]
                    chosen[row] = Side(k, int(unit[row]), 1.0, float(kink[unit[row]]))
        return [
            side if n <= self.most_kinks else None for side, n in zip(chosen, bends, strict=True)
        ]

    def _with_limits(self, bounded: Bounded, lower: Rows, upper: Rows) -> Vector:
        """Return the bound with the bounds on outputs, -inf where one of them must break."""
        reach = bounded.upper[:, 1:]
        broken = (reach < self.limits).any(axis=1)
        matrix = np.concatenate([-bounded.slopes[:, 1:], bounded.matrix], axis=1)
        most = np.concatenate([bounded.offsets[:, 1:] - self.limits, bounded.most], axis=1)
        top, _ = self.allowed.maximum(
            bounded.slopes[:, 0],
            lower,
            upper,
            rows=matrix,
            most=most,
            effort=ACCURATE,
            cutoff=self.goal - bounded.offsets[:, 0],
        )
        return np.where(broken, -np.inf, top + bounded.offsets[:, 0])

    def largest(self, slopes: Vector, offset: float) -> float:
        """Return an upper bound of a linear function (n,) over C."""
        allowed, g = self.allowed, slopes[np.newaxis]
        box = allowed.lower[np.newaxis], allowed.upper[np.newaxis]
        top, _ = allowed.maximum(g, *box, effort=ACCURATE, cutoff=np.array([-np.inf]))
        total = top + offset + 2.0 * EPSILON * (np.abs(top) + abs(offset))
        if not allowed.complete:
            total = self._over_set(g, np.array([offset]), total)
        return float(total[0])

    def _over_set(self, g: Rows, offsets: Vector, bound: Vector) -> Vector:
        """Return the smaller of bounds (1,) and those over all of C by its own maximiser."""
        hull = self.problem.set.hull
        x = np.array(hull.linear_maximizer(g))
        reach = np.abs(g) @ np.maximum(np.abs(self.allowed.lower), np.abs(self.allowed.upper))
        top = np.einsum("bn,bn->b", g, x) + offsets + hull.accuracy * reach
        if top[0] < bound[0] and SOLVERS_SET not in self.doubts:
            self.doubts.append(SOLVERS_SET)
        return np.asarray(np.minimum(top, bound))

    def _mean_value(self, middle: Rows, width: Rows, steep: Rows) -> Vector:
        """Return the bounds by the slopes, NaN where the middle is no point of C's hull."""
        top = self.bounds.point_bound(middle, self.rows[0])
        rise = 0.5 * np.einsum("bn,bn->b", steep, width)
        hull = self.problem.set.hull  # the slopes hold between its points
        apart = np.atleast_1d(hull.relative_violation(middle)) > hull.tolerance
        return np.where(apart, np.nan, (top + rise) + 1e-14 * (np.abs(top) + rise))


def structure_of(problem: Problem) -> Structure:
    """Return the structure of a problem's functions.

    Raises
    ------
    RefusedError
        If it has none.
    """
    oracle = problem.user_oracle
    if not isinstance(oracle, Oracle):
        raise RefusedError(
            f"certify: {type(oracle).__name__} is a function without a structure; bounds need a "
            "Keras or TensorFlow model."
        )
    return oracle.structure()


def certificate_of(search: Search | NearestChange) -> Certificate:
    """Return what a search knows so far."""
    state, problem = search.state, search.problem
    dual, best = max(state.dual_bound, state.best_value), state.best_value
    infeasible = state.x is None and dual == -np.inf
    gap = dual - best if state.x is not None else np.inf
    proven = gap <= search.slack if search.target is None else dual <= search.goal
    doubts = tuple(search.doubts)
    rigour: Literal["rigorous", "numerical", "solver"] = "numerical" if doubts else "rigorous"
    if search.shown == BY_SOLVER:
        doubts, rigour = (*doubts, "the bound is HiGHS's, within its tolerances"), "solver"
    return Certificate(
        sense=problem.sense,
        objective=problem.objective_text,
        dual_bound=search.sign * dual,
        best_value=search.sign * best if state.x is not None else np.nan,
        gap=gap,
        relative_gap=gap / search.size if search.size > 0.0 else gap and np.inf,
        proven=infeasible or proven,
        infeasible=infeasible,
        rigour=rigour,
        doubts=doubts,
        method=search.method,
        nodes=state.nodes,
        seconds=time.perf_counter() - search.began,
        difference=search.structure.difference,
        x=None if state.x is None else state.x.copy(),
        target=search.target,
        relative_to=search.relative_to,
    )
