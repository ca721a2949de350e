"""Tables as users describe them: columns with ranges, categories and costs."""

from constrained_actmax.features.feature import Feature as Feature
from constrained_actmax.features.features import Features as Features
