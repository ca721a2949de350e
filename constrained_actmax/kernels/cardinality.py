"""At most k changed entries."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from typing_extensions import override

from constrained_actmax.errors import SpecificationError
from constrained_actmax.kernels.kernel import InBox, Kernel
from constrained_actmax.kernels.relative import powers_of_two
from constrained_actmax.layout import Rows, Vector

if TYPE_CHECKING:
    import cvxpy as cp


@dataclass(frozen=True, eq=False)
class CardinalityKernel(Kernel):
    r"""At most k changed entries, :math:`\{x : \#\{i : x_i \ne c_i\} \le k\}`; not convex.

    Parameters
    ----------
    count : int
        k >= 0.
    center : numpy.ndarray, shape (n,)
        c.
    """

    count: int
    center: Vector

    violation_norm = "number of entries too many"
    convex = False
    projection_method = "keeps the k largest gains, O(n)"

    @property
    @override
    def size(self) -> int:
        return len(self.center)

    @override
    def project(self, x: Rows) -> Rows:
        unlimited = np.full(self.size, np.inf)
        return self._projected_in(-unlimited, unlimited, x)[0]

    @override
    def in_box(self, lower: Vector, upper: Vector) -> InBox:
        excess = float(np.sum((self.center < lower) | (self.center > upper)) - self.count)
        return InBox(partial(self._projected_in, lower, upper), excess, self.projection_method)

    def _projected_in(self, lower: Vector, upper: Vector, x: Rows) -> tuple[Rows, Vector]:
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
    def violation(self, x: Rows) -> Vector:
        return np.asarray(np.maximum(0.0, np.sum(x != self.center, axis=1) - float(self.count)))

    @override
    def scale(self, x: Rows) -> Vector:
        return np.ones(len(x))

    @override
    def to_cvxpy(self, variable: cp.Variable) -> list[cp.Constraint]:
        raise SpecificationError(f"{self}: it is not convex, cvxpy cannot write it.")
