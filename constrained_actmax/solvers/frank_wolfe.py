"""Frank-Wolfe with away and pairwise steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from typing_extensions import override

from constrained_actmax.layout import Vector
from constrained_actmax.result import Status
from constrained_actmax.solvers.spg import needs_only_a_set
from constrained_actmax.solvers.stepwise import Patience, Sample, Steps, StepwiseSolver, rounding
from constrained_actmax.standard_form import StandardForm
from constrained_actmax.tasks.task import Task

#: Growth and decay of the Lipschitz estimate: Pedregosa et al. (2020), Algorithm 2.
GROWTH, DECAY = 2.0, 0.9
#: A vertex whose weight is below this is dropped.
SMALLEST_WEIGHT = 1e-14
MAX_BACKTRACKS = 60


class ActiveSet:
    """A point as a convex combination of vertices."""

    def __init__(self, x: Vector) -> None:
        self.vertices = [x.copy()]
        self.weights = [1.0]

    def place(self, vertex: Vector) -> int:
        """Return where a vertex stands, adding it with weight zero where it is new."""
        for index, known in enumerate(self.vertices):
            if np.array_equal(known, vertex):
                return index
        self.vertices.append(vertex.copy())
        self.weights.append(0.0)
        return len(self.vertices) - 1

    def worst(self, g: Vector) -> int:
        """Return the active vertex with the largest g'v."""
        products = np.array([float(g @ vertex) for vertex in self.vertices])
        products[np.array(self.weights) <= 0.0] = -np.inf
        return int(np.argmax(products))

    def point(self) -> Vector:
        """Drop the vertices without weight and return the combination."""
        kept = [index for index, weight in enumerate(self.weights) if weight > SMALLEST_WEIGHT]
        self.vertices = [self.vertices[index] for index in kept]
        total = sum(self.weights[index] for index in kept)
        self.weights = [self.weights[index] / total for index in kept]
        combined: Vector = np.asarray(self.weights) @ np.stack(self.vertices)
        return combined


@dataclass(frozen=True, kw_only=True)
class FrankWolfe(StepwiseSolver):
    r"""Frank-Wolfe: linear maximisers in the place of projections, sparse points [1]_.

    .. math:: v = \arg\min_{p \in C} g^\top p, \qquad x \leftarrow x + \gamma d, \qquad
              \mathrm{gap} = g^\top (x - v)

    Pairwise steps move weight from the worst active vertex to the new one (:math:`d = v - a`),
    away steps choose the better of :math:`v - x` and :math:`x - a`; both need a polytope and fall
    back to plain steps elsewhere. The step length adapts to a local Lipschitz estimate [2]_. The
    gap is zero only at stationary points; for a convex f (a concave objective that is maximised)
    it bounds the distance to the optimum.

    Parameters
    ----------
    steps : {"pairwise", "away", "plain"}
        Kind of step on polytopes.
    max_iterations : int, default 1000
        Accepted steps of each start.
    gap_tolerance : float, optional
        Stop when the gap is below, in units of the objective; by default the call's `tol` times
        what the objective changes over C.

    References
    ----------
    .. [1] Lacoste-Julien and Jaggi (2015), On the global linear convergence of Frank-Wolfe
       optimization variants, NIPS.
    .. [2] Pedregosa, Negiar, Askari and Jaggi (2020), Linearly convergent Frank-Wolfe with
       backtracking line-search, AISTATS.
    """

    name: ClassVar[str] = "frank-wolfe"
    measures_gap: ClassVar[bool] = True

    steps: Literal["pairwise", "away", "plain"] = "pairwise"
    max_iterations: int = 1000
    gap_tolerance: float | None = None

    @override
    def refusal(self, problem: StandardForm) -> str | None:
        if not problem.set.bounded:
            return "frank-wolfe needs a bounded set; add Box(lower, upper) or use method='spg'."
        if not problem.set.convex:
            return "frank-wolfe needs a convex set; use method='pgd'."
        return needs_only_a_set(self.name, problem)

    @override
    def _steps(self, task: Task, start: int, x: Vector, first: Sample) -> Steps:
        feasible = task.problem.set
        epsilon = task.epsilon
        problem = task.problem
        tolerance = (
            task.tolerance * problem.range
            if self.gap_tolerance is None
            else self.gap_tolerance / problem.objective_unit
        )
        variables = feasible.in_scipy_variables()
        polytope = variables is not None and not variables.form.smooth
        kind = self.steps if polytope else "plain"
        active = ActiveSet(x)
        f, g = first
        lipschitz = 0.0
        patience = Patience(f, epsilon)
        for _ in range(self.max_iterations):
            vertex = feasible.linear_maximizer(-g)
            gap = float(g @ (x - vertex))
            if gap <= tolerance:
                task.end(start, x, Status.CONVERGED, f"Frank-Wolfe gap {gap:.2g}.")
                return
            d, longest, target, source = vertex - x, 1.0, -1, -1
            if kind != "plain":
                target, source = active.place(vertex), active.worst(g)
                away = x - active.vertices[source]
                if kind == "pairwise":
                    d = vertex - active.vertices[source]
                    longest = active.weights[source]
                elif float(g @ away) < -gap:
                    d, target = away, -1
                    weight = active.weights[source]
                    longest = weight / max(1.0 - weight, SMALLEST_WEIGHT)
            slope, square = float(g @ d), float(d @ d)
            if slope >= 0 or square == 0:
                task.end(start, x, Status.STALLED, f"Frank-Wolfe gap {gap:.2g}.")
                return
            lipschitz = DECAY * lipschitz if lipschitz > 0 else -slope / (longest * square)
            noise = rounding(epsilon, f)
            for _ in range(MAX_BACKTRACKS):
                step = min(longest, -slope / (lipschitz * square))
                trial = self._moved(active, x, d, step, kind, target, source, longest)
                f_new, g_new = yield trial.point
                if f_new <= f + step * slope + 0.5 * step**2 * lipschitz * square + noise:
                    break
                lipschitz *= GROWTH
            else:
                task.end(start, x, Status.STALLED, f"Frank-Wolfe gap {gap:.2g}.")
                return
            x, f, g, active = trial.point, f_new, g_new, trial.active
            if not task.iterate(start, x, f):
                return
            if patience.over(f):
                task.end(start, x, Status.STALLED, f"Frank-Wolfe gap {gap:.2g}.")
                return
        task.end(start, x, Status.BUDGET, f"max_iterations reached, Frank-Wolfe gap {gap:.2g}.")

    @staticmethod
    def _moved(
        active: ActiveSet,
        x: Vector,
        d: Vector,
        step: float,
        kind: str,
        target: int,
        source: int,
        longest: float,
    ) -> Trial:
        """Return the point and the weights after a step of length `step`."""
        if kind == "plain":
            return Trial(x + step * d, active)
        moved = ActiveSet.__new__(ActiveSet)
        moved.vertices, moved.weights = list(active.vertices), list(active.weights)
        whole = step >= longest
        if kind == "pairwise":
            moved.weights[target] += step
            moved.weights[source] = 0.0 if whole else moved.weights[source] - step
        elif target < 0:
            moved.weights = [(1.0 + step) * weight for weight in moved.weights]
            moved.weights[source] = 0.0 if whole else moved.weights[source] - step
        else:
            moved.weights = [(1.0 - step) * weight for weight in moved.weights]
            moved.weights[target] += step
        return Trial(moved.point(), moved)


@dataclass(frozen=True)
class Trial:
    """A trial point with the combination that makes it."""

    point: Vector
    active: ActiveSet
