"""Trials spread over processes; each process loads each model once."""

from __future__ import annotations

import hashlib
import pickle
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from constrained_actmax.comparison.referee import play
from constrained_actmax.comparison.trial import Trial
from constrained_actmax.errors import SpecificationError
from constrained_actmax.layout import Vector
from constrained_actmax.oracles.base import BaseOracle
from constrained_actmax.oracles.oracle import Oracle
from constrained_actmax.problem import MODEL_OPTIONS, Problem
from constrained_actmax.result import Budget
from constrained_actmax.solvers.base import Solver

#: What this process has built: oracles by model file, problems by content.
_ORACLES: dict[str, Oracle] = {}
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
        packed = [_packed(one, Path(scratch)) for one in problems]
        try:
            sent = [pickle.dumps(one) for one in methods]
        except Exception as error:
            raise SpecificationError(
                f"workers: a method cannot be sent to another process ({error}); use workers=1."
            ) from error
        count = min(workers, len(where))
        with ProcessPoolExecutor(count, mp_context=get_context("spawn")) as pool:
            futures = {
                pool.submit(
                    _work, packed[p], sent[m], labels[key], starts[key], budget, tol, raising
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


def _packed(problem: Problem, scratch: Path) -> bytes:
    """Return a problem as a worker can build it: the model as a file, the rest as it was said."""
    recipe = dict(problem.recipe)
    model = recipe.pop("model")
    options = {name: recipe.pop(name) for name in MODEL_OPTIONS if name in recipe}
    if isinstance(model, Oracle):
        options, model = dict(model.options), model.model
    if not isinstance(model, BaseOracle) and hasattr(model, "save"):
        path = scratch / f"model-{id(model)}.keras"
        if not path.exists():
            model.save(path)
        model = str(path)
    elif isinstance(model, Path):
        model = str(model.resolve())
    try:
        return pickle.dumps((model, options, recipe))
    except Exception as error:
        raise SpecificationError(
            f"workers: {problem} cannot be sent to another process ({error}); functions in it must "
            "be importable from a module. Or use workers=1."
        ) from error


def _work(
    packed: bytes,
    method: bytes,
    labels: tuple[str, str, int],
    x0: Vector,
    budget: Budget | None,
    tol: float | None,
    raising: bool,
) -> Trial:
    """Play one trial, in a worker."""
    key = hashlib.sha256(packed).hexdigest()
    if key not in _PROBLEMS:
        _PROBLEMS[key] = _built(*pickle.loads(packed))
        _PROBLEMS[key].evaluate(x0[np.newaxis])
        _PROBLEMS[key].oracle.values(x0[np.newaxis])
    return play(labels, _PROBLEMS[key], pickle.loads(method), x0, budget, tol, raising=raising)


def _built(model: Any, options: Mapping[str, Any], recipe: Mapping[str, Any]) -> Problem:
    if isinstance(model, BaseOracle):
        return Problem(model, **recipe)
    name = f"{model} {sorted(options.items(), key=str)}"
    if name not in _ORACLES:
        _ORACLES[name] = Oracle(model, **options)
    return Problem(_ORACLES[name], **recipe)
