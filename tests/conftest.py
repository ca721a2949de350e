"""What every test shares: the folder of real data, a quiet TensorFlow, one hypothesis profile."""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("CONSTRAINED_ACTMAX_CACHE", "")  # tests measure for themselves

from pathlib import Path

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
