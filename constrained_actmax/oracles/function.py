"""A plain NumPy function in the model's place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from typing_extensions import override

from constrained_actmax.errors import SpecificationError
from constrained_actmax.layout import Layout, Rows, number, real
from constrained_actmax.oracles.base import BaseOracle


class FunctionOracle(BaseOracle):
    """A NumPy function with its gradient in the model's place, for tests and for those without one.

    Parameters
    ----------
    value_and_gradient : callable
        Takes one input of `shape` (float64) and returns a number and its gradient of that shape.
    shape : int or tuple of int
        Shape of the input.
    smooth : bool or None, default None
        Whether the function is continuously differentiable; `method="auto"` asks.
    name : str, default "function"
        What results call it.

    Raises
    ------
    SpecificationError
        If the shape is not one of non-negative integers.

    Examples
    --------
    >>> import constrained_actmax as cax
    >>> bowl = cax.FunctionOracle(lambda x: (-float(x @ x), -2 * x), 2)
    >>> cax.maximize(bowl, constraints=[cax.Box(1, 3)]).x
    array([1., 1.])
    """

    batches = False

    def __init__(
        self,
        value_and_gradient: Callable[[Any], tuple[float, Any]],
        shape: int | tuple[int, ...],
        *,
        smooth: bool | None = None,
        name: str = "function",
    ) -> None:
        super().__init__()
        lengths = (shape,) if isinstance(shape, int) else tuple(shape)
        if not callable(value_and_gradient):
            raise SpecificationError(
                "FunctionOracle: value_and_gradient must be callable, "
                f"got {type(value_and_gradient).__name__}."
            )
        if any(not isinstance(length, int | np.integer) or length < 0 for length in lengths):
            raise SpecificationError(
                f"FunctionOracle: shape must hold integers >= 0, got {shape!r}."
            )
        self._function = value_and_gradient
        self.layout = Layout.of_array(lengths)
        self.smooth = smooth
        self.name = name

    @override
    def describe(self) -> dict[str, Any]:
        return {"model": self.name, "precision": "float64"}

    @override
    def _evaluate(self, x: Rows) -> tuple[Rows, np.ndarray]:
        shape = self.layout.inputs[0].shape
        values = np.empty((len(x), 1))
        jacobian = np.empty((len(x), 1, self.size))
        for row, point in enumerate(x):
            self.calls += 1
            answer = self._function(point.reshape(shape).copy())
            if not isinstance(answer, tuple | list) or len(answer) != 2:
                raise SpecificationError(
                    f"{self.name}: the function must return (value, gradient), "
                    f"got {type(answer).__name__}."
                )
            value, gradient = answer
            slope = real(gradient, self.name, f"a gradient of shape {shape}")
            if slope.size != self.size:
                raise SpecificationError(
                    f"{self.name}: expected a gradient of shape {shape}, got shape {slope.shape}."
                )
            values[row, 0] = number(value, self.name)
            jacobian[row, 0] = slope.ravel()
        return values, jacobian
