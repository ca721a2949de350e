"""A chart of bars from lines "label | value", as text that wraps on a phone and follows the theme.

    ```{bars} Title, with the unit
    :ours: label of the bars that stand out
    auto | 67.0
    projected-adam | 65.2
    ```

With ``:log:`` lengths are logarithms, from the smallest value's half on.
"""

from __future__ import annotations

import html
import math
import re
from typing import ClassVar

from docutils import nodes
from docutils.parsers.rst import Directive, directives
from sphinx.application import Sphinx


class Bars(Directive):
    """One figure."""

    required_arguments = 1
    final_argument_whitespace = True
    has_content = True
    option_spec: ClassVar = {"ours": directives.unchanged, "log": directives.flag}

    def run(self) -> list[nodes.Node]:
        pairs = [line.rsplit("|", 1) for line in self.content if line.strip()]
        if not pairs or any(len(pair) != 2 for pair in pairs):
            raise self.error('bars: each line is "label | value".')
        rows = [(label.strip(), shown.strip()) for label, shown in pairs]
        values = [number(shown) for _, shown in rows]
        lengths = relative_lengths(values, "log" in self.options)
        ours = re.compile(re.escape(self.options.get("ours", "")) + r"(?=$|[ ,(])")
        stands_out = ["ours" in self.options and ours.match(label) is not None for label, _ in rows]
        items = "".join(
            f"<li{' class=ours' if mine else ''}>"
            f'<span class="what">{html.escape(label)}</span>'
            f'<span class="bar"><span style="width:{100 * length:.1f}%"></span></span>'
            f'<span class="value">{html.escape(shown)}</span></li>'
            for (label, shown), length, mine in zip(rows, lengths, stands_out, strict=True)
        )
        title = html.escape(self.arguments[0])
        figure = f'<figure class="bars"><figcaption>{title}</figcaption><ul>{items}</ul></figure>'
        return [nodes.raw("", figure, format="html")]


def number(shown: str) -> float:
    """Return the number at the beginning of a value, such as 3 of "3 of 4" or 1,024."""
    try:
        return float(shown.split()[0].rstrip("%").replace(",", ""))
    except (IndexError, ValueError):
        return 0.0


def relative_lengths(values: list[float], log: bool) -> list[float]:
    """Return lengths of bars in [0, 1]."""
    if log:
        least = min((value for value in values if value > 0.0), default=1.0) / 2.0
        values = [math.log(max(value, least) / least) for value in values]
    largest = max(map(abs, values), default=0.0)
    return [max(0.0, value) / largest if largest else 0.0 for value in values]


def setup(app: Sphinx) -> dict[str, bool]:
    """Add the directive."""
    app.add_directive("bars", Bars)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
