"""Pages and messages use the field's terms, such as multiplier, violation, bound."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PACKAGE = ROOT / "constrained_actmax"
PAGES = sorted(
    page
    for page in [ROOT / "README.md", *DOCS.rglob("*.md")]
    if page.relative_to(ROOT).parts[:2] != ("docs", "benchmarks") and page.name != "changelog.md"
)
#: What a page does not say, and what it says instead.
INSTEAD = {
    r"prices?|worth": "multiplier, or what something costs in evaluations or time",
    r"excess|heights?": "violation",
    r"kinked|with kinks": "nonsmooth",
    r"beginnings?|seats?": "starting point",
    r"limits? on (?:outputs|functions)": "bounds or constraints on outputs",
    r"told|hopeless": "reported",
    r"cut off": "interrupted, stopped",
    r"round the": "around the",
}
#: Where a word is meant in its plain sense.
MEANT = {
    "docs/explanation/architecture.md": ("price", "with kinks"),
    "docs/reference/gallery.md": ("height",),
    "docs/reference/methods.md": ("beginnings",),  # an option's name
    "docs/tutorials/design-under-limits.md": ("height",),
    "docs/index.md": ("height",),
    "constrained_actmax/plotting/images.py": ("height",),
    "constrained_actmax/report/page.py": ("height",),
    "constrained_actmax/result.py": ("height",),
    "constrained_actmax/solvers/augmented_lagrangian.py": ("beginnings",),  # an option's name
}


def wrong_words(name: str, number: int, text: str) -> list[str]:
    """Return what a line says that it should not."""
    meant = MEANT.get(name, ())
    return [
        f"{name}:{number}: {found.group()!r}; write {instead}"
        for pattern, instead in INSTEAD.items()
        for found in re.finditer(rf"\b(?:{pattern})\b", text, re.IGNORECASE)
        if found.group().lower() not in meant
    ]


def messages(module: Path) -> list[tuple[int, str]]:
    """Return the sentences of a module, without docstrings, each with its line."""
    tree = ast.parse(module.read_text(encoding="utf-8"))
    documentation = {
        id(statement.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        for statement in node.body
        if isinstance(statement, ast.Expr)
    }
    return [
        (node.lineno, node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and " " in node.value
        and id(node) not in documentation
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_uses_the_fields_terms(page: Path) -> None:
    name = page.relative_to(ROOT).as_posix()
    lines = enumerate(page.read_text(encoding="utf-8").splitlines(), 1)
    wrong = [one for number, line in lines for one in wrong_words(name, number, line)]
    assert not wrong, "\n".join(wrong)


def test_messages_use_the_fields_terms() -> None:
    wrong = []
    for module in sorted(PACKAGE.rglob("*.py")):
        name = module.relative_to(ROOT).as_posix()
        for number, text in messages(module):
            wrong += wrong_words(name, number, text)
    assert not wrong, "\n".join(wrong)


#: Parts of names in code that the field calls otherwise, and where they are meant.
NAMES = re.compile(r"prices?|heights?|excess|worth|kinked|beginnings?|seats?|told|hopeless|whose")
NAMES_MEANT = {
    "constrained_actmax/certificates/curves.py": {"excess"},  # of a curve over a line
    "constrained_actmax/kernels/one_hot.py": {"height"},
    "constrained_actmax/plotting": {"height", "heights"},
    "constrained_actmax/report": {"height"},
    "constrained_actmax/result.py": {"height"},
    "constrained_actmax/solvers/augmented_lagrangian.py": {"beginnings"},  # an option's name
}


def names(module: Path) -> set[str]:
    """Return the words of the names that a module uses."""
    found = set()
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        name = (
            getattr(node, "id", None)
            or getattr(node, "attr", None)
            or getattr(node, "arg", None)
            or getattr(node, "name", None)
        )
        if isinstance(name, str):
            found |= set(name.lower().split("_"))
    return found


def test_names_use_the_fields_terms() -> None:
    wrong = []
    for module in sorted(PACKAGE.rglob("*.py")):
        place = module.relative_to(ROOT).as_posix()
        meant = {
            one for start, many in NAMES_MEANT.items() if place.startswith(start) for one in many
        }
        wrong += [
            f"{place}: {one}" for one in names(module) if NAMES.fullmatch(one) and one not in meant
        ]
    assert not wrong, "\n".join(wrong)


def test_every_word_that_is_meant_is_there() -> None:
    for name, words in MEANT.items():
        text = (ROOT / name).read_text(encoding="utf-8").lower()
        for word in words:
            assert re.search(rf"\b{word}\b", text), f"{name}: {word} is not used; drop it"
