"""What the wheel holds: CONSTRAINED_ACTMAX_WHEEL names the one that `python -m build` made."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import pytest

import constrained_actmax as cax

WHEEL = os.environ.get("CONSTRAINED_ACTMAX_WHEEL")
PACKAGE = Path(cax.__file__).parent

pytestmark = pytest.mark.skipif(WHEEL is None, reason="needs CONSTRAINED_ACTMAX_WHEEL=FILE")


def test_the_wheel_holds_the_package_and_nothing_else() -> None:
    assert WHEEL is not None
    held = {name for name in zipfile.ZipFile(WHEEL).namelist() if ".dist-info/" not in name}
    package = {
        path.relative_to(PACKAGE.parent).as_posix()
        for path in PACKAGE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert held == package
    data = {name for name in held if not name.endswith(".py")}
    assert {Path(name).suffix for name in data} == {".keras", ".npz", ".txt", ".typed"}
