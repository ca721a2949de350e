"""Many starts of a one-start solver, side by side, with one model call a round."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any

import numpy as np

from constrained_actmax.layout import Indices, Rows, Vector
from constrained_actmax.problem import Evaluation, Problem
from constrained_actmax.result import Status
from constrained_actmax.run import Run, Stopped

#: What a worker does from its point: ``(run, start, x0)``, left by `Stopped`.
RowRunner = Callable[[Any, int, Vector], None]


@dataclass
class Request:
    """What one worker asks of the server."""

    start: int
    kind: str  # "evaluate", "hessian" or "done"
    payload: tuple[Any, ...] = ()
    error: BaseException | None = None


@dataclass
class Accepted:
    """An iterate that a worker reported since its last request."""

    x: Vector
    f: float
    violation: float


@dataclass
class Seat:
    """One start's view of the run: the same calls, answered by the server thread."""

    start: int
    run: Run
    inbox: SimpleQueue[Request]
    answers: SimpleQueue[Any] = field(default_factory=SimpleQueue)
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
        found: Evaluation = self._ask("evaluate", x)
        return found

    def hessian_product(self, x: Vector, v: Vector, weights: Vector) -> Vector:
        """Ask for a product with the Hessian."""
        found: Vector = self._ask("hessian", x, v, weights)
        return found

    def iterate(self, start: int, x: Vector, f: float, violation: float) -> bool:
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

    def _ask(self, kind: str, *payload: Any) -> Any:
        self.inbox.put(Request(self.start, kind, payload))
        answer = self.answers.get()
        if isinstance(answer, BaseException):
            raise answer
        return answer


class LockStep:
    """A server, which is the calling thread and alone touches the model, and a thread a start.

    Every live start asks for one thing and waits. When all have asked, the server evaluates the
    points together, ordered by start, and hands back copies. A start that ends is replaced by the
    next in the queue. An error, Ctrl-C or the callback's stop in one start ends all.

    Parameters
    ----------
    runner : callable
        The solver of one start.
    run : Run
        Of the whole call.
    seats : int
        How many starts are live at a time.
    """

    def __init__(self, runner: RowRunner, run: Run, seats: int) -> None:
        self._runner = runner
        self._run = run
        self._seats = max(1, seats)
        self._inbox: SimpleQueue[Request] = SimpleQueue()
        self._live: dict[int, tuple[Seat, threading.Thread]] = {}

    def solve(self, x0: Rows, starts: Indices) -> None:
        """Run every start to its end."""
        queue = list(zip(starts.tolist(), x0, strict=True))[::-1]
        waiting: dict[int, Request] = {}
        try:
            while queue or self._live:
                while queue and len(self._live) < self._seats:
                    self._sit(*queue.pop())
                while len(waiting) < len(self._live):
                    request = self._inbox.get()
                    if request.kind != "done":
                        waiting[request.start] = request
                        continue
                    seat, thread = self._live.pop(request.start)
                    thread.join()
                    self._record(seat)
                    if request.error is not None:
                        raise request.error
                if waiting:
                    self._answer(waiting)
                    waiting = {}
        except BaseException as reason:
            self._dismiss(waiting, reason)
            raise

    def _sit(self, start: int, point: Vector) -> None:
        seat = Seat(start, self._run, self._inbox)

        def work() -> None:
            error: BaseException | None = None
            try:
                self._runner(seat, start, point)
            except Stopped as reason:
                if reason.status is not Status.INTERRUPTED:
                    best = self._run.best_x[start]
                    x = point if best is None else best
                    seat.end(start, x, reason.status, reason.detail)
            except BaseException as reason:  # handed to the server, which raises it
                error = reason
            self._inbox.put(Request(start, "done", error=error))

        thread = threading.Thread(target=work, name=f"start {start}", daemon=True)
        self._live[start] = seat, thread
        thread.start()

    def _record(self, seat: Seat) -> bool:
        """Record what a start has reported since its last request; False if it has diverged."""
        going = True
        for one in seat.accepted:
            going = self._run.iterate(seat.start, one.x, one.f, one.violation) and going
        seat.accepted.clear()
        if seat.last_word is not None:
            self._run.end(seat.start, *seat.last_word)
        return going

    def _answer(self, waiting: dict[int, Request]) -> None:
        """Answer one request of every live start, evaluations in one batch."""
        evaluated: list[int] = []
        for start in sorted(waiting):
            seat = self._live[start][0]
            if not self._record(seat):
                seat.answers.put(Stopped(Status.UNBOUNDED))
            elif waiting[start].kind == "hessian":
                try:
                    seat.answers.put(self._run.hessian_product(*waiting[start].payload))
                except Stopped as reason:
                    seat.answers.put(Stopped(reason.status, reason.detail))
            else:
                evaluated.append(start)
        if not evaluated:
            return
        points = np.concatenate([waiting[start].payload[0] for start in evaluated])
        try:
            found = self._run.evaluate(points, evaluated)
        except Stopped as reason:
            for start in evaluated:
                self._live[start][0].answers.put(Stopped(reason.status, reason.detail))
            return
        for row, start in enumerate(evaluated):
            self._live[start][0].answers.put(found.row(row))

    def _dismiss(self, waiting: dict[int, Request], reason: BaseException) -> None:
        """End every live start: each gets an exception at its next request."""
        detail = reason.detail if isinstance(reason, Stopped) else ""
        stop = Status.INTERRUPTED
        for start in waiting:
            self._live[start][0].answers.put(Stopped(stop, detail))
        while self._live:
            request = self._inbox.get()
            if request.kind == "done":
                _, thread = self._live.pop(request.start)
                thread.join()
            else:
                self._live[request.start][0].answers.put(Stopped(stop, detail))
