"""What a model says at some points: f, its gradient, c and its Jacobian."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from constrained_actmax.layout import Rows, Vector
from constrained_actmax.quoting import Quoted


@dataclass(slots=True, repr=False)
class Evaluation(Quoted):
    """Everything the model says at B points.

    Parameters
    ----------
    f : numpy.ndarray, shape (B,)
        The number that is minimised.
    gradient : numpy.ndarray, shape (B, n)
        Its gradient.
    c : numpy.ndarray, shape (B, m)
        Constraint functions.
    jacobian : numpy.ndarray, shape (B, m, n)
        Their Jacobian.
    finite : numpy.ndarray of bool, shape (B,)
        Rows in which every number is finite.
    violation : numpy.ndarray or None, shape (B,)
        Largest violation of any constraint, a pure number, where a `Task` measured it.
    written : numpy.ndarray or None, shape (B,)
        f in the user's units, to the last bit, where this is in others.
    """

    f: Vector
    gradient: Rows
    c: Rows
    jacobian: np.ndarray
    finite: np.ndarray
    violation: Vector | None = None
    written: Vector | None = None
    _rows: dict[int, Evaluation] = field(default_factory=dict, init=False, repr=False)

    def violation_of(self, row: int) -> float | None:
        """Return the measured violation of one row, or None."""
        return None if self.violation is None else float(self.violation[row])

    def _parts(self) -> tuple[Any, ...]:
        numbers = self.f, self.gradient, self.c, self.jacobian, self.finite
        return *numbers, self.violation, self.written

    def first(self, count: int) -> Evaluation:
        """Return the first rows."""
        some: list[Any] = [None if part is None else part[:count] for part in self._parts()]
        return Evaluation(*some)

    def rows(self, first: int, last: int) -> Evaluation:
        """Return rows ``first`` to ``last - 1``; a copy, so that they do not hold the rest."""
        if (first, last) == (0, len(self.f)):
            return self
        if last - first == 1 and first in self._rows:
            return self._rows[first]
        parts = self._parts()
        some: list[Any] = [None if part is None else part[first:last].copy() for part in parts]
        return Evaluation(*some)

    @staticmethod
    def concatenated(parts: Sequence[Evaluation]) -> Evaluation:
        """Return the rows of several evaluations, one after the other, without violations."""
        *arrays, _, written = zip(*(part._parts() for part in parts), strict=True)
        whole: list[Any] = [np.concatenate(rows) for rows in arrays]
        whole += [None, None if any(rows is None for rows in written) else np.concatenate(written)]
        return Evaluation(*whole)

    def row(self, row: int) -> Evaluation:
        """Return one row, still with a batch axis; a copy, so that it does not hold the rest."""
        if len(self.f) == 1:
            return self
        kept = self._rows[row] = self.rows(row, row + 1)
        return kept
