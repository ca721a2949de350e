"""Comparisons of numbers that the model gives, and what they make: lower <= objective <= upper."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, NoReturn, Self, cast

import numpy as np

from constrained_actmax.errors import SpecificationError
from constrained_actmax.layout import aligned, is_table
from constrained_actmax.quoting import quoted

if TYPE_CHECKING:
    from constrained_actmax.objectives.base import Objective


class Comparable(ABC):
    """A number whose comparisons with numbers, and with others like it, make constraints."""

    __hash__ = object.__hash__

    @abstractmethod
    def __sub__(self, other: Any) -> Objective:
        """Return the difference."""

    def __le__(self, other: Any) -> Between:
        return self._between(other, below=False, above=True)

    def __ge__(self, other: Any) -> Between:
        return self._between(other, below=True, above=False)

    def __eq__(self, other: object) -> Between:  # type: ignore[override]
        return self._between(other, below=True, above=True)

    def __ne__(self, other: object) -> bool:
        return self is not other

    def __lt__(self, other: Any) -> Between:
        raise SpecificationError(
            f"{self} < {other}: a strict limit has no nearest point; write <=."
        )

    def __gt__(self, other: Any) -> Between:
        raise SpecificationError(
            f"{self} > {other}: a strict limit has no nearest point; write >=."
        )

    def _between(self, other: Any, *, below: bool, above: bool) -> Between:
        if isinstance(other, Comparable):
            return Between(0.0 if below else None, self - other, 0.0 if above else None)
        if not is_numeric(other):
            return cast("Between", NotImplemented)
        return Between(other if below else None, cast("Objective", self), other if above else None)


def is_numeric(value: Any) -> bool:
    """Whether the value is a number or an array, list or table of numbers."""
    if isinstance(value, int | float | np.generic | np.ndarray | list | tuple) or is_table(value):
        try:
            return np.asarray(value).dtype.kind in "fiub"
        except ValueError:
            return False
    return False


class Between:
    r"""The constraint :math:`l \le c(x) \le u` on an objective; what comparisons make.

    Parameters
    ----------
    lower : array_like or None
        l, in the objective's units; None where there is no lower limit.
    objective : Objective
        c: one number for each input, or several.
    upper : array_like or None
        u; equal to `lower` for an equality.
    margin : float, default 0
        How far inside its bounds the objective has to stay, in its own units:
        :math:`l + m \le c(x) \le u - m`.
    tolerance : float, optional
        The violation that counts as none, in the objective's own units; by default the call's
        `feasibility_tolerance` times what the objective changes over the set.
    name : str, optional
        What results call it: ``result.constraints[name]``. A comparison takes one by `named`.

    Raises
    ------
    SpecificationError
        If a bound is not a number, is NaN, or lower > upper; if the margin or the tolerance is
        negative, or the margin leaves nothing between the bounds.

    Examples
    --------
    >>> import constrained_actmax as cax
    >>> print(cax.Output("stress") <= 250)
    Output('stress') <= 250
    >>> print(cax.Between(0, cax.Logit(3), 1))
    0 <= Logit(3) <= 1
    """

    __hash__ = object.__hash__
    __array_ufunc__ = None

    def __init__(
        self,
        lower: Any,
        objective: Objective,
        upper: Any,
        *,
        margin: float = 0.0,
        tolerance: float | None = None,
        name: str | None = None,
    ) -> None:
        if not isinstance(objective, Comparable):
            raise SpecificationError(
                "Between: expected lower, objective, upper with an objective such as Logit(7) in "
                f"the middle, got {type(objective).__name__}."
            )
        self.objective = objective
        self.name = name
        self.margin = 0.0  # until the bounds are known to be sound
        self.lower = _limit(lower, -np.inf, objective)
        self.upper = _limit(upper, np.inf, objective)
        if (
            np.ndim(self.lower)
            and np.ndim(self.upper)
            and (np.shape(self.lower) != np.shape(self.upper))
        ):
            raise SpecificationError(
                f"{objective}: the limits have shapes {np.shape(self.lower)} and "
                f"{np.shape(self.upper)}; they must agree."
            )
        if np.any(np.asarray(self.lower) > np.asarray(self.upper)):
            raise SpecificationError(
                f"{objective}: the lower limit {self.lower} is above the upper limit {self.upper}."
            )
        if np.any(np.asarray(self.lower) == np.inf) or np.any(np.asarray(self.upper) == -np.inf):
            raise SpecificationError(f"{objective}: a limit of that sign is never met: {self}.")
        self.margin = _amount(margin, "margin", objective)
        self.tolerance = None if tolerance is None else _amount(tolerance, "tolerance", objective)
        if self.margin:
            self._check_margin()

    def named(self, name: str) -> Self:
        """Return the same constraint with a name: ``(Output("stress") <= 250).named("stress")``."""
        other = copy.copy(self)
        other.name = name
        return other

    def imposed(self) -> tuple[Objective, Any, Any]:
        """Return the objective and the limits that a solver gets: same points, better gradients.

        A limit on a probability becomes one on its log-odds; ``Margin(k) >= m`` becomes one row for
        each rival.
        """
        return self.objective.imposed(*self.within)

    @property
    def within(self) -> tuple[Any, Any]:
        """The bounds that have to be kept: those written, tightened by the margin."""
        return self.lower + self.margin, self.upper - self.margin

    def _check_margin(self) -> None:
        low, high = self.within
        if np.any(np.asarray(low) > np.asarray(high)):
            raise SpecificationError(
                f"{self}: nothing lies {self.margin:g} inside both bounds; take a smaller margin."
            )

    @property
    def compiled(self) -> bool:
        """Whether TensorFlow computes c, in the model's call."""
        return True

    @property
    def equality(self) -> bool:
        """Whether the limits leave one value."""
        return bool(np.all(np.asarray(self.lower) == np.asarray(self.upper)))

    def __bool__(self) -> NoReturn:
        low = "lower" if np.all(np.isneginf(self.lower)) else _text(self.lower)
        high = "upper" if np.all(np.isposinf(self.upper)) else _text(self.upper)
        raise SpecificationError(
            f"{self}: a constraint has no truth value; for bounds on both sides write "
            f"Between({low}, {self.objective}, {high})."
        )

    def __str__(self) -> str:
        margin = f" with a margin of {self.margin:g}" if self.margin else ""
        return f"{self._bounds_text()}{margin}"

    def _bounds_text(self) -> str:
        if self.equality:
            return f"{self.objective} == {_text(self.lower)}"
        text = str(self.objective)
        if not np.all(np.isneginf(self.lower)):
            if np.all(np.isposinf(self.upper)):
                return f"{text} >= {_text(self.lower)}"
            text = f"{_text(self.lower)} <= {text}"
        return text if np.all(np.isposinf(self.upper)) else f"{text} <= {_text(self.upper)}"

    def __repr__(self) -> str:
        return f"<Between: {self}>"

    def _chained(self, other: Any) -> NoReturn:
        raise SpecificationError(
            f"{self}: a constraint cannot be compared again; for bounds on both sides write "
            f"Between(lower, {self.objective}, upper)."
        )

    __le__ = __ge__ = __lt__ = __gt__ = _chained


def _limit(value: Any, missing: float, objective: Objective) -> Any:
    if value is None:
        return missing
    value = aligned(value, None, f"{objective}: limits", "the objective")
    try:
        array = np.array(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise SpecificationError(
            f"{objective}: a limit must be a number, got {quoted(value)}."
        ) from None
    if np.isnan(array).any():
        raise SpecificationError(f"{objective}: a limit is NaN.")
    if array.ndim > 1:
        raise SpecificationError(
            f"{objective}: limits are a number or one for each row, got shape {array.shape}."
        )
    return float(array) if array.ndim == 0 else array


def _amount(value: Any, name: str, objective: Objective) -> float:
    """Return a finite number >= 0, or raise in the constraint's name."""
    try:
        if isinstance(value, bool | str):
            raise TypeError
        number = float(value)
    except (TypeError, ValueError):
        number = np.nan
    if not 0.0 <= number < np.inf:
        raise SpecificationError(f"{objective}: {name} must be a number >= 0, got {quoted(value)}.")
    return number


def _text(limit: Any) -> str:
    if np.ndim(limit):
        return f"array{np.shape(limit)}"
    return "None" if np.isinf(limit) else f"{limit:g}"
