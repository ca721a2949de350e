"""The same tolerance for every entry."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from typing_extensions import override

from constrained_actmax.errors import SpecificationError
from constrained_actmax.layout import Region, Rows, Vector
from constrained_actmax.sets.base import ConvexSet, checked_number, relative_excess, short
from constrained_actmax.sets.scipy_form import ScipyForm

if TYPE_CHECKING:
    import cvxpy as cp


@dataclass(frozen=True, eq=False, repr=False)
class LinfBall(ConvexSet):
    r"""The same tolerance for every entry, :math:`\{x : \max_i |x_i - c_i| \le r\}`.

    Parameters
    ----------
    radius : float
        r >= 0, in the units of the model's input.
    center : array_like, default 0
        c, the reference input.
    on, where, name
        See `ConvexSet`.

    Raises
    ------
    SpecificationError
        If the radius is negative or not finite.

    Notes
    -----
    It is the box [c - r, c + r]: the projection is a clip, exact, O(n), and with other boxes the
    intervals are intersected.
    """

    radius: float
    center: Any = 0.0

    is_box = True
    method_alone = "clip, exact, O(n)"

    def __post_init__(self) -> None:
        radius = checked_number(self.radius, "radius", "LinfBall", minimum=0.0)
        object.__setattr__(self, "radius", radius)

    @override
    def _bound(self, region: Region) -> LinfBall:
        center = region.flatten(self.center, "LinfBall: center")
        if not np.isfinite(center).all():
            raise SpecificationError("LinfBall: center must be finite.")
        return replace(self, center=center)

    @override
    def describe(self) -> str:
        center = short(self.center)
        return f"LinfBall({short(self.radius)}" + (f", center={center})" if center != "0" else ")")

    @override
    def bounding_box(self) -> tuple[Vector, Vector]:
        return self.center - self.radius, self.center + self.radius

    @override
    def bounds(self) -> tuple[Vector, Vector]:
        return self.bounding_box()

    @override
    def centre(self) -> Vector:
        return np.array(self.center)

    @override
    def _project(self, x: Rows) -> Rows:
        lower, upper = self.bounding_box()
        return np.minimum(np.maximum(x, lower), upper)

    @override
    def _violation(self, x: Rows) -> Vector:
        lower, upper = self.bounding_box()
        return np.asarray(np.max(np.maximum(lower - x, x - upper), axis=1, initial=0.0))

    @override
    def _relative_violation(self, x: Rows, widths: Vector | None = None) -> Vector:
        return relative_excess(x, *self.bounding_box())

    @override
    def _linear_maximizer(self, g: Rows) -> Rows:
        return np.asarray(self.center + self.radius * np.sign(g))

    @override
    def _to_cvxpy(self, variable: cp.Variable) -> list[cp.Constraint]:
        import cvxpy as cp

        return [cp.norm_inf(variable - self.center) <= self.radius]

    @override
    def _to_scipy(self, lower: Vector, upper: Vector) -> ScipyForm:
        return ScipyForm(*self.bounding_box())
