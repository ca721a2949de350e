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

    Every live job asks for one thing and waits. When all have asked, the server computes the
    answers together and then lets the jobs go on one at a time, in the order of their keys, each
    until it asks again: nothing depends on the timing of threads, and jobs do not contend for the
    interpreter's lock (with 40 jobs awake at once that took ten times the work itself). A job that
    ends is replaced by the next one. An exception in the server, Ctrl-C among them, ends all jobs
    before it is raised: each gets `dismissal` as its answer until it ends.

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
        self._inbox: SimpleQueue[_Message] = SimpleQueue()
        self._live: dict[int, tuple[threading.Thread, SimpleQueue[Any]]] = {}
        self._asked: dict[int, Any] = {}

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
                    self._listen(following[0], done)
                    following = next(queue, None)
                if not self._asked:
                    continue
                answers = self._answer(dict(sorted(self._asked.items())))
                for key in sorted(answers):
                    answer = self._expired() or answers[key]
                    self._live[key][1].put(answer)
                    del self._asked[key]  # only now: a job that waits must be known to wait
                    self._listen(key, done)
        except BaseException:
            self._dismiss()
            raise

    def _listen(self, key: int, done: Callable[[int, BaseException | None], None]) -> None:
        """Wait until the one job that is awake asks or ends."""
        message = self._inbox.get()
        if message.done:
            self._live.pop(key)[0].join()
            done(key, message.error)
        else:
            self._asked[key] = message.payload

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

    def _dismiss(self) -> None:
        for key, (thread, answers) in list(self._live.items()):
            awake = key not in self._asked
            while awake or thread.is_alive():
                if not awake:
                    answers.put(self._dismissal())
                awake = False
                if self._inbox.get().done:
                    break
            thread.join()
            del self._live[key]
