"""One number of what `predict` returns."""

from __future__ import annotations

import math
from dataclasses import dataclass

from typing_extensions import override

from constrained_actmax.objectives.base import Form, Objective, Score, short
from constrained_actmax.objectives.classification import logit
from constrained_actmax.objectives.selection import index_parameter, pick
from constrained_actmax.objectives.signature import (
    Head,
    Index,
    Signature,
    Tensor,
    Tensors,
    flat_position,
)


@dataclass(frozen=True, eq=False, repr=False)
class Output(Objective):
    """One number of the model's output, exactly as `predict` returns it.

    Parameters
    ----------
    index : int, str or tuple of int, default 0
        Number or label of the unit, or the name of a head that has one unit; a full tuple such as
        ``(y, x, c)`` where the output has positions.
    head : str, optional
        Name of the output; needed where the model has several.

    Raises
    ------
    SpecificationError
        When bound: if there is no such unit, or the index leaves positions open.
    """

    index: Index = 0
    head: str | None = None

    @override
    def _bind(self, signature: Signature) -> Score:
        head, position = self._position(signature)
        name, size = head.name, math.prod(head.shape)

        def function(tensors: Tensors, parameters: tuple[Tensor, ...]) -> Tensor:
            import tensorflow as tf

            y = tensors.output(name)
            return pick(tf.reshape(y, (-1, size)), parameters[0])

        return Score(("Output", name), function, (index_parameter(position),), bounded=head.outputs)

    @override
    def forms(self, signature: Signature) -> list[Form]:
        head, position = self._position(signature)
        if head.link is not None or head.refusal is not None:
            return super().forms(signature)
        return [{logit(head, *divmod(position, head.units)): 1.0}]

    def _position(self, signature: Signature) -> tuple[Head, int]:
        index = self.index
        if isinstance(index, str) and self.head is None:
            labelled = any(head.labels and index in head.labels for head in signature.heads)
            named = [head for head in signature.heads if head.name == index]
            if named and not labelled:
                return named[0], flat_position(0, named[0].shape, "Output", f"head {index!r}")
        single = index[-1] if isinstance(index, tuple) and index else index
        head = signature.head_of(self.head, single, "Output")
        if isinstance(single, str):
            unit = head.unit_index(single, "Output")
            index = (*index[:-1], unit) if isinstance(index, tuple) else unit
        return head, flat_position(index, head.shape, "Output", f"head {head.name!r}")

    @override
    def describe(self) -> str:
        head = "" if self.head is None else f", head={self.head!r}"
        return f"Output({short(self.index)}{head})"
