"""The commands compare and report from outside."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import constrained_actmax as cax
from constrained_actmax.cli import main

QUESTION = ["example", "--class", "Sneaker", "--bounds", "0", "1", "--l1", "60"]


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as left:
        main(list(arguments))
    captured = capsys.readouterr()
    return int(left.value.code or 0), captured.out, captured.err


def test_compare_then_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    samples, out = tmp_path / "samples.npy", tmp_path / "found"
    np.save(samples, np.stack([cax.examples.reference(k) for k in range(10)]))
    status, printed, complaint = run(
        capsys, "compare", *QUESTION, "--methods", "auto,gradient-ascent, dataset-search",
        "--data", str(samples), "--starts", "3", "--budget", "40", "--out", str(out),
    )  # fmt: skip
    assert (status, complaint) == (0, "")
    assert "Winner: auto" in printed
    found = cax.load_comparison(out)
    assert [one.label for one in found.methods] == ["auto", "gradient-ascent", "dataset-search"]
    assert len(found.trials) == 9
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "dataset-search" in page
    (out / "report.html").unlink()
    status, printed, _ = run(capsys, "report", str(out))
    assert status == 0
    assert (out / "report.html").is_file()


def test_report_of_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "run")
    run(capsys, "maximize", *QUESTION, "--seed", "0", "--budget", "40", "--out", out)
    page = tmp_path / "page.html"
    status, _, _ = run(capsys, "report", out, "--out", str(page))
    assert status == 0
    assert page.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


def test_what_does_not_fit_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, _, complaint = run(capsys, "report", str(tmp_path))
    assert status == 2
    assert "holds neither comparison.json nor result.json" in complaint
    status, _, complaint = run(capsys, "compare", *QUESTION, "--methods", "gradient-asent")
    assert status == 2
    assert "Did you mean 'gradient-ascent'" in complaint
