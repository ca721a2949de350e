"""The squared distance to a reference."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from typing_extensions import override

from constrained_actmax.errors import SpecificationError
from constrained_actmax.layout import Layout, Region, Vector
from constrained_actmax.objectives.base import Objective, Parameters, Score, short
from constrained_actmax.objectives.bounded import ONLY_BELOW
from constrained_actmax.objectives.signature import Signature, Tensor, Tensors


@dataclass(frozen=True, eq=False, repr=False)
class SquaredDistance(Objective):
    r"""The squared Euclidean distance :math:`\sum_i w_i^2 (x_i - c_i)^2`, in float64.

    ``minimize(model, SquaredDistance(image), [Box(0, 1), Probability(4) >= 0.9])`` finds the
    nearest input with a wanted verdict. It is the square of ``Norm(2, center=image)``, with the
    same weights.

    Parameters
    ----------
    center : array_like, or dict of array_like by input name
        c, in the shape of one input; a number stands for all entries.
    on : str, optional
        Name of the input that it speaks of; without it a number or a dict speaks of all inputs.
    weights : array_like, or dict of array_like by input name, optional
        w > 0, what one unit of change of each entry costs, as in `L1Ball`; 1 by default.

    Raises
    ------
    SpecificationError
        When bound: if a shape or the name does not fit, or a weight is not positive.
    """

    center: Any = 0.0
    on: str | None = None
    weights: Any = None

    @override
    def _bind(self, signature: Signature) -> Score:
        layout = signature.layout
        region = self._region(layout)
        center, weights = self.flat_center(layout), self.flat_weights(layout)
        parameters: Parameters = (center[np.newaxis],)
        if weights is not None:
            parameters += (weights[np.newaxis],)

        def function(tensors: Tensors, parameters: tuple[Tensor, ...]) -> Tensor:
            import tensorflow as tf

            change = part(tensors, region) - parameters[0]
            for weights in parameters[1:]:
                change = change * weights
            return tf.reduce_sum(tf.square(change), axis=1)

        structure = ("SquaredDistance", span(region), len(parameters))
        return Score(structure, function, parameters, bounded=ONLY_BELOW)

    def _region(self, layout: Layout) -> Region:
        every = isinstance(self.center, Mapping | list | tuple) or np.ndim(self.center) == 0
        return layout.region(self.on, who="SquaredDistance", everywhere=every)

    def flat_center(self, layout: Layout) -> Vector:
        """Return c over the entries that the distance speaks of."""
        return flat(self.center, self.on, layout, self._region(layout), "SquaredDistance")

    def flat_weights(self, layout: Layout) -> Vector | None:
        """Return w over the entries that the distance speaks of; None where all are 1."""
        if self.weights is None:
            return None
        region = self._region(layout)
        return flat_weights(self.weights, self.on, layout, region, "SquaredDistance")

    bounded = ONLY_BELOW

    @override
    def describe(self) -> str:
        number = isinstance(self.center, int | float | np.number)
        center = short(self.center) if number else "center"
        on = "" if self.on is None else f", on={self.on!r}"
        return f"SquaredDistance({center}{on}{weighted(self.weights)})"


def span(region: Region) -> tuple[int, int]:
    """Return where the region of a whole input, or of all, begins and ends in the flat vector."""
    if not region.dimension:
        return 0, 0
    return int(region.indices[0]), int(region.indices[-1]) + 1


def part(tensors: Tensors, region: Region) -> Tensor:
    """Return the flat entries (B, m) of the region of a whole input, or of all inputs."""
    start, stop = span(region)
    return tensors.x if region.covers_all else tensors.x[:, start:stop]


def flat(value: Any, on: str | None, layout: Layout, region: Region, who: str) -> Vector:
    """Return a number, an array or arrays by input name as one number for each flat entry."""
    if on is None and isinstance(value, Mapping | list | tuple):
        return layout.flatten(value, who)
    return region.flatten(value, who)


def flat_weights(value: Any, on: str | None, layout: Layout, region: Region, who: str) -> Vector:
    """Return weights as one positive number for each flat entry.

    Raises
    ------
    SpecificationError
        If one is not positive and finite.
    """
    weights = flat(value, on, layout, region, f"{who}: weights")
    if not (np.isfinite(weights).all() and (weights > 0).all()):
        raise SpecificationError(
            f"{who}: weights must be finite and > 0, got {float(weights.min()):g}; "
            "give an entry that may change freely a small one."
        )
    return weights


def weighted(weights: Any) -> str:
    """Return weights as an argument in an objective's words; empty without any."""
    if weights is None:
        return ""
    number = isinstance(weights, int | float | np.number)
    return f", weights={short(weights) if number else 'weights'}"
