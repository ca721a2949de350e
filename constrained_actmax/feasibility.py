"""Any input that keeps all constraints, with as much slack as the budget allows."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import numpy as np

from constrained_actmax.callbacks import Callback
from constrained_actmax.errors import RefusedError, SpecificationError, suggest
from constrained_actmax.evaluation import Evaluation
from constrained_actmax.layout import Structure
from constrained_actmax.objectives.squared_distance import SquaredDistance
from constrained_actmax.oracles.base import BaseOracle
from constrained_actmax.oracles.oracle import Oracle
from constrained_actmax.problem import MODEL_OPTIONS, Problem
from constrained_actmax.result import Budget, Result
from constrained_actmax.scales import PROBES, probed
from constrained_actmax.solvers.least_violation import LeastViolation, violation
from constrained_actmax.solving import budget_after, check_budget, check_target, solve
from constrained_actmax.starting_points import Starts

#: The objective where a budget has no room for probes: then sizes are those of the bounds, or 1.
UNMEASURED = (
    f"least slack (over the bounds' sizes, what a budget below {PROBES} evaluations allows)"
)


class LeastSlack:
    r"""The least slack of bounds on functions, in the place of f.

    .. math:: s(x) = \min_j \min(u_j - c_j(x),\, c_j(x) - l_j) / k_j

    with k what each function changes over the set (`Scales`). A point is feasible exactly where
    every constraint holds, and then s is at least 0, up to the tolerance.

    Parameters
    ----------
    problem : Problem
        With its scales.
    """

    def __init__(self, problem: Problem) -> None:
        sizes = problem.scales.constraints
        self._sizes, self._lower, self._upper = sizes, problem.lower / sizes, problem.upper / sizes
        #: Whether it is one function of c, and no minimum of several.
        self.smooth = np.isfinite(problem.lower).sum() + np.isfinite(problem.upper).sum() == 1

    def __call__(self, evaluation: Evaluation) -> Evaluation:
        """Return an evaluation with the slack's negative and its gradient for f and its own."""
        c, jacobian = evaluation.c / self._sizes, evaluation.jacobian / self._sizes[:, np.newaxis]
        h, slopes = violation(self._lower, self._upper, c, jacobian)
        rows, worst = np.arange(len(h)), np.argmax(h, axis=1)
        return replace(evaluation, f=h[rows, worst], gradient=slopes[rows, worst], written=None)


def of_least_slack(problem: Problem) -> Problem:
    """Return the problem that maximises the least slack under the same constraints."""
    slack, scales = LeastSlack(problem), problem.scales
    best = None if scales.best is None else (scales.best[0], slack(scales.best[1]))
    other = problem.in_scales(replace(scales, slope=1.0, range=1.0, best=best))
    other.sense, other.merit = "maximize", slack
    other.objective_text = "least slack" if scales.evaluations else UNMEASURED
    return other


def find_feasible(
    model: Any,
    constraints: Any,
    *,
    x0: Structure | None = None,
    bounds: Any = None,
    starts: Starts = 1,
    seed: int | None = None,
    budget: Budget | None = None,
    target: float | None = None,
    feasibility_tolerance: float | None = None,
    callback: Callback | None = None,
    progress: Callback | bool | None = None,
    **model_options: Any,
) -> Result:
    r"""Find any input that keeps all constraints, and make the least slack of them large.

    .. math:: \max_{x \in C} \min_j \min(u_j - c_j(x),\, c_j(x) - l_j) / k_j

    with k what each function changes over the set, so that the value is a pure number: 0.1 means
    that every bound could be tighter by a tenth of what its function changes. A budget below 16
    evaluations does not measure that: then k is the size of the bound, or 1 where that is 0, and
    the result's objective says so. The starts and draws
    from C take proximal linear steps side by side, and those that get no further make room for
    other draws (``solvers/least_violation.py``).

    Parameters
    ----------
    model : keras.Model, path, callable, Oracle or FunctionOracle
        The trained model; it is left as it is.
    constraints : set, comparison or sequence of them
        What is allowed, as `maximize` takes it; one of them at least on an output or a `Function`.
    x0, bounds, starts, seed, feasibility_tolerance, callback, progress
        See `maximize`.
    budget : Budget, optional
        Limits of the whole call; seconds alone are spent. Without any it has 1000 evaluations, 2
        more for each input up to 1000 of them, and 100 more for each further start.
    target : float, optional
        Least slack at which the search stops; ``target=0`` stops at the first feasible point.
    **model_options
        As in `maximize`.

    Returns
    -------
    Result
        Its `value` is the least slack. A feasible point is a success: the status is FEASIBLE, or
        TARGET where a target was given and reached. Where none of the evaluations was feasible the
        status is INFEASIBLE, `x` the least violating point and `value` below zero; the message says
        whether the budget was spent, or no point is feasible by a separating certificate or a
        proof.

    Raises
    ------
    SpecificationError
        Bad input, or sets alone, which every projection keeps.
    InfeasibleError
        If the convex constraints contradict each other.
    RefusedError
        If the functions have no gradients.

    Examples
    --------
    >>> import constrained_actmax as cax
    >>> model = cax.examples.load_model()
    >>> allowed = [cax.Box(0, 1), cax.L1Ball(60), cax.Logit(7) >= 12, cax.Logit(9) <= 8]
    >>> result = cax.find_feasible(model, allowed, seed=0, target=0)
    >>> result.feasible, result.value >= 0
    (True, True)
    """
    began = time.perf_counter()
    check_budget(budget)
    check_target(target)
    for name in model_options:
        if name not in MODEL_OPTIONS:
            known = ["x0", "bounds", "starts", "seed", "budget", "target", *MODEL_OPTIONS]
            raise SpecificationError(f"find_feasible: no option {name!r}. {suggest(name, known)}")
    if isinstance(model, BaseOracle) and not model.differentiable:
        raise RefusedError(
            "find_feasible needs gradients and this function gives none; give jac=, or '2-point'."
        )
    # An objective that needs no pass through the model: it plays no part.
    named = isinstance(model, Oracle) or not isinstance(model, BaseOracle)
    problem = Problem(
        model,
        SquaredDistance() if named else None,
        constraints,
        sense="minimize",  # bounded below on every set
        bounds=bounds,
        x0=x0,
        feasibility_tolerance=feasibility_tolerance,
        **model_options,
    )
    if not (np.isfinite(problem.lower).any() or np.isfinite(problem.upper).any()):
        raise SpecificationError(
            "find_feasible: constraints bound no output and no function, and every point of a set "
            "keeps the set; add a bound such as Output(0) <= 1, or take the set's project(x)."
        )
    problem, _ = probed(problem, budget)
    slackest = of_least_slack(problem)
    elapsed = time.perf_counter() - began
    result = solve(
        slackest,
        method=LeastViolation(),
        x0=x0,
        starts=starts,
        seed=seed,
        budget=budget_after(elapsed, budget),
        target=target,
        callback=callback,
        progress=progress,
    )
    return replace(result, seconds=elapsed + result.seconds)
