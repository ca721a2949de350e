"""How a run came to its answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from constrained_actmax.layout import Vector
from constrained_actmax.plotting.figures import CYCLE, GREY, new_figure, quiet

if TYPE_CHECKING:
    from constrained_actmax.result import Result

#: Iterates with a larger relative violation are drawn hollow.
VISIBLE_VIOLATION = 1e-6


def plot_history(result: Result, ax: Axes | None = None) -> Axes:
    """Draw the objective against model evaluations, one colour a start.

    The thin line is the iterates, the thick one the best so far; iterates that break a constraint
    are hollow, and their value does not count. The dashed line is the value of the answer.

    Parameters
    ----------
    result : Result
        What `maximize` returned.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        The axes.
    """
    if ax is None:
        ax = new_figure(6.4, 3.6).subplots()
    history = result.history
    starts = np.asarray(history.start)
    rows, values = np.asarray(history.evaluations), np.asarray(history.value, dtype=np.float64)
    broken = np.asarray(history.violation, dtype=np.float64) > VISIBLE_VIOLATION
    different = np.unique(starts)
    for index, start in enumerate(different):
        mine = starts == start
        colour = CYCLE[index % len(CYCLE)]
        label = f"start {start}" if 1 < len(different) <= len(CYCLE) else None
        x, y, outside = rows[mine], values[mine], broken[mine]
        ax.plot(x, y, color=colour, linewidth=0.8, alpha=0.4)
        ax.plot(x, _best_so_far(y, outside, result.sense), color=colour, linewidth=1.6, label=label)
        ax.plot(x[outside], y[outside], "o", color=colour, markersize=4, markerfacecolor="none")
    if np.isfinite(result.value):
        ax.axhline(result.value, color=GREY, linestyle="--", linewidth=0.8)
    if broken.any():
        ax.plot([], [], "o", color=GREY, markerfacecolor="none", label="breaks a constraint")
    if ax.get_legend_handles_labels()[0]:
        ax.legend(fontsize="small")
    ax.set_xlabel("model evaluations")
    ax.set_ylabel(result.objective)
    ax.set_title(f"{result.method}: {result.value:.4g} after {result.nfev} evaluations")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    quiet(ax)
    return ax


def _best_so_far(values: Vector, outside: npt.NDArray[np.bool_], sense: str) -> Vector:
    """Return the best value of a feasible iterate up to each place; NaN before the first."""
    sign = 1.0 if sense == "maximize" else -1.0
    counted = np.where(outside | ~np.isfinite(values), -np.inf, sign * values)
    best = np.maximum.accumulate(counted)
    return np.where(np.isfinite(best), sign * best, np.nan)
