"""Each benchmark begins with one chart and three sentences, which its own tables give."""

from __future__ import annotations

from pathlib import Path

import opening
import pytest

BENCHMARKS = Path(__file__).parents[2] / "docs" / "benchmarks"
PAGES = sorted(page.stem for page in BENCHMARKS.glob("*.md") if page.stem != "index")


@pytest.mark.parametrize("name", PAGES)
def test_the_head_of_a_page_is_what_its_tables_say(name: str) -> None:
    text = (BENCHMARKS / f"{name}.md").read_text(encoding="utf-8")
    assert opening.opened(text, name) == text, "run python docs/benchmarks/opening.py"
    head = opening.HEADS[name](text)
    assert len(head.bars) >= 2
    assert all(any(character.isdigit() for character in value) for _, value in head.bars)
    assert all(sentence.endswith((".", "?")) for sentence in head.sentences)
