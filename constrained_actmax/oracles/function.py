"""A plain NumPy function in the model's place."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any, Literal, Self, TypeAlias

import numpy as np
from typing_extensions import override

from constrained_actmax.errors import SpecificationError
from constrained_actmax.layout import Rows, Vector, number, real
from constrained_actmax.objectives.base import Objective
from constrained_actmax.oracles import finite_differences
from constrained_actmax.oracles.black_box import BlackBoxOracle
from constrained_actmax.oracles.finite_differences import Domain
from constrained_actmax.quoting import quoted

Differences: TypeAlias = Literal["2-point", "3-point", "cs"]
DIFFERENCES = ("2-point", "3-point", "cs")
#: Variables up to which gradients by differences are taken: n or 2n calls an evaluation.
MOST_DIFFERENCED = 500


class FunctionOracle(BlackBoxOracle):
    """A NumPy function in the model's place, written as for ``scipy.optimize.minimize``.

    Parameters
    ----------
    function : callable
        ``function(x, *args)`` takes one input of `shape` (float64). With ``jac=True`` it returns a
        number and its gradient of that shape, else the number alone.
    shape : int or tuple of int
        Shape of the input.
    jac : True, callable, "2-point", "3-point", "cs" or None, default True
        Where the gradient comes from: from the function itself; from ``jac(x, *args)``; from
        forward, central or complex-step differences, for up to 500 variables. They stay within the
        bounds of the problem, and each evaluation takes n + 1 calls ("3-point": 2n + 1). None:
        there is none, and COBYQA solves it.
    hess : callable, optional
        ``hess(x, *args)``, the Hessian (n, n), of the flat input: an array, a sparse one or a
        LinearOperator. Without it, products with it are differences of gradients.
    args : tuple or object, default ()
        Further arguments of all three functions; what is no tuple is one argument.
    smooth : bool or None, default None
        Whether the function is continuously differentiable; `method="auto"` asks. A function with a
        Hessian is.
    name : str, optional
        What results and messages call it; by default "function".

    Raises
    ------
    SpecificationError
        If the shape is not one of non-negative integers, or `jac` or `hess` is something else.

    Examples
    --------
    >>> import constrained_actmax as cax
    >>> bowl = cax.FunctionOracle(lambda x: (-float(x @ x), -2 * x), 2)
    >>> cax.maximize(bowl, constraints=[cax.Box(1, 3)]).x
    array([1., 1.])
    >>> import scipy.optimize
    >>> rosen = cax.FunctionOracle(scipy.optimize.rosen, 2, jac="3-point", smooth=True)
    >>> cax.minimize(rosen, bounds=[(-2, 2), (-2, 2)], x0=[-1, 1]).x.round(3)
    array([1., 1.])
    """

    def __init__(
        self,
        function: Callable[..., Any],
        shape: int | tuple[int, ...],
        *,
        jac: bool | Callable[..., Any] | Differences | None = True,
        hess: Callable[..., Any] | None = None,
        args: Any = (),
        smooth: bool | None = None,
        name: str = "function",
    ) -> None:
        super().__init__(function, shape, name=name)
        self.differentiable = not (jac is None or jac is False)  # SciPy's default
        if not self.differentiable and not (hess is None and smooth is None):
            raise SpecificationError(
                f"FunctionOracle: {'smooth' if hess is None else 'hess'}= needs gradients; give "
                "jac=, such as jac='2-point', as well."
            )
        known = jac is True or callable(jac) or (isinstance(jac, str) and jac in DIFFERENCES)
        if self.differentiable and not known:
            raise SpecificationError(
                "FunctionOracle: jac must be True (the function returns value and gradient), a "
                f"function, '2-point', '3-point', 'cs' or None (no gradients), got {quoted(jac)}."
            )
        if not (hess is None or callable(hess)):
            raise SpecificationError(
                f"FunctionOracle: hess must be a function of x, got {quoted(hess)}; leave it out "
                "where there is none: its products are taken by differences of gradients."
            )
        self._arguments: tuple[Any, ...] = args if isinstance(args, tuple) else (args,)
        self._jac: Any = jac
        self._hess = hess
        self.smooth = True if smooth is None and hess is not None else smooth
        self._domain = Domain.everywhere(self.size)
        if isinstance(jac, str) and self.size > MOST_DIFFERENCED:
            raise SpecificationError(
                f"FunctionOracle: jac={jac!r} would take {self.size:,} calls for each gradient; "
                f"above {MOST_DIFFERENCED} variables give a function that computes it."
            )

    @override
    def with_objectives(self, objectives: Sequence[Objective]) -> Self:
        if self.differentiable:
            raise SpecificationError(
                f"FunctionOracle: {self.name} is the function itself and has no outputs to name; "
                "with jac=None it may give several."
            )
        return super().with_objectives(objectives)

    @override
    def within(self, domain: Domain) -> Self:
        if not isinstance(self._jac, str):
            return self
        other = copy.copy(self)
        other._domain = domain
        return other

    @override
    def _answer(self, x: Vector) -> Any:
        self.calls += 1
        return self._function(self._point(x), *self._arguments)

    def _value(self, x: Vector) -> float:
        answer = self._answer(x)
        if isinstance(answer, tuple):
            raise SpecificationError(
                f"{self.name}: expected one number, got a tuple; jac=True is for functions that "
                "return (value, gradient)."
            )
        return number(answer, self.name)

    @override
    def _values(self, x: Rows) -> Rows:
        if not self.differentiable:
            return super()._values(x)
        if self._jac is True:
            return self._evaluate(x)[0]
        return np.array([[self._value(point)] for point in x]).reshape(-1, 1)

    @override
    def _evaluate(self, x: Rows) -> tuple[Rows, np.ndarray]:
        if not self.differentiable:
            return super()._evaluate(x)
        values = np.empty((len(x), 1))
        jacobian = np.empty((len(x), 1, self.size))
        for row, point in enumerate(x):
            values[row, 0], jacobian[row, 0] = self._pair(point)
        return values, jacobian

    def _pair(self, x: Vector) -> tuple[float, Vector]:
        """Return value and gradient at one flat point."""
        if self._jac is True:
            answer = self._answer(x)
            if not isinstance(answer, tuple | list) or len(answer) != 2:
                raise SpecificationError(
                    f"{self.name}: the function must return (value, gradient), "
                    f"got {type(answer).__name__}; for one that returns a value alone write "
                    "FunctionOracle(function, shape, jac='2-point'), or jac=None for no gradients."
                )
            return number(answer[0], self.name), self._gradient(answer[1])
        value = self._value(x)
        if not isinstance(self._jac, str):
            return value, self._gradient(self._jac(self._point(x), *self._arguments))
        if self._jac == "cs":
            slopes = finite_differences.complex_step(self._answer, x, self._domain)
        else:
            central = self._jac == "3-point"
            here = np.array([value])
            slopes = finite_differences.jacobian(
                self._value, x, here, self._domain, central=central
            )
        gradient: Vector = slopes[0]
        return value, gradient

    def _gradient(self, gradient: Any) -> Vector:
        shape = self.layout.inputs[0].shape
        slope = real(gradient, self.name, f"a gradient of shape {shape}")
        if slope.size != self.size:
            raise SpecificationError(
                f"{self.name}: expected a gradient of shape {shape}, got shape {slope.shape}."
            )
        return slope.ravel()

    @override
    def _hessian_product(
        self,
        x: Vector,
        v: Vector,
        weights: Vector,
        bounds: tuple[Vector, Vector],
        reach: float,
    ) -> Vector:
        if self._hess is None:
            return super()._hessian_product(x, v, weights, bounds, reach)
        product = np.asarray(self._hess(self._point(x), *self._arguments) @ v, dtype=np.float64)
        if product.size != self.size:
            raise SpecificationError(
                f"{self.name}: hess must give a matrix of shape ({self.size}, {self.size}), its "
                f"product with a vector has shape {product.shape}."
            )
        return np.asarray(weights[0] * product.ravel())
