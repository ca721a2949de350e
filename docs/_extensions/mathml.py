"""Formulas as MathML, made at build time: pages need neither a script nor a network for them."""

from __future__ import annotations

from typing import Any

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx


def formula(latex: str, display: str) -> str:
    # A row may scroll on a narrow screen; the source stays readable for those who copy it.
    return convert(latex.strip(), display=display)


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
