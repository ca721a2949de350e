"""The squared distance to a reference."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from typing_extensions import override

from constrained_actmax.layout import Region
from constrained_actmax.objectives.base import Objective, Score, short
from constrained_actmax.objectives.bounded import ONLY_BELOW, Bounded
from constrained_actmax.objectives.signature import Signature, Tensor, Tensors


@dataclass(frozen=True, eq=False, repr=False)
class SquaredDistance(Objective):
    r"""The squared Euclidean distance :math:`\|x - c\|_2^2`, in the user's units, in float64.

    ``minimize(model, SquaredDistance(image), [Box(0, 1), Probability(4) >= 0.9])`` finds the
    nearest input with a wanted verdict.

    Parameters
    ----------
    center : array_like, or dict of array_like by input name
        c, in the shape of one input; a number stands for all entries.
    on : str, optional
        Name of the input that it speaks of; without it a number or a dict speaks of all inputs.

    Raises
    ------
    SpecificationError
        When bound: if the shape or the name does not fit.
    """

    center: Any = 0.0
    on: str | None = None

    @override
    def _bind(self, signature: Signature) -> Score:
        layout, who = signature.layout, "SquaredDistance"
        if self.on is None and isinstance(self.center, Mapping | list | tuple):
            region = layout.region(who=who, everywhere=True)
            center = layout.flatten(self.center, who)
        else:
            everywhere = np.ndim(self.center) == 0
            region = layout.region(self.on, who=who, everywhere=everywhere)
            center = region.flatten(self.center, who)

        def function(tensors: Tensors, parameters: tuple[Tensor, ...]) -> Tensor:
            import tensorflow as tf

            return tf.reduce_sum(tf.square(part(tensors, region) - parameters[0]), axis=1)

        return Score(
            ("SquaredDistance", span(region)), function, (center[np.newaxis],), bounded=ONLY_BELOW
        )

    @property
    @override
    def bounded(self) -> Bounded:
        return ONLY_BELOW

    @override
    def describe(self) -> str:
        number = isinstance(self.center, int | float | np.number)
        center = short(self.center) if number else "center"
        return f"SquaredDistance({center}{'' if self.on is None else f', on={self.on!r}'})"


def span(region: Region) -> tuple[int, int]:
    """Return where the region of a whole input, or of all, begins and ends in the flat vector."""
    if not region.dimension:
        return 0, 0
    return int(region.indices[0]), int(region.indices[-1]) + 1


def part(tensors: Tensors, region: Region) -> Tensor:
    """Return the flat entries (B, m) of the region of a whole input, or of all inputs."""
    start, stop = span(region)
    return tensors.x if region.covers_all else tensors.x[:, start:stop]
