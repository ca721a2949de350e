"""Which optimizer to trust: methods on the same problems, starts and budget, and what that says."""

from constrained_actmax.comparison.comparing import compare as compare
from constrained_actmax.comparison.comparison import Comparison as Comparison
from constrained_actmax.comparison.comparison import load_comparison as load_comparison
from constrained_actmax.comparison.profiles import Profile as Profile
from constrained_actmax.comparison.profiles import data_profile as data_profile
from constrained_actmax.comparison.profiles import performance_profile as performance_profile
from constrained_actmax.comparison.tradeoff import TradeOff as TradeOff
from constrained_actmax.comparison.tradeoff import trace as trace
from constrained_actmax.comparison.trial import Trial as Trial
from constrained_actmax.comparison.verdict import Difference as Difference
from constrained_actmax.comparison.verdict import Verdict as Verdict
