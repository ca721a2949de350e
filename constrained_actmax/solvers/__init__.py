"""Algorithms, one a file; each minimises over C from one or many starts."""

from constrained_actmax.solvers.active_signature import ActiveSignature
from constrained_actmax.solvers.augmented_lagrangian import AugmentedLagrangian
from constrained_actmax.solvers.base import RowSolver, Solver
from constrained_actmax.solvers.branch_and_bound import BranchAndBound
from constrained_actmax.solvers.chain import Chain
from constrained_actmax.solvers.cobyqa import COBYQA
from constrained_actmax.solvers.converge_and_search import ConvergeAndSearch
from constrained_actmax.solvers.fista import FISTA
from constrained_actmax.solvers.frank_wolfe import FrankWolfe
from constrained_actmax.solvers.l_bfgs_b import LBFGSB
from constrained_actmax.solvers.nearest_point import NearestPoint
from constrained_actmax.solvers.pgd import PGD
from constrained_actmax.solvers.pqn import PQN
from constrained_actmax.solvers.relax_and_round import RelaxAndRound
from constrained_actmax.solvers.search_and_finish import SearchAndFinish
from constrained_actmax.solvers.selection import SOLVERS
from constrained_actmax.solvers.slsqp import SLSQP
from constrained_actmax.solvers.spg import SPG
from constrained_actmax.solvers.stepwise import Sample, Steps, StepwiseSolver
from constrained_actmax.solvers.successive_halving import SuccessiveHalving
from constrained_actmax.solvers.tnc import TNC
from constrained_actmax.solvers.trust_constr import TrustConstr

__all__ = [
    "COBYQA",
    "FISTA",
    "LBFGSB",
    "PGD",
    "PQN",
    "SLSQP",
    "SOLVERS",
    "SPG",
    "TNC",
    "ActiveSignature",
    "AugmentedLagrangian",
    "BranchAndBound",
    "Chain",
    "ConvergeAndSearch",
    "FrankWolfe",
    "NearestPoint",
    "RelaxAndRound",
    "RowSolver",
    "Sample",
    "SearchAndFinish",
    "Solver",
    "Steps",
    "StepwiseSolver",
    "SuccessiveHalving",
    "TrustConstr",
]
