"""Where new figures come from, and the colours that every picture uses."""

from __future__ import annotations

import sys
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

# Okabe and Ito (2008): told apart by the colour-blind, and readable on white and on black.
BLUE = "#0072B2"
ORANGE = "#E69F00"
VERMILION = "#D55E00"
GREEN = "#009E73"
PURPLE = "#CC79A7"
SKY = "#56B4E9"
CYCLE = (BLUE, ORANGE, GREEN, VERMILION, PURPLE, SKY)
GREY = "#888888"  # the same contrast on white as on black


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure of this size in inches.

    It is pyplot's where the user works with pyplot, so that ``plt.show()`` shows it; otherwise it
    belongs to nobody and goes with its last reference.
    """
    pyplot: Any = sys.modules.get("matplotlib.pyplot")
    if pyplot is not None:
        figure: Figure = pyplot.figure(figsize=(width, height), layout="constrained")
        return figure
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def quiet(ax: Axes) -> None:
    """Take away the frame's upper and right line."""
    ax.spines["top"].set_visible(False)
    ax.spines["right"].set_visible(False)


def close(figure: Any) -> None:
    """Let pyplot forget a figure that nobody will show."""
    pyplot: Any = sys.modules.get("matplotlib.pyplot")
    if pyplot is not None:
        pyplot.close(figure)
