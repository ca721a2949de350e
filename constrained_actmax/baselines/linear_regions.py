"""Entrants that go through the regions of a ReLU network, in each of which it is affine."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from typing_extensions import override

from constrained_actmax import kinks
from constrained_actmax.baselines.base import Baseline
from constrained_actmax.kernels.row_program import row_program
from constrained_actmax.kinks import Kinks, Region
from constrained_actmax.layout import Vector
from constrained_actmax.problem import Problem
from constrained_actmax.result import Status
from constrained_actmax.tasks.task import Stopped, Task

#: Rows of one program more than the last.
ROWS_AT_ONCE = 64


@dataclass(frozen=True, kw_only=True)
class RegionBaseline(Baseline):
    """An entrant with one candidate a region in which the network is affine.

    Parameters
    ----------
    regions : int, default 100
        Regions of one start at most; a smaller budget cuts it.
    """

    regions: int = 100

    @override
    def _refused(self, problem: Problem) -> str | None:
        reason = kinks.refusal(problem)
        if reason is None and problem.constraints:
            reason = "it takes no constraints on outputs"
        if reason is None and not problem.network().structure.piecewise_affine:
            reason = "the network is curved between its kinks"
        return None if reason is None else f"{self.name}: {reason}; use method='auto'."

    @abstractmethod
    def _candidates(self, programs: RegionPrograms, x0: Vector) -> Iterator[tuple[Vector, float]]:
        """Yield points and f there, one a region, one after the other."""

    @override
    def _search(self, run: Task, start: int, x0: Vector) -> tuple[Vector, Status, str]:
        programs = RegionPrograms(run)
        best, least, count = x0, np.inf, 0
        status, why = Status.STALLED, "The search ended"
        try:
            for x, f in self._candidates(programs, x0):
                count += 1
                if f < least:
                    best, least = x, f
                    run.iterate(start, x, f)
                if count == self.regions:
                    break
        except Stopped as reason:
            if reason.status is Status.INTERRUPTED:
                raise
            status, why = reason.status, "The budget was spent"
        return best, status, f"{why} after {count} regions."


class RegionPrograms:
    """The linear programs over single regions of a problem's network.

    Parameters
    ----------
    run : Task
        Counts the passes through the network.
    """

    def __init__(self, run: Task) -> None:
        self.problem, self.run = run.problem, run
        self.kinks = Kinks(run.problem, run.count)

    def best(self, region: Region) -> tuple[Vector, float] | None:
        """Return the best point of a region and C, and f there; None where there is none.

        Rows are made for the kinks alone that a solution crosses, which leads to the same point as
        all of them.
        """
        n = self.problem.size
        slopes, offsets = region.slopes
        program = row_program(self.problem.set, n)
        rows = np.zeros(0, dtype=int)
        while True:
            if self.run.out_of_time:
                raise Stopped(Status.BUDGET)
            solution = program.minimum(slopes[0], np.full(n, -np.inf), np.full(n, np.inf))
            if solution is None:
                return None
            there = region.distances(solution.x[np.newaxis])[0]
            out = there < -0.5 * program.tight * region.lengths
            out[rows] = False
            new = np.flatnonzero(out)[:ROWS_AT_ONCE]
            if not new.size:
                return self.problem.set.project(solution.x), float(
                    slopes[0] @ solution.x + offsets[0]
                )
            a, b = region.rows(new)
            length = np.maximum(np.linalg.norm(a, axis=1), np.finfo(np.float64).tiny)
            program.extend(a / length[:, np.newaxis], -b / length, np.full(len(b), np.inf))
            rows = np.append(rows, new)
