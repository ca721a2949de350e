"""Answer 4 of the question: look through a data set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from constrained_actmax.baselines.base import Baseline, affordable, asked
from constrained_actmax.errors import SpecificationError
from constrained_actmax.layout import Layout, Rows, Vector, labels_of
from constrained_actmax.problem import Problem
from constrained_actmax.result import Status
from constrained_actmax.tasks.scaled import Scaled
from constrained_actmax.tasks.task import Task

#: Samples in one model call.
BATCH = 256


class Samples:
    """Inputs of a data set, one a row; printed by their number, never copied."""

    def __init__(self, array: npt.ArrayLike) -> None:
        self._table = array if labels_of(array) else None
        self.array = np.asarray(array, dtype=np.float64)
        if self.array.ndim < 2 or not len(self.array):
            raise SpecificationError(
                "dataset-search: samples needs one sample a row, (N, ...), "
                f"got shape {self.array.shape}."
            )

    def rows(self, layout: Layout) -> Rows:
        """Return them flat, (N, n); columns with labels in the order of the model's.

        Raises
        ------
        SpecificationError
            If a sample has another size, or a label does not fit.
        """
        if self._table is not None:
            return layout.rows(self._table, "dataset-search: samples")
        n = layout.size
        if self.array[0].size != n:
            raise SpecificationError(
                f"dataset-search: a sample has {self.array[0].size} entries, the input has {n}."
            )
        return self.array.reshape(len(self.array), n)

    def __deepcopy__(self, memo: Any) -> Samples:
        return self

    def __repr__(self) -> str:
        return f"{len(self.array)} samples of shape {self.array.shape[1:]}"


@dataclass(frozen=True, kw_only=True)
class DatasetSearch(Baseline):
    """The best sample of a data set, answer 4 of the question [1]_.

    The start is ignored. With a budget the first samples are looked at, as many as it allows; each
    is one row, without a backward pass.

    It finds nothing that is not in the data, and a data set seldom holds samples that satisfy a
    constraint on purpose made: then the choice decides what "best" means. It says nothing about
    how far from optimal the sample is.

    Parameters
    ----------
    samples : array_like, shape (N, ...)
        Inputs, in the user's units.
    choice : {"projected", "feasible", "sample"}
        "projected": every sample is projected on C first (a sample in C stays where it is), and
        the best of these is returned. "feasible": the best sample that satisfies all constraints;
        if there is none, as "projected". "sample": the best as it is, constraints or not.

    Raises
    ------
    SpecificationError
        If the samples do not have the input's size.

    References
    ----------
    .. [1] https://stackoverflow.com/questions/52678215
    """

    name: ClassVar[str] = "dataset-search"
    limits: ClassVar[str] = "finds only what is in the data; no measure of optimality"

    samples: Any = None
    choice: Literal["projected", "feasible", "sample"] = "projected"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.samples is not None and not isinstance(self.samples, Samples):
            object.__setattr__(self, "samples", Samples(self.samples))

    @override
    def _refused(self, problem: Problem) -> str | None:
        if self.samples is None:
            return (
                f"{self.name} needs a data set to look through; pass DatasetSearch(samples=array) "
                "as the method, or --data FILE.npy to the command."
            )
        if self.choice != "sample" and problem.constraints and self.choice == "projected":
            return (
                f"{self.name} cannot project on {problem.imposed[0].description}; "
                "use choice='feasible'."
            )
        return None

    @override
    def _search(self, run: Task, start: int, x0: Vector) -> tuple[Vector, Status, str]:
        problem = asked(run)
        samples = self.samples.rows(problem.layout)
        count = affordable(run, len(samples))
        best, best_key, looked = x0, (True, np.inf), 0
        for first in range(0, count, BATCH):
            if run.out_of_time:
                break
            x = samples[first : min(first + BATCH, count)]
            inside = problem.set.project(x) if self.choice != "sample" else x
            calls = problem.oracle.calls
            values = problem.oracle.values(inside)
            run.spent(len(x), problem.oracle.calls - calls)
            looked += len(x)
            f = values[:, 0]
            second = np.zeros(len(x), dtype=bool)
            if self.choice == "feasible":
                c = self._constraints(problem, inside, values)
                second = ~problem.feasible(inside, c) | (inside != x).any(axis=1)
            for row in np.lexsort((f, second))[:1]:
                key = (bool(second[row]), float(f[row]))
                if np.isfinite(f[row]) and key < best_key:
                    best, best_key = inside[row].copy(), key
        status = Status.BUDGET if looked < len(samples) else Status.STALLED
        return best, status, f"Looked at {looked} of {len(samples)} samples."

    @staticmethod
    def _constraints(problem: Problem | Scaled, x: Rows, values: Rows) -> Rows:
        if values.shape[1] - 1 == problem.constraints:
            return values[:, 1:]
        return problem.evaluate(x).c  # functions of the input, which are no model call
