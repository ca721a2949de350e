"""Projected gradient with steps of a given length, for networks with kinks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from typing_extensions import override

from constrained_actmax.errors import SpecificationError
from constrained_actmax.layout import Indices, Rows, Vector
from constrained_actmax.result import Status
from constrained_actmax.solvers.base import TINY, Solver, end_stuck, reach
from constrained_actmax.solvers.spg import needs_only_a_set
from constrained_actmax.standard_form import StandardForm
from constrained_actmax.tasks.extended import MOST_TRIALS
from constrained_actmax.tasks.projector import Projector
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
LAST_LENGTH = 0.03


@dataclass(frozen=True, kw_only=True)
class PGD(Solver):
    r"""Projected gradient with normalised steps whose length is annealed, all starts at once.

    .. math:: x \leftarrow P_C(x - \eta\, g / \|g\|_2)

    A logit of a ReLU network is piecewise linear: line searches stall at its kinks, steps of a
    length that is set in advance cross them. The length starts at the reach of the set along the
    first gradient. With ``schedule="halved"`` it is halved, from the best point, whenever progress
    stops at a checkpoint, with momentum [1]_; with "geometric" it falls to `last_length` by a
    constant factor; with "constant" it stays. A trial that is not finite halves it, from the best
    point. Returns the best point; every iterate lies in C.

    Parameters
    ----------
    schedule : {"halved", "geometric", "constant"}
        How the length changes.
    iterations : int, optional
        N, of each start: the schedule is laid out over it. By default the start's share of the
        budget, or 300 without one.
    first_length : float, optional
        First step length, in input units (Euclidean); by default the reach of the set.
    last_length : float, optional
        Length at the end of the geometric schedule, in input units; by default 0.03 times the
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
    first_length: float | None = None
    last_length: float | None = None
    momentum: float = MOMENTUM

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.schedule not in ("halved", "geometric", "constant"):
            raise SpecificationError(
                f"pgd: schedule must be 'halved', 'geometric' or 'constant', got {self.schedule!r}."
            )
        for name in ("iterations", "first_length", "last_length"):
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
        count = len(x0)
        limited = task.remaining is not None
        total = self._iterations(task, count)
        # One loop of more than 60 lines: all of it works on the same arrays of rows, as in [1].
        # Arrays of rows are replaced and never written to, so several names may share one.
        x = previous = best_x = x0
        found = task.evaluate(x, starts)
        f, g = best_f, best_g = found.f, found.gradient
        live = end_stuck(task, x, found, starts)
        length = self._first_length(task, x, g, live)
        shortest = LAST_LENGTH if self.last_length is None else self.last_length / task.problem.unit
        last = np.minimum(shortest, length)
        factor = (last / length) ** (1.0 / max(1, total - 1))
        checkpoints = _checkpoints(total)
        improved, reduced = np.zeros(count, dtype=int), np.ones(count, dtype=bool)
        best_before, passed = f, 0
        trials = np.zeros(count, dtype=int)  # not finite, one after the other
        squares = np.einsum("bn,bn->b", g, g)
        project, blend = task.projector(accurate=False), task.projector(accurate=False)
        measure = task.projector()
        for iteration in range(total):
            rows = np.flatnonzero(live)
            if not rows.size:
                return
            # a slice copies nothing
            at: slice | Indices = slice(None) if rows.size == count else rows
            norm = np.maximum(np.sqrt(squares[at]), TINY)
            step = g[at] / norm[:, None]  # first: length / norm may overflow
            step *= length[at, None]
            moved = project(np.subtract(x[at], step, out=step), rows.tolist())
            if self.schedule == "halved" and iteration > 0:
                moved = blend(self._with_momentum(moved, x[at], previous[at]), rows.tolist())
            found = task.evaluate(moved, starts[at])
            improved[at] += found.finite & (found.f < f[at])
            previous, x = x, _with(x, at, moved)
            f, g = _with(f, at, found.f), _with(g, at, found.gradient)
            squares = np.einsum("bn,bn->b", g, g)
            trials[at] = np.where(found.finite, 0, trials[at] + 1)
            for place in np.flatnonzero(trials[at] > MOST_TRIALS).tolist():
                detail = task.name_non_finite(moved[place], found, place)
                lost = int(rows[place])
                task.end(int(starts[lost]), best_x[lost], Status.NON_FINITE, detail)
                live[lost] = False
            broken = live & (trials > 0)
            better = live & ~broken & (f < best_f)
            best_x, best_f = _chosen(better, x, best_x), _chosen(better, f, best_f)
            best_g = _chosen(better, g, best_g)
            live[at] &= task.iterate_rows(starts[at], moved, found)
            flat = live & (broken | (squares == 0.0))
            if flat.any():
                # A plateau inside the set, or no number: a shorter step from the best point.
                flat[flat] = broken[flat] | ~g[flat].any(axis=1)
                x, f, g = (_chosen(flat, *two) for two in ((best_x, x), (best_f, f), (best_g, g)))
                previous = _chosen(flat, x, previous)
                squares = np.einsum("bn,bn->b", g, g)
                length[flat] *= 0.5
            if self.schedule == "geometric":
                length *= factor
            if self.schedule == "halved" and iteration + 1 in checkpoints:
                span = iteration + 1 - passed
                passed = iteration + 1
                stuck = (improved < IMPROVED_SHARE * span) | (~reduced & (best_before == best_f))
                turned = live & stuck
                length[turned] *= 0.5
                x, f, g = (_chosen(turned, *two) for two in ((best_x, x), (best_f, f), (best_g, g)))
                previous = _chosen(turned, x, previous)
                squares = np.einsum("bn,bn->b", g, g)
                reduced, best_before = stuck, best_f
                improved[:] = 0
                self._end_converged(task, measure, best_x, best_g, live, starts)
        status = (
            Status.BUDGET if total < (self.iterations or np.inf) and limited else Status.STALLED
        )
        for row in np.flatnonzero(live).tolist():
            task.end(int(starts[row]), best_x[row], status, f"Schedule of {total} steps ended.")

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

    def _first_length(self, task: Task, x: Rows, g: Rows, live: np.ndarray) -> Vector:
        if self.first_length is not None:
            return np.full(len(x), self.first_length / task.problem.unit)
        return reach(task.problem, x, g, live)

    @staticmethod
    def _end_converged(
        task: Task, measure: Projector, x: Rows, g: Rows, live: np.ndarray, starts: Indices
    ) -> None:
        rows = np.flatnonzero(live)
        if rows.size:
            residual = np.max(np.abs(measure(x[rows] - g[rows], rows.tolist()) - x[rows]), axis=1)
            for row in rows[residual <= task.tolerance]:
                task.end(int(starts[row]), x[row], Status.CONVERGED)
                live[row] = False


def _with(whole: Rows, at: slice | Indices, part: Rows) -> Rows:
    """Return the rows with some of them replaced; a slice stands for all."""
    if isinstance(at, slice):
        return part
    changed = whole.copy()
    changed[at] = part
    return changed


def _chosen(where: np.ndarray, one: Rows, other: Rows) -> Rows:
    """Return one's rows where asked, the other's elsewhere."""
    if not where.any():
        return other
    if where.all():
        return one
    return np.where(where if one.ndim == 1 else where[:, np.newaxis], one, other)


def _checkpoints(total: int) -> set[int]:
    """Return the iterations at which progress is judged [1]_."""
    places, share, gap = {0}, 0.0, FIRST_CHECKPOINT
    while share < 1.0:
        share += gap
        places.add(int(np.ceil(share * total)))
        gap = max(gap - CHECKPOINT_SHRINKING, SHORTEST_CHECKPOINT)
    return places
