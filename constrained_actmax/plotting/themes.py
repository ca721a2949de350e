"""The same figure for light and for dark pages."""

from __future__ import annotations

import base64
import io
from typing import Any

from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

#: Ink and paper of both, as the report's style sheet has them.
LIGHT = ("#1b1d22", "#ffffff")
DARK = ("#e6e7ea", "#16181d")
#: Matplotlib's own ink, which a theme replaces; other colours carry meaning and stay.
BLACK = "#000000"
#: Colours of a palette picture: enough for lines, and a third of the bytes.
PALETTE = 128


def themed_png(figure: Figure, ink: str, paper: str, dots_per_inch: int = 110) -> bytes:
    """Return a figure as PNG with its black in `ink` on `paper`; the figure stays as it was.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        What to draw.
    ink, paper : str
        Colours.
    dots_per_inch : int
        Resolution.
    """
    undo: list[tuple[Any, Any]] = []

    def change(get: Any, put: Any, value: str) -> None:
        undo.append((put, get()))
        put(value)

    change(figure.get_facecolor, figure.set_facecolor, paper)
    for ax in figure.axes:
        change(ax.get_facecolor, ax.set_facecolor, paper)
        shown = ax.get_legend()
        if shown is not None:
            change(shown.get_frame().get_facecolor, shown.get_frame().set_facecolor, paper)
        for spine in ax.spines.values():
            if to_hex(spine.get_edgecolor()) == BLACK:
                change(spine.get_edgecolor, spine.set_edgecolor, ink)
        for axis in (ax.xaxis, ax.yaxis):
            for tick in [*axis.get_major_ticks(), *axis.get_minor_ticks()]:
                for line in (tick.tick1line, tick.tick2line):
                    change(line.get_color, line.set_color, ink)
    for text in figure.findobj(Text):
        if to_hex(text.get_color()) == BLACK:
            change(text.get_color, text.set_color, ink)
    try:
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=dots_per_inch, facecolor=paper)
    finally:
        for put, before in reversed(undo):
            put(before)
    return _smaller(buffer.getvalue())


def themed_pair(figure: Figure, dots_per_inch: int = 110) -> tuple[str, str, tuple[int, int]]:
    """Return ``data:`` addresses of a figure for light and dark pages, and its size in pixels."""
    pictures = [themed_png(figure, *theme, dots_per_inch) for theme in (LIGHT, DARK)]
    with Image.open(io.BytesIO(pictures[0])) as opened:
        size = opened.size
    light, dark = (
        "data:image/png;base64," + base64.b64encode(picture).decode("ascii") for picture in pictures
    )
    return light, dark, size


def _smaller(png: bytes) -> bytes:
    """Return a picture with a palette, which for drawings loses nothing that is seen."""
    with Image.open(io.BytesIO(png)) as opened:
        reduced = opened.convert("RGB").quantize(PALETTE, dither=Image.Dither.NONE)
    buffer = io.BytesIO()
    reduced.save(buffer, format="png", optimize=True)
    return min(buffer.getvalue(), png, key=len)
