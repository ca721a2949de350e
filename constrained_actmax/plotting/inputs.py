"""One panel for each input of a model: grey, colour, line or labelled bars, after its shape."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes

from constrained_actmax.errors import SpecificationError
from constrained_actmax.layout import Input, Layout, Structure, Vector
from constrained_actmax.plotting.figures import BLUE, GREY, new_figure, quiet
from constrained_actmax.plotting.images import pixel_range

#: Up to this length, entries without names are bars; longer ones are a line.
LONGEST_BARS = 40
#: So many bars are readable; of more, those with the largest values are shown.
MOST_BARS = 60
#: Room for so many bars at least, so that one alone is no slab.
FEWEST_ROWS = 4
#: Bounds of features whose widths differ by more than this share no axis.
COMPARABLE_WIDTHS = 20.0
#: Beyond this ratio of its sides, an image is stretched to fill its panel.
LONGEST_SIDE = 6.0

Kind = Literal["grey", "colour", "bars", "line"]


def kind_of(input_: Input) -> Kind:
    """Return how an input is drawn, decided from its shape and the names of its columns."""
    shape = input_.shape
    if len(shape) >= 2 and shape[-1] == 1:
        shape = shape[:-1]
    if len(shape) == 3 and shape[-1] == 3:
        return "colour"
    if len(shape) in (2, 3) and min(shape[:2]) > 1:
        return "grey"
    long = input_.size > LONGEST_BARS
    return "line" if long and input_.feature_names is None else "bars"


def plot_input(
    x: Structure,
    layout: Layout | None = None,
    *,
    lower: Vector | None = None,
    upper: Vector | None = None,
    ax: Axes | Sequence[Axes] | np.ndarray | None = None,
) -> np.ndarray:
    """Draw one input of a model, one panel for each of its arrays.

    Parameters
    ----------
    x : array_like, list or dict of array_like
        The input in the model's structure, without a batch axis.
    layout : Layout, optional
        Names and shapes; needed for several inputs.
    lower, upper : numpy.ndarray, optional
        Flat bounds (n,), infinite where there is none. Finite ones are the range of grey values
        and colours, and are drawn beside bars and lines.
    ax : matplotlib.axes.Axes or sequence of them, optional
        Where to draw, one for each input; by default a new figure.

    Returns
    -------
    numpy.ndarray of matplotlib.axes.Axes
        One for each input; ``axes[0].figure.savefig(...)`` writes the picture.
    """
    if layout is None:
        layout = Layout.of_array(np.shape(x))
    flat = layout.flatten(x, "plot_input")
    low = np.full(layout.size, -np.inf) if lower is None else np.broadcast_to(lower, flat.shape)
    high = np.full(layout.size, np.inf) if upper is None else np.broadcast_to(upper, flat.shape)
    axes = _new_axes(layout) if ax is None else np.atleast_1d(np.asarray(ax, dtype=object)).ravel()
    if len(axes) != len(layout.inputs):
        raise SpecificationError(
            f"plot_input: {len(layout.inputs)} inputs need as many axes, got {len(axes)}."
        )
    draw = {"grey": _image, "colour": _image, "bars": _bars, "line": _line}
    for panel, input_ in zip(axes, layout.inputs, strict=True):
        part = layout.slices[input_.name]
        draw[kind_of(input_)](panel, input_, flat[part], low[part], high[part])
        if len(axes) > 1:
            panel.set_title(input_.name)
    return axes


def _new_axes(layout: Layout) -> np.ndarray:
    sizes = [_size(input_) for input_ in layout.inputs]
    figure = new_figure(sum(width for width, _ in sizes), max(height for _, height in sizes))
    axes = figure.subplots(1, len(sizes), squeeze=False, width_ratios=[width for width, _ in sizes])
    return np.asarray(axes).ravel()


def _size(input_: Input) -> tuple[float, float]:
    kind = kind_of(input_)
    if kind == "bars":
        return 5.0, 1.2 + 0.24 * min(max(input_.size, FEWEST_ROWS), MOST_BARS)
    if kind == "line":
        return 7.0, 3.0
    return 4.4, 4.0


def _image(ax: Axes, input_: Input, x: Vector, lower: Vector, upper: Vector) -> None:
    pixels = x.reshape(input_.shape)
    low, high = pixel_range(lower, upper, x)
    stretched = max(pixels.shape[:2]) > LONGEST_SIDE * min(pixels.shape[:2])
    aspect: Any = "auto" if stretched else "equal"
    if kind_of(input_) == "colour":
        ax.imshow(np.clip((pixels - low) / (high - low), 0, 1), aspect=aspect)
        label = None
    else:
        label = None
        if pixels.ndim == 3 and pixels.shape[-1] > 1:
            label = f"mean of {pixels.shape[-1]} channels"
            pixels = pixels.mean(axis=-1)
        drawn = ax.imshow(
            pixels.reshape(pixels.shape[:2]),
            cmap="gray",
            vmin=low,
            vmax=high,
            aspect=aspect,
            interpolation="nearest",
        )
        colours = ax.figure.colorbar(drawn, ax=ax, shrink=0.8)
        colours.ax.tick_params(labelsize="small")
    if input_.feature_names is not None and len(input_.shape) == 2:
        ax.set_xticks(range(len(input_.feature_names)), input_.feature_names)
    else:
        ax.set_xticks([])
        ax.set_yticks([])
    if label is not None:
        ax.set_xlabel(label)


def _line(ax: Axes, input_: Input, x: Vector, lower: Vector, upper: Vector) -> None:
    positions = np.arange(x.size)
    for bound in (lower, upper):
        if np.isfinite(bound).all():
            ax.plot(positions, bound, color=GREY, linewidth=0.8, linestyle="--")
    ax.plot(positions, x, color=BLUE, linewidth=1.2)
    ax.set_xlabel("entry")
    ax.set_ylabel("value")
    ax.margins(x=0.01)
    quiet(ax)


def _bars(ax: Axes, input_: Input, x: Vector, lower: Vector, upper: Vector) -> None:
    names = _names(input_)
    shown = np.arange(x.size)
    if x.size > MOST_BARS:
        shown = np.sort(np.argsort(-np.abs(x))[:MOST_BARS])
    names = [names[index] for index in shown]
    values, low, high = x[shown], lower[shown], upper[shown]
    width = high - low
    moving = width[width > 0]
    bounded = bool(np.isfinite(width).all()) and moving.size > 0
    relative = bounded and float(moving.max() / moving.min()) > COMPARABLE_WIDTHS
    if relative:
        share = np.where(width > 0, (values - low) / np.where(width > 0, width, 1.0), 1.0)
        base, ends = np.zeros(len(shown)), share
        start, stop = np.zeros(len(shown)), np.ones(len(shown))
    else:
        base, ends, start, stop = np.clip(0.0, low, high), values, low, high
    rows = np.arange(len(shown))
    if bounded:
        ax.barh(rows, stop - start, left=start, height=0.9, color=GREY, alpha=0.25)
    ax.barh(rows, ends - base, left=base, height=0.55, color=BLUE)
    ax.scatter(ends, rows, marker="|", s=60, color=BLUE, zorder=3)
    for row, (end, value) in enumerate(zip(ends, values, strict=True)):
        side = 1 if end >= base[row] else -1
        ax.annotate(
            f"{value:,.5g}",
            (end, row),
            xytext=(4 * side, 0),
            textcoords="offset points",
            va="center",
            ha="left" if side > 0 else "right",
            fontsize="small",
        )
    ax.set_yticks(rows, names)
    ax.set_ylim(max(len(rows), FEWEST_ROWS) - 0.4, -0.6)
    ax.margins(x=0.15)
    ax.set_xlabel("share of the allowed range" if relative else "value")
    if len(shown) < x.size:
        ax.set_xlabel(f"{ax.get_xlabel()}; the {len(shown)} largest of {x.size}")
    quiet(ax)


def _names(input_: Input) -> list[str]:
    if input_.feature_names is None:
        return [str(index) for index in range(input_.size)]
    columns = input_.feature_names
    if input_.size == len(columns):
        return list(columns)
    rows = input_.size // len(columns)
    return [f"{name} [{row}]" for row in range(rows) for name in columns]
