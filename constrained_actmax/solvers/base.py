"""What every solver is: settings, a reason to refuse, and a run from some starts."""

from __future__ import annotations

import re
import warnings
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import cache
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
from threadpoolctl import ThreadpoolController
from typing_extensions import override

from constrained_actmax.errors import SpecificationError
from constrained_actmax.evaluation import Evaluation
from constrained_actmax.layout import Indices, Rows, Vector
from constrained_actmax.quoting import quoted
from constrained_actmax.result import Status, Termination
from constrained_actmax.solvers.scipy_options import own_options
from constrained_actmax.standard_form import StandardForm
from constrained_actmax.tasks.one_start import LockStep
from constrained_actmax.tasks.recording import MOST_ROWS, Recording
from constrained_actmax.tasks.task import Stopped, Task

#: A step this many diameters long lands where the set ends along the gradient.
BEYOND = 1e3
TINY = float(np.finfo(np.float64).tiny)


@dataclass(frozen=True, kw_only=True)
class Solver(ABC):
    """An algorithm with its settings.

    A new solver is one file: a frozen dataclass with `name`, `refusal` and `_run` (all starts at
    once) or, on top of `RowSolver`, `_run_row` (one start). The laws that it has to keep are
    `constrained_actmax.conformance.check_solver`.
    """

    #: What ``method=`` calls it.
    name: ClassVar[str]
    #: Whether it never asks outside the bounds that C states, where functions may be undefined.
    keeps_bounds: ClassVar[bool] = True
    #: Whether every iterate lies in C, and whether it keeps constraints on functions too where
    #: SciPy's `keep_feasible` asks for that.
    iterates_in_set: ClassVar[bool] = True
    iterates_keep_functions: ClassVar[bool] = False
    #: Whether results carry Frank-Wolfe's gap.
    measures_gap: ClassVar[bool] = False
    #: Whether numbers below zero have a meaning for SciPy, such as "choose for me".
    takes_negative: ClassVar[bool] = False

    def __post_init__(self) -> None:
        for field in fields(self):
            value, kinds = getattr(self, field.name), str(field.type).split(" | ")
            if value is not None or "None" not in kinds:
                rule = self._broken(kinds, value)
                if rule:
                    raise SpecificationError(
                        f"{self.name}: {field.name} must be {rule}, got {quoted(value)}."
                    )

    def _broken(self, kinds: list[str], value: Any) -> str | None:
        """Return the rule that a setting breaks; None where it keeps its annotation's."""
        number = isinstance(value, Real) and not isinstance(value, bool | np.bool_)
        if kinds[0].startswith("Literal["):
            *names, last = re.findall(r"'\w+'", kinds[0])
            known = isinstance(value, str) and repr(str(value)) in (*names, last)
            return None if known else f"{', '.join(names)} or {last}"
        if "bool" in kinds:
            return None if isinstance(value, bool | np.bool_) else "True or False"
        if "int" in kinds and "float" not in kinds:
            whole = number and isinstance(value, Integral)
            if self.takes_negative:
                return None if whole else "an integer"
            return None if whole and value >= 1 else "an integer >= 1"
        if "float" in kinds:
            if self.takes_negative:
                return None if number and not np.isnan(value) else "a number"
            return None if number and value >= 0 else "a number >= 0"
        return None

    @property
    def label(self) -> str:
        """What notes call this solver: its name, and what it runs inside."""
        return self.name

    @property
    def stays_inside(self) -> bool:
        """Whether every point that it evaluates is a projection on C, or between two."""
        return True

    @abstractmethod
    def refusal(self, problem: StandardForm) -> str | None:
        """Return why this solver cannot take the problem, naming one that can; None if it can."""

    @abstractmethod
    def _run(self, task: Task, x0: Rows, starts: Indices) -> None:
        """Minimise from each row of x0 (B, n), feasible for C, on behalf of ``starts`` (B,).

        Evaluates by ``task.evaluate``, reports accepted iterates by ``task.iterate`` and each
        start's end by ``task.end``; may be left by `Stopped` at any evaluation.
        """

    def with_options(self, options: Mapping[str, Any]) -> Self:
        """Return the same solver with some settings changed.

        Raises
        ------
        SpecificationError
            If a name is not one of its settings, or is one of SciPy's that is said elsewhere.
        """
        known = [field.name for field in fields(self)]
        return replace(self, **own_options(options, known, self.name))

    def solve(self, task: Recording, x0: Rows) -> list[Termination]:
        """Minimise from each row; a limit reached in the middle becomes a status.

        Parameters
        ----------
        task : Recording
            Evaluations, limits and records of this call.
        x0 : numpy.ndarray, shape (B, n)
            Starts, feasible for C.

        Returns
        -------
        list of Termination
            One for each row.
        """
        task.keeps_bounds = self.keeps_bounds
        status, detail = Status.SOLVER_ERROR, "The solver returned without a status."
        with _blas().limit(limits=1, user_api="blas"), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what SciPy warns of becomes a status
            try:
                starts = np.arange(len(x0))
                if np.equal(*task.set.bounds()).all():
                    end_fixed(task, x0, starts)
                else:
                    self._run(task, x0, starts)
            except Stopped as reason:
                status, detail = reason.status, reason.detail
            except KeyboardInterrupt:
                status, detail = Status.INTERRUPTED, "Ctrl-C."
        for start, point in enumerate(x0):
            task.end(start, task.best_or(start, point), status, detail)
            if task.problem.differentiable:
                task.end_runaway(start, point)
        return [task.ended[start] for start in range(len(x0))]

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, kw_only=True)
class RowSolver(Solver):
    """A solver of one start at a time; several run side by side, in common model calls."""

    #: Whether starts may run side by side; False for solvers that hold a lock.
    side_by_side: ClassVar[bool] = True

    @abstractmethod
    def _run_row(self, task: Task, start: int, x0: Vector) -> None:
        """Minimise from one point (n,); ends it by ``task.end`` or is left by `Stopped`."""

    def most_at_once(self, problem: StandardForm) -> int:
        """Return how many starts memory allows to be live together."""
        return MOST_ROWS

    @override
    def _run(self, task: Task, x0: Rows, starts: Indices) -> None:
        if len(x0) > 1 and self.side_by_side:
            most = min(self.most_at_once(task.problem), len(x0))
            LockStep(self._run_row, task, min(most, task.padded_rows)).solve(x0, starts)
            return
        for index, (start, point) in enumerate(zip(starts.tolist(), x0, strict=True)):
            task.share(len(x0) - index)
            try:
                self._run_row(task, start, point)
            except Stopped as reason:
                if reason.ends_all:
                    raise
                task.end(start, task.best_or(start, point), reason.status, reason.detail)


def needs_gradients(name: str) -> str:
    """Say that a method cannot take a function without gradients."""
    return f"{name} needs gradients and this function gives none; use method='COBYQA'."


def end_fixed(task: Task, x: Rows, starts: Indices) -> None:
    """End the starts of a problem whose bounds leave one point: feasible or not, nothing is left.

    SciPy's methods return such a point without the fields that they document.
    """
    evaluation = task.evaluate(x, starts)
    task.iterate_rows(starts, x, evaluation)
    feasible = task.problem.feasible(x, evaluation.c)
    for row, start in enumerate(starts.tolist()):
        if not evaluation.finite[row]:
            task.end(
                start, x[row], Status.NON_FINITE, task.name_non_finite(x[row], evaluation, row)
            )
        elif feasible[row]:
            task.end(start, x[row], Status.CONVERGED)
        else:
            task.end(start, x[row], Status.INFEASIBLE, "The bounds fix every variable.")


def end_stuck(
    task: Task, x: Rows, evaluation: Evaluation, starts: Indices, *, of_c: bool = False
) -> np.ndarray:
    """End the starts that cannot be left: not finite there, or a gradient of zero.

    Parameters
    ----------
    task, x, evaluation, starts
        Where the starts are, and what the functions are there.
    of_c : bool, default False
        Whether a start with slopes of c alone can be left.

    Returns
    -------
    numpy.ndarray of bool, shape (B,)
        Rows that can go on.
    """
    flat = evaluation.finite & ~evaluation.gradient.any(axis=1)
    if of_c:
        flat &= ~evaluation.jacobian.any(axis=(1, 2))
    for row in np.flatnonzero(~evaluation.finite):
        detail = task.name_non_finite(x[row], evaluation, int(row))
        task.end(int(starts[row]), x[row], Status.NON_FINITE, detail)
    for row in np.flatnonzero(flat):
        task.end(int(starts[row]), x[row], Status.ZERO_GRADIENT)
    return evaluation.finite & ~flat


def reach(problem: StandardForm, x: Rows, g: Rows, live: np.ndarray) -> Vector:
    """Return how far the set goes from points of it (B, n) along the steepest descent, (B,).

    The set's diameter where a point is at the end already; max(1, |x|) where the set has none.
    """
    diameter = problem.set.diameter
    if not np.isfinite(diameter):
        size: Vector = np.maximum(1.0, np.linalg.norm(x, axis=1))
        return size
    norm = np.maximum(np.linalg.norm(g, axis=1), TINY)
    direction = np.where(live[:, np.newaxis], g / norm[:, np.newaxis], 0.0)
    end = problem.set.project(x - BEYOND * diameter * direction)
    length: Vector = np.linalg.norm(end - x, axis=1)
    return np.where(length > 0, length, diameter)


@cache
def _blas() -> ThreadpoolController:
    """Find the BLAS libraries once: several threads slow small problems (7 to 14 times)."""
    return ThreadpoolController()
