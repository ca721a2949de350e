"""The logit of a class."""

from __future__ import annotations

from dataclasses import dataclass

from typing_extensions import override

from constrained_actmax.objectives.bounded import Bounded
from constrained_actmax.objectives.classification import (
    ClassObjective,
    class_logit,
    class_units,
)
from constrained_actmax.objectives.signature import Head, Link, Tensor


@dataclass(frozen=True, eq=False, repr=False)
class Logit(ClassObjective):
    r"""The logit :math:`z_k` of a class: the number before the softmax or the sigmoid.

    Its gradient does not vanish where the probability is saturated, so it is the usual thing to
    maximise. A softmax head: what goes into the softmax. One sigmoid: z for class 1, -z for
    class 0. Several sigmoids: unit k. A head that ends in plain numbers: output k.

    Parameters
    ----------
    target : int, str or tuple
        Class k: a number, a label, or ``(y, x, k)`` for outputs with positions.
    head : str, optional
        Name of the output; needed where the model has several.
    reduce : {"mean"}, optional
        For outputs with positions: the mean over all of them.
    link : {"softmax", "sigmoid"}, optional
        What a head that ends in plain numbers is to be read as (one plain number read as a sigmoid
        has two classes).

    Examples
    --------
    >>> import constrained_actmax as cax
    >>> print(cax.Logit(7) - 0.1 * cax.Norm(2))
    Logit(7) - 0.1 * Norm(2)
    """

    @override
    def _formula(
        self, z: Tensor, target: Tensor, rest: tuple[Tensor, ...], link: Link | None, binary: bool
    ) -> Tensor:
        return class_logit(z, target, binary)

    @override
    def _units(self, head: Head, link: Link | None, target: int) -> dict[int, float]:
        return class_units(head, link, target)

    @override
    def _bounds(self, head: Head, link: Link | None, target: int) -> Bounded:
        return head.logits.times(-1.0) if head.is_binary(link) and target == 0 else head.logits
