"""Jobs in threads whose requests are answered together, round by round."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any, TypeAlias

#: What a job calls to ask for something; waits for the answer and returns it.
Ask: TypeAlias = Callable[[Any], Any]
#: A job: runs in its own thread, and asks.
Job: TypeAlias = Callable[[Ask], None]


#: Seconds between two looks at whether the last job that was awake has stopped.
LOOK = 0.05


class Rounds:
    """A server, which is the calling thread, and one thread for each live job.

    Every live job asks for one thing and waits. When all have asked, the server computes the
    answers together and then lets the jobs go on one at a time, in the order of their keys, each
    until it asks again: nothing depends on the timing of threads, and jobs do not contend for the
    interpreter's lock (with 40 jobs awake at once that took ten times the work itself). A job that
    asks wakes the next one itself, and the last wakes the server: one switch of threads for each
    request. A job that ends is replaced by the next one. An exception in the server, Ctrl-C among
    them, ends all jobs before it is raised: each gets `dismissal` as its answer until it ends.

    Parameters
    ----------
    answer : callable
        Takes a dict of requests by key, ascending, and returns a dict of answers; an answer that
        is an exception is raised in the job.
    seats : int
        How many jobs are live at a time.
    dismissal : callable
        Makes the exception that ends a job.
    expired : callable, optional
        Asked before a job goes on; what it returns in the place of None is raised in the job. A
        job may work long between two requests.
    """

    def __init__(
        self,
        answer: Callable[[dict[int, Any]], dict[int, Any]],
        seats: int,
        dismissal: Callable[[], BaseException],
        expired: Callable[[], BaseException | None] = lambda: None,
    ) -> None:
        self._expired = expired
        self._answer = answer
        self._seats = max(1, seats)
        self._dismissal = dismissal
        self._live: dict[int, tuple[threading.Thread, SimpleQueue[Any]]] = {}
        self._asked: dict[int, Any] = {}
        self._ended: list[tuple[int, BaseException | None]] = []
        self._over: set[int] = set()
        self._answers: dict[int, Any] = {}
        self._turns: deque[int] = deque()  # who is woken next, in this round
        self._failed: BaseException | None = None
        self._busy = False  # whether a job is awake
        self._idle: SimpleQueue[None] = SimpleQueue()

    def run(
        self,
        jobs: Iterable[tuple[int, Job]],
        done: Callable[[int, BaseException | None], None],
    ) -> None:
        """Run all jobs to their end.

        Parameters
        ----------
        jobs : iterable of (int, callable)
            Keys and jobs, started in this order.
        done : callable
            Called by the server when a job has ended, with its exception or None; what it raises
            ends all.
        """
        queue = iter(jobs)
        following = next(queue, None)
        try:
            while following is not None or self._live:
                while following is not None and len(self._live) < self._seats:
                    self._start(*following)
                    self._settle(done)
                    following = next(queue, None)
                if not self._asked:
                    continue
                self._answers = self._answer(dict(sorted(self._asked.items())))
                for key in self._answers:
                    del self._asked[key]
                self._turns.extend(sorted(self._answers))
                self._busy = True
                self._wake_next()
                self._settle(done)
        except BaseException:
            self._dismiss()
            raise

    def _wake_next(self) -> None:
        """Hand the next answer to its job, or the turn back to the server."""
        if self._turns:
            try:
                word = self._expired()
            except BaseException as error:  # may be in a job's thread: the server raises it
                self._failed = error
            else:
                with suppress(IndexError):  # `_dismiss` may have taken the turns away just now
                    key = self._turns.popleft()
                    self._live[key][1].put(word or self._answers[key])
                    return
        self._busy = False
        self._idle.put(None)

    def _settle(self, done: Callable[[int, BaseException | None], None]) -> None:
        """Wait until every job that was woken has asked or ended, and see to those that ended."""
        self._idle.get()
        if self._failed is not None:
            raise self._failed
        ended, self._ended = self._ended, []
        for key, _ in ended:
            self._live.pop(key)[0].join()
        for key, error in ended:
            done(key, error)

    def _start(self, key: int, job: Job) -> None:
        answers: SimpleQueue[Any] = SimpleQueue()

        def ask(payload: Any) -> Any:
            self._asked[key] = payload
            self._wake_next()
            answer = answers.get()
            if isinstance(answer, BaseException):
                raise answer
            return answer

        def work() -> None:
            error: BaseException | None = None
            try:
                job(ask)
            except BaseException as reason:  # the server hands it on
                error = reason
            self._ended.append((key, error))
            self._over.add(key)
            self._wake_next()

        thread = threading.Thread(target=work, name=f"start {key}", daemon=True)
        self._live[key] = thread, answers
        self._busy = True
        thread.start()

    def _dismiss(self) -> None:
        self._turns.clear()
        self._until_idle()
        for key, (thread, answers) in list(self._live.items()):
            while key not in self._over:
                self._busy = True
                answers.put(self._dismissal())
                self._until_idle()
            thread.join()
            del self._live[key]

    def _until_idle(self) -> None:
        """Wait for the job that is awake; by its flag, as an interrupt may have lost its word."""
        while self._busy:
            with suppress(Empty):
                self._idle.get(timeout=LOOK)
