"""Balls of the nuclear norm."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np
from threadpoolctl import ThreadpoolController
from typing_extensions import override

from constrained_actmax.kernels.ball import BallKernel
from constrained_actmax.kernels.group_ball import shrunk_norms
from constrained_actmax.kernels.kernel import Constraints, Variable
from constrained_actmax.layout import Rows, Vector

THREADED = 64  # rows or columns; from here on LAPACK wakes threads, at 224 x 224 17 times slower


@dataclass(frozen=True, eq=False, repr=False)
class NuclearNormBallKernel(BallKernel):
    r"""Ball of the sum of singular values, :math:`\{X : \|X - C\|_* \le r\}`.

    Parameters
    ----------
    shape : tuple of int
        (h, w, channels); the sums of the channels are added.
    """

    shape: tuple[int, ...]

    violation_norm = "sum of singular values minus the radius"
    projection_method = "singular values, exact, O(h w min(h, w))"

    def _matrices(self, x: Rows) -> np.ndarray[Any, np.dtype[np.float64]]:
        return np.moveaxis((x - self.center).reshape(-1, *self.shape), -1, 1)

    def _one_thread(self) -> AbstractContextManager[Any]:
        if min(self.shape[:2]) < THREADED:
            return nullcontext()
        limited: AbstractContextManager[Any] = _blas().limit(limits=1, user_api="blas")
        return limited

    def _decomposed(self, matrices: Any) -> Any:
        with self._one_thread():
            return np.linalg.svd(matrices, full_matrices=False)

    @override
    def norm(self, x: Rows) -> Vector:
        with self._one_thread():
            values = np.linalg.svd(self._matrices(x), compute_uv=False)
        return np.asarray(values.sum(axis=(1, 2)))

    @cached_property
    @override
    def center_size(self) -> float:
        return float(np.linalg.norm(self.center))

    @override
    def onto(self, x: Rows, norm: Vector) -> tuple[Rows, Vector]:
        left, values, right = self._decomposed(self._matrices(x))
        flat = values.reshape(len(x), -1)
        share, dual = shrunk_norms(flat, self.radius)
        kept = (flat * share).reshape(values.shape)
        with self._one_thread():
            moved = np.moveaxis((left * kept[:, :, np.newaxis, :]) @ right, 1, -1)
        return self.center + moved.reshape(len(x), -1), dual

    @override
    def linear_maximizer(self, g: Rows) -> Rows:
        matrices = np.moveaxis(g.reshape(-1, *self.shape), -1, 1)
        left, values, right = self._decomposed(matrices)
        best = np.argmax(values[:, :, 0], axis=1)
        maximizers = np.zeros_like(matrices)
        for row, channel in enumerate(best):
            maximizers[row, channel] = self.radius * np.outer(
                left[row, channel, :, 0], right[row, channel, 0]
            )
        return np.asarray(self.center + np.moveaxis(maximizers, 1, -1).reshape(g.shape))

    @override
    def to_cvxpy(self, variable: Variable) -> Constraints:
        import cvxpy as cp

        index = np.arange(variable.size).reshape(self.shape)
        d = variable - self.center
        shape = self.shape[:2]
        return [
            sum(
                cp.normNuc(cp.reshape(d[index[..., channel].ravel()], shape, order="C"))
                for channel in range(self.shape[2])
            )
            <= self.radius
        ]


@cache
def _blas() -> ThreadpoolController:
    return ThreadpoolController()
