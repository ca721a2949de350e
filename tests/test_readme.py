"""The README's commands are the project's; its code, and that of the how-to guides, runs."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

import constrained_actmax as cax
from constrained_actmax.cli import main

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
GUIDES = sorted((ROOT / "docs" / "how-to").glob("[!i]*.md"))
#: Guides that take over two seconds, spawn processes, or run other packages.
SLOW = {
    "budgets-and-stopping",
    "choose-a-method",
    "choose-objectives",
    "come-from-loops-and-scipy",
    "come-from-packages",
    "dask",
    "diagnose-no-progress",
    "starts-and-sweeps",
}


def blocks(language: str) -> list[str]:
    found = re.findall(r"^```(\w*)\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    return [body for name, body in found if name == language]


def cells(page: str) -> list[str]:
    """Return the code cells of a text notebook, without the options that head some."""
    found = re.findall(r"^```\{code-cell\} python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    return [
        re.sub(r"\A(---\n.*?^---\n|(:\w.*\n)+\n?)", "", one, flags=re.M | re.S) for one in found
    ]


def required(page: str) -> list[str]:
    """Return the packages that a page's head says it needs, beyond those of the library."""
    named = re.search(r"^requires: \[(.*)\]$", page, re.MULTILINE)
    return named[1].split(", ") if named else []


def test_the_two_commands_stand_as_they_are_tested() -> None:
    commands = [block.strip() for block in blocks("")]
    assert "pip install . && constrained-actmax demo" in commands
    assert "pip install '.[test]' && pytest" in commands
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert "pip install . && constrained-actmax demo" in script
    assert "pip install '.[test]' && pytest" in script


def test_the_code_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (code,) = blocks("python")
    exec(compile(code, "README.md", "exec"), {})
    assert capsys.readouterr().out.startswith("Feasible: maximised Logit(7)")
    assert cax.load_result("sneaker").feasible


def test_the_command_runs_and_gives_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (command,) = [block for block in blocks("") if "maximize" in block]
    with pytest.raises(SystemExit) as left:
        main(shlex.split(command)[1:])
    assert left.value.code == 0
    assert cax.load_result("sneaker").feasible


def test_links_lead_somewhere() -> None:
    for link in re.findall(r"\]\(([^)]+)\)", TEXT):
        assert (ROOT / link).exists(), link


@pytest.mark.parametrize(
    "guide",
    [
        pytest.param(one, id=one.stem, marks=[pytest.mark.slow] if one.stem in SLOW else [])
        for one in GUIDES
    ],
)
def test_the_code_of_a_guide_runs(
    guide: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = guide.read_text(encoding="utf-8")
    for package in required(page):
        pytest.importorskip(package)
    monkeypatch.chdir(tmp_path)
    found = cells(page)
    assert found
    names: dict[str, object] = {}
    for number, code in enumerate(found, 1):
        exec(compile(code, f"{guide.name}, cell {number}", "exec"), names)
