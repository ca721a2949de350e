"""Which solver: by name, or by rule from the problem's form."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import islice
from typing import Any

from constrained_actmax.errors import RefusedError, SpecificationError, suggest
from constrained_actmax.quoting import quoted
from constrained_actmax.result import Budget
from constrained_actmax.solvers.active_signature import ActiveSignature
from constrained_actmax.solvers.augmented_lagrangian import AugmentedLagrangian
from constrained_actmax.solvers.base import Solver
from constrained_actmax.solvers.branch_and_bound import PROOF_BOXES, BranchAndBound
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
from constrained_actmax.solvers.search_and_finish import SearchAndFinish, pays
from constrained_actmax.solvers.slsqp import SLSQP
from constrained_actmax.solvers.spg import SPG
from constrained_actmax.solvers.successive_halving import SuccessiveHalving
from constrained_actmax.solvers.tnc import TNC
from constrained_actmax.solvers.trust_constr import TrustConstr
from constrained_actmax.standard_form import StandardForm

SOLVERS: dict[str, type[Solver]] = {
    solver.name: solver
    for solver in (
        LBFGSB,
        SLSQP,
        TrustConstr,
        TNC,
        SPG,
        PGD,
        FISTA,
        PQN,
        FrankWolfe,
        AugmentedLagrangian,
        COBYQA,
        SuccessiveHalving,
        ConvergeAndSearch,
        BranchAndBound,
        ActiveSignature,
        SearchAndFinish,
        Chain,
        RelaxAndRound,
        NearestPoint,
    )
}

#: Variables up to which SLSQP's dense steps cost less than further model calls: an iteration takes
#: 2 ms at 100 variables, 12 ms at 200, 0.6 s at 800.
SMALL = 100

#: The part of a refusal that names other methods.
WAY_OUT = re.compile("use method='[^']+'(?:(?:, | or |, or )'[^']+')*")


#: Former names of methods, which still work.
FORMER = {"annealed": "successive-halving"}


def current(method: str) -> str:
    """Return the present name of a method in lower case, also for a former one."""
    return FORMER.get(method.casefold(), method.casefold())


def named(method: str) -> Solver:
    """Return a solver with its default settings; names are matched without regard to case.

    Raises
    ------
    SpecificationError
        If there is none of this name; near ones are suggested.
    """
    wanted = current(method)
    for name, kind in SOLVERS.items():
        if name.casefold() == wanted:
            return kind()
    raise SpecificationError(
        f"method: no {quoted(method)}. {suggest(method, ['auto', *SOLVERS], 20)}"
    )


def select(
    problem: StandardForm,
    method: str | Solver,
    options: Mapping[str, Any] | None,
    budget: Budget | None = None,
) -> tuple[Solver, str]:
    """Return the solver to take and, for ``method="auto"``, one line that says why.

    Parameters
    ----------
    problem : Problem
        What is asked.
    method : str or Solver
        "auto", a name, or a configured solver.
    options : mapping, optional
        Settings that replace the solver's.
    budget : Budget, optional
        Of the call; "auto" spends what a local method leaves of it.

    Raises
    ------
    SpecificationError
        If the name or an option is unknown.
    RefusedError
        If the solver cannot take the problem; the message names one that can.
    """
    reason = ""
    if isinstance(method, Solver):
        solver = method
    elif isinstance(method, str):
        if method.casefold() == "auto":
            solver, reason = by_rule(problem, budget)
        else:
            solver = named(method)
    else:
        raise SpecificationError(
            f"method: expected a name or a Solver, got {type(method).__name__} {quoted(method)}."
        )
    if options is not None:
        solver = solver.with_options(options)
    refused = refusal(solver, problem)
    if refused is not None:
        raise RefusedError(refused)
    return solver, reason


def refusal(solver: Solver, problem: StandardForm) -> str | None:
    """Return why a solver cannot take the problem, or cannot keep what its iterates have to.

    Of the methods that the sentence names, those remain that take this problem; where none does,
    another that does.
    """
    reason = _refusal(solver, problem)
    named_there = None if reason is None else WAY_OUT.search(reason)
    if reason is None or named_there is None:
        return reason
    proposed = re.findall("'([^']+)'", named_there[0])
    taking = [name for name in proposed if _takes(name, problem)]
    if taking == proposed:
        return reason
    others = (name for name in ("auto", *SOLVERS) if _takes(name, problem))
    taking = taking or list(islice(others, 1))
    way = f"use method={' or '.join(map(repr, taking))}" if taking else "no method here takes it"
    return reason.replace(named_there[0], way)


def _takes(name: str, problem: StandardForm) -> bool:
    """Return whether a method of this name takes the problem."""
    solver = by_rule(problem)[0] if name == "auto" else named(name)
    return _refusal(solver, problem) is None


def _refusal(solver: Solver, problem: StandardForm) -> str | None:
    """Return why a solver cannot take the problem, in its own words."""
    broken: str | None = None
    if problem.kept_rows.any() and not solver.iterates_keep_functions:
        broken = next(
            constraint.description
            for constraint in problem.imposed
            if constraint.kept is not None and constraint.kept.any()
        )
    elif problem.keeps_set and not solver.iterates_in_set:
        broken = "the linear constraints"
    if broken is None:
        reason = solver.refusal(problem)
        return reason if reason is None else _with_way_out(reason, problem)
    way = "use method='trust-constr'"
    if not problem.differentiable:
        way = "leave keep_feasible out, or give a function with its gradient to 'trust-constr'"
    return f"{solver.name} has iterates that break {broken}, which keep_feasible forbids; {way}."


def _with_way_out(reason: str, problem: StandardForm) -> str:
    """Return a refusal that names the method for discrete inputs where there are such."""
    words, way, _ = reason.rpartition("; use method=")
    if not (way and problem.set.discrete):
        return reason
    return f"{words}{way}'{RelaxAndRound.name}'."


def by_rule(problem: StandardForm, budget: Budget | None = None) -> tuple[Solver, str]:
    """Return the solver for a problem of this form, and why.

    On piecewise-linear networks steps of a set length cross the kinks at which line searches
    stall; on smooth ones curvature pays, and converges before a budget is over: the rest goes to a
    search for a better maximum. Measured in ``docs/benchmarks/solver_lab.md``.
    """
    whole, problem = problem, problem.l1_split or problem
    searched = problem.set.discrete and (
        problem.set.chooses_values or problem.constraints or problem.size <= SMALL
    )
    if searched:
        return RelaxAndRound(), "discrete inputs: the relaxation, rounded, and its neighbours"
    if not problem.differentiable:
        return COBYQA(), "a function without gradients"
    if problem.kept_rows.any():
        return TrustConstr(), "constraints on functions that every iterate must satisfy"
    if whole.distance is not None and problem.smooth is False:
        nearest = NearestPoint()
        if _refusal(nearest, whole) is None:
            what = "a nearest point under nonsmooth constraints on functions"
            if whole.distance.order != 2.0:
                return nearest, what
            searches = AugmentedLagrangian(), nearest
            methods = tuple(_finished(search, whole, prove=None) for search in searches)
            return Chain(methods=methods), what
    if problem.constraints:
        if problem.size <= SMALL and problem.smooth is not False:
            chain = Chain(prove=BranchAndBound(max_boxes=PROOF_BOXES))
            if _refusal(chain, problem) is None:
                return chain, "few variables, smooth constraints on functions: the next goes on"
        return _finished(AugmentedLagrangian(), problem), "constraints on functions"
    if problem.smooth is False:
        what = "a nonsmooth network (ReLU, max), whose kinks decreasing step sizes cross"
        return _finished(SuccessiveHalving(), problem), what
    local: Solver
    local, what = SPG(), "a smooth objective under a convex set"
    if problem.set.only_box:
        local, what = LBFGSB(), "a smooth objective under bounds alone"
    if budget is None or (budget.evaluations is None and budget.seconds is None):
        return local, what
    search = ConvergeAndSearch(local=local)
    return search, f"{what}: {local.name} until it converges, a search with the rest of the budget"


def _finished(search: Solver, problem: StandardForm, **settings: Any) -> Solver:
    """Return a search with linear programs as its last stage, where these can take the problem."""
    return SearchAndFinish(search=search, **settings) if pays(problem) else search
