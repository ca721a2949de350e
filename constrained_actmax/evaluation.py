"""What a model says at some points: f, its gradient, c and its Jacobian."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

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

    def first(self, count: int) -> Evaluation:
        """Return the first rows."""
        return Evaluation(
            self.f[:count],
            self.gradient[:count],
            self.c[:count],
            self.jacobian[:count],
            self.finite[:count],
            written=None if self.written is None else self.written[:count],
        )

    def rows(self, first: int, last: int) -> Evaluation:
        """Return rows ``first`` to ``last - 1``; a copy, so that they do not hold the rest."""
        if (first, last) == (0, len(self.f)):
            return self
        if last - first == 1:
            return self.row(first)
        kept = Evaluation.concatenated([self.row(row) for row in range(first, last)])
        kept.violation = None if self.violation is None else self.violation[first:last].copy()
        return kept

    @staticmethod
    def concatenated(parts: Sequence[Evaluation]) -> Evaluation:
        """Return the rows of several evaluations, one after the other."""
        return Evaluation(
            np.concatenate([part.f for part in parts]),
            np.concatenate([part.gradient for part in parts]),
            np.concatenate([part.c for part in parts]),
            np.concatenate([part.jacobian for part in parts]),
            np.concatenate([part.finite for part in parts]),
            written=(
                None
                if any(part.written is None for part in parts)
                else np.concatenate([part.written for part in parts if part.written is not None])
            ),
        )

    def row(self, row: int) -> Evaluation:
        """Return one row, still with a batch axis; a copy, so that it does not hold the rest."""
        if len(self.f) == 1:
            return self
        kept = self._rows.get(row)
        if kept is None:
            only = slice(row, row + 1)
            kept = self._rows[row] = Evaluation(
                self.f[only].copy(),
                self.gradient[only].copy(),
                self.c[only].copy(),
                self.jacobian[only].copy(),
                self.finite[only].copy(),
                None if self.violation is None else self.violation[only].copy(),
                None if self.written is None else self.written[only].copy(),
            )
        return kept
