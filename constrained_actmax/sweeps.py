"""Many problems in one go: sharing batches in this process, or spread over workers."""

from __future__ import annotations

import hashlib
import json
import pickle
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    Executor,
    Future,
    ProcessPoolExecutor,
    wait,
)
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeAlias

from constrained_actmax.callbacks import Callback, OfProblem, listener
from constrained_actmax.errors import ConstrainedActmaxError, SpecificationError
from constrained_actmax.json_form import from_json, to_json
from constrained_actmax.packing import packed, sendable
from constrained_actmax.problem import Problem
from constrained_actmax.progress import counted
from constrained_actmax.quoting import quoted
from constrained_actmax.result import Budget, Failure, Result, Status, load_result
from constrained_actmax.rounds import Ask, Rounds
from constrained_actmax.solvers.base import RowSolver, Solver
from constrained_actmax.solvers.selection import select
from constrained_actmax.solving import check_target, solve
from constrained_actmax.storage import folder_for
from constrained_actmax.tasks.recording import padded
from constrained_actmax.tasks.task import Stopped

Entry: TypeAlias = Result | Failure
#: How often a sweep starts its own worker processes again after one was killed.
POOL_RESTARTS = 3


def solve_many(
    problems: Iterable[Problem],
    *,
    method: str | Solver = "auto",
    starts: Any = 1,
    seed: int | None = None,
    budget: Budget | None = None,
    target: float | None = None,
    tol: float | None = None,
    options: Mapping[str, Any] | None = None,
    callback: Callback | None = None,
) -> list[Entry]:
    """Solve several problems side by side; those of one model share its calls.

    Problems whose oracles differ only in numbers (class, centre, radius) are compiled once, and
    the points that they ask for in a round are evaluated in one model call.

    Parameters
    ----------
    problems : iterable of Problem
        What is asked; build them on one `Oracle` to share its model.
    method, starts, target, tol, options
        For each problem; see `maximize`.
    seed : int, optional
        For each problem the same.
    budget : Budget, optional
        Of each problem.
    callback : callable, optional
        As in `maximize`; its `Intermediate` says which ``problem`` it speaks of, and the run that
        it ends is that problem's.

    Returns
    -------
    list of Result or Failure
        In the order of the problems; one failure is one entry.

    Examples
    --------
    >>> import constrained_actmax as cax
    >>> oracle = cax.Oracle(cax.examples.load_model())
    >>> near = [
    ...     cax.Problem(oracle, cax.Margin(4), [cax.Box(0, 1), cax.L2Ball(1, center=x)], x0=x)
    ...     for x in (cax.examples.reference(k) for k in (0, 2, 6))
    ... ]
    >>> [one.feasible for one in cax.solve_many(near)]
    [True, True, True]
    """
    from constrained_actmax.oracles.shared import Server, SharedOracle  # on the TensorFlow side

    listed = _checked(problems)
    listener("callback", callback)  # a wrong one is an error before any work
    check_target(target)
    if not listed:
        return []
    entries: list[Entry | None] = [None] * len(listed)
    largest = max(problem.size for problem in listed)
    most_live = padded(len(listed), largest)
    server = Server(most_live)
    if any(_holds_a_lock(problem, method, options, budget) for problem in listed):
        most_live = 1

    def work(index: int, ask: Ask) -> None:
        problem = listed[index]
        try:
            entries[index] = solve(
                problem.asking(SharedOracle(problem.user_oracle, ask)),
                method=method,
                starts=starts,
                seed=seed,
                budget=budget,
                target=target,
                tol=tol,
                options=options,
                callback=None if callback is None else OfProblem(callback, index),
                progress=False,
            )
        except ConstrainedActmaxError as error:
            entries[index] = _failure(problem, error)

    def done(index: int, error: BaseException | None) -> None:
        if isinstance(error, Exception):
            entries[index] = _failure(listed[index], error)
        elif error is not None:
            raise error

    rounds = Rounds(server.answer, most_live, lambda: Stopped(Status.INTERRUPTED))
    rounds.run(((index, partial(work, index)) for index in range(len(listed))), done)
    return [entry for entry in entries if entry is not None]


def _holds_a_lock(
    problem: Problem, method: str | Solver, options: Mapping[str, Any] | None, budget: Budget | None
) -> bool:
    """Return whether the problem's solver lets no other run beside it, as SciPy's COBYQA does."""
    try:
        solver, _ = select(problem, method, options, budget)
    except ConstrainedActmaxError:  # it will be this problem's entry
        return False
    return isinstance(solver, RowSolver) and not solver.side_by_side


def sweep(
    problems: Iterable[Problem],
    *,
    workers: int | Executor | Callable[..., Iterable[Any]] | Any = 1,
    folder: str | Path | None = None,
    method: str | Solver = "auto",
    starts: Any = 1,
    seed: int | None = 0,
    budget: Budget | None = None,
    target: float | None = None,
    tol: float | None = None,
    options: Mapping[str, Any] | None = None,
    callback: Callback | None = None,
    progress: bool | None = None,
) -> list[Entry]:
    """Solve many problems on workers; results stream into a folder and a second call resumes.

    Parameters
    ----------
    problems : iterable of Problem
        What is asked; their models reach a worker once, by path where they came from one.
    workers : int, Executor, map-like callable or Dask client, default 1
        How many processes are spawned; or a ``concurrent.futures.Executor``; or a function that is
        called as ``workers(function, tasks)``; or a Dask ``Client``.
    folder : str or Path, optional
        Where each result is saved as it arrives. Problems that are already there are not solved
        again.
    method, starts, budget, target, tol, options
        For each problem; see `maximize`.
    seed : int, default 0
        For each problem the same.
    callback : callable, optional
        As in `solve_many`, but called in the worker that solves the problem: it must be importable
        from a module.
    progress : bool, optional
        Whether to draw a bar; by default on a terminal or in a notebook, while a log gets a line
        every half minute. False keeps both silent.

    Returns
    -------
    list of Result or Failure
        In the order of the problems.

    Raises
    ------
    SpecificationError
        If a problem cannot be sent to another process (a lambda in it, say).
    """
    listed = _checked(problems)
    listener("callback", callback)
    check_target(target)
    settings = {
        "method": method,
        "starts": starts,
        "seed": seed,
        "budget": budget,
        "tol": tol,
        "options": None if options is None else dict(options),
    }
    if target is not None:  # results in a folder go by their settings, older ones without it
        settings["target"] = target
    entries: dict[int, Entry] = {}
    with tempfile.TemporaryDirectory() as scratch:
        tasks = _tasks(listed, settings, callback)
        path = None if folder is None else folder_for("folder", folder)
        if path is not None:
            for index, task in enumerate(tasks):
                stored = _stored(path, task)
                if stored is not None:
                    entries[index] = stored
        left = [index for index in range(len(tasks)) if index not in entries]
        with counted("sweep", len(tasks), len(entries), progress) as advance:
            for index, answer in _answers(workers, {index: tasks[index] for index in left}):
                entry = _unpacked(answer, Path(scratch))
                if path is not None:
                    _store(path, tasks[index], entry)
                entries[index] = entry
                advance("sweep")
    return [entries[index] for index in range(len(tasks))]


# -- tasks ---------------------------------------------------------------------------------------


def _checked(problems: Iterable[Problem]) -> list[Problem]:
    listed = list(problems) if isinstance(problems, Iterable) else [problems]
    for problem in listed:
        if not isinstance(problem, Problem):
            raise SpecificationError(f"problems: expected Problems, got {quoted(problem)}.")
    return listed


def _failure(problem: Problem, error: BaseException) -> Failure:
    return Failure(repr(problem), type(error).__name__, str(error))


def _tasks(
    problems: Sequence[Problem], settings: Mapping[str, Any], callback: Callback | None
) -> list[tuple[str, bytes]]:
    """Return for each problem a name that its content gives, and what a worker needs."""
    tasks = []
    for number, (problem, payload) in enumerate(
        zip(problems, packed(problems, "sweep"), strict=True)
    ):
        heard = None if callback is None else OfProblem(callback, number)
        sent = sendable((payload, {**settings, "callback": heard}), f"sweep: {problem}")
        recipe = {name: value for name, value in problem.recipe.items() if name != "model"}
        # a .keras file holds its time: weights and numbers are told by the problem
        model = "model" if payload.model.kind == "bytes" else str(payload.model.content)
        identity = json.dumps([repr(problem), model], sort_keys=True)
        digest = hashlib.sha256(identity.encode() + pickle.dumps((recipe, dict(settings))))
        tasks.append((digest.hexdigest()[:24], sent))
    return tasks


def _work(task: tuple[str, bytes]) -> tuple[str, Any]:
    """Solve one task, in a worker."""
    file, settings = pickle.loads(task[1])
    try:
        result = solve(file.problem(), **settings, progress=False)
    except ConstrainedActmaxError as error:
        return "failure", (str(file.recipe["objective"]), type(error).__name__, str(error))
    with tempfile.TemporaryDirectory() as folder:
        result.save(folder)
        files = {file.name: file.read_bytes() for file in Path(folder).iterdir()}
    return "result", files


def _unpacked(answer: tuple[str, Any], scratch: Path) -> Entry:
    kind, content = answer
    if kind == "failure":
        return Failure(*content)
    folder = scratch / "arrived"
    folder.mkdir(exist_ok=True)
    for name, data in content.items():
        (folder / name).write_bytes(data)
    return load_result(folder)


# -- the folder ----------------------------------------------------------------------------------


def _store(folder: Path, task: tuple[str, bytes], entry: Entry) -> None:
    """Save an entry under its name: whole, or not at all."""
    unfinished = folder / f".{task[0]}.part"
    if unfinished.exists():
        shutil.rmtree(unfinished)
    unfinished.mkdir()
    if isinstance(entry, Failure):
        text = to_json([entry.problem, entry.error, entry.message])
        (unfinished / "failure.json").write_text(text, encoding="utf-8")
    else:
        entry.save(unfinished)
    unfinished.rename(folder / task[0])


def _stored(folder: Path, task: tuple[str, bytes]) -> Entry | None:
    path = folder / task[0]
    if (path / "failure.json").is_file():
        return Failure(*from_json((path / "failure.json").read_text(encoding="utf-8")))
    return load_result(path) if path.is_dir() else None


# -- workers -------------------------------------------------------------------------------------


def _answers(
    workers: Any, tasks: Mapping[int, tuple[str, bytes]]
) -> Iterable[tuple[int, tuple[str, Any]]]:
    """Yield answers as they arrive."""
    if not tasks:
        return
    if isinstance(workers, bool) or (isinstance(workers, int) and workers < 1):
        raise SpecificationError(f"workers: must be >= 1, got {quoted(workers)}.")
    if isinstance(workers, int):
        yield from _own_processes(workers, tasks)
    elif hasattr(workers, "get_executor"):  # a Dask client
        yield from _completed(workers.get_executor(pure=False), tasks)
    elif hasattr(workers, "submit"):
        yield from _completed(workers, tasks)
    elif callable(workers):
        yield from zip(tasks, workers(_work, list(tasks.values())), strict=True)
    else:
        raise SpecificationError(
            "workers: expected a number, an Executor, a map-like function or a Dask client, "
            f"got {type(workers).__name__}."
        )


def _completed(
    executor: Executor, tasks: Mapping[int, tuple[str, bytes]]
) -> Iterable[tuple[int, tuple[str, Any]]]:
    pending: dict[Future[Any], int] = {
        executor.submit(_work, task): index for index, task in tasks.items()
    }
    try:
        while pending:
            finished, _ = wait(pending, return_when=FIRST_COMPLETED)
            for future in finished:
                index = pending[future]
                answer = future.result()
                del pending[future]
                yield index, answer
    finally:
        for future in pending:
            future.cancel()


def _own_processes(
    count: int, tasks: Mapping[int, tuple[str, bytes]]
) -> Iterable[tuple[int, tuple[str, Any]]]:
    """Spawn processes; start them again where one was killed, for the tasks that are left."""
    left = dict(tasks)
    for attempt in range(POOL_RESTARTS + 1):
        try:
            with ProcessPoolExecutor(
                min(count, len(left)), mp_context=get_context("spawn")
            ) as pool:
                for index, answer in _completed(pool, left.copy()):
                    del left[index]
                    yield index, answer
            return
        except BrokenExecutor as error:
            if attempt == POOL_RESTARTS:
                raise SpecificationError(
                    f"workers: processes ended early {POOL_RESTARTS + 1} times, with {len(left)} "
                    "tasks left. If they said nothing, fewer workers need less memory. A script "
                    "must call sweep under if __name__ == '__main__', because each process "
                    "imports it."
                ) from error
