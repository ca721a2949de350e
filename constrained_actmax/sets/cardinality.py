"""At most k changed entries."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from typing_extensions import override

from constrained_actmax.errors import SpecificationError
from constrained_actmax.layout import Region, Rows, Vector
from constrained_actmax.quoting import quoted
from constrained_actmax.sets.base import HeuristicSet, powers_of_two, short

if TYPE_CHECKING:
    import cvxpy as cp


@dataclass(frozen=True, eq=False, repr=False)
class Cardinality(HeuristicSet):
    r"""At most k changed entries, :math:`\{x : \#\{i : x_i \ne c_i\} \le k\}`; a heuristic.

    Parameters
    ----------
    count : int
        k >= 0.
    center : array_like, default 0
        c, the input that changes are counted from.
    on, where, name
        See `ConvexSet`.

    Raises
    ------
    SpecificationError
        If the count is not an integer >= 0.

    Notes
    -----
    The set is not convex: solvers that project on it may end anywhere, and no residual proves
    anything. With a box the k entries stay whose squared change less the squared change that the
    box takes off is largest [1]_, O(n).

    References
    ----------
    .. [1] Beck, Hallak (2016), On the minimization over sparse symmetric sets, Math. Oper. Res. 41.
    """

    count: int
    center: Any = 0.0

    violation_norm = "number of entries too many"
    projects_in_box = True
    method_alone = method_in_box = "keeps the k largest gains, O(n)"

    def __post_init__(self) -> None:
        if (
            not isinstance(self.count, int | np.integer)
            or isinstance(self.count, bool)
            or self.count < 0
        ):
            raise SpecificationError(
                f"Cardinality: count must be an integer >= 0, got {quoted(self.count)}."
            )

    @override
    def _bound(self, region: Region) -> Cardinality:
        return replace(self, center=region.flatten(self.center, "Cardinality: center"))

    @override
    def describe(self) -> str:
        center = short(self.center)
        at = "" if center == "0" else f", center={center}"
        return f"Cardinality({self.count}{at}), a heuristic"

    @override
    def excess_in_box(self, lower: Vector, upper: Vector) -> float:
        return float(np.sum((self.center < lower) | (self.center > upper)) - self.count)

    @override
    def _project(self, x: Rows) -> Rows:
        unlimited = np.full(self.dimension, np.inf)
        return self._project_in_box(x, -unlimited, unlimited)[0]

    @override
    def _project_in_box(self, x: Rows, lower: Vector, upper: Vector) -> tuple[Rows, Vector]:
        c = self.center
        p = np.minimum(np.maximum(x, lower), upper)
        size = powers_of_two(np.max(np.abs(x), initial=0.0))  # squares neither vanish nor
        # overflow
        gain = ((x - c) / size) ** 2 - ((x - p) / size) ** 2
        gain[:, (c < lower) | (c > upper)] = np.inf
        dropped = np.argsort(gain, axis=1, kind="stable")[:, : max(0, x.shape[1] - self.count)]
        np.put_along_axis(p, dropped, c[dropped], axis=1)
        kept = np.sum(x != c, axis=1) <= self.count
        inside = kept & np.all((x >= lower) & (x <= upper), axis=1)
        p[inside] = x[inside]
        return p, np.full(len(x), np.nan)

    @override
    def _violation(self, x: Rows) -> Vector:
        return np.asarray(np.maximum(0.0, np.sum(x != self.center, axis=1) - float(self.count)))

    @override
    def _scale(self, x: Rows) -> Vector:
        return np.ones(len(x))

    @override
    def _to_cvxpy(self, variable: cp.Variable) -> list[cp.Constraint]:
        raise SpecificationError(f"{self.describe()}: it is not convex, cvxpy cannot write it.")
