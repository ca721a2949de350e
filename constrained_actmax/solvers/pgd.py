"""Projected gradient with step sizes from a schedule, for nonsmooth networks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from typing_extensions import override

from constrained_actmax.errors import SpecificationError
from constrained_actmax.layout import Indices, Rows, Vector
from constrained_actmax.result import Status
from constrained_actmax.solvers.base import TINY, Solver, end_stuck, reach
from constrained_actmax.solvers.candidates import Candidates
from constrained_actmax.solvers.spg import needs_only_a_set
from constrained_actmax.standard_form import StandardForm
from constrained_actmax.tasks.extended import MOST_TRIALS
from constrained_actmax.tasks.task import Task

# Constants of Croce and Hein (2020), section 3 and appendix A.
MOMENTUM = 0.75
FIRST_CHECKPOINT = 0.22
CHECKPOINT_SHRINKING = 0.03
SHORTEST_CHECKPOINT = 0.06
IMPROVED_SHARE = 0.75
#: Iterations of a start where no budget says otherwise.
DEFAULT_ITERATIONS = 300
#: Default length at the end of the geometric schedule, in units of the set's scale.
LAST_STEP_SIZE = 0.03


@dataclass(frozen=True, kw_only=True)
class PGD(Solver):
    r"""Normalised projected gradient with decreasing step sizes, all starts at once.

    .. math:: x \leftarrow P_C(x - \eta\, g / \|g\|_2)

    A logit of a ReLU network is piecewise linear: line searches stall at its kinks, step sizes
    chosen in advance cross them. The first one is the reach of the set along the first gradient.
    With ``schedule="halved"`` it is halved, from the best point, whenever progress stops at a
    checkpoint, with momentum [1]_; with "geometric" it falls to `last_step_size` by a constant
    factor; with "constant" it stays. A trial that is not finite halves it, from the best point.
    Returns the best point; every iterate lies in C.

    Parameters
    ----------
    schedule : {"halved", "geometric", "constant"}
        How the step size changes.
    iterations : int, optional
        N, of each start: the schedule is laid out over it. By default the start's share of the
        budget, or 300 without one.
    first_step_size : float, optional
        First step size, in input units (Euclidean); by default the reach of the set.
    last_step_size : float, optional
        Step size at the end of the geometric schedule, in input units; by default 0.03 times the
        largest size of an entry.
    momentum : float, default 0.75
        Weight of the gradient step against the last move, for the halved schedule.

    References
    ----------
    .. [1] Croce and Hein (2020), Reliable evaluation of adversarial robustness with an ensemble of
       diverse parameter-free attacks, ICML (Auto-PGD).
    """

    name: ClassVar[str] = "pgd"

    schedule: Literal["halved", "geometric", "constant"] = "halved"
    iterations: int | None = None
    first_step_size: float | None = None
    last_step_size: float | None = None
    momentum: float = MOMENTUM

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("iterations", "first_step_size", "last_step_size"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise SpecificationError(f"pgd: {name} must be > 0, got {value!r}.")
        if not 0 < self.momentum <= 1:
            raise SpecificationError(f"pgd: momentum must be in (0, 1], got {self.momentum!r}.")

    @override
    def refusal(self, problem: StandardForm) -> str | None:
        return needs_only_a_set(self.name, problem)

    @override
    def _run(self, task: Task, x0: Rows, starts: Indices) -> None:
        limited = task.remaining is not None
        total = self._iterations(task, len(x0))
        evaluation = task.evaluate(x0, starts)
        live = end_stuck(task, x0, evaluation, starts)
        points = Candidates(task, x0, evaluation.f, evaluation.gradient, starts, live)
        previous = x0.copy()
        step_size = self._first_step_size(task, x0, points.g, live)
        shortest = (
            LAST_STEP_SIZE
            if self.last_step_size is None
            else self.last_step_size / task.problem.unit
        )
        factor = (np.minimum(shortest, step_size) / step_size) ** (1.0 / max(1, total - 1))
        checkpoints, passed = _checkpoints(total), 0
        improved, reduced = np.zeros(len(x0), dtype=int), np.ones(len(x0), dtype=bool)
        best_before = points.best_f.copy()
        project, blend = task.projector(accurate=False), task.projector(accurate=False)

        def turn(rows: Indices) -> None:
            """Let rows go on from their best points, with shorter steps and no momentum."""
            points.back_to_best(rows)
            previous[rows] = points.x[rows]
            step_size[rows] *= 0.5

        for iteration in range(total):
            rows = np.flatnonzero(points.live)
            if not rows.size:
                return
            at = points.at(rows)
            x, g = points.x[at], points.g[at]
            norm = np.maximum(np.sqrt(np.einsum("bn,bn->b", g, g)), TINY)
            step = g / norm[:, None]  # first: step_size / norm may overflow
            step *= step_size[at, None]
            moved = project(np.subtract(x, step, out=step), rows.tolist())
            if self.schedule == "halved" and iteration > 0:
                moved = blend(self._with_momentum(moved, x, previous[at]), rows.tolist())
            evaluation = task.evaluate(moved, starts[at])
            improved[at] += evaluation.finite & (evaluation.f < points.f[at])
            previous[at] = x
            points.take(at, moved, evaluation)
            for index in np.flatnonzero(points.trials[at] > MOST_TRIALS).tolist():
                detail = task.name_non_finite(moved[index], evaluation, index)
                points.end(int(rows[index]), Status.NON_FINITE, detail)
            points.live[at] &= task.iterate_rows(starts[at], moved, evaluation)
            # A plateau inside the set, or no number.
            lost = ~(evaluation.finite & evaluation.gradient.any(axis=1))
            turn(rows[lost & points.live[at]])
            if self.schedule == "geometric":
                step_size *= factor
            if self.schedule == "halved" and iteration + 1 in checkpoints:
                span, passed = iteration + 1 - passed, iteration + 1
                stuck = (improved < IMPROVED_SHARE * span) | (
                    ~reduced & (best_before == points.best_f)
                )
                turn(np.flatnonzero(points.live & stuck))
                reduced, best_before = stuck, points.best_f.copy()
                improved[:] = 0
                self._end_converged(points)
        cut = total < (self.iterations or np.inf) and limited
        for row in np.flatnonzero(points.live).tolist():
            status = Status.BUDGET if cut else Status.STALLED
            points.end(row, status, f"Schedule of {total} steps ended.")

    def _with_momentum(self, moved: Rows, x: Rows, previous: Rows) -> Rows:
        """Return x + m (moved - x) + (1 - m) (x - previous)."""
        moved = self.momentum * moved
        moved += (2.0 - 2.0 * self.momentum) * x
        moved -= (1.0 - self.momentum) * previous
        return moved

    def _iterations(self, task: Task, count: int) -> int:
        if task.remaining is None:
            return self.iterations or DEFAULT_ITERATIONS
        affordable = max(1, task.remaining // count - 1)
        return min(self.iterations or affordable, affordable)

    def _first_step_size(self, task: Task, x: Rows, g: Rows, live: np.ndarray) -> Vector:
        if self.first_step_size is not None:
            return np.full(len(x), self.first_step_size / task.problem.unit)
        return reach(task.problem, x, g, live)

    @staticmethod
    def _end_converged(points: Candidates) -> None:
        rows = np.flatnonzero(points.live)
        if rows.size:
            residual = points.residual_at(rows, points.best_x[rows], points.best_g[rows])
            for row in rows[residual <= points.task.tolerance].tolist():
                points.end(row, Status.CONVERGED)


def _checkpoints(total: int) -> set[int]:
    """Return the iterations at which progress is judged [1]_."""
    positions, share, gap = {0}, 0.0, FIRST_CHECKPOINT
    while share < 1.0:
        share += gap
        positions.add(int(np.ceil(share * total)))
        gap = max(gap - CHECKPOINT_SHRINKING, SHORTEST_CHECKPOINT)
    return positions
