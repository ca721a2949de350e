"""What the balls of all norms have in common."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from typing_extensions import override

from constrained_actmax.kernels.dual_root import pulled_inside
from constrained_actmax.kernels.kernel import InBox, Kernel
from constrained_actmax.layout import Rows, Vector


@dataclass(frozen=True, eq=False, repr=False)
class BallKernel(Kernel):
    r"""A ball, :math:`\{x : \|x - c\| \le r\}`, in some norm.

    A new one writes `norm`, `onto` and `to_cvxpy`, and `in_box` where it is known.

    Parameters
    ----------
    center : numpy.ndarray, shape (n,)
        c.
    radius : float
        r >= 0.
    """

    center: Vector
    radius: float

    @abstractmethod
    def norm(self, x: Rows) -> Vector:
        """Return ‖x - c‖ for each row."""

    @abstractmethod
    def onto(self, x: Rows, norm: Vector) -> tuple[Rows, Vector]:
        """Return the projections of rows outside, up to rounding, and their multipliers.

        `norm` (B,) is theirs.
        """

    @property
    @override
    def size(self) -> int:
        return len(self.center)

    @override
    def project(self, x: Rows) -> Rows:
        return self.project_with_dual(x)[0]

    @override
    def project_with_dual(self, x: Rows) -> tuple[Rows, Vector]:
        return self.inside(x, *self._unlimited, self.onto)

    def inside(
        self,
        x: Rows,
        lower: Vector,
        upper: Vector,
        onto: Callable[[Rows, Vector], tuple[Rows, Vector]],
    ) -> tuple[Rows, Vector]:
        """Return the projections of rows on the ball and a box, and the multipliers.

        Parameters
        ----------
        x : numpy.ndarray, shape (B, n)
            Points.
        lower, upper : numpy.ndarray, shape (n,)
            The box.
        onto : callable
            The same, up to rounding, for rows that the box alone does not bring inside; takes
            their norms in the box too.
        """
        p = np.maximum(x, lower)
        np.minimum(p, upper, out=p)
        dual = np.zeros(len(x))
        norm = self.norm(p)
        out = np.flatnonzero(norm > self.radius)
        if not out.size:
            return p, dual
        every = out.size == len(x)
        moved, dual[out] = onto(x if every else x[out], norm[out])
        nearest = np.minimum(np.maximum(self.center, lower), upper)
        moved = pulled_inside(moved, nearest, lower, upper, self.norm, self.radius)
        if every:
            return moved, dual
        p[out] = moved
        return p, dual

    def boxed(
        self, lower: Vector, upper: Vector, onto: Callable[[Rows], tuple[Rows, Vector]]
    ) -> InBox:
        """Return the intersection with a box, given its `onto`."""
        nearest = np.clip(self.center, lower, upper)
        violation = float(self.norm(nearest[np.newaxis])[0]) - self.radius
        return InBox(lambda x: self.inside(x, lower, upper, lambda rows, _: onto(rows)), violation)

    @override
    def violation(self, x: Rows) -> Vector:
        return np.maximum(0.0, self.norm(x) - self.radius)

    @override
    def scale(self, x: Rows) -> Vector:
        return np.full(len(x), max(self.radius, self.center_size))

    @cached_property
    def center_size(self) -> float:
        """Size of the center's numbers, in units of the radius."""
        return float(np.max(np.abs(self.center), initial=0.0))

    @override
    def bounding_box(self) -> tuple[Vector, Vector]:
        return self.center - self.radius, self.center + self.radius

    @override
    def centre(self) -> Vector:
        return np.array(self.center)

    @property
    @override
    def diameter(self) -> float:
        return 2.0 * self.radius
