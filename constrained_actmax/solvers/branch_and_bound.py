"""Branch and bound over the input, as a method."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from typing_extensions import override

from constrained_actmax.certificates.allowed import Allowed
from constrained_actmax.certificates.branching import (
    MOST_BOXES,
    MOST_INPUTS,
    POINTS,
    Search,
    certificate_of,
    structure_of,
)
from constrained_actmax.certificates.linear_bounds import LinearBounds, work_of
from constrained_actmax.certificates.relaxations import refusal_of
from constrained_actmax.errors import RefusedError
from constrained_actmax.layout import Indices, Rows, Vector
from constrained_actmax.oracles.oracle import Oracle
from constrained_actmax.problem import Problem
from constrained_actmax.result import Status
from constrained_actmax.solvers.base import Solver, needs_gradients
from constrained_actmax.standard_form import StandardForm
from constrained_actmax.tasks.scaled import Scaled
from constrained_actmax.tasks.task import Stopped, Task

#: Boxes of branch and bound: of 12 surrogates with 2 to 8 inputs and 64 to 192 ReLU units, of
#: seeds that docs/benchmarks/certificates does not report, 9 are proven, with 0.2 s of one core
#: more in the median and 1.1 s at most; twice as many boxes prove no other.
PROOF_BOXES = 1000
#: The same under bounds on outputs, where a box takes a linear program: 5 ms instead of 0.5.
CONSTRAINED_BOXES = 300
#: Multiplications of all boxes, about a second of one core: a network of 6 x 50 units has all
#: boxes, one of 2 x 256 has 143, of 3 x 512 six; one that would have none is left alone.
MOST_WORK = 5e9
#: Share of what other methods leave of a budget that a proof may take.
PROOF_SHARE = 0.2
#: Evaluations that a first box takes: the best point, two of the box, two to return.
FEWEST_LEFT = 5


def affordable_boxes(problem: Problem) -> int:
    """Return how many boxes a proof takes at most: one where more inputs are free than pay."""
    most = PROOF_BOXES if problem.set.free_inputs <= MOST_INPUTS else 1
    return min(most, int(MOST_WORK / max(1.0, work_of(structure_of(problem)))))


@dataclass(frozen=True, kw_only=True)
class BranchAndBound(Solver):
    r"""Branch and bound over the input: the global optimum of few inputs, with its proof.

    Best-first over boxes of inputs. Each is bounded by linear functions of the input above the
    network [1]_; the best input known, of those that bounds name, of centres and of local ascents,
    is compared with the largest bound that is left. All starts are points of one search. It ends
    within the gap (``Status.PROVEN``), or with the bound so far; the result carries the
    `Certificate`.

    Parameters
    ----------
    rtol, atol : float
        It ends at a gap of ``atol + rtol * range``, with the range of the objective over the set.
    max_boxes : int, default 20000
        Boxes that are bounded at most.

    References
    ----------
    .. [1] Zhang, Weng, Chen, Hsieh and Daniel (2018), Efficient neural network robustness
       certification with general activation functions, NeurIPS.
    """

    name: ClassVar[str] = "branch-and-bound"

    rtol: float = 1e-4
    atol: float = 0.0
    max_boxes: int = 20_000

    @override
    def refusal(self, problem: StandardForm) -> str | None:
        if not isinstance(problem, Problem | Scaled):
            return f"{self.name} needs the problem itself; use method='auto'."
        if not problem.differentiable:
            return needs_gradients(self.name)
        if not (problem.set.convex or problem.set.discrete):
            return f"{self.name} needs a convex set or discrete ones; use method='pgd'."
        oracle = problem.asked.user_oracle
        if not isinstance(oracle, Oracle):
            return f"{self.name} needs a Keras or TensorFlow model; use method='auto'."
        reason = oracle.structure_refusal()
        if reason is not None:
            return f"{self.name} cannot bound this model: {reason}"
        for step in oracle.structure().nonlinearities:
            reason = refusal_of(step)
            if reason is not None:
                return f"{self.name}: {reason}"
        try:
            allowed = Allowed.of(problem.asked)
            if problem.set.free_inputs <= MOST_INPUTS:  # where `auto` counts on it
                structure = structure_of(problem.asked)
                LinearBounds(structure, structure.outputs["functions"], allowed)
        except RefusedError as error:
            return f"{self.name}: {error}"
        return None

    @override
    def _run(self, task: Task, x0: Rows, starts: Indices) -> None:
        task.evaluate(x0, starts)
        search = self.branch(task, x0, starts)
        certificate = certificate_of(search)
        status = Status.PROVEN if search.done else Status.BUDGET
        if certificate.infeasible:
            status = Status.INFEASIBLE
        detail = "" if status is Status.PROVEN else str(certificate)
        for start, point in zip(starts.tolist(), task.best_points(x0, starts), strict=True):
            task.end(start, point, status, detail)

    def affordable(self, problem: StandardForm) -> BranchAndBound | None:
        """Return this with as many boxes as `auto` affords; None where it is none, or refuses."""
        if problem.set.free_inputs > MOST_INPUTS or self.refusal(problem) is not None:
            return None
        assert isinstance(problem, Problem | Scaled)  # refusal() asked
        most = min(self.max_boxes, CONSTRAINED_BOXES) if problem.constraints else self.max_boxes
        boxes = min(most, affordable_boxes(problem.asked))
        return replace(self, max_boxes=boxes) if boxes else None

    def prove(self, task: Task, starts: Indices) -> int | None:
        """Prove the best start's point optimal; return this start if another is better, unproven.

        Otherwise it ends as before, and the run has the bound.
        """
        known = {start: task.best(start) for start in starts.tolist()}
        start, point = min(known.items(), key=lambda item: np.inf if item[1] is None else item[1].f)
        if point is None or (task.remaining is not None and task.remaining < FEWEST_LEFT):
            return None
        before = task.ended.pop(start)
        search = self.branch(task, point.x[np.newaxis], np.array([start]), draws=False)
        best = task.best(start) or point
        if search.done or best.f < point.f:
            task.end(start, best.x, Status.PROVEN if search.done else Status.STALLED)
            return None if search.done else start
        task.ended[start] = before
        return None

    def prove_with_share(self, task: Task, starts: Indices) -> int | None:
        """Prove as `prove` does, with a fifth of what is left of a budget; not without one."""
        if task.remaining is None and task.seconds_left is None:
            return None
        prove = self.affordable(task.problem)
        if prove is None:
            return None
        if task.remaining is not None:
            boxes = int(PROOF_SHARE * task.remaining / POINTS)
            prove = replace(prove, max_boxes=max(1, min(prove.max_boxes, boxes)))
        with task.keeping(1.0 - PROOF_SHARE):
            return prove.prove(task, starts)

    def branch(self, task: Task, x0: Rows, starts: Indices, *, draws: bool = True) -> Search:
        """Return the search from some points, the run's proof; it may give better ones.

        Parameters
        ----------
        task : Task
            Limits, and where better points are evaluated, for all these starts.
        x0 : numpy.ndarray, shape (B, n)
            Points of C.
        starts : numpy.ndarray of int, shape (B,)
            Their starts.
        draws : bool
            Whether to begin with random points and ascents; not where a search gave the points.
        """
        own = task.problem
        assert isinstance(own, Problem | Scaled)  # refusal() asked
        left = None if task.remaining is None else max(0, task.remaining - 2 * len(starts))
        search = Search(
            own.asked,
            rtol=self.rtol,
            atol=self.atol,
            seconds=task.seconds_left,
            evaluations=left,
        )
        task.keep(search)
        reported = -np.inf

        def tell() -> None:
            """Evaluate the best point in the run, for all starts."""
            nonlocal reported
            best = search.state
            if best.x is None or best.best_value <= reported:
                return
            reported = best.best_value
            y: Vector = own.point(best.x)
            evaluation = task.evaluate(np.repeat(y[np.newaxis], len(starts), axis=0), starts)
            for index, start in enumerate(starts.tolist()):
                task.iterate(start, y, float(evaluation.f[index]), evaluation.violation_of(index))

        try:
            if draws:
                search.begin(own.original(x0))
            else:
                search.try_points(own.original(x0))
                reported = search.state.best_value
            size = 1
            while not search.done:
                if search.expired() or search.spent or search.state.nodes >= self.max_boxes:
                    break
                search.step(min(size, self.max_boxes - search.state.nodes))
                size = min(MOST_BOXES, 2 * size)
                if task.remaining is None:
                    tell()
            if task.remaining is not None:
                task.charge(search.state.evaluations)
            tell()
        except Stopped as stopped:  # the time of a proof may be over, and that of a search not
            if stopped.status is not Status.BUDGET:
                raise
        return search
