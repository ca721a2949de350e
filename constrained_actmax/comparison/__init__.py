"""Which optimizer to trust: methods on the same problems, starts and budget, and what that says."""

from constrained_actmax.comparison.comparing import compare
from constrained_actmax.comparison.comparison import Comparison, load_comparison
from constrained_actmax.comparison.profiles import Profile, data_profile, performance_profile
from constrained_actmax.comparison.tradeoff import TradeOff, trace
from constrained_actmax.comparison.trial import Trial
from constrained_actmax.comparison.verdict import Difference, Verdict

__all__ = [
    "Comparison",
    "Difference",
    "Profile",
    "TradeOff",
    "Trial",
    "Verdict",
    "compare",
    "data_profile",
    "load_comparison",
    "performance_profile",
    "trace",
]
