"""How far outside the constraints the returned arrays are."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes

from constrained_actmax.layout import Vector
from constrained_actmax.plotting.figures import BLUE, GREY, VERMILION, new_figure, quiet
from constrained_actmax.plotting.series import INFEASIBLE

#: Violations at or below this are drawn here, on the logarithmic axis.
FLOOR = 1e-16


def plot_violation(
    values: Mapping[str, Vector], *, tolerance: float = 1e-6, ax: Axes | None = None
) -> Axes:
    """Draw the largest relative violation of the array that each method returned, one mark a start.

    Parameters
    ----------
    values : dict of numpy.ndarray
        By method, one number a start.
    tolerance : float
        Up to which a point counts as feasible; crosses are beyond it, circles within.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        With a logarithmic axis whose left end stands for zero.
    """
    names = list(values)
    if ax is None:
        ax = new_figure(4.8, 1.4 + 0.3 * max(3, len(names))).subplots()
    for row, name in enumerate(names):
        shown = np.maximum(np.nan_to_num(values[name], nan=0.0), FLOOR)
        outside = shown > tolerance
        ax.plot(
            shown[~outside], np.full((~outside).sum(), row), "o", color=BLUE, markerfacecolor="none"
        )
        ax.plot(shown[outside], np.full(outside.sum(), row), INFEASIBLE, color=VERMILION)
        if not len(shown):
            ax.annotate("did not run", (FLOOR * 2, row), va="center", fontsize="small")
    ax.axvline(tolerance, color=GREY, linestyle="--", linewidth=0.8)
    ax.plot([], [], "o", color=BLUE, markerfacecolor="none", label="within tolerance")
    ax.plot([], [], INFEASIBLE, color=VERMILION, label="breaks a constraint")
    ax.set_xscale("log")
    ax.set_xlim(FLOOR / 3, max(10 * tolerance, 2 * float(ax.get_xlim()[1])))
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(max(3, len(names)) - 0.5, -0.6)
    ax.set_xlabel("largest relative violation, as returned")
    ax.legend(
        fontsize="small", loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=2, frameon=False
    )
    quiet(ax)
    return ax
