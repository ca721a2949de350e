"""Saved runs: whole after any interruption, and one sentence about what is broken."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import constrained_actmax as cax
from constrained_actmax.cli.commands import BAD_INPUT, _run
from constrained_actmax.errors import SpecificationError
from constrained_actmax.plotting.images import read_image

FEW = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
#: Where a file is changed, what is put there, and whether it is cut off behind.
DAMAGE = st.tuples(st.floats(0, 1, exclude_max=True), st.binary(max_size=9), st.booleans())
TOML = """
[model]
path = "example"
[objective]
type = "Logit"
target = 7
[[constraints]]
type = "Box"
lower = 0
upper = 1
[solve]
budget = { evaluations = 20 }
"""


def solved(value: float) -> cax.Result:
    slope = np.full(2, value)
    oracle = cax.FunctionOracle(lambda x: (float(slope @ x), slope), 2)
    return cax.maximize(oracle, bounds=(0, 1), starts=2, seed=int(value))


def damaged(content: bytes, damage: tuple[float, bytes, bool]) -> bytes:
    share, put, cut = damage
    place = int(share * len(content))
    return content[:place] + put + (b"" if cut else content[place + len(put) :])


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return solved(1.0).save(tmp_path_factory.mktemp("saved"))


@pytest.mark.parametrize("name", ["result.json", "arrays.npz"])
@FEW
@given(damage=DAMAGE)
def test_a_damaged_folder_is_read_or_named(saved: Path, name: str, damage: Any) -> None:
    folder = saved.parent / "damaged"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(saved, folder)
    (folder / name).write_bytes(damaged((saved / name).read_bytes(), damage))
    try:
        cax.load_result(folder)
    except SpecificationError as error:
        assert str(error).startswith("load_result: ")  # noqa: PT017
        assert "\n" not in str(error)  # noqa: PT017


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "{}", '{"format": 2}', '{"format": []}'])
def test_a_foreign_folder_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "result.json").write_text(text)
    with pytest.raises(SpecificationError, match="^load_result: "):
        cax.load_result(tmp_path)
    assert _run(["report", str(tmp_path)]) == BAD_INPUT


def test_arrays_of_another_run_are_named(tmp_path: Path, saved: Path) -> None:
    folder = solved(2.0).save(tmp_path)
    shutil.copy(saved / "arrays.npz", folder / "arrays.npz")
    with pytest.raises(SpecificationError, match=r"arrays\.npz is not the one that was saved"):
        cax.load_result(folder)


@pytest.mark.parametrize("step", range(5))
def test_a_run_that_is_killed_while_saving_leaves_one_whole_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    solved(1.0).save(tmp_path)
    steps = iter(range(10))

    def killed(act: Any) -> Any:
        def wrapper(*arguments: Any, **settings: Any) -> Any:
            if next(steps) == step:
                raise KeyboardInterrupt
            return act(*arguments, **settings)

        return wrapper

    later = solved(2.0)
    with monkeypatch.context() as patched:
        for name in ("write_bytes", "write_text", "replace"):
            patched.setattr(Path, name, killed(getattr(Path, name)))
        try:
            later.save(tmp_path)
        except KeyboardInterrupt:
            assert step < 4
    loaded = cax.load_result(tmp_path)
    assert loaded.value == (2.0 if step <= 2 else 4.0)
    later.save(tmp_path)
    assert cax.load_result(tmp_path).value == 4.0
    assert sorted(one.name for one in tmp_path.iterdir()) == ["arrays.npz", "result.json"]


@FEW
@given(damage=DAMAGE)
def test_a_damaged_file_of_toml_ends_with_status_two(
    tmp_path: Path, damage: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "run.toml"
    path.write_bytes(damaged(TOML.encode(), damage))
    status = _run(["check", str(path)])
    assert status in (0, BAD_INPUT)
    if status:
        assert len(capsys.readouterr().err.strip().splitlines()) == 1


@pytest.mark.parametrize("value", ["{a = 1}", "2020-01-01", "'x'", "true", "nan"])
def test_bounds_of_another_type_end_with_status_two(tmp_path: Path, value: str) -> None:
    path = tmp_path / "run.toml"
    path.write_text(TOML.replace("lower = 0", f"lower = {value}"))
    assert _run(["check", str(path)]) == BAD_INPUT


@FEW
@given(damage=DAMAGE)
def test_a_damaged_picture_is_read_or_named(tmp_path: Path, damage: Any) -> None:
    from PIL import Image

    path = tmp_path / "picture.png"
    Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).save(path)
    path.write_bytes(damaged(path.read_bytes(), damage))
    try:
        read_image(path, (8, 8))
    except SpecificationError as error:
        assert "\n" not in str(error)  # noqa: PT017


@pytest.mark.parametrize("name", ["model.keras", "model.h5", "model"])
@pytest.mark.parametrize("start", [b"", b"PK\x03\x04", b"\x89HDF\r\n\x1a\n", b"\x00" * 40])
def test_a_model_file_of_bytes_ends_with_status_two(
    tmp_path: Path, name: str, start: bytes
) -> None:
    path = tmp_path / name
    path.write_bytes(start + bytes(range(60)))
    assert _run(["check", str(path), "--output", "0"]) == BAD_INPUT


def test_a_place_that_cannot_be_a_folder_is_named(tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.write_text("a file")
    result = solved(1.0)
    for place in (taken, taken / "below"):
        with pytest.raises(SpecificationError, match="save: .*taken.* cannot be a folder"):
            result.save(place)
    problem = cax.Problem(cax.FunctionOracle(lambda x: (x[0], np.ones(1)), 1), bounds=(0, 1))
    with pytest.raises(SpecificationError, match="compare: .*taken.* cannot be a folder"):
        cax.compare([problem], ["pgd"], folder=taken)
    assert taken.read_text() == "a file"
