"""The structure of an oracle's functions: read once for a model, with each oracle's numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from constrained_actmax.errors import RefusedError
from constrained_actmax.layout import Rows
from constrained_actmax.structure.reading import Reading
from constrained_actmax.structure.structure import PROBE_SEED, PROBES, Structure

KEPT = 8  # readings of one model, each with its weights in float64

if TYPE_CHECKING:
    from constrained_actmax.oracles.oracle import Oracle


def structure_of(oracle: Oracle) -> Structure:
    """Return the structure of an oracle's functions, or of its model's heads.

    Raises
    ------
    RefusedError
        If it cannot be read.
    """
    source = oracle.source
    bound = bool(oracle.objectives)
    key = oracle.structure_key[1]
    if key not in source.readings:
        try:
            if bound:
                concrete = oracle._functions().concrete("values")
                names = ["functions"]
            else:
                concrete = source.outputs
                names = sorted(head.name for head in source.heads)
            source.readings[key] = Reading(concrete, names, source.rows, source.layer_of)
        except RefusedError as refusal:
            source.readings[key] = f"{source.name}: {refusal}"
        while len(source.readings) > KEPT:
            source.readings.popitem(last=False)
    reading = source.readings[key]
    if isinstance(reading, str):
        raise RefusedError(reading)

    def deployed(x: Rows) -> dict[str, Any]:
        if not bound:
            return source.run(x)
        uncounted = oracle.with_objectives(oracle.objectives)
        return {"functions": uncounted.values(x)}

    parameters = oracle._parameters() if bound else []
    structure = Structure(reading, parameters, deployed)
    structure.check(np.random.default_rng(PROBE_SEED).uniform(size=(PROBES, oracle.size)))
    if not structure.difference <= oracle.epsilon**0.5:
        raise RefusedError(
            f"{source.name}: in float64 its values differ from the model's own by "
            f"{structure.difference:.1e} of the largest, so what holds for one says little of the "
            "other; methods that need gradients alone take it."
        )
    return structure
