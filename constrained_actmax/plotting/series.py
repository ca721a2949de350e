"""How the lines of several methods are told apart: colour, dashes and marker together."""

from __future__ import annotations

from typing import Any, NamedTuple

from matplotlib.axes import Axes

from constrained_actmax.plotting.figures import CYCLE, new_figure

#: Side by side with the colours, so that no two of the first 24 lines look alike without colour.
DASHES: tuple[Any, ...] = ("-", "--", "-.", ":")
MARKERS = ("o", "s", "^", "D", "v", "P")
#: A point that breaks a constraint, whatever its series.
INFEASIBLE = "x"


class Look(NamedTuple):
    """The look of one series."""

    color: str
    linestyle: Any
    marker: str


def look(index: int) -> Look:
    """Return the look of the series of this number."""
    colours = len(CYCLE)
    return Look(
        CYCLE[index % colours],
        DASHES[(index + index // colours) % len(DASHES)],
        MARKERS[(index + index // colours) % len(MARKERS)],
    )


def widths(index: int, count: int) -> dict[str, Any]:
    """Return line width and marker size: later lines are thinner, so that equal ones both show."""
    share = index / max(1, count - 1)
    return {"linewidth": 3.2 - 1.8 * share, "markersize": 8.0 - 4.0 * share}


def panel(ax: Axes | None, entries: int, height: float = 3.6) -> Axes:
    """Return the given axes, or those of a new figure with room for a legend of so many entries."""
    if ax is not None:
        return ax
    axes: Axes = new_figure(4.8, height + 0.2 * min(entries, 12)).subplots()
    return axes


def legend(ax: Axes) -> None:
    """Put the legend under the axes."""
    handles, labels = ax.get_legend_handles_labels()
    if not handles:
        return
    longest = max(len(label) for label in labels)
    columns = 1 if longest > 28 else 2
    ax.legend(
        handles,
        labels,
        loc="upper center",
        bbox_to_anchor=(0.5, -0.16),
        ncols=min(columns, len(labels)),
        fontsize=9,
        frameon=False,
    )
