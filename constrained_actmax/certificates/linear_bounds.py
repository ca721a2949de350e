r"""Bounds of a network's outputs over batches of boxes by linear functions (Zhang et al. 2018).

A row of coefficients of an output is carried back through the network; at every nonlinear operation
positive coefficients take the line above and negative ones the line below, on the interval of its
pre-activations. What arrives at the input is a linear function above the output, and its maximum
over C and the box is the bound. The intervals of the pre-activations are found the same way, layer
by layer, each the smaller of this, of the interval's own and of the box around.

**Rounding.** Where a part of the network carries rows v, the exact product differs from the
computed one by at most :math:`\gamma_k |v|^\top (|W| H + |b|)`, with H the largest absolute values
that enter the part, and k its number of roundings (Higham 2002, section 3.1). The part's twin with
absolute constants gives :math:`|W| H + |b|` once for all boxes. These terms are added to every
bound.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from constrained_actmax.certificates.allowed import ACCURATE, EPSILON, QUICK, Allowed
from constrained_actmax.certificates.relaxations import (
    Lines,
    WindowLines,
    bending,
    interval,
    lines,
    refusal_of,
    slope_interval,
    window_intervals,
    window_lines,
)
from constrained_actmax.certificates.softmax import (
    GroupLines,
    group_lines,
    jacobian_interval,
    members_of,
)
from constrained_actmax.errors import RefusedError
from constrained_actmax.layout import Indices, Rows, Vector
from constrained_actmax.structure import (
    Curve,
    LogSumExp,
    Part,
    Pieces,
    Softmax,
    Structure,
    Windows,
)
from constrained_actmax.structure.nonlinearities import Nonlinearity
from constrained_actmax.structure.part import INPUT, weighted

Array = npt.NDArray[Any]

UNIT = EPSILON / 2.0
NUMBERS = 2**17  # that one array of rows holds, so that it stays in a processor's cache
MATRIX = 2**18  # entries of an affine part up to which it is read as matrices
#: Products of one matrix product up to which OpenBLAS stays in one thread (interface/gemm.c): its
#: threads wait for each other, which costs more than such small products where others compute.
ONE_THREAD, FEWEST = 2**18, 16  # rows below which the pieces would be too short

AnyLines: TypeAlias = Lines | WindowLines | GroupLines
#: Bounds (lower, upper) of the pre-activations of each nonlinearity, (B, size) each.
Intervals = list[tuple[Rows, Rows]]


@dataclass(frozen=True, eq=False)
class Bounded:
    """What is known of some combinations of the outputs over a batch of boxes.

    Parameters
    ----------
    upper : numpy.ndarray, shape (B, m)
        No combination is larger anywhere in its box.
    slopes, offsets : numpy.ndarray, shapes (B, m, n) and (B, m)
        Linear functions above the combinations, rounding included in the offsets.
    points : numpy.ndarray, shape (B, m, n)
        Where these are largest.
    intervals : list of (numpy.ndarray, numpy.ndarray)
        Of the pre-activations.
    matrix, most : numpy.ndarray, shapes (B, q, n) and (B, q)
        Inequalities that hold where the pre-activations lie on the chosen sides.
    functions : list of Functions or None
        Of the pre-activations, where they were found.
    coefficients : dict of numpy.ndarray, shapes (B, units)
        Of the first combination's bound, by the results of each nonlinearity.
    relaxed : list of Lines, WindowLines or GroupLines
        Of the nonlinearities.
    """

    upper: Rows
    slopes: Array
    offsets: Rows
    points: Array
    intervals: Intervals
    matrix: Array
    most: Rows
    functions: list[Functions | None]
    coefficients: dict[int, Rows]
    relaxed: list[AnyLines]


class Functions(NamedTuple):
    """Linear functions of the input above and below pre-activations over boxes.

    Slopes (B, size, n), offsets (B, size), rounding included; constant where none is known.
    """

    upper_slopes: Array
    upper_offsets: Rows
    lower_slopes: Array
    lower_offsets: Rows


class Matrices:
    """An affine part as matrices, which for few entries is faster than a compiled call.

    Parameters
    ----------
    part : Part
    """

    def __init__(self, part: Part) -> None:
        self.size, self.predecessors = part.size, part.predecessors
        self.intercept = part.intercept
        self.matrices = part.pull(np.eye(part.size))[0]
        units = sum(matrix.shape[1] for matrix in self.matrices.values())
        self.roundings = part.roundings + part.size + units

    def apply(self, values: Mapping[int, Rows]) -> Rows:
        """Return z (B, size) from values (B, units) of each predecessor."""
        z = sum(_product(values[p], matrix.T) for p, matrix in self.matrices.items())
        return np.asarray(z + self.intercept)

    def pull(self, rows: Rows) -> tuple[dict[int, Rows], Vector]:
        """Carry coefficient rows back, as `Part.pull` does."""
        pulled = {p: _product(rows, matrix) for p, matrix in self.matrices.items()}
        return pulled, weighted(rows, self.intercept)


def work_of(structure: Structure) -> float:
    """Return the multiplications that the linear bounds of a box take, if every unit bends.

    Two rows of every pre-activation go back through all parts before it, counted as dense.
    """
    before = total = 0.0
    for part in structure.parts:
        units = [
            structure.size if p == INPUT else structure.nonlinearities[p].units
            for p in part.predecessors
        ]
        before += float(part.size) * sum(units)
        total += 2.0 * part.size * before
    return total


def _product(rows: Rows, matrix: Array) -> Rows:
    """Return rows @ matrix, in pieces of one thread each."""
    most = ONE_THREAD // max(matrix.size, 1)
    whole = len(rows) // most * most if most else 0
    if whole <= most or most < FEWEST:
        return np.asarray(rows @ matrix)
    split = rows[:whole].reshape(-1, most, rows.shape[1]) @ matrix
    return np.concatenate([split.reshape(whole, -1), rows[whole:] @ matrix])


def _by_interval(low: Rows, high: Rows, rows: Array) -> Array:
    """Return upper bounds of combinations (size, ...) of outputs on intervals."""
    size = np.maximum(np.abs(low), np.abs(high)) @ np.abs(rows)
    top = high @ np.maximum(rows, 0.0) + low @ np.minimum(rows, 0.0)
    return np.asarray(top + 2.0 * (len(rows) + 2) * UNIT * size)


class _Layers(NamedTuple):
    """Every nonlinearity over a batch of boxes.

    What follows for a box that is `empty` means nothing: no point has such pre-activations.
    """

    intervals: Intervals
    relaxed: list[AnyLines]
    functions: list[Functions | None]
    empty: Array
    output: tuple[Rows, Rows]


class Side(NamedTuple):
    """A pre-activation on one side of a kink: sign * (z - kink) >= 0."""

    step: int
    unit: int
    sign: float
    kink: float


def _of_step(sides: Sequence[Sequence[Side]], k: int) -> list[tuple[int, int, Side]]:
    """Return box, place and side of what is known of the pre-activations of one nonlinearity."""
    return [
        (box, index, side)
        for box, some in enumerate(sides)
        for index, side in enumerate(some)
        if side.step == k
    ]


def _onto_members(step: Windows, shares: Array) -> Rows:
    """Return the sums (B, size) of what windows give to their members, (B, units, width)."""
    total = np.zeros((len(shares), step.size))
    each = np.arange(len(shares))[:, np.newaxis]
    for column, members in enumerate(step.members.T):
        at = each, np.maximum(members, 0)[np.newaxis]
        np.add.at(total, at, np.where(members >= 0, shares[..., column], 0.0))
    return total


class LinearBounds:
    """Linear bounds of one structure over boxes of one set.

    Parameters
    ----------
    structure : Structure
        The network.
    part : Part
        The output that is bounded.
    allowed : Allowed
        C.
    expired : callable
        Whether to stop improving bounds of pre-activations; interval bounds take their place.

    Raises
    ------
    RefusedError
        If an operation has no linear bounds.
    """

    def __init__(
        self,
        structure: Structure,
        part: Part,
        allowed: Allowed,
        expired: Callable[[], bool] = lambda: False,
    ) -> None:
        for step in structure.nonlinearities:
            reason = refusal_of(step)
            if reason is not None:
                raise RefusedError(reason)
        self.structure, self.part, self.allowed, self.expired = structure, part, allowed, expired
        affine = (*structure.parts, part)
        self.steps = tuple(self._without_infinite(k) for k in range(len(structure.parts)))
        self._infinite = [~np.isfinite(part.intercept) for part in affine]
        if self._infinite[-1].any():
            raise RefusedError("certify: an output adds an infinite constant and has no bounds.")
        self.parts = tuple(self._read(part) for part in affine)
        self._twins = tuple(
            self.parts[k] if part.absolute is None else self._read(part.absolute)
            for k, part in enumerate(affine)
        )
        self._exact = all(part.absolute is not None for part in affine)
        #: Why a bound is no proof in exact arithmetic; empty where it is.
        self.doubts = self._doubts()
        self._magnitudes: list[Vector] | None = None
        lower, upper = allowed.lower[np.newaxis], allowed.upper[np.newaxis]
        reach = self._magnitudes_of(lower, upper)
        self._magnitudes = reach

    @property
    def magnitudes(self) -> list[Vector]:
        """|W| H + |b| of every part, and of the output last."""
        assert self._magnitudes is not None
        return self._magnitudes

    def _doubts(self) -> list[str]:
        doubts = []
        if not self._exact:
            doubts.append("a part of the network has no bound on its rounding")
        for step in self.structure.nonlinearities:
            if isinstance(step, Curve) and step.sampled:
                doubts.append(f"layer {step.name!r} was recognised as {step.kind} by its values")
                break
        return doubts

    def _without_infinite(self, k: int) -> Nonlinearity:
        """Return a nonlinearity without the entries that an infinite constant masks.

        A margin and the odds of a probability mask their own class among the rivals.
        """
        step, part = self.structure.nonlinearities[k], self.structure.parts[k]
        infinite = ~np.isfinite(part.intercept)
        if not infinite.any():
            return step
        below = part.intercept[infinite] == -np.inf
        if isinstance(step, LogSumExp) and below.all():
            rest = ~infinite[step.members]
            width = int(rest[0].sum())
            if width and (rest.sum(axis=1) == width).all():
                return replace(step, members=step.members[rest].reshape(-1, width))
        if not isinstance(step, Windows) or (part.intercept[infinite] != -step.sign * np.inf).any():
            raise RefusedError(
                f"certify: what enters layer {step.name!r} adds an infinite constant and has no "
                "bounds."
            )
        masked = (step.members >= 0) & infinite[step.members]
        return replace(step, members=np.where(masked, -1, step.members))

    def _read(self, part: Part) -> Part | Matrices:
        units = [
            self.structure.size if p == INPUT else self.structure.nonlinearities[p].units
            for p in part.predecessors
        ]
        return Matrices(part) if 0 < part.size * max(sum(units), part.size) <= MATRIX else part

    def _magnitudes_of(self, lower: Rows, upper: Rows) -> list[Vector]:
        """Return |W| H + |b| for every part from intervals over the whole box."""
        entering: dict[int, Rows] = {INPUT: np.maximum(np.abs(lower), np.abs(upper))}
        centres = {INPUT: 0.5 * (lower + upper)}
        radii = {INPUT: 0.5 * (upper - lower)}
        magnitudes = []
        for k in range(len(self.parts)):
            magnitude = np.abs(self._twins[k].apply(entering)) * (1.0 + 1e-6)
            magnitude = np.where(self._infinite[k], 0.0, magnitude)
            magnitudes.append(magnitude[0])
            if k < len(self.structure.parts):
                low, high = self._interval_of(k, centres, radii, magnitude[0])
                low, high = interval(self.steps[k], low, high)
                entering[k] = np.maximum(np.abs(low), np.abs(high))
                centres[k], radii[k] = 0.5 * (low + high), 0.5 * (high - low)
        return magnitudes

    def _gamma(self, k: int) -> float:
        # With a part's own roundings: products with slopes, sums of two kinds, merged branches.
        count = self.parts[k].roundings + 8 + len(self.parts)
        return count * UNIT / (1.0 - count * UNIT)

    def _interval_of(
        self, k: int, centres: dict[int, Rows], radii: dict[int, Rows], magnitude: Vector
    ) -> tuple[Rows, Rows]:
        """Return bounds of a part's result from intervals that enter it."""
        part, twin = self.parts[k], self._twins[k]
        infinite = self._infinite[k]
        middle = part.apply({p: centres[p] for p in part.predecessors})
        middle = np.where(infinite, 0.0, middle)
        constant = np.where(infinite, 0.0, np.abs(twin.intercept))
        radius = twin.apply({p: radii[p] for p in part.predecessors})
        radius = np.where(infinite, 0.0, radius) - constant
        wider = np.maximum(radius, 0.0) + 4.0 * self._gamma(k) * magnitude
        return middle - wider, middle + wider

    # -- forward: intervals --------------------------------------------------------------------

    def bound(
        self,
        lower: Rows,
        upper: Rows,
        rows: Array,
        around: Intervals | None = None,
        *,
        sides: Sequence[Sequence[Side]] = (),
        cutoff: float = np.inf,
        refine: bool = True,
    ) -> Bounded:
        """Return upper bounds of combinations of the outputs over boxes.

        Parameters
        ----------
        lower, upper : numpy.ndarray, shape (B, n)
            The boxes.
        rows : numpy.ndarray, shape (m, size)
            The combinations.
        around : list of (numpy.ndarray, numpy.ndarray), optional
            Intervals of the pre-activations that are known already.
        sides : sequence of sequences of Side, optional
            For each box, what holds of its points besides.
        cutoff : float
            Where the first combination's bound is larger, a linear program may lower it.
        refine : bool
            Whether linear bounds improve the intervals of the pre-activations too. Without, a box
            costs about a hundredth.
        """
        (count, n), m = lower.shape, len(rows)
        layers = self._layers(lower, upper, around, sides, refine)
        relaxed = layers.relaxed
        flat = np.broadcast_to(rows, (count, *rows.shape)).reshape(count * m, -1)
        index = np.repeat(np.arange(count), m)
        coefficients: dict[int, Rows] = {}
        slopes, offsets = self._carried(len(self.parts) - 1, flat, index, relaxed, coefficients)
        matrix, most = self._inequalities(sides, count, relaxed)
        enough = np.where(np.arange(count * m) % m == 0, cutoff - offsets, np.inf)
        top, points = self.allowed.maximum(
            slopes,
            lower[index],
            upper[index],
            rows=matrix[index] if matrix.shape[1] else None,
            most=most[index],
            effort=QUICK if matrix.shape[1] else ACCURATE,
            cutoff=enough,
        )
        top = top + offsets + 2.0 * UNIT * (np.abs(top) + np.abs(offsets))
        bound = np.minimum(top.reshape(count, m), _by_interval(*layers.output, rows.T))
        bound[np.isnan(bound)] = np.inf  # where numbers overflow, nothing is known
        bound[layers.empty] = -np.inf
        return Bounded(
            bound,
            slopes.reshape(count, m, n),
            offsets.reshape(count, m),
            points.reshape(count, m, n),
            layers.intervals,
            matrix,
            most,
            layers.functions,
            {k: coefficient[::m] for k, coefficient in coefficients.items()},
            relaxed,
        )

    def _layers(
        self,
        lower: Rows,
        upper: Rows,
        around: Intervals | None,
        sides: Sequence[Sequence[Side]],
        refine: bool,
    ) -> _Layers:
        """Bound the pre-activations layer by layer, and relax what bends on these intervals."""
        relaxed: list[AnyLines] = []
        intervals: Intervals = []
        functions: list[Functions | None] = []
        empty = np.zeros(len(lower), dtype=bool)
        centres = {INPUT: 0.5 * (lower + upper)}
        radii = {INPUT: 0.5 * (upper - lower) * (1.0 + 4.0 * UNIT)}
        for k, (part, step) in enumerate(zip(self.structure.parts, self.steps, strict=True)):
            low, high = self._interval_of(k, centres, radii, self.magnitudes[k])
            if around is not None:
                low, high = np.maximum(low, around[k][0]), np.minimum(high, around[k][1])
            for box, _, side in _of_step(sides, k):
                end, nearer = (low, max) if side.sign > 0.0 else (high, min)
                end[box, side.unit] = nearer(end[box, side.unit], side.kink)
            # Over the box alone the first layer's intervals are exact.
            function = None
            if refine and (part.predecessors != (INPUT,) or not self.allowed.only_box):
                low, high, function = self._refined(k, lower, upper, low, high, relaxed)
            functions.append(function)
            empty |= (low > high).any(axis=1)
            low, high = np.minimum(low, high), np.maximum(low, high)
            intervals.append((low, high))
            relaxed.append(self._relaxation(k, low, high))
            first, last = interval(step, low, high)
            centres[k], radii[k] = 0.5 * (first + last), 0.5 * (last - first) * (1.0 + 4.0 * UNIT)
        output = self._interval_of(-1, centres, radii, self.magnitudes[-1])
        return _Layers(intervals, relaxed, functions, empty, output)

    def _inequalities(
        self,
        sides: Sequence[Sequence[Side]],
        count: int,
        relaxed: Sequence[AnyLines],
    ) -> tuple[Array, Rows]:
        """Return rows over the input (B, q, n) that every point on the sides satisfies."""
        longest = max((len(some) for some in sides), default=0)
        matrix = np.zeros((count, longest, self.structure.size))
        most = np.full((count, longest), 1.0)  # 0 <= 1 where a box has fewer
        for k, part in enumerate(self.structure.parts):
            chosen = _of_step(sides, k)
            if not chosen:
                continue
            box, positions = (np.array([c[i] for c in chosen]) for i in (0, 1))
            rows = np.zeros((len(chosen), part.size))
            sign = np.array([side.sign for _, _, side in chosen])
            rows[np.arange(len(chosen)), [side.unit for _, _, side in chosen]] = sign
            # Above sign * z, so that it is no smaller than sign * kink where that holds.
            slopes, offsets = self._carried(k, rows, box, relaxed)
            matrix[box, positions] = -slopes
            most[box, positions] = offsets - sign * np.array([side.kink for _, _, side in chosen])
        return matrix, most + 4.0 * UNIT * np.abs(most)

    def _relaxation(self, k: int, low: Rows, high: Rows) -> AnyLines:
        step = self.steps[k]
        if isinstance(step, Windows):
            return window_lines(step, low, high)
        if isinstance(step, LogSumExp | Softmax):
            return group_lines(step, low, high)
        assert isinstance(step, Pieces | Curve)
        return lines(step, low, high)

    def _refined(
        self,
        k: int,
        lower: Rows,
        upper: Rows,
        low: Rows,
        high: Rows,
        relaxed: Sequence[AnyLines],
    ) -> tuple[Rows, Rows, Functions]:
        """Return intervals of pre-activations improved by linear bounds, where they bend."""
        part, step = self.parts[k], self.steps[k]
        boxes, units = np.nonzero(bending(step, low, high))
        low, high = low.copy(), high.copy()
        shape = (*low.shape, lower.shape[1])
        functions = Functions(np.zeros(shape), high.copy(), np.zeros(shape), low.copy())
        widest = max(part.size, self.structure.size, *(rows.units for rows in self.steps))
        most = max(1, NUMBERS // (2 * widest))
        for start in range(0, len(boxes), most):
            if self.expired():
                break
            box, unit = boxes[start : start + most], units[start : start + most]
            named, inverse = np.unique(unit, return_inverse=True)
            unit_rows = np.zeros((len(named), part.size))
            unit_rows[np.arange(len(named)), named] = 1.0
            pulled, constants = part.pull(unit_rows)
            error = self._gamma(k) * self.magnitudes[k][named]
            for sign, bound, smaller, known_slopes, known_offsets in (
                (1.0, high, np.minimum, functions.upper_slopes, functions.upper_offsets),
                (-1.0, low, np.maximum, functions.lower_slopes, functions.lower_offsets),
            ):
                supplied = {p: sign * rows[inverse] for p, rows in pulled.items()}
                slopes, offsets = self._through_all(
                    supplied, sign * constants[inverse] + error[inverse], box, relaxed
                )
                value, _ = self.allowed.maximum(slopes, lower[box], upper[box], effort=QUICK)
                value = value + offsets + 2.0 * UNIT * (np.abs(value) + np.abs(offsets))
                bound[box, unit] = smaller(bound[box, unit], sign * value)
                known_slopes[box, unit], known_offsets[box, unit] = sign * slopes, sign * offsets
        return low, high, functions

    # -- for parts of boxes ------------------------------------------------------------------------

    def within(self, bounded: Bounded, index: Indices, lower: Rows, upper: Rows) -> Intervals:
        """Return intervals of pre-activations in parts of boxes, by the functions found for these.

        Parameters
        ----------
        bounded : Bounded
            For the boxes.
        index : numpy.ndarray of int, shape (R,)
            Which of them each part lies in.
        lower, upper : numpy.ndarray, shape (R, n)
            The parts.
        """
        centre, radius = 0.5 * (lower + upper), 0.5 * (upper - lower) * (1.0 + 4.0 * UNIT)
        reach = np.maximum(np.abs(lower), np.abs(upper))[..., np.newaxis]
        intervals: Intervals = []
        for (low, high), functions in zip(bounded.intervals, bounded.functions, strict=True):
            low, high = low[index], high[index]
            if functions is not None:
                ends = []
                for sign, slopes, offsets in (
                    (-1.0, functions.lower_slopes[index], functions.lower_offsets[index]),
                    (1.0, functions.upper_slopes[index], functions.upper_offsets[index]),
                ):
                    sizes = np.abs(slopes)
                    wider = (sizes @ radius[..., np.newaxis])[..., 0]
                    size = (sizes @ reach)[..., 0] + np.abs(offsets)
                    margin = 4.0 * (lower.shape[1] + 8) * UNIT * size
                    middle = (slopes @ centre[..., np.newaxis])[..., 0]
                    ends.append(middle + offsets + sign * (wider + margin))
                low, high = np.maximum(low, ends[0]), np.minimum(high, ends[1])
            intervals.append((low, high))
        return intervals

    def looseness(self, bounded: Bounded, count: int) -> Rows:
        r"""Return how much each input's width contributes to the gap of the relaxations, (B, n).

        To first order, with the coefficients v of the bound, the gap at the middle and the width
        of each pre-activation's interval, and the slopes of its linear bounds:
        :math:`\sum_k \sum_u |v_{ku}| \frac{\text{gap}_{ku}}{\text{width}_{ku}}
        (|\overline a_{kud}| + |\underline a_{kud}|)`.
        """
        total = np.zeros((count, self.structure.size))
        for k, coefficients in bounded.coefficients.items():
            weights = np.abs(coefficients)
            step, lines = self.steps[k], bounded.relaxed[k]
            low, high = bounded.intervals[k]
            if isinstance(lines, WindowLines):
                assert isinstance(step, Windows)
                turned = np.abs(lines.upper_slope - lines.lower_slope)
                weights = _onto_members(step, weights[..., np.newaxis] * turned)
            elif isinstance(lines, GroupLines):
                turned = np.abs(lines.upper_slope - lines.lower_slope)
                split = weights.reshape(count, len(lines.members), -1)
                weights = np.zeros(low.shape)
                weights[:, lines.members] = np.einsum("bgo,bgow->bgw", split, turned)
            else:
                gap = (lines.upper_slope - lines.lower_slope) * (0.5 * (low + high))
                gap = gap + lines.upper_offset - lines.lower_offset
                width = high - low
                share = np.divide(gap, width, out=np.zeros_like(gap), where=width > 0.0)
                weights = weights * np.maximum(share, 0.0)
            functions = bounded.functions[k]
            if functions is not None:
                slopes = np.abs(functions.upper_slopes) + np.abs(functions.lower_slopes)
                total += np.einsum("bu,bun->bn", weights, slopes)
            elif INPUT in self.parts[k].predecessors:
                total += 2.0 * np.abs(self._twins[k].pull(weights)[0][INPUT])
        return total

    # -- backward --------------------------------------------------------------------------------

    def above(self, rows: Rows, relaxed: Sequence[AnyLines]) -> tuple[Rows, Vector]:
        """Return slopes (m, n) and offsets (m,) of linear functions above combinations of outputs.

        Over the box, the first of a batch, on which the lines hold.
        """
        return self._carried(len(self.parts) - 1, rows, np.zeros(len(rows), dtype=int), relaxed)

    def _carried(
        self,
        k: int,
        rows: Rows,
        index: Indices,
        relaxed: Sequence[AnyLines],
        coefficients: dict[int, Rows] | None = None,
    ) -> tuple[Rows, Vector]:
        """Carry rows (R, size) of part k back to the input: slopes and offsets above."""
        pulled, constants = self.parts[k].pull(rows)
        error = self._gamma(k) * (np.abs(rows) @ self.magnitudes[k])
        return self._through_all(pulled, constants + error, index, relaxed, coefficients)

    def _through_all(
        self,
        waiting: dict[int, Rows],
        offsets: Vector,
        index: Indices,
        relaxed: Sequence[AnyLines],
        coefficients: dict[int, Rows] | None = None,
    ) -> tuple[Rows, Vector]:
        waiting = dict(waiting)
        while waiting and (k := max(waiting)) != INPUT:
            if coefficients is not None:
                coefficients[k] = waiting[k]
            rows, constants = self._through(k, waiting.pop(k), index, relaxed[k])
            pulled, more = self.parts[k].pull(rows)
            error = self._gamma(k) * (np.abs(rows) @ self.magnitudes[k])
            offsets = offsets + constants + more + error
            offsets = offsets + 4.0 * UNIT * (np.abs(offsets) + np.abs(constants) + np.abs(more))
            for number, part in pulled.items():
                waiting[number] = waiting[number] + part if number in waiting else part
        slopes = waiting.get(INPUT)
        if slopes is None:
            slopes = np.zeros((len(offsets), self.structure.size))
        return slopes, offsets

    def _through(
        self, k: int, rows: Rows, index: Indices, relaxed: AnyLines
    ) -> tuple[Rows, Vector]:
        """Carry rows (R, units) through one nonlinearity: rows (R, size), constants above."""
        step = self.steps[k]
        if isinstance(step, Windows):
            assert isinstance(relaxed, WindowLines)
            return self._through_windows(k, step, rows, index, relaxed)
        if isinstance(relaxed, GroupLines):
            return self._through_groups(step, rows, index, relaxed)
        assert isinstance(relaxed, Lines)
        positive, negative = np.maximum(rows, 0.0), np.minimum(rows, 0.0)
        constants = np.einsum("ru,ru->r", positive, relaxed.upper_offset.take(index, axis=0))
        constants += np.einsum("ru,ru->r", negative, relaxed.lower_offset.take(index, axis=0))
        positive *= relaxed.upper_slope.take(index, axis=0)
        negative *= relaxed.lower_slope.take(index, axis=0)
        back = positive
        back += negative
        largest = np.maximum(np.abs(relaxed.upper_offset), np.abs(relaxed.lower_offset))
        size = np.abs(rows) @ largest.max(axis=0)
        return back, constants + 2.0 * (rows.shape[1] + 2) * UNIT * size

    def _through_windows(
        self, k: int, step: Windows, rows: Rows, index: Indices, relaxed: WindowLines
    ) -> tuple[Rows, Vector]:
        signed = step.sign * rows
        positive, negative = np.maximum(signed, 0.0), np.minimum(signed, 0.0)
        total = positive[..., np.newaxis] * relaxed.upper_slope[index]
        total += negative[..., np.newaxis] * relaxed.lower_slope[index]
        back, sizes = _onto_members(step, total), _onto_members(step, np.abs(total))
        offset = relaxed.upper_offset[index]
        constants = np.einsum("ru,ru->r", positive, offset)
        size = np.einsum("ru,ru->r", positive, np.abs(offset)) + sizes @ self.magnitudes[k]
        # Slopes below sum to one within as many roundings as a window has members.
        roundings = rows.shape[1] + step.members.shape[1] + 4
        return step.sign * back, constants + 2.0 * roundings * UNIT * size

    @staticmethod
    def _through_groups(
        step: Nonlinearity, rows: Rows, index: Indices, relaxed: GroupLines
    ) -> tuple[Rows, Vector]:
        groups = len(relaxed.members)
        positive, negative = np.maximum(rows, 0.0), np.minimum(rows, 0.0)
        constants = np.einsum("ru,ru->r", positive, relaxed.upper_offset[index])
        constants += np.einsum("ru,ru->r", negative, relaxed.lower_offset[index])
        size = np.einsum("ru,ru->r", positive, np.abs(relaxed.upper_offset[index]))
        size -= np.einsum("ru,ru->r", negative, np.abs(relaxed.lower_offset[index]))
        back, sizes = np.zeros((len(rows), step.size)), np.zeros((len(rows), step.size))
        for some, slopes in (
            (positive, relaxed.upper_slope[index]),
            (negative, relaxed.lower_slope[index]),
        ):
            split = some.reshape(len(rows), groups, -1)
            back[:, relaxed.members] += np.einsum("rgo,rgow->rgw", split, slopes)
            sizes[:, relaxed.members] += np.einsum("rgo,rgow->rgw", np.abs(split), np.abs(slopes))
        size += np.einsum("rs,rs->r", sizes, relaxed.reach[index])
        return back, constants + 2.0 * (rows.shape[1] + 8) * UNIT * size

    # -- at points ---------------------------------------------------------------------------------

    def point_bound(self, x: Rows, row: Vector) -> Vector:
        """Return an upper bound of a combination of the outputs at points (B, n), by intervals."""
        centres, radii = {INPUT: x}, {INPUT: np.zeros_like(x)}
        for k, step in enumerate(self.steps):
            low, high = interval(step, *self._interval_of(k, centres, radii, self.magnitudes[k]))
            centres[k], radii[k] = 0.5 * (low + high), 0.5 * (high - low) * (1.0 + 4.0 * UNIT)
        return _by_interval(*self._interval_of(-1, centres, radii, self.magnitudes[-1]), row)

    # -- derivatives -------------------------------------------------------------------------------

    def slopes(
        self, intervals: Intervals, row: Vector, count: int
    ) -> tuple[Rows, Rows, list[Rows]]:
        """Return bounds (B, n) of the derivatives of one combination of the outputs over boxes.

        At a kink they hold for all of Clarke's derivatives. With them, for each nonlinearity the
        largest absolute derivative by its results, (B, units).
        """
        waiting: dict[int, tuple[Rows, Rows]] = {}

        def spread(k: int, middle: Rows, radius: Rows) -> None:
            pulled = self.parts[k].pull(middle)[0]
            wider = 2.0 * self._gamma(k) * (np.abs(middle) + radius) + radius
            widened = self._twins[k].pull(wider)[0]
            for number, slopes in pulled.items():
                more = np.abs(widened[number])
                if number in waiting:
                    slopes, more = waiting[number][0] + slopes, waiting[number][1] + more
                waiting[number] = slopes, more

        reached = [np.zeros((count, step.units)) for step in self.steps]
        start = np.broadcast_to(row, (count, len(row)))
        spread(-1, start, np.zeros_like(start))
        while waiting and (k := max(waiting)) != INPUT:
            middle, radius = waiting.pop(k)
            reached[k] = np.abs(middle) + radius
            spread(k, *self._derived(k, middle, radius, *intervals[k]))
        if INPUT not in waiting:
            zeros = np.zeros((count, self.structure.size))
            return zeros, zeros, reached
        middle, radius = waiting[INPUT]
        return middle - radius, middle + radius, reached

    def _derived(
        self, k: int, middle: Rows, radius: Rows, low: Rows, high: Rows
    ) -> tuple[Rows, Rows]:
        step = self.steps[k]
        if isinstance(step, Windows):
            inside, (least, most) = step.members >= 0, window_intervals(step, low, high)
            possible = inside & (most >= least.max(axis=-1, keepdims=True))
            alone = possible.sum(axis=-1, keepdims=True) == 1
            share = np.where(possible, np.where(alone, 1.0, 0.5), 0.0)
            spread = np.where(possible & ~alone, 0.5, 0.0)
            v, r = middle[..., np.newaxis], radius[..., np.newaxis]
            wider = np.abs(v) * spread + r * (share + spread)
            return _onto_members(step, v * share), _onto_members(step, wider)
        if isinstance(step, LogSumExp | Softmax):
            least, most = jacobian_interval(step, low, high)
            a, d = 0.5 * (least + most), 0.5 * (most - least)
            groups = len(least[0])
            v, r = middle.reshape(len(middle), groups, -1), radius.reshape(len(middle), groups, -1)
            members = members_of(step)
            back, wide = np.zeros((2, len(middle), step.size))
            back[:, members] = np.einsum("bgo,bgow->bgw", v, a)
            size = np.einsum("bgo,bgow->bgw", np.abs(v), np.abs(a))
            wide[:, members] = np.einsum("bgo,bgow->bgw", np.abs(v), d)
            wide[:, members] += np.einsum("bgo,bgow->bgw", r, np.abs(a) + d)
            wide[:, members] += 2.0 * (v.shape[2] + 8) * UNIT * size
            return back, wide * (1.0 + 2.0 * (v.shape[2] + 8) * UNIT)
        assert isinstance(step, Pieces | Curve)
        least, most = slope_interval(step, low, high)
        a, d = 0.5 * (least + most), 0.5 * (most - least)
        return middle * a, (np.abs(middle) * d + radius * (np.abs(a) + d)) * (1.0 + 8.0 * UNIT)
