"""How fast methods get to a good feasible value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from constrained_actmax.layout import Vector
from constrained_actmax.plotting.figures import quiet
from constrained_actmax.plotting.series import legend, look, panel, widths

#: Places along the cost axis at which quartiles are taken.
PLACES = 200


def plot_convergence(
    curves: Mapping[str, Sequence[tuple[Vector, Vector]]],
    *,
    unit: str = "model evaluations",
    objective: str = "value",
    ax: Axes | None = None,
) -> Axes:
    """Draw the best feasible value so far: the median over starts, and a band of the quartiles.

    Parameters
    ----------
    curves : dict of list of (numpy.ndarray, numpy.ndarray)
        By method, for each start: costs, ascending, and the best feasible value by then (NaN
        before the first feasible point).
    unit : str
        Of the costs.
    objective : str
        What the values are of.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        A curve begins where half of the starts have a feasible point, and its marker stands at
        its end.
    """
    ax = panel(ax, len(curves))
    for index, (name, starts) in enumerate(curves.items()):
        style = look(index)
        drawn = [(cost, best) for cost, best in starts if len(cost)]
        ends = [float(cost[-1]) for cost, _ in drawn]
        label = name if drawn else f"{name} (did not run)"
        line = ax.plot([], [], label=label, **widths(index, len(curves)), **style._asdict())[0]
        if not drawn:
            continue
        at = np.unique(np.linspace(min(c[0] for c, _ in drawn), float(np.median(ends)), PLACES))
        values = np.stack([_held(cost, best, at) for cost, best in drawn])
        seen = np.isfinite(values).mean(axis=0) >= 0.5
        if not seen.any():
            line.set_label(f"{name} (nothing feasible)")
            continue
        low, middle, high = np.nanquantile(values[:, seen], [0.25, 0.5, 0.75], axis=0)
        line.set_data(at[seen], middle)
        line.set_markevery([int(seen.sum()) - 1])
        if len(drawn) > 1:
            ax.fill_between(at[seen], low, high, color=style.color, alpha=0.15, linewidth=0)
    ax.relim()
    ax.autoscale_view()
    ax.set_xlabel(unit)
    ax.set_ylabel(f"best feasible {objective}")
    if unit != "seconds":
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    quiet(ax)
    legend(ax)
    return ax


def _held(cost: Vector, best: Vector, at: Vector) -> Vector:
    """Return the last value at or before each place; NaN before the first."""
    index = np.searchsorted(cost, at, side="right") - 1
    return np.where(index >= 0, best[np.maximum(index, 0)], np.nan)
