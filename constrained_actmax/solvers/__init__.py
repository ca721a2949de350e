"""Algorithms, one a file; each minimises over C from one or many starts."""

from constrained_actmax.solvers.active_signature import ActiveSignature as ActiveSignature
from constrained_actmax.solvers.augmented_lagrangian import (
    AugmentedLagrangian as AugmentedLagrangian,
)
from constrained_actmax.solvers.base import RowSolver as RowSolver
from constrained_actmax.solvers.base import Solver as Solver
from constrained_actmax.solvers.branch_and_bound import BranchAndBound as BranchAndBound
from constrained_actmax.solvers.chain import Chain as Chain
from constrained_actmax.solvers.cobyqa import COBYQA as COBYQA
from constrained_actmax.solvers.converge_and_search import ConvergeAndSearch as ConvergeAndSearch
from constrained_actmax.solvers.fista import FISTA as FISTA
from constrained_actmax.solvers.frank_wolfe import FrankWolfe as FrankWolfe
from constrained_actmax.solvers.l_bfgs_b import LBFGSB as LBFGSB
from constrained_actmax.solvers.nearest_point import NearestPoint as NearestPoint
from constrained_actmax.solvers.pgd import PGD as PGD
from constrained_actmax.solvers.pqn import PQN as PQN
from constrained_actmax.solvers.relax_and_round import RelaxAndRound as RelaxAndRound
from constrained_actmax.solvers.search_and_finish import SearchAndFinish as SearchAndFinish
from constrained_actmax.solvers.selection import SOLVERS as SOLVERS
from constrained_actmax.solvers.slsqp import SLSQP as SLSQP
from constrained_actmax.solvers.spg import SPG as SPG
from constrained_actmax.solvers.stepwise import Sample as Sample
from constrained_actmax.solvers.stepwise import Steps as Steps
from constrained_actmax.solvers.stepwise import StepwiseSolver as StepwiseSolver
from constrained_actmax.solvers.successive_halving import SuccessiveHalving as SuccessiveHalving
from constrained_actmax.solvers.tnc import TNC as TNC
from constrained_actmax.solvers.trust_constr import TrustConstr as TrustConstr
