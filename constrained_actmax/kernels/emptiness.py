"""Whether an intersection is empty, and which of its constraints clash."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from constrained_actmax.errors import InfeasibleError, ProjectionError
from constrained_actmax.kernels.box import BoxKernel
from constrained_actmax.kernels.components import Direct, Piece, Separable
from constrained_actmax.kernels.convex_program import (
    LARGEST,
    common_box,
    entry_sizes,
    names_of,
    relaxed,
    unlike_units,
)
from constrained_actmax.kernels.kernel import Kernel
from constrained_actmax.kernels.mixed import Mixed, Union
from constrained_actmax.kernels.relative import finite_widths
from constrained_actmax.layout import Vector

if TYPE_CHECKING:
    from constrained_actmax.kernels.intersection import IntersectionKernel

TOUCHING = 1e-12  # relative excess below which a set and a box still touch
ELASTIC = 1e-7  # relative slack that a solver must find before a clash is believed
HALVINGS = 60
SMALL = 1e-3  # a share of the largest number below which a solver's tolerances are felt


def explain(whole: IntersectionKernel) -> None:
    """Raise InfeasibleError if the bound intersection is empty, naming a smallest clash."""
    boxes = [member for member in whole.members if member.is_box]
    lower, upper = whole.bounds()
    if np.any(lower > upper):
        _explain_boxes(whole, boxes, lower, upper)
    for piece in whole.pieces:
        _explain_choices(whole, piece)
        if _is_empty(piece):
            couplings = [
                member
                for member in whole.members
                if not member.is_box and np.intersect1d(member.support, piece.indices).size
            ]
            near = [box for box in boxes if np.intersect1d(box.support, piece.indices).size]
            raise InfeasibleError(_report(whole, [*near, *couplings]))


def is_empty(whole: IntersectionKernel) -> bool:
    """Say whether a bound intersection of convex sets is empty."""
    lower, upper = whole.bounds()
    return bool(np.any(lower > upper)) or any(_is_empty(piece) for piece in whole.pieces)


def _explain_boxes(
    whole: IntersectionKernel, boxes: Sequence[Kernel], lower: Vector, upper: Vector
) -> None:
    worst = int(np.argmax(lower - upper))
    above = max(boxes, key=lambda box: float(box.bounding_box()[0][worst]))
    below = min(boxes, key=lambda box: float(box.bounding_box()[1][worst]))
    gap = lower[worst] - upper[worst]
    raise InfeasibleError(
        f"No input satisfies {above} and {below}: at {whole.layout.describe(worst)} one asks for "
        f">= {lower[worst]:g} and the other for <= {upper[worst]:g}; either would have to give "
        f"{gap:g} there ({int(np.sum(lower > upper))} such entries)."
    )


def _explain_choices(whole: IntersectionKernel, piece: Piece) -> None:
    """Say which discrete values are missing in a piece, where there are none."""
    named = [
        member for member in whole.members if np.intersect1d(member.support, piece.indices).size
    ]
    names = " and ".join(str(kernel) for kernel in named)
    for kernel, at in Union(piece.members).discrete:
        missing = kernel.emptiness(piece.lower[at], piece.upper[at])
        if missing is not None:
            entry_name = whole.layout.describe(int(piece.indices[at[missing[0]]]))
            raise InfeasibleError(
                f"No input satisfies {names} together: at {entry_name} {missing[1]}."
            )
    if isinstance(piece, Mixed) and piece.empty():
        raise InfeasibleError(
            f"No input satisfies {names} together: no choice of the discrete values is left, as "
            "branch and bound over them shows."
        )


def _is_empty(piece: Piece) -> bool:
    if isinstance(piece, Mixed) or (not piece.bounded and isinstance(piece, Direct)):
        return False
    if len(piece.members) == 1:
        violation = _violation(piece.members[0], piece.lower, piece.upper)
        if violation is not None:
            return _exceeds(piece.members[0], violation, piece.lower, piece.upper)
    if isinstance(piece, Direct) or (isinstance(piece, Separable) and piece.holds_a_point()):
        return False
    if len(piece.indices) > LARGEST:
        return False  # the projection itself will say
    return _slack(piece.members, (), piece.lower, piece.upper)[0] > ELASTIC


def _violation(kernel: Kernel, lower: Vector, upper: Vector) -> float | None:
    """Return by how much the best point of a box breaks a set's inequality; None if unknown."""
    pair = kernel.in_box(lower, upper)
    return None if pair is None else pair.violation


def _exceeds(kernel: Kernel, violation: float, lower: Vector, upper: Vector) -> bool:
    """Say whether the excess of a set in a box is more than the rounding of sums over entries."""
    at = entry_sizes((kernel,), lower, upper)
    return violation > TOUCHING * len(lower) * float(kernel.scale(at)[0])


def _slack(
    giving: Sequence[Kernel], hard: Sequence[Kernel], lower: Vector, upper: Vector
) -> tuple[float, Vector | None]:
    """Return the smallest relative slack with which all giving sets meet the box, and where.

    Entries in unlike units are measured in their own too, before a clash is believed.
    """
    outcome = _slack_in(giving, hard, lower, upper, None)
    units = None
    if outcome[0] > ELASTIC:
        units = unlike_units(finite_widths(*common_box((*giving, *hard), lower, upper)))
    if units is None:
        return outcome
    return min(outcome, _slack_in(giving, hard, lower, upper, units), key=_first)


def _slack_in(
    giving: Sequence[Kernel],
    hard: Sequence[Kernel],
    lower: Vector,
    upper: Vector,
    units: Vector | None,
) -> tuple[float, Vector | None]:
    import cvxpy as cp

    from constrained_actmax.kernels.cone_program import ConeProgram

    n = len(lower)
    at = entry_sizes((*giving, *hard), lower, upper)
    scaled, slack = cp.Variable(n), cp.Variable(nonneg=True)
    variable = scaled if units is None else cp.multiply(units, scaled)
    sized = [pair for kernel in giving for pair in kernel.sized_rows(variable, at)]
    rows = relaxed(sized, slack)
    rows += [row for kernel in hard for row in kernel.to_cvxpy(variable)]
    rows += BoxKernel(lower, upper).to_cvxpy(variable)
    problem = cp.Problem(cp.Minimize(slack), rows)
    report: list[str] = []
    solver = ConeProgram(problem, scaled)
    least, largest = solver.sizes()
    if solver.solved(largest, report):
        outcome = float(problem.value), np.asarray(variable.value)
        # Sets that are small beside others' bounds are measured in their own units too.
        if outcome[0] > ELASTIC and least < SMALL * largest and solver.solved(least):
            outcome = min(outcome, (float(problem.value), np.asarray(variable.value)), key=_first)
        return outcome
    if problem.status in (cp.INFEASIBLE, cp.INFEASIBLE_INACCURATE):
        return float("inf"), None
    names = names_of((*giving, *hard))
    raise ProjectionError(f"{names}: cannot tell whether it is empty ({'; '.join(report)}).")


def _first(outcome: tuple[float, Vector | None]) -> float:
    return outcome[0]


def _give(kernel: Kernel, others: IntersectionKernel) -> float:
    """Return how much one set has to give before it meets the others."""
    couplings = [member for member in others.members if not member.is_box]
    lower, upper = others.bounds()
    if kernel.is_box and len(couplings) == 1:
        own_lower, own_upper = kernel.bounding_box()

        def missing(slack: float) -> float | None:
            low, high = np.maximum(lower, own_lower - slack), np.minimum(upper, own_upper + slack)
            return _violation(couplings[0], low, high)

        now = missing(0.0)
        if now is not None:
            return _smallest_slack(missing, now) if now > 0.0 else 0.0
    if not kernel.is_box and not couplings:
        violation_ = _violation(kernel, lower, upper)
        if violation_ is not None:
            return max(0.0, violation_)
    if np.any(lower > upper):
        return float("inf")
    _, nearest = _slack((kernel,), couplings, lower, upper)
    return float("inf") if nearest is None else float(kernel.violation(nearest[np.newaxis])[0])


def _smallest_slack(violation: Callable[[float], float | None], start: float) -> float:
    def meets(slack: float) -> bool:
        value = violation(slack)
        return value is not None and value <= 0.0

    high = start
    for _ in range(HALVINGS):
        if meets(high):
            break
        high *= 2.0
    else:
        return float("inf")
    low = 0.0
    for _ in range(HALVINGS):
        middle = 0.5 * (low + high)
        if meets(middle):
            high = middle
        else:
            low = middle
    return high


def _report(whole: IntersectionKernel, members: Sequence[Kernel]) -> str:
    # A smallest clashing subset: leave out each member in turn, for good if the rest still clash.
    clashing = list(members)
    for member in members:
        rest = [other for other in clashing if other is not member]
        if rest and is_empty(replace(whole, members=tuple(rest))):
            clashing = rest
    gives = []
    for member in clashing:
        others = tuple(other for other in clashing if other is not member)
        amount = _give(member, replace(whole, members=others))
        if np.isfinite(amount):
            gives.append(f"{member} by {amount:.4g} ({member.violation_norm})")
    names = " and ".join(str(kernel) for kernel in clashing)
    if len(clashing) == 1:
        return f"No input satisfies {names}: it is empty." + (
            f" It would have to give {gives[0]}." if gives else ""
        )
    ways = ", or ".join(gives)
    return f"No input satisfies {names} together. To meet, one would have to give: {ways}."
