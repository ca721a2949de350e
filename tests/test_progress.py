"""The line that shows a run: on terminals after a second, in logs every half minute."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
import time
from typing import Any

import numpy as np
import pytest

import constrained_actmax as cax
from constrained_actmax import progress
from constrained_actmax.progress import PlainLine, counted

SCRIPT = """
import time
import constrained_actmax as cax

def slow(x):
    time.sleep(0.2)
    return float(x.sum()), (x - x) + 1.0 + 0.5 * (x > 0.3)

cax.maximize(cax.FunctionOracle(slow, 3, name="hill"), constraints=cax.Box(0, 1), method="pgd",
             budget=cax.Budget(evaluations=40), seed=0)
"""


def test_a_terminal_sees_value_evaluations_and_time_left() -> None:
    parent, child = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT],
        stderr=child,
        stdout=subprocess.PIPE,
        close_fds=True,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "120"},
    ) as process:
        os.close(child)
        seen = b""
        while True:
            try:
                piece = os.read(parent, 4096)
            except OSError:
                break
            if not piece:
                break
            seen += piece
        assert process.stdout is not None
        assert process.stdout.read() == b""
    os.close(parent)
    assert process.returncode == 0
    text = seen.decode(errors="replace")
    assert "hill = " in text
    assert "evaluations" in text
    assert "left" in text


def test_a_log_of_a_short_run_is_empty() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stderr == ""
    assert done.stdout == ""


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the half minute of a log."""
    monkeypatch.setattr(progress, "LOG_SECONDS", 0.05)


def slow_hill(x: np.ndarray) -> tuple[float, np.ndarray]:
    time.sleep(0.05)
    return float(x.sum()), np.ones_like(x) + 0.5 * (x > 0.3)


@pytest.mark.usefixtures("often")
def test_a_log_of_a_long_run_has_the_best_value_so_far(capsys: pytest.CaptureFixture[str]) -> None:
    hill = cax.FunctionOracle(slow_hill, 3, name="hill")
    budget = cax.Budget(evaluations=15)
    result = cax.maximize(hill, constraints=cax.Box(0, 1), method="pgd", budget=budget, seed=0)
    lines = capsys.readouterr().err.splitlines()
    assert lines
    for line in lines:
        assert re.fullmatch(
            r"hill( = \S+)?[,:] \d+ evaluations \(at most 15 evaluations\), \d+ s", line
        ), line
    values = [float(one) for one in re.findall(r"hill = ([^,]+)", " ".join(lines))]
    assert values == sorted(values)
    assert values[-1] <= result.value * (1 + 1e-4)
    cax.maximize(hill, constraints=cax.Box(0, 1), method="pgd", budget=budget, progress=False)
    assert capsys.readouterr().err == ""


@pytest.mark.usefixtures("often")
def test_a_log_of_many_runs_has_their_count(capsys: pytest.CaptureFixture[str]) -> None:
    hill = cax.FunctionOracle(slow_hill, 3, name="hill")
    problem = cax.Problem(hill, constraints=cax.Box(0, 1))
    cax.compare(problem, ["pgd", "spg"], starts=2, seed=0, budget=8)
    lines = capsys.readouterr().err.splitlines()
    assert any(re.match(r"compare: [1-3] of 4 done \(last: (pgd|spg) on ", line) for line in lines)
    cax.compare(problem, "pgd", starts=1, seed=0, budget=8, progress=False)
    assert capsys.readouterr().err == ""


def test_a_bar_that_is_not_shown_writes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with counted("tasks", 2, 0, shown=False) as advance:
        advance("one")
    assert capsys.readouterr() == ("", "")
    with counted("tasks", 2, 0, shown=True) as advance:
        advance("on [0, 1]")
    assert capsys.readouterr().out == ""


def test_a_plain_line_writes_over_itself_and_leaves_nothing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    line = PlainLine()
    line.clear()
    assert capsys.readouterr().err == ""
    line.show("logit = 25")
    line.show("too soon")
    line.clear()
    assert capsys.readouterr().err == "\rlogit = 25\r          \r"


@pytest.mark.slow
def test_a_notebook_sees_one_line_and_no_warning_of_widgets() -> None:
    nbformat = pytest.importorskip("nbformat")
    client = pytest.importorskip("nbclient")
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(SCRIPT)])
    client.NotebookClient(book, timeout=120).execute()
    streams = [one for one in book.cells[0].outputs if one.output_type == "stream"]
    assert not [one for one in book.cells[0].outputs if one.output_type == "display_data"]
    said = "".join(one.text for one in streams if one.name == "stderr")
    lines = [one.strip() for one in said.split("\r")]
    assert lines[1].startswith("hill = ")
    assert lines[1].endswith("s (at most 40 evaluations)")
    assert lines[-1] == ""
    assert "Warning" not in said


def test_a_listener_gets_every_iterate_and_may_stop() -> None:
    bowl = cax.FunctionOracle(lambda x: (-float(x @ x), -2 * x), 3)
    seen: list[Any] = []
    problem = cax.Problem(bowl, constraints=cax.Box(0.5, 1))
    result = cax.solve(problem, method="pgd", x0=np.ones(3), progress=seen.append)
    assert [one.nit for one in seen] == result.history.nit
    stopped = cax.solve(problem, method="pgd", x0=np.ones(3), progress=lambda one: True)
    assert stopped.status is cax.Status.INTERRUPTED
    with pytest.raises(cax.SpecificationError, match="progress: expected a function, got int"):
        cax.solve(problem, progress=3)
