"""Pictures are drawn after the input's shape, and their colours stand for the user's bounds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib import pyplot
from matplotlib.figure import Figure

from constrained_actmax.errors import SpecificationError
from constrained_actmax.layout import Input, Layout
from constrained_actmax.plotting import (
    picture_data_url,
    plot_history,
    plot_input,
    plot_nearness,
    plot_result,
)
from constrained_actmax.plotting.inputs import MOST_BARS, kind_of
from constrained_actmax.result import History


@pytest.fixture(autouse=True)
def _no_figure_stays() -> Iterator[None]:
    yield
    pyplot.close("all")


RNG = np.random.default_rng(3)


def result(layout: Layout, lower: float = 0.0, upper: float = 1.0, **changed: Any) -> Any:
    """Return what a picture reads of a result."""
    n = layout.size
    known = {
        "x": layout.unflatten(RNG.uniform(lower, upper, n)),
        "layout": layout,
        "bounds": (np.full(n, lower), np.full(n, upper)),
        "objective": "Logit(7)",
        "value": 12.3456,
        "feasible": True,
        "sense": "maximize",
        "method": "pgd",
        "nfev": 8,
        "history": History(),
    }
    return SimpleNamespace(**{**known, **changed})


@pytest.mark.parametrize(
    ("shape", "names", "kind"),
    [
        ((28, 28), None, "grey"),
        ((28, 28, 1), None, "grey"),
        ((8, 9, 5), None, "grey"),
        ((28, 28, 3), None, "colour"),
        ((1024,), None, "line"),
        ((1024, 1), None, "line"),
        ((41,), None, "line"),
        ((40,), None, "bars"),
        ((3,), None, "bars"),
        ((), None, "bars"),
        ((50,), tuple(f"column {i}" for i in range(50)), "bars"),
    ],
)
def test_the_shape_decides(shape: tuple[int, ...], names: Any, kind: str) -> None:
    layout = Layout((Input("x", shape, names),))
    assert kind_of(layout.inputs[0]) == kind
    axes = plot_result(result(layout))
    assert len(axes) == 1
    assert "Logit(7) = 12.35" in axes[0].get_title()
    axes[0].figure.canvas.draw()


def test_colours_stand_for_the_bounds_and_not_for_the_data() -> None:
    axes = plot_input(np.full((4, 5), 0.4), lower=np.full(20, -1.0), upper=np.full(20, 3.0))
    assert axes[0].images[0].get_clim() == (-1.0, 3.0)
    shown = plot_input(np.full((4, 5, 3), 127.5), lower=np.zeros(60), upper=np.full(60, 255.0))[
        0
    ].images[0]
    np.testing.assert_allclose(shown.get_array(), 0.5)


def test_several_inputs_get_a_panel_each() -> None:
    layout = Layout((Input("state", (5,)), Input("camera", (6, 7, 1))), "dict")
    axes = plot_result(result(layout))
    assert [panel.get_title() for panel in axes] == ["state", "camera"]
    with pytest.raises(SpecificationError, match="2 inputs need as many axes, got 1"):
        plot_result(result(layout), ax=Figure().subplots())


def test_bars_carry_their_names_and_values() -> None:
    names = ("age", "income")
    layout = Layout((Input("person", (2,), names),))
    axes = plot_result(
        result(
            layout,
            x=np.array([34.0, 52000.0]),
            bounds=(np.array([18.0, 0.0]), np.array([90.0, 2e5])),
        )
    )
    assert tuple(tick.get_text() for tick in axes[0].get_yticklabels()) == names
    assert [text.get_text() for text in axes[0].texts] == ["34", "52,000"]
    assert axes[0].get_xlabel() == "share of the allowed range"


def test_of_too_many_bars_the_largest_are_shown() -> None:
    names = tuple(f"f{i}" for i in range(MOST_BARS + 10))
    x = np.arange(len(names), dtype=float)
    axes = plot_input(x, Layout((Input("x", x.shape, names),)))
    shown = [tick.get_text() for tick in axes[0].get_yticklabels()]
    assert shown == list(names[10:])
    assert f"largest of {len(names)}" in axes[0].get_xlabel()


def test_an_infeasible_answer_says_so() -> None:
    axes = plot_result(result(Layout.of_array((4, 4)), feasible=False))
    assert "not feasible" in axes[0].get_title()


def test_the_given_axes_are_used() -> None:
    ax = Figure().subplots()
    assert plot_result(result(Layout.of_array((4, 4))), ax=ax)[0] is ax
    assert plot_history(result(Layout.of_array((4, 4))), ax=ax) is ax


def test_a_picture_for_a_page_is_small_and_leaves_no_figure_behind() -> None:
    before = pyplot.get_fignums()
    address = picture_data_url(result(Layout.of_array((28, 28))))
    assert address.startswith("data:image/png;base64,iVBOR")
    assert len(address) < 40_000
    assert pyplot.get_fignums() == before


def test_history_has_a_line_a_start_and_hollow_points_outside() -> None:
    history = History(
        start=[0, 0, 0, 1, 1],
        nit=[0, 1, 2, 0, 1],
        evaluations=[1, 2, 3, 4, 5],
        seconds=[0.1] * 5,
        value=[0.0, 9.0, 2.0, 1.0, 3.0],
        violation=[0.0, 0.5, 0.0, 0.0, 0.0],
    )
    ax = plot_history(result(Layout.of_array((4, 4)), history=history))
    labels = ax.get_legend_handles_labels()[1]
    assert labels == ["start 0", "start 1", "breaks a constraint"]
    hollow = [line for line in ax.lines if line.get_markerfacecolor() == "none"]
    assert [tuple(line.get_xdata()) for line in hollow if len(line.get_xdata())] == [(2,)]
    thick = [line for line in ax.lines if line.get_linewidth() == 1.6]
    assert [list(line.get_ydata()) for line in thick] == [[0.0, 0.0, 2.0], [1.0, 3.0]]


def test_nearness_measures_the_change() -> None:
    before = np.zeros((4, 4))
    after = before.copy()
    after[1, 2], after[3, 3] = 0.3, -0.4
    axes = plot_nearness(before, after, lower=0.0, upper=1.0)
    assert axes[2].get_title() == "change: L1 0.7, L2 0.5, max 0.4"
    assert axes[2].images[0].get_clim() == (-0.4, 0.4)
    with pytest.raises(SpecificationError, match="two pictures of one shape"):
        plot_nearness(before, np.zeros(4))


def test_pictures_follow_a_dark_style(tmp_path: Path) -> None:
    dark = {"figure.facecolor": "black", "axes.facecolor": "black", "text.color": "white"}
    with mpl.rc_context(dark):
        axes = plot_result(result(Layout.of_array((6, 6))))
    assert axes[0].title.get_color() == "white"
    axes[0].figure.savefig(tmp_path / "dark.png")
