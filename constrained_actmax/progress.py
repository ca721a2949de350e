"""One line on a terminal or in a notebook while a run goes on; in a log, one every half minute."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from constrained_actmax.result import Budget

if TYPE_CHECKING:
    from rich.progress import Progress

    from constrained_actmax.problem import Problem
    from constrained_actmax.tasks.recording import Intermediate, Recording

#: A run that is over sooner shows nothing.
DELAY_SECONDS = 1.0
#: A notebook's line is written again at most this often.
REFRESH_SECONDS = 0.2
#: A log gets a line this often: runs that last seconds write nothing, an hour writes 120 lines.
LOG_SECONDS = 30.0
LOOK_SECONDS = 0.2  # between two looks at which lines are due


def watched() -> bool:
    """Whether a person is looking: a terminal behind standard error, or a notebook."""
    stream = sys.stderr
    return in_notebook() or (stream is not None and stream.isatty())


def in_notebook() -> bool:
    """Whether a notebook's kernel runs this."""
    return "ipykernel" in sys.modules


class PlainLine:
    """A line of standard error that is written over: notebooks show it without any widgets."""

    def __init__(self) -> None:
        self._width = 0
        self._written = -float("inf")

    def show(self, text: str) -> None:
        """Write the text in the place of the last one, unless that has just been written."""
        now = time.perf_counter()
        if now - self._written >= REFRESH_SECONDS:
            self._written = now
            self._write(text)

    def clear(self) -> None:
        """Leave an empty line."""
        if self._width:
            self._write("")
            self._write("")  # the cursor at its beginning

    def _write(self, text: str) -> None:
        sys.stderr.write("\r" + text.ljust(self._width))
        sys.stderr.flush()
        self._width = len(text)


@dataclass(eq=False)
class Entry:
    """A run in a log: its line, when it began, and when the next line is due."""

    state: Callable[[], str]
    began: float
    due: float


class Log:
    """The thread that writes the lines of all runs that go on; it ends soon after the last.

    One for all: to start one for each run takes as long as many evaluations of a small problem.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: list[Entry] = []
        self._thread: threading.Thread | None = None

    def add(self, state: Callable[[], str]) -> Entry:
        """Add a run; its lines are written from now on."""
        now = time.perf_counter()
        entry = Entry(state, now, now + LOG_SECONDS)
        with self._lock:
            self._entries.append(entry)
            if self._thread is None or not self._thread.is_alive():  # a fork's child has none
                self._thread = threading.Thread(target=self._run, name="progress", daemon=True)
                self._thread.start()
        return entry

    def remove(self, entry: Entry) -> None:
        """End it: no line is written after this."""
        with self._lock:
            self._entries.remove(entry)

    def _run(self) -> None:
        while True:
            time.sleep(LOOK_SECONDS)
            with self._lock:
                if not self._entries:
                    self._thread = None
                    return
                for entry in self._entries:
                    self._write(entry, time.perf_counter())

    @staticmethod
    def _write(entry: Entry, now: float) -> None:
        if now >= entry.due and sys.stderr is not None:
            entry.due = now + LOG_SECONDS
            sys.stderr.write(f"{entry.state()}, {now - entry.began:.0f} s\n")
            sys.stderr.flush()


LOG = Log()


@contextmanager
def logged(state: Callable[[], str]) -> Iterator[None]:
    """Write the state and the seconds so far to standard error every half minute.

    Parameters
    ----------
    state : callable
        Returns the line. It is called from a thread of its own.
    """
    entry = LOG.add(state)
    try:
        yield
    finally:
        LOG.remove(entry)


@contextmanager
def counted(
    name: str, total: int, completed: int, shown: bool | None = None
) -> Iterator[Callable[[str], None]]:
    """Draw a bar of tasks, and give the function that counts one more as done.

    Parameters
    ----------
    name : str
        What is counted; the function's argument takes its place.
    total, completed : int
        Tasks, and how many of them are done already.
    shown : bool, optional
        Whether to draw; by default where a person is looking, while a log gets a line every
        half minute.
    """
    if shown is None and not watched():
        done, latest = completed, ""

        def count(task: str) -> None:
            nonlocal done, latest
            done, latest = done + 1, f" (last: {task})"

        with logged(lambda: f"{name}: {done} of {total} done{latest}"):
            yield count
        return
    if not (watched() if shown is None else shown):
        yield lambda _: None  # rich would end even a disabled bar with an empty line
        return
    if in_notebook():
        line, done = PlainLine(), completed

        def advance(task: str) -> None:
            nonlocal done
            done += 1
            line.show(f"{done} of {total}: {task}")

        try:
            yield advance
        finally:
            line.clear()
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    with Progress(
        TextColumn("{task.description}", markup=False),  # labels may hold brackets
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    ) as bar:
        tasks = bar.add_task(name, total=total, completed=completed)
        yield lambda task: bar.update(tasks, advance=1, description=task)


class Line:
    """The best value, its violation, evaluations, and the time that the budget leaves.

    Parameters
    ----------
    problem : Problem
        What is solved.
    budget : Budget, optional
        Its evaluations are the length of the bar, else its seconds.
    listener : callable, optional
        Called with every `Intermediate` too.
    shown : bool, optional
        Whether to draw; by default where a person is looking, while a log gets a line every
        half minute.
    """

    def __init__(
        self,
        problem: Problem,
        budget: Budget | None = None,
        listener: Callable[[Intermediate], Any] | None = None,
        shown: bool | None = None,
    ) -> None:
        self._name = problem.objective_text
        self._sign, self._allowed = problem.sign, problem.feasibility_tolerance
        self._budget = budget or Budget()
        self._listener = listener
        self._shown = watched() if shown is None else shown
        self._logs = shown is None and not self._shown
        self._bar: Progress | None = None
        self._plain: PlainLine | None = None
        self._task: Any = None
        self._began = time.perf_counter()
        self._best: Intermediate | None = None

    @property
    def listens(self) -> bool:
        """Whether anybody wants to hear of iterates."""
        return self._shown or self._listener is not None

    @contextmanager
    def following(self, run: Recording) -> Iterator[None]:
        """Tell a log where the run is, every half minute."""
        if not self._logs:
            yield
            return
        with logged(lambda: self._state(run)):
            yield

    def _state(self, run: Recording) -> str:
        history = run.history
        reached = list(zip(history.violation, history.value, strict=False))  # it grows meanwhile
        if not reached:
            return f"{self._name}: {run.evaluations} evaluations{self._limits()}"
        violation, value = min(reached, key=lambda pair: self._rank(pair[0], self._sign * pair[1]))
        return f"{self._best_text(value, violation)}, {run.evaluations} evaluations{self._limits()}"

    def _rank(self, violation: float, fun: float) -> tuple[float, float]:
        """Less is better: feasibility to the tolerance first, then what is minimised."""
        return (violation if violation > self._allowed else 0.0), fun

    def _best_text(self, value: float, violation: float) -> str:
        broken = "" if violation <= self._allowed else f", violation {violation:.1e}"
        return f"{self._name} = {value:.5g}{broken}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
        if self._plain is not None:
            self._plain.clear()

    def __call__(self, now: Intermediate) -> Any:
        """Show an iterate, and hand it on."""
        if self._shown:
            self._show(now)
        return None if self._listener is None else self._listener(now)

    def _show(self, now: Intermediate) -> None:
        best = self._best
        rank = self._rank(now.violation, now.fun)
        if best is None or rank < self._rank(best.violation, best.fun):
            self._best = best = now
        seconds = time.perf_counter() - self._began
        if self._bar is None and self._plain is None:
            if seconds < DELAY_SECONDS:
                return
            self._start()
        text = self._best_text(best.value, best.violation)
        rows = f"{now.nfev} evaluations"
        if self._plain is not None:
            self._plain.show(f"{text}, {rows}, {seconds:.0f} s{self._limits()}")
            return
        assert self._bar is not None
        done = float(now.nfev)
        if self._budget.evaluations is None and self._budget.seconds is not None:
            done = min(seconds, self._budget.seconds)
        self._bar.update(self._task, completed=done, description=text, rows=rows)

    def _limits(self) -> str:
        """Return the budget in words, in brackets."""
        rows, seconds = self._budget.evaluations, self._budget.seconds
        parts = [] if rows is None else [f"{rows} evaluations"]
        parts += [] if seconds is None else [f"{seconds:g} s"]
        return f" (at most {' or '.join(parts)})" if parts else ""

    def _start(self) -> None:
        if in_notebook():
            self._plain = PlainLine()
            return
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            Progress,
            SpinnerColumn,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        total: float | None = self._budget.evaluations
        if total is None:
            total = self._budget.seconds
        columns: list[Any] = [
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[rows]}"),
            TimeElapsedColumn(),
        ]
        if total is not None:
            columns += [TextColumn("left"), TimeRemainingColumn()]
        self._bar = Progress(*columns, console=Console(stderr=True), transient=True)
        self._task = self._bar.add_task(self._name, total=total, rows="")
        self._bar.start()
