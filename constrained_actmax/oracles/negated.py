"""The one place where maximising becomes minimising."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from typing_extensions import override

from constrained_actmax.layout import Rows, Vector
from constrained_actmax.oracles.base import BaseOracle


class Negated(BaseOracle):
    """An oracle whose first function is the negative of another's; the others stay as they are.

    Parameters
    ----------
    oracle : BaseOracle
        The one to turn round. It keeps its own counts as well.
    """

    def __init__(self, oracle: BaseOracle) -> None:
        super().__init__()
        self.inner = oracle
        self.layout = oracle.layout
        self.functions = oracle.functions
        self.epsilon = oracle.epsilon
        self.smooth = oracle.smooth
        self.differentiable = oracle.differentiable
        self.batches = oracle.batches
        self.overlaps = oracle.overlaps

    @override
    def describe(self) -> dict[str, Any]:
        return self.inner.describe()

    @override
    def _evaluate(self, x: Rows) -> tuple[Rows, np.ndarray]:
        before = self.inner.calls
        values, jacobian = self.inner.evaluate(x)
        self.calls += self.inner.calls - before
        return _turned(values, jacobian)

    @override
    def begin(self, x: Rows) -> Callable[[], tuple[Rows, np.ndarray]]:
        before = self.inner.calls
        finish = self.inner.begin(x)
        self.rows += len(x)
        self.calls += self.inner.calls - before
        return lambda: _turned(*finish())

    @override
    def _values(self, x: Rows) -> Rows:
        before = self.inner.calls
        values = self.inner.values(x).copy()
        self.calls += self.inner.calls - before
        values[:, 0] *= -1.0
        return values

    @override
    def _vjp(self, x: Rows, weights: Rows) -> tuple[Rows, Rows]:
        before = self.inner.calls
        turned = weights.copy()
        turned[:, 0] *= -1.0
        values, product = self.inner.vjp(x, turned)
        self.calls += self.inner.calls - before
        values = values.copy()
        values[:, 0] *= -1.0
        return values, product

    @override
    def _hessian_product(
        self,
        x: Vector,
        v: Vector,
        weights: Vector,
        bounds: tuple[Vector, Vector],
        reach: float,
    ) -> Vector:
        calls, rows = self.inner.calls, self.inner.rows
        turned = weights.copy()
        turned[0] *= -1.0
        product = self.inner.hessian_product(x, v, turned, bounds, reach)
        self.calls += self.inner.calls - calls
        self.rows += self.inner.rows - rows - 1
        return product


def _turned(values: Rows, jacobian: np.ndarray) -> tuple[Rows, np.ndarray]:
    """Return both with the first function's sign changed."""
    if values.shape[1] == 1:
        return -values, -jacobian
    values, jacobian = values.copy(), jacobian.copy()
    for first in (values[:, 0], jacobian[:, 0]):
        np.negative(first, out=first)
    return values, jacobian
