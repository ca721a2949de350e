r"""The linear program of a network's relaxation, and the bound that its multipliers prove.

Every unit that bends within its interval is a variable :math:`h` between lines that hold there (for
a ReLU the triangle :math:`h \ge 0,\ h \ge z,\ h \le u (z - l) / (u - l)`, Ehlers 2017); all
pre-activations are affine in these and in the input, which lies in the user's set verbatim.

The solver's value is no bound. What is used are its multipliers: normalised, those of the lines of
one unit name a convex combination of them, which is a line that holds too, and those of the limits
on outputs a combination of outputs. Carried back through the network with these, as any linear
bound, they give a linear function above the output with all rounding errors, and its maximum over
the set is a bound for any multipliers: with the optimal ones it is the program's value (Salman et
al. 2019), as the residual of the others is charged at the bounds of the input (Neumaier and
Shcherbina 2004).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from constrained_actmax.certificates.allowed import Allowed
from constrained_actmax.certificates.branching import Search
from constrained_actmax.certificates.linear_bounds import (
    UNIT,
    AnyLines,
    Bounded,
    LinearBounds,
)
from constrained_actmax.certificates.relaxations import (
    Lines,
    WindowLines,
    bending,
    interval,
    window_intervals,
)
from constrained_actmax.certificates.scaled_program import ScaledProgram, powers_of_two
from constrained_actmax.certificates.softmax import GroupLines
from constrained_actmax.kernels.intersection import IntersectionKernel
from constrained_actmax.kernels.row_program import Minimum, row_program
from constrained_actmax.kernels.scaled_set import ScaledSet
from constrained_actmax.layout import Indices, Rows, Vector
from constrained_actmax.problem import Problem
from constrained_actmax.structure import Curve, LogSumExp, Pieces, Softmax, Windows
from constrained_actmax.structure.part import INPUT

Array = npt.NDArray[Any]

NONE: Vector = np.zeros(0)  # multipliers, all zero
ENTRIES = 2**26  # numbers in the affine functions of one program


@dataclass(frozen=True, eq=False)
class Sides:
    r"""Lines on one side of the units of one nonlinearity, as rows of a program.

    Parameters
    ----------
    step : int
        The nonlinearity.
    above : bool
        Whether they lie above the units' results.
    units : numpy.ndarray of int, shape (m,)
        The unit that each bounds.
    slopes : numpy.ndarray, shape (m, size) or (m,)
        By all pre-activations; or by the unit's own.
    offsets : numpy.ndarray, shape (m,)
    """

    step: int
    above: bool
    units: Indices
    slopes: Array
    offsets: Vector


class Relaxation:
    r"""A network over one box as linear rows in :math:`(x, h, z)`, each counted from below.

    Parameters
    ----------
    bounds : LinearBounds
        Of the network.
    bounded : Bounded
        What linear bounds say of the box, the first of a batch.
    lower, upper : numpy.ndarray, shape (n,)
        The box.
    rows : numpy.ndarray, shape (1 + q, outputs)
        The combination of the outputs that is maximised, and those that have to reach `limits`.
    limits : numpy.ndarray, shape (q,)
    case : (int, int), optional
        A nonlinearity that is the largest of one window, and which member of it that is. All cases
        together are the network.
    """

    def __init__(
        self,
        bounds: LinearBounds,
        bounded: Bounded,
        lower: Vector,
        upper: Vector,
        rows: Array,
        limits: Vector,
        case: tuple[int, int] | None = None,
    ) -> None:
        self.bounds, self.bounded = bounds, bounded
        self.lower, self.upper = lower, upper
        self.rows, self.limits = rows, limits
        self.size = bounds.structure.size
        self.relaxed: list[AnyLines] = list(bounded.relaxed)
        self._case = case
        if case is not None:
            k, member = case
            alone = np.zeros((1, 1, bounds.steps[k].members.shape[1]))  # type: ignore[attr-defined]
            alone[..., member] = 1.0
            self.relaxed[k] = WindowLines(alone, np.zeros((1, 1)), alone)
        #: The units of each nonlinearity that are variables.
        self.bent = [self._bending(k) for k in range(len(bounds.steps))]
        #: The first variable of each nonlinearity's units behind the input.
        self.first = np.cumsum([self.size, *(len(units) for units in self.bent)])
        single = [isinstance(step, Pieces | Curve) for step in bounds.steps]
        #: The units whose pre-activation is a variable too, behind the units' own.
        self.entered = [
            units if keep else units[:0] for units, keep in zip(self.bent, single, strict=True)
        ]
        self.entries = np.cumsum([self.first[-1], *(len(units) for units in self.entered)])
        self.most = np.zeros(self.entries[-1] - self.size)
        self.sides: list[Sides] = []
        self.preactivations: list[tuple[Array, Vector]] = []
        if self.refusal is None:
            self._build()

    @property
    def refusal(self) -> str | None:
        """Why this is no program that can be solved, or None."""
        widest = max((step.size for step in self.bounds.steps), default=1)
        if self.first[-1] * widest > ENTRIES or self.entries[-1] ** 2 > ENTRIES:
            return f"{self.first[-1] - self.size} units that bend are too many for a program"
        return None

    def _bending(self, k: int) -> Indices:
        step = self.bounds.steps[k]
        low, high = self._interval(k)
        if self._case is not None and self._case[0] == k:
            return np.zeros(0, dtype=int)
        if isinstance(step, Windows):
            return np.flatnonzero(possible_members(step, low, high).sum(axis=1) > 1)
        if isinstance(step, LogSumExp | Softmax):
            return np.arange(step.units)
        return np.flatnonzero(bending(step, low, high))

    def _interval(self, k: int) -> tuple[Vector, Vector]:
        low, high = self.bounded.intervals[k]
        return low[0], high[0]

    # -- affine functions of the variables ---------------------------------------------------------

    def _build(self) -> None:
        total = int(self.first[-1])
        values = {INPUT: (np.eye(total, self.size), np.zeros(self.size))}
        for k, step in enumerate(self.bounds.steps):
            z, constant = self._affine(k, values)
            self.preactivations.append((z, constant))
            low, high = self._interval(k)
            units, at = self.bent[k], np.arange(self.first[k], self.first[k + 1])
            least, most = interval(step, low[np.newaxis], high[np.newaxis])
            h, offset = np.zeros((total, step.units)), np.zeros(step.units)
            if isinstance(step, Windows):
                inside = possible_members(step, low, high)
                if self._case is not None and self._case[0] == k:
                    inside = np.arange(inside.shape[1])[np.newaxis] == self._case[1]
                winner = step.members[np.arange(step.units), inside.argmax(axis=1)]
                h, offset = z[:, winner].copy(), constant[winner].copy()
            elif isinstance(step, Pieces):
                piece = step.signature(low[np.newaxis])[0].astype(int), np.arange(step.size)
                h = z * step.slopes[piece]
                offset = constant * step.slopes[piece] + step.offsets[piece]
            else:
                offset = 0.5 * (least + most)[0]
            h[:, units] = 0.0
            h[at, units] = 1.0
            # Bounds of variables are wider than the lines', so that these have all multipliers.
            offset[units] = self.least(k)[units]
            self.most[at - self.size] = 3.0 * (most - least)[0, units]
            entered = self.entered[k]
            at = np.arange(self.entries[k], self.entries[k + 1])
            self.most[at - self.size] = 3.0 * (high - low)[entered]
            values[k] = h, offset
            if len(units):
                self.sides += self._sides(k, units)
        self.preactivations.append(self._affine(-1, values))

    def least(self, k: int) -> Vector:
        """Return what the variables of a nonlinearity are counted from, (units,)."""
        low, high = (bound[np.newaxis] for bound in self._interval(k))
        least, most = interval(self.bounds.steps[k], low, high)
        return np.asarray(2.0 * least[0] - most[0])

    def lowest(self, k: int) -> Vector:
        """Return what the variables of pre-activations are counted from, (size,)."""
        low, high = self._interval(k)
        return 2.0 * low - high

    def variables(self, x: Rows) -> Rows:
        """Return the variables (B, ...) of the network at inputs (B, n)."""
        z = self.bounds.structure.preactivations(x)
        steps = list(enumerate(self.bounds.steps))
        units = [
            step.values(z[k])[:, self.bent[k]] - self.least(k)[self.bent[k]] for k, step in steps
        ]
        entered = [z[k][:, self.entered[k]] - self.lowest(k)[self.entered[k]] for k, _ in steps]
        return np.hstack([x, *units, *entered])

    def _affine(self, k: int, values: dict[int, tuple[Array, Vector]]) -> tuple[Array, Vector]:
        """Return a part's result as (variables, size) and constants."""
        part = self.bounds.parts[k]
        intercept = np.where(np.isfinite(part.intercept), part.intercept, 0.0)
        each = part.apply({p: values[p][0] for p in part.predecessors})
        affine = part.apply({p: values[p][1][np.newaxis] for p in part.predecessors})[0]
        finite = np.isfinite(part.intercept)
        z = np.where(finite, each, 0.0) - intercept
        return z, np.where(finite, affine, 0.0)

    def _sides(self, k: int, units: Indices) -> list[Sides]:
        step, lines = self.bounds.steps[k], self.relaxed[k]
        if isinstance(lines, GroupLines):
            sides = []
            for above, slope, offset in (
                (True, lines.upper_slope, lines.upper_offset),
                (False, lines.lower_slope, lines.lower_offset),
            ):
                groups, results = slope.shape[1:3]
                dense = np.zeros((groups, results, step.size))
                np.put_along_axis(
                    dense,
                    np.broadcast_to(lines.members[:, np.newaxis], slope.shape[1:]),
                    slope[0],
                    axis=2,
                )
                sides.append(Sides(k, above, units, dense.reshape(-1, step.size), offset[0]))
            return sides
        if isinstance(lines, WindowLines):
            assert isinstance(step, Windows)
            inside = step.members[units] >= 0
            dense = np.zeros((len(units), step.size))
            np.add.at(
                dense,
                (np.arange(len(units))[:, np.newaxis], np.where(inside, step.members[units], 0)),
                np.where(inside, lines.upper_slope[0, units], 0.0),
            )
            positions, column = np.nonzero(inside)
            single = np.zeros((len(positions), step.size))
            single[np.arange(len(positions)), step.members[units[positions], column]] = 1.0
            offset = step.sign * lines.upper_offset[0, units]
            above = step.sign > 0
            return [
                Sides(k, above, units, dense, offset),
                Sides(k, not above, units[positions], single, np.zeros(len(positions))),
            ]
        assert isinstance(lines, Lines)
        sides = [
            Sides(k, True, units, lines.upper_slope[0, units], lines.upper_offset[0, units]),
            Sides(k, False, units, lines.lower_slope[0, units], lines.lower_offset[0, units]),
        ]
        if isinstance(step, Pieces):
            for above in (True, False):
                sides += self._pieces(k, step, units, above)
        return sides

    def _pieces(self, k: int, step: Pieces, units: Indices, above: bool) -> list[Sides]:
        """Return the pieces themselves, where all that an interval touches is concave or convex."""
        low, high = (bound[np.newaxis] for bound in self._interval(k))
        first, last = step.signature(low)[0, units], step.signature(high)[0, units]
        turn = np.diff(step.slopes, axis=0)[:, units] * (-1.0 if above else 1.0)
        number = np.arange(len(step.kinks))[:, np.newaxis]
        holds = ((turn >= 0.0) | (number < first) | (number >= last)).all(axis=0)
        pieces = []
        for piece in range(len(step.slopes)):
            some = units[holds & (first <= piece) & (piece <= last)]
            pieces.append(
                Sides(k, above, some, step.slopes[piece, some], step.offsets[piece, some])
            )
        return pieces

    # -- the program -------------------------------------------------------------------------------

    def load(self, program: ScaledProgram) -> Vector:
        """Give a program over C the variables and rows; return what it is to minimise."""
        program.widen(self.most)
        total = int(self.entries[-1])
        for k, units in enumerate(self.entered):
            z, constant = self.preactivations[k]
            rows = np.zeros((len(units), total))
            rows[:, : len(z)] = -z[:, units].T
            rows[np.arange(len(units)), self.entries[k] + np.arange(len(units))] = 1.0
            end = constant[units] - self.lowest(k)[units]
            program.extend(rows, end, end)
        for side in self.sides:
            k, each = side.step, np.arange(len(side.units))
            z, constant = self.preactivations[k]
            positions = np.searchsorted(self.bent[k], side.units)
            rows = np.zeros((len(side.units), total))
            end = side.offsets - self.least(k)[side.units]
            if side.slopes.ndim == 1:
                rows[each, self.entries[k] + positions] = -side.slopes
                end = end + side.slopes * self.lowest(k)[side.units]
            else:
                rows[:, : len(z)] = -(side.slopes @ z.T)
                end = end + side.slopes @ constant
            rows[each, self.first[k] + positions] += 1.0
            infinite = np.full(len(rows), np.inf)
            program.extend(rows, *((-infinite, end) if side.above else (end, infinite)))
        z, constant = self.preactivations[-1]
        if len(self.limits):
            rows = np.zeros((len(self.limits), total))
            rows[:, : len(z)] = self.rows[1:] @ z.T
            end = self.limits - self.rows[1:] @ constant
            program.extend(rows, end, np.full(len(rows), np.inf))
        return np.append(-(self.rows[0] @ z.T), np.zeros(total - len(z)))

    def solve(self, program: ScaledProgram) -> Minimum | None:
        """Return the solver's answer, whatever it is worth."""
        g = self.load(program)
        return program.minimum(g, self.lower, self.upper)

    # -- the bound ---------------------------------------------------------------------------------

    def above(self, multipliers: Vector) -> tuple[Vector, float]:
        """Return a linear function above the combination of outputs, where the limits hold.

        Parameters
        ----------
        multipliers : numpy.ndarray, shape (rows,)
            In the order of `load`, >= 0 at a row's lower bound, <= 0 at its upper one. Any numbers
            give a bound: those of the wrong sign, or not finite, count as 0.

        Returns
        -------
        slopes : numpy.ndarray, shape (n,)
        offset : float
            Rounding included; infinite where numbers overflow.
        """
        start = int(self.entries[-1] - self.entries[0])  # equations, whose multipliers follow
        count = start + sum(len(side.units) for side in self.sides) + len(self.limits)
        multipliers = multipliers if len(multipliers) else np.zeros(count)
        multipliers = np.where(np.isfinite(multipliers), multipliers, 0.0)
        relaxed = list(self.relaxed)
        taken = []
        for side in self.sides:
            part = multipliers[start : start + len(side.units)]
            taken.append((side, np.maximum(-part if side.above else part, 0.0)))
            start += len(side.units)
        for k in range(len(relaxed)):
            for above in (True, False):
                own = [pair for pair in taken if pair[0].step == k and pair[0].above is above]
                if own:
                    relaxed[k] = self._combined(k, relaxed[k], above, own)
        weights = np.maximum(multipliers[start:], 0.0)
        row = self.rows[0] + weights @ self.rows[1:]
        total = weights @ self.limits
        # The combination of rows is the exact one plus this, charged at the outputs' sizes.
        size = np.abs(self.rows[0]) + weights @ np.abs(self.rows[1:])
        error = 2.0 * (len(weights) + 2) * UNIT
        margin = error * (size @ self.bounds.magnitudes[-1] + weights @ np.abs(self.limits))
        slopes, offsets = self.bounds.above(row[np.newaxis], relaxed)
        offset = float(offsets[0] - total + margin)
        offset += 4.0 * UNIT * (abs(float(offsets[0])) + abs(float(total)) + float(margin))
        known = np.isfinite(offset) and np.isfinite(slopes).all()
        return (slopes[0], offset) if known else (np.zeros(self.size), np.inf)

    def value(self, search: Search, multipliers: Vector = NONE) -> float:
        """Return the bound over C that multipliers prove; by default that of the linear bounds."""
        slopes, offset = self.above(multipliers)
        return search.largest(slopes, offset) if np.isfinite(offset) else np.inf

    def _combined(
        self, k: int, lines: AnyLines, above: bool, taken: Sequence[tuple[Sides, Vector]]
    ) -> AnyLines:
        """Return the lines of one side with the convex combinations that multipliers name."""
        step = self.bounds.steps[k]
        if isinstance(lines, WindowLines):
            assert isinstance(step, Windows)
            if above is (step.sign > 0):
                return lines  # there is one
            return replace(lines, lower_slope=self._members(step, lines.lower_slope, taken))
        if isinstance(lines, GroupLines):
            return lines  # one above, one below
        weight, slope, offset, size = (np.zeros(step.units) for _ in range(4))
        for side, part in taken:
            np.add.at(weight, side.units, part)
            np.add.at(slope, side.units, part * side.slopes)
            np.add.at(offset, side.units, part * side.offsets)
            np.add.at(size, side.units, part * np.abs(side.slopes))
        some = np.flatnonzero((weight > 0.0) & np.isfinite(weight + slope + offset))
        old = lines.upper_slope if above else lines.lower_slope
        ends = lines.upper_offset if above else lines.lower_offset
        old, ends = old.copy(), ends.copy()
        slope, offset = slope[some] / weight[some], offset[some] / weight[some]
        # Of a few sums and quotients: what the combination is short of an exact one.
        low, high = self._interval(k)
        reach = np.maximum(np.abs(low), np.abs(high))[some]
        largest = np.max([np.abs(ends[0, some]), np.abs(offset)], axis=0)
        margin = 4.0 * (2 * len(taken) + 4) * UNIT * (largest + size[some] / weight[some] * reach)
        old[0, some] = slope
        ends[0, some] = offset + (margin if above else -margin)
        if above:
            return replace(lines, upper_slope=old, upper_offset=ends)
        return replace(lines, lower_slope=old, lower_offset=ends)

    @staticmethod
    def _members(step: Windows, slopes: Array, taken: Sequence[tuple[Sides, Vector]]) -> Array:
        """Return the convex combination of each window's members that the multipliers name."""
        weights = np.zeros(slopes.shape[1:])
        for side, part in taken:
            entry = side.slopes.argmax(axis=1)
            column = (step.members[side.units] == entry[:, np.newaxis]).argmax(axis=1)
            np.add.at(weights, (side.units, column), part)
        total = weights.sum(axis=1)
        some = (total > 0.0) & np.isfinite(total)
        slopes = slopes.copy()
        slopes[0, some] = weights[some] / total[some, np.newaxis]
        return slopes


def possible_members(step: Windows, low: Vector, high: Vector) -> Array:
    """Return which members of each window, (units, width), may be its largest on an interval."""
    least, most = window_intervals(step, low, high)
    winner = np.arange(least.shape[1]) == least.argmax(axis=1)[:, np.newaxis]
    return np.asarray(winner | (most > least.max(axis=1, keepdims=True)))


def cases_of(search: Search) -> list[Relaxation]:
    """Return the relaxation of a search's whole set, one for each rival that may be the largest.

    Only where the outputs ask that the largest be large: elsewhere its rows say all.
    """
    assert search.root is not None
    cases: list[tuple[int, int] | None] = [None]
    pulled = search.bounds.parts[-1].pull(search.rows)[0]
    later = {p for part in search.bounds.parts[:-1] for p in part.predecessors}
    for k, step in enumerate(search.bounds.steps):
        if not isinstance(step, Windows) or step.units != 1 or k in later or k not in pulled:
            continue
        rising = step.sign * pulled[k][:, 0]
        if (rising >= 0.0).all() and rising.any():
            low, high = search.root.intervals[k]
            cases = [
                (k, int(i)) for i in np.flatnonzero(possible_members(step, low[0], high[0])[0])
            ]
    lower, upper = search.allowed.lower, search.allowed.upper
    return [
        Relaxation(search.bounds, search.root, lower, upper, search.rows, search.limits, case)
        for case in cases
    ]


def unit_of(allowed: Allowed) -> float:
    """Return the power of two that is nearest below the largest entry of C's box."""
    reach = max(np.abs(allowed.lower).max(initial=0.0), np.abs(allowed.upper).max(initial=0.0))
    return float(powers_of_two(np.array([reach]))[0])


def program_over(problem: Problem, allowed: Allowed) -> ScaledProgram:
    """Return a program over the convex hull of C in units of its box."""
    unit, hull = unit_of(allowed), problem.set.hull
    assert isinstance(hull, IntersectionKernel)
    return ScaledProgram(row_program(ScaledSet(hull, unit), problem.size), problem.size, unit)


def linear_programs(search: Search, cases: Sequence[Relaxation]) -> Vector:
    """Lower a search's bound by the linear program of each case, where it does.

    Returns
    -------
    numpy.ndarray, shape (cases,)
        A bound of each.
    """
    bounds = np.array([case.value(search) for case in cases])
    for index in np.argsort(-bounds):
        if bounds[index] > search.goal and not search.expired():
            program = program_over(search.problem, search.allowed)
            program.finish(search.seconds_left)
            bound = cases[index].solve(program)
            if bound is not None:
                x = bound.x[np.newaxis, : search.problem.size]
                search.try_points(search.problem.set.project(x))
                bounds[index] = min(bounds[index], cases[index].value(search, bound.multipliers))
    if search.tighten(float(bounds.max())):
        search.shown = "linear program"
    return bounds
