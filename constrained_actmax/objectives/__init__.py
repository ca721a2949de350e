"""What of the network should be large: classes, outputs, hidden units; and penalties."""

from constrained_actmax.objectives.base import LinearCombination as LinearCombination
from constrained_actmax.objectives.base import Objective as Objective
from constrained_actmax.objectives.base import Score as Score
from constrained_actmax.objectives.bounded import Bounded as Bounded
from constrained_actmax.objectives.channel import Channel as Channel
from constrained_actmax.objectives.custom import Custom as Custom
from constrained_actmax.objectives.direction import Direction as Direction
from constrained_actmax.objectives.layer import Layer as Layer
from constrained_actmax.objectives.log_odds import LogOdds as LogOdds
from constrained_actmax.objectives.log_probability import LogProbability as LogProbability
from constrained_actmax.objectives.logit import Logit as Logit
from constrained_actmax.objectives.margin import Margin as Margin
from constrained_actmax.objectives.margin import RivalMargins as RivalMargins
from constrained_actmax.objectives.neuron import Neuron as Neuron
from constrained_actmax.objectives.norm import Norm as Norm
from constrained_actmax.objectives.output import Output as Output
from constrained_actmax.objectives.probability import Probability as Probability
from constrained_actmax.objectives.squared_distance import SquaredDistance as SquaredDistance
from constrained_actmax.objectives.total_variation import TotalVariation as TotalVariation
from constrained_actmax.objectives.values import Values as Values
