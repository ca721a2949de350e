"""What several methods found, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from constrained_actmax.errors import SpecificationError
from constrained_actmax.layout import Layout, Vector
from constrained_actmax.plotting.figures import VERMILION, new_figure, quiet
from constrained_actmax.plotting.images import image_size, pixel_range
from constrained_actmax.plotting.inputs import kind_of, plot_input


def plot_final_inputs(
    panels: Sequence[tuple[str, Vector, float, bool]],
    layout: Layout,
    *,
    lower: Vector,
    upper: Vector,
    columns: int = 4,
) -> np.ndarray:
    """Draw one panel for each method: its input, name and value.

    Parameters
    ----------
    panels : sequence of (str, numpy.ndarray, float, bool)
        Name, flat input (n,), value, and whether it is feasible.
    layout : Layout
        Names and shapes; of several inputs, the first is drawn.
    lower, upper : numpy.ndarray
        Flat bounds; finite ones are the range of grey values, the same in all panels.
    columns : int, default 4
        How many side by side.

    Returns
    -------
    numpy.ndarray of matplotlib.axes.Axes
        One for each panel. Those of points that break a constraint have a dashed frame and say so.
    """
    if not panels:
        raise SpecificationError("plot_final_inputs: there is nothing to draw.")
    input_ = layout.inputs[0]
    part = layout.slices[input_.name]
    image = kind_of(input_) in ("grey", "colour")
    columns = max(1, min(columns, len(panels))) if image else 1
    rows = -(-len(panels) // columns)
    size = (1.75, 2.05) if image else (6.0, 2.2 if kind_of(input_) == "line" else 3.2)
    figure = new_figure(max(2.2, size[0] * columns), size[1] * rows)
    axes = np.asarray(figure.subplots(rows, columns, squeeze=False)).ravel()
    for ax, (name, x, value, feasible) in zip(axes, panels, strict=False):
        if image:
            _picture(ax, input_.shape, x[part], lower[part], upper[part])
        else:
            plot_input(
                x[part].reshape(input_.shape),
                Layout((input_,)),
                lower=lower[part],
                upper=upper[part],
                ax=ax,
            )
            quiet(ax)
        words = f"{name}\n{value:.4g}" + ("" if feasible else ", not feasible")
        ax.set_title(words, fontsize=9)
        if not feasible:
            ax.title.set_color(VERMILION)
            for spine in ax.spines.values():
                spine.set(linestyle="--", color=VERMILION, linewidth=1.5, visible=True)
    for ax in axes[len(panels) :]:
        ax.set_visible(False)
    return axes[: len(panels)]


def _picture(ax: Any, shape: tuple[int, ...], x: Vector, lower: Vector, upper: Vector) -> None:
    pixels = x.reshape(shape)
    low, high = pixel_range(lower, upper, x)
    size = image_size(pixels.shape)
    if size is None:
        pixels = pixels.mean(axis=-1)
    elif size[2] == 1:
        pixels = pixels.reshape(size[:2])
    shown = np.clip((pixels - low) / (high - low), 0.0, 1.0)
    ax.imshow(shown, cmap="gray", vmin=0.0, vmax=1.0, interpolation="nearest")
    ax.set_xticks([])
    ax.set_yticks([])
