"""The L1 distance in split variables, where it is linear: x = c + u - v with u, v >= 0."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from typing_extensions import override

from constrained_actmax.evaluation import Evaluation
from constrained_actmax.kernels.scipy_form import signed_parts
from constrained_actmax.layout import Indices, Layout, Rows, Vector
from constrained_actmax.result import Status
from constrained_actmax.sets.box import Box
from constrained_actmax.sets.intersection import Intersection
from constrained_actmax.standard_form import DerivedForm, StandardForm
from constrained_actmax.tasks.projector import Projector
from constrained_actmax.tasks.task import Incumbent, Task, Wrapper


class SplitForm(DerivedForm):
    r"""Minimise :math:`\sum_i a_i (u_i + v_i)` with the bounds of a problem at x = c + u - v.

    The epigraph form of :math:`\sum_i a_i |x_i - c_i|`, nonsmooth along every axis, as linear
    programming writes it.

    Parameters
    ----------
    inner : StandardForm
        Minimises the L1 distance from c under bounds and limits on functions.
    center : numpy.ndarray, shape (n,)
        c, in the problem's variables.
    weights : numpy.ndarray, shape (n,), or float
        a > 0.
    smooth : bool or None
        Whether the bounded functions are smooth.
    """

    def __init__(
        self, inner: StandardForm, center: Vector, weights: Vector | float, smooth: bool | None
    ) -> None:
        super().__init__(inner)
        self.center = center
        self.weights = np.tile(np.broadcast_to(weights, center.shape), 2)
        self._smooth = smooth
        low, high = (bound - center for bound in inner.set.bounding_box())
        whole = Intersection([Box(signed_parts(low, high), signed_parts(high, low))])
        self.set = whole.bind(Layout.of_array((self.size,)), None)
        self.stepped = np.tile(inner.stepped, 2)

    @property
    @override
    def size(self) -> int:
        return 2 * self.center.size

    @property
    @override
    def smooth(self) -> bool | None:
        return self._smooth

    @override
    def original(self, x: Rows) -> Rows:
        return self.inner.original(self.x(x))

    def x(self, y: Rows) -> Rows:
        """Return c + u - v for rows or a point y."""
        n = self.center.size
        moved: Rows = self.center + y[..., :n] - y[..., n:]
        return moved

    def y(self, x: Rows) -> Rows:
        """Return the (u, v) of least sum for rows or a point x."""
        d = x - self.center
        return signed_parts(d, d)

    def lifted(self, evaluation: Evaluation, y: Rows) -> Evaluation:
        """Return an evaluation made at x as one at y."""
        return Evaluation(
            (y * self.weights).sum(axis=1),
            np.broadcast_to(self.weights, y.shape),
            evaluation.c,
            self.both(evaluation.jacobian),
            evaluation.finite,
            evaluation.violation,
            evaluation.written,
        )

    @staticmethod
    def both(slopes: np.ndarray) -> np.ndarray:
        """Return derivatives by y from derivatives by x, along the last axis."""
        return np.concatenate([slopes, -slopes], axis=-1)


class Split(Wrapper):
    """A task in split variables.

    Parameters
    ----------
    inner : Task
        In x.
    problem : SplitForm
        Its form in (u, v).
    """

    problem: SplitForm

    def __init__(self, inner: Task, problem: SplitForm) -> None:
        super().__init__(inner, problem)

    @override
    def share(self, starts_left: int) -> int | None:
        return self.inner.share(starts_left)

    @override
    def best(self, start: int) -> Incumbent | None:
        best = self.inner.best(start)
        return None if best is None else Incumbent(self.problem.y(best.x), best.f)

    @override
    def evaluate(self, x: Rows, starts: Sequence[int] | Indices) -> Evaluation:
        return self.problem.lifted(self.inner.evaluate(self.problem.x(x), starts), x)

    @override
    def hessian_product(self, x: Vector, v: Vector, weights: Vector) -> Vector:
        n = self.problem.center.size
        limits = np.concatenate([[0.0], weights[1:]])  # the sum of u and v has no Hessian
        product = self.inner.hessian_product(self.problem.x(x), v[:n] - v[n:], limits)
        return self.problem.both(product)

    @override
    def projector(self, *, accurate: bool = True) -> Projector:
        return Projector(self.set)

    @override
    def iterate(self, start: int, x: Vector, f: float, violation: float | None = None) -> bool:
        return self.inner.iterate(start, self.problem.x(x), f, violation)

    @override
    def end(self, start: int, x: Vector, status: Status, detail: str = "") -> None:
        self.inner.end(start, self.problem.x(x), status, detail)


def in_split_variables(task: Task, x0: Rows) -> tuple[Task, Rows]:
    """Return a task that asks for the nearest point in L1 in split variables, with its starts.

    Any other task is returned as it is.
    """
    form = task.problem.l1_split
    return (task, x0) if form is None else (Split(task, form), form.y(x0))
