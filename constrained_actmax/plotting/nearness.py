"""What was changed: a reference, the answer, and their difference, side by side."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes

from constrained_actmax.errors import SpecificationError
from constrained_actmax.layout import Layout
from constrained_actmax.plotting.figures import new_figure
from constrained_actmax.plotting.images import image_size
from constrained_actmax.plotting.inputs import plot_input


def plot_nearness(
    reference: npt.ArrayLike,
    x: npt.ArrayLike,
    *,
    lower: npt.ArrayLike = -np.inf,
    upper: npt.ArrayLike = np.inf,
    titles: tuple[str, str] = ("reference", "found"),
    ax: Sequence[Axes] | np.ndarray | None = None,
) -> np.ndarray:
    """Draw a reference picture, the picture that was found, and what changed.

    Parameters
    ----------
    reference, x : array_like
        Both (h, w), (h, w, 1) or (h, w, 3).
    lower, upper : array_like
        Bounds, the range of grey values and colours.
    titles : tuple of str
        Above the first two panels; the third says how large the change is.
    ax : sequence of matplotlib.axes.Axes, optional
        Three of them; by default a new figure.

    Returns
    -------
    numpy.ndarray of matplotlib.axes.Axes
        Reference, picture, difference (mean over colours; red is more, blue less).
    """
    before, after = np.asarray(reference, dtype=np.float64), np.asarray(x, dtype=np.float64)
    if before.shape != after.shape or image_size(after.shape) is None:
        raise SpecificationError(
            f"plot_nearness: needs two pictures of one shape, got {before.shape} and {after.shape}."
        )
    axes = np.asarray(new_figure(11.0, 3.8).subplots(1, 3) if ax is None else ax)
    if axes.shape != (3,):
        raise SpecificationError(f"plot_nearness: needs three axes, got shape {axes.shape}.")
    layout = Layout.of_array(after.shape)
    low = np.broadcast_to(np.asarray(lower, dtype=np.float64), after.shape).ravel()
    high = np.broadcast_to(np.asarray(upper, dtype=np.float64), after.shape).ravel()
    for panel, picture, title in zip(axes[:2], (before, after), titles, strict=True):
        plot_input(picture, layout, lower=low, upper=high, ax=panel)
        panel.set_title(title)
    change = after - before
    flat = change.reshape(*change.shape[:2], -1).mean(axis=2)
    largest = float(np.max(np.abs(flat))) or 1.0
    drawn = axes[2].imshow(
        flat, cmap="RdBu_r", vmin=-largest, vmax=largest, interpolation="nearest"
    )
    axes[2].figure.colorbar(drawn, ax=axes[2], shrink=0.8).ax.tick_params(labelsize="small")
    axes[2].set_xticks([])
    axes[2].set_yticks([])
    axes[2].set_title(
        f"change: L1 {np.abs(change).sum():.4g}, L2 {np.linalg.norm(change):.4g}, "
        f"max {np.abs(change).max():.3g}"
    )
    return axes
