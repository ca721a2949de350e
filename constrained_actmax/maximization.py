"""The calls that users make."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, TypedDict, Unpack, overload

from constrained_actmax.callbacks import Callback
from constrained_actmax.errors import SpecificationError, suggest
from constrained_actmax.layout import Structure
from constrained_actmax.oracles.base import BaseOracle
from constrained_actmax.problem import MODEL_OPTIONS, Problem, refuse_plain_function
from constrained_actmax.result import Budget, Failure, Result
from constrained_actmax.sets.conversion import kept
from constrained_actmax.solvers.base import Solver
from constrained_actmax.solving import budget_after, solve
from constrained_actmax.starting_points import Starts
from constrained_actmax.sweeps import solve_many

if TYPE_CHECKING:
    from constrained_actmax.objectives.base import Objective


#: What SciPy's `minimize` takes beside a function, and here the function's oracle.
OF_THE_FUNCTION = ("jac", "hess", "args")


class Options(TypedDict, total=False):
    """What `maximize` and `minimize` take by name; see there."""

    x0: Structure | None
    bounds: Any
    method: str | Solver
    starts: Starts
    seed: int | None
    budget: Budget | None
    target: float | None
    tol: float | None
    feasibility_tolerance: float | None
    options: Mapping[str, Any] | None
    callback: Callback | None
    progress: Callback | bool | None
    preprocess: Any
    labels: Any
    feature_names: Any
    input_shape: Any
    precision: Any
    xla: bool
    custom_objects: Mapping[str, Any] | None
    safe_mode: bool
    signature: str


@overload
def maximize(
    model: Any,
    objective: Objective | None = None,
    constraints: Any = (),
    **options: Unpack[Options],
) -> Result: ...


@overload
def maximize(
    model: Any,
    objective: list[Objective] | tuple[Objective, ...],
    constraints: Any = (),
    **options: Unpack[Options],
) -> list[Result | Failure]: ...


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
    target: float | None = None,
    tol: float | None = None,
    feasibility_tolerance: float | None = None,
    options: Mapping[str, Any] | None = None,
    callback: Callback | None = None,
    progress: Callback | bool | None = None,
    **model_options: Any,
) -> Result | list[Result | Failure]:
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
        A name, such as "successive-halving", "spg", "L-BFGS-B" or "SLSQP", or a configured solver.
    starts : int or array_like, default 1
        How many starts in all, `x0` among them; or the starts themselves, one a row (then no
        `x0`).
    seed : int, optional
        Seeds the draws; without it one is drawn and recorded.
    budget : Budget, optional
        Limits of the whole call.
    target : float, optional
        Stops at the first feasible point whose value is at least as good in the sense of the call:
        ``result.status`` is then ``Status.TARGET``, a success that means just that.
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
        itself on a terminal and in a notebook when a run takes over a second, and a log gets a
        line every half minute; True forces the former, False keeps both silent.
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
    solving |= {"options": options, "callback": callback, "progress": progress, "target": target}
    return _answer("maximize", model, objective, constraints, building, solving, model_options)


@overload
def minimize(
    model: Any,
    objective: Objective | None = None,
    constraints: Any = (),
    **options: Unpack[Options],
) -> Result: ...


@overload
def minimize(
    model: Any,
    objective: list[Objective] | tuple[Objective, ...],
    constraints: Any = (),
    **options: Unpack[Options],
) -> list[Result | Failure]: ...


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
    target: float | None = None,
    tol: float | None = None,
    feasibility_tolerance: float | None = None,
    options: Mapping[str, Any] | None = None,
    callback: Callback | None = None,
    progress: Callback | bool | None = None,
    **model_options: Any,
) -> Result | list[Result | Failure]:
    """Find the input that makes an output smallest: `maximize` with the other sign.

    Parameters and returns are those of `maximize`; ``result.value`` is the objective as written.
    """
    building = {"x0": x0, "bounds": bounds, "feasibility_tolerance": feasibility_tolerance}
    solving = {"method": method, "starts": starts, "seed": seed, "budget": budget, "tol": tol}
    solving |= {"options": options, "callback": callback, "progress": progress, "target": target}
    return _answer("minimize", model, objective, constraints, building, solving, model_options)


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
    began = time.perf_counter()
    problem = Problem(model, objective, constraints, sense=sense, **building)
    elapsed = time.perf_counter() - began
    result = solve(problem, x0=building["x0"], **_after(elapsed, solving))
    return replace(result, seconds=elapsed + result.seconds)


def _after(elapsed: float, solving: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the settings with what a limit of seconds leaves after so many."""
    return {**solving, "budget": budget_after(elapsed, solving["budget"])}


def _each(
    sense: Literal["maximize", "minimize"],
    model: Any,
    objectives: Sequence[Objective],
    constraints: Any,
    building: Mapping[str, Any],
    solving: Mapping[str, Any],
) -> list[Result | Failure]:
    """Solve for each of several objectives on one model, sharing its calls."""
    began = time.perf_counter()
    from constrained_actmax.oracles.oracle import Oracle

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
    problems = [
        Problem(model, objective, constraints, sense=sense, **named) for objective in objectives
    ]
    return solve_many(problems, **_after(time.perf_counter() - began, common))
