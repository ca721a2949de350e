"""What the objectives on a class of a head have in common."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Hashable
from dataclasses import dataclass
from typing import ClassVar, Literal

from typing_extensions import override

from constrained_actmax.errors import ModelError, SpecificationError
from constrained_actmax.objectives.base import Form, Objective, Parameters, Score, short
from constrained_actmax.objectives.bounded import Bounded
from constrained_actmax.objectives.selection import index_parameter, pick
from constrained_actmax.objectives.signature import (
    Head,
    Index,
    Link,
    Signature,
    Tensor,
    Tensors,
    flat_position,
)
from constrained_actmax.quoting import quoted


@dataclass(frozen=True, eq=False, repr=False)
class ClassObjective(Objective):
    """A number that is computed from the logits of a head at one class.

    Parameters
    ----------
    target : int, str or tuple
        Class: a number, a label, or for outputs with positions ``(y, x, class)``.
    head : str, optional
        Name of the output; needed where the model has several.
    reduce : {"mean"}, optional
        For outputs with positions: the mean over all of them.
    link : {"softmax", "sigmoid"}, optional
        What a head that ends in plain numbers is to be read as.
    """

    target: Index
    head: str | None = None
    reduce: Literal["mean"] | None = None
    link: Link | None = None

    #: Whether a head that ends in plain numbers has to be said to be read as probabilities.
    needs_link: ClassVar[bool] = False

    # -- what a new one writes -------------------------------------------------------------------

    @abstractmethod
    def _formula(
        self, z: Tensor, target: Tensor, rest: tuple[Tensor, ...], link: Link | None, binary: bool
    ) -> Tensor:
        """Return the score from logits (B, C) or (B, P, C) and the target's number (1 or B,)."""

    @abstractmethod
    def _bounds(self, head: Head, link: Link | None, target: int) -> Bounded:
        """Return whether the score is bounded."""

    def _extra(self, head: Head, link: Link | None, target: int) -> tuple[Hashable, Parameters]:
        """Check the head; return what else belongs to the structure and to the parameters."""
        if self.needs_link and link is None:
            raise SpecificationError(
                f"{self}: head {head.name!r} ends in plain numbers; say what makes them "
                'probabilities: link="softmax" or link="sigmoid".'
            )
        return None, ()

    def _units(self, head: Head, link: Link | None, target: int) -> dict[int, float] | None:
        """Return the factors of the logits whose sum the score is; None where it is no sum."""
        return None

    # -- binding ---------------------------------------------------------------------------------

    def _asked(self, signature: Signature) -> tuple[Head, Link | None, int]:
        """Return the head, its link and the class's number."""
        who = self._called
        arguments = self.target
        single = arguments[-1] if isinstance(arguments, tuple) and arguments else arguments
        head = signature.head_of(self.head, single, who)
        if head.refusal is not None:
            raise ModelError(f"{self}: {head.refusal}")
        link = head.linked(self.link, who)
        return head, link, head.class_index(single, link, who)  # type: ignore[arg-type]

    @override
    def forms(self, signature: Signature) -> list[Form]:
        head, link, target = self._asked(signature)
        units, position = self._units(head, link, target), self._place(head)
        if units is None or (head.positions and position is None):
            return super().forms(signature)
        return [{logit(head, position or 0, unit): factor for unit, factor in units.items()}]

    @override
    def _bind(self, signature: Signature) -> Score:
        head, link, target = self._asked(signature)
        binary = head.is_binary(link)
        position = self._place(head)
        extra, rest = self._extra(head, link, target)
        units, name, count = head.units, head.name, math.prod(head.positions)

        def function(tensors: Tensors, parameters: tuple[Tensor, ...]) -> Tensor:
            import tensorflow as tf

            index, *others = parameters
            z = tensors.logits(name)
            if not head.positions:
                return self._formula(tf.reshape(z, (-1, units)), index, tuple(others), link, binary)
            z = tf.reshape(z, (-1, count, units))
            if position is not None:
                z = pick(tf.transpose(z, (0, 2, 1)), others.pop(0))
                return self._formula(z, index, tuple(others), link, binary)
            return tf.reduce_mean(self._formula(z, index, tuple(others), link, binary), axis=1)

        positions = () if position is None else (index_parameter(position),)
        return Score(
            (type(self).__name__, head.name, link, position is not None, extra),
            function,
            (index_parameter(target), *positions, *rest),
            bounded=self._bounds(head, link, target),
        )

    def _place(self, head: Head) -> int | None:
        """Return the flat position that a tuple names; None for the mean, or without positions."""
        who = self._called
        if self.reduce not in (None, "mean"):
            raise SpecificationError(
                f"{who}: reduce must be 'mean' or None, got {quoted(self.reduce)}."
            )
        target = self.target
        if isinstance(target, tuple) and len(target) > 1:
            if len(target) != len(head.shape):
                flat_position(target, head.shape, who, f"head {head.name!r}")
            if self.reduce is not None:
                raise SpecificationError(
                    f"{who}: {target!r} names a position; leave reduce={self.reduce!r} out."
                )
            return flat_position(target[:-1], head.positions, who, f"head {head.name!r}")
        if head.positions and self.reduce is None:
            raise SpecificationError(
                f"{who}: index {target!r} leaves positions open; head {head.name!r} has shape "
                f'{head.shape}: write all of its indices, or reduce="mean".'
            )
        return None

    @override
    def describe(self) -> str:
        return f"{self._called}({', '.join(self._arguments())})"

    @property
    def _called(self) -> str:
        """What the user called it."""
        return type(self).__name__

    def _arguments(self) -> list[str]:
        arguments = [short(self.target)]
        arguments += [
            f"{name}={value!r}"
            for name, value in (("head", self.head), ("reduce", self.reduce), ("link", self.link))
            if value is not None
        ]
        return arguments


def logit(head: Head, position: int, unit: int) -> Hashable:
    """Return what tells a logit from the other numbers of a model."""
    return "logit", head.name, position, unit


def class_units(head: Head, link: Link | None, target: int) -> dict[int, float]:
    """Return `class_logit` as factors of the head's units."""
    return {0: 2.0 * target - 1.0} if head.is_binary(link) else {target: 1.0}


def class_logit(z: Tensor, target: Tensor, binary: bool) -> Tensor:
    """Return the logit (B, ...) of a class; with one sigmoid z for class 1 and -z for class 0."""
    import tensorflow as tf

    if binary:
        sign = tf.cast(2 * target - 1, z.dtype)
        return z[..., 0] * tf.reshape(sign, [-1] + [1] * (len(z.shape) - 2))
    return pick(z, target)
