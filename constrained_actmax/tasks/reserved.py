"""A task of which some evaluations are kept back for what comes after its solver."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from typing_extensions import override

from constrained_actmax.evaluation import Evaluation
from constrained_actmax.layout import Indices, Rows, Vector
from constrained_actmax.result import Status
from constrained_actmax.tasks.task import Incumbent, Stopped, Task, Wrapper


class Limited(Wrapper):
    """A task with a limit of its own; a subclass says what `_spend` allows."""

    def _spend(self, rows: float) -> None:
        """Take evaluations, or other work, from the limit; `Stopped` where it does not cover it."""

    @override
    def count(self, rows: int) -> None:
        self._spend(rows)
        self.inner.count(rows)

    @override
    def carry(self, rows: int) -> int:
        self.padded_rows = self.inner.carry(rows)
        return self.padded_rows

    @override
    def evaluate(self, x: Rows, starts: Sequence[int] | Indices) -> Evaluation:
        self._spend(len(x))
        return self.inner.evaluate(x, starts)

    @override
    def hessian_product(self, x: Vector, v: Vector, weights: Vector) -> Vector:
        self._spend(1)
        return self.inner.hessian_product(x, v, weights)


class Reserved(Limited):
    """A task with fewer evaluations left.

    Parameters
    ----------
    inner : Task
        The whole one.
    kept : int
        Evaluations that this one leaves.
    """

    def __init__(self, inner: Task, kept: int) -> None:
        super().__init__(inner, inner.problem)
        self._kept = self._left_by_start = kept

    @property
    @override
    def remaining(self) -> int | None:
        left = self.inner.remaining
        return None if left is None else max(0, left - self._left_by_start)

    @override
    def share(self, starts_left: int) -> int | None:
        left = self.inner.remaining
        if left is not None and left > self._kept:
            self._left_by_start = left - max(1, (left - self._kept) // max(1, starts_left))
        return self.remaining

    @override
    def _spend(self, rows: float) -> None:
        left = self.remaining
        if left is not None and rows > left:
            raise Stopped(Status.BUDGET)


class UntilBetter(Reserved):
    """A task that stops earlier until a start has a better feasible point than those known.

    `remaining` says what there is then: methods plan by that.

    Parameters
    ----------
    inner : Task
        The whole one.
    kept : int
        Evaluations that this one leaves in any case.
    before : int
        Evaluations that it leaves before there is a better point.
    known : mapping of int to Incumbent or None
        By start, its best point so far.
    """

    def __init__(
        self, inner: Task, kept: int, before: int, known: Mapping[int, Incumbent | None]
    ) -> None:
        super().__init__(inner, kept)
        self._before, self._known = before, known

    @property
    def better(self) -> bool:
        """Whether a start has a better feasible point by now."""
        for start, before in self._known.items():
            best = self.inner.best(start)
            if best is not None and (before is None or best.f < before.f):
                return True
        return False

    @override
    def _spend(self, rows: float) -> None:
        super()._spend(rows)
        left = self.inner.remaining
        if left is not None and rows > left - self._before and not self.better:
            raise Stopped(Status.BUDGET)
