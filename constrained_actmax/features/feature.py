"""What a column of a table may be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from numbers import Real
from typing import Any, Literal, TypeAlias

import numpy as np

from constrained_actmax.errors import SpecificationError
from constrained_actmax.quoting import Quoted, quoted

Kind: TypeAlias = Literal["number", "integer", "category"]
KINDS, WAYS = ("number", "integer", "category"), ("increasing", "decreasing")


@dataclass(frozen=True, repr=False)
class Feature(Quoted):
    """What one column of a table may be, in the column's own units and categories.

    What is left out is taken from the table or the transformer that `Features` is made of.

    Parameters
    ----------
    low, high : float, optional
        Least and largest value of a number. By default those in the table.
    kind : {"number", "integer", "category"}, optional
        Whether values are numbers, whole numbers or categories.
    levels : sequence, optional
        All values that are allowed, such as ``[0, 5, 10]``; of a category those that may be taken,
        from lowest to highest where it is monotonic.
    monotonic : {"increasing", "decreasing"}, optional
        Whether the value may only rise, or only fall, from that of the person, `x0`.
    immutable : bool, default False
        Whether the value is the person's, `x0`, whatever it is.
    cost : float, optional
        What a change of one unit costs in `Features.distance`, or a change of category. By default
        1 / (the median absolute deviation of the column) [1]_, and 1 for a category.
    unit : str, default ""
        Of the values, for tables of results.

    Raises
    ------
    SpecificationError
        If a number, a name or a combination of them makes no sense.

    References
    ----------
    .. [1] Wachter, Mittelstadt, Russell (2018), Counterfactual explanations without opening the
       black box, Harvard Journal of Law & Technology 31.

    Examples
    --------
    >>> import constrained_actmax as cax
    >>> cax.Feature(18, 75, kind="integer", monotonic="increasing", unit="years").high
    75
    """

    low: float | None = None
    high: float | None = None
    kind: Kind | None = None
    levels: Sequence[Any] | None = None
    monotonic: Literal["increasing", "decreasing"] | None = None
    immutable: bool = False
    cost: float | None = None
    unit: str = ""

    def __post_init__(self) -> None:
        for name in ("low", "high", "cost"):
            value = getattr(self, name)
            number = isinstance(value, Real) and not isinstance(value, bool | np.bool_)
            if value is not None and not (number and np.isfinite(value)):
                raise SpecificationError(
                    f"Feature: {name} must be a finite number, got {quoted(value)}."
                )
        if self.low is not None and self.high is not None and self.low > self.high:
            raise SpecificationError(f"Feature: low {self.low:g} is above high {self.high:g}.")
        if self.cost is not None and self.cost < 0:
            raise SpecificationError(f"Feature: cost must be >= 0, got {self.cost:g}.")
        for name, known in (("kind", KINDS), ("monotonic", WAYS)):
            if getattr(self, name) not in (None, *known):
                raise SpecificationError(
                    f"Feature: {name} must be one of {', '.join(map(repr, known))}, got "
                    f"{quoted(getattr(self, name))}."
                )
        if not isinstance(self.immutable, bool | np.bool_):
            raise SpecificationError(
                f"Feature: immutable must be True or False, got {quoted(self.immutable)}."
            )
        if self.levels is not None:
            levels = np.asarray(self.levels, dtype=object)
            if isinstance(self.levels, str) or levels.ndim != 1 or not levels.size:
                raise SpecificationError(
                    f"Feature: levels must list at least one value, got {quoted(self.levels)}."
                )
            object.__setattr__(self, "levels", tuple(levels.tolist()))
        if self.kind == "category" and (self.low is not None or self.high is not None):
            raise SpecificationError("Feature: a category has levels, no low and high.")

    def completed(self, inferred: Feature) -> Feature:
        """Return this feature with what is left out taken from what a table shows.

        Levels that are said need no range.
        """
        said = {field.name: getattr(self, field.name) for field in fields(self)}
        stated = {name: value for name, value in said.items() if value is not None}
        if self.levels is not None:
            stated = {"low": self.low, "high": self.high, **stated}
        return replace(inferred, **stated)
