"""Jobs in threads whose requests are answered together, round by round."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any, TypeAlias

#: What a job calls to ask for something; waits for the answer and returns it.
Ask: TypeAlias = Callable[[Any], Any]
#: A job: runs in its own thread, and asks.
Job: TypeAlias = Callable[[Ask], None]


@dataclass(frozen=True)
class _Message:
    key: int
    payload: Any = None
    done: bool = False
    error: BaseException | None = None


class Rounds:
    """A server, which is the calling thread, and one thread for each live job.

    Every live job asks for one thing and waits. When all have asked, the server answers them
    together, in the order of their keys, so that what is computed does not depend on the timing of
    threads. A job that ends is replaced by the next one. An exception in the server, Ctrl-C among
    them, ends all jobs before it is raised: each gets `dismissal` at its next request.

    Parameters
    ----------
    answer : callable
        Takes a dict of requests by key, ascending, and returns a dict of answers; an answer that
        is an exception is raised in the job.
    seats : int
        How many jobs are live at a time.
    dismissal : callable
        Makes the exception that ends a job.
    """

    def __init__(
        self,
        answer: Callable[[dict[int, Any]], dict[int, Any]],
        seats: int,
        dismissal: Callable[[], BaseException],
    ) -> None:
        self._answer = answer
        self._seats = max(1, seats)
        self._dismissal = dismissal
        self._inbox: SimpleQueue[_Message] = SimpleQueue()
        self._live: dict[int, tuple[threading.Thread, SimpleQueue[Any]]] = {}

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
        asked: dict[int, Any] = {}
        try:
            while following is not None or self._live:
                while following is not None and len(self._live) < self._seats:
                    self._start(*following)
                    following = next(queue, None)
                while len(asked) < len(self._live):
                    message = self._inbox.get()
                    if message.done:
                        self._live.pop(message.key)[0].join()
                        done(message.key, message.error)
                    else:
                        asked[message.key] = message.payload
                if asked:
                    answers = self._answer(dict(sorted(asked.items())))
                    asked = {}
                    for key, one in answers.items():
                        self._live[key][1].put(one)
        except BaseException:
            self._dismiss(asked)
            raise

    def _start(self, key: int, job: Job) -> None:
        answers: SimpleQueue[Any] = SimpleQueue()

        def ask(payload: Any) -> Any:
            self._inbox.put(_Message(key, payload))
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
            self._inbox.put(_Message(key, done=True, error=error))

        thread = threading.Thread(target=work, name=f"start {key}", daemon=True)
        self._live[key] = thread, answers
        thread.start()

    def _dismiss(self, asked: dict[int, Any]) -> None:
        for key in asked:
            self._live[key][1].put(self._dismissal())
        while self._live:
            message = self._inbox.get()
            if message.done:
                self._live.pop(message.key)[0].join()
            else:
                self._live[message.key][1].put(self._dismissal())
