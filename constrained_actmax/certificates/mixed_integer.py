r"""Mixed-integer programs of a network's relaxation: a binary variable chooses each unit's piece.

To a unit that is convex on its interval :math:`[l, u]`, with pieces p to the left and q to the
right of one kink, a binary a and two rows are added (for concave ones the signs turn),

.. math:: h \le p(z) + (q - p)(u)\, a, \qquad h \le q(z) + (p - q)(l)\, (1 - a) ,

with the intervals of the linear bounds (Tjeng et al. 2019). In the last hidden layer, and without
limits on outputs, only units that the relaxation would raise need one. Units of other kinds stay
relaxed. HiGHS's bound is the solver's word: it is taken where the solver ended as it should,
and never below a value that is known.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from constrained_actmax.certificates.branching import BY_SOLVER, Search
from constrained_actmax.certificates.programs import Relaxation, program_over, unit_of
from constrained_actmax.certificates.scaled_program import ScaledProgram
from constrained_actmax.kernels.row_program import LinearProgram
from constrained_actmax.kernels.scipy_form import LinearRows, ScipyForm, Substitution
from constrained_actmax.layout import Indices, Vector
from constrained_actmax.structure import Pieces

Array = npt.NDArray[Any]

NODES = 2000  # of one program, where no budget ends it
CUTS = 30  # outer cuts of a curved set
#: A point outside by less, relative to its size, is cut no more.
OUTSIDE = 1e-6


def mixed_integer_programs(search: Search, cases: Sequence[Relaxation], bounds: Vector) -> None:
    """Lower a search's bound by the mixed-integer program of each case that is not done.

    Parameters
    ----------
    search : Search
    cases : sequence of Relaxation
    bounds : numpy.ndarray, shape (cases,)
        What is known of each; lowered in place.
    """
    waiting = [index for index in np.argsort(-bounds) if bounds[index] > search.goal]
    for number, index in enumerate(waiting):
        if bounds[index] <= search.goal or search.expired():
            continue
        left = search.seconds_left
        share = None if left is None else left / (len(waiting) - number)
        program = MixedIntegerProgram(search, cases[index], share)
        bound = program.bound()
        if bound is not None and not search.contradicts(bound):
            bounds[index] = min(bounds[index], bound)
    if search.tighten(float(bounds.max())):
        search.shown = BY_SOLVER


class MixedIntegerProgram:
    """The mixed-integer program of one case.

    Parameters
    ----------
    search : Search
        It gets points that the solver names; its best one is where the solver begins.
    case : Relaxation
    seconds : float or None
        After which it ends, building it included; None: after a fixed number of nodes.
    """

    def __init__(self, search: Search, case: Relaxation, seconds: float | None) -> None:
        self._search, self._case = search, case
        self._end = None if seconds is None else time.perf_counter() + seconds
        self._hull = search.problem.set.hull
        #: For each nonlinearity the units that have a binary, and the kink of each.
        self.kinks = [self._needed(k) for k in range(len(case.bent))]
        self._program, self._curved = self._over_set()
        self._g = case.load(self._program)
        if self._curved:
            self._cut()
        self._add_binaries()

    # -- making it ---------------------------------------------------------------------------------

    def _over_set(self) -> tuple[ScaledProgram, bool]:
        """Return a linear program over C, or over the rows that are known of a curved one."""
        allowed = self._search.allowed
        program = program_over(self._search.problem, allowed)
        if isinstance(program.program, LinearProgram):
            return program, False
        unit = unit_of(allowed)
        rows = LinearRows(
            sp.csr_array(allowed.matrix * unit), np.full(len(allowed.most), -np.inf), allowed.most
        )
        form = ScipyForm(allowed.lower / unit, allowed.upper / unit, (rows,))
        return ScaledProgram(LinearProgram(Substitution(form)), len(allowed.lower), unit), True

    def _cut(self) -> None:
        r"""Cut off what lies outside: :math:`(x - p)^\top (y - p) \le 0` for the projection p."""
        case, hull = self._case, self._hull
        n, margin = case.size, hull.accuracy + hull.tolerance
        size = 2.0 * unit_of(self._search.allowed)  # no entry is larger
        for _ in range(CUTS):
            if self._left() == 0.0:
                return
            self._program.finish(self._left())
            solution = self._program.minimum(self._g, case.lower, case.upper)
            if solution is None:
                return
            x = solution.x[:n]
            p = hull.project(x[np.newaxis])[0]
            away = x - p
            if np.abs(away).max(initial=0.0) <= OUTSIDE * size:
                return
            away = away / np.linalg.norm(away)
            row = np.append(away, np.zeros(len(case.most)))
            end = away @ p + margin * size
            self._program.extend(row[np.newaxis], np.array([-np.inf]), np.array([end]))

    def _needed(self, k: int) -> tuple[Indices, Indices]:
        """Return the units of one nonlinearity that get a binary, and the kink of each."""
        case = self._case
        step, units = case.bounds.steps[k], case.bent[k]
        if not isinstance(step, Pieces) or not len(units):
            return units[:0], units[:0]
        low, high = (interval[0][np.newaxis] for interval in case.bounded.intervals[k])
        first, last = (step.signature(z)[0, units].astype(int) for z in (low, high))
        chosen = last == first + 1
        variables = case.first[k] + np.arange(len(units))
        later = range(k + 1, len(case.bent))
        behind = [case.preactivations[j][0][variables] for j in later if len(case.bent[j])]
        if not len(case.limits) and not any(array.any() for array in behind):
            turn = np.diff(step.slopes, axis=0)[np.minimum(first, len(step.kinks) - 1), units]
            weight = case.preactivations[-1][0][variables] @ case.rows[0]
            chosen &= weight * turn > 0.0
        return units[chosen], first[chosen]

    def _add_binaries(self) -> None:
        case, count = self._case, sum(len(units) for units, _ in self.kinks)
        if not count:
            return
        self._program.widen(np.ones(count))
        start = int(case.entries[-1])
        for k, (units, first) in enumerate(self.kinks):
            if not len(units):
                continue
            step = case.bounds.steps[k]
            assert isinstance(step, Pieces)
            low, high = (interval[0, units] for interval in case.bounded.intervals[k])
            s, o = step.slopes[:, units], step.offsets[:, units]
            each = np.arange(len(units))
            (s0, o0), (s1, o1) = ((s[i, each], o[i, each]) for i in (first, first + 1))
            sign = np.where(s1 > s0, 1.0, -1.0)
            right = np.abs((s1 - s0) * high + o1 - o0)
            left = np.abs((s1 - s0) * low + o1 - o0)
            positions = np.searchsorted(case.bent[k], units)
            for slope, offset, on, off in ((s0, o0, -right, 0.0), (s1, o1, left, left)):
                rows = np.zeros((len(units), start + count))
                rows[each, case.first[k] + positions] = sign
                rows[each, case.entries[k] + positions] = -sign * slope
                rows[each, self._binary(k)] = on
                end = offset + slope * case.lowest(k)[units] - case.least(k)[units]
                self._program.extend(rows, np.full(len(units), -np.inf), sign * end + off)
        self._program.make_binary(count, NODES if self._end is None else None)

    def _binary(self, k: int) -> Array:
        """Return the binaries of one nonlinearity."""
        before = sum(len(units) for units, _ in self.kinks[:k])
        return int(self._case.entries[-1]) + before + np.arange(len(self.kinks[k][0]))

    # -- solving it --------------------------------------------------------------------------------

    def bound(self) -> float | None:
        """Return an upper bound of the combination of outputs, None where the solver has none."""
        case, n = self._case, self._case.size
        constant = float(case.rows[0] @ case.preactivations[-1][1])
        goal = self._search.goal
        count = sum(len(units) for units, _ in self.kinks)
        self._program.finish(self._left())
        least, y = self._program.least(
            np.append(self._g, np.zeros(count)),
            case.lower,
            case.upper,
            start=self._start(),
            enough=constant - goal,
        )
        if y is not None:
            self._search.try_points(self._search.problem.set.project(y[np.newaxis, :n]))
        return None if least is None else constant - least

    def _left(self) -> float | None:
        return None if self._end is None else max(0.0, self._end - time.perf_counter())

    def _start(self) -> Vector | None:
        """Return the best point known with its units and pieces."""
        search, case = self._search, self._case
        if search.state.x is None:
            return None
        x = search.state.x[np.newaxis]
        z = search.structure.preactivations(x)
        pieces = []
        for k, (units, first) in enumerate(self.kinks):
            step = case.bounds.steps[k]
            if isinstance(step, Pieces):
                pieces.append((step.signature(z[k])[0, units] > first).astype(np.float64))
        return np.concatenate([case.variables(x)[0], *pieces])
