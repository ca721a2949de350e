"""The L1 distance in split variables, where it is linear: x = c + u - v with u, v >= 0."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from typing_extensions import override

from constrained_actmax.layout import Indices, Layout, Rows, Vector
from constrained_actmax.oracles.base import BaseOracle
from constrained_actmax.problem import Evaluation, Problem
from constrained_actmax.result import Budget, Status, Termination
from constrained_actmax.run import Run
from constrained_actmax.sets.box import Box
from constrained_actmax.sets.intersection import Intersection

if TYPE_CHECKING:
    from constrained_actmax.scales import Scales


class SplitOracle(BaseOracle):
    """The problem's functions of y = (u, v), the sum of y first.

    Parameters
    ----------
    split : Split
        Whose.
    smooth : bool or None
        Whether the limited functions are smooth: the distance itself is now linear.
    """

    def __init__(self, split: Split, smooth: bool | None) -> None:
        super().__init__()
        self._split = split
        inner = split.inner.oracle
        self.layout = split.layout
        self.functions = inner.functions
        self.epsilon = inner.epsilon
        self.smooth = smooth
        self.batches = inner.batches

    @override
    def _evaluate(self, x: Rows) -> tuple[Rows, np.ndarray]:
        found = self._split.lifted(self._split.inner.evaluate(self._split.x(x)), x)
        outputs = self.functions - 1
        return (
            np.column_stack([found.f, found.c[:, :outputs]]),
            np.concatenate([found.gradient[:, np.newaxis], found.jacobian[:, :outputs]], axis=1),
        )


class Split(Problem):
    r"""Minimise :math:`\sum_i a_i (u_i + v_i)` with the bounds of a problem at x = c + u - v.

    The epigraph form of :math:`\sum_i a_i |x_i - c_i|`, nonsmooth along every axis, as linear
    programming writes it.

    Parameters
    ----------
    problem : Problem
        Minimises the L1 distance from c under bounds and limits on functions.
    center : numpy.ndarray, shape (n,)
        c, in the problem's variables.
    weights : numpy.ndarray, shape (n,), or float
        a > 0.
    smooth : bool or None
        Whether the bounded functions are smooth.
    """

    def __init__(
        self, problem: Problem, center: Vector, weights: Vector | float, smooth: bool | None
    ) -> None:
        self.__dict__.update(problem.__dict__)  # the same bounds, names and tolerances
        self.split = None
        self.scaled = self
        self.inner, self.center = problem, center
        self.weights = np.tile(np.broadcast_to(weights, center.shape), 2)
        self.layout = Layout.of_array((2 * center.size,))
        lower, upper = problem.set.bounding_box()
        least = np.concatenate([np.maximum(lower - center, 0.0), np.maximum(center - upper, 0.0)])
        most = np.concatenate([np.maximum(upper - center, 0.0), np.maximum(center - lower, 0.0)])
        self.set = Intersection([Box(least, most)]).bind(self.layout, None)
        self.oracle = SplitOracle(self, smooth)

    def x(self, y: Rows) -> Rows:
        """Return c + u - v for rows or a point y."""
        n = self.center.size
        moved: Rows = self.center + y[..., :n] - y[..., n:]
        return moved

    def y(self, x: Rows) -> Rows:
        """Return the (u, v) of least sum for rows or a point x."""
        d = x - self.center
        return np.concatenate([np.maximum(d, 0.0), np.maximum(-d, 0.0)], axis=-1)

    @cached_property
    @override
    def scales(self) -> Scales:
        return self.inner.scales

    @override
    def value(self, f: float) -> float:
        return self.inner.value(f)

    @override
    def functional_violation(self, c: Rows) -> Vector:
        return self.inner.functional_violation(c)

    @override
    def functionally_feasible(self, c: Rows, written: Vector | None = None) -> np.ndarray:
        return self.inner.functionally_feasible(c, written)

    def lifted(self, found: Evaluation, y: Rows) -> Evaluation:
        """Return an evaluation made at x as one at y."""
        return Evaluation(
            (y * self.weights).sum(axis=1),
            np.broadcast_to(self.weights, y.shape),
            found.c,
            self.both(found.jacobian),
            found.finite,
            found.violation,
            found.written,
        )

    @staticmethod
    def both(slopes: np.ndarray) -> np.ndarray:
        """Return derivatives by y from derivatives by x, along the last axis."""
        return np.concatenate([slopes, -slopes], axis=-1)


class SplitRun:
    """A run as solvers see it that work in split variables.

    Parameters
    ----------
    run : Run
        In the user's variables.
    split : Split
        Its problem's.
    """

    def __init__(self, run: Run, split: Split) -> None:
        self._run = run
        self.problem = split
        self.notes = run.notes
        self.tolerance = run.tolerance
        self.padded_rows = run.padded_rows
        self.starts = run.starts
        self.budget: Budget = run.budget

    @property
    def remaining(self) -> int | None:
        """Evaluations left."""
        return self._run.remaining

    @property
    def rows(self) -> int:
        """Evaluations so far."""
        return self._run.rows

    @property
    def out_of_time(self) -> bool:
        """Whether the seconds of the budget are used up."""
        return self._run.out_of_time

    @property
    def iterations(self) -> np.ndarray:
        """Accepted steps of every start."""
        return self._run.iterations

    @property
    def ended(self) -> dict[int, Termination]:
        """Ends of the starts, in the user's variables."""
        return self._run.ended

    @property
    def best_f(self) -> Vector:
        """Value of the best feasible point of every start."""
        return self._run.best_f

    @property
    def best_x(self) -> list[Vector | None]:
        """Best feasible point of every start."""
        return [None if x is None else self.problem.y(x) for x in self._run.best_x]

    def share(self, starts_left: int) -> None:
        """Give the next start its share of the budget."""
        self._run.share(starts_left)

    def evaluate(self, y: Rows, starts: Sequence[int] | Indices) -> Evaluation:
        """Evaluate rows."""
        return self.problem.lifted(self._run.evaluate(self.problem.x(y), starts), y)

    def hessian_product(self, y: Vector, v: Vector, weights: Vector) -> Vector:
        """Return the product with the Hessian of the limits' weighted sum; the sum has none."""
        n = self.problem.center.size
        limits = np.concatenate([[0.0], weights[1:]])
        product = self._run.hessian_product(self.problem.x(y), v[:n] - v[n:], limits)
        return self.problem.both(product)

    def project(self, y: Rows, starts: Sequence[int] | Indices, purpose: str = "step") -> Rows:
        """Project rows on the bounds of y."""
        projected: Rows = self.problem.set.project(y)
        return projected

    def projector(self, start: int) -> Callable[..., Vector]:
        """Return the projection of one start's points."""
        return lambda y, purpose="step": self.problem.set.project(y)

    def iterate(self, start: int, y: Vector, f: float, violation: float | None = None) -> bool:
        """Record an iterate."""
        return self._run.iterate(start, self.problem.x(y), f, violation)

    def end(self, start: int, y: Vector, status: Status, detail: str = "") -> None:
        """Say how a start ended."""
        self._run.end(start, self.problem.x(y), status, detail)

    def name_non_finite(self, y: Vector, found: Evaluation, row: int) -> str:
        """Say what is not finite."""
        return self._run.name_non_finite(self.problem.x(y), found, row)
