"""The sizes of a problem's numbers: what its tolerances are measured in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from constrained_actmax.errors import ConstrainedActmaxError
from constrained_actmax.evaluation import Evaluation
from constrained_actmax.layout import Indices, Rows, Vector
from constrained_actmax.quoting import Quoted
from constrained_actmax.random_points import uniform_points

if TYPE_CHECKING:
    from constrained_actmax.problem import Problem
    from constrained_actmax.result import Budget

#: Probes, where a projection is a closed form, and where it is not or there are no gradients; and
#: of a function with gradients that is called for each: the fewest whose median leaves one out.
#: Small problems of CUTEst and of Hock and Schittkowski take as many evaluations with 3, 4, 6, 8
#: and 16, by five seeds, and are solved as often.
PROBES, FEW_PROBES, CALLED_PROBES = 16, 8, 3
#: Entries of the input that all probes hold together at most.
LARGEST_PROBES = 2**21
#: Seed of the probes: fixed, so that a problem has the same scales in every call.
SEED = 3
#: Directions that an unwritten size of a bounded set is measured along.
DIRECTIONS = 4
#: Gradients that differ by less, relatively, are the same: forward differences leave 1e-8 to 1e-7.
DERIVATIVE_NOISE = 1e-6
#: Of so many probes one is near a bound.
NEAREST = 4
#: Tolerance of probes on discrete sets.
ROUGHLY = 1.0
#: Where a function's slopes at the starting point are below this share of its size, nearer probes
#: are asked, as long as the slopes there fall by more than those of a quadratic would: so many,
#: within these shares of the sizes of entries, and by this factor from each to the next.
GENTLE, NEAR_PROBES, NEARER = 1e-3, 8, (1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7)
STEEPER = 10.0**-1.5
#: At an answer, so many of these shares are asked: what is a thousandth of the set away is near.
NEAR_ANSWER = 3
#: Evaluations that all scales of a problem take at most.
MOST_PROBES = 2 * PROBES + NEAR_PROBES * len(NEARER)
#: An entry that lies this much beyond its size at the end of a run has another size there.
OUTGROWN = 10.0
#: Coarsest precision of functions whose numbers may be told apart so far below their size.
DOUBLE = 1e-12
#: Accuracy of a projection that costs as little as a closed form.
CHEAP_PROJECTION = 1e-8


@dataclass(frozen=True, repr=False)
class Scales(Quoted):
    r"""Sizes of a problem's numbers, in the user's units.

    Tolerances are pure numbers against these, so that an answer does not depend on the units that
    the question is asked in. They follow from the set and from evaluations at seeded points of it
    (probes), never from a starting point alone; of functions that grow without measure away from
    the starting point, from probes near it. An answer is judged by the scales there (`at_answer`).

    Attributes
    ----------
    columns : numpy.ndarray, shape (n,)
        w, the size of each entry of the input: the width of its bounds where they are finite; else
        what a bounded set leaves it; else the larger of \|x0\| and of the centre, or 1 where
        both are 0.
    set : float
        s, the largest w of an entry that is not fixed.
    slope : float
        G, the median over the probes of the largest :math:`w_i |\partial_i f|`.
    range : float
        F, twice the range of the middle half of the values of f at the probes.
    constraints : numpy.ndarray, shape (m,)
        k, for each entry of c as the solvers see it: what it can change over C to first order, at
        the probes that are nearest to its bounds.
    written : tuple of numpy.ndarray
        The same for each constraint on a function as the user wrote it.
    unsized : numpy.ndarray of int
        Entries to which nothing gives a size: they count as 1.
    evaluations : int
        Probes that were evaluated; they are no part of ``nfev`` and of no budget.
    finite : bool
        Whether all functions were finite at all probes.
    dependent : numpy.ndarray of bool, shape (m,)
        Equalities that others say already: at every probe their gradient is a combination of those
        before, up to the noise of derivatives. Methods leave them out; answers are judged by them.
    best : (numpy.ndarray, Evaluation) or None
        The best feasible probe, for runs that find no feasible point.
    linear : bool
        Whether f and c had one gradient each, at all probes, up to the noise of derivatives.
    """

    columns: Vector
    set: float
    slope: float
    range: float
    constraints: Vector
    written: tuple[Vector, ...]
    unsized: Indices
    evaluations: int
    dependent: np.ndarray
    best: tuple[Vector, Evaluation] | None = field(default=None, repr=False)
    finite: bool = True
    linear: bool = False

    def describe_columns(self) -> str:
        """Return the sizes of the entries in a few words."""
        low, high = float(self.columns.min(initial=np.inf)), float(self.columns.max(initial=0.0))
        sizes = f"{low:.4g}" if low == high else f"{low:.4g} to {high:.4g}"
        if not self.unsized.size:
            return sizes
        return f"{sizes}; nothing gives a size to {self.unsized.size} of them, which count as 1"

    def to_dict(self) -> dict[str, Any]:
        """Return the scales as JSON-ready values; equal columns as one number."""
        columns = self.columns.tolist()
        return {
            "columns": columns[0] if columns and min(columns) == max(columns) else columns,
            "set": self.set,
            "slope": self.slope,
            "range": self.range,
            "constraints": [sizes.tolist() for sizes in self.written],
            "unsized": self.unsized.tolist(),
            "evaluations": self.evaluations,
        }


def measured_scales(problem: Problem, *, probing: bool = True) -> Scales:
    """Return the scales of a problem, from its set and from probes.

    Parameters
    ----------
    problem : Problem
        In the user's units.
    probing : bool, default True
        Whether functions are evaluated; if not, their sizes are those of their bounds, or 1.
    """
    columns, unsized = problem.column_sizes
    free = columns > 0
    size = float(columns[free].max()) if free.any() else 1.0
    widths, columns = columns, np.where(free, columns, size)  # a fixed entry changes nothing
    points = _probes(problem, columns) if probing else np.empty((0, problem.size))
    evaluation = _evaluated(problem, points)
    finite = evaluation.finite
    f, c = evaluation.f[finite], evaluation.c[finite]
    spread = _spread(f)
    steepness = np.abs(evaluation.gradient[finite] * widths).max(axis=1, initial=0.0)
    slope = float(np.median(steepness[steepness > 0])) if steepness.any() else spread
    noise = problem.oracle.epsilon * float(np.max(np.abs(f), initial=0.0))
    if not spread > noise:
        spread = max(noise, slope)
    constraints, written = _constraint_sizes(problem, c, evaluation.jacobian[finite], widths)
    sizes, nearer = _nearer_sizes(problem, evaluation, widths, np.append(slope, constraints))
    if sizes[0] < slope:
        slope = spread = float(sizes[0])
    constraints = sizes[1:]
    written = _as_written(problem, constraints, written)
    dependent, more = _dependent(problem, evaluation.jacobian[finite], widths, size)
    scales = Scales(
        columns,
        size,
        slope if slope > 0 else max(spread, noise) or 1.0,
        spread if spread > 0 else 1.0,
        constraints,
        written,
        unsized,
        len(points) + nearer + more,
        dependent,
        finite=bool(finite.all()),
        linear=_linear(evaluation, widths),
    )
    problem.scales = scales  # what a violation is measured in
    if not finite.any():
        return scales
    worst = problem.violation(points, evaluation.c)
    kept = finite & problem.feasible(points, evaluation.c)
    if not kept.any():
        return scales
    row = int(np.argmin(np.where(kept, evaluation.f, np.inf)))
    evaluation.violation = worst
    return replace(scales, best=(points[row].copy(), evaluation.row(row)))


def at_answer(
    problem: Problem,
    x: Vector,
    evaluation: Evaluation,
    most: int | None,
    good: Callable[[Scales], bool],
) -> Scales | None:
    """Return the scales of a problem as they are where a run ended; None where they are the same.

    Where the starting point and the probes lie in steeper parts of the set, or a set without bounds
    got its size from a starting point near zero, far too much passes for optimal. So an answer is
    judged as if the run had begun there: slopes and what constraints can change are never larger
    than before, sizes of entries never smaller.

    Parameters
    ----------
    problem : Problem
        In the user's units.
    x, evaluation : numpy.ndarray, shape (n,), and Evaluation
        The answer, and what the functions are there.
    most : int or None
        Evaluations that probes may take at most; what they do not pay stays as it was.
    good : callable
        Returns whether the answer is optimal in given scales. Where it is in those of the slopes at
        the answer itself, which slopes near it approach, no probe is asked.
    """
    scales = problem.scales
    if not _precise(problem) or not scales.finite or not evaluation.finite[0]:
        return None
    there = problem.asking(problem.user_oracle)
    there.x0 = x
    widths, unsized = problem.column_sizes
    lower, upper = problem.set.bounding_box()
    open_ = ~np.isfinite(upper - lower) & (not problem.set.bounded)
    outgrown = open_ & (np.abs(x) > OUTGROWN * scales.columns)
    if outgrown.any() and (most is None or most >= MOST_PROBES):
        grown = widths.copy()
        for size in np.unique(widths[outgrown]):  # equal at the start: one size is known of them
            alike = open_ & (widths == size)
            grown[alike] = np.abs(x[alike]).max()
        there.column_sizes = grown, unsized
        slope = float(_first_order(evaluation, grown)[0])
        constraints = scales.constraints
        if slope < GENTLE * scales.slope:  # no scale: it is nearly stationary without constraints
            sizes = measured_scales(there)
            constraints = sizes.constraints
        else:
            size = float(grown.max())
            columns = np.where(grown > 0, grown, size)
            sizes = replace(scales, columns=columns, set=size, slope=slope, range=slope)
    else:
        before = np.append(scales.slope, scales.constraints)
        smallest = np.minimum(before, _first_order(evaluation, widths))
        if (smallest > 0.0).all() and good(_of_sizes(problem, scales, smallest)):
            return None
        shares = NEARER[: NEAR_ANSWER if most is None else min(NEAR_ANSWER, most // NEAR_PROBES)]
        # Where it is optimal in slopes a thousandth of these too, one probe tells enough.
        probes = 1 if good(_of_sizes(problem, scales, GENTLE * before)) else NEAR_PROBES
        nearer, _ = _nearer_sizes(there, evaluation, widths, before, shares, probes)
        return _of_sizes(problem, scales, nearer) if (nearer < before).any() else None
    constraints = np.minimum(scales.constraints, constraints)
    return replace(
        scales,
        columns=sizes.columns,
        set=sizes.set,
        slope=sizes.slope,
        range=sizes.range,
        constraints=constraints,
        written=_as_written(problem, constraints, scales.written),
    )


def _of_sizes(problem: Problem, scales: Scales, sizes: Vector) -> Scales:
    """Return the scales with smaller sizes (1 + m,) of f's slope and of c."""
    constraints = np.minimum(scales.constraints, sizes[1:])
    slope = float(sizes[0])
    lower = slope < scales.slope
    return replace(
        scales,
        slope=slope if lower else scales.slope,
        range=slope if lower else scales.range,
        constraints=constraints,
        written=_as_written(problem, constraints, scales.written),
    )


def _precise(problem: Problem) -> bool:
    """Whether numbers far below a function's size can be told apart."""
    return problem.oracle.differentiable and problem.oracle.epsilon <= DOUBLE


def _as_written(problem: Problem, sizes: Vector, written: tuple[Vector, ...]) -> tuple[Vector, ...]:
    """Return the sizes of c of constraints that are imposed as written; those given, of others."""
    return tuple(
        sizes[constraint.rows] if constraint.objective is None else size
        for constraint, size in zip(problem.imposed, written, strict=True)
    )


def _nearer_sizes(
    problem: Problem,
    evaluation: Evaluation,
    columns: Vector,
    sizes: Vector,
    shares: Sequence[float] = NEARER,
    probes: int = NEAR_PROBES,
) -> tuple[Vector, int]:
    r"""Return the sizes of f's slope and of c (1 + m,) without what functions do far away alone.

    An exponential or a power in wide bounds has slopes at most probes by which every point that a
    method can reach is optimal and feasible. Where the slopes at the starting point are far below
    the size, those at probes within a tenth of the set, a hundredth, ... replace it while they fall
    by more than :math:`10^{-3/2}` each time; a quadratic's fall by a tenth at most, so a starting
    point near its optimum changes nothing, nor does one on a plateau, where slopes are 0. Of f
    never less than \|f\| at the starting point, and of c never less than it lacks to its bounds.

    Parameters
    ----------
    problem : Problem
        In the user's units.
    evaluation : Evaluation
        Of the probes, the starting point first.
    columns : numpy.ndarray, shape (n,)
        Sizes of the entries, 0 where they are fixed.
    sizes : numpy.ndarray, shape (1 + m,)
        By the probes.
    shares : sequence of float
        How near the nearer probes are, in turn.
    probes : int, default 8
        How many each time.

    Returns
    -------
    sizes : numpy.ndarray, shape (1 + m,)
        None is larger than before.
    evaluations : int
        Further probes.
    """
    if (
        problem.x0 is None
        or not _precise(problem)
        or not len(evaluation.f)
        or not evaluation.finite[0]
    ):
        return sizes, 0
    going = _first_order(evaluation.row(0), columns) < GENTLE * sizes
    c = evaluation.c[0]
    lacking = np.append(
        np.abs(evaluation.f[0]), np.abs(c - np.clip(c, problem.lower, problem.upper))
    )
    ways = np.random.default_rng(SEED).uniform(-1.0, 1.0, (probes, problem.size))
    evaluations = 0
    for share in shares:
        going &= lacking < STEEPER * sizes
        if not going.any():
            break
        near = _evaluated(problem, problem.set.project(problem.x0 + share * columns * ways))
        evaluations += probes
        if not near.finite.any():
            continue
        changes = [
            _first_order(near.row(row), columns) for row in np.flatnonzero(near.finite).tolist()
        ]
        slopes = np.median(changes, axis=0)
        there = np.maximum(slopes, lacking)
        going &= (slopes > 0.0) & (there < STEEPER * sizes)
        sizes = np.where(going, there, sizes)
    return sizes, evaluations


def _first_order(evaluation: Evaluation, columns: Vector) -> Vector:
    """Return the largest slope of f, and what c can change, by entries of their sizes: (1 + m,)."""
    steepest = np.abs(evaluation.gradient[0] * columns).max(initial=0.0)
    change: Vector = np.append(steepest, np.abs(evaluation.jacobian[0]) @ columns)
    return change


def _spread(values: Vector) -> float:
    """Return twice the range of the middle half of the values, or the whole range if that is 0."""
    if not values.size:
        return 0.0
    low, high = np.percentile(values, (25.0, 75.0))
    return 2.0 * float(high - low) or float(np.ptp(values))


def column_sizes(problem: Problem) -> tuple[Vector, Indices]:
    """Return the size of each entry (n,), 0 where it is fixed, and the entries without any."""
    lower, upper = problem.set.bounding_box()
    finite = np.isfinite(upper - lower)
    width = np.where(finite, upper - lower, 0.0)
    if finite.all():
        return width, np.empty(0, dtype=int)
    if problem.set.bounded:
        rng = np.random.default_rng(SEED)
        directions = rng.standard_normal((DIRECTIONS, problem.size))
        ends = problem.set.hull.linear_maximizer(np.concatenate([directions, -directions]))
        # The set couples these entries: one size for all of them.
        width[~finite] = float(np.ptp(ends[:, ~finite], axis=0).max())
        return width, np.flatnonzero(~finite & (width == 0.0))
    known = np.abs(problem.set.centre())
    if problem.x0 is not None:
        known = np.maximum(known, np.abs(problem.x0))
    unsized = ~finite & (known == 0.0)
    width[~finite] = np.where(unsized, 1.0, known)[~finite]
    return width, np.flatnonzero(unsized)


def _probes(problem: Problem, columns: Vector) -> Rows:
    """Return seeded points of C, x0's projection first."""
    few = problem.set.accuracy > CHEAP_PROJECTION or not problem.oracle.differentiable
    count = FEW_PROBES if few else PROBES
    if problem.oracle.differentiable and not problem.oracle.batches:
        count = CALLED_PROBES
    count = max(2, min(count, LARGEST_PROBES // max(1, problem.size)))
    centre = problem.set.centre()
    if problem.x0 is not None:
        centre = problem.x0
    points = uniform_points(problem.set, count, SEED, centre, columns)
    if problem.x0 is not None:
        points[0] = problem.x0
    if problem.set.discrete:  # near is enough, and the nearest one may cost a search
        return np.asarray(problem.set.project_inexact(points, ROUGHLY)[0])
    inside: Rows = problem.set.project(points)
    return inside


def _evaluated(problem: Problem, points: Rows) -> Evaluation:
    """Evaluate the probes; where a function fails there, it counts as not finite."""
    if not len(points):
        m, n = problem.constraints, problem.size
        nothing = np.empty((0, m)), np.empty((0, m, n)), np.empty(0, dtype=bool)
        return Evaluation(np.empty(0), np.empty((0, n)), *nothing)
    try:
        return problem.evaluate(points)
    except ConstrainedActmaxError:
        raise
    except (ArithmeticError, ValueError):  # outside the domain of a user's function
        parts = [_evaluated_alone(problem, point) for point in points]
        return Evaluation.concatenated(parts)


def _evaluated_alone(problem: Problem, point: Vector) -> Evaluation:
    try:
        return problem.evaluate(point[np.newaxis])
    except ConstrainedActmaxError:
        raise
    except (ArithmeticError, ValueError):
        m, n = problem.constraints, problem.size
        nothing = np.full((1, m), np.nan), np.full((1, m, n), np.nan)
        unknown = np.full(1, np.nan), np.full((1, n), np.nan)
        return Evaluation(*unknown, *nothing, np.zeros(1, dtype=bool))


def _constraint_sizes(
    problem: Problem, c: Rows, jacobian: np.ndarray, columns: Vector
) -> tuple[Vector, tuple[Vector, ...]]:
    """Return k for the entries of c, and for each constraint as written."""
    if not problem.constraints:
        return np.empty(0), ()
    if not len(c):
        sizes = _or_bound(np.zeros(problem.constraints), problem.lower, problem.upper)
        written = (
            _or_bound(np.zeros(constraint.lower.size), constraint.lower, constraint.upper)
            for constraint in problem.imposed
        )
        return sizes, tuple(written)
    change = np.abs(jacobian) @ columns
    diameter = problem.set.diameter
    if np.isfinite(diameter) and not problem.set.only_box:
        change = np.minimum(change, np.linalg.norm(jacobian, axis=2) * diameter)
    sizes = np.array(
        [
            _nearest_change(*constraint)
            for constraint in zip(c.T, change.T, problem.lower, problem.upper, strict=True)
        ]
    )
    sizes = _or_bound(sizes, problem.lower, problem.upper)
    written_sizes = []
    for constraint in problem.imposed:
        if constraint.objective is None:
            written_sizes.append(sizes[constraint.rows])
            continue
        values = constraint.written(c)
        middle = np.median(c[:, constraint.rows], axis=0)
        half = 0.5 * sizes[constraint.rows]
        ends = constraint.objective.stated(np.stack([middle - half, middle + half]))
        size = np.maximum(np.ptp(values, axis=0), np.ptp(ends, axis=0))
        written_sizes.append(_or_bound(size, constraint.lower, constraint.upper))
    return sizes, tuple(written_sizes)


def _dependent(
    problem: Problem, jacobian: np.ndarray, columns: Vector, size: float
) -> tuple[np.ndarray, int]:
    """Return which entries of c are equalities that depend on those before, at every probe.

    What is dependent there is asked again at probes of one size, at least 1, for all entries: a
    starting point that is near zero by accident hides slopes, and a true dependence holds anywhere.

    Parameters
    ----------
    problem : Problem
        In the user's units.
    jacobian : numpy.ndarray, shape (B, m, n)
        Of c at the probes.
    columns : numpy.ndarray, shape (n,)
        Sizes of the entries, 0 where they are fixed.
    size : float
        The largest of them.

    Returns
    -------
    dependent : numpy.ndarray of bool, shape (m,)
        Which.
    evaluations : int
        Further probes.
    """
    equal = np.flatnonzero(problem.lower == problem.upper)
    if not equal.size or not len(jacobian) or not problem.oracle.differentiable:
        return np.zeros(problem.constraints, dtype=bool), 0
    dependent = _dependent_rows(problem, jacobian * columns, equal)
    if not dependent.any():
        return dependent, 0
    points = _probes(problem, np.full(problem.size, max(1.0, size)))
    again = _evaluated(problem, points)
    slopes = again.jacobian[again.finite]
    if len(slopes):
        dependent &= _dependent_rows(problem, slopes, equal)
    return dependent, len(points)


def _dependent_rows(problem: Problem, jacobian: np.ndarray, equal: Indices) -> np.ndarray:
    """Return which of c's entries have rows (B, m, n) that depend on those before, in every one."""
    dependent = np.zeros(problem.constraints, dtype=bool)
    lengths = np.linalg.norm(jacobian, axis=2, keepdims=True)
    rows = jacobian / np.where(lengths > 0.0, lengths, 1.0)
    noise = max(DERIVATIVE_NOISE, 10.0 * problem.oracle.epsilon)
    bases: list[list[Vector]] = [[] for _ in rows]
    for index in equal.tolist():
        left = [_without(at[index], basis) for at, basis in zip(rows, bases, strict=True)]
        sizes = np.array([float(np.linalg.norm(row)) for row in left])
        if sizes.max() <= noise:
            dependent[index] = True
            continue
        for row, size, basis in zip(left, sizes.tolist(), bases, strict=True):
            if size > noise:
                basis.append(row / size)
    return dependent


def _without(row: Vector, basis: list[Vector]) -> Vector:
    """Return a row less its part in the span of an orthonormal basis, taken off twice."""
    for _ in range(2):
        for direction in basis:
            row = row - (row @ direction) * direction
    return row


def _linear(evaluation: Evaluation, columns: Vector) -> bool:
    """Return whether f and c have the same gradients at all probes, more than one."""
    if len(evaluation.f) < 2 or not evaluation.finite.all():
        return False
    slopes = (
        np.concatenate([evaluation.gradient[:, np.newaxis], evaluation.jacobian], axis=1) * columns
    )
    sizes = np.abs(slopes[0]).max(axis=1, initial=0.0)
    apart = np.abs(slopes - slopes[0]).max(axis=(0, 2), initial=0.0)
    return bool((apart <= DERIVATIVE_NOISE * sizes).all())


def _nearest_change(values: Vector, change: Vector, lower: float, upper: float) -> float:
    """Return what a function can change over C, to first order, where it is near its bounds.

    The median over the quarter of the probes that are nearest to a bound, of those where it has a
    slope: an exponential that is bounded by 1 may be 1e40 elsewhere, and that is no scale. Of a
    function without slopes, its spread.
    """
    sloping = np.flatnonzero(change > 0)
    if not sloping.size:
        return float(np.ptp(values))
    distance = np.minimum(np.abs(values - lower), np.abs(values - upper))[sloping]
    nearest = np.argsort(distance, kind="stable")[: max(1, -(-sloping.size // NEAREST))]
    return float(np.median(change[sloping][nearest]))


def _or_bound(sizes: Vector, lower: Vector, upper: Vector) -> Vector:
    """Return the sizes; of a function that does not vary, that of its bounds, or 1."""
    bounds = _largest_bound(lower, upper)
    return np.where(sizes > 0, sizes, np.where(bounds > 0, bounds, 1.0))


def _largest_bound(lower: Vector, upper: Vector) -> Vector:
    low, high = (np.abs(np.where(np.isfinite(side), side, 0.0)) for side in (lower, upper))
    return np.maximum(low, high)


def probed(problem: Problem, budget: Budget | None) -> tuple[Problem, bool]:
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
