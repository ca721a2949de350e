"""What the change of one input to another costs, and how far the nearest row of a table is."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from typing_extensions import override

from constrained_actmax.errors import SpecificationError
from constrained_actmax.layout import Rows, Vector, real
from constrained_actmax.objectives.base import Objective, Score
from constrained_actmax.objectives.bounded import ONLY_BELOW
from constrained_actmax.objectives.signature import Signature, Tensor, Tensors
from constrained_actmax.objectives.squared_distance import part, span
from constrained_actmax.quoting import Quoted, quoted

#: Rows that distances are measured to at once.
ROWS_AT_ONCE = 1024


@dataclass(frozen=True, repr=False)
class Metric(Quoted):
    r"""A weighted L1 distance.

    .. math:: \sum_i w_i |x_i - y_i| + \sum_g w_g \Bigl|\sum_{i \in g} (x_i - y_i)\Bigr|

    The second sum is that of the entries that an encoder dropped, 1 less the others of their group:
    with it a change of category costs the same whichever two they are.

    Parameters
    ----------
    weights : numpy.ndarray, shape (n,)
        w >= 0, what one unit of change costs.
    dropped : tuple of (tuple of int, float)
        The entries g and the weight of each dropped one.
    """

    weights: Vector
    dropped: tuple[tuple[tuple[int, ...], float], ...] = ()

    def coordinates(self, x: Rows) -> Rows:
        """Return points (B, n) as ones (B, m) whose plain L1 distance is this one."""
        rest = [weight * np.sum(x[:, list(g)], axis=1, keepdims=True) for g, weight in self.dropped]
        return np.concatenate([x * self.weights, *rest], axis=1)

    def tensor_coordinates(self, x: Tensor, weights: Tensor) -> Tensor:
        """Return the same of a tensor, its weights (n,) given as one."""
        import tensorflow as tf

        rest = [
            weight * tf.reduce_sum(tf.gather(x, list(g), axis=1), axis=1, keepdims=True)
            for g, weight in self.dropped
        ]
        return tf.concat([x * weights, *rest], axis=1) if rest else x * weights

    def distances(self, x: Vector, rows: Rows) -> Vector:
        """Return the distance of one point (n,) to each of some rows (N, n)."""
        at = self.coordinates(x[np.newaxis])
        return np.concatenate(
            [
                np.sum(np.abs(self.coordinates(rows[first : first + ROWS_AT_ONCE]) - at), axis=1)
                for first in range(0, len(rows), ROWS_AT_ONCE)
            ]
        )


class OfInput(Objective):
    """A function of one whole input, or of all, bounded below by 0."""

    on: str | None

    bounded = ONLY_BELOW

    def _entries(self, signature: Signature, size: int) -> tuple[tuple[int, int], Any]:
        """Return where its entries lie and what takes them out of a batch's tensors."""
        who = type(self).__name__
        region = signature.layout.region(self.on, who=who, everywhere=True)
        if region.dimension != size:
            raise SpecificationError(
                f"{self}: it is for {size} entries, the input has {region.dimension}."
            )
        return span(region), lambda tensors: part(tensors, region)


@dataclass(frozen=True, eq=False, repr=False)
class Change(OfInput):
    """The distance to one point by a metric: what a change costs.

    Parameters
    ----------
    metric : Metric
        What a unit of change of each entry costs.
    center : numpy.ndarray, shape (n,)
        What changes are counted from.
    on : str, optional
        The input.
    """

    metric: Metric
    center: Vector
    on: str | None = None

    @override
    def _bind(self, signature: Signature) -> Score:
        where, entries = self._entries(signature, self.center.size)
        metric = self.metric

        def function(tensors: Tensors, parameters: tuple[Tensor, ...]) -> Tensor:
            import tensorflow as tf

            center, weights = parameters
            moved = metric.tensor_coordinates(entries(tensors) - center, weights)
            return tf.reduce_sum(tf.abs(moved), axis=1)

        parameters = (self.center[np.newaxis], metric.weights[np.newaxis])
        structure = ("Change", where, metric.dropped)
        return Score(structure, function, parameters, bounded=ONLY_BELOW)

    @override
    def describe(self) -> str:
        on = "" if self.on is None else f", on={self.on!r}"
        return f"Change(center{on})"


@dataclass(frozen=True, eq=False, repr=False)
class Differing(OfInput):
    r"""How many groups of entries differ from a point, :math:`\sum_g \min(1, d_g(x, c))`.

    Parameters
    ----------
    metric : Metric
        With the weights at which d_g is 1 where a group counts as different.
    groups : numpy.ndarray of int, shape (m,)
        The group of each of the metric's coordinates, below 0 for none.
    center : numpy.ndarray, shape (n,)
        c.
    on : str, optional
        The input.
    """

    metric: Metric
    groups: np.ndarray
    center: Vector
    on: str | None = None

    @override
    def _bind(self, signature: Signature) -> Score:
        where, entries = self._entries(signature, self.center.size)
        metric = self.metric
        member = np.equal.outer(self.groups, np.unique(self.groups[self.groups >= 0]))

        def function(tensors: Tensors, parameters: tuple[Tensor, ...]) -> Tensor:
            import tensorflow as tf

            center, weights = parameters
            moved = metric.tensor_coordinates(entries(tensors) - center, weights)
            sums = tf.matmul(tf.abs(moved), tf.constant(member.astype(np.float64)))
            return tf.reduce_sum(tf.minimum(sums, tf.ones_like(sums)), axis=1)

        parameters = (self.center[np.newaxis], metric.weights[np.newaxis])
        structure = ("Differing", where, metric.dropped, member.tobytes(), member.shape)
        return Score(structure, function, parameters, bounded=ONLY_BELOW)

    @override
    def describe(self) -> str:
        return "features that differ from an earlier answer"


@dataclass(frozen=True, eq=False, repr=False)
class NearestRow(OfInput):
    r"""The distance to the nearest of some rows, :math:`\min_r d(x, r)`.

    Parameters
    ----------
    data : numpy.ndarray, shape (N, n)
        The rows.
    metric : Metric
        d.
    on : str, optional
        The input.

    Notes
    -----
    Not convex. Its gradient is that of the distance to the nearest row, of two the first; a call
    costs O(N n) for each point.
    """

    data: Rows
    metric: Metric
    on: str | None = None

    @override
    def _bind(self, signature: Signature) -> Score:
        where, entries = self._entries(signature, self.data.shape[1])
        metric, rows = self.metric, self.metric.coordinates(self.data)

        def function(tensors: Tensors, parameters: tuple[Tensor, ...]) -> Tensor:
            import tensorflow as tf

            targets = tf.constant(rows)
            z = metric.tensor_coordinates(entries(tensors), tf.constant(metric.weights))
            frozen, far = tf.stop_gradient(z), 0.0
            for column in range(rows.shape[1]):  # one at a time: (B, N) numbers, not (B, N, n)
                far += tf.abs(frozen[:, column, tf.newaxis] - targets[:, column])
            nearest = tf.gather(targets, tf.argmin(far, axis=1))
            return tf.reduce_sum(tf.abs(z - nearest), axis=1)

        constants = rows.tobytes() + metric.weights.tobytes() + repr(metric.dropped).encode()
        digest = hashlib.sha256(constants).digest()
        return Score(("NearestRow", where, digest), function, bounded=ONLY_BELOW)

    @override
    def describe(self) -> str:
        on = "" if self.on is None else f", on={self.on!r}"
        return f"NearestRow({len(self.data)} rows{on})"


def checked_rows(data: Any, who: str) -> Rows:
    """Return rows (N, n) of finite numbers.

    Raises
    ------
    SpecificationError
        If there is none, or they are something else.
    """
    rows = real(data, f"{who}: data")
    if rows.ndim != 2 or not rows.size or not np.isfinite(rows).all():
        raise SpecificationError(
            f"{who}: data must be rows of finite numbers, one flat input each, got {quoted(data)}."
        )
    return rows
