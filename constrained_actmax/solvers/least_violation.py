"""Phase one: points that keep all bounds on functions, by proximal linear steps from draws."""

from __future__ import annotations

import sys
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import ClassVar

import numpy as np
from typing_extensions import override

from constrained_actmax.evaluation import Evaluation
from constrained_actmax.layout import Indices, Rows, Vector
from constrained_actmax.random_points import drawn
from constrained_actmax.result import Status
from constrained_actmax.solvers.base import Solver, needs_gradients
from constrained_actmax.standard_form import StandardForm
from constrained_actmax.tasks.projector import EXACT
from constrained_actmax.tasks.task import Stopped, Task

#: Candidates that step side by side, and draws of one batch, of which the best follow. Of 4 to 32
#: draws and 1 to 8 candidates these find the most of docs/benchmarks/feasibility.
MOST_LIVE, DRAWS = 4, 8
#: Starts that step, the least violating of all: more would leave small budgets nothing for draws.
SHORTLIST = 16
#: A candidate steps alone while each step leaves at most this share of its violation: of 0 (never),
#: 0.5 and 0.8 the last finds the first feasible point soonest.
QUICK = 0.8
#: Marks the seeds of these draws.
SEEDS = 51413
#: Steps of one candidate; the least share of its violation that a step has to promise, and the
#: share of its promise that it has to bring.
MOST_STEPS, PROMISE, BROUGHT = 30, 1e-3, 0.1
#: What a proximal weight is multiplied by after a step that brings that, and after one that does
#: not; and its least share of the first.
LONGER, SHORTER, SHORTEST = 2.0, 0.25, 1e-3
#: Earlier points whose linear models a step knows too: of 0, 1, 3 and 6 these find the most, and
#: soonest.
REMEMBERED = 3
#: Iterations on the dual of a step at most, those between two tests, and the share of the possible
#: decrease, or of the least that is worth an evaluation, that a step may lack.
DUAL_ITERATIONS, TEST_EVERY, INEXACT = 200, 10, 0.1
#: Evaluations where no budget says otherwise: in all, for each of so many inputs, for each further
#: starting point.
EVALUATIONS, PER_INPUT, MOST_INPUTS, PER_START = 1000, 2, 1000, 100
TINY = 1e-30


def default_evaluations(inputs: int, starts: int) -> int:
    """Return the evaluations of a search without a budget: 1000, 2 an input, 100 a further start.

    Parameters
    ----------
    inputs : int
        n, of which 1000 count.
    starts : int
        How many starting points there are.
    """
    return EVALUATIONS + PER_INPUT * min(inputs, MOST_INPUTS) + PER_START * (starts - 1)


def violation(
    lower: Vector, upper: Vector, c: Rows, jacobian: np.ndarray
) -> tuple[Rows, np.ndarray]:
    """Return c - u and l - c for the finite bounds (B, r), and their Jacobians (B, r, n)."""
    above, below = np.isfinite(upper), np.isfinite(lower)
    h = [c[:, above] - upper[above], lower[below] - c[:, below]]
    slopes = [jacobian[:, above], -jacobian[:, below]]
    return np.concatenate(h, axis=1), np.concatenate(slopes, axis=1)


@dataclass(eq=False)
class Candidate:
    """A point on its way, on behalf of a start.

    Parameters
    ----------
    start : int
        Which start.
    x, h, slopes : numpy.ndarray, shapes (n,), (r,) and (r, n)
        Where it is, with c - u and l - c there and their Jacobian.
    """

    start: int
    x: Vector
    h: Vector
    slopes: np.ndarray

    def __post_init__(self) -> None:
        self.steps = 0
        #: Whether the last step has brought so much that no other candidate steps meanwhile.
        self.quick = True
        #: Points evaluated before, with h and its Jacobian there: the other sides of kinks.
        self.others: list[tuple[Vector, Vector, np.ndarray]] = []
        #: The proximal weight, at first that of Polyak's step to the largest one's zero.
        steepest = self.slopes[np.argmax(self.h)]
        self.first_weight = abs(self.violation) / max(float(steepest @ steepest), TINY)
        self.weight = self.first_weight

    @property
    def violation(self) -> float:
        """The largest entry of h: below zero the least slack, negated."""
        return float(np.max(self.h))

    def moved(self, x: Vector, h: Vector, slopes: np.ndarray, promised: float) -> bool:
        """Take a step, or shorten the next one; return whether it was taken."""
        before, self.steps = self.violation, self.steps + 1
        taken = float(np.max(h)) < before - BROUGHT * (before - promised)
        if taken:
            self.x, x, self.h, h, self.slopes, slopes = x, self.x, h, self.h, slopes, self.slopes
        self.quick = taken and 0.0 < self.violation < QUICK * before
        self.weight *= LONGER if taken else SHORTER
        self.others = [*self.others, (x, h, slopes)][-REMEMBERED:]
        return taken

    def pieces(self, count: int) -> tuple[Vector, np.ndarray]:
        """Return `count` linear models of h around x, (count * r,) and (count * r, n).

        Those of the other points are at most h at x, which they are where h is convex.
        """
        h, slopes = [self.h], [self.slopes]
        for x, there, jacobian in self.others:
            h.append(np.minimum(there + jacobian @ (self.x - x), self.h))
            slopes.append(jacobian)
        missing = count - len(h)
        h, slopes = h + missing * h[:1], slopes + missing * slopes[:1]
        return np.concatenate(h), np.concatenate(slopes)

    def goes_on(self, promised: float) -> bool:
        """Whether a step to a promised value is worth an evaluation."""
        pays = self.violation - promised > PROMISE * abs(self.violation)
        return pays and self.steps < MOST_STEPS and self.weight > SHORTEST * self.first_weight


def _batches(
    form: StandardForm, x0: Rows, starts: Indices, again: bool
) -> Iterator[tuple[Rows, Indices]]:
    """Yield the starts, unless they were searched from before, then draws without end."""
    own = zlib.crc32(x0[0].tobytes()) + again  # another start, other draws; not by how many follow
    if not again:
        yield x0, starts
    for batch in count():
        # Most networks are most alive near corners: every other batch has draws that differ.
        points = drawn(form, DRAWS, (SEEDS, own, batch), varied=batch % 2 == 1)
        yield points, starts[(DRAWS * batch + np.arange(DRAWS)) % len(starts)]


def search(
    run: Task,
    x0: Rows,
    starts: Indices,
    evaluations: int,
    *,
    until_feasible: bool = True,
    again: bool = False,
) -> bool:
    r"""Make the largest violation :math:`v(x) = \max_j h_j(x)` small over C.

    h are c - u and l - c in units of each function's own range. Candidates step side by side, the
    sixteen least violating starts first, then batches of draws from C, the best of each before the
    others; one that lowers its violation by a fifth a step goes on alone. A step minimises the
    linear model of all h at once [1]_,

    .. math:: \min_{d \in C - x}\; \max_j\, h_j(x) + \nabla h_j(x)^\top d
              + \tfrac{1}{2 \tau} \|d\|^2,

    with a weight that grows while steps bring a share of what their model promises, and falls where
    they do not. The model also has the linear models of the last points evaluated, moved down to h
    at x where they exceed it, as in bundle methods [2]_: without them steps jam at a kink of which
    they know one side. A candidate whose model promises nothing, on a flat piece or at a local
    minimum, makes room for another draw.

    Parameters
    ----------
    run : Task
        Evaluates; its best points hold what is found.
    x0 : numpy.ndarray, shape (B, n)
        Starts, in C.
    starts : numpy.ndarray, shape (B,)
        Their numbers; draws work for one after the other of them.
    evaluations : int
        What the search may spend.
    until_feasible : bool, default True
        Whether the first feasible point ends it; else the slack goes on growing.
    again : bool, default False
        Whether another search began at the starts: this one has draws alone, and other ones.

    Returns
    -------
    bool
        Whether there is a feasible point.

    Raises
    ------
    Stopped
        If the task's own limit is reached before.

    References
    ----------
    .. [1] Drusvyatskiy and Paquette (2019), Efficiency of minimizing compositions of convex
       functions and smooth maps, Math. Program. 178, 503-558.
    .. [2] Hiriart-Urruty and Lemaréchal (1993), Convex Analysis and Minimization Algorithms II,
       Chapter XV.
    """
    form, left = run.problem, evaluations
    pool: list[Candidate] = []
    live: list[Candidate] = []
    batches = _batches(form, x0, starts, again)

    def evaluated(x: Rows, on_behalf: Indices) -> tuple[Evaluation, Rows, np.ndarray]:
        nonlocal left
        left -= len(x)
        run.carry(len(x))
        evaluation = run.evaluate(x, on_behalf)
        return evaluation, *violation(form.lower, form.upper, evaluation.c, evaluation.jacobian)

    def ended() -> bool:
        return until_feasible and run.found(starts)

    bounded = np.isfinite(form.upper).any() or np.isfinite(form.lower).any()
    while bounded and left > 0 and not ended():
        room = len(live) < MOST_LIVE and not any(candidate.quick for candidate in live)
        if room and not pool:
            points, of = next(batches)
            evaluation, h, slopes = evaluated(points[:left], of[:left])
            pool = [
                Candidate(int(of[row]), points[row], h[row], slopes[row])
                for row in np.flatnonzero(evaluation.finite).tolist()
            ]
            pool.sort(key=lambda candidate: candidate.violation)
            pool = pool[:SHORTLIST]
        if room:
            more = MOST_LIVE - len(live)
            live, pool = [*live, *pool[:more]], pool[more:]
        stepping = ([candidate for candidate in live if candidate.quick] or live)[:left]
        if not stepping:
            continue
        steps, promised = proximal_steps(form, stepping)
        stuck = [
            candidate
            for candidate, value in zip(stepping, promised.tolist(), strict=True)
            if not candidate.goes_on(value)
        ]
        if stuck:
            live = [candidate for candidate in live if candidate not in stuck]
            continue
        x = form.set.project(np.stack([candidate.x for candidate in stepping]) + steps)
        evaluation, h, slopes = evaluated(x, np.array([candidate.start for candidate in stepping]))
        for row, candidate in enumerate(stepping):
            if not evaluation.finite[row]:
                candidate.weight *= SHORTER
            elif candidate.moved(x[row], h[row], slopes[row], float(promised[row])):
                run.iterate(
                    candidate.start, x[row], float(evaluation.f[row]), evaluation.violation_of(row)
                )
    return run.found(starts)


def proximal_steps(form: StandardForm, candidates: list[Candidate]) -> tuple[Rows, Vector]:
    r"""Return the steps (B, n) of candidates, and the largest h (B,) that their models promise.

    The dual of a step is concave over the simplex, :math:`d = P_C(x - \tau J^\top \lambda) - x`:
    accelerated projected gradient ascent [1]_, restarted where it falls [2]_. Where the projection
    on C has no closed form, steps keep the bounds that C states, and are projected at the end.

    References
    ----------
    .. [1] Beck and Teboulle (2009), A fast iterative shrinkage-thresholding algorithm for linear
       inverse problems, SIAM J. Imaging Sci. 2, 183-202.
    .. [2] O'Donoghue and Candès (2015), Adaptive restart for accelerated gradient schemes, Found.
       Comput. Math. 15, 715-732.
    """
    most = 1 + max(len(candidate.others) for candidate in candidates)
    models = [candidate.pieces(most) for candidate in candidates]
    x = np.stack([candidate.x for candidate in candidates])
    h, slopes = (np.stack(parts) for parts in zip(*models, strict=True))
    weight = np.array([candidate.weight for candidate in candidates])[:, np.newaxis]
    lower, upper = form.set.bounds()
    closed = form.set.accuracy <= EXACT

    def step(multipliers: Rows) -> Rows:
        y = x - weight * np.einsum("br,brn->bn", multipliers, slopes)
        moved: Rows = (form.set.project(y) if closed else np.clip(y, lower, upper)) - x
        return moved

    def model(d: Rows) -> Rows:
        linear: Rows = h + np.einsum("brn,bn->br", slopes, d)
        return linear

    lipschitz = weight * np.square(slopes).sum(axis=(1, 2))[:, np.newaxis]
    multipliers = np.zeros_like(h)
    multipliers[np.arange(len(h)), np.argmax(h, axis=1)] = 1.0
    ahead, momentum = multipliers, np.ones((len(h), 1))
    violation = h.max(axis=1)
    for iteration in range(DUAL_ITERATIONS + 1):
        if iteration % TEST_EVERY == 0:
            d = step(multipliers)
            linear = model(d)
            promised: Vector = linear.max(axis=1)
            # By duality, what this step lacks at most, and what any can bring.
            gap = promised - (multipliers * linear).sum(axis=1)
            most = violation - promised + gap - np.square(d).sum(axis=1) / (2.0 * weight[:, 0])
            if (gap <= INEXACT * np.maximum(most, PROMISE * np.abs(violation))).all():
                break
        slope = model(step(ahead))
        following = on_simplex(ahead + slope / np.maximum(lipschitz, TINY))
        change = following - multipliers
        momentum[(slope * change).sum(axis=1) < 0.0] = 1.0
        growth = 0.5 * (1.0 + np.sqrt(1.0 + 4.0 * momentum**2))
        ahead = following + (momentum - 1.0) / growth * change
        multipliers, momentum = following, growth
    return d, promised


def on_simplex(y: Rows) -> Rows:
    """Return the projections of rows (B, r) on the unit simplex, by sorting."""
    falling = -np.sort(-y, axis=1)
    means = (np.cumsum(falling, axis=1) - 1.0) / np.arange(1, y.shape[1] + 1)
    last = np.count_nonzero(falling > means, axis=1) - 1
    projected: Rows = np.maximum(y - means[np.arange(len(y)), last][:, np.newaxis], 0.0)
    return projected


@dataclass(frozen=True, kw_only=True)
class LeastViolation(Solver):
    """`search` as a method: what `find_feasible` runs. It leaves the objective alone.

    Parameters
    ----------
    evaluations : int, optional
        Where a budget has none; by default `default_evaluations`, or what its seconds pay.
    """

    name: ClassVar[str] = "least-violation"

    evaluations: int | None = None

    @override
    def refusal(self, problem: StandardForm) -> str | None:
        return None if problem.differentiable else needs_gradients(self.name)

    @override
    def _run(self, run: Task, x0: Rows, starts: Indices) -> None:
        affordable = run.remaining
        if affordable is None:
            default = default_evaluations(run.size, len(starts))
            if run.seconds_left is not None:
                default = sys.maxsize  # the clock ends it
            affordable = self.evaluations or default
        try:
            search(run, x0, starts, affordable, until_feasible=False)
        except Stopped as stopped:
            if stopped.status is not Status.BUDGET:
                raise
        for start, point in zip(starts.tolist(), x0, strict=True):
            feasible = run.best(start) is not None
            status = Status.FEASIBLE if feasible else Status.INFEASIBLE
            detail = "" if feasible else not_found(run, affordable)
            run.end(start, run.best_or(start, point), status, detail)


def not_found(run: Task, evaluations: int) -> str:
    """Say what a search without a feasible point has spent, and what may help."""
    spent = f"None of {evaluations:,} evaluations kept all constraints"
    if run.out_of_time:
        spent = f"No evaluation within {run.seconds:.3g} s kept all constraints"
    elif run.remaining is None:
        spent += ", what is spent where no budget= of evaluations is given"
    return f"{spent}; more of them, or other starting points by starts= or x0=, may find one."
