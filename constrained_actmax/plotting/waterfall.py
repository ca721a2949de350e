"""How much the final value depends on the start."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from constrained_actmax.layout import Vector
from constrained_actmax.plotting.figures import GREY, quiet
from constrained_actmax.plotting.series import INFEASIBLE, legend, look, panel, widths


def plot_waterfall(
    values: Mapping[str, tuple[Vector, np.ndarray]],
    *,
    larger: bool = True,
    objective: str = "value",
    ax: Axes | None = None,
) -> Axes:
    """Draw the final values of all starts of each method, best first.

    Parameters
    ----------
    values : dict of (numpy.ndarray, numpy.ndarray of bool)
        By method, for each start: the value, and whether the point is feasible.
    larger : bool, default True
        Whether larger is better.
    objective : str
        What the values are of.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        Crosses are points that break a constraint; they stand after the feasible ones.
    """
    ax = panel(ax, len(values) + 1)
    broken = False
    for index, (name, (reached, feasible)) in enumerate(values.items()):
        style = look(index)
        if not len(reached):
            ax.plot([], [], label=f"{name} (did not run)", **style._asdict())
            continue
        order = np.lexsort((-reached if larger else reached, ~feasible))
        reached, kept = reached[order], feasible[order]
        at = np.arange(1, len(reached) + 1)
        size = widths(index, len(values))["markersize"]
        ax.plot(at, reached, color=style.color, linestyle=style.linestyle, linewidth=0.8)
        ax.plot(at[kept], reached[kept], style.marker, color=style.color, markersize=size)
        ax.plot(at[~kept], reached[~kept], INFEASIBLE, color=style.color, markersize=7)
        ax.plot([], [], label=name, **style._asdict())
        broken |= bool((~kept).any())
    if broken:
        ax.plot([], [], INFEASIBLE, color=GREY, label="breaks a constraint")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_xlabel("start, best first")
    ax.set_ylabel(f"final {objective}")
    quiet(ax)
    legend(ax)
    return ax
