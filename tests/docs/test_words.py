"""Pages use the field's terms: what optimization calls a multiplier, a violation, a bound."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
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
    "docs/explanation/architecture.md": ("price", "beginnings", "with kinks"),
    "docs/reference/gallery.md": ("height",),
    "docs/reference/methods.md": ("beginnings",),  # an option's name
    "docs/tutorials/counterfactuals.md": ("price", "prices"),
    "docs/tutorials/design-under-limits.md": ("height",),
    "docs/index.md": ("height",),
}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_uses_the_fields_terms(page: Path) -> None:
    name = page.relative_to(ROOT).as_posix()
    meant = set(MEANT.get(name, ()))
    wrong = []
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        for pattern, instead in INSTEAD.items():
            for found in re.finditer(rf"\b(?:{pattern})\b", line, re.IGNORECASE):
                word = found.group().lower()
                if word not in meant:
                    wrong.append(f"{name}:{number}: {found.group()!r}; write {instead}")
    assert not wrong, "\n".join(wrong)


def test_every_word_that_is_meant_is_there() -> None:
    for name, words in MEANT.items():
        text = (ROOT / name).read_text(encoding="utf-8").lower()
        for word in words:
            assert re.search(rf"\b{word}\b", text), f"{name}: {word} is not used; drop it"
