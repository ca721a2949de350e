"""The command line on models that are not pictures: tables, names, units, several inputs."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest

import constrained_actmax as cax
from constrained_actmax.cli import main


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a table model of three columns and a model of two inputs."""
    place = tmp_path_factory.mktemp("models")
    keras.utils.set_random_seed(1)
    table = keras.Sequential(
        [keras.Input((3,), name="person"), keras.layers.Dense(2, name="out")], name="table"
    )
    table.layers[-1].set_weights([np.array([[1.0, -1], [2, 0], [-3, 1]]), np.zeros(2)])
    table.save(place / "table.keras")
    state, action = keras.Input((2,), name="state"), keras.Input((1,), name="action")
    joined = keras.layers.Concatenate()([state, action])
    both = keras.Model(
        {"state": state, "action": action}, keras.layers.Dense(1, activation="tanh")(joined)
    )
    both.save(place / "both.keras")
    return place


def status_of(*arguments: str) -> int:
    with pytest.raises(SystemExit) as left:
        main(list(arguments))
    return int(left.value.code or 0)


def test_labels_from_a_file_and_columns_by_name(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "labels.txt").write_text("credit\n\nrisk\n", encoding="utf-8")
    status = status_of(
        "maximize", str(folder / "table.keras"), "--output", "credit",
        "--labels", str(tmp_path / "labels.txt"), "--feature-names", "age,income,debt",
        "--bounds", "-1", "2", "--seed", "0", "--out", str(tmp_path / "run"),
    )  # fmt: skip
    assert status == 0
    assert "Output('credit')" in capsys.readouterr().out
    result = cax.load_result(tmp_path / "run")
    np.testing.assert_allclose(result.x, [2, 2, -1], atol=1e-6)  # each weight's better bound
    assert result.layout.inputs[0].feature_names == ("age", "income", "debt")
    assert not (tmp_path / "run" / "input.png").exists()
    assert (tmp_path / "run" / "result.png").is_file()


def test_a_table_in_its_own_units(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text(
        f"""
        goal = "minimize"
        out = "answer"
        [model]
        path = "{folder / "table.keras"}"
        feature_names = ["age", "income", "debt"]
        scaling = {{ mean = [40, 1000, 0], std = [10, 500, 1] }}
        [objective]
        type = "Output"
        index = 0
        [[constraints]]
        type = "Box"
        lower = [20, 0, 0]
        upper = [60, 2000, 5]
        [[constraints]]
        type = "Fixed"
        where = ["age"]
        [[constraints]]
        type = "Linear"
        A = {{ income = 1, debt = 100 }}
        lower = 400
        [solve]
        x0 = [50, 1000, 1]
        """,
        encoding="utf-8",
    )
    assert status_of("minimize", str(tmp_path / "run.toml")) == 0
    result = cax.load_result(tmp_path / "answer")
    # value = (age - 40)/10 + 2 (income - 1000)/500 - 3 debt: age is held, debt goes to 5, and
    # then income to 0, since 100 * 5 alone passes 400.
    np.testing.assert_allclose(result.x, [50, 0, 5], atol=1e-3)
    assert result.value == pytest.approx(1 - 4 - 15, abs=1e-3)
    np.testing.assert_allclose(result.batch, [[1, -2, 5]], atol=1e-3)


def test_several_inputs_by_name(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text(
        f"""
        [model]
        path = "{folder / "both.keras"}"
        [objective]
        type = "Output"
        index = 0
        [[constraints]]
        type = "Box"
        lower = -1
        upper = 1
        [[constraints]]
        type = "Fixed"
        where = "state"
        [solve]
        x0 = {{ state = [0.25, -0.5], action = 0 }}
        """,
        encoding="utf-8",
    )
    out = tmp_path / "run"
    assert status_of("maximize", str(tmp_path / "run.toml"), "--out", str(out)) == 0
    result = cax.load_result(out)
    np.testing.assert_array_equal(result.x["state"], [0.25, -0.5])
    assert abs(result.x["action"][0]) == pytest.approx(1.0)
    assert (out / "result.png").is_file()


def test_flags_beside_a_file_take_precedence_only_for_the_run(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "run.toml"
    path.write_text(
        f"""
        [model]
        path = "{folder / "table.keras"}"
        [objective]
        type = "Output"
        [[constraints]]
        type = "LinfBall"
        radius = 1
        [solve]
        seed = 1
        """,
        encoding="utf-8",
    )
    assert status_of("maximize", str(path), "--seed", "5", "--method", "spg", "--starts", "2") == 0
    printed = capsys.readouterr().out
    assert "spg" in printed
    assert "seed          5" in printed
    assert status_of("maximize", str(path), "--l2", "3") == 2
    assert status_of("check", str(path)) == 0
