"""Bounds on functions that exclude each other, whatever the values of the functions."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import scipy.sparse
from scipy.optimize import linprog
from typing_extensions import override

from constrained_actmax.certificate import Certificate, Proof
from constrained_actmax.layout import Indices, Vector
from constrained_actmax.objectives.base import ONE
from constrained_actmax.problem import Problem

#: Multiplier of the linear program, of a sum of 1, above which a bound takes part.
POSITIVE = 1e-9


@dataclass(frozen=True)
class Contradiction(Proof):
    """Bounds that no values keep: a proof of infeasibility without any structure.

    Parameters
    ----------
    problem : Problem
        What was asked.
    words : str
        Which bounds exclude each other.
    seconds : float
        That finding it took.
    """

    problem: Problem
    words: str
    seconds: float

    @override
    def certificate(self, x: Vector | None, slack: float) -> Certificate:
        problem = self.problem
        return Certificate(
            sense=problem.sense,
            objective=problem.objective_text,
            dual_bound=problem.sign * np.inf,
            best_value=np.nan,
            gap=np.inf,
            relative_gap=np.inf,
            proven=True,
            infeasible=True,
            rigour="rigorous",
            doubts=(),
            method="bounds that exclude each other",
            nodes=0,
            seconds=self.seconds,
            difference=0.0,
            x=None,
        )


def one_sided(problem: Problem) -> tuple[Indices, Vector, Vector]:
    """Return the bounds on functions as sign * c[row] >= limit, within their tolerances.

    Returns
    -------
    rows : numpy.ndarray of int, shape (q,)
    signs, limits : numpy.ndarray, shape (q,)
    """
    allowed = problem.feasibility_tolerance * problem.imposed_sizes
    sides = [
        (row, sign, sign * bound - allowed[row])
        for row in np.flatnonzero(np.isfinite(allowed)).tolist()
        for sign, bound in ((-1.0, problem.upper[row]), (1.0, problem.lower[row]))
        if np.isfinite(bound)
    ]
    rows, signs, limits = zip(*sides, strict=True) if sides else ((), (), ())
    return np.array(rows, dtype=int), np.array(signs), np.array(limits)


def contradiction(problem: Problem) -> Contradiction | None:
    r"""Return bounds on functions that exclude each other whatever values the functions have.

    The rows of c are sums :math:`c_j = a_j^\top z + b_j` of numbers z that the model, or a function
    of the user's, gives. By Farkas' lemma no z keeps :math:`s_j c_j \ge l_j` exactly where there
    are multipliers with

    .. math:: \lambda \ge 0, \quad \sum_j \lambda_j s_j a_j = 0, \quad
              \sum_j \lambda_j (l_j - s_j b_j) > 0.

    A linear program names the bounds; their multipliers are then computed in rational arithmetic,
    and the sum has to exceed what rounding of c can change.

    Parameters
    ----------
    problem : Problem
        What is asked.

    Returns
    -------
    Contradiction or None
    """
    began = time.perf_counter()
    if len(problem.imposed) < 2:  # one has a lower bound below its upper one
        return None
    forms = problem.forms
    if len(forms) != problem.constraints:
        return None
    rows, signs, limits = one_sided(problem)
    sides = [
        {number: Fraction(sign * weight) for number, weight in forms[row].items() if weight}
        for row, sign in zip(rows.tolist(), signs.tolist(), strict=True)
    ]
    most = [
        Fraction(limit) - side.pop(ONE, Fraction(0))
        for side, limit in zip(sides, limits.tolist(), strict=True)
    ]
    live = _opposed(sides)
    chosen = _chosen([sides[k] for k in live], [most[k] for k in live]) if live else []
    chosen = [live[k] for k in chosen]
    multipliers = _multipliers([sides[k] for k in chosen])
    lost = problem.epsilon * (np.abs(limits) + problem.imposed_sizes[rows])  # c itself is rounded
    total = sum(
        (m * (most[k] - Fraction(lost[k])) for m, k in zip(multipliers, chosen, strict=True)),
        Fraction(0),
    )
    if not (multipliers and min(multipliers) > 0 and total > 0):
        return None
    named = [side_named(problem, int(rows[k]), float(signs[k])) for k in chosen]
    names = list(dict.fromkeys(named))  # a margin has a row for each rival
    words = f"no values keep {names[0]}"
    if len(names) > 1:
        words = f"{', '.join(names[:-1])} and {names[-1]} exclude each other"
    if len(named) > 2:
        words += ": in a sum of theirs the left sides cancel, and the bounds do not"
    return Contradiction(problem, words, time.perf_counter() - began)


def _opposed(sides: list[dict[Hashable, Fraction]]) -> list[int]:
    """Return the sides that may be part of a sum of zero: each number also has the other sign."""
    live = list(range(len(sides)))
    while True:
        signs = Counter((number, weight > 0) for k in live for number, weight in sides[k].items())
        kept = [
            k for k in live if all(signs[number, weight < 0] for number, weight in sides[k].items())
        ]
        if len(kept) == len(live):
            return kept
        live = kept


def _chosen(sides: list[dict[Hashable, Fraction]], most: list[Fraction]) -> list[int]:
    """Return the sides of a basic solution with the largest sum of limits, above zero."""
    numbers: dict[Hashable, int] = {}
    entries = []
    sizes = [max(map(abs, side.values()), default=Fraction(1)) for side in sides]
    for column, (side, size) in enumerate(zip(sides, sizes, strict=True)):
        for number, weight in side.items():
            row = numbers.setdefault(number, len(numbers))
            entries.append((float(weight / size), row, column))
    entries += [(1.0, len(numbers), column) for column in range(len(sides))]
    values, at, columns = zip(*entries, strict=True)
    matrix = scipy.sparse.csr_array((values, (at, columns)))
    largest = linprog(
        [-float(value / size) for value, size in zip(most, sizes, strict=True)],
        A_eq=matrix,
        b_eq=[*np.zeros(len(numbers)), 1.0],
        method="highs-ds",
    )
    if largest.status != 0 or largest.fun >= 0.0:
        return []
    chosen: list[int] = np.flatnonzero(largest.x > POSITIVE).tolist()
    return chosen


def _multipliers(sides: list[dict[Hashable, Fraction]]) -> list[Fraction]:
    """Return the multipliers, up to a factor, under which sides sum to zero; [] if not unique."""
    count = len(sides)
    rows = [
        [side.get(number, Fraction(0)) for side in sides]
        for number in {number for side in sides for number in side}
    ]
    pivots: list[int] = []
    for column in range(count):
        done = len(pivots)
        pivot = next((k for k in range(done, len(rows)) if rows[k][column]), None)
        if pivot is None:
            continue
        rows[done], rows[pivot] = rows[pivot], rows[done]
        rows[done] = [value / rows[done][column] for value in rows[done]]
        for k in range(len(rows)):
            if k != done and rows[k][column]:
                factor = rows[k][column]
                rows[k] = [a - factor * b for a, b in zip(rows[k], rows[done], strict=True)]
        pivots.append(column)
    free = [column for column in range(count) if column not in pivots]
    if len(free) != 1:
        return []
    values = [Fraction(0)] * count
    values[free[0]] = Fraction(1)
    for k, column in enumerate(pivots):
        values[column] = -rows[k][free[0]]
    return values


def side_named(problem: Problem, row: int, sign: float) -> str:
    """Return a bound as the user wrote it, with its side where it has two."""
    for constraint in problem.imposed:
        if constraint.rows.start <= row < constraint.rows.stop:
            if not np.isfinite([problem.lower[row], problem.upper[row]]).all():
                return constraint.description
            return f"the {'lower' if sign > 0.0 else 'upper'} bound of {constraint.description}"
    raise AssertionError(row)
