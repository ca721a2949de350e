"""The call that compares: every method on every problem from every start."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np

from constrained_actmax.comparison.comparison import Comparison, save_head
from constrained_actmax.comparison.processes import play_in_processes
from constrained_actmax.comparison.records import MethodRecord, ProblemRecord
from constrained_actmax.comparison.running import play, resolved
from constrained_actmax.comparison.trial import Trial
from constrained_actmax.errors import SpecificationError
from constrained_actmax.layout import Rows
from constrained_actmax.measuring import versions
from constrained_actmax.problem import Problem
from constrained_actmax.progress import counted
from constrained_actmax.result import Budget
from constrained_actmax.solvers.base import Solver

Method: TypeAlias = str | Solver
Task: TypeAlias = tuple[str, int, int, int]  # key, problem, method, start


def compare(
    problems: Problem | Sequence[Problem] | Mapping[str, Problem],
    methods: Method | Sequence[Method] | Mapping[str, Method] = ("auto",),
    *,
    starts: int | Any = 1,
    budget: Budget | int | None = None,
    seed: int = 0,
    tol: float | None = None,
    workers: int = 1,
    on_error: Literal["record", "raise"] = "record",
    folder: str | Path | None = None,
    progress: bool | None = None,
) -> Comparison:
    """Run methods on the same problems, from the same starts, each under the same budget.

    A trial is one method on one problem from one start. The library's methods and what people do
    today (each a `Baseline`) are scored alike: at the array that is returned, after
    projection on the convex constraints, with the raw value and violation beside. Compilation is
    not timed; the evaluations that score a baseline are not counted.

    Parameters
    ----------
    problems : Problem, sequence or dict of label to Problem
        What is asked.
    methods : str, Solver, sequence or dict of label to either, default "auto"
        Names ("SLSQP", "pgd", "gradient-ascent"), configured solvers, or both.
    starts : int or array_like, default 1
        How many starts of each problem, its own `x0` among them, the rest drawn; or the starts
        themselves, one a row. All are projected on C.
    budget : Budget or int, optional
        Of each trial; an int is a number of evaluations.
    seed : int, default 0
        Seeds the draws, the same for every problem.
    tol : float, optional
        As in `maximize`.
    workers : int, default 1
        How many processes share the trials. Seconds are comparable only with 1.
    on_error : {"record", "raise"}
        Whether a failure becomes a row with its reason. Refusals always do.
    folder : str or Path, optional
        Where each trial is stored as it ends; a second call with the same question takes up what
        is there. JSON and NumPy files, no pickle.
    progress : bool, optional
        Whether to draw a bar; by default on a terminal or in a notebook, while a log gets a line
        every half minute. False keeps both silent.

    Returns
    -------
    Comparison
        Frames, verdicts, pictures, a report. After Ctrl-C, of the trials that had ended.

    Raises
    ------
    SpecificationError
        If a name, a label or a start does not fit.

    Examples
    --------
    >>> import constrained_actmax as cax
    >>> problem = cax.Problem(
    ...     cax.examples.load_model(), cax.Logit(7), [cax.Box(0, 1), cax.L1Ball(60)]
    ... )
    >>> found = cax.compare(problem, ["auto", "gradient-ascent"], starts=3, budget=100)
    >>> found.best().winner
    'auto'
    """
    named = _problems(problems)
    known = {label: resolved(method) for label, method in _methods(methods).items()}
    budget = _budget(budget)
    if on_error not in ("record", "raise"):
        raise SpecificationError(f"on_error: must be 'record' or 'raise', got {on_error!r}.")
    if isinstance(workers, bool) or not isinstance(workers, int) or workers < 1:
        raise SpecificationError(f"workers: must be an integer >= 1, got {workers!r}.")
    records = tuple(
        ProblemRecord.of(label, item, _starts(item, starts, seed)) for label, item in named.items()
    )
    described = tuple(MethodRecord.of(label, item) for label, item in known.items())
    tasks = _tasks(records, described, budget, tol)
    path = None if folder is None else Path(folder)
    done: dict[str, Trial] = {}
    drawn = seed if isinstance(starts, int | np.integer) else None
    if path is not None:
        names = [task[0] for task in tasks]
        save_head(path, records, described, budget, drawn, versions(), names)
        (path / "runs").mkdir(exist_ok=True)
        for key, *_ in tasks:
            stored = Trial.load(path / "runs", key)
            if stored is not None:
                done[key] = stored
    left = [task for task in tasks if task[0] not in done]
    listed, methods_listed = list(named.values()), list(known.values())
    with counted("compare", len(tasks), len(done), progress) as advance:
        try:
            for key, trial in _played(
                left, listed, methods_listed, records, described, budget, tol, workers, on_error
            ):
                done[key] = trial
                if path is not None:
                    trial.save(path / "runs", key)
                advance(f"{trial.method} on {trial.problem}")
        except KeyboardInterrupt:
            if not done:
                raise
    return Comparison(
        records,
        described,
        tuple(done[task[0]] for task in tasks if task[0] in done),
        budget,
        drawn,
        versions(),
    )


def _played(
    left: Sequence[Task],
    problems: Sequence[Problem],
    methods: Sequence[Method],
    records: Sequence[ProblemRecord],
    described: Sequence[MethodRecord],
    budget: Budget | None,
    tol: float | None,
    workers: int,
    on_error: str,
) -> Iterator[tuple[str, Trial]]:
    labels = {key: (records[p].label, described[m].label, start) for key, p, m, start in left}
    if workers > 1 and len(left) > 1:
        starts = {key: records[p].starts[start] for key, p, _, start in left}
        where = {key: (p, m) for key, p, m, _ in left}
        yield from play_in_processes(
            workers, problems, methods, where, labels, starts, budget, tol, on_error == "raise"
        )
        return
    warm: set[int] = set()
    for key, p, m, start in left:
        x0 = records[p].starts[start]
        if p not in warm:
            warm_up(problems[p], x0)
            warm.add(p)
        yield (
            key,
            play(
                labels[key], problems[p], methods[m], x0, budget, tol, raising=on_error == "raise"
            ),
        )


def warm_up(problem: Problem, x0: np.ndarray) -> None:
    """Compile what a trial asks for, so that no trial pays for it."""
    problem.evaluate(x0[np.newaxis])
    problem.oracle.values(x0[np.newaxis])
    problem.set.project(x0)


def _problems(problems: Any) -> dict[str, Problem]:
    if isinstance(problems, Problem):
        problems = [problems]
    if isinstance(problems, Mapping):
        named = {str(label): item for label, item in problems.items()}
    else:
        listed = list(problems) if isinstance(problems, Iterable) else [problems]
        texts = [item.objective_text if isinstance(item, Problem) else "" for item in listed]
        if len(set(texts)) < len(texts):
            texts = [repr(item).split(" ", 1)[-1] for item in listed]
        if len(set(texts)) < len(texts):
            texts = [f"{number + 1}: {text}" for number, text in enumerate(texts)]
        named = dict(zip(texts, listed, strict=True))
    for item in named.values():
        if not isinstance(item, Problem):
            raise SpecificationError(
                f"problems: expected Problem(model, objective, constraints), "
                f"got {type(item).__name__}."
            )
    if not named:
        raise SpecificationError("problems: give at least one.")
    return named


def _methods(methods: Any) -> dict[str, Method]:
    if isinstance(methods, str | Solver):
        methods = [methods]
    if isinstance(methods, Mapping):
        named = {str(label): item for label, item in methods.items()}
    else:
        named = {}
        for item in methods if isinstance(methods, Iterable) else [methods]:
            label = str(item)
            if label in named:
                label = str(MethodRecord.of(label, item))
            if label in named:
                raise SpecificationError(
                    f"methods: {label!r} is there twice; give a dict of labels."
                )
            named[label] = item
    if not named:
        raise SpecificationError("methods: give at least one, such as 'auto'.")
    return named


def _budget(value: Any) -> Budget | None:
    if isinstance(value, int | np.integer) and not isinstance(value, bool):
        value = Budget(evaluations=int(value))
    if value is not None and not isinstance(value, Budget):
        raise SpecificationError(
            f"budget: expected a number of evaluations or Budget(...), got {value!r}."
        )
    return value


def _starts(problem: Problem, starts: Any, seed: int) -> Rows:
    """Return the starts of a problem inside C, (k, n)."""
    project = problem.set.project
    if isinstance(starts, bool):
        raise SpecificationError(f"starts: expected a number or an array, got {starts!r}.")
    if isinstance(starts, int | np.integer):
        if starts < 1:
            raise SpecificationError(f"starts: must be >= 1, got {starts!r}.")
        points = [] if problem.x0 is None else [project(problem.x0)]
        draws = int(starts) - len(points)
        if draws:
            own = problem.scaled
            rng = np.random.default_rng(seed)
            points.extend(project(own.original(own.set.sample(rng, draws))))
        return np.stack(points[: int(starts)])
    inside: Rows = project(problem.layout.rows(starts, "starts"))
    return inside


def _tasks(
    records: Sequence[ProblemRecord],
    methods: Sequence[MethodRecord],
    budget: Budget | None,
    tol: float | None,
) -> list[Task]:
    """Return the trials in order, each with a name that its content gives."""
    tasks = []
    for p, record in enumerate(records):
        for m, method in enumerate(methods):
            for start, x0 in enumerate(record.starts):
                # The model counts by what it says, which may differ in its last digits.
                question = json.dumps(
                    [
                        record.plain() | {"range": f"{record.range:.5g}"},
                        f"{record.start_values[start]:.5g}",
                        [method.label, method.name, method.settings],
                        start,
                        repr(budget),
                        tol,
                    ],
                    sort_keys=True,
                )
                digest = hashlib.sha256(question.encode() + x0.tobytes())
                digest.update(record.lower.tobytes() + record.upper.tobytes())
                tasks.append((digest.hexdigest()[:24], p, m, start))
    return tasks
