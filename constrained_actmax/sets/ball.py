"""What users write about a ball, whatever its norm."""

from __future__ import annotations

from typing import Any

import numpy as np
from typing_extensions import override

from constrained_actmax.errors import SpecificationError
from constrained_actmax.layout import Region, Vector
from constrained_actmax.sets.base import ConvexSet, checked_number, short


class Ball(ConvexSet):
    """A radius, checked where it is written, and a center, checked where its shape is known."""

    radius: float
    center: Any

    def __post_init__(self) -> None:
        radius = checked_number(self.radius, "radius", type(self).__name__, minimum=0.0)
        object.__setattr__(self, "radius", radius)

    def _center(self, region: Region) -> Vector:
        center = region.flatten(self.center, f"{type(self).__name__}: center")
        if not np.isfinite(center).all():
            raise SpecificationError(f"{type(self).__name__}: center must be finite.")
        return center

    @override
    def describe(self) -> str:
        return f"{type(self).__name__}({short(self.radius)}{self._around()})"

    def _around(self) -> str:
        center = short(self.center)
        return "" if center == "0" else f", center={center}"
