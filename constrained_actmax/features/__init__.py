"""Tables as users describe them: columns with ranges, categories and costs."""

from constrained_actmax.features.feature import Feature
from constrained_actmax.features.features import Features

__all__ = ["Feature", "Features"]
