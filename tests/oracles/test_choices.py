"""The choice of XLA, measured once for a machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sample_models

import constrained_actmax as cax
from constrained_actmax.oracles import choices, compiled


def evaluated(model: Any) -> bool:
    """Evaluate one row with "auto"; return whether XLA was taken."""
    oracle = cax.Oracle(model, cax.Logit(1))
    oracle.evaluate(np.zeros((1, 6)))
    return oracle.describe()["xla_batches"] == [1]


@pytest.mark.parametrize("choice", [True, False])
def test_a_choice_outlives_its_model(
    choice: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(choices.FOLDER_VARIABLE, str(tmp_path / "kept"))
    measured: list[int] = []

    def measure(self: Any, kind: str, batch: int, arguments: Any) -> bool:
        measured.append(batch)
        return choice

    monkeypatch.setattr(compiled.Compiled, "_measured", measure)
    assert evaluated(sample_models.dense("relu", dtype="float32")) is choice
    choices._known.cache_clear()  # as in another process
    assert evaluated(sample_models.dense("relu", dtype="float32")) is choice
    assert measured == [1]
    stored = json.loads((tmp_path / "kept" / "xla.json").read_text())
    assert list(stored.values()) == [choice]
    assert evaluated(sample_models.dense("tanh", dtype="float32")) is choice
    assert measured == [1, 1]  # another graph is measured for itself


def test_a_broken_or_forbidden_folder_costs_a_measurement_and_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "xla.json").write_text("{")
    monkeypatch.setenv(choices.FOLDER_VARIABLE, str(tmp_path))
    assert choices.recall("a") is None
    choices.remember("a", True)
    assert json.loads((tmp_path / "xla.json").read_text()) == {"a": True}
    file = tmp_path / "file"
    file.write_text("")
    monkeypatch.setenv(choices.FOLDER_VARIABLE, str(file / "below"))
    choices.remember("b", True)
    assert choices.recall("b") is True  # in this process
