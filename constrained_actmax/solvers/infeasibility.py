"""A proof that no input keeps all bounds on functions: before a search, and after a vain one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.optimize import linprog
from typing_extensions import override

from constrained_actmax.certificate import Certificate
from constrained_actmax.certificates.allowed import ACCURATE
from constrained_actmax.certificates.branching import Array, Search, certificate_of
from constrained_actmax.certificates.contradiction import contradiction, side_named
from constrained_actmax.errors import RefusedError
from constrained_actmax.layout import Vector
from constrained_actmax.problem import Problem
from constrained_actmax.result import PROVEN_INFEASIBLE, Status, Termination
from constrained_actmax.solvers.branch_and_bound import BranchAndBound, affordable_boxes
from constrained_actmax.tasks.recording import Recording

#: How a start ends that says nothing of what else there is.
OTHER = (Status.INTERRUPTED, Status.NON_FINITE)
#: Cutting planes for the multipliers, the decimals that are kept of them, and boxes of one batch.
CUTS, DIGITS, BATCH = 50, 4, 64
#: Decrease of the bound, relative, below which its multipliers are good enough.
ENOUGH = 1e-4
CERTIFICATE = (
    f"{PROVEN_INFEASIBLE} by a separating certificate: at every point of the set the violations, "
    "over what each function changes, with multipliers {}, sum to at least"
)
PROOF = f"{PROVEN_INFEASIBLE}: no point of the set keeps all bounds on functions"
#: Share of the seconds of a call that is kept for the proof until there is a feasible point.
SHARE = 0.2


class FeasibilitySearch(Search):
    """Bound, box by box, the constraint that the middle of the set violates most.

    A box is finished where that constraint cannot be met, or together with the others cannot.
    The objective, whose size may be any, has no part in it.

    Parameters
    ----------
    problem : Problem
        In the user's units.
    seconds : float or None
        As for `Search`.
    """

    def __init__(self, problem: Problem, seconds: float | None) -> None:
        target = -np.inf if problem.sense == "maximize" else np.inf
        super().__init__(problem, rtol=0.0, seconds=seconds, target=target, tries=False)

    @override
    def _combinations(self) -> tuple[Array, Vector]:
        rows, limits = self._limits(1)
        if not len(limits):
            return super()._combinations()
        middle = 0.5 * (self.allowed.lower + self.allowed.upper)
        first = self._most_violated(rows, limits, middle, 1)
        self.target = self.sign * float(np.nextafter(limits[first], -np.inf))
        return np.concatenate([rows[first : first + 1], rows]), limits

    @override
    def certificate(self, x: Vector | None, slack: float) -> Certificate:
        return replace(super().certificate(x, slack), target=None)


class Infeasibility:
    """What is known of whether any point keeps all bounds on functions.

    It takes no evaluation. Before a search: bounds that exclude each other whatever the functions
    are, and, where no probe is feasible, linear bounds of the network's outputs over the whole set,
    whose multipliers are the certificate where they separate it from the bounds. After a search
    that found no feasible point: of few inputs, over as many boxes as `auto` spends on the proof of
    an optimum. Where that shows nothing, the ends stay.

    Parameters
    ----------
    problem : Problem
        What was asked.
    run : Recording
        Its task, which keeps the certificate, and seconds for the rest of the proof.
    """

    def __init__(self, problem: Problem, run: Recording) -> None:
        self._problem, self._run = problem, run
        self._search: Search | None = None
        self._boxes = 0
        self._begins = bool(problem.constraints)

    def at_once(self) -> str:
        """Return a proof in words where there is one before any search; or nothing."""
        problem, run = self._problem, self._run
        impossible = contradiction(problem)
        if impossible is not None:
            run.proof = impossible
            return f"{PROVEN_INFEASIBLE}: {impossible.words}."
        if not problem.constraints or not problem.scales.evaluations or self._feasible_probe:
            return ""
        words = self._begun()
        if self._search is not None and not (words or self._search.done) and self._boxes > 1:
            run.keep_for_proof(SHARE)
        return words

    @property
    def _feasible_probe(self) -> bool:
        return self._problem.scales.best is not None

    def _begun(self) -> str:
        """Bound the outputs over the whole set; return a proof in words, or nothing."""
        problem, run = self._problem, self._run
        self._begins = False
        if BranchAndBound().refusal(problem) is not None:
            return ""
        self._boxes = affordable_boxes(problem)
        if not self._boxes:
            return ""
        seconds = None if run.seconds_left is None else SHARE * run.seconds_left
        try:
            search = FeasibilitySearch(problem, seconds)
            search.step(1)
            words = _separating(problem, search)
        except RefusedError:  # what the set or the structure turns out not to have
            return ""
        self._search = search
        return self._shown(words)

    def _shown(self, words: str) -> str:
        """Return the proof that a search has come to, in words, and let the run keep it."""
        search = self._search
        assert search is not None
        if not (words or search.done):
            return ""
        search.tighten(-np.inf)
        self._run.proof = search
        return words or f"{PROOF} ({certificate_of(search).how})."

    def afterwards(self, ended: list[Termination]) -> list[Termination]:
        """Return the ends of starts, with a proof where none has a feasible point.

        Parameters
        ----------
        ended : list of Termination
            How each start ended.
        """
        run = self._run
        run.keep_for_proof(0.0)
        known = None if run.proof is None else run.proof.certificate(None, 0.0)
        if known is not None and known.infeasible:
            return _proven(ended, f"{PROOF} ({known.how}).")
        feasible = any(run.best(start) is not None for start in range(len(ended)))
        feasible = feasible or self._feasible_probe
        if feasible or run.out_of_time or any(end.status in OTHER for end in ended):
            return ended
        words = self._begun() if self._begins else ""
        search = self._search
        if search is None:
            return ended
        search.allow(run.seconds_left)
        while not (words or search.done or search.expired()) and search.state.nodes < self._boxes:
            search.step(min(BATCH, self._boxes - search.state.nodes))
        words = words or self._shown("")
        return _proven(ended, words) if words else ended


def _proven(ended: list[Termination], words: str) -> list[Termination]:
    """Return the ends with a proof in place of their words; one that says so already stays."""
    return [
        end
        if end.status in OTHER or end.detail.startswith(PROVEN_INFEASIBLE)
        else replace(end, status=Status.INFEASIBLE, detail=words)
        for end in ended
    ]


def _separating(problem: Problem, search: Search) -> str:
    r"""Return a sentence on multipliers under which the violations cannot vanish, or nothing.

    With :math:`h_j \ge b_j - a_j^\top x` over C, exactly so where the functions are affine,

    .. math:: \max_{\lambda \ge 0,\, \sum_j \lambda_j = 1}\; \min_{x \in C}
              \sum_j \lambda_j (b_j - a_j^\top x) / k_j

    is the dual of the least violation; it is solved by cutting planes [1]_. Where it is above zero
    no point of C keeps all bounds.

    References
    ----------
    .. [1] Kelley (1960), The cutting-plane method for solving convex programs, J. SIAM 8, 703-712.
    """
    root = search.root
    if root is None or not len(search.limits):
        return ""
    outputs = np.abs(search.rows[1:]).argmax(axis=1) - 1
    sizes = problem.imposed_sizes[outputs]
    slopes = root.slopes[0, 1:] / sizes[:, np.newaxis]
    offsets = (root.offsets[0, 1:] - search.limits) / sizes
    if not (np.isfinite(slopes).all() and np.isfinite(offsets).all()):
        return ""
    allowed, count = search.allowed, len(sizes)
    box = allowed.lower[np.newaxis], allowed.upper[np.newaxis]
    weights, best, cuts = np.full(count, 1.0 / count), np.inf, np.empty((0, count))
    multipliers = weights
    for _ in range(CUTS if count > 1 else 1):
        g = (weights @ slopes)[np.newaxis]
        top, x = allowed.maximum(g, *box, effort=ACCURATE)
        value = float(top[0] + weights @ offsets)
        if value < best:
            best, multipliers = value, weights
        cuts = np.vstack([cuts, slopes @ x[0] + offsets])
        least = linprog(
            np.append(np.zeros(count), 1.0),
            np.hstack([cuts, -np.ones((len(cuts), 1))]),
            np.zeros(len(cuts)),
            np.append(np.ones((1, count)), [[0.0]], axis=1),
            [1.0],
            bounds=[(0.0, None)] * count + [(None, None)],
            method="highs",
        )
        if least.status != 0 or least.fun >= best - ENOUGH * abs(best) or least.fun >= 0.0:
            break
        weights = np.maximum(least.x[:-1], 0.0)
        weights = weights / weights.sum()
    multipliers = np.round(multipliers, DIGITS)  # as they are printed
    violation = -search.largest(multipliers @ slopes, float(multipliers @ offsets))
    shown = np.floor(violation * 10.0**DIGITS) / 10.0**DIGITS
    if not shown > 0.0:
        return ""
    texts = [
        f"{weight:g} for {side_named(problem, output, search.rows[1 + row, 1 + output])}"
        for row, (weight, output) in enumerate(zip(multipliers.tolist(), outputs, strict=True))
        if weight > 0.0
    ]
    return f"{CERTIFICATE.format(' and '.join(texts))} {shown:g}."
