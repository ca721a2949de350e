"""Projected gradient with decreasing step sizes, from random points that rungs weed out."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, TypeAlias

import numpy as np
from typing_extensions import override

from constrained_actmax.errors import SpecificationError
from constrained_actmax.evaluation import Evaluation
from constrained_actmax.layout import Indices, Rows, Vector
from constrained_actmax.random_points import drawn
from constrained_actmax.result import Status
from constrained_actmax.solvers.base import TINY, Solver, reach
from constrained_actmax.solvers.candidates import Candidates
from constrained_actmax.solvers.spg import needs_only_a_set
from constrained_actmax.standard_form import StandardForm
from constrained_actmax.tasks.extended import MOST_TRIALS
from constrained_actmax.tasks.recording import MOST_ROWS
from constrained_actmax.tasks.task import Task
from constrained_actmax.tasks.timed import planned

#: Shares of a rung's steps after which a candidate that has lost this share of its gain goes on
#: from its best point: long steps may have left that far behind, where an output saturates.
TURNS, LOST = (0.5, 0.75, 0.9), 0.5
#: How often in a stage the best points are tested for convergence.
TESTS = 8
#: The seconds of the run at which a rung begins and ends; None without a limit of seconds.
Window: TypeAlias = tuple[float, float] | None
#: Share of a limit of seconds that evaluating all draws may take; more, and there are none.
TIME_FOR_DRAWS = 0.1
#: Evaluations of a start for which another search is worth its while.
SMALLEST_SHARE = 20
#: Marks the seeds of these draws, so that they differ from a user's own of the same number.
DRAWS = 20189


class Search(Candidates):
    """The candidates of a run; `number` says which of the first rung each is.

    Attributes
    ----------
    first_f : numpy.ndarray, shape (B,)
        Where each began.
    residual : numpy.ndarray, shape (B,)
        Of the best points, where it was last measured; at the task's tolerance a candidate stops.
    project : Projector
        For steps.
    """

    def __init__(
        self, task: Task, x: Rows, f: Vector, g: Rows, starts: Indices, live: np.ndarray
    ) -> None:
        super().__init__(task, x, f, g, starts, live)
        self.first_f = f.copy()
        self.residual = np.full(len(x), np.inf)
        self.project = task.projector(accurate=False)

    def kept(self, rows: Indices) -> Search:
        """Return some of the candidates, each at its best point."""
        x, f, g = self.best_x[rows], self.best_f[rows], self.best_g[rows]
        going = np.isfinite(f) & (self.residual[rows] > self.task.tolerance) & g.any(axis=1)
        chosen = Search(self.task, x, f, g, self.starts[rows], going)
        chosen.number, chosen.first_f = self.number[rows], self.first_f[rows]
        chosen.residual = self.residual[rows]
        chosen.project, chosen.measure = self.project, self.measure
        return chosen


@dataclass(frozen=True, kw_only=True)
class SuccessiveHalving(Solver):
    r"""Projected gradient with decreasing step sizes, from random points that rungs weed out.

    .. math:: x \leftarrow P_C(x - \eta_t\, g / \|g\|_2), \qquad
              \eta_t = \eta_0 (1 + \cos(\pi t / T)) / 2

    A logit of a ReLU network is piecewise linear: line searches stall at its kinks, step sizes
    chosen in advance cross them, and step sizes that fall to zero end the last iterate near a
    maximum [1]_ [2]_. :math:`\eta_0` is the reach of the set along the first gradient.

    The objective is not concave, so the result depends on the starting point. By successive halving
    [3]_, the first rung runs a few steps from the start and from random points of C, side by side
    in one model call a round, one candidate for each `evaluations_per_draw` evaluations of the
    budget: the power of two nearest in ratio, as many rows as a model call takes anyway. The best
    of each
    `narrowing` go on to the next rung, which has as many evaluations for fewer candidates and so
    more steps, again from the full step size; the last rung has the rest, for the best one or few.
    On the way a candidate that has lost most of its gain goes back to its best point; one whose
    trial is not finite too, with half the step. Deterministic: the random points depend on the
    number of the start alone. Returns the best point; every iterate lies in C.

    Parameters
    ----------
    evaluations : int, default 300
        Evaluations of each start where no budget says otherwise.
    evaluations_per_draw : int, default 16
        Evaluations for which there is one candidate; a power of two of them in all.
    most_draws : int, default 64
        Candidates of one start at most.
    narrowing : int, default 4
        Of so many candidates one goes on to the next rung.
    rung_share : float, default 0.2
        Share of the evaluations that each rung but the last takes.
    last_steps : int, default 100
        Steps that each candidate of the last rung should have; with twice the evaluations there are
        two.

    References
    ----------
    .. [1] Zamani, Glineur (2023), Exact convergence rate of the last iterate in subgradient
       methods, arXiv:2307.11134.
    .. [2] Loshchilov, Hutter (2017), SGDR: stochastic gradient descent with warm restarts, ICLR.
    .. [3] Jamieson, Talwalkar (2016), Non-stochastic best arm identification and hyperparameter
       optimization, AISTATS.
    """

    name: ClassVar[str] = "successive-halving"

    evaluations: int = 300
    evaluations_per_draw: int = 16
    most_draws: int = 64
    narrowing: int = 4
    rung_share: float = 0.2
    last_steps: int = 100

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.narrowing < 2:
            raise SpecificationError(
                f"successive-halving: narrowing must be >= 2, got {self.narrowing!r}."
            )
        if not 0 < self.rung_share < 0.5:
            raise SpecificationError(
                f"successive-halving: rung_share must be in (0, 0.5), got {self.rung_share!r}."
            )

    @override
    def refusal(self, problem: StandardForm) -> str | None:
        return needs_only_a_set(self.name, problem)

    def rungs(self, share: int, candidates: int | None = None) -> list[tuple[int, int]]:
        """Return candidates and rows of each rung, evaluating the draws included.

        Parameters
        ----------
        share : int
            Evaluations of one start.
        candidates : int, optional
            Of the first rung; by default what the settings say.
        """
        if candidates is None:
            wanted = max(1.0, share / self.evaluations_per_draw)
            power = 2 ** round(math.log2(wanted))
            candidates = min(power, self.most_draws, MOST_ROWS, share)
        plan, count, left = [], candidates, share
        while count > max(1, left // self.last_steps):
            # Whole rounds; the first rung's first round is the evaluation of the draws.
            spent = min(left, max(count, int(self.rung_share * share) // count * count))
            plan.append((count, spent))
            left -= spent
            count = -(-count // self.narrowing)
        return [*plan, (count, left)]

    @override
    def _run(self, task: Task, x0: Rows, starts: Indices) -> None:
        self.run_cycles(task, x0, starts)

    def run_cycles(self, task: Task, x0: Rows, starts: Indices, cycle: int = 0) -> int:
        """Search until the budget is used up, each cycle from other draws and the best points.

        Parameters
        ----------
        task, x0, starts
            See `Solver._run`.
        cycle : int, default 0
            Of the first search.

        Returns
        -------
        int
            The next cycle.
        """
        limited = task.remaining is not None or task.seconds_left is not None
        task = planned(task, self.evaluations * len(x0))
        remaining = task.remaining
        share = self.evaluations if remaining is None else max(1, remaining // len(x0))
        search_, timed = self.search(task, x0, starts, share, cycle)
        cycle += 1
        # What is left, of candidates that converged, of flat ones or of a limit of seconds, buys
        # other draws; without a limit a start that converged is done.
        while not timed:
            if not limited:
                self._end(task, search_, None)
            going = np.array([start not in task.ended for start in starts.tolist()], dtype=bool)
            x0, starts = task.best_points(x0[going], starts[going]), starts[going]
            share = (task.remaining or 0) // max(1, len(starts))
            if not starts.size or share < SMALLEST_SHARE:
                break
            search_, timed = self.search(task, x0, starts, share, cycle)
            cycle += 1
        self._end(task, search_, Status.BUDGET if timed or limited else Status.STALLED)
        return cycle

    def search(
        self, task: Task, x0: Rows, starts: Indices, share: int, cycle: int = 0
    ) -> tuple[Search, bool]:
        """Spend so many evaluations of each start; each cycle has draws of its own.

        Returns
        -------
        search : Search
            The last candidates.
        timed : bool
            Whether the limit of seconds ended it.
        """
        count = len(x0)
        began, left = task.seconds, task.seconds_left
        task.carry(count)
        first = task.evaluate(x0, starts)
        rungs = self.rungs(share)
        if left is not None and rungs[0][0] * (task.seconds - began) > TIME_FOR_DRAWS * left:
            rungs = self.rungs(share, 1)
        task.carry(count * rungs[0][0])
        search = self._begin(task, x0, first, starts, rungs[0][0], cycle)
        step_size = reach(task.problem, search.x, search.g, search.live)
        timed, over = False, 0.0
        for index, (candidates, rows) in enumerate(rungs):
            if index:
                search, step_size = self._leaders(search, step_size, count, candidates)
                task.carry(count * candidates)
            steps = rows // candidates - (index == 0)
            window = None
            if left is not None:
                window = began + left * over, began + left * (over + rows / share)
            timed |= self._descend(task, search, step_size, steps, window)
            over += rows / share
        return search, timed

    @staticmethod
    def _end(task: Task, search: Search, status: Status | None) -> None:
        """Say how each start ended by its best candidate; without a status, where it converged."""
        seen: set[int] = set()
        for row in np.argsort(search.best_f, kind="stable").tolist():
            start = int(search.starts[row])
            if start in seen or not np.isfinite(search.best_f[row]):
                continue
            seen.add(start)
            if search.residual[row] <= task.tolerance:
                task.end(start, search.best_x[row], Status.CONVERGED)
            elif status is None:
                continue
            elif not search.best_g[search.starts == start].any():
                task.end(start, search.best_x[row], Status.ZERO_GRADIENT)
            else:
                task.end(start, search.best_x[row], status, "The schedule of steps ended.")

    def _begin(
        self,
        task: Task,
        x0: Rows,
        first: Evaluation,
        starts: Indices,
        candidates: int,
        cycle: int,
    ) -> Search:
        """Evaluate the draws of each start; end the starts without a finite one."""
        count, n = x0.shape
        x, f = np.empty((count, candidates, n)), np.empty((count, candidates))
        g, finite = np.empty_like(x), np.empty((count, candidates), dtype=bool)
        x[:, 0], f[:, 0], g[:, 0], finite[:, 0] = x0, first.f, first.gradient, first.finite
        if candidates > 1:
            for row, start in enumerate(starts.tolist()):
                seed = DRAWS + cycle, start
                x[row, 1:] = drawn(task.problem, candidates - 1, seed, varied=True)
            points = x[:, 1:].reshape(-1, n)
            evaluation = task.evaluate(points, np.repeat(starts, candidates - 1))
            f[:, 1:] = evaluation.f.reshape(count, -1)
            g[:, 1:] = evaluation.gradient.reshape(count, -1, n)
            finite[:, 1:] = evaluation.finite.reshape(count, -1)
        usable = finite & g.any(axis=2)
        for row in np.flatnonzero(~usable.any(axis=1) & ~finite[:, 0]).tolist():
            detail = task.name_non_finite(x0[row], first, row)
            task.end(int(starts[row]), x0[row], Status.NON_FINITE, detail)
        return Search(
            task,
            x.reshape(-1, n),
            np.where(finite, f, np.inf).ravel(),
            g.reshape(-1, n),
            np.repeat(starts, candidates),
            usable.ravel(),
        )

    @staticmethod
    def _leaders(
        search: Search, step_size: Vector, count: int, candidates: int
    ) -> tuple[Search, Vector]:
        """Return the best candidates of each start, with their step sizes."""
        table = search.best_f.reshape(count, -1)
        best = np.argsort(table, axis=1, kind="stable")[:, :candidates]
        rows = (np.arange(count)[:, np.newaxis] * table.shape[1] + best).ravel()
        return search.kept(rows), step_size[rows]

    def _descend(
        self, task: Task, search: Search, step_size: Vector, steps: int, window: Window
    ) -> bool:
        """Take steps whose size falls to zero, within a window of the run's seconds.

        Returns
        -------
        bool
            Whether the time ended them.
        """
        tests, turns = max(1, steps // TESTS), [*TURNS]
        for step in range(steps):
            done = max(step / steps, _share_of_time(task, window))
            rows = np.flatnonzero(search.live)
            if not rows.size or done >= 1.0:
                return bool(rows.size)
            if turns and done >= turns[0]:
                turns = [turn for turn in turns if turn > done]
                gained = search.first_f[rows] - search.best_f[rows]
                lost = search.f[rows] - search.best_f[rows] > LOST * gained
                search.back_to_best(rows[lost])
            share = 0.5 + 0.5 * np.cos(np.pi * done)
            at = search.at(rows)
            row_starts, g = search.starts[at], search.g[at]
            norm = np.maximum(np.sqrt(np.add.reduce(g * g, axis=1)), TINY)
            step_ = g / norm[:, np.newaxis]  # first: step_size / norm may overflow
            step_ *= share * step_size[at, np.newaxis]
            np.subtract(search.x[at], step_, out=step_)
            moved = search.project(step_, search.number[rows].tolist())
            evaluation = task.evaluate(moved, row_starts)
            search.take(at, moved, evaluation)
            if not evaluation.finite.all():
                self._turn_back(task, search, step_size, rows, evaluation)
            search.live[at] &= task.iterate_rows(row_starts, moved, evaluation)
            # A plateau inside the set: go on from the best point with the next, shorter step.
            flat = ~evaluation.gradient.any(axis=1)
            if flat.any():
                search.back_to_best(rows[flat & search.live[at]])
            if step % tests == tests - 1 or step == steps - 1:
                self._measure(search)
        return False

    def _turn_back(
        self, task: Task, search: Search, step_size: Vector, rows: Indices, evaluation: Evaluation
    ) -> None:
        """Send candidates whose trial is not finite back to their best points, with half the step.

        One that has seen too many in a row is given up; its start, if it was the last.
        """
        back = rows[~evaluation.finite]
        step_size[back] *= 0.5
        for index in np.flatnonzero(search.trials[rows] > MOST_TRIALS).tolist():
            row = int(rows[index])
            start = int(search.starts[row])
            search.live[row] = False
            if not search.live[search.starts == start].any():
                detail = task.name_non_finite(search.x[row], evaluation, index)
                task.end(start, search.best_x[row], Status.NON_FINITE, detail)
        search.back_to_best(back)

    @staticmethod
    def _measure(search: Search) -> None:
        rows = np.flatnonzero(search.live)
        if rows.size:
            x, g = search.best_x[rows], search.best_g[rows]
            search.residual[rows] = search.residual_at(rows, x, g)
            search.live[rows[search.residual[rows] <= search.task.tolerance]] = False


def _share_of_time(task: Task, window: Window) -> float:
    """Return which share of a window of the run's seconds is over; 0 without one."""
    if window is None:
        return 0.0
    begin, end = window
    return (task.seconds - begin) / (end - begin) if end > begin else 1.0
