"""Any constraint that cvxpy can write."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from typing_extensions import override

from constrained_actmax.errors import ProjectionError, SpecificationError
from constrained_actmax.layout import Region, Rows, Vector
from constrained_actmax.sets.base import ConvexSet

if TYPE_CHECKING:
    import cvxpy as cp

SOLVED_TO = 1e-9  # a violation that an auxiliary problem finds below this is its own tolerance


@dataclass(frozen=True, eq=False)
class CvxpySet(ConvexSet):
    r"""Whatever a cvxpy constraint allows, :math:`\{x : \text{function}(x)\}`.

    Parameters
    ----------
    function : callable
        Takes a cvxpy variable, the flat input in C order or one of `shape`, and returns a
        constraint or a list of them. It may make auxiliary variables.
    shape : tuple of int, optional
        The shape in which the variable is given.
    on, where
        See `ConvexSet`.

    Raises
    ------
    SpecificationError
        If what the function returns is not a DCP constraint, or an integer variable takes part.

    Notes
    -----
    Projected on by one cvxpy problem, compiled once [1]_; some 5 ms for ten entries, 20 ms for 784.

    The domains of the functions in the constraints belong to the set: ``cp.geo_mean(x) >= 1`` asks
    for x >= 0 too, and a matrix function for a symmetric matrix. Outside them, and where a value is
    not finite, a constraint cannot be evaluated, and the violation is the distance to the set.

    References
    ----------
    .. [1] Agrawal, Verschueren, Diamond, Boyd (2018), A rewriting system for convex optimization
       problems, J. Control Decis. 5.
    """

    function: Callable[[Any], Any]
    shape: tuple[int, ...] | None = None
    _lock: Any = field(default_factory=threading.Lock, init=False, repr=False)

    violation_norm = (
        "largest violation of one of its constraints; outside their domain, distance to the set"
    )
    closed = False

    def __post_init__(self) -> None:
        if not callable(self.function):
            raise SpecificationError(
                "CvxpySet: expected a function of a cvxpy variable, "
                f"got {type(self.function).__name__}."
            )

    @override
    def _bound(self, region: Region) -> CvxpySet:
        if self.shape is not None and int(np.prod(self.shape)) != region.dimension:
            raise SpecificationError(
                f"CvxpySet: shape {tuple(self.shape)} has {int(np.prod(self.shape))} entries, "
                f"the input has {region.dimension}."
            )
        import cvxpy as cp

        bound = replace(self)
        bound._to_cvxpy(cp.Variable(region.dimension))
        return bound

    @override
    def describe(self) -> str:
        name = getattr(self.function, "__name__", "function")
        return f"CvxpySet({'function' if name == '<lambda>' else name})"

    @property
    @override
    def tolerance(self) -> float:
        return 1e-8

    @override
    def to_dict(self) -> dict[str, Any]:
        return {"set": "CvxpySet", "description": self.describe(), "restorable": False}

    @override
    def _project(self, x: Rows) -> Rows:
        return self._project_by_cvxpy(x)

    @override
    def _to_cvxpy(self, variable: cp.Variable) -> list[cp.Constraint]:
        rows = self._stated(variable)
        # Not DCP is g >= 0 of power(g, p) with a convex g: cvxpy takes max(g, 0), unlimited.
        return [*rows, *(one for one in domain(rows) if one.is_dcp())]

    def _stated(self, variable: cp.Variable) -> list[cp.Constraint]:
        """Return the function's own constraints, checked."""
        import cvxpy as cp

        shaped = variable
        if self.shape is not None:
            shaped = cp.reshape(variable, tuple(self.shape), order="C")
        try:
            found = self.function(shaped)
        except SpecificationError:
            raise
        except Exception as error:
            raise SpecificationError(
                f"{self.describe()}: the function raised {type(error).__name__} on a variable of "
                f"shape {shaped.shape}: {error}"
            ) from error
        rows = list(found) if isinstance(found, list | tuple) else [found]
        if not rows:
            raise SpecificationError("CvxpySet: the function returned no constraint.")
        for number, row in enumerate(rows):
            place = f"constraint {number + 1} of {len(rows)}"
            if not isinstance(row, cp.Constraint):
                raise SpecificationError(
                    f"CvxpySet: {place} is {type(row).__name__}, not a cvxpy constraint; "
                    "write it with the variable and <=, >= or ==."
                )
            for one in row.variables():
                if one.attributes.get("integer") or one.attributes.get("boolean"):
                    kind = "boolean" if one.attributes.get("boolean") else "integer"
                    raise SpecificationError(
                        f"CvxpySet: the variable {one.name()!r} is {kind}; only convex sets "
                        "can be projected on. Relax it to real bounds."
                    )
            if not row.is_dcp():
                raise SpecificationError(
                    f"CvxpySet: {place}, {row}, does not follow cvxpy's rules of convexity (DCP)."
                )
        return rows

    # cvxpy evaluates quantum_rel_entr of X / trace(X), but solves with X: a problem measures it, as
    # it does constraints with variables of their own.
    @cached_property
    def _meter(self) -> tuple[Any, list[Any], list[Any], bool]:
        import cvxpy as cp

        variable = cp.Variable(self.dimension)
        rows = self._stated(variable)
        auxiliary = any(one.id != variable.id for row in rows for one in row.variables())
        misvalued = any(one is cp.quantum_rel_entr for row in rows for one in row.atoms())
        return variable, rows, domain(rows), auxiliary or misvalued

    def _measured(self, x: Vector) -> tuple[float, float]:
        if not np.isfinite(x).all():
            return np.nan, 1.0
        with self._lock:
            if self._meter[-1]:
                return self._elastic(x), 1.0
            excess, scale = self._evaluated(x)
            if np.isfinite(excess) and np.isfinite(scale):
                return excess, scale
            return self._distance(x), max(1.0, float(np.max(np.abs(x))))

    def _evaluated(self, x: Vector) -> tuple[float, float]:
        """Return the largest violation and number of the constraints; NaN off their domain."""
        variable, rows, limits, _ = self._meter
        variable.value = x
        excess, scale = [0.0], [1.0]
        try:
            with np.errstate(all="ignore"):
                if not all(np.all(one.violation() <= 0.0) for one in limits):
                    return np.nan, np.nan
                for row in rows:
                    excess.append(float(np.max(row.violation(), initial=0.0)))
                    scale += [float(np.max(np.abs(one.value), initial=0.0)) for one in row.args]
        except (ArithmeticError, ValueError):  # on the domain's boundary, such as a singular matrix
            return np.nan, np.nan
        return float(np.max(excess)), float(np.max(scale))  # NaN, if one is

    @cached_property
    def _elastic_problem(self) -> tuple[Any, Any]:
        import cvxpy as cp

        from constrained_actmax.sets.convex_program import relaxed

        variable, rows, _, _ = self._meter
        point, slack = cp.Parameter(self.dimension), cp.Variable(nonneg=True)
        return cp.Problem(cp.Minimize(slack), [*relaxed(rows, slack), variable == point]), point

    def _elastic(self, x: Vector) -> float:
        from constrained_actmax.sets.convex_program import solved

        problem, point = self._elastic_problem
        point.value = x
        if not solved(problem):
            return self._distance(x)  # no slack helps outside a domain
        found = float(problem.value)
        return found if found > SOLVED_TO else 0.0

    @cached_property
    def _distance_problem(self) -> tuple[Any, Any]:
        import cvxpy as cp

        nearest, point = cp.Variable(self.dimension), cp.Parameter(self.dimension)
        apart = cp.norm_inf(nearest - point)
        return cp.Problem(cp.Minimize(apart), self._to_cvxpy(nearest)), point

    def _distance(self, x: Vector) -> float:
        """Return the distance to the set in the largest entry; infinite if it is empty."""
        import cvxpy as cp

        from constrained_actmax.sets.convex_program import solved

        problem, point = self._distance_problem
        point.value = x
        if solved(problem):
            found = float(problem.value)
            return found if found > SOLVED_TO * max(1.0, float(np.max(np.abs(x)))) else 0.0
        if problem.status in (cp.INFEASIBLE, cp.INFEASIBLE_INACCURATE):
            return np.inf
        raise ProjectionError(f"{self}: violation: cvxpy reports {problem.status}.")

    @override
    def _violation(self, x: Rows) -> Vector:
        return np.array([self._measured(row)[0] for row in x])

    @override
    def _scale(self, x: Rows) -> Vector:
        return np.array([self._measured(row)[1] for row in x])


def domain(rows: Sequence[cp.Constraint]) -> list[cp.Constraint]:
    """Return the constraints that keep the functions in others inside their domains.

    Parameters
    ----------
    rows : sequence of cvxpy.Constraint
        Their expressions are searched to the leaves.
    """
    import cvxpy as cp

    found = []
    for one in (limit for row in rows for part in row.args for limit in part.domain):
        if one.variables():
            found.append(one)
            matrix = one.args[0]
            if isinstance(one, cp.constraints.PSD) and not matrix.is_hermitian():
                found.append(matrix == matrix.T)
    return found
