"""A `Result` from a finished run: every number measured by the library at the returned point."""

from __future__ import annotations

import importlib.metadata
import platform
from dataclasses import asdict, dataclass, replace
from functools import cache

import numpy as np

from constrained_actmax.certificate import Certificate
from constrained_actmax.errors import SpecificationError
from constrained_actmax.evaluation import Evaluation
from constrained_actmax.layout import Rows, Vector
from constrained_actmax.optimality import measure
from constrained_actmax.problem import Problem
from constrained_actmax.quoting import quoted
from constrained_actmax.result import (
    FIRST_ORDER,
    LOCAL_OPTIMUM,
    SUCCESSES,
    UNDECIDED,
    WHOLE,
    Optimality,
    Result,
    Start,
    Status,
    Termination,
)
from constrained_actmax.solvers.base import Solver
from constrained_actmax.tasks.recording import Recording

#: Default stationarity residual that counts as converged; at least the root of the model's relative
#: noise, below which its values cannot tell a step from noise.
TOLERANCE = 1e-6
#: By what share of the objective's range the returned value may fall short of the proven one:
#: float32 against float64, and the use of the tolerances of constraints.
PROVEN_SLACK = 1e-3
#: How runs end that could not go on to what a probe had come to.
FAILED = (Status.NON_FINITE, Status.SOLVER_ERROR)


@dataclass(frozen=True)
class Measured:
    """A point as the library measures it, whoever found it.

    Parameters
    ----------
    x : numpy.ndarray, shape (n,)
        The point, in the user's units.
    value : float
        The objective as written.
    feasible : bool
        Whether every constraint holds to its tolerance and every number is finite.
    evaluation : Evaluation
        What the model says there.
    optimality : Optimality
        Residuals and one record for each constraint.
    """

    x: Vector
    value: float
    feasible: bool
    evaluation: Evaluation
    optimality: Optimality


def measured(
    problem: Problem,
    x: Vector,
    evaluation: Evaluation,
    *,
    gap: bool = False,
    across_below: float = np.inf,
) -> Measured:
    """Measure one point from the evaluation that was made there; see `measure`."""
    value = problem.sign * float(evaluation.f[0])
    # Without gradients the differences beside a point are no part of what is known of it.
    finite = bool(evaluation.finite[0]) if problem.oracle.differentiable else np.isfinite(value)
    feasible = bool(problem.feasible(x[np.newaxis], evaluation.c)[0]) and bool(finite)
    optimality = measure(problem, x, evaluation, gap=gap, across_below=across_below)
    return Measured(x, value, feasible, evaluation, optimality)


def stationarity_tolerance(problem: Problem, tol: float | None) -> float:
    """Return the stationarity residual that counts as converged: `tol`, or the default.

    Raises
    ------
    SpecificationError
        If it is no number > 0.
    """
    if tol is None:
        return max(TOLERANCE, float(np.sqrt(problem.oracle.epsilon)))
    try:
        tolerance = float(tol)
    except (TypeError, ValueError):
        tolerance = np.nan
    if not (np.isfinite(tolerance) and tolerance > 0):
        raise SpecificationError(f"tol: must be a number > 0, got {quoted(tol)}.")
    return tolerance


def measured_result(
    problem: Problem,
    run: Recording,
    solver: Solver,
    reason: str,
    points: Rows,
    ended: list[Termination],
    seed: int | None,
) -> Result:
    """Return the result of a finished run: its best start, measured in the user's units.

    Parameters
    ----------
    problem : Problem
        What was asked.
    run : Recording
        The task that the solver worked on.
    solver, reason : Solver, str
        Who ran, and why `auto` took it.
    points : numpy.ndarray, shape (B, n)
        Where the starts began.
    ended : list of Termination
        How each of them ended.
    seed : int or None
        What they were drawn with.
    """
    gap = solver.measures_gap
    measured, best = _measured_starts(problem, run, points, ended, gap)
    probe = _probe(problem, measured[best][0], gap)
    if probe is not None:
        measured[best] = probe
        if run.reaches(measured[best][0].value):
            measured[best] = replace(measured[best][0], status=Status.TARGET), measured[best][1]
    chosen, optimality = measured[best]
    interrupted = any(record.status is Status.INTERRUPTED for record, _ in measured)
    certificate = None
    if run.proof is not None:
        known = chosen.x if chosen.feasible else None
        certificate = run.proof.certificate(known, PROVEN_SLACK)
    status, message = _status_of(problem, certificate, chosen, interrupted=interrupted)
    return Result(
        x=problem.layout.unflatten(chosen.x),
        batch=problem.user_oracle.batch(chosen.x),
        value=chosen.value,
        fun=problem.sign * chosen.value,
        feasible=chosen.feasible,
        maxcv=chosen.violation,
        optimality=optimality,
        status=status,
        message=message,
        nfev=run.evaluations,
        calls=run.calls,
        nit=chosen.nit,
        seconds=run.seconds,
        method=solver.name,
        reason=reason,
        sense=problem.sense,
        objective=problem.objective_text,
        starts=[record for record, _ in measured],
        history=run.history,
        seed=seed,
        notes=[*run.notes, *problem.remarks(chosen.x)],
        tables=tuple(record.table for record in problem.features),
        x0=problem.x0,
        layout=problem.layout,
        bounds=problem.set.bounds(),
        settings={
            "solver": asdict(solver),
            "model": problem.user_oracle.describe(),
            "tol": run.tolerance,
            "feasibility_tolerance": problem.feasibility_tolerance,
            "scales": problem.scales.to_dict(),
        },
        versions=versions(),
        certificate=certificate,
    )


def _measured_starts(
    problem: Problem, run: Recording, points: Rows, ended: list[Termination], gap: bool
) -> tuple[list[tuple[Start, Optimality]], int]:
    """Measure all starts; return the best too: feasible before others, then by value."""
    # A program across kinks costs more than a short run: it measures the answer and what else
    # would be called converged.
    claimed = [len(ended) == 1 or end.status is Status.CONVERGED for end in ended]
    measured = [
        _measured(problem, run, start, points[start], end, gap, np.inf if claim else run.tolerance)
        for start, (end, claim) in enumerate(zip(ended, claimed, strict=True))
    ]

    def rank(row: int) -> tuple[bool, float]:
        start = measured[row][0]
        return not start.feasible, problem.sign * start.value if start.feasible else start.violation

    best = min(range(len(measured)), key=rank)
    if problem.smooth is False and not claimed[best]:
        measured[best] = _measured(problem, run, best, points[best], ended[best], gap, np.inf)
    return measured, best


def _status_of(
    problem: Problem, certificate: Certificate | None, chosen: Start, *, interrupted: bool
) -> tuple[Status, str]:
    """Return a run's status by its best start, and its message."""
    status = chosen.status if chosen.feasible else Status.INFEASIBLE
    if chosen.status is Status.NON_FINITE and not chosen.feasible:
        status = Status.NON_FINITE
    if status is Status.PROVEN and certificate is not None:
        named = certificate.x is not None and np.array_equal(certificate.x, chosen.x)
        short = problem.sign * (chosen.value - certificate.best_value)
        far = short > certificate.gap + PROVEN_SLACK * problem.scales.range
        if far or not (named and certificate.proven):
            status = Status.STALLED  # another point is the proven one
    if interrupted and chosen.feasible:
        status = Status.INTERRUPTED
    message = status.message(feasible=chosen.feasible, smooth=problem.smooth)
    if interrupted:
        return status, message
    # What a method says of its own success is no reason for another status.
    if status is Status.CONVERGED and chosen.detail.startswith((LOCAL_OPTIMUM, FIRST_ORDER)):
        message = f"Converged. {chosen.detail}"
    elif status in WHOLE and chosen.detail.startswith(WHOLE[status]):
        message = chosen.detail
    elif chosen.detail and Status.CONVERGED not in (status, chosen.status):
        detail = chosen.detail.strip()
        aside = detail.endswith(")")  # it ends with an aside of its own
        message = f"{message} {detail}" if aside else f"{message} ({detail.rstrip('.')}.)"
    return status, message


def _measured(
    problem: Problem,
    run: Recording,
    start: int,
    x0: Vector,
    ended: Termination,
    gap: bool,
    across_below: float,
) -> tuple[Start, Optimality]:
    """Measure the best point of one start again, projected on C once more."""
    y, evaluation = run.returned(start, ended.x)
    if not problem.oracle.differentiable:
        # What the search saw there counts, also where the function has failed since.
        near = run.differenced(y)
        evaluation = replace(
            evaluation, gradient=near.gradient, jacobian=near.jacobian, finite=near.finite
        )
    x = run.problem.original(y)
    point = measured(
        problem, x, run.problem.unscaled(evaluation), gap=gap, across_below=across_below
    )
    status, detail = _judged(problem, run, point, x0, ended)
    return (
        Start(
            x0=x0,
            x=x,
            value=point.value,
            feasible=point.feasible,
            violation=point.optimality.violation,
            stationarity=point.optimality.stationarity,
            status=status,
            nit=ended.iterations,
            detail=detail.strip(),
        ),
        point.optimality,
    )


def _judged(
    problem: Problem, run: Recording, point: Measured, x0: Vector, ended: Termination
) -> tuple[Status, str]:
    """Return how a start ended by what was measured at its best point, and why."""
    optimality, feasible = point.optimality, point.feasible
    status, detail, convex = ended.status, ended.detail, problem.set.convex
    reached = feasible and run.reaches(point.value)
    if status is Status.TARGET and not reached:
        status, detail = Status.STALLED, "Another start reached the target."
    if status is Status.FEASIBLE and run.targeted:
        status = Status.BUDGET
    if status is Status.INFEASIBLE and feasible:  # the search ended outside, and had been inside
        status, detail = Status.STALLED, "The search ended at a point that breaks a constraint."
    slack = max(run.problem.feasibility_tolerance, run.tolerance)
    missed = []
    if not optimality.stationarity <= run.tolerance:  # NaN where a difference is not finite
        missed.append(f"residual {optimality.stationarity:.2g} > tol {run.tolerance:.2g}")
    if optimality.complementarity > slack:
        missed.append(f"complementarity {optimality.complementarity:.2g} > {slack:.2g}")
    stationary = not missed
    if status is Status.CONVERGED and missed:
        status = Status.STALLED
        words = " and ".join(missed)
        detail = f"{words[0].upper()}{words[1:]}."
        if optimality.undecided_kinks:
            detail = UNDECIDED.format(optimality.undecided_kinks)
    elif status in (Status.STALLED, Status.BUDGET) and stationary and feasible and convex:
        status = Status.CONVERGED
    if reached:
        status, detail = Status.TARGET, ""
    if status is Status.CONVERGED and not convex:
        # The residual is that of the entries that may move while the discrete ones are held.
        status, detail = Status.STALLED, "The set is not convex: no residual proves an optimum."
    if status is Status.CONVERGED and problem.stepped.any():
        status, detail = Status.STALLED, of_steps(problem)
    if status is Status.CONVERGED and _flat(problem, point, x0, run.tolerance):
        # Every point passes the test of stationarity where the slopes are below tol.
        status = Status.ZERO_GRADIENT
        steepest = np.max(np.abs(point.evaluation.gradient[0]), initial=0.0)
        detail = (
            f"The largest slope is {steepest:.1g}, below tol: the output is saturated. Ask for "
            "Logit or LogProbability, which have slopes there."
        )
    return status, detail


def _flat(problem: Problem, point: Measured, x0: Vector, tolerance: float) -> bool:
    """Whether a start stayed where it began because a saturated output has no slope there."""
    scales, evaluation = problem.scales, point.evaluation
    moved = float(np.max(np.abs(point.x - x0) / scales.columns, initial=0.0))
    slope = float(np.max(np.abs(evaluation.gradient[0]) * scales.columns, initial=0.0))
    least = tolerance * max(scales.slope, abs(float(evaluation.f[0])))
    return moved <= tolerance and slope <= least and _saturates(problem)


def _probe_is_better(problem: Problem, start: Start) -> bool:
    """Whether the best feasible probe is the answer: no other is feasible, or a run lost it.

    Runs lose it where functions fail, and of functions without gradients, whose evaluations are
    dear, every one counts. What has converged stays the answer.
    """
    known = problem.scales.best
    if known is None or not start.feasible:
        return known is not None
    if start.status in SUCCESSES or (problem.oracle.differentiable and start.status not in FAILED):
        return False
    return bool(known[1].f[0] < problem.sign * start.value)


def _probe(problem: Problem, start: Start, gap: bool) -> tuple[Start, Optimality] | None:
    """Return the best feasible probe as the end of a start that has no point as good."""
    if problem.scales.best is None or not _probe_is_better(problem, start):
        return None
    x, evaluation = problem.scales.best
    point = measured(problem, x, evaluation, gap=gap)
    if not point.feasible:  # by the scales at the answer
        return None
    optimality = point.optimality
    ended = Status.STALLED if problem.merit is None else Status.FEASIBLE
    note = "The method found no feasible point; this is the best of the probes for the scales."
    if start.feasible:
        note = "The best of the probes for the scales is better than what the method found."
    return replace(
        start,
        x=x,
        value=point.value,
        feasible=True,
        violation=optimality.violation,
        stationarity=optimality.stationarity,
        status=ended if start.status is Status.INFEASIBLE else start.status,
        detail=f"{start.detail} {note}".strip(),
    ), optimality


def of_steps(problem: Problem) -> str:
    """Say along which inputs gradients are zero though the value changes."""
    return (
        f"Along {problem.stepped_names} values change in steps, which no gradient shows; they were "
        "compared by value where bounds are finite."
    )


def _saturates(problem: Problem) -> bool:
    """Whether the objective is bounded on both sides, as a probability is."""
    bounded = getattr(problem.user_oracle, "bounded", ())
    return bool(bounded and bounded[0].above and bounded[0].below)


@cache
def _installed() -> dict[str, str]:
    names = ("constrained-actmax", "numpy", "scipy", "tensorflow", "keras", "cvxpy")
    versions_ = {"python": platform.python_version()}
    for name in names:
        try:
            versions_[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions_[name] = "not installed"
    return versions_


def versions() -> dict[str, str]:
    """Return the versions of what computes a result."""
    return dict(_installed())
