"""Several answers to one problem that differ from each other."""

from __future__ import annotations

from numbers import Real
from typing import Any

import numpy as np

from constrained_actmax.errors import RefusedError, SpecificationError
from constrained_actmax.features.features import Features
from constrained_actmax.layout import Vector
from constrained_actmax.objectives.between import Between
from constrained_actmax.objectives.change import Differing, Metric
from constrained_actmax.objectives.norm import Norm
from constrained_actmax.oracles.oracle import Oracle
from constrained_actmax.problem import Problem, require_problem
from constrained_actmax.quoting import quoted
from constrained_actmax.result import Budget, Result
from constrained_actmax.solving import solve
from constrained_actmax.starting_points import checked_seed
from constrained_actmax.table import NumberColumn

#: By what share of its range a number has to move to count as different.
DIFFERENT = 0.05
#: One over the share of a budget that the first answer gets, on which all others depend.
FIRST = 2


def alternatives(
    problem: Problem,
    count: int,
    *,
    min_distance: float | None = None,
    differ_in: int | None = None,
    seed: int | None = None,
    budget: Budget | None = None,
) -> list[Result]:
    """Return several answers that differ from each other, the best first.

    The problem is solved, then solved again with the constraint that an answer differs from all
    before it, until there are `count` of them or no feasible one is found.

    Parameters
    ----------
    problem : Problem
        What is asked; its model is one whose gradients TensorFlow computes.
    count : int
        How many answers, >= 1.
    min_distance : float, optional
        Least distance between two answers: with `Features` in their costs (`Features.distance`),
        else Euclidean, in the units of the input.
    differ_in : int, optional
        In how many features two answers differ at least: a whole number by 1, a category by itself,
        any other number by 5 % of its range. Without `Features`, in how many entries, each by 5 %
        of its range.
    seed : int, optional
        Seeds the draws of all solutions.
    budget : Budget, optional
        Limits of the whole call: half of them for the first answer, equal shares of what is left
        for each of the others.

    Returns
    -------
    list of Result
        Fewer than `count` where no more were found; a note of the first says why. With `Features`
        made of a table, the notes of each say how far its nearest row is and which of the table's
        ranges the answer leaves.

    Raises
    ------
    SpecificationError
        If the count is not positive, or it is not said how answers differ.
    RefusedError
        If the model has no outputs beside its objective, as a `FunctionOracle`.

    Examples
    --------
    >>> import constrained_actmax as cax
    >>> model = cax.Oracle(lambda x: 2 * x[:, :1] + x[:, 1:], cax.Output(0), input_shape=(2,))
    >>> problem = cax.Problem(model, constraints=[cax.Box(0, 3), cax.Integers()])
    >>> [one.x.tolist() for one in cax.alternatives(problem, 2, min_distance=1.5, seed=0)]
    [[3.0, 3.0], [3.0, 1.0]]
    """
    require_problem("alternatives", problem)
    _check_integer("count", count)
    if min_distance is None and differ_in is None:
        raise SpecificationError(
            "alternatives: say how the answers differ: min_distance= or differ_in=."
        )
    distance = isinstance(min_distance, Real) and not isinstance(min_distance, bool)
    if min_distance is not None and not (distance and 0 < min_distance < np.inf):
        raise SpecificationError(
            f"alternatives: min_distance must be a number > 0, got {quoted(min_distance)}."
        )
    if differ_in is not None:
        _check_integer("differ_in", differ_in)
    if not isinstance(problem.user_oracle, Oracle):
        raise RefusedError(
            "alternatives: distances to earlier answers are constraints that TensorFlow computes; "
            "write the function as Oracle(function, Output(0), input_shape=...)."
        )
    drawn = checked_seed(seed)
    why = ""
    results: list[Result] = []
    apart: list[Between] = []
    for left in range(count, 0, -1):
        asked = _with(problem, apart) if apart else problem
        share = None if budget is None else _share(budget, results, left)
        if share is None and budget is not None:
            why = "the budget is used up."
            break
        result = solve(asked, seed=drawn, budget=share)
        if not result.feasible:
            if not results:
                return [result]
            why = result.message
            break
        results.append(result)
        if min_distance is not None:
            apart.append(_far(problem, result.flat, float(min_distance)))
        if differ_in is not None:
            apart.append(_different(problem, result.flat, differ_in))
    results.sort(key=lambda result: float(result.fun))
    if why:
        results[0].notes.append(f"{len(results)} of {count} answers. The next one: {why}")
    return results


def _check_integer(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise SpecificationError(
            f"alternatives: {name} must be an integer >= 1, got {quoted(value)}."
        )


def _with(problem: Problem, apart: list[Between]) -> Problem:
    """Return the problem with more constraints, sharing its model."""
    recipe = problem.recipe
    oracle = problem.user_oracle
    assert isinstance(oracle, Oracle)
    written = recipe["constraints"]
    listed = list(written) if isinstance(written, list | tuple) else [written]
    return Problem(
        oracle,
        recipe["objective"] or oracle.objectives[0],
        [*(constraint for constraint in listed if constraint is not None), *apart],
        sense=problem.sense,
        bounds=recipe["bounds"],
        x0=recipe["x0"],
        feasibility_tolerance=recipe["feasibility_tolerance"],
    )


def _share(budget: Budget, results: list[Result], left: int) -> Budget | None:
    """Return a solution's share of what is left of a budget; None where nothing is."""
    left = left if results else min(left, FIRST)
    evaluations, seconds = budget.evaluations, budget.seconds
    if evaluations is not None:
        evaluations -= sum(result.nfev for result in results)
        evaluations = max(evaluations // left, min(evaluations, 1))
    if seconds is not None:
        seconds = (seconds - sum(result.seconds for result in results)) / left
    if (evaluations is not None and evaluations < 1) or (seconds is not None and seconds <= 0):
        return None
    return Budget(evaluations=evaluations, seconds=seconds)


def _far(problem: Problem, x: Vector, least: float) -> Between:
    """Return the constraint that an answer is at least so far from another."""
    if problem.features:
        features, own = _part(problem, x)
        return features.distance(own) >= least
    return Norm(2, center=problem.layout.unflatten(x)) >= least


def _different(problem: Problem, x: Vector, least: int) -> Between:
    """Return the constraint that at least so many features differ."""
    if not problem.features:
        sizes, _ = problem.column_sizes
        movable = sizes > 0
        weights = np.where(movable, 1.0 / (DIFFERENT * np.where(movable, sizes, 1.0)), 0.0)
        return Differing(Metric(weights), np.arange(sizes.size), x) >= least
    features, own = _part(problem, x)
    metric = features.metric(
        {column.name: _unit(features, column) for column in features.table.columns}
    )
    groups = [*features.groups, *(features.groups[positions[0]] for positions, _ in metric.dropped)]
    return Differing(metric, np.array(groups), own, features.table.on) >= least


def _part(problem: Problem, x: Vector) -> tuple[Features, Vector]:
    """Return the first table among the constraints and the entries that are its."""
    features = problem.features[0]
    on = features.table.on or problem.layout.inputs[0].name
    return features, x[problem.layout.slices[on]]


def _unit(features: Features, column: Any) -> float:
    """Return 1 over the change at which a column counts as different."""
    feature = features.features[column.name]
    if not isinstance(column, NumberColumn):
        return 1.0
    if feature.levels is not None:
        gaps = np.diff(np.unique(np.asarray(feature.levels, dtype=np.float64)))
        return 1.0 / float(np.min(gaps, initial=np.inf)) if gaps.size else 1.0
    if feature.kind == "integer":
        return 1.0
    if feature.low is None or feature.high is None:
        return 1.0 / (DIFFERENT * column.spread)
    return 1.0 / (DIFFERENT * ((feature.high - feature.low) or 1.0))
