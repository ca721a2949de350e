"""What tests share: real data, a quiet TensorFlow, hypothesis's profile, a browser."""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("MPLBACKEND", "Agg")

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "project",
    deadline=None,  # the first call compiles
    derandomize=True,
    max_examples=40,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("project")


@pytest.fixture(scope="session")
def shared() -> Path:
    """Return the folder of real models and data that CONSTRAINED_ACTMAX_SHARED names."""
    folder = os.environ.get("CONSTRAINED_ACTMAX_SHARED")
    if not folder:
        pytest.skip("set CONSTRAINED_ACTMAX_SHARED to the folder of real models and data")
    path = Path(folder)
    if not path.is_dir():
        pytest.fail(f"CONSTRAINED_ACTMAX_SHARED names {folder!r}, which is no folder")
    return path


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Start Chromium by playwright for one module, as its event loop runs on; skip without them.

    CONSTRAINED_ACTMAX_BROWSER=required, as in .ci/run, makes that a failure.
    """
    absent = (
        pytest.fail if os.environ.get("CONSTRAINED_ACTMAX_BROWSER") == "required" else pytest.skip
    )
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        absent("needs Chromium: apt-get install chromium")
    try:
        import axe_playwright_python  # noqa: F401  # what the tests ask a page with
        from playwright.sync_api import sync_playwright
    except ImportError as error:
        absent(f"needs: pip install '.[browser]' ({error})")
    with sync_playwright() as tool:
        opened = tool.chromium.launch(
            executable_path=program,
            args=[
                "--no-sandbox",
                "--disable-gpu",
                "--disable-quic",
                "--no-first-run",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
            ],
        )
        yield opened
        opened.close()
