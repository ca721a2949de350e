"""A value between what was found and what is proven."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from matplotlib.axes import Axes

from constrained_actmax.certificate import outward
from constrained_actmax.errors import SpecificationError
from constrained_actmax.plotting.figures import CYCLE, GREY, VERMILION, new_figure, quiet

if TYPE_CHECKING:
    from constrained_actmax.certificate import Certificate

#: Room on both sides, in gaps, and least, relative to the largest of the two numbers.
ROOM, LEAST_ROOM = 0.6, 1e-3


def plot_certificate(certificate: Certificate, ax: Axes | None = None) -> Axes:
    """Draw where the optimum may lie: between the best value found and the bound.

    Parameters
    ----------
    certificate : Certificate
        With a finite bound.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        The objective from left to right: no allowed input has a value in the hatched part.

    Raises
    ------
    SpecificationError
        If no bound is known, or no input is allowed.

    Examples
    --------
    >>> import constrained_actmax as cax
    >>> from constrained_actmax.plotting import plot_certificate
    >>> model = cax.examples.load_model()
    >>> problem = cax.Problem(model, cax.Logit(7), [cax.Box(0, 1), cax.L1Ball(10)])
    >>> ax = plot_certificate(cax.certify(problem, method="linear-bounds"))
    """
    bound, value = certificate.dual_bound, certificate.best_value
    if not math.isfinite(bound):
        raise SpecificationError(f"plot_certificate: there is no finite bound: {certificate}")
    if ax is None:
        ax = new_figure(6.4, 1.7).subplots()
    known = math.isfinite(value)
    gap = abs(bound - value) if known else 0.0
    room = max(ROOM * gap, LEAST_ROOM * max(abs(bound), abs(value) if known else 0.0)) or 1.0
    upward = certificate.sense == "maximize"
    beyond = bound + (2.0 * room if upward else -2.0 * room)
    ax.axvspan(*sorted((bound, beyond)), color=GREY, alpha=0.25, hatch="//", linewidth=0)
    ax.axvline(bound, color=VERMILION, linewidth=2)
    words = [(bound, f"proven bound\n{outward(bound, 5, upward)}", VERMILION, upward)]
    if known:
        ax.axvspan(*sorted((bound, value)), color=VERMILION, alpha=0.12, linewidth=0)
        ax.axvline(value, color=CYCLE[0], linewidth=2)
        words.append((value, f"best found\n{value:.5g}", CYCLE[0], not upward))
    for index, text, colour, right in words:
        ax.annotate(
            text,
            (index, 0.5),
            (6 if right else -6, 0),
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            ha="left" if right else "right",
            va="center",
            color=colour,
        )
    far = (value if known else bound) - (2.0 * room if upward else -2.0 * room)
    ax.set_xlim(*sorted((far, beyond)))
    ax.set_yticks([])
    ax.set_xlabel(certificate.objective)
    ax.set_title(_words(certificate), fontsize="medium")
    quiet(ax)
    ax.spines["left"].set_visible(False)
    return ax


def _words(certificate: Certificate) -> str:
    """Return what a certificate says, in one short line."""
    if math.isnan(certificate.best_value):
        return "no feasible input is known"
    share = f"gap {certificate.gap:.2g}"
    if certificate.relative_gap <= 1.0:
        share += f", {certificate.share}"
    if certificate.target is not None:
        return f"{certificate.verdict}: target {certificate.target:.5g}; {share}"
    return f"{'proven optimal' if certificate.proven else 'the optimum is in between'}: {share}"
