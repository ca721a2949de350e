"""A task without a limit of evaluations, planned by the seconds that each takes or by a default."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from typing_extensions import override

from constrained_actmax.tasks.reserved import Limited
from constrained_actmax.tasks.task import Task

#: Evaluations after which the price is measured again: that of a batch is not that of one row.
MEASURED = 20
#: Seconds below which no clock tells a price.
SHORTEST = 1e-9


class Timed(Limited):
    """A task that says how many evaluations the seconds left are likely to pay.

    The price is that of the evaluations since it was last asked for, with all work between them.
    Before the first, and where there is a limit of evaluations, the other's answer stands. It is
    an estimate to plan by: only the clock ends the run.

    Parameters
    ----------
    inner : Task
        The whole one.
    kept : float, default 0
        Seconds that this one leaves.
    default : int, optional
        Evaluations to plan by where there is no limit of seconds either.
    """

    def __init__(self, inner: Task, kept: float = 0.0, default: int | None = None) -> None:
        super().__init__(inner, inner.problem)
        self._seconds, self._default = kept, default
        self._rows = 0
        self._since = self.seconds, 0
        self._seconds_each: float | None = None

    @property
    @override
    def seconds_left(self) -> float | None:
        left = self.inner.seconds_left
        return None if left is None else max(0.0, left - self._seconds)

    @property
    @override
    def remaining(self) -> int | None:
        left, seconds = self.inner.remaining, self.seconds_left
        if left is not None:
            return left
        if seconds is None:
            return None if self._default is None else max(0, self._default - self._rows)
        began, rows = self._since
        if self._rows - rows >= (1 if self._seconds_each is None else MEASURED):
            self._seconds_each = max(SHORTEST, self.seconds - began) / (self._rows - rows)
            self._since = self.seconds, self._rows
        return None if self._seconds_each is None else int(seconds / self._seconds_each)

    @contextmanager
    @override
    def tightened(self, factor: float) -> Iterator[None]:
        with super().tightened(factor), self.inner.tightened(factor):
            yield

    @override
    def _spend(self, rows: float) -> None:
        self._rows += int(rows)

    @override
    def spent(self, rows: int, calls: int = 0) -> None:
        self._rows += rows
        self.inner.spent(rows, calls)


def planned(task: Task, default: int | None = None) -> Task:
    """Return a task to plan by evaluations: by a default where neither they nor seconds are few."""
    timed = task.seconds_left is not None or default is not None
    return Timed(task, default=default) if task.remaining is None and timed else task
