"""The one place where maximising becomes minimising."""

from __future__ import annotations

import numpy as np
from typing_extensions import override

from constrained_actmax.layout import Rows, Vector
from constrained_actmax.oracles.base import WrappedOracle


class Negated(WrappedOracle):
    """An oracle whose first function is the negative of another's; the others stay as they are.

    Parameters
    ----------
    oracle : BaseOracle
        The one to turn round.
    """

    @override
    def _evaluate(self, x: Rows) -> tuple[Rows, np.ndarray]:
        return _turned(*super()._evaluate(x))

    @override
    def _values(self, x: Rows) -> Rows:
        return _turned_first(super()._values(x))

    @override
    def _vjp(self, x: Rows, weights: Rows) -> tuple[Rows, Rows]:
        values, product = super()._vjp(x, _turned_first(weights))
        return _turned_first(values), product

    @override
    def _hessian_product(
        self,
        x: Vector,
        v: Vector,
        weights: Vector,
        bounds: tuple[Vector, Vector],
        reach: float,
    ) -> Vector:
        return super()._hessian_product(x, v, _turned_first(weights), bounds, reach)


def _turned_first(array: np.ndarray) -> np.ndarray:
    """Return a copy with the first entry of the last axis turned round."""
    turned = array.copy()
    turned[..., 0] *= -1.0
    return turned


def _turned(values: Rows, jacobian: np.ndarray) -> tuple[Rows, np.ndarray]:
    """Return both with the first function's sign changed."""
    if values.shape[1] == 1:
        return -values, -jacobian
    values, jacobian = values.copy(), jacobian.copy()
    for first in (values[:, 0], jacobian[:, 0]):
        np.negative(first, out=first)
    return values, jacobian
