"""How far a class leads: over one other, or over the strongest rival."""

from __future__ import annotations

import math
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import numpy as np
from typing_extensions import override

from constrained_actmax.errors import SpecificationError
from constrained_actmax.layout import Rows, Vector
from constrained_actmax.objectives.base import Form, Objective, Parameters, Score
from constrained_actmax.objectives.bounded import Bounded
from constrained_actmax.objectives.classification import (
    ClassObjective,
    class_logit,
    class_units,
    logit,
)
from constrained_actmax.objectives.selection import index_parameter, others, pick
from constrained_actmax.objectives.signature import (
    Head,
    Index,
    Link,
    Signature,
    Tensor,
    Tensors,
)


@dataclass(frozen=True, eq=False, init=False, repr=False)
class Margin(ClassObjective):
    r"""How far a class leads, :math:`z_k - z_j`, or :math:`z_k - \max_{j \ne k} z_j`.

    Positive exactly where the model's verdict is k (against one class: where it prefers k to j).
    On one sigmoid, which is a softmax over (0, z), it is z for class 1 and -z for class 0.

    Parameters
    ----------
    target : int, str or tuple
        Class k: a number, a label, or ``(y, x, k)`` for outputs with positions.
    over : int or str, optional
        Class j; by default the strongest of all others. Needed where the head has several
        sigmoids, which do not compete.
    head : str, optional
        Name of the output; needed where the model has several.
    reduce : {"mean"}, optional
        For outputs with positions: the mean over all of them.
    link : {"softmax", "sigmoid"}, optional
        What a head that ends in plain numbers is to be read as.

    Raises
    ------
    SpecificationError
        When bound: if `over` is missing on several sigmoids, or is the target itself.

    Notes
    -----
    The largest of several logits has kinks where two rivals tie. ``Margin(k) >= m`` is therefore
    imposed as one smooth row for each rival. With two classes there is one rival and no kink.
    """

    over: int | str | None = None

    def __init__(
        self,
        target: Index,
        over: int | str | None = None,
        head: str | None = None,
        *,
        reduce: Any = None,
        link: Link | None = None,
    ) -> None:
        for name, value in (
            ("target", target),
            ("over", over),
            ("head", head),
            ("reduce", reduce),
            ("link", link),
        ):
            object.__setattr__(self, name, value)

    @override
    def _extra(self, head: Head, link: Link | None, target: int) -> tuple[Hashable, Parameters]:
        if self.over is None:
            refuse_without_rivals(self, head, link)
            if head.units == 2:  # the only rival is the strongest, and the lead over it is smooth
                return "one", (index_parameter(1 - target),)
            return "strongest", ()
        return "one", (index_parameter(self._rival(head, link, target)),)

    def _rival(self, head: Head, link: Link | None, target: int) -> int:
        assert self.over is not None
        over = head.class_index(self.over, link, "Margin: over")
        if over == target:
            raise SpecificationError(f"{self}: over must be another class than the target.")
        return over

    @override
    def _units(self, head: Head, link: Link | None, target: int) -> dict[int, float] | None:
        if head.is_binary(link):
            return class_units(head, link, target)
        if self.over is None and head.units > 2:
            return None
        over = 1 - target if self.over is None else self._rival(head, link, target)
        return {target: 1.0, over: -1.0}

    @override
    def _formula(
        self, z: Tensor, target: Tensor, rest: tuple[Tensor, ...], link: Link | None, binary: bool
    ) -> Tensor:
        import tensorflow as tf

        if binary:
            return class_logit(z, target, binary)
        if rest:
            return pick(z, target) - pick(z, rest[0])
        return pick(z, target) - tf.reduce_max(others(z, target), axis=-1)

    @override
    def _bounds(self, head: Head, link: Link | None, target: int) -> Bounded:
        return head.logits.times(-1.0) if head.is_binary(link) and target == 0 else head.logits

    @override
    def imposed(self, lower: Any, upper: Any) -> tuple[Objective, Any, Any]:
        one_sided = np.ndim(lower) == 0 and np.ndim(upper) == 0 and np.isposinf(upper)
        if self.over is not None or self.reduce is not None or not one_sided:
            return self, lower, upper
        return RivalMargins(self), lower, upper

    @override
    def stated(self, imposed: Rows) -> Rows:
        least: Rows = imposed.min(axis=1, keepdims=True)
        return least

    @override
    def stated_multiplier(self, multipliers: Vector, imposed: Vector) -> Vector:
        return np.atleast_1d(multipliers.sum())  # one number bounds the margin over every rival

    @override
    def _arguments(self) -> list[str]:
        first, *rest = ClassObjective._arguments(self)
        return [first, *([] if self.over is None else [f"over={self.over!r}"]), *rest]


@dataclass(frozen=True, eq=False, repr=False)
class RivalMargins(Objective):
    r"""The leads over each rival, :math:`(z_k - z_j)_{j \ne k}`: one row for each, in order of j.

    Parameters
    ----------
    margin : Margin
        The margin over the strongest rival, which is the least of these rows.
    """

    margin: Margin

    @override
    def _bind(self, signature: Signature) -> Score:
        margin = self.margin
        plain = margin.bind(signature)
        value = margin.target
        single = value[-1] if isinstance(value, tuple) else value
        head = signature.head_of(margin.head, single, "Margin")
        link = head.linked(margin.link, "Margin")
        if head.classes(link) == 2:  # one rival, which is what the margin is over
            return plain
        units, name = head.units, head.name

        def function(tensors: Tensors, parameters: tuple[Tensor, ...]) -> Tensor:
            import tensorflow as tf

            target, *position = parameters
            z = tensors.logits(name)
            z = tf.reshape(z, (-1, math.prod(head.positions), units))
            z = pick(tf.transpose(z, (0, 2, 1)), position[0]) if position else z[:, 0]
            rivals = tf.range(units - 1, dtype=tf.int64)[None, :]
            rivals = tf.where(rivals >= target[:, None], rivals + 1, rivals)
            rivals = tf.broadcast_to(rivals, (tf.shape(z)[0], units - 1))
            return pick(z, target)[:, None] - tf.gather(z, rivals, axis=1, batch_dims=1)

        return Score(
            ("RivalMargins", plain.structure), function, plain.parameters, units - 1, head.logits
        )

    @override
    def forms(self, signature: Signature) -> list[Form]:
        margin = self.margin
        head, link, target = margin._asked(signature)
        position = margin._place(head)
        if head.classes(link) == 2 or (head.positions and position is None):
            return margin.forms(signature)
        own = logit(head, position or 0, target)
        rivals = (unit for unit in range(head.units) if unit != target)
        return [{own: 1.0, logit(head, position or 0, unit): -1.0} for unit in rivals]

    @override
    def describe(self) -> str:
        return f"{self.margin} over each rival"


def refuse_without_rivals(who: Margin, head: Head, link: Link | None) -> None:
    """Refuse a head whose units do not compete."""
    if link == "sigmoid" and head.units > 1:
        raise SpecificationError(
            f"{who}: the {head.units} sigmoids of head {head.name!r} do not compete; "
            "say which to lead with over=."
        )
    if head.classes(link) < 2:
        raise SpecificationError(
            f"{who}: head {head.name!r} has one plain number and so no rival; maximise "
            'Logit(0), or read it as a sigmoid with link="sigmoid".'
        )
