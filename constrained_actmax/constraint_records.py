"""How a point satisfies each constraint: one record for each, found by index, name or object."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn, TypeAlias

import numpy as np

from constrained_actmax.errors import SpecificationError

#: One number, or one for each row of a constraint with several.
Numbers: TypeAlias = float | list[float]


@dataclass(frozen=True)
class ConstraintRecord:
    r"""How a point satisfies one constraint.

    Attributes
    ----------
    words : str
        The constraint as the user wrote it.
    value : float, list of float or None
        Its left side c(x), in the user's units; None for a set.
    violation : float
        By how much the point breaks it, in its own units; 0 where it is satisfied.
    tolerance : float or None
        The violation that counts as none, in the same units; None for a set, which is kept by
        projection.
    multiplier : float, list of float or None
        The rate at which the optimal value, as the objective is written, changes as the bound or
        radius grows; None where it is not known.
    name : str or None
        What the user called it.
    """

    words: str
    value: Numbers | None
    violation: float
    tolerance: float | None = None
    multiplier: Numbers | None = None
    name: str | None = None

    def __str__(self) -> str:
        if self.name is None or self.name in self.words:
            return self.words
        return f"{self.name}: {self.words}"


class Constraints:
    """The records of a result in the order of the constraints: sets first, then functions.

    ``constraints[key]`` takes an index, a name, the printed form where it is the only one, or the
    object that was written, such as a set or a SciPy constraint. A loaded result knows no objects.

    Parameters
    ----------
    records : iterable of ConstraintRecord
        One for each constraint.
    objects : sequence of sequence, optional
        For each record, the objects that the user wrote it as.
    """

    def __init__(
        self, records: Iterable[ConstraintRecord] = (), objects: Sequence[Sequence[Any]] = ()
    ) -> None:
        self._records = tuple(records)
        self._objects = tuple(objects)

    def __len__(self) -> int:
        return len(self._records)

    def __iter__(self) -> Iterator[ConstraintRecord]:
        return iter(self._records)

    def __getitem__(self, key: object) -> ConstraintRecord:
        if isinstance(key, int | np.integer):
            return self._records[int(key)]
        positions = self.places(key)
        if len(positions) == 1:
            return self._records[positions[0]]
        if positions:
            self._ambiguous(key, positions)
        known = ", ".join(str(record) for record in self._records) or "none"
        raise SpecificationError(
            f"constraints: no {key!r}; use an index, a name, or the object that was written, of: "
            f"{known}."
        )

    def places(self, key: object) -> list[int]:
        """Return the indices of the records that a name, a printed form or an object means."""
        if isinstance(key, str):
            named = [index for index, record in enumerate(self._records) if record.name == key]
            return named or [
                index for index, record in enumerate(self._records) if record.words == key
            ]
        return [
            index
            for index, objects in enumerate(self._objects)
            if any(object_ is key for object_ in objects)
        ]

    def _ambiguous(self, key: object, positions: Sequence[int]) -> NoReturn:
        raise SpecificationError(
            f"constraints: {key!r} means {len(positions)} of them, with the indices "
            f"{', '.join(map(str, positions))}; use an index, or give each its own name=."
        )

    @property
    def multipliers(self) -> Multipliers:
        """The multipliers that are known, by the printed forms of their constraints."""
        return Multipliers(self)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Constraints) and self._records == other._records

    def __repr__(self) -> str:
        return f"Constraints({list(self._records)!r})"

    def __reduce__(self) -> tuple[type[Constraints], tuple[tuple[ConstraintRecord, ...]]]:
        return Constraints, (self._records,)  # an object is itself in one process alone


class Multipliers(Mapping[str, Numbers]):
    """The multipliers that are known: a view of `Constraints`.

    Its keys are the constraints in the user's words; of several that print alike each key ends
    with the index of its record, ``"f <= 1 [2]"``. Names are taken too.

    Parameters
    ----------
    constraints : Constraints
        The records.
    """

    def __init__(self, constraints: Constraints) -> None:
        self._constraints = constraints
        words = [constraint.words for constraint in constraints]
        self._places = {
            constraint.words
            if words.count(constraint.words) == 1
            else f"{constraint.words} [{index}]": index
            for index, constraint in enumerate(constraints)
            if constraint.multiplier is not None
        }

    def __getitem__(self, key: str) -> Numbers:
        if key not in self._places and not self._constraints.places(key):
            raise KeyError(key)
        multiplier = self._constraints[self._places.get(key, key)].multiplier
        if multiplier is None:
            raise KeyError(key)
        return multiplier

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def __repr__(self) -> str:
        return repr(dict(self))
