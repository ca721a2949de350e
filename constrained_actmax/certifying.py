"""The call that bounds what any allowed input can reach."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from numbers import Real
from typing import Any, TypedDict, overload

import numpy as np
from typing_extensions import Unpack

from constrained_actmax.certificate import Certificate
from constrained_actmax.certificates.branching import (
    MOST_BOXES,
    MOST_INPUTS,
    Search,
    certificate_of,
)
from constrained_actmax.certificates.contradiction import contradiction
from constrained_actmax.certificates.mixed_integer import mixed_integer_programs
from constrained_actmax.certificates.nearest_change import NearestChange
from constrained_actmax.certificates.programs import cases_of, linear_programs
from constrained_actmax.errors import RefusedError, SpecificationError, suggest
from constrained_actmax.layout import Vector
from constrained_actmax.oracles.oracle import Oracle
from constrained_actmax.problem import Problem
from constrained_actmax.quoting import quoted
from constrained_actmax.result import Budget, Result
from constrained_actmax.solvers.relax_and_round import RelaxAndRound
from constrained_actmax.solving import check_budget, check_target, solve
from constrained_actmax.starting_points import checked_seed

METHODS = ("auto", "branch-and-bound", "linear-bounds", "linear-program", "mixed-integer")
DEFAULT_BOXES = 20_000  # after which it ends where no budget is given
SEARCH_SHARE = 0.2  # of a budget, which the search for an input takes where none is given
#: That search on discrete inputs: it leaves the proof out.
DISCRETE_SEARCH = RelaxAndRound(most_boxes=1, kicks=1)


class Options(TypedDict, total=False):
    """The keywords of `certify`."""

    rtol: float
    atol: float
    budget: Budget | None
    target: float | None
    method: str
    seed: int | None
    callback: Callable[[Certificate], Any] | None


@overload
def certify(
    problem: Problem, result: Result | None = None, **options: Unpack[Options]
) -> Certificate: ...


@overload
def certify(
    problem: list[Problem] | tuple[Problem, ...],
    result: Sequence[Result | None] | None = None,
    **options: Unpack[Options],
) -> list[Certificate]: ...


def certify(
    problem: Problem | list[Problem] | tuple[Problem, ...],
    result: Result | Sequence[Result | None] | None = None,
    *,
    rtol: float = 1e-4,
    atol: float = 0.0,
    budget: Budget | None = None,
    target: float | None = None,
    method: str = "auto",
    seed: int | None = None,
    callback: Callable[[Certificate], Any] | None = None,
) -> Certificate | list[Certificate]:
    r"""Bound what any allowed input can reach, and prove the best input optimal where that works.

    Parameters
    ----------
    problem : Problem or list of Problem
        Model, objective, allowed inputs. Several, such as one for each image, are bounded one after
        the other; those of one `Oracle`, or of one model and objective, share what was compiled
        and read.
    result : Result or sequence of them, optional
        Of the same problem; its point is where the search begins, and it gets the certificate as
        `certificate`, saved with it.
    rtol, atol : float
        The bound is proven tight where the gap is at most ``atol + rtol * range``, with the range
        of the objective over the set (`Problem.scales`); for the distance to the nearest input
        (see Notes) ``atol + rtol * distance``.
    budget : Budget, optional
        For each problem: seconds, and evaluations of points tried; a fifth is for finding an input,
        where no result is given and it is needed. Without one, branch and bound ends after 20,000
        boxes.
    target : float, optional
        Ends where it is decided whether an allowed input has a larger value (a smaller one when
        minimising): ``certificate.verdict`` is then "proven" if none has, or "refuted", and "open"
        where the budget ended before. The gap then ends nothing. With or without a target it is
        "infeasible, proven" where no allowed input keeps the bounds on outputs.
    method : {"auto", "branch-and-bound", "linear-bounds", "linear-program", "mixed-integer"}
        "auto" halves boxes where at most ten inputs are free (a choice of one category counts as
        one), discrete ones first. Otherwise it takes the linear bound of the whole set, then the
        linear program of the network's relaxation, and then the mixed-integer one, until the gap is
        as asked or the budget is spent. The others end earlier.
    seed : int, optional
        Of the points tried besides; 0 by default.
    callback : callable, optional
        ``callback(certificate)`` after each batch of boxes, with both bounds so far; StopIteration,
        or True, ends the search.

    Returns
    -------
    Certificate, or list of Certificate
        Print it. After Ctrl-C, or at the end of the budget, with the bound so far.

    Raises
    ------
    RefusedError
        If the model has no structure that can be bounded, or the set is unbounded, or neither
        convex nor discrete; it says which operation or entry.
    BoundError
        If a feasible input exceeds the bound: a fault of the library.

    Notes
    -----
    Linear bounds of the network's outputs over boxes [1]_, and best-first branch and bound over the
    input, or a linear program over the set (HiGHS; Clarabel where it is curved) whose multipliers
    give the bound [2]_, or HiGHS's own bound of a mixed-integer program. The claim holds for the
    network with its own constants in float64, on the allowed set enlarged by the tolerances. It is
    "rigorous" where rounding errors are bounded too, and "solver" where it is HiGHS's word.

    A distance that is minimised under bounds on outputs (`Norm` with p = 1, 2 or inf, or
    `SquaredDistance`, of all inputs, over a convex set) is bounded by balls round its centre: where
    none of a ball's points satisfies the bounds on outputs, the distance is at least its radius,
    which is found by bisection. Few inputs are branched on instead, except for ``Norm(2)``.

    References
    ----------
    .. [1] Zhang, Weng, Chen, Hsieh and Daniel (2018), Efficient neural network robustness
       certification with general activation functions, NeurIPS.
    .. [2] Neumaier and Shcherbina (2004), Safe bounds in linear and mixed-integer linear
       programming, Mathematical Programming 99.

    Examples
    --------
    >>> import constrained_actmax as cax
    >>> model = cax.examples.load_model()
    >>> problem = cax.Problem(model, cax.Logit(7), [cax.Box(0, 1), cax.L1Ball(60)])
    >>> certificate = cax.certify(problem, budget=cax.Budget(seconds=2))
    >>> certificate.dual_bound >= certificate.best_value
    True
    >>> nearby = [cax.Box(0, 1), cax.LinfBall(0.001, center=cax.examples.reference("Shirt"))]
    >>> problem = cax.Problem(model, cax.Margin(6, link="softmax"), nearby, sense="minimize")
    >>> cax.certify(problem, target=0.0).verdict  # none of them is called anything but a shirt
    'proven'
    """
    several = isinstance(problem, list | tuple)
    problems: list[Any] = [*problem] if isinstance(problem, list | tuple) else [problem]
    results: list[Any] = [result] * len(problems)
    if several and result is not None:
        results = [*result] if isinstance(result, Sequence) else [result]
    if len(results) != len(problems):
        raise SpecificationError(
            f"certify: {len(problems)} problems need as many results, got {len(results)}."
        )
    for asked, known in zip(problems, results, strict=True):
        _require(asked, known)
    _check(method, rtol, atol)
    check_budget(budget)
    check_target(target)
    if callback is not None and not callable(callback):
        raise SpecificationError(f"certify: callback must be callable, got {quoted(callback)}.")
    limit = budget or Budget()
    certificates: list[Certificate] = []
    interrupted = False
    for asked, known in zip(problems, results, strict=True):
        impossible = contradiction(asked)
        if impossible is not None:
            certificates.append(_kept(impossible.certificate(None, 0.0), known))
            continue
        few = asked.set.free_inputs <= MOST_INPUTS
        how = "branch-and-bound" if method == "auto" and few else method
        make = NearestChange if _by_balls(asked, how == "branch-and-bound") else Search
        search: Search | NearestChange = make(
            asked,
            rtol=rtol,
            atol=atol,
            seed=checked_seed(seed or 0),
            seconds=limit.seconds,
            evaluations=limit.evaluations,
            target=target,
        )
        try:
            for _ in () if interrupted else _steps(search, how, known, budget):
                if callback is not None and _ends(callback, certificate_of(search)):
                    break
                if search.done or search.expired():
                    break
        except KeyboardInterrupt:
            interrupted = True
        certificates.append(_kept(certificate_of(search), known))
    return certificates if several else certificates[0]


def _kept(certificate: Certificate, result: Result | None) -> Certificate:
    """Return a certificate, which a result keeps."""
    if result is not None:
        object.__setattr__(result, "certificate", certificate)
    return certificate


def _require(problem: Any, result: Any) -> None:
    """Raise where something is no problem that can be bounded, or no result of it."""
    if not isinstance(problem, Problem):
        raise SpecificationError(
            "certify: expected Problem(model, objective, constraints), or a list of them, got "
            f"{type(problem).__name__}."
        )
    if result is not None and (
        not isinstance(result, Result) or result.layout.size != problem.size
    ):
        raise SpecificationError("certify: result must be a Result of the same problem.")
    if not (problem.set.convex or problem.set.discrete):
        raise RefusedError(
            f"certify bounds convex and discrete sets, and {problem.set} is neither; hold its "
            "entries with Fixed."
        )


def _check(method: str, rtol: float, atol: float) -> None:
    if method not in METHODS:
        raise SpecificationError(f"certify: no method {method!r}. {suggest(method, METHODS)}")
    for name, value in (("rtol", rtol), ("atol", atol)):
        if not (isinstance(value, Real) and np.isfinite(value) and value >= 0.0):
            raise SpecificationError(f"certify: {name} must be a number >= 0, got {quoted(value)}.")


def _by_balls(problem: Problem, branches: bool) -> bool:
    """Whether a distance is bounded by balls: boxes take few inputs, and no square root."""
    if problem.distance is None or not problem.set.convex:
        return False
    oracle = problem.user_oracle
    return not branches or (isinstance(oracle, Oracle) and oracle.structure_refusal() is not None)


def _steps(
    search: Search | NearestChange, method: str, result: Result | None, budget: Budget | None
) -> Iterator[None]:
    """Begin with points, and improve the bound step by step."""
    points = [] if result is None else [result.flat]
    if search.target is not None and isinstance(search, Search):
        search.try_points(np.array(points))
        search.step(1)  # mostly takes less than a search for an input, and often decides
        yield
    if result is None and (search.problem.constraints or method != "branch-and-bound"):
        points.append(_input(search, budget))
    search.begin(np.array(points).reshape(-1, search.problem.size))
    improve = partial(_improvements, limited=budget is None)
    yield from (
        improve(search, method) if isinstance(search, Search) else search.steps(improve, method)
    )


def _improvements(search: Search, method: str, limited: bool) -> Iterator[None]:
    """Improve the bound step by step: by boxes, or by one relaxation after the other."""
    size, branches = 1, method == "branch-and-bound"
    while not search.done and not search.expired():
        if search.root is None or branches:
            search.step(size)
            yield
        if not branches or search.spent:
            break
        if limited and search.state.nodes >= DEFAULT_BOXES:
            break
        size = min(MOST_BOXES, 2 * size)
    if method not in ("auto", "linear-program", "mixed-integer") or search.root is None:
        return
    cases = cases_of(search)
    if any(case.refusal is not None for case in cases):
        return
    bounds = linear_programs(search, cases)
    yield
    if method != "linear-program" and not search.done:
        mixed_integer_programs(search, cases, bounds)
        yield


def share_of(budget: Budget, starts: int = 1) -> Budget:
    """Return what a search for an input from so many starts may take of a budget."""
    return Budget(
        evaluations=None
        if budget.evaluations is None
        else max(starts, int(SEARCH_SHARE * budget.evaluations)),
        seconds=None if budget.seconds is None else SEARCH_SHARE * budget.seconds,
    )


def rest_of(budget: Budget, result: Result) -> Budget:
    """Return what a search has left of a budget, at least what a share of it is."""
    least = share_of(budget)
    return Budget(
        evaluations=None
        if budget.evaluations is None
        else max(least.evaluations or 1, budget.evaluations - result.nfev),
        seconds=None
        if budget.seconds is None
        else max(least.seconds or 0.0, budget.seconds - result.seconds),
    )


def _input(search: Search | NearestChange, budget: Budget | None) -> Vector:
    """Return an input that a search with a share of the budget finds."""
    problem = search.problem
    result = solve(
        problem,
        method="auto" if problem.set.convex else DISCRETE_SEARCH,
        seed=search.seed,
        budget=None if budget is None else share_of(budget),
        target=search.target,
        progress=False,
    )
    return result.flat


def _ends(callback: Callable[[Certificate], Any], certificate: Certificate) -> bool:
    try:
        return callback(certificate) is True
    except StopIteration:
        return True
