"""Budget on rank."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from threadpoolctl import ThreadpoolController
from typing_extensions import override

from constrained_actmax.errors import SpecificationError
from constrained_actmax.layout import Region, Rows, Vector
from constrained_actmax.sets.base import ConvexSet, checked_number, short
from constrained_actmax.sets.dual_root import pulled_inside
from constrained_actmax.sets.group_ball import shrunk_norms
from constrained_actmax.sets.image_axes import whole_shape

if TYPE_CHECKING:
    import cvxpy as cp

THREADED = 64  # rows or columns; from here on LAPACK wakes threads, at 224 x 224 17 times slower


@dataclass(frozen=True, eq=False, repr=False)
class NuclearNormBall(ConvexSet):
    r"""Budget on the sum of singular values, :math:`\{X : \|X - C\|_* \le r\}`.

    Parameters
    ----------
    radius : float
        r >= 0, in the units of the model's input.
    center : array_like, default 0
        C, the input that changes are counted from.
    on
        See `ConvexSet`.

    Raises
    ------
    SpecificationError
        If the input is not a matrix (h, w), or one for each channel (h, w, channels), whose sums
        are added.

    Notes
    -----
    One singular value decomposition, and the L1 projection of the singular values [1]_; exact up
    to rounding, O(h w min(h, w)).

    References
    ----------
    .. [1] Cai, Candès, Shen (2010), A singular value thresholding algorithm for matrix
       completion, SIAM J. Optim. 20.
    """

    radius: float
    center: Any = 0.0
    _shape: tuple[int, ...] = field(default=(), init=False, repr=False)

    violation_norm = "excess of the sum of singular values"

    def __post_init__(self) -> None:
        radius = checked_number(self.radius, "radius", "NuclearNormBall", minimum=0.0)
        object.__setattr__(self, "radius", radius)

    @override
    def _bound(self, region: Region) -> NuclearNormBall:
        shape = whole_shape(region, "NuclearNormBall")
        if len(shape) not in (2, 3):
            raise SpecificationError(
                f"NuclearNormBall: needs (h, w) or (h, w, channels), got shape {shape}."
            )
        bound = replace(self, center=region.flatten(self.center, "NuclearNormBall: center"))
        object.__setattr__(bound, "_shape", shape if len(shape) == 3 else (*shape, 1))
        return bound

    @override
    def describe(self) -> str:
        center = short(self.center)
        at = "" if center == "0" else f", center={center}"
        return f"NuclearNormBall({short(self.radius)}{at})"

    @property
    @override
    def projection_method(self) -> str:
        return "singular values, exact, O(h w min(h, w))"

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

    def _matrices(self, x: Rows) -> np.ndarray[Any, np.dtype[np.float64]]:
        return np.moveaxis((x - self.center).reshape(-1, *self._shape), -1, 1)

    def _one_thread(self) -> AbstractContextManager[Any]:
        if min(self._shape[:2]) < THREADED:
            return nullcontext()
        limited: AbstractContextManager[Any] = _blas().limit(limits=1, user_api="blas")
        return limited

    def _decomposed(self, matrices: Any) -> Any:
        with self._one_thread():
            return np.linalg.svd(matrices, full_matrices=False)

    def _height(self, x: Rows) -> Vector:
        with self._one_thread():
            values = np.linalg.svd(self._matrices(x), compute_uv=False)
        return np.asarray(values.sum(axis=(1, 2)))

    @override
    def _violation(self, x: Rows) -> Vector:
        return np.maximum(0.0, self._height(x) - self.radius)

    @override
    def _scale(self, x: Rows) -> Vector:
        largest = float(np.linalg.norm(self.center))
        return np.full(len(x), max(self.radius, largest))

    @override
    def _project(self, x: Rows) -> Rows:
        return self._project_with_dual(x)[0]

    @override
    def _project_with_dual(self, x: Rows) -> tuple[Rows, Vector]:
        p, dual = x.copy(), np.zeros(len(x))
        out = np.flatnonzero(self._height(x) > self.radius)
        if not out.size:
            return p, dual
        left, values, right = self._decomposed(self._matrices(x[out]))
        flat = values.reshape(len(out), -1)
        share, dual[out] = shrunk_norms(flat, self.radius)
        kept = (flat * share).reshape(values.shape)
        with self._one_thread():
            moved = np.moveaxis((left * kept[:, :, np.newaxis, :]) @ right, 1, -1)
        unlimited = np.full(self.dimension, np.inf)
        p[out] = pulled_inside(
            self.center + moved.reshape(len(out), -1),
            self.center,
            -unlimited,
            unlimited,
            self._height,
            self.radius,
        )
        return p, dual

    @override
    def _linear_maximizer(self, g: Rows) -> Rows:
        matrices = np.moveaxis(g.reshape(-1, *self._shape), -1, 1)
        left, values, right = self._decomposed(matrices)
        best = np.argmax(values[:, :, 0], axis=1)
        found = np.zeros_like(matrices)
        for row, channel in enumerate(best):
            found[row, channel] = self.radius * np.outer(
                left[row, channel, :, 0], right[row, channel, 0]
            )
        return np.asarray(self.center + np.moveaxis(found, 1, -1).reshape(g.shape))

    @override
    def _to_cvxpy(self, variable: cp.Variable) -> list[cp.Constraint]:
        import cvxpy as cp

        index = np.arange(variable.size).reshape(self._shape)
        d = variable - self.center
        shape = self._shape[:2]
        return [
            sum(
                cp.normNuc(cp.reshape(d[index[..., channel].ravel()], shape, order="C"))
                for channel in range(self._shape[2])
            )
            <= self.radius
        ]


@cache
def _blas() -> ThreadpoolController:
    return ThreadpoolController()
