"""The README's commands are the project's, and its code runs."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

import constrained_actmax as cax
from constrained_actmax.cli import main

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    found = re.findall(r"^```(\w*)\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    return [body for name, body in found if name == language]


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
