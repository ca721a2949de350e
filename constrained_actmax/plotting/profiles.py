"""Performance and data profiles as step functions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from constrained_actmax.layout import Rows, Vector
from constrained_actmax.plotting.figures import quiet
from constrained_actmax.plotting.series import legend, look, panel, widths


def plot_profile(
    at: Vector,
    shares: Rows,
    labels: Sequence[str],
    *,
    unit: str,
    accuracy: float | None = None,
    log: bool = False,
    ax: Axes | None = None,
) -> Axes:
    """Draw the share of problems that each method has solved against what it cost.

    Parameters
    ----------
    at : numpy.ndarray, shape (K,)
        Costs or ratios, ascending.
    shares : numpy.ndarray, shape (K, S)
        From 0 to 1.
    labels : sequence of str
        S methods.
    unit : str
        Of `at`.
    accuracy : float, optional
        The share of the largest gain that may be missing, for the title.
    log : bool, default False
        Whether the axis of costs is logarithmic.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        Higher and further left is better.
    """
    ax = panel(ax, len(labels))
    end = float(at[-1]) * (1.1 if len(at) and at[-1] > 0 else 1.0) if len(at) else 1.0
    for index, name in enumerate(labels):
        style = look(index)
        x = np.append(at, end)
        y = np.append(shares[:, index], shares[-1, index]) if len(at) else np.zeros(1)
        if not log and len(at):
            x, y = np.append(0.0, x), np.append(0.0, y)
        every = max(1, len(x) // 6)
        ax.plot(
            x,
            y,
            drawstyle="steps-post",
            label=name,
            markevery=(index % every, every),
            **widths(index, len(labels)),
            **style._asdict(),
        )
    if log:
        ax.set_xscale("log")
        ax.set_xlim(left=1.0)
        ax.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        ax.xaxis.set_major_formatter(FuncFormatter(lambda ratio, _: f"{ratio:g}"))
        ax.xaxis.set_minor_formatter(NullFormatter())
    ax.set_ylim(-0.02, 1.05)
    ax.set_xlabel(unit)
    ax.set_ylabel("share of problems solved")
    if accuracy is not None:
        ax.set_title(f"solved: at least {1 - accuracy:.0%} of the largest gain", fontsize="medium")
    quiet(ax)
    legend(ax)
    return ax
