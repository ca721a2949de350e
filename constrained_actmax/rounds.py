"""Jobs that run side by side and whose requests are answered together, round by round."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

from greenlet import getcurrent, greenlet

#: What a job calls to ask for something; waits for the answer and returns it.
Ask: TypeAlias = Callable[[Any], Any]
#: A job: asks until it ends.
Job: TypeAlias = Callable[[Ask], None]
#: Answers by key; one that is an exception is raised in the job.
Answers: TypeAlias = dict[int, Any]


class Rounds:
    """A server, which is the caller, and one greenlet for each live job, all in one thread.

    Every live job asks for one thing and waits. When all have asked, the server computes the
    answers together and lets the jobs go on, each until it asks again, in the order of their keys.
    A greenlet is a stack that a thread can leave and come back to: the jobs are ordinary functions,
    stopped wherever they ask. Threads would do the same with dearer switches and the caches of
    another core; and no job waits for another, so none can hang or stay behind.

    A job that ends is replaced by the next one. An exception in the server, Ctrl-C among them, ends
    all jobs before it is raised: each gets `dismissal` as its answer until it ends.

    Parameters
    ----------
    answer : callable
        Takes a dict of requests by key, ascending, and returns a dict of answers to all. An answer
        that is an exception is raised in the job.
    most_live : int
        How many jobs are live at a time.
    dismissal : callable
        Makes the exception that ends a job.
    expired : callable, optional
        Asked before a job goes on; what it returns in the place of None is raised in the job. A
        job may work long between two requests.
    """

    def __init__(
        self,
        answer: Callable[[dict[int, Any]], Answers],
        most_live: int,
        dismissal: Callable[[], BaseException],
        expired: Callable[[], BaseException | None] = lambda: None,
    ) -> None:
        self._answer = answer
        self._most_live = max(1, most_live)
        self._dismissal = dismissal
        self._expired = expired
        self._live: dict[int, Any] = {}  # where each job goes on: it may have rounds of its own
        self._asked: dict[int, Any] = {}
        self._ended: list[tuple[int, BaseException | None]] = []

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
                while following is not None and len(self._live) < self._most_live:
                    self._start(*following)
                    self._see_off(done)
                    following = next(queue, None)
                asked, self._asked = dict(sorted(self._asked.items())), {}
                answers = self._answer(asked) if asked else {}
                for key in sorted(answers):
                    word = self._expired()
                    self._live[key].switch(answers[key] if word is None else word)
                self._see_off(done)
        except BaseException:
            self._dismiss()
            raise

    def _start(self, key: int, job: Job) -> None:
        server = getcurrent()

        def ask(payload: Any) -> Any:
            self._asked[key] = payload
            self._live[key] = getcurrent()
            answer = server.switch()
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

        self._live[key] = greenlet(work)
        self._live[key].switch()

    def _see_off(self, done: Callable[[int, BaseException | None], None]) -> None:
        """Take the jobs that have ended off the list, and tell."""
        ended, self._ended = self._ended, []
        for key, _ in ended:
            del self._live[key]
        for key, error in ended:
            done(key, error)

    def _dismiss(self) -> None:
        try:
            while self._live:
                key = next(iter(self._live))
                if self._live[key]:
                    self._live[key].switch(self._dismissal())
                    ended, self._ended = self._ended, []
                    for job, _ in ended:
                        self._live.pop(job, None)
                else:  # an interrupt came before its first line or after its last
                    del self._live[key]
        finally:
            self._live.clear()  # what a second interrupt left is unwound by being forgotten
