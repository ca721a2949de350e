"""Oracles: functions of a flat vector with derivatives, whatever computes them."""

from constrained_actmax.oracles.base import BaseOracle
from constrained_actmax.oracles.black_box import BlackBoxOracle
from constrained_actmax.oracles.function import FunctionOracle
from constrained_actmax.oracles.negated import Negated
from constrained_actmax.oracles.oracle import Oracle, evaluate_together
from constrained_actmax.oracles.scaling import Scaling

__all__ = [
    "BaseOracle",
    "BlackBoxOracle",
    "FunctionOracle",
    "Negated",
    "Oracle",
    "Scaling",
    "evaluate_together",
]
