"""A program over C with columns and rows of size 1, whatever the units of input and outputs."""

from __future__ import annotations

import numpy as np

from constrained_actmax.kernels.row_program import LinearProgram, Minimum, RowProgram
from constrained_actmax.layout import Rows, Vector


def powers_of_two(sizes: Vector) -> Vector:
    """Return the largest powers of two up to some sizes, by which products are exact; 1 for 0."""
    known = np.isfinite(sizes) & (sizes > 0.0)
    powers: Vector = np.ldexp(1.0, np.frexp(np.where(known, sizes, 1.0))[1] - 1)
    return powers


class ScaledProgram:
    """A program over :math:`y = x / s` that is asked and answers in x.

    Further variables are divided by their bounds, rows and objective by their largest coefficient.

    Parameters
    ----------
    program : RowProgram
        Over the set of y.
    n : int
        Entries of x.
    unit : float
        s, a power of two.
    """

    def __init__(self, program: RowProgram, n: int, unit: float) -> None:
        self.program = program
        self._n, self._unit = n, unit
        self._columns = np.full(n, unit)
        self._rows = np.zeros(0)

    def widen(self, most: Vector) -> None:
        """Add variables; see `RowProgram.widen`."""
        units = powers_of_two(most)
        self.program.widen(most / units)
        self._columns = np.append(self._columns, units)

    def extend(self, A: Rows, low: Vector, high: Vector) -> None:
        """Add rows; see `RowProgram.extend`."""
        A = A * self._columns[: A.shape[1]]
        sizes = powers_of_two(np.abs(A).max(axis=1, initial=0.0))
        self.program.extend(A / sizes[:, np.newaxis], low / sizes, high / sizes)
        self._rows = np.append(self._rows, sizes)

    def _objective(self, g: Vector) -> tuple[Vector, float]:
        g = g * self._columns
        size = float(powers_of_two(np.abs(g).max(initial=0.0)[np.newaxis])[0])
        return g / size, size

    def minimum(self, g: Vector, lower: Vector, upper: Vector) -> Minimum | None:
        """Return a minimiser within a box on x; see `RowProgram.minimum`."""
        g, size = self._objective(g)
        solution = self.program.minimum(g, lower / self._unit, upper / self._unit)
        if solution is None:
            return None
        return Minimum(solution.x * self._columns, solution.multipliers * (size / self._rows))

    def make_binary(self, count: int, nodes: int | None) -> None:
        """Let the last variables be integers; see `LinearProgram.make_binary`."""
        self._linear.make_binary(count, nodes)

    def least(
        self, g: Vector, lower: Vector, upper: Vector, *, start: Vector | None, enough: float
    ) -> tuple[float | None, Vector | None]:
        """Return a lower bound with binaries, and a point; see `LinearProgram.least`."""
        g, size = self._objective(g)
        bound, y = self._linear.least(
            g,
            lower / self._unit,
            upper / self._unit,
            start=None if start is None else start / self._columns,
            enough=enough / size,
        )
        return None if bound is None else bound * size, None if y is None else y * self._columns

    def finish(self, seconds: float | None) -> None:
        """End after so many seconds; see `RowProgram.finish`."""
        self.program.finish(seconds)

    @property
    def _linear(self) -> LinearProgram:
        assert isinstance(self.program, LinearProgram)
        return self.program
