"""What a solver may touch: the question, its evaluations, and what there is left to spend."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import NamedTuple

import numpy as np
from typing_extensions import override

from constrained_actmax.certificate import Proof
from constrained_actmax.errors import RefusedError
from constrained_actmax.evaluation import Evaluation
from constrained_actmax.kernels.kernel import call_inner
from constrained_actmax.layout import Indices, Rows, Vector
from constrained_actmax.result import Status, Termination
from constrained_actmax.standard_form import FeasibleSet, Network, StandardForm
from constrained_actmax.tasks.projector import Projector


class Stopped(Exception):  # noqa: N818 - a signal, like StopIteration
    """A limit was reached in the middle of a solver; carries the status."""

    def __init__(self, status: Status, detail: str = "") -> None:
        super().__init__(detail or status.sentence)
        self.status = status
        self.detail = detail

    @property
    def ends_all(self) -> bool:
        """Whether it ends the whole call, and not one start or one stage alone."""
        return self.status in (Status.INTERRUPTED, Status.TARGET)


class Incumbent(NamedTuple):
    """The best feasible point of a start so far, and f there."""

    x: Vector
    f: float


class Task(ABC):
    r"""Minimise f(x) subject to :math:`x \in C` and :math:`l \le c(x) \le u`, from some starts.

    All that a solver receives. One task may be another in other variables, with another function,
    or seen by one start among many (`Wrapper`); a solver cannot tell, and
    `constrained_actmax.conformance.check_task` holds that.

    Attributes
    ----------
    problem : StandardForm
        What is known before an evaluation.
    tolerance : float
        Stationarity residual that counts as converged, a pure number.
    iterations : numpy.ndarray of int, shape (starts,)
        Accepted iterates of each start.
    ended : dict of int to Termination
        How starts have ended.
    notes : list of str
        What the user should know.
    padded_rows : int
        How many rows a model call takes in any case.
    """

    problem: StandardForm
    tolerance: float
    iterations: np.ndarray
    ended: dict[int, Termination]
    notes: list[str]
    padded_rows: int

    # -- the question ------------------------------------------------------------------------------

    @property
    def size(self) -> int:
        """Number n of variables."""
        return self.problem.size

    @property
    def set(self) -> FeasibleSet:
        """C."""
        return self.problem.set

    @property
    def lower(self) -> Vector:
        """Lower bounds l of c, (m,)."""
        return self.problem.lower

    @property
    def upper(self) -> Vector:
        """Upper bounds u of c, (m,)."""
        return self.problem.upper

    @property
    def nonsmooth(self) -> bool:
        """Whether f or c is known to have kinks."""
        return self.problem.smooth is False

    @property
    def epsilon(self) -> float:
        """Relative precision of f and c."""
        return self.problem.epsilon

    @property
    def structure(self) -> Network | None:
        """The network as affine parts of ``problem.original(x)``; None where it cannot be read."""
        try:
            return self.problem.network()
        except RefusedError:
            return None

    # -- what is left ------------------------------------------------------------------------------

    @property
    @abstractmethod
    def remaining(self) -> int | None:
        """Evaluations that may still be asked for, or None without a limit."""

    @property
    @abstractmethod
    def seconds(self) -> float:
        """Wall-clock time since the call began."""

    @property
    @abstractmethod
    def seconds_left(self) -> float | None:
        """Wall-clock time that is left, >= 0, or None without a limit."""

    @property
    def out_of_time(self) -> bool:
        """Whether there was a limit of seconds and it is used up."""
        return self.seconds_left == 0.0

    @abstractmethod
    def charge(self, work: float) -> None:
        """Count work that is no evaluation, in units of the price of one.

        Such as a program's simplex iterations. It lowers `remaining` as evaluations do.

        Raises
        ------
        Stopped
            If the budget does not cover it.
        """

    @abstractmethod
    def count(self, rows: int) -> None:
        """Count rows of passes through the network's structure as evaluations.

        Raises
        ------
        Stopped
            If the budget does not cover them.
        """

    @abstractmethod
    def spent(self, rows: int, calls: int = 0) -> None:
        """Count evaluations, and model calls, that were made elsewhere, whatever the limits."""

    @abstractmethod
    def keep(self, proof: Proof) -> None:
        """Keep what bounds the optimum, for the result."""

    @abstractmethod
    def keeping(self, share: float) -> AbstractContextManager[None]:
        """Keep a share of the seconds left, for a while, for what comes after."""

    def share(self, starts_left: int) -> int | None:
        """Give the next start its equal share of a budget of this task's own; return what it is."""
        return self.remaining

    def carry(self, rows: int) -> int:
        """Let model calls take so many rows, where they are this task's; return `padded_rows`."""
        return self.padded_rows

    @contextmanager
    def tightened(self, factor: float) -> Iterator[None]:
        """Ask for this share of the tolerance for a while."""
        tolerance = self.tolerance
        self.tolerance = factor * tolerance
        try:
            yield
        finally:
            self.tolerance = tolerance

    # -- evaluations -------------------------------------------------------------------------------

    @abstractmethod
    def evaluate(self, x: Rows, starts: Sequence[int] | Indices) -> Evaluation:
        """Evaluate rows x (B, n), row b on behalf of start ``starts[b]``, in one model call.

        Raises
        ------
        Stopped
            If the budget does not cover these rows.
        """

    def revisit(self, x: Vector, start: int) -> Evaluation:
        """Return the evaluation of one point (n,); one that is still known costs no other."""
        return self.evaluate(x[np.newaxis], [start])

    @abstractmethod
    def hessian_product(self, x: Vector, v: Vector, weights: Vector) -> Vector:
        """Return the product with v of the Hessian of f and c, weighted, at one point.

        Raises
        ------
        Stopped
            If the budget is used up.
        """

    def projector(self, *, accurate: bool = True) -> Projector:
        """Return a projection on C, with warm starts of its own.

        Parameters
        ----------
        accurate : bool, default True
            Whether tests of convergence or line searches on smooth functions rest on it. Elsewhere,
            and on large inputs, an iterative one may end within about 1e-4, in C too, at a part of
            the cost.
        """
        return Projector(self.set)

    # -- reports -----------------------------------------------------------------------------------

    @abstractmethod
    def iterate(self, start: int, x: Vector, f: float, violation: float | None = None) -> bool:
        """Record one accepted iterate and call the user's callback; False if it has diverged.

        Without a violation, that of C is measured here: there is no other for methods that take
        sets alone.

        Raises
        ------
        Stopped
            If the callback ends the run.
        """

    def iterate_rows(self, starts: Indices, x: Rows, evaluation: Evaluation) -> np.ndarray:
        """Record the finite iterates of one round, row b on behalf of ``starts[b]``.

        Returns
        -------
        numpy.ndarray of bool, shape (B,)
            False where `iterate` returns it: rows that have diverged.

        Raises
        ------
        Stopped
            If the callback ends the run.
        """
        values = evaluation.f.tolist()
        going = [
            not evaluation.finite[row]
            or self.iterate(start, x[row], values[row], evaluation.violation_of(row))
            for row, start in enumerate(starts.tolist())
        ]
        return np.array(going, dtype=bool)

    def end(self, start: int, x: Vector, status: Status, detail: str = "") -> None:
        """Say how one start ended; the first word counts."""
        self.ended.setdefault(
            start, Termination(x.copy(), status, int(self.iterations[start]), detail)
        )

    def ended_as(self, starts: Indices, statuses: Collection[Status]) -> np.ndarray:
        """Return, for each of these starts (B,), whether it has ended so."""
        return np.array([self.ended[start].status in statuses for start in starts.tolist()], bool)

    @abstractmethod
    def best(self, start: int) -> Incumbent | None:
        """Return the best feasible point of a start so far, and f there."""

    def found(self, starts: Indices) -> bool:
        """Return whether one of these starts has a feasible point."""
        return any(self.best(start) is not None for start in starts.tolist())

    def best_points(self, x0: Rows, starts: Indices) -> Rows:
        """Return the best point of C of each start so far; the given one where there is none."""
        rows = [self.best_or(start, x) for x, start in zip(x0, starts.tolist(), strict=True)]
        return np.array(rows).reshape(x0.shape)

    def best_or(self, start: int, x: Vector) -> Vector:
        """Return the best feasible point of a start so far; the given one where there is none."""
        best = self.best(start)
        return x if best is None else best.x

    def name_non_finite(self, x: Vector, evaluation: Evaluation, row: int) -> str:
        """Say what is not finite at a point, in the user's words."""
        what = "value" if not np.isfinite(evaluation.f[row]) else "gradient"
        if what == "gradient" and np.isfinite(evaluation.gradient[row]).all():
            what = "constraint"
        x = self.problem.original(x)
        low, high = float(np.min(x, initial=np.inf)), float(np.max(x, initial=-np.inf))
        return f"The {what} is not finite at a point with entries in [{low:g}, {high:g}]."


class Wrapper(Task):
    """A task that asks another; a subclass says what differs, `evaluate` at least.

    Parameters
    ----------
    inner : Task
        The other.
    problem : StandardForm
        This one's own form.
    """

    def __init__(self, inner: Task, problem: StandardForm) -> None:
        self.inner, self.problem = inner, problem
        self.tolerance, self.padded_rows = inner.tolerance, inner.padded_rows
        self.iterations, self.ended, self.notes = inner.iterations, inner.ended, inner.notes

    @property
    @override
    def remaining(self) -> int | None:
        return self.inner.remaining

    @property
    @override
    def seconds(self) -> float:
        return self.inner.seconds

    @property
    @override
    def seconds_left(self) -> float | None:
        return self.inner.seconds_left

    charge = call_inner(Task.charge)
    count = call_inner(Task.count)
    spent = call_inner(Task.spent)
    keep = call_inner(Task.keep)
    keeping = call_inner(Task.keeping)
    hessian_product = call_inner(Task.hessian_product)
    projector = call_inner(Task.projector)
    iterate = call_inner(Task.iterate)
    end = call_inner(Task.end)
    best = call_inner(Task.best)
