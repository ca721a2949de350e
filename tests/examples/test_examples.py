"""The embedded model, the class means, and the script that made both."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from constrained_actmax import examples
from constrained_actmax.errors import SpecificationError
from constrained_actmax.examples import train


@pytest.fixture(scope="module")
def data(shared: Path) -> tuple[train.Samples, train.Samples]:
    return train.read_samples(shared / "data" / "fashion-mnist")


def test_the_model_is_the_one_of_the_question() -> None:
    model = examples.load_model()
    assert model.input_shape == (None, 28, 28)
    assert [type(layer).__name__ for layer in model.layers] == ["Flatten", "Dense", "Dense"]
    assert model.count_params() == 784 * 128 + 128 + 128 * 10 + 10
    assert getattr(model, "optimizer", None) is None
    probability = model.predict(examples.reference("Sneaker")[np.newaxis], verbose=0)[0]
    assert probability.shape == (10,)
    assert probability.argmax() == examples.class_number("Sneaker")


def test_loading_leaves_the_file_alone() -> None:
    before = examples.MODEL_FILE.read_bytes()
    examples.load_model()
    assert examples.MODEL_FILE.read_bytes() == before


def test_the_files_are_small() -> None:
    assert examples.MODEL_FILE.stat().st_size < 450_000
    assert examples.MEANS_FILE.stat().st_size < 50_000


def test_accuracy_on_the_real_test_set(data: tuple[train.Samples, train.Samples]) -> None:
    _, test = data
    guessed = examples.load_model().predict(test.images / 255, verbose=0).argmax(axis=1)
    assert 0.87 <= np.mean(guessed == test.labels) <= 0.89


def test_means_equal_those_of_the_data(data: tuple[train.Samples, train.Samples]) -> None:
    training, _ = data
    for number in (0, 6, 9):
        mean = training.images[training.labels == number].astype(float).mean(axis=0) / 255
        np.testing.assert_allclose(examples.reference(number), mean, atol=1e-7)


@pytest.mark.parametrize(("label", "number"), [("Sneaker", 7), ("ankle BOOT", 9), (0, 0)])
def test_reference_by_number_or_name(label: int | str, number: int) -> None:
    assert examples.class_number(label) == number
    image = examples.reference(label)
    assert image.dtype == np.float64
    assert 0 <= image.min() < image.max() <= 1


@pytest.mark.parametrize(
    ("label", "message"),
    [("Sneakers", "'Sneaker'"), (10, r"0\.\.9, got 10"), (-1, r"0\.\.9"), (True, r"0\.\.9")],
)
def test_an_unknown_class_is_named(label: int | str, message: str) -> None:
    with pytest.raises(SpecificationError, match=message):
        examples.reference(label)


def write_idx(path: Path, array: np.ndarray) -> None:
    header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
    with gzip.open(path, "wb") as file:
        file.write(header + array.tobytes())


def test_read_idx(tmp_path: Path) -> None:
    images = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    write_idx(tmp_path / "images.gz", images)
    np.testing.assert_array_equal(train.read_idx(tmp_path / "images.gz"), images)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x00\x00\x08\x01\x00\x00\x00\x05abc"])
def test_read_idx_refuses_another_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file.gz"
    with gzip.open(path, "wb") as file:
        file.write(content)
    with pytest.raises(SpecificationError, match="IDX|bytes"):
        train.read_idx(path)


def test_the_script_writes_both_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(0)
    for part, count in (("train", 40), ("t10k", 20)):
        labels = np.arange(count, dtype=np.uint8) % 10
        images = rng.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        write_idx(tmp_path / f"{part}-images-idx3-ubyte.gz", images)
        write_idx(tmp_path / f"{part}-labels-idx1-ubyte.gz", labels)
    monkeypatch.setattr(train, "EPOCHS", 1)
    train.main(["--data", str(tmp_path), "--out", str(tmp_path / "out")])
    assert "accuracy" in capsys.readouterr().out
    with np.load(tmp_path / "out" / "class_means.npz") as file:
        assert file["means"].shape == (10, 28, 28)
    assert (tmp_path / "out" / "fashion_mnist.keras").is_file()
