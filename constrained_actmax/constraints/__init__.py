"""Constraints on what the model gives, and on any function of its input."""

from constrained_actmax.constraints.function import Function
from constrained_actmax.constraints.near import Near
from constrained_actmax.objectives.between import Between

__all__ = ["Between", "Function", "Near"]
