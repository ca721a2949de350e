"""The points that a call starts from: the user's, and seeded draws from C."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

from constrained_actmax.errors import SpecificationError
from constrained_actmax.layout import Rows, Structure, Vector, check_finite
from constrained_actmax.problem import Problem
from constrained_actmax.quoting import quoted
from constrained_actmax.random_points import uniform_points

#: A start moved by more than this, in units of the entries' sizes, is worth a note.
MOVED = 1e-9

#: How many starts, or the starts themselves.
Starts: TypeAlias = int | Any


def checked_seed(seed: int | None) -> int:
    """Return the seed of the draws; None draws one.

    Raises
    ------
    SpecificationError
        If it is no integer >= 0.
    """
    if seed is None:
        return int(np.random.SeedSequence().generate_state(1)[0])
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise SpecificationError(f"seed: must be an integer >= 0, got {quoted(seed)}.")
    return int(seed)


def starting_points(
    problem: Problem, x0: Structure | None, starts: Starts, seed: int
) -> tuple[Rows, list[str], int | None]:
    """Return the points that a call starts from, projected on C.

    Parameters
    ----------
    problem : Problem
        What is asked.
    x0, starts, seed
        See `maximize`.

    Returns
    -------
    points : numpy.ndarray, shape (B, n)
        Inside C.
    notes : list of str
        On those that the projection moved.
    seed : int or None
        The seed, where points were drawn.

    Raises
    ------
    SpecificationError
        If `starts` is no count and no points, or there is an `x0` beside points.
    """
    project = problem.set.project
    if isinstance(starts, bool):
        raise SpecificationError(f"starts: expected a number or an array, got {quoted(starts)}.")
    if not isinstance(starts, int | np.integer):
        if x0 is not None:
            raise SpecificationError("starts: an array gives them all; leave x0 out.")
        supplied = check_finite(problem.layout.rows(starts, "starts"), "starts")
        inside = project(supplied)
        moved = [row for row in range(len(supplied)) if _moved(problem, supplied[row], inside[row])]
        notes = []
        if moved:
            notes.append(
                f"{len(moved)} of {len(supplied)} starts were outside C and were projected."
            )
        return inside, notes, None
    if starts < 1:
        raise SpecificationError(f"starts: must be >= 1, got {quoted(starts)}.")
    first = problem.x0 if x0 is None else check_finite(problem.layout.flatten(x0, "x0"), "x0")
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


def _moved(problem: Problem, vector: Vector, inside: Vector) -> bool:
    if np.array_equal(vector, inside):
        return False
    sizes, _ = problem.column_sizes
    far = np.abs(vector - inside) > MOVED * np.where(sizes > 0, sizes, np.abs(inside))
    return bool(far.any())
