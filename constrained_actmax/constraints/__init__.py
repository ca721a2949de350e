"""Constraints on what the model gives, and on any function of its input."""

from constrained_actmax.constraints.function import Function as Function
from constrained_actmax.constraints.near import Near as Near
from constrained_actmax.objectives.between import Between as Between
