"""Linear functions minimised over a convex set and linear rows that come and go."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from typing_extensions import override

from constrained_actmax.kernels.intersection import IntersectionKernel
from constrained_actmax.kernels.scaled_set import ScaledSet
from constrained_actmax.kernels.scipy_form import Substitution
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


def within_reach(lower: Vector, upper: Vector, far: float = FAR) -> tuple[Vector, Vector]:
    """Return the bounds that are stated, and `far` beyond zero or the other bound where none is."""
    low, high = np.isfinite(lower), np.isfinite(upper)
    below = np.where(low, lower, np.minimum(np.where(high, upper, 0.0), 0.0) - far)
    above = np.where(high, upper, np.maximum(np.where(low, lower, 0.0), 0.0) + far)
    return below, above


@dataclass(frozen=True)
class Minimum:
    """The solution of one program.

    Parameters
    ----------
    x : numpy.ndarray, shape (n + further variables,)
        The point.
    multipliers : numpy.ndarray, shape (m,)
        Of the rows that came: >= 0 at a lower bound, <= 0 at an upper one.
    """

    x: Vector
    multipliers: Vector


class RowProgram(ABC):
    """Minimise g'(x, p) over x in C and a box, 0 <= p <= most, and ``low <= A (x, p) <= high``.

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
        self._seconds: float | None = None
        self._unfinished = False

    def finish(self, seconds: float | None) -> None:
        """End each program after so many seconds, and give multipliers of unfinished ones too."""
        self._seconds, self._unfinished = seconds, True

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
    def widen(self, most: Vector) -> None:
        """Add variables between 0 and `most` behind those that are there, and in no row yet."""

    @abstractmethod
    def limit(self, most: Vector) -> None:
        """Give all further variables other upper bounds."""

    @abstractmethod
    def keep_variables(self, kept: np.ndarray) -> None:
        """Leave out the further variables where `kept` is false."""

    @abstractmethod
    def minimum(self, g: Vector, lower: Vector, upper: Vector) -> Minimum | None:
        """Return a minimiser within a box on x besides; None where the solver finds none."""


class LinearProgram(RowProgram):
    """C by its linear rows in one HiGHS model that keeps its basis [1]_.

    Parameters
    ----------
    variables : Substitution
        C without smooth constraints.

    References
    ----------
    .. [1] Huangfu, Hall (2018), Parallelizing the dual revised simplex method, Mathematical
       Programming Computation 10.
    """

    def __init__(self, variables: Substitution) -> None:
        super().__init__()
        self._variables = variables = variables.normalised()
        form, matrix = variables.form, variables.matrix
        self._further = 0
        self._matrix: Any = None if matrix is None else matrix.tocsc()
        self._highs = new_highs()
        size = 1.0
        if matrix is not None:  # the rows bound the parts of x, by numbers of any size
            ends = [np.abs(side) for rows in form.rows for side in (rows.lower, rows.upper)]
            size = max([1.0, *(float(end[np.isfinite(end)].max(initial=1.0)) for end in ends)])
        self._low, self._high = within_reach(form.lower, form.upper, FAR * size)
        self._add_columns(self._low, self._high)
        for rows in form.rows:
            self._append(sp.csr_array(rows.matrix), rows.lower, rows.upper)
        if matrix is not None:  # the box on x, which bounds on the split variables do not say
            n = matrix.shape[0]
            self._append(matrix, np.full(n, -np.inf), np.full(n, np.inf))
        self._fixed = int(self._highs.getNumRow())

    @property
    def _columns(self) -> Any:
        return np.arange(self._low.size + self._further, dtype=np.int32)

    def _add_columns(self, low: Vector, high: Vector) -> None:
        none, n = np.zeros(0, dtype=np.int32), low.size
        starts = np.zeros(n, dtype=np.int32)
        self._highs.addCols(n, np.zeros(n), low, high, 0, starts, none, np.zeros(0))

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
        if self._matrix is None:
            return sp.csr_array(A), low, high
        of_x, further = np.split(A, [self._matrix.shape[0]], axis=1)
        moved = of_x @ self._variables.offset
        columns = np.concatenate([of_x @ self._matrix, further], axis=1)
        return sp.csr_array(columns), low - moved, high - moved

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

    @override
    def widen(self, most: Vector) -> None:
        if most.size:
            self._further += most.size
            self._add_columns(np.zeros(most.size), most)

    @override
    def limit(self, most: Vector) -> None:
        n = most.size
        self._highs.changeColsBounds(n, self._columns[self._low.size :], np.zeros(n), most)

    @override
    def keep_variables(self, kept: np.ndarray) -> None:
        gone = self._columns[self._low.size :][~kept]
        if gone.size:
            self._highs.deleteCols(gone.size, gone)
            self._further -= gone.size

    def make_binary(self, count: int, nodes: int | None = NODES) -> None:
        """Let the last variables be integers, and limit the work that this may take."""
        import highspy

        columns = self._columns[-count:]
        kinds = np.full(count, int(highspy.HighsVarType.kInteger), dtype=np.uint8)
        self._highs.changeColsIntegrality(count, columns, kinds)
        if nodes is not None:
            self._highs.setOptionValue("mip_max_nodes", nodes)
        self._highs.setOptionValue("mip_rel_gap", 0.0)
        # Rounding finds directions, and these programs mostly prove that there is none.
        self._highs.setOptionValue("mip_heuristic_effort", 0.0)
        self._highs.setOptionValue("mip_feasibility_tolerance", SIMPLEX_TOLERANCE)

    def _delete(self, positions: np.ndarray) -> None:
        if positions.size:
            self._highs.deleteRows(positions.size, (self._fixed + positions).astype(np.int32))

    @override
    def minimum(self, g: Vector, lower: Vector, upper: Vector) -> Minimum | None:
        self._run(g, lower, upper)
        solution = self._highs.getSolution()
        unfinished = self._unfinished and solution.value_valid and solution.dual_valid
        if not (optimal(self._highs) or unfinished):
            return None
        return Minimum(self._point(solution), np.asarray(solution.row_dual)[self._fixed :])

    def least(
        self, g: Vector, lower: Vector, upper: Vector, *, start: Vector | None, enough: float
    ) -> tuple[float | None, Vector | None]:
        """Return a lower bound of a program with binaries and a point, None where there is none.

        Parameters
        ----------
        start : numpy.ndarray, optional
            A point (x, further variables) to begin with.
        enough : float
            A lower bound with which the search may end.
        """
        import highspy

        moved = 0.0
        if self._matrix is not None:
            moved = float(g[: self._matrix.shape[0]] @ self._variables.offset)
        if start is not None:
            solution = highspy.HighsSolution()
            solution.col_value = self._in_y(start)
            self._highs.setSolution(solution)

        def interrupt(event: Any) -> None:
            if event.data_out.mip_dual_bound + moved >= enough:
                event.data_in.user_interrupt = True

        self._highs.cbMipInterrupt += interrupt
        self._run(g, lower, upper)
        self._highs.cbMipInterrupt -= interrupt
        bound = dual_bound(self._highs)
        evaluation = self._highs.getSolution()
        y = self._point(evaluation) if evaluation.value_valid else None
        return (None if bound is None else bound + moved), y

    def _in_y(self, x: Vector) -> Vector:
        if self._matrix is None:
            return x
        n = self._matrix.shape[0]
        return np.append(self._variables.inverse(x[:n]), x[n:])

    def _point(self, solution: Any) -> Vector:
        y = np.asarray(solution.col_value)
        if self._matrix is None:
            return y
        own = self._low.size
        return np.append(self._variables.x(y[:own]), y[own:])

    def _run(self, g: Vector, lower: Vector, upper: Vector) -> None:
        highs, own = self._highs, self._low.size
        if self._matrix is None:
            cost, low, high = g, np.maximum(self._low, lower), np.minimum(self._high, upper)
            highs.changeColsBounds(own, self._columns[:own], low, np.maximum(low, high))
        else:
            n, offset = self._matrix.shape[0], self._variables.offset
            cost = np.append(self._matrix.T @ g[:n], g[n:])
            first = self._fixed - n
            low, high = lower - offset, upper - offset
            for row in range(n):
                highs.changeRowBounds(first + row, float(low[row]), float(high[row]))
        highs.changeColsCost(cost.size, self._columns, cost)
        if self._seconds is not None:  # its clock counts all programs of one model
            highs.setOptionValue("time_limit", highs.getRunTime() + self._seconds)
        highs.run()
        self.programs += 1
        self.iterations += max(0, int(highs.getInfo().simplex_iteration_count))


class ConicProgram(RowProgram):
    """C as cvxpy constraints, by Clarabel."""

    tight = CONIC_TIGHT

    def __init__(self, set_: IntersectionKernel | ScaledSet, n: int) -> None:
        super().__init__()
        self._set, self._n, self._most = set_, n, np.zeros(0)
        self._rows: tuple[Rows, Vector, Vector] = np.zeros((0, n)), np.zeros(0), np.zeros(0)

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
    def widen(self, most: Vector) -> None:
        A, low, high = self._rows
        self._rows = np.concatenate([A, np.zeros((len(A), most.size))], axis=1), low, high
        self._most = np.append(self._most, most)

    @override
    def limit(self, most: Vector) -> None:
        self._most = most

    @override
    def keep_variables(self, kept: np.ndarray) -> None:
        A, low, high = self._rows
        self._rows = A[:, np.append(np.ones(self._n, dtype=bool), kept)], low, high
        self._most = self._most[kept]

    @override
    def minimum(self, g: Vector, lower: Vector, upper: Vector) -> Minimum | None:
        import cvxpy as cp

        n, most = self._n, self._most
        x = cp.Variable(n + most.size)
        A, low, high = self._rows
        constraints = list(self._set.to_cvxpy(x[:n]))
        at_low, at_high = np.flatnonzero(np.isfinite(low)), np.flatnonzero(np.isfinite(high))
        below = A[at_low] @ x >= low[at_low] if at_low.size else None
        above = A[at_high] @ x <= high[at_high] if at_high.size else None
        constraints += [constraint for constraint in (below, above) if constraint is not None]
        lower, upper = within_reach(lower, upper)
        constraints += [x >= np.append(lower, np.zeros(most.size)), x <= np.append(upper, most)]
        problem = cp.Problem(cp.Minimize(g @ x), constraints)
        self.programs += 1
        for tolerance in CONIC_TOLERANCES:
            options = dict.fromkeys(("tol_gap_abs", "tol_gap_rel", "tol_feas"), tolerance)
            if self._seconds is not None:
                options["time_limit"] = self._seconds
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # an inaccurate solution is judged by its point
                    problem.solve(solver=cp.CLARABEL, **options)
            except cp.error.SolverError:
                continue
            self.iterations += int(problem.solver_stats.num_iters or 0)
            solved = problem.status in (cp.OPTIMAL, cp.OPTIMAL_INACCURATE)
            if solved or (self._unfinished and problem.status == cp.USER_LIMIT):
                break
        else:
            return None
        multipliers = np.zeros(len(A))
        if below is not None:
            multipliers[at_low] += np.asarray(below.dual_value)
        if above is not None:
            multipliers[at_high] -= np.asarray(above.dual_value)
        return Minimum(np.array(x.value), multipliers)


def row_program(set_: IntersectionKernel | ScaledSet, n: int) -> RowProgram:
    """Return a program over a bound set: HiGHS where linear rows say it all, else Clarabel.

    Parameters
    ----------
    set_ : IntersectionKernel or ScaledSet
        C.
    n : int
        Its entries.
    """
    variables = set_.in_scipy_variables()
    if variables is not None and not variables.form.smooth:
        return LinearProgram(variables)
    return ConicProgram(set_, n)


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


def dual_bound(highs: Any) -> float | None:
    """Return HiGHS's lower bound of a program with binaries, None where it has shown none.

    What it says is a bound only where it ended by itself, at a limit or interrupted. That no point
    exists is said within tolerances and shows nothing; where the first relaxation was not finished
    the bound is infinite; a model that was not run has the value 0.
    """
    import highspy

    status = highspy.HighsModelStatus
    ended = status.kOptimal, status.kTimeLimit, status.kSolutionLimit, status.kInterrupt
    if highs.getModelStatus() not in ended:
        return None
    bound = float(highs.getInfo().mip_dual_bound)
    return bound if np.isfinite(bound) else None
