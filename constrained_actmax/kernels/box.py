"""Bounds on every entry."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from typing_extensions import override

from constrained_actmax.errors import SpecificationError
from constrained_actmax.kernels.kernel import PolyhedralKernel
from constrained_actmax.kernels.relative import relative_violation
from constrained_actmax.kernels.scipy_form import ScipyForm
from constrained_actmax.layout import Rows, Vector


@dataclass(frozen=True, eq=False, repr=False)
class BoxKernel(PolyhedralKernel):
    r"""Bounds on every entry, :math:`\{x : l \le x \le u\}`.

    Parameters
    ----------
    lower, upper : numpy.ndarray, shape (n,)
        l <= u, infinite where there is no bound.
    """

    lower: Vector
    upper: Vector

    is_box = True
    projection_method = "clip, exact, O(n)"

    @property
    @override
    def size(self) -> int:
        return len(self.lower)

    @override
    def bounding_box(self) -> tuple[Vector, Vector]:
        return self.lower.copy(), self.upper.copy()

    @override
    def project(self, x: Rows) -> Rows:
        return np.asarray(np.minimum(np.maximum(x, self.lower), self.upper))

    @override
    def violation(self, x: Rows) -> Vector:
        if ((x >= self.lower) & (x <= self.upper)).all():  # the usual case, in half the time
            return np.zeros(len(x))
        violation = np.maximum(self.lower - x, x - self.upper)
        return np.asarray(np.maximum(0.0, np.max(violation, axis=1, initial=0.0)))

    @override
    def relative_violation(self, x: Rows, widths: Vector | None = None) -> Vector:
        return relative_violation(x, self.lower, self.upper)

    @override
    def linear_maximizer(self, g: Rows) -> Rows:
        best = np.where(g > 0, self.upper, np.where(g < 0, self.lower, self.centre()))
        if not np.isfinite(best).all():
            raise SpecificationError(f"{self}: g'x has no maximum, the box is open along g.")
        return best

    @override
    def to_scipy(self, lower: Vector, upper: Vector) -> ScipyForm:
        return ScipyForm(self.lower.copy(), self.upper.copy())
