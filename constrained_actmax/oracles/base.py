"""The black box that solvers see: scalar functions of a flat vector, and their derivatives."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from typing_extensions import override

from constrained_actmax.errors import RefusedError, SpecificationError
from constrained_actmax.layout import Layout, Rows, Structure, Vector, flat
from constrained_actmax.oracles.finite_differences import Domain, central_pair

if TYPE_CHECKING:
    from constrained_actmax.objectives.base import Form
    from constrained_actmax.structure import Structure as NetworkStructure

T = TypeVar("T")


class BaseOracle(ABC):
    """K scalar functions of a flat float64 vector of length n, with derivatives, batch by batch.

    An oracle never knows why it is asked. It counts what it is asked: `rows` are evaluations of
    one point, `calls` are calls of the model, however many rows each took.

    Attributes
    ----------
    layout : Layout
        The inputs as one flat vector.
    functions : int
        K, the number of scalar functions (the first is the objective).
    epsilon : float
        Relative noise of values: the machine epsilon of the arithmetic inside, or more.
    smooth : bool or None
        False where the functions have kinks (ReLU, max-pooling, absolute values); None unknown.
    differentiable : bool
        Whether derivatives are to be had.
    batches : bool
        Whether several rows cost one call; padding to a fixed shape is worth while only then.
    rows, calls : int
        Counted since construction.
    """

    layout: Layout
    functions: int = 1
    epsilon: float = float(np.finfo(np.float64).eps)
    smooth: bool | None = None
    differentiable: bool = True
    batches: bool = True

    def __init__(self) -> None:
        self.evaluations = 0
        self.calls = 0
        self._memo: tuple[Vector, float, Vector] | None = None

    @property
    def size(self) -> int:
        """Length n of the flat vector."""
        return self.layout.size

    def structure(self) -> NetworkStructure:
        """Return the network as affine parts between elementwise nonlinear ones, in float64.

        Raises
        ------
        RefusedError
            Where there is no network, or it cannot be read; names the operation and its layer.
        """
        raise RefusedError("Functions of one's own have no structure.")

    # -- asked by problems and solvers -----------------------------------------------------------

    def evaluate(self, x: Rows) -> tuple[Rows, np.ndarray]:
        """Return values (B, K) and Jacobian (B, K, n) at rows x (B, n), in one call."""
        x = self._checked(x)
        self.evaluations += len(x)
        values, jacobian = self._evaluate(x)
        return values, jacobian

    def values(self, x: Rows) -> Rows:
        """Return values (B, K) alone."""
        x = self._checked(x)
        self.evaluations += len(x)
        return self._values(x)

    def vjp(self, x: Rows, weights: Rows) -> tuple[Rows, Rows]:
        r"""Return values (B, K) and :math:`\sum_k w_{bk} \nabla f_k(x_b)` (B, n), in one call."""
        x = self._checked(x)
        self.evaluations += len(x)
        return self._vjp(x, np.asarray(weights, dtype=np.float64))

    def hessian_product(
        self,
        x: Vector,
        v: Vector,
        weights: Vector | None = None,
        bounds: tuple[Vector, Vector] | None = None,
        reach: float | None = None,
    ) -> Vector:
        r"""Return :math:`\sum_k w_k \nabla^2 f_k(x)\, v` (n,); by default of the first function.

        Where it takes differences of the gradient, they stay within the bounds (l, u), if given,
        and go as far as suits a function that varies over the length `reach`, by default
        max(1, \|x\|).
        """
        rows = self._checked(flat(x, "hessian_product")[np.newaxis])
        if weights is None:
            weights = np.zeros(self.functions)
            weights[0] = 1.0
        direction = np.asarray(v, dtype=np.float64)
        if not direction.any():
            return np.zeros(self.size)  # trust-constr asks
        self.evaluations += 1
        if bounds is None:
            bounds = np.full(self.size, -np.inf), np.full(self.size, np.inf)
        if reach is None:
            reach = max(1.0, float(np.linalg.norm(rows[0])))
        return self._hessian_product(rows[0], direction, weights, bounds, reach)

    # -- asked by people who drive SciPy themselves ----------------------------------------------

    def value_and_gradient(self, x: Vector) -> tuple[float, Vector]:
        """Return value and gradient (n,) of the first function at one flat point.

        The last point is remembered: asking for it again costs no model call.
        """
        x = flat(x, type(self).__name__)
        if self._memo is None or not np.array_equal(self._memo[0], x):
            values, jacobian = self.evaluate(x[np.newaxis])
            self._memo = (x.copy(), float(values[0, 0]), jacobian[0, 0].copy())
        return self._memo[1], self._memo[2].copy()

    def value(self, x: Vector) -> float:
        """Return the value of the first function at one flat point."""
        return self.value_and_gradient(x)[0]

    def gradient(self, x: Vector) -> Vector:
        """Return the gradient (n,) of the first function at one flat point."""
        return self.value_and_gradient(x)[1]

    def to_scipy(self) -> Callable[[Vector], tuple[float, Vector]]:
        """Return the function that ``scipy.optimize.minimize(..., jac=True)`` takes.

        SciPy minimises: build the oracle of ``-objective`` to maximise.
        """
        return self.value_and_gradient

    def flatten(self, value: Structure) -> Vector:
        """Return an input in the model's structure as a flat float64 vector."""
        return self.layout.flatten(value)

    def unflatten(self, x: Vector) -> Structure:
        """Return a flat vector in the model's structure, without a batch axis."""
        return self.layout.unflatten(x)

    def batch(self, x: Vector) -> Structure:
        """Return a flat vector as a batch of one in the model's structure, for ``predict``."""
        value = self.layout.unflatten(x)
        if isinstance(value, dict):
            return {name: part[np.newaxis] for name, part in value.items()}
        if isinstance(value, list):
            return [part[np.newaxis] for part in value]
        return value[np.newaxis]

    def within(self, domain: Domain) -> BaseOracle:
        """Return the oracle whose functions are called in a problem's domain alone.

        Another one only where derivatives are differences.
        """
        return self

    def forms(self) -> list[Form]:
        """Return each function as a sum of the model's numbers, or nothing where none is known."""
        return []

    def describe(self) -> dict[str, Any]:
        """Return what should be saved with a result: the model's name, versions, precision."""
        return {}

    # -- what an oracle writes -------------------------------------------------------------------

    @abstractmethod
    def _evaluate(self, x: Rows) -> tuple[Rows, np.ndarray]:
        """Return values (B, K) and Jacobian (B, K, n); adds its model calls to `calls`."""

    def _values(self, x: Rows) -> Rows:
        return self._evaluate(x)[0]

    def _vjp(self, x: Rows, weights: Rows) -> tuple[Rows, Rows]:
        values, jacobian = self._evaluate(x)
        return values, np.einsum("bk,bkn->bn", weights, jacobian)

    def _hessian_product(
        self,
        x: Vector,
        v: Vector,
        weights: Vector,
        bounds: tuple[Vector, Vector],
        reach: float,
    ) -> Vector:
        """Difference of the gradient along v, where nothing better is written."""
        length = float(np.linalg.norm(v))
        if length == 0.0:  # trust-constr asks for it
            return np.zeros_like(x)
        step = self.epsilon ** (1 / 3) * reach / length
        points, step = central_pair(x, v, bounds, step)
        self.evaluations += 1
        _, jacobian = self._evaluate(points[1:])
        difference = np.tensordot(weights, jacobian[0] - jacobian[1], axes=1)
        return np.asarray(difference / (2 * step), dtype=np.float64)

    def _checked(self, x: Rows) -> Rows:
        array = np.ascontiguousarray(flat(x, type(self).__name__))
        if array.ndim != 2 or array.shape[1] != self.size:
            raise SpecificationError(
                f"{type(self).__name__}: expected rows of shape (B, {self.size}), "
                f"got {array.shape}. Make an input flat with flatten(x)."
            )
        return array


class WrappedOracle(BaseOracle):
    """An oracle that asks another and counts what that counts; a subclass says what differs.

    Parameters
    ----------
    oracle : BaseOracle
        The other. It keeps its own counts as well.
    """

    def __init__(self, oracle: BaseOracle) -> None:
        super().__init__()
        self.inner = oracle
        self.layout, self.functions = oracle.layout, oracle.functions
        self.epsilon, self.smooth = oracle.epsilon, oracle.smooth
        self.differentiable, self.batches = oracle.differentiable, oracle.batches

    @override
    def describe(self) -> dict[str, Any]:
        return self.inner.describe()

    def _counted(self, function: Callable[[], T]) -> T:
        """Call a function that asks the other, and count its model calls."""
        before = self.inner.calls
        answer = function()
        self.calls += self.inner.calls - before
        return answer

    @override
    def _evaluate(self, x: Rows) -> tuple[Rows, np.ndarray]:
        return self._counted(lambda: self.inner.evaluate(x))

    @override
    def _values(self, x: Rows) -> Rows:
        return self._counted(lambda: self.inner.values(x))

    @override
    def _vjp(self, x: Rows, weights: Rows) -> tuple[Rows, Rows]:
        return self._counted(lambda: self.inner.vjp(x, weights))

    @override
    def _hessian_product(
        self,
        x: Vector,
        v: Vector,
        weights: Vector,
        bounds: tuple[Vector, Vector],
        reach: float,
    ) -> Vector:
        before = self.inner.evaluations
        asked = self.inner.hessian_product
        product = self._counted(lambda: asked(x, v, weights, bounds, reach))
        self.evaluations += self.inner.evaluations - before - 1
        return product
