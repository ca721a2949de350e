"""The optimum against a budget."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

from constrained_actmax.layout import Vector
from constrained_actmax.plotting.figures import BLUE, ORANGE, VERMILION, quiet
from constrained_actmax.plotting.series import INFEASIBLE, legend, panel

#: Length of a slope's mark, as a share of the axis.
SLOPE_SHARE = 0.04


def plot_tradeoff(
    radii: Vector,
    values: Vector,
    multipliers: Vector,
    feasible: np.ndarray,
    *,
    objective: str = "value",
    constraint: str = "budget",
    ax: Axes | None = None,
) -> Axes:
    """Draw the best value for each radius, and the multiplier there as a short slope.

    Parameters
    ----------
    radii, values : numpy.ndarray, shape (K,)
        The curve.
    multipliers : numpy.ndarray, shape (K,)
        Slopes; NaN where unknown.
    feasible : numpy.ndarray of bool, shape (K,)
        Points that are not are crosses.
    objective, constraint : str
        For the axes.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        The axes.
    """
    ax = panel(ax, 2)
    ax.plot(radii, values, "-", color=BLUE, linewidth=1.2)
    ax.plot(radii[feasible], values[feasible], "o", color=BLUE, label="optimum found")
    if not feasible.all():
        ax.plot(
            radii[~feasible],
            values[~feasible],
            INFEASIBLE,
            color=VERMILION,
            label="breaks a constraint",
        )
    half = SLOPE_SHARE * (float(np.ptp(radii)) or 1.0)
    label: str | None = "multiplier, as slope"
    for r, v, slope in zip(radii, values, multipliers, strict=True):
        if np.isfinite(slope):
            ends = np.array([-half, half])
            ax.plot(r + ends, v + slope * ends, color=ORANGE, linewidth=2.6, label=label, zorder=3)
            label = None
    ax.set_xlabel(f"radius of {constraint}")
    ax.set_ylabel(f"best {objective}")
    quiet(ax)
    legend(ax)
    return ax
