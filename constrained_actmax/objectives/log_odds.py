"""The log-odds of a class: what limits on a probability are imposed on."""

from __future__ import annotations

from dataclasses import dataclass, field

from typing_extensions import override

from constrained_actmax.objectives.bounded import Bounded
from constrained_actmax.objectives.classification import (
    ClassObjective,
    class_logit,
    class_units,
)
from constrained_actmax.objectives.selection import others, pick
from constrained_actmax.objectives.signature import Head, Link, Tensor


@dataclass(frozen=True, eq=False, repr=False)
class LogOdds(ClassObjective):
    r"""The log-odds :math:`\log\frac{p_k}{1 - p_k} = z_k - \log \sum_{j \ne k} e^{z_j}`.

    For a sigmoid the logit itself. Its gradient stays of order one where the probability's
    vanishes.

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
    """

    needs_link = True

    _written: str = field(default="LogOdds", init=False, repr=False)

    @classmethod
    def imposed_for(cls, limited: ClassObjective) -> LogOdds:
        """Return the log-odds of an objective's class; messages call them by its name."""
        odds = cls(limited.target, limited.head, limited.reduce, limited.link)
        object.__setattr__(odds, "_written", type(limited).__name__)
        return odds

    @property
    @override
    def _called(self) -> str:
        return self._written

    @override
    def _formula(
        self, z: Tensor, target: Tensor, rest: tuple[Tensor, ...], link: Link | None, binary: bool
    ) -> Tensor:
        import tensorflow as tf

        if link == "sigmoid":
            return class_logit(z, target, binary)
        return pick(z, target) - tf.reduce_logsumexp(others(z, target), axis=-1)

    @override
    def _units(self, head: Head, link: Link | None, target: int) -> dict[int, float] | None:
        return class_units(head, link, target) if link == "sigmoid" else None

    @override
    def _bounds(self, head: Head, link: Link | None, target: int) -> Bounded:
        return head.logits
