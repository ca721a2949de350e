"""Many starts of a one-start solver, side by side, their points evaluated together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal, NamedTuple

import numpy as np

from constrained_actmax.layout import Indices, Rows, Vector
from constrained_actmax.problem import Evaluation, Problem
from constrained_actmax.result import Status
from constrained_actmax.rounds import Answers, Ask, Rounds
from constrained_actmax.run import Run, Stopped

#: What a worker does from its point: ``(run, start, x0)``, left by `Stopped`.
RowRunner = Callable[[Any, int, Vector], None]


class Request(NamedTuple):
    """What one start asks of the server."""

    kind: Literal["evaluate", "hessian"]
    payload: tuple[Any, ...]


@dataclass
class Accepted:
    """An iterate that a worker reported since its last request."""

    x: Vector
    f: float
    violation: float | None


@dataclass
class Seat:
    """One start's view of the run: the same calls, answered by the server."""

    start: int
    run: Run
    ask: Ask
    accepted: list[Accepted] = field(default_factory=list)
    last_word: tuple[Vector, Status, str] | None = None

    @property
    def problem(self) -> Problem:
        """What is asked."""
        return self.run.problem

    @property
    def tolerance(self) -> float:
        """Residual that counts as converged."""
        return self.run.tolerance

    @property
    def iterations(self) -> np.ndarray:
        """Accepted steps of every start."""
        return self.run.iterations

    @property
    def best_x(self) -> list[Vector | None]:
        """Best point of C of every start."""
        return self.run.best_x

    @property
    def notes(self) -> list[str]:
        """What the user should know."""
        return self.run.notes

    @property
    def remaining(self) -> int | None:
        """Evaluations left for all starts."""
        return self.run.remaining

    def evaluate(self, x: Rows, starts: Sequence[int] | Indices) -> Evaluation:
        """Ask for one row and wait until the round is evaluated."""
        found: Evaluation = self.ask(Request("evaluate", (x,)))
        return found

    def project(self, x: Rows, starts: Sequence[int] | Indices, purpose: str = "step") -> Rows:
        """Project rows on C."""
        return self.run.project(x, starts, purpose)

    def hessian_product(self, x: Vector, v: Vector, weights: Vector) -> Vector:
        """Ask for a product with the Hessian."""
        found: Vector = self.ask(Request("hessian", (x, v, weights)))
        return found

    def iterate(self, start: int, x: Vector, f: float, violation: float | None = None) -> bool:
        """Report an iterate; the server records it, and calls the user, in the next round."""
        self.accepted.append(Accepted(x.copy(), f, violation))
        return True

    def end(self, start: int, x: Vector, status: Status, detail: str = "") -> None:
        """Say how this start ended; the server writes it down after the last iterate."""
        if self.last_word is None:
            self.last_word = x.copy(), status, detail

    def name_non_finite(self, x: Vector, found: Evaluation, row: int) -> str:
        """Say what is not finite."""
        return self.run.name_non_finite(x, found, row)


class LockStep:
    """The starts of a one-start solver as jobs whose points are evaluated together.

    The server alone asks the model. An error, Ctrl-C or the callback's stop in one
    start ends all.

    Parameters
    ----------
    runner : callable
        The solver of one start.
    run : Run
        Of the whole call.
    seats : int
        How many starts are live at a time.
    room : int
        How many are evaluated in one model call. Where the problem `overlaps` and more are live,
        the model computes some while the solvers of the others work.
    """

    def __init__(self, runner: RowRunner, run: Run, seats: int, room: int) -> None:
        self._runner = runner
        self._run = run
        self._overlaps = room < seats and overlaps(run)
        self._seats: dict[int, Seat] = {}
        self._rounds = Rounds(
            self._answer, seats, lambda: Stopped(Status.INTERRUPTED), self._out_of_time, room
        )

    def _out_of_time(self) -> BaseException | None:
        return Stopped(Status.BUDGET) if self._run.out_of_time else None

    def solve(self, x0: Rows, starts: Indices) -> None:
        """Run every start to its end."""
        jobs = zip(starts.tolist(), x0, strict=True)
        self._rounds.run(
            ((start, partial(self._work, start, point)) for start, point in jobs), self._done
        )

    def _work(self, start: int, point: Vector, ask: Ask) -> None:
        seat = self._seats[start] = Seat(start, self._run, ask)
        try:
            self._runner(seat, start, point)
        except Stopped as reason:
            if reason.status is not Status.INTERRUPTED:
                best = self._run.best_x[start]
                seat.end(start, point if best is None else best, reason.status, reason.detail)

    def _done(self, start: int, error: BaseException | None) -> None:
        self._record(self._seats.pop(start))
        if error is not None:
            raise error

    def _record(self, seat: Seat) -> bool:
        """Record what a start has reported since its last request; False if it has diverged."""
        going = True
        for one in seat.accepted:
            going = self._run.iterate(seat.start, one.x, one.f, one.violation) and going
        seat.accepted.clear()
        if seat.last_word is not None:
            self._run.end(seat.start, *seat.last_word)
        return going

    def _answer(self, requests: dict[int, Request]) -> Answers | Callable[[], Answers]:
        """Answer one request of each start, evaluations in one batch; or begin to."""
        answers: dict[int, Any] = {}
        evaluated: list[int] = []
        for start, request in requests.items():
            if not self._record(self._seats[start]):
                answers[start] = Stopped(Status.UNBOUNDED)
            elif request.kind == "hessian":
                try:
                    answers[start] = self._run.hessian_product(*request.payload)
                except Stopped as reason:
                    answers[start] = reason
            else:
                evaluated.append(start)
        if not evaluated:
            return answers
        points = np.concatenate([requests[start].payload[0] for start in evaluated])

        def taken(found: Evaluation) -> Answers:
            return answers | {start: found.row(row) for row, start in enumerate(evaluated)}

        try:
            if self._overlaps:
                finish = self._run.begin(points, evaluated)
                return lambda: taken(finish())
            return taken(self._run.evaluate(points, evaluated))
        except Stopped as reason:
            stops = {start: Stopped(reason.status, reason.detail) for start in evaluated}
            return answers | stops


def overlaps(run: Any) -> bool:
    """Return whether the model can compute while solvers work; a run in other variables waits."""
    return isinstance(run, Run) and run.problem.overlaps
