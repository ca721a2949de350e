"""What every convex set that users write offers, and the little that a new one has to write."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp
from typing_extensions import override

from constrained_actmax.errors import SpecificationError
from constrained_actmax.kernels.kernel import Kernel
from constrained_actmax.kernels.part import PartKernel
from constrained_actmax.layout import (
    Layout,
    Region,
    Vector,
    aligned,
    all_finite,
    is_table,
    labels_of,
    numbers,
)
from constrained_actmax.quoting import Quoted, quoted

MOST_SHOWN = 4  # entries of an array that descriptions write out

if TYPE_CHECKING:
    import cvxpy as cp


@dataclass(frozen=True, eq=False, repr=False)
class ConvexSet(Quoted, ABC):
    r"""A closed convex set C of inputs, as users write it.

    A set is written without a model, in the user's shapes and units, and speaks of the whole input
    or of a part of it. `bind` gives the `Kernel` of flat vectors that a model's layout makes of it,
    which is what solvers project on. The set's own methods are for a bare array; arrays that it was
    made of must not be written to once it was asked.

    Parameters
    ----------
    on : str, optional
        Name of the input that the set speaks of; needed where the model has several.
    where : array of bool, str, or sequence of str or int, optional
        The entries that the set speaks of: a mask, feature names, or flat positions.
    name : str, optional
        What results call it: ``result.constraints[name]``.

    Notes
    -----
    A new set writes `kernel` and `describe`. The laws that it has to keep are
    `constrained_actmax.conformance.check_convex_set`.

    A parameter with one number for each column may be a pandas Series or DataFrame: its labels are
    aligned to the model's `feature_names`, and have to be these. A default index is no labels.
    """

    on: str | None = field(default=None, kw_only=True)
    where: Any = field(default=None, kw_only=True, repr=False)
    name: str | None = field(default=None, kw_only=True, repr=False)

    @abstractmethod
    def kernel(self, region: Region) -> Kernel:
        """Return the flat set on the region's entries, its parameters flat and checked.

        Raises
        ------
        SpecificationError
            If a shape or a number does not fit.
        """

    @abstractmethod
    def describe(self) -> str:
        """Return the set in the user's words, without where it applies: ``L1Ball(60)``."""

    def bind(self, layout: Layout, x0: Vector | None = None) -> Kernel:
        """Return the set of flat vectors of length ``layout.size`` that this set means.

        Parameters
        ----------
        layout : Layout
            Names and shapes of the inputs.
        x0 : numpy.ndarray, optional
            The user's flat starting point, for sets that refer to it (`Fixed`).

        Raises
        ------
        SpecificationError
            If a shape, a name or a number does not fit.
        """
        region = layout.region(
            self.on, self.where, who=type(self).__name__, everywhere=self._everywhere, start=x0
        )
        kernel = self.kernel(region).labelled(str(self))
        return kernel if region.covers_all else PartKernel(kernel, region.indices, region.size)

    @property
    def _everywhere(self) -> bool:
        """Whether the set may speak of several inputs at once without naming one."""
        return False

    # -- for a bare array ------------------------------------------------------------------------

    def project(self, x: Any) -> Vector:
        r"""Return the nearest point of the set, :math:`\arg\min_{p \in C} \|p - x\|_2`.

        Parameters
        ----------
        x : array_like
            One input of any shape.

        Returns
        -------
        numpy.ndarray
            A new float64 array of the same shape.
        """
        array = self._finite(x, "project")
        return self._kernel_of(array.shape).project(array.reshape(1, -1)).reshape(array.shape)

    def project_with_dual(self, x: Any) -> tuple[Vector, float]:
        """Return the projection and the multiplier of the set's radius, NaN without one.

        See ``Kernel.project_with_dual``.
        """
        array = self._finite(x, "project")
        projected, dual = self._kernel_of(array.shape).project_with_dual(array.reshape(1, -1))
        return projected.reshape(array.shape), float(dual[0])

    def violation(self, x: Any) -> float:
        """Return how far x breaks the set's own inequality, as ``Kernel.violation_norm`` says."""
        array = numbers(x, type(self).__name__)
        return float(self._kernel_of(array.shape).violation(array.reshape(1, -1))[0])

    def relative_violation(self, x: Any) -> float:
        """Return `violation` divided by the size of the numbers that it compares: a pure number.

        The size is that of the set's own numbers, such as radius and center, and of the point where
        its rounding enters: the same point of the same set has the same relative violation in any
        units. Bounds are judged entry by entry and rows row by row, each by its own numbers, and
        where all of these are zero the relative violation is 1.
        """
        array = numbers(x, type(self).__name__)
        return float(self._kernel_of(array.shape).relative_violation(array.reshape(1, -1))[0])

    def linear_maximizer(self, g: Any) -> Vector:
        r"""Return a point of :math:`\arg\max_{p \in C} g^\top p`, closed or by cvxpy.

        Raises
        ------
        SpecificationError
            If the maximum is not attained because the set is unbounded along g.
        """
        array = self._finite(g, "linear_maximizer")
        best = self._kernel_of(array.shape).linear_maximizer(array.reshape(1, -1))
        return best.reshape(array.shape)

    def to_cvxpy(self, variable: cp.Variable) -> list[cp.Constraint]:
        """Return the set as cvxpy constraints on a flat variable, in C order: the definition."""
        return self._kernel_of(tuple(variable.shape)).to_cvxpy(variable)

    def _kernel_of(self, shape: tuple[int, ...]) -> Kernel:
        if shape not in self._kernels:
            self._kernels[shape] = self.bind(Layout.of_array(shape))
        return self._kernels[shape]

    @cached_property
    def _kernels(self) -> dict[tuple[int, ...], Kernel]:
        """What the set was bound to for bare arrays, by their shape."""
        return {}

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_kernels"}

    def _finite(self, x: Any, who: str) -> Vector:
        array = numbers(x, type(self).__name__)
        if not all_finite(array):
            raise SpecificationError(
                f"{type(self).__name__}.{who}: the point holds NaN or infinity."
            )
        return array

    # -- words -----------------------------------------------------------------------------------

    @override
    def __str__(self) -> str:
        where = f" on {self.on!r}" if self.on is not None else ""
        at = "" if self.where is None else f" at {entries_in_words(self.where)}"
        return f"{self.describe()}{where}{at}"

    def to_dict(self) -> dict[str, Any]:
        """Return the set as JSON-ready values; `constrained_actmax.sets.from_dict` reads them."""
        data: dict[str, Any] = {"set": type(self).__name__}
        for field_ in fields(self):
            if not field_.init:
                continue
            value = getattr(self, field_.name)
            if value is not None:
                data[field_.name] = jsonable(value)
        return data


class HeuristicSet(ConvexSet):
    """A nonconvex set: `project` gives a good nearby point, without a convex set's promises."""


def jsonable(value: Any) -> Any:
    """Return arrays as lists, sparse ones as their entries, NumPy numbers as Python's.

    Infinities become the strings that float reads.

    Raises
    ------
    SpecificationError
        If a table has labels, which mean nothing without the model's names.
    """
    if is_table(value):
        return jsonable(np.asarray(aligned(value, None, "to_dict", "a set that is not bound")))
    if isinstance(value, np.ndarray):
        return jsonable(value.tolist())
    if sp.issparse(value):
        entries = sp.coo_array(value)
        parts = entries.shape, entries.row, entries.col, entries.data
        return dict(zip(("sparse", "row", "column", "value"), map(jsonable, parts), strict=True))
    if isinstance(value, np.generic):
        return jsonable(value.item())
    if isinstance(value, float) and not np.isfinite(value):
        return repr(value)
    if isinstance(value, list | tuple):
        return [jsonable(item) for item in value]
    if isinstance(value, dict):
        return {str(key): jsonable(item) for key, item in value.items()}
    if value is None or isinstance(value, str | int | float):
        return value
    array = np.asarray(value)  # a tensor, for one
    return jsonable(array.tolist()) if array.dtype.kind in "fiub" else value


def checked_number(value: Any, name: str, who: str, *, minimum: float | None = None) -> float:
    """Return a finite float, or raise with the user's call in the message."""
    try:
        if isinstance(value, bool | np.bool_ | str | bytes):  # float("3") would take it
            raise TypeError
        number = float(value)
    except (TypeError, ValueError):
        raise SpecificationError(f"{who}: {name} must be a number, got {quoted(value)}.") from None
    if not np.isfinite(number) or (minimum is not None and number < minimum):
        rule = "finite" if minimum is None else f"finite and >= {minimum:g}"
        raise SpecificationError(f"{who}: {name} must be {rule}, got {quoted(value)}.")
    return number


def entries_in_words(where: Any) -> str:
    """Return the names that were given, or else which entries are meant, or how many."""
    names = [where] if isinstance(where, str) else where
    if isinstance(names, list | tuple) and all(isinstance(name, str) for name in names):
        return repr(where)
    array = np.asarray(where)
    positions = np.flatnonzero(array) if array.dtype == bool else array.ravel()
    if array.ndim > 1 or positions.size > MOST_SHOWN:  # a mask may be broadcast
        return f"a mask of {positions.size:,}"
    return f"entries {positions.tolist()}"


def short(value: Any) -> str:
    """Return a number or an array in a few characters, for descriptions."""
    if value is None:
        return "None"
    array = np.asarray(value)
    labels = labels_of(value)
    if labels and array.ndim == 1 and array.size <= MOST_SHOWN:
        return f"{{{', '.join(f'{n}: {v:g}' for n, v in zip(labels, array, strict=True))}}}"
    if array.ndim == 0:
        return f"{float(array):g}"
    if array.dtype.kind in "fiub" and array.size:
        if np.all(array == array.flat[0]):
            return f"{float(array.flat[0]):g}"
        if array.ndim == 1 and array.size <= MOST_SHOWN:
            return f"[{', '.join(f'{number:g}' for number in array.tolist())}]"
    return f"array{array.shape}"
