"""The calls that users make."""

from __future__ import annotations

import importlib.metadata
import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from constrained_actmax.callbacks import Callback, listener
from constrained_actmax.draws import uniform_points
from constrained_actmax.errors import RefusedError, SpecificationError, suggest
from constrained_actmax.layout import Rows, Structure, Vector
from constrained_actmax.optimality import measure
from constrained_actmax.oracles.base import BaseOracle
from constrained_actmax.oracles.finite_differences import central_pair
from constrained_actmax.problem import MODEL_OPTIONS, Evaluation, Problem, refuse_plain_function
from constrained_actmax.progress import Line
from constrained_actmax.result import (
    Budget,
    Failure,
    Optimality,
    Result,
    Start,
    Status,
    Termination,
)
from constrained_actmax.scales import PROBES, Scales
from constrained_actmax.sets.conversion import kept
from constrained_actmax.solvers.across_steps import solve_across_steps
from constrained_actmax.solvers.base import Solver
from constrained_actmax.solvers.selection import SOLVERS, refusal, select
from constrained_actmax.tasks.recording import Recording

if TYPE_CHECKING:
    from constrained_actmax.objectives.base import Objective

#: Default stationarity residual that counts as converged; at least the root of the model's relative
#: noise, below which its values cannot tell a step from noise.
TOLERANCE = 1e-6
#: A start moved by more than this, in units of the entries' sizes, is worth a note.
MOVED = 1e-9
#: What SciPy's `minimize` takes beside a function, and here the function's oracle.
OF_THE_FUNCTION = ("jac", "hess", "args")

Starts = int | Any


def maximize(
    model: Any,
    objective: Objective | list[Objective] | tuple[Objective, ...] | None = None,
    constraints: Any = (),
    *,
    x0: Structure | None = None,
    bounds: Any = None,
    method: str | Solver = "auto",
    starts: Starts = 1,
    seed: int | None = None,
    budget: Budget | None = None,
    tol: float | None = None,
    feasibility_tolerance: float | None = None,
    options: Mapping[str, Any] | None = None,
    callback: Callback | None = None,
    progress: Callback | bool | None = None,
    **model_options: Any,
) -> Any:
    r"""Find the input that makes an output of a trained model largest, among those allowed.

    .. math:: \max_x f(x) \quad\text{subject to}\quad x \in C, \quad l \le c(x) \le u

    Parameters
    ----------
    model : keras.Model, path, callable, Oracle or FunctionOracle
        The trained model; it is left as it is.
    objective : Objective or sequence of Objective, optional
        What should be large, such as ``Logit(7)``; left out for an oracle that has one. Several
        are solved side by side, sharing the calls of one compiled model.
    constraints : set, comparison or sequence of them, optional
        What is allowed, such as ``[Box(0, 1), L1Ball(60)]``. SciPy's constraint objects too; with
        `keep_feasible`, methods whose iterates break the constraint refuse.
    x0 : array_like or structure of them, optional
        Where to start, in the model's structure; projected on C. Without it, a seeded draw.
    bounds : scipy.optimize.Bounds, (low, high), iterable of n pairs, or (lower, upper), optional
        SciPy's form of a `Box`: two numbers are one pair for every entry, n pairs one for each
        entry of the flat input, two arrays lower and upper bounds. With n = 2 two arrays are
        refused, as they may be two pairs; write ``Box(lower, upper)`` or ``[(low, high), ...]``.
        As within a `Box`, no method calls a function outside.
    method : str or Solver, default "auto"
        A name, such as "annealed", "spg", "L-BFGS-B" or "SLSQP", or a configured solver.
    starts : int or array_like, default 1
        How many starts in all, `x0` among them; or the starts themselves, one a row (then no
        `x0`).
    seed : int, optional
        Seeds the draws; without it one is drawn and recorded.
    budget : Budget, optional
        Limits of the whole call.
    tol : float, optional
        Stationarity residual that counts as converged, a pure number (`Optimality`); by default
        1e-6, and for a model that computes in less than float64 the root of its noise (float32:
        3.5e-4).
    feasibility_tolerance : float, optional
        Largest violation of a constraint that is not projected on, in units of what its function
        changes over the set, a pure number; by default 1e-6, or ten times the model's noise
        where that is larger. An absolute ``tolerance=`` of a constraint wins.
    options : mapping, optional
        Settings of the method: SciPy's own keys for SciPy's methods, the fields of ours for ours.
    callback : callable, optional
        Called once an iteration, as SciPy does: ``f(intermediate_result)``, ``f(xk)`` or
        ``f(xk, state)``. StopIteration, or True, ends the run.
    progress : callable or bool, optional
        A function that is called like `callback`, before it. A line with the best value shows
        itself on a terminal and in a notebook when a run takes over a second; True or False
        forces it.
    **model_options
        `preprocess`, `labels`, `feature_names`, `input_shape`, `precision`, `xla`,
        `custom_objects`, `safe_mode`, `signature`: see `Oracle`.

    Returns
    -------
    Result, or list of Result and Failure for several objectives
        `x` is feasible if any feasible point was found, and the printed form says so first.

    Raises
    ------
    SpecificationError
        Bad input, before any model call.
    InfeasibleError
        If the convex constraints contradict each other.
    RefusedError
        If the method cannot take the problem; the message names one that can.
    ModelError
        If the model cannot be differentiated by its input.

    Examples
    --------
    >>> import constrained_actmax as cax
    >>> model = cax.examples.load_model()
    >>> result = cax.maximize(model, cax.Logit(7), [cax.Box(0, 1), cax.L1Ball(60)], seed=0)
    >>> result.feasible
    True
    """
    building = {"x0": x0, "bounds": bounds, "feasibility_tolerance": feasibility_tolerance}
    solving = {"method": method, "starts": starts, "seed": seed, "budget": budget, "tol": tol}
    solving |= {"options": options, "callback": callback, "progress": progress}
    return _answer("maximize", model, objective, constraints, building, solving, model_options)


def minimize(
    model: Any,
    objective: Objective | list[Objective] | tuple[Objective, ...] | None = None,
    constraints: Any = (),
    *,
    x0: Structure | None = None,
    bounds: Any = None,
    method: str | Solver = "auto",
    starts: Starts = 1,
    seed: int | None = None,
    budget: Budget | None = None,
    tol: float | None = None,
    feasibility_tolerance: float | None = None,
    options: Mapping[str, Any] | None = None,
    callback: Callback | None = None,
    progress: Callback | bool | None = None,
    **model_options: Any,
) -> Any:
    """Find the input that makes an output smallest: `maximize` with the other sign.

    Parameters and returns are those of `maximize`; ``result.value`` is the objective as written.
    """
    building = {"x0": x0, "bounds": bounds, "feasibility_tolerance": feasibility_tolerance}
    solving = {"method": method, "starts": starts, "seed": seed, "budget": budget, "tol": tol}
    solving |= {"options": options, "callback": callback, "progress": progress}
    return _answer("minimize", model, objective, constraints, building, solving, model_options)


def solve(
    problem: Problem,
    *,
    method: str | Solver = "auto",
    x0: Structure | None = None,
    starts: Starts = 1,
    seed: int | None = None,
    budget: Budget | None = None,
    tol: float | None = None,
    options: Mapping[str, Any] | None = None,
    callback: Callback | None = None,
    progress: Callback | bool | None = None,
) -> Result:
    """Solve a problem that was built before, in its own sense.

    Parameters
    ----------
    problem : Problem
        What is asked.
    method, x0, starts, seed, budget, tol, options, callback, progress
        See `maximize`.

    Returns
    -------
    Result
        See `maximize`.
    """
    _need_problem("solve", problem)
    if budget is not None and not isinstance(budget, Budget):
        raise SpecificationError(
            f"budget: expected Budget(evaluations=..., seconds=...), got {budget!r}."
        )
    heard = listener("callback", callback)
    tolerance = _tolerance(problem, tol)
    solver, reason = select(problem, method, options, budget)
    drawn_seed = _seed(seed)
    points, notes, used_seed = _starting_points(problem, x0, starts, drawn_seed)
    shown = progress if isinstance(progress, bool) else None
    watching = None if isinstance(progress, bool) else listener("progress", progress)
    if budget is not None and (budget.evaluations or len(points)) < len(points):
        raise SpecificationError(
            f"budget: {budget.evaluations} evaluations are fewer than the {len(points)} starts."
        )
    problem, interrupted = _probed(problem, budget)
    own = problem.scaled
    with Line(problem, budget, watching, shown) as line:
        run = Recording(
            own,
            len(points),
            budget=budget,
            callback=heard,
            tolerance=tolerance,
            progress=line if line.listens else None,
            reserve=not solver.stays_inside,
        )
        run.notes.extend(notes)
        if interrupted:
            for start, point in enumerate(own.point(points)):
                run.end(start, point, Status.INTERRUPTED, "Ctrl-C.")
            ended = [run.ended[start] for start in range(len(points))]
        elif problem.stepped.any():
            run.notes.append(_of_steps(problem))
            ended = solve_across_steps(run, solver, own.point(points))
        else:
            ended = solver.solve(run, own.point(points))
    return _result(problem, run, solver, reason, points, ended, used_seed)


@dataclass(frozen=True)
class Check:
    """What `check` found out.

    Attributes
    ----------
    problem : str
        The question in words.
    inputs : list of str
        Name and shape of each input.
    variables, constraints : int
        n and m.
    projection : str
        How the set projects, and what that costs.
    method : str
        What ``method="auto"`` would take, and why.
    refused : dict
        The other methods that cannot take the problem, with the reason.
    start_value, start_violation : float
        At a drawn start.
    gradient_error : float
        Relative difference between the derivative along one direction and a central difference.
    gradient_size : float
        ``max |gradient|`` at the start; 0 means that the objective is flat there.
    milliseconds : float
        One evaluation of one row, median.
    smooth : bool or None
        False where the network has kinks.
    scales : Scales
        The sizes that tolerances are measured in.
    tolerances : dict of str to float
        For each constraint on a function the violation that counts as none, in its own units.
    noise : float
        Relative noise of the objective's value: the machine epsilon of the model's arithmetic, or
        more where that was measured.
    stepped : str
        Inputs that reach the output only through steps, along which gradients are zero and points
        are compared by value; empty without any.
    """

    problem: str
    inputs: list[str]
    variables: int
    constraints: int
    projection: str
    method: str
    refused: dict[str, str]
    start_value: float
    start_violation: float
    gradient_error: float
    gradient_size: float
    milliseconds: float
    smooth: bool | None
    scales: Scales
    tolerances: dict[str, float]
    noise: float
    stepped: str

    def __str__(self) -> str:
        words = {True: "smooth", False: "with kinks (ReLU, max) or steps", None: "unknown"}
        kinks = words[self.smooth]
        lines = [
            self.problem,
            f"  inputs        {', '.join(self.inputs)}: {self.variables:,} variables",
            f"  objective     {kinks}; at a drawn start {self.start_value:.6g}, largest slope "
            f"{self.gradient_size:.3g}",
            f"  gradient      differs from a central difference by {self.gradient_error:.1e}",
            f"  noise         {self.noise:.1e} of the value; digits below are rounding",
            f"  projection    {self.projection}",
            f"  feasibility   violation {self.start_violation:.1e} at that start",
            f"  scales        entries {self.scales.describe_columns()}; objective "
            f"{self.scales.range:.3g} over {self.scales.evaluations} probes, typical slope "
            f"{self.scales.slope:.3g} over an entry's size",
            *(
                f"  tolerance     {name}: {allowed:.3g}"
                for name, allowed in self.tolerances.items()
            ),
            f"  auto takes    {self.method}",
            f"  one row       {self.milliseconds:.2f} ms",
        ]
        if self.stepped:
            lines.append(f"  steps         no gradient along {self.stepped}: compared by value")
        lines.extend(f"  refused       {reason}" for reason in self.refused.values())
        return "\n".join(lines)


def check(problem: Problem, *, x0: Structure | None = None, seed: int = 0) -> Check:
    """Look at a problem before solving it: shapes, gradient, feasibility, method, cost.

    Parameters
    ----------
    problem : Problem
        What is asked.
    x0 : array_like or structure of them, optional
        Where to look; by default the problem's own, else a drawn start.
    seed : int, default 0
        For the draw and for the direction of the gradient test.

    Returns
    -------
    Check
        Prints itself.
    """
    _need_problem("check", problem)
    rng = np.random.default_rng(seed)
    points, _, _ = _starting_points(problem, x0, 1, seed)
    points = np.clip(points, *problem.set.bounds())  # projections may be off by rounding
    x = points[0]
    found = problem.evaluate(points)
    seconds = []
    for _ in range(5):
        began = time.perf_counter()
        problem.evaluate(points)
        seconds.append(time.perf_counter() - began)
    # Each entry moves by a share of its own range: columns may have units of very unlike sizes.
    lower, upper = problem.set.bounding_box()
    width = np.where(np.isfinite(upper - lower), upper - lower, 2 * np.maximum(1.0, np.abs(x)))
    unit = rng.standard_normal(x.size)
    direction = unit / max(float(np.linalg.norm(unit)), np.finfo(np.float64).tiny) * width / 2
    bounds, step = problem.set.bounds(), problem.oracle.epsilon ** (1 / 3)
    direction[bounds[0] == bounds[1]] = 0.0
    trio, step = central_pair(x, direction, bounds, step)
    there = problem.evaluate(trio)
    difference = float(there.f[1] - there.f[2]) / (2 * step)
    slope = float(there.gradient[0] @ direction)
    refused = {}
    for name, kind in SOLVERS.items():
        reason = refusal(kind(), problem)
        if reason is not None:
            refused[name] = reason
    try:
        solver, why = select(problem, "auto", None)
        method = f"{solver.name}: {why}"
    except RefusedError as error:
        method = f"none: {error}"
    return Check(
        problem=repr(problem),
        inputs=[f"{one.name} {one.shape}" for one in problem.layout.inputs],
        variables=problem.size,
        constraints=problem.constraints,
        projection=problem.set.projection_method,
        method=method,
        refused=refused,
        start_value=problem.sign * float(found.f[0]),
        start_violation=float(problem.violation(points, found.c)[0]),
        gradient_error=abs(difference - slope) / max(abs(slope), abs(difference), 1e-12),
        gradient_size=float(np.max(np.abs(found.gradient[0]), initial=0.0)),
        milliseconds=1e3 * float(np.median(seconds)),
        smooth=problem.smooth,
        scales=problem.scales,
        tolerances=dict(
            zip((one.description for one in problem.imposed), problem.tolerances, strict=True)
        ),
        noise=problem.oracle.epsilon,
        stepped=problem.stepped_names,
    )


def _answer(
    sense: Literal["maximize", "minimize"],
    model: Any,
    objective: Objective | list[Objective] | tuple[Objective, ...] | None,
    constraints: Any,
    building: Mapping[str, Any],
    solving: Mapping[str, Any],
    model_options: Mapping[str, Any],
) -> Result | list[Result | Failure]:
    """Build the problem and solve it, or those of several objectives."""
    for name in model_options:
        if name in OF_THE_FUNCTION:
            raise SpecificationError(
                f"{sense}: {name}= belongs to the function; write "
                f"FunctionOracle(function, shape, {name}=...) in the place of the model."
            )
        if name not in MODEL_OPTIONS:
            known = ["objective", "constraints", *building, *solving, *MODEL_OPTIONS]
            raise SpecificationError(f"{sense}: no option {name!r}. {suggest(name, known, 20)}")
    building = {**building, **model_options}
    if isinstance(objective, list | tuple):
        return _each(sense, model, objective, constraints, building, solving)
    problem = Problem(model, objective, constraints, sense=sense, **building)
    return solve(problem, x0=building["x0"], **solving)


def _each(
    sense: Literal["maximize", "minimize"],
    model: Any,
    objectives: Sequence[Objective],
    constraints: Any,
    building: Mapping[str, Any],
    solving: Mapping[str, Any],
) -> list[Result | Failure]:
    """Solve for each of several objectives on one model, sharing its calls."""
    from constrained_actmax.oracles.oracle import Oracle
    from constrained_actmax.sweeps import solve_many

    refuse_plain_function(model, building)
    if not objectives:
        raise SpecificationError(f"{sense}: the list of objectives is empty.")
    common = dict(solving)
    if callable(common.pop("progress")):
        raise SpecificationError(
            "progress: several objectives run side by side; give it to a call with one objective, "
            "or give callback."
        )
    named = {**building, "bounds": kept(building["bounds"])}
    if not isinstance(model, BaseOracle):
        ours = {name: named.pop(name) for name in list(named) if name in MODEL_OPTIONS}
        model = Oracle(model, **ours)
    problems = [Problem(model, one, constraints, sense=sense, **named) for one in objectives]
    return solve_many(problems, **common)


def _need_problem(who: str, problem: Any) -> None:
    if not isinstance(problem, Problem):
        raise SpecificationError(
            f"{who}: expected Problem(model, objective, constraints), "
            f"got {type(problem).__name__}; maximize and minimize take a model."
        )


def _tolerance(problem: Problem, tol: float | None) -> float:
    if tol is None:
        return max(TOLERANCE, float(np.sqrt(problem.oracle.epsilon)))
    try:
        tolerance = float(tol)
    except (TypeError, ValueError):
        tolerance = np.nan
    if not (np.isfinite(tolerance) and tolerance > 0):
        raise SpecificationError(f"tol: must be a number > 0, got {tol!r}.")
    return tolerance


def _seed(seed: int | None) -> int:
    if seed is None:
        return int(np.random.SeedSequence().generate_state(1)[0])
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise SpecificationError(f"seed: must be an integer >= 0, got {seed!r}.")
    return int(seed)


def _starting_points(
    problem: Problem, x0: Structure | None, starts: Starts, seed: int
) -> tuple[Rows, list[str], int | None]:
    """Return the starts inside C (B, n), notes on those that were moved, and the seed if used."""
    project = problem.set.project
    if isinstance(starts, bool):
        raise SpecificationError(f"starts: expected a number or an array, got {starts!r}.")
    if not isinstance(starts, int | np.integer):
        if x0 is not None:
            raise SpecificationError("starts: an array gives them all; leave x0 out.")
        given = problem.layout.rows(starts, "starts")
        inside = project(given)
        moved = [row for row in range(len(given)) if _moved(problem, given[row], inside[row])]
        notes = []
        if moved:
            notes.append(f"{len(moved)} of {len(given)} starts were outside C and were projected.")
        return inside, notes, None
    if starts < 1:
        raise SpecificationError(f"starts: must be >= 1, got {starts!r}.")
    first = problem.x0 if x0 is None else problem.layout.flatten(x0, "x0")
    points: list[Vector] = []
    notes = []
    if first is not None:
        inside = project(first)
        if _moved(problem, first, inside):
            distance = float(np.linalg.norm(inside - first))
            notes.append(f"x0 was outside C and was projected, {distance:.3g} away.")
        points.append(inside)
    draws = int(starts) - len(points)
    if draws:
        feasible, (sizes, _) = problem.set, problem.column_sizes
        points.extend(project(uniform_points(feasible, draws, seed, feasible.centre(), sizes)))
    return np.stack(points), notes, seed if draws else None


def _probed(problem: Problem, budget: Budget | None) -> tuple[Problem, bool]:
    """Measure the problem's scales; without probes where the budget or the user does not let them.

    Returns
    -------
    problem : Problem
        With its scales.
    interrupted : bool
        Whether Ctrl-C ended the probes.
    """
    if "scales" in vars(problem):
        return problem, False
    if budget is not None and (budget.evaluations or PROBES) < PROBES:
        return problem.unprobed(), False
    try:
        problem.scales  # noqa: B018 - measured here, where an interruption can be answered
    except KeyboardInterrupt:
        return problem.unprobed(), True
    return problem, False


def _moved(problem: Problem, given: Vector, inside: Vector) -> bool:
    if np.array_equal(given, inside):
        return False
    sizes, _ = problem.column_sizes
    far = np.abs(given - inside) > MOVED * np.where(sizes > 0, sizes, np.abs(inside))
    return bool(far.any())


def _result(
    problem: Problem,
    run: Recording,
    solver: Solver,
    reason: str,
    points: Rows,
    ended: list[Termination],
    seed: int | None,
) -> Result:
    measured = [
        _measured(problem, run, start, points[start], one, solver.measures_gap)
        for start, one in enumerate(ended)
    ]
    feasible = [row for row, (one, _) in enumerate(measured) if one.feasible]
    if feasible:
        best = min(feasible, key=lambda row: problem.sign * measured[row][0].value)
    else:
        best = min(range(len(measured)), key=lambda row: measured[row][0].violation)
    _, found = run.returned(best, ended[best].x)
    found = run.problem.unscaled(found)
    if not feasible and problem.scales.best is not None:
        measured[best], found = _probe(problem, measured[best][0], solver.measures_gap)
    chosen, optimality = measured[best]
    status = chosen.status if chosen.feasible else Status.INFEASIBLE
    if chosen.status is Status.NON_FINITE and not chosen.feasible:
        status = Status.NON_FINITE
    message = status.sentence
    if chosen.detail and status not in (Status.CONVERGED,):
        message = f"{message} ({chosen.detail.strip().rstrip('.')}.)"
    if any(one.status is Status.INTERRUPTED for one, _ in measured):
        status = Status.INTERRUPTED if chosen.feasible else status
        message = status.sentence
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
        nfev=run.rows,
        calls=run.calls,
        nit=chosen.nit,
        seconds=run.seconds,
        method=solver.name,
        reason=reason,
        sense=problem.sense,
        objective=problem.objective_text,
        starts=[one for one, _ in measured],
        history=run.history,
        seed=seed,
        notes=run.notes,
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
        certificate=run.certificate,
    )


def _measured(
    problem: Problem, run: Recording, start: int, x0: Vector, ended: Termination, gap: bool
) -> tuple[Start, Optimality]:
    """Measure the best point of one start again, projected on C once more."""
    y, found = run.returned(start, ended.x)
    if not problem.oracle.differentiable:
        found = run.differenced(y)
    x = run.problem.original(y)
    found = run.problem.unscaled(found)
    optimality = measure(problem, x, found, gap=gap)
    feasible = bool(problem.feasible(x[np.newaxis], found.c)[0]) and bool(found.finite[0])
    status, detail = ended.status, ended.detail
    if status is Status.INFEASIBLE and feasible:  # the search ended outside, and had been inside
        status = Status.STALLED
    slack = max(run.problem.feasibility_tolerance, run.tolerance)
    missed = []
    if optimality.stationarity > run.tolerance:
        missed.append(f"residual {optimality.stationarity:.2g} > tol {run.tolerance:.2g}")
    if optimality.complementarity > slack:
        missed.append(f"complementarity {optimality.complementarity:.2g} > {slack:.2g}")
    stationary = not missed
    if status is Status.CONVERGED and missed:
        status = Status.STALLED
        words = " and ".join(missed)
        detail = f"{detail} {words[0].upper()}{words[1:]}."
    elif status in (Status.STALLED, Status.BUDGET) and stationary and feasible:
        status = Status.CONVERGED
    if status is Status.CONVERGED and problem.stepped.any():
        status, detail = Status.STALLED, _of_steps(problem)
    scales = problem.scales
    steepest = float(np.max(np.abs(found.gradient[0]), initial=0.0))
    stayed = float(np.max(np.abs(x - x0) / scales.columns, initial=0.0)) <= run.tolerance
    slopes = np.abs(found.gradient[0]) * scales.columns
    flat = stayed and float(np.max(slopes, initial=0.0)) <= run.tolerance * max(
        scales.slope, abs(float(found.f[0]))
    )
    if status is Status.CONVERGED and flat and _saturates(problem):
        # Every point passes the test of stationarity where the slopes are below tol.
        status = Status.ZERO_GRADIENT
        detail = (
            f"The largest slope is {steepest:.1g}, below tol: the output is saturated. Ask for "
            "Logit or LogProbability, which have slopes there."
        )
    return (
        Start(
            x0=x0,
            x=x,
            value=problem.sign * float(found.f[0]),
            feasible=feasible,
            violation=optimality.violation,
            stationarity=optimality.stationarity,
            status=status,
            nit=ended.iterations,
            detail=detail.strip(),
        ),
        optimality,
    )


def _probe(
    problem: Problem, start: Start, gap: bool
) -> tuple[tuple[Start, Optimality], Evaluation]:
    """Return the best feasible probe as the end of a start that found no feasible point."""
    assert problem.scales.best is not None
    x, found = problem.scales.best
    optimality = measure(problem, x, found, gap=gap)
    infeasible = start.status is Status.INFEASIBLE
    note = "The method found no feasible point; this is the best of the probes for the scales."
    ended = replace(
        start,
        x=x,
        value=problem.sign * float(found.f[0]),
        feasible=True,
        violation=optimality.violation,
        stationarity=optimality.stationarity,
        status=Status.STALLED if infeasible else start.status,
        detail=f"{start.detail} {note}".strip(),
    )
    return (ended, optimality), found


def _of_steps(problem: Problem) -> str:
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
    found = {"python": platform.python_version()}
    for name in names:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def versions() -> dict[str, str]:
    """Return the versions of what computes a result."""
    return dict(_installed())
