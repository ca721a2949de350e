"""Nearness in the Euclidean norm."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from typing_extensions import override

from constrained_actmax.errors import SpecificationError
from constrained_actmax.layout import Region, Rows, Vector
from constrained_actmax.sets.base import ConvexSet, checked_number, short
from constrained_actmax.sets.dual_root import (
    LONG_ROW,
    capped_ray_root,
    clipped_ray_root,
    pulled_inside,
)
from constrained_actmax.sets.scipy_form import ScipyForm, SmoothRow
from constrained_actmax.sets.separable_form import SeparableForm

if TYPE_CHECKING:
    import cvxpy as cp


@dataclass(frozen=True, eq=False, repr=False)
class L2Ball(ConvexSet):
    r"""Euclidean ball :math:`\{x : \|x - c\|_2 \le r\}`.

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
    Alone the projection is ``c + (y - c) min(1, r / ||y - c||)`` [1]_. With a box it is
    ``clip(y + s (c - y), l, u)``, where ``(1 - s)**2`` is the root of a piecewise-linear function.
    Both are exact up to rounding, O(n) a pass.

    References
    ----------
    .. [1] Beck (2017), First-Order Methods in Optimization, Lemma 6.26.

    Examples
    --------
    >>> import constrained_actmax as cax
    >>> cax.L2Ball(5).project([6.0, 8.0])
    array([3., 4.])
    """

    radius: float
    center: Any = 0.0

    violation_norm = "excess of the Euclidean distance"
    projects_in_box = True

    def __post_init__(self) -> None:
        radius = checked_number(self.radius, "radius", "L2Ball", minimum=0.0)
        object.__setattr__(self, "radius", radius)

    @override
    def _bound(self, region: Region) -> L2Ball:
        center = region.flatten(self.center, "L2Ball: center")
        if not np.isfinite(center).all():
            raise SpecificationError("L2Ball: center must be finite.")
        return replace(self, center=center)

    @override
    def describe(self) -> str:
        center = short(self.center)
        return f"L2Ball({short(self.radius)}" + (f", center={center})" if center != "0" else ")")

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

    def _height(self, x: Rows) -> Vector:
        d = x - self.center
        return np.asarray(np.sqrt(np.einsum("bn,bn->b", d, d)))

    @override
    def _violation(self, x: Rows) -> Vector:
        return np.maximum(0.0, self._height(x) - self.radius)

    @override
    def _scale(self, x: Rows) -> Vector:
        return np.full(len(x), self._size)

    @cached_property
    def _size(self) -> float:
        return max(self.radius, float(np.max(np.abs(self.center), initial=0.0)))

    @override
    def excess_in_box(self, lower: Vector, upper: Vector) -> float:
        nearest = np.clip(self.center, lower, upper)
        return float(self._height(nearest[np.newaxis])[0]) - self.radius

    @override
    def _project(self, x: Rows) -> Rows:
        return self._project_with_dual(x)[0]

    @override
    def _project_with_dual(self, x: Rows) -> tuple[Rows, Vector]:
        d = x - self.center
        distance = self._height(x)  # the same bits as the measure of what is inside
        out = np.flatnonzero(distance > self.radius)
        p = x.copy()
        if out.size:
            unlimited = np.full(self.dimension, np.inf)
            moved = self.center + d[out] * (self.radius / distance[out])[:, np.newaxis]
            p[out] = pulled_inside(
                moved, self.center, -unlimited, unlimited, self._height, self.radius
            )
        return p, np.maximum(0.0, distance - self.radius)

    def _seen_from_center(self, lower: Vector, upper: Vector) -> tuple[Any, Any, Any, Any]:
        """Return l - c, u - c, their squares if c lies in the box, and its nearest point; kept."""
        kept = self.__dict__.get("_box_seen")
        if kept is None or kept[0] is not lower or kept[1] is not upper:
            a, b = lower - self.center, upper - self.center
            squares = None if (a > 0.0).any() or (b < 0.0).any() else (a * a, b * b)
            nearest = np.minimum(np.maximum(self.center, lower), upper)
            kept = lower, upper, (a, b, squares, nearest)
            object.__setattr__(self, "_box_seen", kept)
        return kept[2]

    @override
    def _project_in_box(self, x: Rows, lower: Vector, upper: Vector) -> tuple[Rows, Vector]:
        c, r = self.center, self.radius
        p = np.maximum(x, lower)
        np.minimum(p, upper, out=p)
        dual = np.zeros(len(x))
        out = np.flatnonzero(self._height(p) > r)
        if not out.size:
            return p, dual
        every = out.size == len(x)
        d = (x if every else x[out]) - c
        a, b, squares, nearest = self._seen_from_center(lower, upper)
        if squares is not None:  # c lies in the box
            floor, cap, m = None, _by_sign(d, *squares), d * d
        else:
            positive = (a > 0.0) | ((d >= 0.0) & ~(b < 0.0))
            m = np.maximum(np.where(positive, d, -d), 0.0)
            floor = np.maximum(np.where(positive, a, -b), 0.0)
            cap = np.maximum(np.where(positive, b, -a), 0.0)
            m, floor, cap = m * m, floor * floor, cap * cap
        if floor is None and d.shape[1] >= LONG_ROW:
            theta = np.array([capped_ray_root(*one, r * r) for one in zip(m, cap, strict=True)])
        else:
            theta = clipped_ray_root(m, floor, cap, np.full(out.size, r * r))
        keep = np.sqrt(theta)  # 1 - s
        moved = np.multiply(keep[:, np.newaxis], d, out=m)
        np.add(moved, c, out=moved)
        np.maximum(moved, lower, out=moved)
        np.minimum(moved, upper, out=moved)
        moved = pulled_inside(moved, nearest, lower, upper, self._height, r)
        if every:
            p = moved
        else:
            p[out] = moved
        if r > 0.0:
            with np.errstate(divide="ignore"):
                dual[out] = r * (1.0 - keep) / keep
        else:  # the smallest multiplier: what is left of d once the box's normals are taken off
            blocked = ((d > 0.0) & (b <= 0.0)) | ((d < 0.0) & (a >= 0.0))
            dual[out] = np.linalg.norm(np.where(blocked, 0.0, d), axis=1)
        return p, dual

    @override
    def _linear_maximizer(self, g: Rows) -> Rows:
        length = np.linalg.norm(g, axis=1, keepdims=True)
        return np.asarray(self.center + self.radius * g / np.where(length > 0.0, length, 1.0))

    @override
    def _linear_maximizer_in_box(self, g: Rows, lower: Vector, upper: Vector) -> Rows | None:
        # clip(c + g/t, l, u), t the root of its distance to c; the box's corner where that is near.
        start = np.clip(self.center, lower, upper)
        corner = np.where(g > 0.0, upper, np.where(g < 0.0, lower, start))
        with np.errstate(over="ignore"):
            far = self._height(corner) > self.radius
        if not far.any():
            return corner
        # As far along g as every entry of it needs to reach its bound, then projected back: for a
        # point c + s g the projection on the pair is clip(c + s' g, l, u), the maximiser's form.
        length = np.max(np.abs(g), axis=1, keepdims=True)
        step = self.radius * g / np.where(length > 0.0, length, 1.0)
        smallest = np.min(np.where(g == 0.0, np.inf, np.abs(step)), axis=1, keepdims=True)
        reach = (self.radius + np.abs(self.center - start).max(initial=0.0)) / smallest
        if not np.isfinite(reach).all():
            return None
        moved, _ = self._project_in_box(self.center + np.maximum(reach, 1.0) * step, lower, upper)
        return np.where(far[:, np.newaxis], moved, corner)

    @override
    def _to_cvxpy(self, variable: cp.Variable) -> list[cp.Constraint]:
        import cvxpy as cp

        return [cp.norm2(variable - self.center) <= self.radius]

    @override
    def _separable(self, lower: Vector, upper: Vector) -> SeparableForm:
        unlimited = np.full(self.dimension, np.inf)
        ball = (self.center, np.ones(self.dimension), self.radius)
        return SeparableForm(-unlimited, unlimited, squares=(ball,))

    @override
    def _to_scipy(self, lower: Vector, upper: Vector) -> ScipyForm:
        # Half the square, which is smooth at the centre too.
        c = self.center
        half_square = SmoothRow(
            value=lambda x: 0.5 * float((x - c) @ (x - c)),
            gradient=lambda x: x - c,
            hessian_product=lambda x, v: np.array(v),
            upper=0.5 * self.radius**2,
        )
        free = ScipyForm.free(self.dimension)
        return ScipyForm(free.lower, free.upper, smooth=(half_square,))


def _by_sign(d: Rows, low: Vector, high: Vector) -> Rows:
    """Return high where d >= 0, else low; without branches, which signs at random make slow."""
    if d.shape[1] < LONG_ROW:
        return np.where(d >= 0.0, high, low)
    with np.errstate(invalid="ignore"):
        gap = high - low
    if not np.isfinite(gap).all():
        return np.where(d >= 0.0, high, low)
    chosen: Rows = gap * (d >= 0.0)
    chosen += low
    return np.maximum(chosen, 0.0, out=chosen)
