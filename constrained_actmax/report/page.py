"""The few kinds of HTML that a report is made of."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from constrained_actmax.plotting.figures import close
from constrained_actmax.plotting.themes import themed_pair

STYLE = """
:root { color-scheme: light dark; --ink: #1b1d22; --paper: #ffffff; --soft: #f3f4f6;
  --line: #c9ccd2; --quiet: #555b66; --good: #0a6640; --bad: #a3330a; --link: #0b5cad; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e7ea; --paper: #16181d; --soft: #21242b;
  --line: #444a55; --quiet: #a9afba; --good: #5fd39b; --bad: #ff9b73; --link: #7cb8ff; } }
* { box-sizing: border-box; }
body { margin: 0; color: var(--ink); background: var(--paper); line-height: 1.5;
  font-family: system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", sans-serif; }
header, main, footer { max-width: 64rem; margin: 0 auto; padding: 0 1rem; }
header { padding-top: 1.5rem; }
footer { padding-bottom: 2rem; color: var(--quiet); }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 .5rem; overflow-wrap: anywhere; }
h2 { font-size: 1.25rem; margin: 2.2rem 0 .6rem; border-bottom: 1px solid var(--line); }
h3 { font-size: 1.05rem; margin: 1.4rem 0 .4rem; overflow-wrap: anywhere; }
p, li { overflow-wrap: anywhere; }
a { color: var(--link); }
.verdict { font-size: 1.15rem; font-weight: 600; }
.good { color: var(--good); } .bad { color: var(--bad); } .quiet { color: var(--quiet); }
.scroll { overflow-x: auto; border: 1px solid var(--line); border-radius: .4rem; }
table { border-collapse: collapse; width: 100%; font-size: .9rem;
  font-variant-numeric: tabular-nums; }
th, td { padding: .35rem .6rem; text-align: right; vertical-align: top; white-space: nowrap; }
th:first-child, td:first-child, .words { text-align: left; }
td.words { white-space: normal; min-width: 12rem; }
thead th { background: var(--soft); border-bottom: 1px solid var(--line); }
tbody tr + tr > * { border-top: 1px solid var(--line); }
tbody th { font-weight: 600; }
figure { margin: 1rem 0; }
figure img { display: block; max-width: 100%; height: auto; }
figcaption { color: var(--quiet); font-size: .9rem; margin-top: .3rem; }
.pictures { display: grid; gap: 0 1.5rem;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr)); }
details { border: 1px solid var(--line); border-radius: .4rem; padding: .4rem .8rem;
  margin: .6rem 0; }
summary { cursor: pointer; font-weight: 600; overflow-wrap: anywhere; }
pre { background: var(--soft); border: 1px solid var(--line); border-radius: .4rem; padding: .8rem;
  overflow-x: auto; font-size: .85rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1rem; }
dt { color: var(--quiet); } dd { margin: 0; overflow-wrap: anywhere; }
@media (max-width: 30rem) { dl { grid-template-columns: 1fr; gap: 0; }
  dd { margin-bottom: .5rem; } }
"""


class Raw(str):
    """Text that is HTML already."""

    __slots__ = ()


def text(value: Any) -> str:
    """Return a value as HTML: numbers short, the rest escaped."""
    if isinstance(value, Raw):
        return str(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return number(value)
    return html.escape(str(value))


def number(value: float) -> str:
    """Return a number with four digits, and a dash where there is none."""
    if math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if value and abs(value) < 1e-3:
        return f"{value:.1e}".replace("-", "−")
    return f"{value:.4g}".replace("-", "−")


def paragraph(words: Any, kind: str = "") -> str:
    """Return a paragraph."""
    return f'<p class="{kind}">{text(words)}</p>' if kind else f"<p>{text(words)}</p>"


def section(heading: str, *parts: str) -> str:
    """Return a section with its heading."""
    body = "\n".join(part for part in parts if part)
    return f"<section>\n<h2>{text(heading)}</h2>\n{body}\n</section>"


def details(summary: str, *parts: str, opened: bool = False) -> str:
    """Return parts that a reader can unfold, without a script."""
    body = "\n".join(part for part in parts if part)
    return (
        f"<details{' open' if opened else ''}>\n<summary>{text(summary)}</summary>\n{body}\n"
        "</details>"
    )


def table(
    name: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[Any]],
    *,
    words: Sequence[str] = (),
) -> str:
    """Return a table whose first column names its rows, in a box that scrolls sideways.

    Parameters
    ----------
    name : str
        What it is, for those who do not see it.
    columns : sequence of str
        Headings.
    rows : iterable of sequence
        Cells.
    words : sequence of str
        Columns of running text, which may wrap.
    """
    wrapped = [column in words for column in columns]
    head = "".join(
        f'<th scope="col"{_words(wrap)}>{text(column)}</th>'
        for column, wrap in zip(columns, wrapped, strict=True)
    )
    body = []
    for row in rows:
        cells = [f'<th scope="row">{text(row[0])}</th>']
        cells += [
            f"<td{_words(wrap)}>{text(cell)}</td>"
            for cell, wrap in zip(row[1:], wrapped[1:], strict=True)
        ]
        body.append(f"<tr>{''.join(cells)}</tr>")
    return (
        f'<div class="scroll" role="region" tabindex="0" aria-label="{html.escape(name)}">\n'
        f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{chr(10).join(body)}\n</tbody>\n"
        "</table>\n</div>"
    )


def _words(wrap: bool) -> str:
    return ' class="words"' if wrap else ""


def picture(figure: Any, described: str, caption: str = "") -> str:
    """Return a figure for light and dark pages, and let it go.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        What to draw.
    described : str
        What it shows, for those who do not see it.
    caption : str
        Below it.
    """
    light, dark, (width, height) = themed_pair(figure)
    close(figure)
    below = f"<figcaption>{text(caption)}</figcaption>" if caption else ""
    return (
        "<figure><picture>"
        f'<source media="(prefers-color-scheme: dark)" srcset="{dark}">'
        f'<img src="{light}" width="{width // 2}" height="{height // 2}" '
        f'style="width:{width * 2 // 3}px" alt="{html.escape(described)}">'
        f"</picture>{below}</figure>"
    )


def pairs(values: Mapping[str, Any]) -> str:
    """Return a list of names and values."""
    items = "".join(
        f"<dt>{text(name)}</dt><dd>{text(value)}</dd>" for name, value in values.items()
    )
    return f"<dl>{items}</dl>"


def code(source: str) -> str:
    """Return Python that a reader can copy."""
    escaped = html.escape(source)
    return f'<pre tabindex="0" role="region" aria-label="Python"><code>{escaped}</code></pre>'


def page(title: str, lead: Sequence[str], parts: Sequence[str], versions: Mapping[str, str]) -> str:
    """Return the whole page."""
    made = ", ".join(f"{name} {version}" for name, version in versions.items())
    return (
        "<!DOCTYPE html>\n"
        '<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<title>{text(title)}</title>\n<link rel="icon" href="data:,">\n'
        f"<style>{STYLE}</style>\n</head>\n<body>\n"
        f"<header>\n<h1>{text(title)}</h1>\n{chr(10).join(lead)}\n</header>\n"
        f"<main>\n{chr(10).join(part for part in parts if part)}\n</main>\n"
        f"<footer>\n<p>Computed with {text(made)}.</p>\n</footer>\n</body>\n</html>\n"
    )
