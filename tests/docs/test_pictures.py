"""The pictures of the first page are drawn by its own code, which runs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "docs" / "images" / "draw.py"


@pytest.mark.slow
def test_the_pictures_can_be_drawn(tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--out", str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "MPLBACKEND": "Agg"},
    )
    drawn = {path.name for path in tmp_path.iterdir()}
    kept = {path.name for path in SCRIPT.parent.glob("*.png")} - {"solver_lab.png"}
    assert drawn == kept
    firsts = [line for line in done.stdout.splitlines() if ": Feasible: " in line]
    assert len(firsts) == len(drawn) - 1  # the demo prints its own
