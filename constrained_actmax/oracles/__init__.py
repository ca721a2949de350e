"""Oracles: functions of a flat vector with derivatives, whatever computes them."""

from constrained_actmax.oracles.base import BaseOracle as BaseOracle
from constrained_actmax.oracles.black_box import BlackBoxOracle as BlackBoxOracle
from constrained_actmax.oracles.function import FunctionOracle as FunctionOracle
from constrained_actmax.oracles.negated import Negated as Negated
from constrained_actmax.oracles.oracle import Oracle as Oracle
from constrained_actmax.oracles.oracle import evaluate_together as evaluate_together
from constrained_actmax.oracles.scaling import Scaling as Scaling
