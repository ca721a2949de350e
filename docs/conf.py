"""How the site is built: sphinx-build -W -n docs OUT."""

from __future__ import annotations

import os
import re
import sys
from importlib.metadata import version as version_of
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_extensions"))

# The pages run in kernels of their own, with these.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ["MPLBACKEND"] = "module://matplotlib_inline.backend_inline"  # whoever builds
os.environ["PYTHONPATH"] = os.pathsep.join(
    filter(None, [str(HERE / "_extensions"), os.environ.get("PYTHONPATH")])
)

project = "constrained-actmax"
PACKAGE = "constrained_actmax"
CITATION_KEY = re.compile(r"\[R[0-9a-f]{12}-(\w+)\]")
author = "the constrained-actmax authors"
project_copyright = author
release = version_of("constrained-actmax")
version = release

extensions = [
    "bars",
    "mathml",
    "myst_nb",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinxcontrib.bibtex",
]
exclude_patterns = ["_build", "_extensions", "**/__pycache__", "**/.ipynb_checkpoints"]
templates_path: list[str] = []
nitpicky = True
default_role = "py:obj"

# Pages are text notebooks; every one is run. The cache, beside the output folder, is keyed by a
# page's code alone: remove it to run the pages on a changed library.
nb_execution_mode = "cache"
nb_execution_timeout = 180  # seconds for a cell, on a machine that has other work to do
nb_execution_raise_on_error = True
# A page that needs other packages says so in its head; without them it is shown, and not run.
nb_execution_excludepatterns = [
    str(page.relative_to(HERE))
    for page in HERE.rglob("*.md")
    for named in re.findall(r"^requires: \[(.*)\]$", page.read_text(encoding="utf-8"), re.MULTILINE)
    if any(find_spec(package) is None for package in named.split(", "))
]
nb_output_stderr = "remove"
nb_merge_streams = True
nb_number_source_lines = False
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

bibtex_bibfiles = ["references.bib"]
bibtex_reference_style = "author_year"

# Types stand in the docstrings, in words.
autodoc_typehints = "none"
autodoc_member_order = "bysource"
autosummary_generate = False
numpydoc_show_class_members = False
numpydoc_validation_checks = {
    "all",
    "ES01",  # an extended summary is not always needed
    "EX01",  # the tutorials and guides are the examples; those that there are run as tests
    "GL01",  # the text starts on the line of the quotes
    "GL02",
    "GL03",
    "GL08",  # an override has the docstring of what it overrides; ruff asks for all others
    "PR01",  # **options are described where they are passed on
    "PR02",
    "PR03",  # parameters that another page describes stand together: "tol, starts: see maximize"
    "PR04",
    "PR08",  # a description may start with the formula's letter, as in "r >= 0"
    "PR06",  # "str" and "array_like" are said in words
    "PR07",
    "RT01",  # one sentence says what a short function returns
    "RT02",
    "RT03",
    "SA01",  # pages of the reference list neighbours together
    "SS06",
    "YD01",
}

html_theme = "pydata_sphinx_theme"
html_title = "constrained-actmax"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_js_files = [("site.js", {"defer": "defer"})]
html_favicon = "_static/favicon.svg"
html_context = {"default_mode": "auto"}
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "navigation_with_keys": False,
    "navbar_align": "left",
    "header_links_before_dropdown": 6,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": ["sphinx-version"],
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}


def find_or_show_plainly(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, contnode: nodes.Element
) -> nodes.Element | None:
    """Link `L1Ball` from a module below the top too; show `x`, a parameter's name, as code."""
    if node.get("refdomain") != "py" or node.get("reftype") != "obj":
        return None
    public = f"{PACKAGE}.{node['reftarget']}"
    where = node.get("refdoc", "")
    found = env.get_domain("py").resolve_xref(
        env, where, app.builder, "obj", public, node, contnode
    )
    if found is None and "." not in node["reftarget"]:
        return contnode
    return found


def tidied(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.Node | None
) -> None:
    """Drop a role that docutils' lists do not keep."""
    if "body" in context:
        context["body"] = context["body"].replace(
            '<div role="list" class="citation-list">', '<div class="citation-list">'
        )


def numbered(app: Sphinx, doctree: nodes.document, page: str) -> None:
    """Show a docstring's citation by its number, not by the key that numpydoc gave it."""
    for text in list(doctree.findall(nodes.Text)):
        plain = CITATION_KEY.sub(r"[\1]", text)
        if plain != text:
            text.parent.replace(text, nodes.Text(plain))


def setup(app: Sphinx) -> None:
    app.connect("html-page-context", tidied)
    app.connect("doctree-resolved", numbered)
    app.connect("missing-reference", find_or_show_plainly)
