"""What a run returns: status, counts, history, and the point with how good it is."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

import numpy as np

from constrained_actmax.layout import Vector


class Status(enum.IntEnum):
    """Why a run ended; only CONVERGED is a success. The value is SciPy's `status`."""

    CONVERGED = 0
    STALLED = 1
    BUDGET = 2
    INTERRUPTED = 3
    INFEASIBLE = 4
    UNBOUNDED = 5
    ZERO_GRADIENT = 6
    NON_FINITE = 7
    SOLVER_ERROR = 8

    @property
    def sentence(self) -> str:
        """The sentence that a user reads."""
        return _SENTENCES[self]


_SENTENCES = {
    Status.CONVERGED: "Converged: the projected gradient is below tol.",
    Status.STALLED: "Stalled: no more progress, often at a kink of the network; usable, not optimal to tol.",
    Status.BUDGET: "Budget used up: the best feasible point so far.",
    Status.INTERRUPTED: "Interrupted: the best feasible point so far.",
    Status.INFEASIBLE: "Infeasible: no point that satisfies the constraints was found.",
    Status.UNBOUNDED: "Unbounded: the objective grows without end; add a bounded set.",
    Status.ZERO_GRADIENT: "Zero gradient at the start: the objective is flat there (saturated, or dead units).",
    Status.NON_FINITE: "The model returned NaN or infinity: the best feasible point before that.",
    Status.SOLVER_ERROR: "The solver failed.",
}


@dataclass(frozen=True)
class Termination:
    """How one solver ended from one start.

    Parameters
    ----------
    x : numpy.ndarray
        The solver's last or best point (n,).
    status : Status
        Why it stopped.
    iterations : int
        Accepted steps.
    detail : str
        The solver's own words, for the message.
    """

    x: Vector
    status: Status
    iterations: int = 0
    detail: str = ""


@dataclass(frozen=True)
class Budget:
    """Limits of a whole call, all starts together.

    Parameters
    ----------
    evaluations : int, optional
        Evaluations of the model, counted in rows.
    seconds : float, optional
        Wall-clock time, of the solving alone.
    """

    evaluations: int | None = None
    seconds: float | None = None

    def __post_init__(self) -> None:
        from constrained_actmax.errors import SpecificationError

        if self.evaluations is not None and not (
            isinstance(self.evaluations, int | np.integer) and self.evaluations >= 1
        ):
            raise SpecificationError(
                f"Budget: evaluations must be an integer >= 1, got {self.evaluations!r}."
            )
        if self.seconds is not None and not float(self.seconds) > 0:
            raise SpecificationError(f"Budget: seconds must be > 0, got {self.seconds!r}.")


@dataclass
class History:
    """What happened, one entry an iteration, as plain lists; the arrays are made when asked.

    Attributes
    ----------
    start, nit, rows : list of int
        Which start, its iteration, and evaluations of the whole call by then.
    seconds : list of float
        Since the call began solving.
    value : list of float
        The objective as written, at the iterate.
    violation : list of float
        Largest relative violation of any constraint at the iterate.
    """

    start: list[int] = field(default_factory=list)
    nit: list[int] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    value: list[float] = field(default_factory=list)
    violation: list[float] = field(default_factory=list)
