"""Euclidean balls."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
from typing_extensions import override

from constrained_actmax.kernels.ball import BallKernel
from constrained_actmax.kernels.dual_root import LONG_ROW, capped_ray_root, clipped_ray_root
from constrained_actmax.kernels.kernel import Constraints, InBox, Variable
from constrained_actmax.kernels.scipy_form import ScipyForm, SmoothRow
from constrained_actmax.layout import Rows, Vector


@dataclass(frozen=True, eq=False, repr=False)
class L2BallKernel(BallKernel):
    r"""Euclidean ball, :math:`\{x : \|x - c\|_2 \le r\}`."""

    violation_norm = "Euclidean distance minus the radius"

    @override
    def norm(self, x: Rows) -> Vector:
        d = x - self.center
        return np.asarray(np.sqrt(np.einsum("bn,bn->b", d, d)))

    @override
    def onto(self, x: Rows, norm: Vector) -> tuple[Rows, Vector]:
        moved = self.center + (x - self.center) * (self.radius / norm)[:, np.newaxis]
        return moved, norm - self.radius

    @override
    def in_box(self, lower: Vector, upper: Vector) -> InBox:
        a, b = lower - self.center, upper - self.center
        squares = None if (a > 0.0).any() or (b < 0.0).any() else (a * a, b * b)
        onto = partial(self._onto_in_box, lower, upper, a, b, squares)
        return self.boxed(lower, upper, onto)

    def _onto_in_box(
        self,
        lower: Vector,
        upper: Vector,
        a: Vector,
        b: Vector,
        squares: tuple[Vector, Vector] | None,
        x: Rows,
    ) -> tuple[Rows, Vector]:
        # a and b are the bounds seen from c, with their squares where c lies in the box.
        c, r = self.center, self.radius
        d = x - c
        if squares is not None:
            floor, cap, m = None, _by_sign(d, *squares), d * d
        else:
            positive = (a > 0.0) | ((d >= 0.0) & ~(b < 0.0))
            m = np.maximum(np.where(positive, d, -d), 0.0)
            floor = np.maximum(np.where(positive, a, -b), 0.0)
            cap = np.maximum(np.where(positive, b, -a), 0.0)
            m, floor, cap = m * m, floor * floor, cap * cap
        if floor is None and d.shape[1] >= LONG_ROW:
            theta = np.array([capped_ray_root(*pair, r * r) for pair in zip(m, cap, strict=True)])
        else:
            theta = clipped_ray_root(m, floor, cap, np.full(len(x), r * r))
        keep = np.sqrt(theta)  # 1 - s
        moved = np.multiply(keep[:, np.newaxis], d, out=m)
        np.add(moved, c, out=moved)
        np.maximum(moved, lower, out=moved)
        np.minimum(moved, upper, out=moved)
        if r > 0.0:
            with np.errstate(divide="ignore"):
                return moved, r * (1.0 - keep) / keep
        # The smallest multiplier: what is left of d once the box's normals are taken off.
        blocked = ((d > 0.0) & (b <= 0.0)) | ((d < 0.0) & (a >= 0.0))
        return moved, np.linalg.norm(np.where(blocked, 0.0, d), axis=1)

    @override
    def linear_maximizer(self, g: Rows) -> Rows:
        length = np.linalg.norm(g, axis=1, keepdims=True)
        return np.asarray(self.center + self.radius * g / np.where(length > 0.0, length, 1.0))

    @override
    def linear_maximizer_in_box(self, g: Rows, lower: Rows, upper: Rows) -> Rows | None:
        if lower.ndim == 2:
            each = [
                self.linear_maximizer_in_box(row[np.newaxis], *box)
                for row, *box in zip(g, lower, upper, strict=True)
            ]
            known = [maximizer for maximizer in each if maximizer is not None]
            return np.concatenate(known) if len(known) == len(each) else None
        # clip(c + g/t, l, u), t the root of its distance to c; the box's corner where that is near.
        start = np.clip(self.center, lower, upper)
        corner = np.where(g > 0.0, upper, np.where(g < 0.0, lower, start))
        with np.errstate(over="ignore"):
            far = self.norm(corner) > self.radius
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
        away = self.center + np.maximum(reach, 1.0) * step
        moved, _ = self.in_box(lower, upper).project_with_dual(away)
        return np.where(far[:, np.newaxis], moved, corner)

    @override
    def to_cvxpy(self, variable: Variable) -> Constraints:
        import cvxpy as cp

        return [cp.norm2(variable - self.center) <= self.radius]

    @override
    def to_scipy(self, lower: Vector, upper: Vector) -> ScipyForm:
        # Half the square, which is smooth at the centre too.
        c = self.center
        half_square = SmoothRow(
            value=lambda x: 0.5 * float((x - c) @ (x - c)),
            gradient=lambda x: x - c,
            hessian_product=lambda x, v: np.array(v),
            upper=0.5 * self.radius**2,
            square=(c, np.ones(self.size), self.radius),
        )
        return ScipyForm.unbounded(self.size, smooth=(half_square,))


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
