"""Runs one method on one problem from one start, and measures what it returns."""

from __future__ import annotations

import numpy as np

from constrained_actmax.baselines import BASELINES, Baseline
from constrained_actmax.comparison.trial import Trial
from constrained_actmax.errors import (
    ConstrainedActmaxError,
    RefusedError,
    SpecificationError,
    suggest,
)
from constrained_actmax.layout import Vector
from constrained_actmax.measuring import measured, stationarity_tolerance
from constrained_actmax.problem import Problem
from constrained_actmax.result import Budget, History, Status
from constrained_actmax.solvers.base import Solver
from constrained_actmax.solvers.selection import SOLVERS, current
from constrained_actmax.solving import solve
from constrained_actmax.tasks.recording import Recording


def resolved(method: str | Solver) -> str | Solver:
    """Return "auto", or the solver or entrant of a name; case does not matter.

    Raises
    ------
    SpecificationError
        If there is none of this name; near ones are suggested.
    """
    if isinstance(method, Solver):
        return method
    if not isinstance(method, str):
        raise SpecificationError(
            f"methods: expected a name or a Solver, got {type(method).__name__} {method!r}."
        )
    if method.casefold() == "auto":
        return "auto"
    known: dict[str, type[Solver]] = {**SOLVERS, **BASELINES}
    for name, kind in known.items():
        if name.casefold() == current(method):
            return kind()
    raise SpecificationError(f"methods: no {method!r}. {suggest(method, ['auto', *known], 30)}")


def play(
    labels: tuple[str, str, int],
    problem: Problem,
    method: str | Solver,
    x0: Vector,
    budget: Budget | None,
    tol: float | None,
    *,
    raising: bool = False,
) -> Trial:
    """Return the trial of a method; a refusal or an error becomes one with its reason.

    Parameters
    ----------
    labels : tuple of (str, str, int)
        Problem, method, number of the start.
    problem : Problem
        What is asked.
    method : str or Solver
        "auto", or a solver.
    x0 : numpy.ndarray, shape (n,)
        The start.
    budget : Budget, optional
        Of this trial.
    tol : float, optional
        As in `maximize`.
    raising : bool, default False
        Whether an error other than a refusal is raised.

    Raises
    ------
    KeyboardInterrupt
        If the user stopped the method.
    """
    try:
        if isinstance(method, Baseline):
            reason = method.refusal(problem)
            if reason is not None:
                raise RefusedError(reason)
            return _entrant(labels, problem, method, x0, budget, tol)
        return _library(labels, problem, method, x0, budget, tol)
    except RefusedError as refusal:
        return Trial(*labels, outcome="refused", reason=str(refusal))
    except Exception as error:  # another package's, a model's: one row of the table
        if raising:
            raise
        known = isinstance(error, ConstrainedActmaxError)
        words = str(error) if known else f"{type(error).__name__}: {error}"
        return Trial(*labels, outcome="failed", reason=" ".join(words.split())[:500])


def _library(
    labels: tuple[str, str, int],
    problem: Problem,
    method: str | Solver,
    x0: Vector,
    budget: Budget | None,
    tol: float | None,
) -> Trial:
    result = solve(
        problem, method=method, starts=x0[np.newaxis], budget=budget, tol=tol, progress=False
    )
    if result.status is Status.INTERRUPTED:
        raise KeyboardInterrupt
    end = (result.nfev, result.seconds, result.value, result.maxcv)
    return Trial(
        *labels,
        outcome="ran",
        reason=result.message,
        solver=result.method,
        value=result.value,
        violation=result.maxcv,
        stationarity=result.optimality.stationarity,
        feasible=result.feasible,
        raw_value=result.value,
        raw_violation=result.maxcv,
        status=result.status.name,
        nit=result.nit,
        evaluations=result.nfev,
        calls=result.calls,
        seconds=result.seconds,
        x=result.flat,
        raw=result.flat,
        history=_arrays(result.history, end),
    )


def _entrant(
    labels: tuple[str, str, int],
    problem: Problem,
    method: Baseline,
    x0: Vector,
    budget: Budget | None,
    tol: float | None,
) -> Trial:
    run = Recording(problem, 1, budget=budget, tolerance=stationarity_tolerance(problem, tol))
    ended = method.solve(run, x0[np.newaxis])[0]
    seconds, raw = run.seconds, ended.x
    if ended.status is Status.INTERRUPTED:
        raise KeyboardInterrupt
    if not np.isfinite(raw).all():
        raise SpecificationError(f"{method.name}: it returned numbers that are not finite.")
    x = problem.set.project(raw)
    before, after = (problem.evaluate(point[np.newaxis]) for point in (raw, x))
    point = measured(problem, x, after)
    kkt = point.optimality
    return Trial(
        *labels,
        outcome="ran",
        reason=ended.detail,
        solver=method.name,
        value=point.value,
        violation=kkt.violation,
        stationarity=kkt.stationarity,
        feasible=point.feasible,
        raw_value=problem.sign * float(before.f[0]),
        raw_violation=float(problem.violation(raw[np.newaxis], before.c)[0]),
        status=ended.status.name,
        nit=int(run.iterations[0]),
        evaluations=run.evaluations,
        calls=run.calls,
        seconds=seconds,
        x=x,
        raw=raw,
        history=_arrays(run.history, (run.evaluations, seconds, point.value, kkt.violation)),
    )


def _arrays(history: History, end: tuple[float, float, float, float]) -> dict[str, Vector]:
    return {
        name: np.asarray([*getattr(history, name), last], dtype=np.float64)
        for name, last in zip(("evaluations", "seconds", "value", "violation"), end, strict=True)
    }
