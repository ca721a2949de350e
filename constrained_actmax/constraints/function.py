"""Limits on any function of the input: TensorFlow's, NumPy's or SciPy's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
from typing_extensions import override

from constrained_actmax.errors import SpecificationError
from constrained_actmax.layout import Layout, Rows, Vector, real
from constrained_actmax.objectives.base import Form
from constrained_actmax.objectives.between import Between
from constrained_actmax.objectives.values import Values
from constrained_actmax.oracles import finite_differences
from constrained_actmax.oracles.finite_differences import Domain
from constrained_actmax.quoting import quoted


class Function(Between):
    r"""The constraint :math:`l \le c(x) \le u` on a function of the input, or of the output too.

    Parameters
    ----------
    function : callable
        With `jacobian`: a NumPy function of one input in the model's structure, without batch axis,
        giving a number or m of them. Without: a TensorFlow function, ``function(inputs)`` or
        ``function(inputs, outputs)``, of float64 tensors with a batch axis, giving (B,) or (B, m);
        it is differentiated and computed in the same call as the model.
    lower, upper : array_like or None
        l and u; None where there is no limit.
    jacobian : callable, optional
        The derivatives of a NumPy function: shape of one input, or (m, ...) before it, or (m, n)
        flat.
    name : str, optional
        What results call it; by default the function's name.
    margin, tolerance : float, optional
        See `Between`.

    Raises
    ------
    SpecificationError
        If something is not callable, lower > upper, or a returned shape does not fit.

    Examples
    --------
    >>> import constrained_actmax as cax
    >>> import numpy as np
    >>> print(cax.Function(np.sum, 0, 60, jacobian=np.ones_like))
    0 <= sum <= 60
    """

    def __init__(
        self,
        function: Callable[..., Any],
        lower: Any = None,
        upper: Any = None,
        jacobian: Any = None,
        name: str | None = None,
        *,
        margin: float = 0.0,
        tolerance: float | None = None,
    ) -> None:
        callables = {"function": function} | ({} if jacobian is None else {"jacobian": jacobian})
        for role, callable_ in callables.items():
            if not callable(callable_):
                raise SpecificationError(
                    f"Function: {role} must be callable, got {type(callable_).__name__}."
                )
        values = Values(function, name)
        super().__init__(lower, values, upper, margin=margin, tolerance=tolerance, name=str(values))
        self.function = function
        self.jacobian = jacobian
        #: SciPy's field: whether every iterate has to keep the inequality, or which of its values.
        self.keep_feasible: Any = False

    @property
    @override
    def compiled(self) -> bool:
        return self.jacobian is None

    @staticmethod
    def from_scipy(constraint: Any, *, name: str | None = None) -> Function | None:
        """Return one of SciPy's nonlinear constraints as a Function; None for anything else.

        Parameters
        ----------
        constraint : NonlinearConstraint or dict
            Functions of the flat vector. Without a callable Jacobian it is estimated by finite
            differences within the bounds (forward, or central for "3-point"), n or 2n calls a
            point; `finite_diff_rel_step` sets their relative step. `keep_feasible` asks for
            iterates that keep the inequalities, which trust-constr gives.
        name : str, optional
            What results call it; by default the dict's "name", else the function's name.
        """
        from scipy.optimize import NonlinearConstraint

        if isinstance(constraint, NonlinearConstraint):
            relative = constraint.finite_diff_rel_step
            function = _FlatFunction(
                constraint.fun,
                constraint.lb,
                constraint.ub,
                _derivative(constraint.fun, constraint.jac, relative),
                name or _name(constraint.fun),
            )
            function.keep_feasible = constraint.keep_feasible
            return function
        if isinstance(constraint, Mapping):
            return _from_dict(constraint, name)
        return None

    def bind(
        self,
        layout: Layout,
        domain: Domain | None = None,
        point: Vector | None = None,
    ) -> BoundFunction:
        """Return the function of flat rows; see `BoundFunction`."""
        return BoundFunction(self, layout, domain, point)

    def value_at(self, x: Vector, layout: Layout) -> Vector:
        """Return the m values at one flat point."""
        return real(self.function(layout.unflatten(x)), str(self.objective)).ravel()

    def jacobian_at(self, x: Vector, layout: Layout, here: Vector, domain: Domain) -> Rows:
        """Return the Jacobian (m, n) at one flat point, where the values are `here`."""
        count = here.size
        derivative = self.jacobian(layout.unflatten(x))
        if isinstance(derivative, Mapping):
            derivative = [derivative[name] for name in layout.names]
        if isinstance(derivative, list | tuple) and len(layout.inputs) > 1:
            parts = [real(part, str(self.objective)).reshape(count, -1) for part in derivative]
            return self._shaped(np.concatenate(parts, axis=1), count, layout)
        return self._shaped(derivative, count, layout)

    def _shaped(self, value: Any, count: int, layout: Layout) -> Rows:
        dense = value.toarray() if type(value).__module__.startswith("scipy.sparse") else value
        array = real(dense, str(self.objective), "a Jacobian of numbers")
        if array.size != count * layout.size:
            raise SpecificationError(
                f"{self.objective}: the Jacobian must have {count} x {layout.size} entries, got "
                f"shape {array.shape}."
            )
        return array.reshape(count, layout.size)

    def __repr__(self) -> str:
        return f"<Function: {self}>"


class _FlatFunction(Function):
    """A function of the flat vector, in SciPy's convention; its Jacobian is a `_derivative`."""

    def value_at(self, x: Vector, layout: Layout) -> Vector:
        return real(self.function(x.copy()), str(self.objective)).ravel()

    def jacobian_at(self, x: Vector, layout: Layout, here: Vector, domain: Domain) -> Rows:
        return self._shaped(self.jacobian(x.copy(), here, domain), here.size, layout)


class BoundFunction:
    """A `Function` on flat rows.

    Parameters
    ----------
    function : Function
        The one to bind.
    layout : Layout
        Of the model.
    domain : Domain, optional
        Bounds of the flat vector, which differences do not leave, and the usual sizes of its
        entries; by default everywhere, and 1.
    point : numpy.ndarray, shape (n,), optional
        Where the function is called once to count its values, unless a limit is an array; by
        default the point of the bounds that is nearest to zero.

    Attributes
    ----------
    lower, upper : float or numpy.ndarray
        Its limits.
    count : int
        m, its number of values.
    kept : numpy.ndarray of bool, shape (m,)
        The inequalities that every iterate has to keep.
    forms : list of dict
        What tells each value from those of other functions.
    """

    def __init__(
        self,
        function: Function,
        layout: Layout,
        domain: Domain | None = None,
        point: Vector | None = None,
    ) -> None:
        self._function = function
        self._layout = layout
        self._domain = domain or Domain.everywhere(layout.size)
        self.lower, self.upper = function.within
        lengths = {
            np.size(callable_) for callable_ in (self.lower, self.upper) if np.ndim(callable_)
        }
        if lengths:
            self.count = int(lengths.pop())
            return
        if point is None:
            point = np.clip(np.zeros(layout.size), self._domain.lower, self._domain.upper)
        try:
            with np.errstate(all="ignore"):
                self.count = int(function.value_at(point, layout).size)
        except SpecificationError:
            raise
        except Exception as error:
            raise SpecificationError(
                f"{function.name}: it fails at a point of C, where its values are counted "
                f"({type(error).__name__}: {error}); give an x0 where it is defined, or its lower "
                "bounds as an array, one for each value."
            ) from error
        if not self.count:
            raise SpecificationError(f"{function.name}: it gives no number; leave it out.")

    @property
    def forms(self) -> list[Form]:  # noqa: D102
        return [{(id(self._function.function), row): 1.0} for row in range(self.count)]

    @property
    def kept(self) -> np.ndarray:  # noqa: D102
        try:
            asked = np.broadcast_to(np.asarray(self._function.keep_feasible, bool), (self.count,))
        except ValueError:
            raise SpecificationError(
                f"{self._function.name}: keep_feasible must be one bool or {self.count}, "
                f"got {quoted(self._function.keep_feasible)}."
            ) from None
        kept: np.ndarray = asked & np.not_equal(self.lower, self.upper)
        return kept

    def evaluate(self, x: Rows, *, slopes: bool = True) -> tuple[Rows, np.ndarray]:
        """Return values (B, m) and Jacobian (B, m, n) at rows (B, n); zeros without `slopes`."""
        values = np.empty((len(x), self.count))
        jacobian = np.zeros((len(x), self.count, self._layout.size))
        for row, point in enumerate(x):
            value = self._function.value_at(point, self._layout)
            if value.size != self.count:
                raise SpecificationError(
                    f"{self._function.name}: expected {self.count} values, got {value.size}."
                )
            values[row] = value
            if slopes:
                jacobian[row] = self._function.jacobian_at(point, self._layout, value, self._domain)
        return values, jacobian

    def __str__(self) -> str:
        return str(self._function)


def _name(function: Any) -> str:
    return str(getattr(function, "__name__", "function"))


def _from_dict(constraint: Mapping[str, Any], name: str | None) -> Function:
    kind = str(constraint.get("type", "")).lower()
    if kind not in ("eq", "ineq") or not callable(constraint.get("fun")):
        raise SpecificationError(
            "constraints: a SciPy dict needs 'type' ('eq' or 'ineq') and a callable 'fun', got "
            f"{quoted(dict(constraint))}."
        )
    arguments = _arguments(constraint.get("args", ()))
    function: Any = constraint["fun"]
    jacobian: Any = constraint.get("jac")

    def value(x: Vector) -> Any:
        return function(x, *arguments)

    def derivative(x: Vector) -> Any:
        return jacobian(x, *arguments)

    upper = 0.0 if kind == "eq" else None
    slopes = _derivative(value, derivative if callable(jacobian) else jacobian)
    return _FlatFunction(
        value, 0.0, upper, slopes, name or constraint.get("name") or _name(function)
    )


def _arguments(arguments: Any) -> tuple[Any, ...]:
    """Return SciPy's ``args``: several where it is a sequence, else one; None is none."""
    if isinstance(arguments, tuple | list) or (
        isinstance(arguments, np.ndarray) and arguments.ndim
    ):
        return tuple(arguments)
    return () if arguments is None else (arguments,)


def _derivative(function: Any, jacobian: Any, relative: Any = None) -> Callable[..., Any]:
    """Return the Jacobian at x from x, the values there and the domain: given or by differences."""
    if callable(jacobian):
        return lambda x, here, domain: jacobian(x)
    central = isinstance(jacobian, str) and jacobian == "3-point"
    return partial(finite_differences.jacobian, function, central=central, relative=relative)
