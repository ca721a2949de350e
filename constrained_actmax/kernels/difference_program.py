"""Projections on a budget on differences and a box by a cone program that is set up once."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import clarabel
import numpy as np
import scipy.sparse as sp

from constrained_actmax.kernels.relative import powers_of_two
from constrained_actmax.layout import Vector

TOLERANCE = 1e-10  # of Clarabel; leaves the point open by some 1e-7, at 1e-8 by up to 1e-4
MAX_ITERATIONS = 200  # ordinary points need 12 to 27


class DifferenceProgram:
    r"""Minimise :math:`\tfrac12 \|p - y\|^2` over :math:`\sum_i \|(D (p - c))_i\| \le r` and a box.

    Clarabel keeps the equilibrated matrices and the order of elimination from one point to the
    next; only the linear term changes [1]_. cvxpy sets all up anew for each point, which at 28 x 28
    takes as long as the iterations save here.

    Parameters
    ----------
    along : sequence of sparse arrays, shape (n, n)
        D: the differences along each axis, a row for each position.
    center : numpy.ndarray, shape (n,)
        c.
    radius : float
        r.
    lower, upper : numpy.ndarray, shape (n,)
        The box.
    together : bool
        Whether the differences at a position count by their Euclidean length, or each by its size.

    References
    ----------
    .. [1] Goulart and Chen (2024), Clarabel: An interior-point solver for conic programs with
       quadratic objectives, arXiv:2405.12762.
    """

    def __init__(
        self,
        along: Sequence[sp.csr_array],
        center: Vector,
        radius: float,
        lower: Vector,
        upper: Vector,
        *,
        together: bool,
    ) -> None:
        n = len(center)
        # In units in which the set's own numbers are about 1; without any, the point's.
        self._unit = _unit(center, radius, lower, upper)
        unit = self._unit or 1.0
        center, radius, lower, upper = center / unit, radius / unit, lower / unit, upper / unit
        groups = self._groups(along, together=together)
        lengths = groups[0].shape[0]  # one variable t for each group
        rows, offsets, cones = self._box(lower, upper)
        self._size, self._lengths, self._budget = n, lengths, sum(row.shape[0] for row in rows)
        zero = sp.csr_array((lengths, n))
        rows = [sp.hstack([row, sp.csr_array((row.shape[0], lengths))]) for row in rows]
        rows.append(sp.hstack([sp.csr_array((1, n)), sp.csr_array(np.ones((1, lengths)))]))
        offsets.append(np.array([radius]))
        cones.append(clarabel.NonnegativeConeT(1))
        t = sp.hstack([zero, -sp.eye_array(lengths)])
        blocks = [t, *(sp.hstack([-group, sp.csr_array((lengths, lengths))]) for group in groups)]
        each = len(blocks)
        by_group = np.arange(each * lengths).reshape(each, lengths).T.ravel()
        shifts = np.concatenate([np.zeros(lengths), *(-(group @ center) for group in groups)])
        rows.append(sp.vstack(blocks, format="csr")[by_group])
        offsets.append(shifts[by_group])
        cones += [clarabel.SecondOrderConeT(each)] * lengths
        self._matrix = sp.csc_matrix(sp.vstack(rows))
        self._offset, self._cones = np.concatenate(offsets), cones
        self._lock = threading.Lock()  # the solver holds its point: one caller at a time
        self._solver: Any = None

    @staticmethod
    def _groups(along: Sequence[sp.csr_array], *, together: bool) -> list[sp.csr_array]:
        # Positions at the far corner have no differences, those on an edge only some.
        filled = [np.diff(matrix.indptr) > 0 for matrix in along]
        if together:
            some = np.logical_or.reduce(filled)
            return [matrix[some] for matrix in along]
        return [sp.csr_array(sp.vstack([o[f] for o, f in zip(along, filled, strict=True)]))]

    @staticmethod
    def _box(lower: Vector, upper: Vector) -> tuple[list[Any], list[Vector], list[Any]]:
        eye = sp.eye_array(len(lower), format="csr")
        equal = lower == upper
        low, high = np.isfinite(lower) & ~equal, np.isfinite(upper) & ~equal
        triplets: tuple[list[Any], list[Vector], list[Any]] = ([], [], [])
        for sign, some, value, cone in (
            (1.0, equal, upper, clarabel.ZeroConeT),
            (-1.0, low, lower, clarabel.NonnegativeConeT),
            (1.0, high, upper, clarabel.NonnegativeConeT),
        ):
            if some.any():
                triplets[0].append(sign * eye[some])
                triplets[1].append(sign * value[some])
                triplets[2].append(cone(int(some.sum())))
        return triplets

    def project(self, y: Vector) -> tuple[Vector, float] | None:
        """Return the projection, feasible up to the tolerance, and the budget's multiplier.

        None if Clarabel did not solve it to the tolerance.
        """
        size = float(np.max(np.abs(y), initial=0.0))
        unit = self._unit or float(powers_of_two(np.asarray(size)))
        y = y / unit
        # A far point is weighed less, which keeps the numbers near one.
        weight = 1.0 / max(1.0, size / unit)
        linear = np.concatenate([-weight * y, np.zeros(self._lengths)])
        quadratic = np.full(self._size, weight)
        with self._lock:
            if self._solver is None:
                self._solver = self._set_up(quadratic, linear)
            else:
                self._solver.update(P=quadratic, q=linear)
            solution = self._solver.solve()
        if solution.status != clarabel.SolverStatus.Solved:
            return None
        dual = unit * max(0.0, float(solution.z[self._budget])) / weight
        return unit * np.array(solution.x[: self._size]), dual

    def _set_up(self, quadratic: Vector, linear: Vector) -> Any:
        size = self._size + self._lengths
        columns_ = np.arange(self._size)
        p = sp.csc_matrix((quadratic, (columns_, columns_)), shape=(size, size))
        settings = clarabel.DefaultSettings()
        settings.verbose = False
        settings.presolve_enable = False  # which would forbid a new linear term
        settings.tol_gap_abs = settings.tol_gap_rel = settings.tol_feas = TOLERANCE
        settings.max_iter = MAX_ITERATIONS
        # A quarter of the time and no iteration fewer; what does not end solved goes to cvxpy.
        settings.iterative_refinement_enable = False
        return clarabel.DefaultSolver(p, linear, self._matrix, self._offset, self._cones, settings)


def _unit(center: Vector, radius: float, lower: Vector, upper: Vector) -> float:
    """Return a power of two of the size of the set: of its box or of its budget, or 0 for {0}."""
    bounds = np.concatenate([lower[np.isfinite(lower)], upper[np.isfinite(upper)]])
    budget = max(radius, float(np.max(np.abs(center), initial=0.0)))
    some = [size for size in (budget, float(np.max(np.abs(bounds), initial=0.0))) if size > 0.0]
    return float(powers_of_two(np.asarray(min(some)))) if some else 0.0
