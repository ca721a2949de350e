"""Names, messages and pages use the field's terms; other words only where `words.toml` lists them.

``python tests/docs/test_words.py`` writes the lists anew.
"""

from __future__ import annotations

import ast
import re
import textwrap
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PACKAGE = ROOT / "constrained_actmax"
MODULES = sorted(PACKAGE.rglob("*.py"))
PAGES = sorted(
    page for page in [ROOT / "README.md", *DOCS.rglob("*.md")] if page.name != "changelog.md"
)
WORDS: dict[str, dict[str, Any]] = tomllib.loads(
    Path(__file__).with_name("words.toml").read_text(encoding="utf-8")
)
#: Phrases that stand nowhere in pages and messages.
NOWHERE = {
    r"limits? on (?:outputs|functions)": "bounds or constraints on outputs",
    "told|hopeless": "reported",
    "cut off": "interrupted, stopped",
    "round the": "around the",
}


def place_of(file: Path) -> str:
    """Return the path from the package's folder, or from the root."""
    return file.relative_to(PACKAGE if file.is_relative_to(PACKAGE) else ROOT).as_posix()


def names_of(module: Path) -> set[str]:
    """Return the words of the names that a module binds or uses."""
    words: set[str] = set()
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        for key in ("id", "attr", "arg", "name"):
            name = getattr(node, key, None)
            if isinstance(name, str):
                words |= set(name.lower().split("_"))
    return words


def messages_of(module: Path) -> list[str]:
    """Return the sentences of a module, without docstrings."""
    tree = ast.parse(module.read_text(encoding="utf-8"))
    documentation = {
        id(statement.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        for statement in node.body
        if isinstance(statement, ast.Expr)
    }
    return [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and " " in node.value
        and id(node) not in documentation
    ]


def holds(word: str, texts: Iterable[str]) -> bool:
    """Return whether a text has the word, alone or in the plural."""
    pattern = re.compile(rf"\b(?:{word})s?\b", re.IGNORECASE)
    return any(pattern.search(text) for text in texts)


NAMES = {place_of(module): names_of(module) for module in MODULES}
MESSAGES = {place_of(module): messages_of(module) for module in MODULES}
TEXTS = {place_of(page): [page.read_text(encoding="utf-8")] for page in PAGES}


def used(word: str, kind: str) -> list[str]:
    """Return the files that use a word in names, messages or pages."""
    if kind == "names":
        forms = {word} if word == "one" else {word, f"{word}s"}  # numpy.ones
        return [file for file, words in NAMES.items() if words & forms]
    texts = MESSAGES if kind == "messages" else TEXTS
    return [file for file, lines in texts.items() if holds(word, lines)]


@pytest.mark.parametrize("kind", ["names", "messages", "pages"])
@pytest.mark.parametrize("word", WORDS)
def test_a_word_is_used_only_where_it_is_meant(word: str, kind: str) -> None:
    meant = WORDS[word].get(kind, [])
    if meant == ["*"]:
        return
    files = set(used(word, kind))
    more, gone = sorted(files - set(meant)), sorted(set(meant) - files)
    assert not more, f"{word!r} in {kind} of {more}; write {WORDS[word]['instead']}"
    assert not gone, f"{word!r} is no longer in {kind} of {gone}: take them off words.toml"


@pytest.mark.parametrize("phrase", NOWHERE)
def test_a_phrase_stands_nowhere(phrase: str) -> None:
    where = [
        file
        for file, texts in {**MESSAGES, **TEXTS}.items()
        if not file.startswith("docs/benchmarks/") and holds(phrase, texts)
    ]
    assert not where, f"{phrase!r} in {where}; write {NOWHERE[phrase]}"


def listed(key: str, files: list[str]) -> str:
    """Return a line of TOML, or several."""
    if not files:
        return ""
    line = f"{key} = [{', '.join(map(repr, files))}]".replace("'", '"')
    if len(line) <= 100:
        return line + "\n"
    lines = textwrap.wrap(line.partition("[")[2].rstrip("]") + ",", 96, break_on_hyphens=False)
    return "\n".join([f"{key} = [", *(f"    {line}" for line in lines), "]", ""])


def main() -> None:
    """Write `words.toml` with the files that use each word now: read what that changes."""
    parts = []
    for word, entry in WORDS.items():
        part = f'["{word}"]\ninstead = "{entry["instead"]}"\nmeant = "{entry["meant"]}"\n'
        for kind in ("names", "messages", "pages"):
            part += listed(kind, ["*"] if entry.get(kind) == ["*"] else used(word, kind))
        parts.append(part)
    Path(__file__).with_name("words.toml").write_text("\n".join(parts), encoding="utf-8")


if __name__ == "__main__":
    main()
