"""The answer of a run as a picture."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes

from constrained_actmax.plotting.figures import VERMILION, close
from constrained_actmax.plotting.inputs import plot_input

if TYPE_CHECKING:
    from constrained_actmax.result import Result


def plot_result(result: Result, ax: Axes | Sequence[Axes] | np.ndarray | None = None) -> np.ndarray:
    """Draw the input that was found, with its objective, its value, and whether it is feasible.

    Parameters
    ----------
    result : Result
        What `maximize` returned.
    ax : matplotlib.axes.Axes or sequence of them, optional
        Where to draw, one for each input; by default a new figure.

    Returns
    -------
    numpy.ndarray of matplotlib.axes.Axes
        One for each input.
    """
    lower, upper = result.bounds
    axes = plot_input(result.x, result.layout, lower=lower, upper=upper, ax=ax)
    title = f"{result.objective} = {result.value:.4g}"
    style = {}
    if not result.feasible:
        title += "\nnot feasible"
        style = {"color": VERMILION}
    if len(axes) == 1:
        axes[0].set_title(title, **style)
    elif ax is None:
        axes[0].figure.suptitle(title, **style)
    return axes


def picture_data_url(result: Result, dots_per_inch: int = 60) -> str:
    """Return `plot_result` as a PNG in a ``data:`` address, for pages that stand alone."""
    axes = plot_result(result)
    figure = axes[0].figure
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dots_per_inch)
    close(figure)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
