"""Formulas as MathML, made at build time: pages need neither a script nor a network for them."""

from __future__ import annotations

from typing import Any

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError


def formula(latex: str, display: str) -> str:
    written = convert(latex.strip(), display=display)
    # The converter does not know \arg, and sets the colon of {x : ...} as a letter, without room.
    written = written.replace(r"<mi>\arg</mi>", '<mo rspace="0.17em">arg</mo>')
    written = written.replace("<mi>:</mi>", '<mo lspace="0.28em" rspace="0.28em">:</mo>')
    if "\\" in written:
        raise ExtensionError(f"a command in the formula {latex!r} was not converted: {written}")
    return written


def visit_math(translator: Any, node: nodes.math) -> None:
    translator.body.append(f'<span class="math">{formula(node.astext(), "inline")}</span>')
    raise nodes.SkipNode


def visit_display_math(translator: Any, node: nodes.math_block) -> None:
    block = formula(node.astext(), "block")
    translator.body.append(
        f'<div class="math-block" tabindex="0" role="group" aria-label="formula">{block}</div>'
    )
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_html_math_renderer("mathml", (visit_math, None), (visit_display_math, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
