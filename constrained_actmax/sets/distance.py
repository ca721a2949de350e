"""A weighted norm as the radius of balls round its center."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from constrained_actmax.kernels.components import Direct, Separable
from constrained_actmax.kernels.intersection import IntersectionKernel, together
from constrained_actmax.kernels.scaled_set import ScaledSet
from constrained_actmax.layout import Layout, Rows, Vector
from constrained_actmax.quoting import Quoted
from constrained_actmax.sets.base import ConvexSet
from constrained_actmax.sets.box import Box
from constrained_actmax.sets.ellipsoid import Ellipsoid
from constrained_actmax.sets.l1_ball import L1Ball
from constrained_actmax.sets.l2_ball import L2Ball

#: The norms that have a ball among the sets.
ORDERS = (1.0, 2.0, np.inf)


@dataclass(frozen=True, repr=False)
class Distance(Quoted):
    r"""The distance :math:`\|w \circ (x - c)\|_p` of flat vectors.

    Parameters
    ----------
    order : {1, 2, inf}
        p.
    center, weights : numpy.ndarray, shape (n,)
        c, and w > 0.
    """

    order: float
    center: Vector
    weights: Vector

    def scaled(self, unit: float | Vector) -> Distance:
        """Return the same distance as a function of x / unit."""
        return Distance(self.order, self.center / unit, self.weights * unit)

    def __call__(self, x: Rows) -> Vector:
        """Return the distance of each row (B, n)."""
        length: Vector = np.linalg.norm(self.weights * (x - self.center), self.order, axis=1)
        return length

    def dual(self, g: Rows) -> Vector:
        r"""Return :math:`\max \{g^T d : \|w \circ d\|_p \le 1\}` for each row (B, n)."""
        conjugate = {1.0: np.inf, 2.0: 2.0, np.inf: 1.0}[self.order]
        slope: Vector = np.linalg.norm(g / self.weights, conjugate, axis=1)
        return slope

    def ball(self, radius: float) -> ConvexSet:
        """Return the points within a radius, not bound."""
        c, w = self.center, self.weights
        if self.order == np.inf:
            return Box(c - radius / w, c + radius / w)
        if self.order == 1.0:
            return L1Ball(radius, center=c, weights=w)
        if w.size and w.min() == w.max():
            return L2Ball(radius / float(w[0]), center=c)
        return Ellipsoid(radius, covariance=w**-2.0, center=c)

    def within(
        self, feasible: IntersectionKernel | ScaledSet, radius: float
    ) -> IntersectionKernel | ScaledSet:
        """Return the points of a bound set within a radius.

        Raises
        ------
        InfeasibleError
            If there are none.
        """
        if isinstance(feasible, ScaledSet):
            inner = self.scaled(1.0 / feasible.unit).within(feasible.inner, radius)
            assert isinstance(inner, IntersectionKernel)
            return ScaledSet(inner, feasible.unit)
        ball = self.ball(radius).bind(Layout.of_array((self.center.size,)))
        return together([*feasible.members, ball])


def projects_directly(feasible: IntersectionKernel | ScaledSet) -> bool:
    """Whether the projection takes neither a cone program nor Dykstra's method."""
    inner = feasible.inner if isinstance(feasible, ScaledSet) else feasible
    return all(isinstance(piece, Direct | Separable) for piece in inner.pieces)
