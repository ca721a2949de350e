"""What of the network should be large: the contract of objectives, and their arithmetic."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from constrained_actmax.errors import SpecificationError
from constrained_actmax.layout import Rows, Vector
from constrained_actmax.objectives.between import Comparable, is_numeric
from constrained_actmax.objectives.bounded import UNKNOWN, Bounded
from constrained_actmax.objectives.signature import Signature, Tensor, Tensors
from constrained_actmax.quoting import Quoted

#: Numbers that a compiled function takes as arguments, each with a leading axis of one or B rows.
Parameters: TypeAlias = tuple[npt.NDArray[Any], ...]
ScoreFunction: TypeAlias = Callable[[Tensors, tuple[Tensor, ...]], Tensor]
#: A sum of numbers that a model gives: the factor of each, by what tells it from others; a constant
#: is the factor of `ONE`.
Form: TypeAlias = dict[Hashable, float]
ONE = "1"


@dataclass(frozen=True, eq=False, repr=False)
class Score:
    """An objective that is bound to one model: what is compiled, and what is only passed.

    Parameters
    ----------
    structure : hashable
        Two scores of equal structure compute the same formula and share one compiled function.
    function : callable
        ``function(tensors, parameters)`` gives (B,) or (B, rows) in float64. It may use only what
        `structure` says, and the parameters.
    parameters : tuple of numpy.ndarray
        The numbers that may differ between scores of equal structure: class index, centre,
        coefficients. Each has a leading axis of length 1, or of B where every row of a batch has
        its own.
    rows : int
        Numbers for each point.
    bounded : Bounded
        Over all inputs.
    layers : tuple of str
        Paths of the layers that are watched.
    """

    structure: Hashable
    function: ScoreFunction
    parameters: Parameters = ()
    rows: int = 1
    bounded: Bounded = UNKNOWN
    layers: tuple[str, ...] = ()


class Objective(Quoted, Comparable):
    """A number that a model gives for each input: what should be large, small, or within limits.

    Objectives are written without a model and bound to one by `bind`. They add, subtract and scale
    (``Logit(7) - 0.1 * Norm(2)``), and comparing one with a number makes a constraint
    (``Output("stress") <= 250``).

    Notes
    -----
    A new objective writes `_bind` and `describe`; the law that it has to keep is
    `constrained_actmax.conformance.check_objective`.
    """

    __array_ufunc__ = None  # NumPy numbers and arrays on the left leave arithmetic to us

    # -- what a new objective writes -------------------------------------------------------------

    @abstractmethod
    def _bind(self, signature: Signature) -> Score:
        """Check every name and number against the model, and return what is to be compiled."""

    @abstractmethod
    def describe(self) -> str:
        """Return the objective in the user's words: ``Logit(7)``."""

    # -- asked by oracles ------------------------------------------------------------------------

    def bind(self, signature: Signature) -> Score:
        """Return the score that this objective means on one model, before any model call.

        Raises
        ------
        SpecificationError
            If a class, head, label, layer, input or shape does not exist.
        """
        return self._bind(signature)

    def forms(self, signature: Signature) -> list[Form]:
        """Return each row as a sum of a model's numbers: of itself where no other is known."""
        score = self.bind(signature)
        numbers = tuple((array.shape, array.tobytes()) for array in score.parameters)
        return [{(score.structure, numbers, row): 1.0} for row in range(score.rows)]

    @property
    def bounded(self) -> Bounded:
        """What is known without a model; ``Score.bounded`` knows the model too."""
        return UNKNOWN

    def imposed(self, lower: Any, upper: Any) -> tuple[Objective, Any, Any]:
        """Return the objective and the limits that a solver gets for ``lower <= self <= upper``.

        A transformation that has the same feasible points and better gradients; by default none.
        """
        return self, lower, upper

    def stated(self, imposed: Rows) -> Rows:
        """Return this objective's own values (B, m) from those of what `imposed` gave (B, k)."""
        return imposed

    def stated_multiplier(self, multipliers: Vector, imposed: Vector) -> Vector:
        """Return rates by this objective's own limits (m,) from rates by the imposed ones (k,).

        Parameters
        ----------
        multipliers : numpy.ndarray, shape (k,)
            Change of the optimal value for one unit more of each imposed limit.
        imposed : numpy.ndarray, shape (k,)
            Where the imposed values stand.
        """
        return multipliers

    def __str__(self) -> str:
        return self.describe()

    # -- arithmetic ------------------------------------------------------------------------------

    def __add__(self, other: Any) -> Objective:
        if isinstance(other, Objective):
            return LinearCombination.of([(1.0, self), (1.0, other)])
        number = as_number(other)
        return NotImplemented if number is None else LinearCombination.of([(1.0, self)], number)

    def __radd__(self, other: Any) -> Objective:
        return self.__add__(other)

    @override
    def __sub__(self, other: Any) -> Objective:
        if isinstance(other, Objective):
            return LinearCombination.of([(1.0, self), (-1.0, other)])
        number = as_number(other)
        return NotImplemented if number is None else LinearCombination.of([(1.0, self)], -number)

    def __rsub__(self, other: Any) -> Objective:
        number = as_number(other)
        return NotImplemented if number is None else LinearCombination.of([(-1.0, self)], number)

    def __mul__(self, other: Any) -> Objective:
        if isinstance(other, Objective):
            raise SpecificationError(
                f"{self} * {other}: objectives add and scale by numbers; write a product as "
                "Custom(function)."
            )
        number = as_number(other)
        return NotImplemented if number is None else LinearCombination.of([(number, self)])

    def __rmul__(self, other: Any) -> Objective:
        return self.__mul__(other)

    def __truediv__(self, other: Any) -> Objective:
        number = as_number(other)
        if number is None:
            return NotImplemented
        if number == 0.0:
            raise SpecificationError(f"{self} / 0: divide by a number that is not 0.")
        return LinearCombination.of([(1.0 / number, self)])

    def __neg__(self) -> Objective:
        return LinearCombination.of([(-1.0, self)])

    def __pos__(self) -> Objective:
        return self


@dataclass(frozen=True, eq=False, repr=False)
class LinearCombination(Objective):
    r"""A sum of objectives, :math:`c_0 + \sum_i c_i f_i(x)`; what ``+ - * /`` make.

    Parameters
    ----------
    terms : tuple of (float, Objective)
        Coefficients and objectives, none of them a linear combination itself.
    constant : float
        c_0.
    """

    terms: tuple[tuple[float, Objective], ...]
    constant: float = 0.0

    @classmethod
    def of(cls, terms: list[tuple[float, Objective]], constant: float = 0.0) -> Objective:
        """Return the combination with nested ones multiplied out."""
        flat: list[tuple[float, Objective]] = []
        for factor, objective in terms:
            if isinstance(objective, LinearCombination):
                flat += [(factor * inner, part) for inner, part in objective.terms]
                constant += factor * objective.constant
            else:
                flat.append((factor, objective))
        if len(flat) == 1 and flat[0][0] == 1.0 and constant == 0.0:
            return flat[0][1]
        return cls(tuple(flat), constant)

    @override
    def _bind(self, signature: Signature) -> Score:
        scores = [objective.bind(signature) for _, objective in self.terms]
        rows = max(score.rows for score in scores)
        for (_, objective), score in zip(self.terms, scores, strict=True):
            if score.rows not in (1, rows):
                raise SpecificationError(
                    f"{self}: {objective} has {score.rows} rows, another term has {rows}."
                )
        functions = [score.function for score in scores]
        counts = [len(score.parameters) for score in scores]
        widths = [score.rows for score in scores]

        def function(tensors: Tensors, parameters: tuple[Tensor, ...]) -> Tensor:
            import tensorflow as tf

            factors, constant, *rest = parameters
            total: Tensor = None
            start = 0
            for i, (part, count, width) in enumerate(zip(functions, counts, widths, strict=True)):
                value = part(tensors, tuple(rest[start : start + count]))
                start += count
                if rows > 1 and width == 1:
                    value = tf.reshape(value, (-1, 1))
                factor = factors[:, i : i + 1] if rows > 1 else factors[:, i]
                total = value * factor if total is None else total + value * factor
            return total + (constant[:, None] if rows > 1 else constant)

        factors = np.array([[factor for factor, _ in self.terms]])
        parameters: Parameters = (factors, np.array([self.constant]))
        for score in scores:
            parameters += score.parameters
        bounded = Bounded.of_sum(
            score.bounded.times(factor)
            for (factor, _), score in zip(self.terms, scores, strict=True)
        )
        return Score(
            ("sum", tuple(score.structure for score in scores)),
            function,
            parameters,
            rows,
            bounded,
            tuple(layer for score in scores for layer in score.layers),
        )

    @override
    def forms(self, signature: Signature) -> list[Form]:
        terms = [(factor, objective.forms(signature)) for factor, objective in self.terms]
        sums: list[Form] = [{ONE: self.constant} for _ in range(max(len(t) for _, t in terms))]
        for factor, forms in terms:
            for row, sum_ in enumerate(sums):
                for number, weight in forms[row if len(forms) > 1 else 0].items():
                    sum_[number] = sum_.get(number, 0.0) + factor * weight
        return sums

    @property
    @override
    def bounded(self) -> Bounded:
        return Bounded.of_sum(objective.bounded.times(factor) for factor, objective in self.terms)

    @override
    def imposed(self, lower: Any, upper: Any) -> tuple[Objective, Any, Any]:
        if len(self.terms) != 1 or self.terms[0][0] == 0.0:
            return self, lower, upper
        factor, objective = self.terms[0]
        low, high = (
            (np.asarray(limit, dtype=np.float64) - self.constant) / factor
            for limit in ((lower, upper) if factor > 0 else (upper, lower))
        )
        inner, inner_low, inner_high = objective.imposed(low, high)
        return (self, lower, upper) if inner is objective else (inner, inner_low, inner_high)

    @override
    def stated(self, imposed: Rows) -> Rows:
        factor, objective = self.terms[0]
        values: Rows = factor * objective.stated(imposed) + self.constant
        return values

    @override
    def stated_multiplier(self, multipliers: Vector, imposed: Vector) -> Vector:
        factor, objective = self.terms[0]
        rates: Vector = objective.stated_multiplier(multipliers, imposed) / factor
        return rates

    @override
    def describe(self) -> str:
        text = ""
        for factor, objective in self.terms:
            size = abs(factor)
            part = str(objective) if size == 1.0 else f"{size:g} * {objective}"
            if not text:
                text = part if factor >= 0 else f"-{part}"
            else:
                text += f" + {part}" if factor >= 0 else f" - {part}"
        if self.constant:
            text += f" {'+' if self.constant > 0 else '-'} {abs(self.constant):g}"
        return text


def as_number(value: Any) -> float | None:
    """Return a finite Python float, or None where the value is not a number; inf and NaN raise."""
    if isinstance(value, str | bytes | bool | np.bool_) or not is_numeric(value):
        return None
    array = np.asarray(value, dtype=np.float64)
    if array.size != 1:
        raise SpecificationError(
            f"arithmetic: objectives scale and shift by single numbers, got shape {array.shape}."
        )
    number = float(array.reshape(()))
    if not np.isfinite(number):
        raise SpecificationError(f"arithmetic: a coefficient must be finite, got {number}.")
    return number


def short(value: Any) -> str:
    """Return an index, a name or an array in a few characters, for descriptions."""
    if isinstance(value, np.ndarray) or (isinstance(value, list | tuple) and len(value) > 4):
        array = np.asarray(value)
        return f"{float(array):g}" if array.ndim == 0 else f"array{array.shape}"
    return repr(value)
