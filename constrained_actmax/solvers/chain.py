"""Methods one after the other: the next goes on where one ends without success."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar, Self

import numpy as np
from typing_extensions import override

from constrained_actmax.errors import SpecificationError
from constrained_actmax.layout import Indices, Rows, Vector
from constrained_actmax.optimality import optimal
from constrained_actmax.result import Status
from constrained_actmax.solvers.augmented_lagrangian import AugmentedLagrangian
from constrained_actmax.solvers.base import Solver
from constrained_actmax.solvers.branch_and_bound import BranchAndBound
from constrained_actmax.solvers.scipy_options import own_options
from constrained_actmax.solvers.slsqp import SLSQP
from constrained_actmax.solvers.trust_constr import TrustConstr
from constrained_actmax.standard_form import StandardForm
from constrained_actmax.tasks.recording import FAR
from constrained_actmax.tasks.task import Task

#: How a start ends that another method could not help.
FINAL = (Status.INTERRUPTED, Status.ZERO_GRADIENT, Status.PROVEN)


def _default() -> tuple[Solver, ...]:
    return SLSQP(), TrustConstr(), AugmentedLagrangian()


@dataclass(frozen=True, kw_only=True)
class Chain(Solver):
    """A portfolio in sequence: each method goes on with the starts that the one before left.

    The first method runs from every start. Where it ends without success by the library's own
    measures of feasibility and stationarity, the next one goes on from the best feasible point so
    far, or from the starting point where there is none, with what is left of the budget. A start
    that had converged before gets the first method alone. Each change of the method is a note of
    the result.

    Parameters
    ----------
    methods : tuple of Solver
        In their order; those that refuse the problem are passed over.
    prove : BranchAndBound, optional
        With it and a budget, branch and bound takes up to a fifth of what the methods leave, where
        at most ten inputs are free: it proves the best point optimal, or finds a better one, from
        which they go on, or gives a bound.
    """

    name: ClassVar[str] = "chain"
    stays_inside: ClassVar[bool] = False
    iterates_in_set: ClassVar[bool] = False

    methods: tuple[Solver, ...] = field(default_factory=_default)
    prove: BranchAndBound | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        kinds = isinstance(self.methods, tuple) and all(
            isinstance(method, Solver) and not isinstance(method, Chain) for method in self.methods
        )
        if not kinds or not self.methods:
            raise SpecificationError(
                f"chain: methods must be a tuple of solvers such as SLSQP(), got {self.methods!r}."
            )

    @override
    def refusal(self, problem: StandardForm) -> str | None:
        reasons = [method.refusal(problem) for method in self.methods]
        return None if None in reasons else reasons[0]

    @override
    def with_options(self, options: Mapping[str, Any]) -> Self:
        """Return the same chain with some settings changed, of each method that has them."""
        own = {name: value for name, value in options.items() if name in ("methods", "prove")}
        others = {name: value for name, value in options.items() if name not in own}
        chain = super().with_options(own)
        known = {field_.name for method in chain.methods for field_ in fields(method)}
        others = own_options(others, known, self.name)
        methods = []
        for method in chain.methods:
            names = {field_.name for field_ in fields(method)}
            mine = {name: value for name, value in others.items() if name in names}
            methods.append(method.with_options(mine))
        return replace(chain, methods=tuple(methods))

    @override
    def _run(self, task: Task, x0: Rows, starts: Indices) -> None:
        self._run_methods(task, x0, starts)
        better = None if self.prove is None else self.prove.prove_with_share(task, starts)
        if better is not None:
            again = starts == better
            self._run_methods(task, task.best_points(x0[again], starts[again]), starts[again])

    def _run_methods(self, task: Task, x0: Rows, starts: Indices) -> None:
        settled = {
            start
            for start in starts.tolist()
            if start in task.ended and task.ended[start].status is Status.CONVERGED
        }
        methods = [method for method in self.methods if method.refusal(task.problem) is None]
        before = ""
        for method in methods:
            if before:
                note = f"{before} ended without success; {method.label} went on."
                if note not in task.notes:
                    task.notes.append(note)
                for start in starts.tolist():
                    task.ended.pop(start, None)
                task.carry(len(starts))
            method._run(task, x0, starts)
            going = np.array(
                [
                    start not in settled and self._goes_on(task, start, x)
                    for start, x in zip(starts.tolist(), x0, strict=True)
                ],
                dtype=bool,
            )
            x0, starts = task.best_points(x0[going], starts[going]), starts[going]
            if not starts.size or task.remaining == 0 or task.out_of_time:
                return
            before = method.label

    @staticmethod
    def _goes_on(task: Task, start: int, x0: Vector) -> bool:
        """Whether another method may help: not where the library's measures call it optimal."""
        ended, problem = task.ended[start], task.problem
        if ended.status in FINAL or task.remaining == 0 or task.out_of_time:
            return False
        scale = max(1.0, float(np.max(np.abs(x0), initial=0.0)))
        far = float(np.max(np.abs(ended.x), initial=0.0)) > FAR * scale
        if ended.status is Status.UNBOUNDED and far:
            return False
        evaluation = task.revisit(ended.x, start)
        return not optimal(problem, ended.x, evaluation, task.tolerance)
