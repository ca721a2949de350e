"""Which output of the model a training loop is to make large."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from constrained_actmax.objectives.classification import ClassObjective
from constrained_actmax.objectives.output import Output
from constrained_actmax.oracles.oracle import Oracle
from constrained_actmax.problem import Problem

Tensor: TypeAlias = Any


@dataclass(frozen=True)
class Wanted:
    """One unit of one output.

    Parameters
    ----------
    head : str
        Name of the output.
    index : int
        Its unit.
    units : int
        Numbers of the output.
    link : str or None
        "softmax", "sigmoid", or None for plain numbers.
    outputs : callable
        Flat rows (B, n) in a graph to the outputs (B, units), the model frozen and in inference
        mode.
    complement : bool
        Whether class 0 of one sigmoid is meant, whose probability is 1 - p.
    """

    head: str
    index: int
    units: int
    link: str | None
    outputs: Callable[[Tensor], Tensor]
    complement: bool = False


def wanted(who: str, problem: Problem) -> Wanted | str:
    """Return the class or output that the objective names, or why a training loop has none."""
    oracle = problem.user_oracle
    way_out = "use method='projected-adam' or 'auto'."
    if not isinstance(oracle, Oracle):
        return f"{who} trains through a TensorFlow model and there is none here; {way_out}"
    if len(problem.layout.inputs) > 1 or oracle.source.rows not in (None, 1):
        return f"{who} trains one layer in front of one input with a free batch axis; {way_out}"
    if problem.sense != "maximize":
        return f"{who} trains an output upward, and this problem minimises; {way_out}"
    objective = oracle.objectives[0]
    if not isinstance(objective, ClassObjective | Output):
        return f"{who} trains one output toward a number, which {objective} is not; {way_out}"
    source = oracle.source
    target = objective.target if isinstance(objective, ClassObjective) else objective.index
    if isinstance(target, tuple):
        return f"{who} trains one unit of a flat output, and {objective} has positions; {way_out}"
    head = source.head_of(objective.head, target, who)
    if head.positions:
        return f"{who} trains one unit of a flat output, and {objective} has positions; {way_out}"
    link = head.link
    complement = False
    if isinstance(objective, ClassObjective):
        link = head.linked(objective.link, who)
        index = head.class_index(target, link, who)
        complement = head.is_binary(link) and index == 0
        index = min(index, head.units - 1)
    else:
        index = head.unit_index(target, who)
    shown, name, units = head.link, head.name, head.units

    def outputs(rows: Tensor) -> Tensor:
        import tensorflow as tf

        values = tf.reshape(source.trace(tf.cast(rows, tf.float64)).heads[name], (-1, units))
        if link != shown:  # the user reads plain numbers as logits
            values = tf.nn.softmax(values) if link == "softmax" else tf.nn.sigmoid(values)
        return values

    return Wanted(name, index, units, link, outputs, complement)
