"""The probability of a class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from typing_extensions import override

from constrained_actmax.errors import SpecificationError
from constrained_actmax.layout import Rows, Vector
from constrained_actmax.objectives.base import Objective
from constrained_actmax.objectives.bounded import BOTH, Bounded
from constrained_actmax.objectives.classification import ClassObjective
from constrained_actmax.objectives.log_odds import LogOdds
from constrained_actmax.objectives.log_probability import log_probability
from constrained_actmax.objectives.signature import Head, Link, Tensor


@dataclass(frozen=True, eq=False, repr=False)
class Probability(ClassObjective):
    r"""The probability of a class, :math:`p_k = e^{z_k} / \sum_j e^{z_j}`, or :math:`\sigma(z_k)`.

    Its gradient vanishes where the head is saturated, so a limit on it (``Probability(9) <= 0.1``)
    is imposed on the log-odds, which have the same feasible points; maximise `Logit` or
    `LogProbability` rather than this.

    Parameters
    ----------
    target : int, str or tuple
        Class k: a number, a label, or ``(y, x, k)`` for outputs with positions.
    head : str, optional
        Name of the output; needed where the model has several.
    reduce : {"mean"}, optional
        For outputs with positions: the mean over all of them.
    link : {"softmax", "sigmoid"}, optional
        Needed on a head that ends in plain numbers.

    Raises
    ------
    SpecificationError
        When bound to a head that ends in plain numbers without `link`.
    """

    @override
    def _formula(
        self, z: Tensor, target: Tensor, rest: tuple[Tensor, ...], link: Link | None, binary: bool
    ) -> Tensor:
        import tensorflow as tf

        return tf.exp(log_probability(z, target, link, binary))

    @override
    def _bounds(self, head: Head, link: Link | None, target: int) -> Bounded:
        return BOTH

    bounded = BOTH
    needs_link = True

    @override
    def imposed(self, lower: Any, upper: Any) -> tuple[Objective, Any, Any]:
        if self.reduce is not None or np.ndim(lower) or np.ndim(upper):
            return self, lower, upper
        low, high = float(lower), float(upper)
        if low >= 1.0 or high <= 0.0:
            raise SpecificationError(
                f"{self}: a probability lies strictly between 0 and 1, so it is never "
                f"{f'>= {low:g}' if low >= 1.0 else f'<= {high:g}'}; write 0.999 or 0.001 instead."
            )
        return LogOdds.imposed_for(self), log_odds_of(low), log_odds_of(high)

    @override
    def stated(self, imposed: Rows) -> Rows:
        return probability_of(imposed)

    @override
    def stated_multiplier(self, multipliers: Vector, imposed: Vector) -> Vector:
        p, q = probability_of(imposed), probability_of(-imposed)
        # d log-odds / d p = 1 / (p (1 - p)); a zero multiplier is zero in either unit.
        slope = np.maximum(p * q, np.finfo(np.float64).tiny)
        rates: Vector = np.where(multipliers == 0.0, 0.0, multipliers / slope)
        return rates


def log_odds_of(p: float) -> float:
    """Return log(p / (1 - p)), infinite at and beyond 0 and 1."""
    if p <= 0.0:
        return -np.inf
    if p >= 1.0:
        return np.inf
    return float(np.log(p) - np.log1p(-p))


def probability_of(odds: Rows) -> Rows:
    """Return 1 / (1 + exp(-odds)), without overflow."""
    small = np.exp(-np.abs(odds))
    p: Rows = np.where(odds >= 0, 1.0, small) / (1.0 + small)
    return p
