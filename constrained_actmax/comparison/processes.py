"""Trials spread over processes; each process loads each model once."""

from __future__ import annotations

import hashlib
import pickle
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor, as_completed
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from constrained_actmax.comparison.running import play
from constrained_actmax.comparison.trial import Trial
from constrained_actmax.errors import SpecificationError
from constrained_actmax.layout import Vector
from constrained_actmax.packing import packed, sendable
from constrained_actmax.problem import Problem
from constrained_actmax.result import Budget
from constrained_actmax.solvers.base import Solver

#: The problems that this process has built, by content.
_PROBLEMS: dict[str, Problem] = {}


def play_in_processes(
    workers: int,
    problems: Sequence[Problem],
    methods: Sequence[str | Solver],
    where: Mapping[str, tuple[int, int]],
    labels: Mapping[str, tuple[str, str, int]],
    starts: Mapping[str, Vector],
    budget: Budget | None,
    tol: float | None,
    raising: bool,
) -> Iterator[tuple[str, Trial]]:
    """Yield (key, trial) as they end.

    Parameters
    ----------
    workers : int
        How many processes are spawned.
    problems, methods : sequence
        All of them.
    where : dict
        By key, the numbers of problem and method.
    labels, starts : dict
        By key, as `play` takes them.
    budget, tol, raising
        As `play` takes them.

    Raises
    ------
    SpecificationError
        If a problem or method cannot be sent to another process, or a process dies.
    """
    with tempfile.TemporaryDirectory() as scratch:
        asked = [
            sendable(
                replace(payload, model=payload.model.filed(Path(scratch))), f"workers: {problem}"
            )
            for problem, payload in zip(problems, packed(problems, "workers"), strict=True)
        ]
        sent = [sendable(method, f"workers: {method}") for method in methods]
        count = min(workers, len(where))
        with ProcessPoolExecutor(count, mp_context=get_context("spawn")) as pool:
            futures = {
                pool.submit(
                    _work,
                    asked[p],
                    sent[m],
                    labels[key],
                    starts[key],
                    budget,
                    tol,
                    raising,
                ): key
                for key, (p, m) in where.items()
            }
            try:
                for future in as_completed(futures):
                    yield futures[future], future.result()
            except BrokenExecutor as error:
                raise SpecificationError(
                    "workers: a process was killed or could not start. A script that asks for "
                    'processes must be a file whose calls stand below if __name__ == "__main__":, '
                    "and each process needs memory for its own copy of the model. Or use "
                    "workers=1; with folder= the trials that ended are kept."
                ) from error
            finally:
                pool.shutdown(wait=True, cancel_futures=True)


def _work(
    problem: bytes,
    method: bytes,
    labels: tuple[str, str, int],
    x0: Vector,
    budget: Budget | None,
    tol: float | None,
    raising: bool,
) -> Trial:
    """Play one trial, in a worker."""
    key = hashlib.sha256(problem).hexdigest()
    if key not in _PROBLEMS:
        _PROBLEMS[key] = pickle.loads(problem).problem()
        _PROBLEMS[key].evaluate(x0[np.newaxis])
        _PROBLEMS[key].oracle.values(x0[np.newaxis])
    return play(labels, _PROBLEMS[key], pickle.loads(method), x0, budget, tol, raising=raising)
