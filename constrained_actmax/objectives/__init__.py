"""What of the network should be large: classes, outputs, hidden units; and penalties."""

from constrained_actmax.objectives.base import LinearCombination, Objective, Score
from constrained_actmax.objectives.bounded import Bounded
from constrained_actmax.objectives.channel import Channel
from constrained_actmax.objectives.custom import Custom
from constrained_actmax.objectives.direction import Direction
from constrained_actmax.objectives.layer import Layer
from constrained_actmax.objectives.log_odds import LogOdds
from constrained_actmax.objectives.log_probability import LogProbability
from constrained_actmax.objectives.logit import Logit
from constrained_actmax.objectives.margin import Margin, RivalMargins
from constrained_actmax.objectives.neuron import Neuron
from constrained_actmax.objectives.norm import Norm
from constrained_actmax.objectives.output import Output
from constrained_actmax.objectives.probability import Probability
from constrained_actmax.objectives.squared_distance import SquaredDistance
from constrained_actmax.objectives.total_variation import TotalVariation
from constrained_actmax.objectives.values import Values

__all__ = [
    "Bounded",
    "Channel",
    "Custom",
    "Direction",
    "Layer",
    "LinearCombination",
    "LogOdds",
    "LogProbability",
    "Logit",
    "Margin",
    "Neuron",
    "Norm",
    "Objective",
    "Output",
    "Probability",
    "RivalMargins",
    "Score",
    "SquaredDistance",
    "TotalVariation",
    "Values",
]
