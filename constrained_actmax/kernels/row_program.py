"""Linear functions minimised over a convex set and linear rows that come and go."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import scipy.sparse as sp
from typing_extensions import override

from constrained_actmax.kernels.intersection import IntersectionKernel
from constrained_actmax.kernels.scaled_set import ScaledSet
from constrained_actmax.kernels.scipy_form import Lift, LinearRows, ScipyForm, normalised
from constrained_actmax.layout import Rows, Vector

#: Feasibility of a simplex solution, and how near a kink or bound it counts as on it, both in units
#: of the set; an interior-point method's solutions are less sharp.
SIMPLEX_TOLERANCE, TIGHT = 1e-9, 1e-8
CONIC_TIGHT = 1e-6
#: What Clarabel is asked for, the next where it fails.
CONIC_TOLERANCES = 1e-10, 1e-8
#: Where the set states no bound, variables are kept within so many of its sizes.
FAR = 1e6
SEED = 20264  # of HiGHS's perturbations
#: Nodes of a search over binary variables, the limit on its work.
NODES = 2000

#: Lower and upper bounds of variables behind those of C.
Extra: TypeAlias = tuple[Vector, Vector]
NOTHING: Extra = np.zeros(0), np.zeros(0)


@dataclass(frozen=True)
class Minimum:
    """The solution of one program.

    Parameters
    ----------
    x : numpy.ndarray, shape (n,)
        The point.
    multipliers : numpy.ndarray, shape (m,)
        Of the rows that came: >= 0 at a lower bound, <= 0 at an upper one.
    """

    x: Vector
    multipliers: Vector


class RowProgram(ABC):
    """Minimise g'x over C, rows ``low <= A x <= high``, and a box.

    Attributes
    ----------
    tight : float
        Within this distance of a row the solution counts as on it.
    programs, iterations : int
        Solved so far, and iterations of the solver in all.
    """

    tight: float = TIGHT

    def __init__(self) -> None:
        self.programs, self.iterations = 0, 0

    @abstractmethod
    def extend(self, A: Rows, low: Vector, high: Vector) -> None:
        """Add rows behind those that are there."""

    @abstractmethod
    def rewrite(self, A: Rows, low: Vector, high: Vector) -> None:
        """Give all rows other numbers, in their order; the basis stays."""

    @abstractmethod
    def keep(self, kept: np.ndarray) -> None:
        """Leave out the rows where `kept` (m,) is false."""

    @abstractmethod
    def minimum(self, g: Vector, lower: Vector, upper: Vector) -> Minimum | None:
        """Return a minimiser of g'x within a box besides; None where the solver finds none."""


class LinearProgram(RowProgram):
    """C by its linear rows in one HiGHS model that keeps its basis [1]_.

    Parameters
    ----------
    form : ScipyForm
        Of C, without smooth constraints.

    References
    ----------
    .. [1] Huangfu, Hall (2018), Parallelizing the dual revised simplex method, Mathematical
       Programming Computation 10.
    """

    def __init__(self, form: ScipyForm, extra: Extra = NOTHING) -> None:
        super().__init__()
        self._form = form = _with_columns(normalised(form), *extra)
        self._extra = extra[0].size
        self._lift: Any = None if form.lift is None else form.lift.matrix.tocsc()
        self._highs = new_highs()
        n = form.lower.size
        self._columns = np.arange(n, dtype=np.int32)
        empty = np.zeros(0, dtype=np.int32)
        low, high = np.maximum(form.lower, -FAR), np.minimum(form.upper, FAR)
        self._highs.addCols(
            n, np.zeros(n), low, high, 0, np.zeros(n, dtype=np.int32), empty, np.zeros(0)
        )
        self._low, self._high = low, high
        for rows in form.rows:
            self._append(sp.csr_array(rows.matrix), rows.lower, rows.upper)
        if form.lift is not None:  # the box on x, which bounds on the split variables do not say
            self._append(
                sp.csr_array(form.lift.matrix),
                np.full(form.lift.offset.size, -np.inf),
                np.full(form.lift.offset.size, np.inf),
            )
        self._fixed = int(self._highs.getNumRow())

    def _append(self, matrix: Any, low: Vector, high: Vector) -> None:
        self._highs.addRows(
            matrix.shape[0],
            np.asarray(low, dtype=np.float64),
            np.asarray(high, dtype=np.float64),
            matrix.nnz,
            matrix.indptr[:-1].astype(np.int32),
            matrix.indices.astype(np.int32),
            matrix.data,
        )

    def _in_variables(self, A: Rows, low: Vector, high: Vector) -> tuple[Any, Vector, Vector]:
        if self._form.lift is None:
            return sp.csr_array(A), low, high
        moved = A @ self._form.lift.offset
        return sp.csr_array(A @ self._lift), low - moved, high - moved

    @override
    def extend(self, A: Rows, low: Vector, high: Vector) -> None:
        if len(A):
            self._append(*self._in_variables(A, low, high))

    @override
    def rewrite(self, A: Rows, low: Vector, high: Vector) -> None:
        if not len(A):
            return
        basis = self._highs.getBasis()
        self._delete(np.arange(len(A)))
        self._append(*self._in_variables(A, low, high))
        if basis.valid:
            self._highs.setBasis(basis)

    @override
    def keep(self, kept: np.ndarray) -> None:
        self._delete(np.flatnonzero(~kept))

    def make_binary(self, count: int) -> None:
        """Let the last variables be integers, and limit the work that this may take."""
        import highspy

        columns = self._columns[-count:]
        kinds = np.full(count, int(highspy.HighsVarType.kInteger), dtype=np.uint8)
        self._highs.changeColsIntegrality(count, columns, kinds)
        self._highs.setOptionValue("mip_max_nodes", NODES)
        self._highs.setOptionValue("mip_rel_gap", 0.0)
        self._highs.setOptionValue("mip_feasibility_tolerance", SIMPLEX_TOLERANCE)

    def _delete(self, places: np.ndarray) -> None:
        if places.size:
            self._highs.deleteRows(places.size, (self._fixed + places).astype(np.int32))

    @override
    def minimum(self, g: Vector, lower: Vector, upper: Vector) -> Minimum | None:
        highs, lift = self._highs, self._form.lift
        n = self._columns.size
        free = np.full(self._extra, np.inf)
        lower, upper = np.append(lower, -free), np.append(upper, free)
        if lift is None:
            low, high = np.maximum(self._low, lower), np.minimum(self._high, upper)
            highs.changeColsCost(n, self._columns, g)
            highs.changeColsBounds(n, self._columns, low, np.maximum(low, high))
        else:
            highs.changeColsCost(n, self._columns, np.asarray(self._lift.T @ g))
            first = self._fixed - lift.offset.size
            low, high = lower - lift.offset, upper - lift.offset
            for row in range(lift.offset.size):
                highs.changeRowBounds(first + row, float(low[row]), float(high[row]))
        highs.run()
        self.programs += 1
        self.iterations += max(0, int(highs.getInfo().simplex_iteration_count))
        if not optimal(highs):
            return None
        found = highs.getSolution()
        y = np.asarray(found.col_value)
        x = y if lift is None else lift.offset + lift.matrix @ y
        return Minimum(np.asarray(x), np.asarray(found.row_dual)[self._fixed :])


class ConicProgram(RowProgram):
    """C as cvxpy constraints, by Clarabel."""

    tight = CONIC_TIGHT

    def __init__(
        self, set_: IntersectionKernel | ScaledSet, n: int, extra: Extra = NOTHING
    ) -> None:
        super().__init__()
        self._set, self._n, self._extra = set_, n, extra
        columns = n + extra[0].size
        self._rows: tuple[Rows, Vector, Vector] = np.zeros((0, columns)), np.zeros(0), np.zeros(0)

    @override
    def extend(self, A: Rows, low: Vector, high: Vector) -> None:
        before = self._rows
        self._rows = (
            np.concatenate([before[0], A]),
            np.concatenate([before[1], low]),
            np.concatenate([before[2], high]),
        )

    @override
    def rewrite(self, A: Rows, low: Vector, high: Vector) -> None:
        self._rows = A, low, high

    @override
    def keep(self, kept: np.ndarray) -> None:
        A, low, high = self._rows
        self._rows = A[kept], low[kept], high[kept]

    @override
    def minimum(self, g: Vector, lower: Vector, upper: Vector) -> Minimum | None:
        import cvxpy as cp

        n, (least, most) = self._n, self._extra
        x = cp.Variable(n + least.size)
        A, low, high = self._rows
        constraints = list(self._set.to_cvxpy(x[:n]))
        at_low, at_high = np.flatnonzero(np.isfinite(low)), np.flatnonzero(np.isfinite(high))
        below = A[at_low] @ x >= low[at_low] if at_low.size else None
        above = A[at_high] @ x <= high[at_high] if at_high.size else None
        constraints += [one for one in (below, above) if one is not None]
        lower, upper = np.maximum(lower, -FAR), np.minimum(upper, FAR)
        constraints += [x >= np.append(lower, least), x <= np.append(upper, most)]
        problem = cp.Problem(cp.Minimize(g @ x), constraints)
        self.programs += 1
        for tolerance in CONIC_TOLERANCES:
            names = ("tol_gap_abs", "tol_gap_rel", "tol_feas")
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # an inaccurate solution is judged by its point
                    problem.solve(solver=cp.CLARABEL, **dict.fromkeys(names, tolerance))
            except cp.error.SolverError:
                continue
            self.iterations += int(problem.solver_stats.num_iters or 0)
            if problem.status in (cp.OPTIMAL, cp.OPTIMAL_INACCURATE):
                break
        else:
            return None
        multipliers = np.zeros(len(A))
        if below is not None:
            multipliers[at_low] += np.asarray(below.dual_value)
        if above is not None:
            multipliers[at_high] -= np.asarray(above.dual_value)
        return Minimum(np.array(x.value), multipliers)


def row_program(set_: IntersectionKernel | ScaledSet, n: int, extra: Extra = NOTHING) -> RowProgram:
    """Return a program over a bound set: HiGHS where linear rows say it all, else Clarabel.

    Parameters
    ----------
    set_ : IntersectionKernel or ScaledSet
        C.
    n : int
        Its entries.
    extra : pair of numpy.ndarray, optional
        Lower and upper bounds of further variables, behind those of C.
    """
    form = set_.to_scipy()
    if form is not None and not form.smooth:
        return LinearProgram(form, extra)
    return ConicProgram(set_, n, extra)


def _with_columns(form: ScipyForm, low: Vector, high: Vector) -> ScipyForm:
    """Return the form of C times an interval for each further variable."""
    if not low.size:
        return form
    rows = tuple(
        LinearRows(
            sp.csr_array(sp.hstack([one.matrix, _zeros(one.matrix, low)])), one.lower, one.upper
        )
        for one in form.rows
    )
    lift = form.lift
    if lift is not None:
        matrix = sp.csr_array(sp.block_diag([lift.matrix, sp.eye_array(low.size)]))
        offset = np.append(lift.offset, np.zeros(low.size))
        lift = Lift(matrix, offset, lift.lift)
    return ScipyForm(np.append(form.lower, low), np.append(form.upper, high), rows, (), lift)


def _zeros(matrix: Any, low: Vector) -> Any:
    return sp.csr_array((matrix.shape[0], low.size))


def new_highs() -> Any:
    """Return a silent HiGHS with sharp tolerances and a fixed seed; threads are left alone."""
    import highspy

    class Silent(highspy.Highs):
        """HiGHS without its banner, which version 1.16 prints when callbacks are enabled."""

        def enableCallbacks(self) -> None:  # noqa: N802 - HiGHS's name
            self.setOptionValue("output_flag", False)
            enable: Callable[[], None] = super().enableCallbacks
            enable()

    make: Callable[[], Any] = Silent
    highs = make()
    highs.setOptionValue("random_seed", SEED)
    highs.setOptionValue("primal_feasibility_tolerance", SIMPLEX_TOLERANCE)
    highs.setOptionValue("dual_feasibility_tolerance", SIMPLEX_TOLERANCE)
    return highs


def optimal(highs: Any) -> bool:
    """Whether HiGHS calls its solution optimal."""
    import highspy

    return bool(highs.getModelStatus() == highspy.HighsModelStatus.kOptimal)
