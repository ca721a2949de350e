"""One start of a task as a task of its own: many starts side by side, evaluated together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple, TypeAlias

import numpy as np
from typing_extensions import override

from constrained_actmax.evaluation import Evaluation
from constrained_actmax.layout import Indices, Rows, Vector
from constrained_actmax.result import Status
from constrained_actmax.rounds import Answers, Ask, Rounds
from constrained_actmax.tasks.task import Stopped, Task, Wrapper

#: What a worker does from its point: ``(task, start, x0)``, left by `Stopped`.
RowRunner: TypeAlias = Callable[[Task, int, Vector], None]


class Points(NamedTuple):
    """A request to evaluate rows."""

    x: Rows


class Product(NamedTuple):
    """A request for a product with the Hessian."""

    x: Vector
    v: Vector
    weights: Vector


#: What one start asks of the server.
Request: TypeAlias = Points | Product


class Accepted(NamedTuple):
    """An iterate that a worker reported since its last request."""

    x: Vector
    f: float
    violation: float | None


class OneStart(Wrapper):
    """A task as one of its starts sees it; requests are answered in rounds.

    Iterates are recorded, and the user is called, by the server, before it answers the next
    request; how the start ended is written down after its last iterate.

    Parameters
    ----------
    inner : Task
        Of all starts.
    start : int
        Which one.
    ask : callable
        Hands a request to the server and waits for the answer.
    """

    def __init__(self, inner: Task, start: int, ask: Ask) -> None:
        super().__init__(inner, inner.problem)
        self._start, self._ask = start, ask
        self._accepted: list[Accepted] = []
        self.ended = {}

    @override
    def evaluate(self, x: Rows, starts: Sequence[int] | Indices) -> Evaluation:
        evaluation: Evaluation = self._ask(Points(x))
        return evaluation

    @override
    def hessian_product(self, x: Vector, v: Vector, weights: Vector) -> Vector:
        product: Vector = self._ask(Product(x, v, weights))
        return product

    @override
    def iterate(self, start: int, x: Vector, f: float, violation: float | None = None) -> bool:
        self._accepted.append(Accepted(x.copy(), f, violation))
        return True

    end = Task.end  # of its own starts

    def record(self) -> bool:
        """Hand on what was reported since the last request; False if the start has diverged."""
        going, accepted = True, self._accepted
        self._accepted = []
        for iterate in accepted:
            going = self.inner.iterate(self._start, *iterate) and going
        ended = self.ended.get(self._start)
        if ended is not None:
            self.inner.end(self._start, ended.x, ended.status, ended.detail)
        return going


class LockStep:
    """The starts of a one-start solver as jobs whose points are evaluated together.

    The server alone asks the model. An error, Ctrl-C, the callback's stop or a value as good as
    the target in one start ends all.

    Parameters
    ----------
    runner : callable
        The solver of one start.
    task : Task
        Of the whole call.
    most_live : int
        How many starts are live at a time, and are evaluated in one model call.
    """

    def __init__(self, runner: RowRunner, task: Task, most_live: int) -> None:
        self._runner = runner
        self._task = task
        self._live: dict[int, OneStart] = {}
        self._rounds = Rounds(
            self._answer, most_live, lambda: Stopped(Status.INTERRUPTED), self._out_of_time
        )

    def _out_of_time(self) -> BaseException | None:
        return Stopped(Status.BUDGET) if self._task.out_of_time else None

    def solve(self, x0: Rows, starts: Indices) -> None:
        """Run every start to its end."""
        jobs = zip(starts.tolist(), x0, strict=True)
        self._rounds.run(
            ((start, partial(self._work, start, point)) for start, point in jobs), self._done
        )

    def _work(self, start: int, point: Vector, ask: Ask) -> None:
        single = self._live[start] = OneStart(self._task, start, ask)
        try:
            self._runner(single, start, point)
        except Stopped as reason:
            if not reason.ends_all:
                single.end(start, single.best_or(start, point), reason.status, reason.detail)

    def _done(self, start: int, error: BaseException | None) -> None:
        self._live.pop(start).record()
        if error is not None:
            raise error

    def _answer(self, requests: dict[int, Request]) -> Answers:
        """Answer one request of each start, evaluations in one batch."""
        answers: Answers = {}
        asked: dict[int, Rows] = {}
        for start, request in requests.items():
            if not self._live[start].record():
                answers[start] = Stopped(Status.UNBOUNDED)
            elif isinstance(request, Product):
                try:
                    answers[start] = self._task.hessian_product(*request)
                except Stopped as reason:
                    answers[start] = reason
            else:
                asked[start] = request.x
        if not asked:
            return answers
        points = np.concatenate(list(asked.values()))
        starts = [start for start, rows in asked.items() for _ in rows]
        try:
            evaluation = self._task.evaluate(points, starts)
        except Stopped as reason:
            if reason.ends_all:
                raise
            return answers | {start: Stopped(reason.status, reason.detail) for start in asked}
        first = 0
        for start, rows in asked.items():
            answers[start] = evaluation.rows(first, first + len(rows))
            first += len(rows)
        return answers
