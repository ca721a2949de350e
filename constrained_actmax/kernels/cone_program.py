"""A cvxpy problem in conic form, brought to numbers of about one before a solver sees it."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp

from constrained_actmax.kernels.relative import powers_of_two
from constrained_actmax.layout import Indices, Vector

if TYPE_CHECKING:
    import cvxpy as cp

SOLVERS: tuple[tuple[str, dict[str, Any]], ...] = (
    # At its default tolerances Clarabel is off by up to 9e-5 in x; at 1e-12 by 1e-9, as fast. Where
    # that stalls, on curved cones, 1e-10 may stall later and nearer.
    ("CLARABEL", {"tol_gap_abs": 1e-12, "tol_gap_rel": 1e-12, "tol_feas": 1e-12, "max_iter": 200}),
    ("CLARABEL", {"tol_gap_abs": 1e-10, "tol_gap_rel": 1e-10, "tol_feas": 1e-10, "max_iter": 200}),
    ("CLARABEL", {"tol_gap_abs": 1e-8, "tol_gap_rel": 1e-8, "tol_feas": 1e-8, "max_iter": 200}),
    ("SCS", {"eps_abs": 1e-9, "eps_rel": 1e-9, "max_iters": 50_000}),
)

SIZINGS = 4  # at most; the second finds the size again, unless powers of x are compared


@dataclass(frozen=True)
class Attempt:
    """What one solver made of a problem.

    Parameters
    ----------
    status : str
        cvxpy's; "failed" where its point is nothing to go by.
    gap : float
        By how much the objective may lie above the least one: above the dual objective, with what
        the multipliers leave of the slope added.
    """

    status: str
    gap: float = float("nan")


class ConeProgram:
    r"""A cvxpy problem, solved in units of its own.

    The conic form is minimise :math:`\tfrac12 z^\top P z + c^\top z` with :math:`b - A z \in K`.
    Solvers stop at absolute tolerances, so that in small units they stop too early and in large
    ones never. Here each cone's rows are divided by the size of their coefficients, auxiliary
    variables and their rows then in the same way, so that all of b has the units of x; x and b are
    divided by one size s, the objective by its own. All factors are powers of two but the
    objective's. A square, ``|u|^2 <= t`` as the cone ``(1 + t, 1 - t, 2 u)``, has a 1 in it that
    has no units: a rotation of the cone turns it to s.

    Parameters
    ----------
    problem : cvxpy.Problem
        A DPP problem.
    variable : cvxpy.Variable
        x, without attributes.
    """

    def __init__(self, problem: cp.Problem, variable: cp.Variable) -> None:
        self.problem, self.variable = problem, variable
        self._kept: dict[str, tuple[float, Any, _Units, sp.csc_array]] = {}

    def size(self) -> float:
        """Return the size of the numbers of the constraints in units of x, 0 if all are 0."""
        return self.sizes()[1]

    def sizes(self) -> tuple[float, float]:
        """Return the least and the largest nonzero number of the constraints in units of x.

        A bound on a power of x is in that power's units; factors at two sizes tell which power.
        """
        data, _, _ = self.problem.get_problem_data(SOLVERS[0][0])
        known, least, largest = self._columns(data), 1.0, 1.0
        for _ in range(SIZINGS):
            size = float(powers_of_two(np.asarray(largest)))
            units = _Units(data, known, size)
            bounds = units.bounds(data["b"])
            some = bounds > 0.0
            if not some.any():
                return 0.0, 0.0
            bounds = bounds[some]
            if units.has_squares:
                twice = _Units(data, known, 2.0 * size).bounds(data["b"])[some]
                power = np.maximum(np.log2(bounds / twice), 0.0)
                bounds = (bounds * size**power) ** (1.0 / (1.0 + power))
            least, largest = float(np.min(bounds)), float(np.max(bounds))
            if not units.has_squares or powers_of_two(np.asarray(largest)) == size:
                break
        return least, largest

    def _columns(self, data: dict[str, Any]) -> Indices:
        first = data["param_prob"].var_id_to_col.get(self.variable.id)
        return np.arange(0) if first is None else first + np.arange(self.variable.size)

    def attempts(self, size: float, report: list[str]) -> Iterator[Attempt]:
        """Solve by one of `SOLVERS` after the other, for as long as the caller asks.

        Values and multipliers are those of cvxpy's variables and constraints, in the user's units.

        Parameters
        ----------
        size : float
            s.
        report : list of str
            Gets each solver's name and status.
        """
        import cvxpy as cp

        for name, settings in SOLVERS:
            gap = np.nan
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # the status says it too
                    gap = self._solve(name, settings, float(powers_of_two(np.asarray(size))))
                status = str(self.problem.status)
            except (cp.SolverError, ValueError, ArithmeticError) as error:
                status = str(error).splitlines()[0] if str(error) else type(error).__name__
            report.append(f"{name}: {status}")
            # What Clarabel calls inaccurate is good to 1e-7; SCS says it of any last iterate.
            failed = status == cp.OPTIMAL_INACCURATE and name != "CLARABEL"
            yield Attempt("failed" if failed else status, gap)

    def solved(self, size: float, report: list[str] | None = None) -> bool:
        """Solve by the first of `SOLVERS` that can; say whether a value was found."""
        import cvxpy as cp

        inaccurate: list[Any] | None = None
        for attempt in self.attempts(size, [] if report is None else report):
            if attempt.status == cp.OPTIMAL:
                return True
            if attempt.status in (cp.INFEASIBLE, cp.UNBOUNDED):
                return False
            if attempt.status == cp.OPTIMAL_INACCURATE:
                if inaccurate is not None:
                    return True  # two agree that this is as far as they get
                inaccurate = [v.value for v in self.problem.variables()]
        if inaccurate is None:
            return False
        for v, value in zip(self.problem.variables(), inaccurate, strict=True):
            v.value = value
        return True

    def _in_units(
        self, name: str, data: dict[str, Any], size: float
    ) -> tuple[_Units, sp.csc_array]:
        """Return the factors and A with them, kept while only the objective changes."""
        kept = self._kept.get(name)
        if kept is not None and kept[0] == size:
            same_slopes = np.array_equal(kept[1]["A"].data, data["A"].data)
            if same_slopes and np.array_equal(kept[1]["b"], data["b"]):
                return kept[2], kept[3]
        units = _Units(data, self._columns(data), size)
        rows, columns = units.rows * units.turn_slopes, units.columns
        a = sp.csc_array(sp.diags_array(rows) @ data["A"] @ sp.diags_array(columns))
        self._kept[name] = size, data, units, a
        return units, a

    def _solve(self, name: str, settings: dict[str, Any], size: float) -> float:
        """Solve, unpack, and return the gap."""
        data, chain, inverse = self.problem.get_problem_data(name, solver_opts=dict(settings))
        units, a = self._in_units(name, data, size)
        columns = sp.diags_array(units.columns)
        b = units.rows * units.turn_levels * data["b"] / size
        c = units.columns * data["c"] * size
        p = sp.csc_array(columns @ data["P"] @ columns) * size**2 if "P" in data else None
        largest = float(np.max(np.abs(c), initial=0.0))
        largest = max(largest, 0.0 if p is None else float(np.max(np.abs(p.data), initial=0.0)))
        weight = 1.0 / largest if largest > 0.0 else 1.0
        c = c * weight
        scaled = {**data, "A": a, "b": b, "c": c}
        if p is not None:
            scaled["P"] = p = p * weight
        solution = chain.solve_via_data(self.problem, scaled, solver_opts=dict(settings))
        by_clarabel = name == "CLARABEL"
        z, dual = (solution.x, solution.z) if by_clarabel else (solution["x"], solution["y"])
        z, dual = np.asarray(z), np.asarray(dual)
        curved = np.zeros(len(z)) if p is None else p @ z
        left = np.abs(curved + c + a.T @ dual) @ np.abs(z)
        gap = (abs(float(z @ curved + c @ z + b @ dual)) + float(left)) / weight
        point, multipliers = size * units.columns * z, units.multipliers(dual) / (weight * size)
        if by_clarabel:
            restored: Any = SimpleNamespace(
                status=solution.status,
                solve_time=solution.solve_time,
                iterations=solution.iterations,
                x=point,
                z=multipliers,
                obj_val=solution.obj_val / weight,
            )
        else:
            info = {**solution["info"], "pobj": solution["info"]["pobj"] / weight}
            restored = {**solution, "x": point, "y": multipliers, "info": info}
        self.problem.unpack_results(restored, chain, inverse)
        return gap


class _Units:
    """Factors of rows and columns that bring all numbers of a conic form to the units of x.

    A row's factor is one over its cone's largest coefficient, in columns whose units are known; an
    auxiliary column's follows from the rows in which it stands; and so on from x to all that it
    touches.
    """

    def __init__(self, data: dict[str, Any], known: Indices, size: float) -> None:
        entries = sp.coo_array(data["A"])
        row, column, value = entries.row, entries.col, np.abs(entries.data)
        keep = value > 0.0
        row, column, value = row[keep], column[keep], value[keep]
        m, n = data["A"].shape
        cone = _cones(data["dims"])
        squares, self._signs = _squares(data)
        self._squares = squares
        self.turn_slopes, self.turn_levels = np.ones(m), np.ones(m)
        self._heads = heads = np.zeros(m, dtype=bool)
        heads[squares] = heads[squares + 1] = True
        by_cone, by_column = np.zeros(int(cone.max(initial=-1)) + 1), np.zeros(n)
        by_column[known] = 1.0
        while True:
            # Of the cones of squares only the tails say the units, until they are turned.
            open_ = (by_cone[cone[row]] == 0.0) & ~heads[row]
            largest = np.zeros(len(by_cone))
            np.maximum.at(largest, cone[row[open_]], (value * by_column[column])[open_])
            now = largest > 0.0
            by_cone[now] = 1.0 / powers_of_two(largest[now])
            self._turn(data["b"], by_cone[cone], size)
            factor = by_cone[cone] * self.turn_slopes
            open_ = by_column[column] == 0.0
            largest = np.zeros(n)
            np.maximum.at(largest, column[open_], (value * factor[row])[open_])
            new = largest > 0.0
            by_column[new] = 1.0 / powers_of_two(largest[new])
            if not now.any() and not new.any():
                break
        by_column[by_column == 0.0] = 1.0
        by_cone[by_cone == 0.0] = 1.0
        self.rows, self.columns = by_cone[cone], by_column

    @property
    def has_squares(self) -> bool:
        """Whether any factor depends on the size."""
        return bool(self._squares.size)

    def _turn(self, b: Vector, factor: Vector, size: float) -> None:
        for first in (self._squares, self._squares + 1):
            ready = first[factor[first] > 0.0]
            turned = powers_of_two(factor[ready] * np.abs(b[ready])) / size
            self.turn_slopes[ready], self.turn_levels[ready] = turned, 1.0 / turned

    def bounds(self, b: Vector) -> Vector:
        """Return the sizes of the bounds in these units, those of the 1 of squares left out."""
        return np.where(self._heads, 0.0, np.abs(self.rows * b))

    def multipliers(self, dual: Vector) -> Vector:
        """Return the multipliers of the rows as they were."""
        multipliers_ = dual.copy()
        first = self._squares
        up, down = self.turn_levels[first], self.turn_slopes[first]
        first_dual, other = dual[first], self._signs * dual[first + 1]
        both, apart = up * (first_dual + other), down * (first_dual - other)
        multipliers_[first], multipliers_[first + 1] = (
            0.5 * (both + apart),
            0.5 * self._signs * (both - apart),
        )
        return np.asarray(self.rows * multipliers_)


def _cones(dims: Any) -> Indices:
    """Return for each row the number of its cone; rows of inequalities are cones of their own."""
    sizes = [1] * (dims.zero + dims.nonneg) + list(dims.soc)
    sizes += [k * (k + 1) // 2 for k in dims.psd] + [3] * (dims.exp + len(dims.p3d))
    # cvxpy has power cones of more dimensions since 1.8.
    sizes += [len(power) + 1 for power in getattr(dims, "pnd", ())]
    return np.repeat(np.arange(len(sizes)), np.asarray(sizes, dtype=int))


def _squares(data: dict[str, Any]) -> tuple[Indices, Vector]:
    """Return the first row of each cone ``(k + t, k - t, ...)``, k constant, and the sign of k."""
    dims, b = data["dims"], data["b"]
    lengths = np.asarray(dims.soc, dtype=int)
    first = dims.zero + dims.nonneg + np.cumsum(lengths) - lengths
    first = first[lengths >= 3]
    first = first[(np.abs(b[first]) == np.abs(b[first + 1])) & (b[first] != 0.0)]
    signs = b[first] / b[first + 1] if first.size else np.zeros(0)
    if first.size:
        a = sp.csr_array(data["A"])
        left = abs(a[first] + sp.diags_array(signs) @ a[first + 1]).sum(axis=1)
        square = np.asarray(left).ravel() == 0.0
        first, signs = first[square], signs[square]
    return first, signs
