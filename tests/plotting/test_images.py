"""0..255 maps linearly onto the bounds; another size is refused unless asked for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from constrained_actmax.errors import SpecificationError
from constrained_actmax.plotting import pixel_range, read_image, write_image


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 1), (5, 7, 3)])
@pytest.mark.parametrize(("lower", "upper"), [(0.0, 1.0), (-1.0, 1.0), (0.0, 255.0)])
def test_write_and_read_agree_to_half_a_level(
    tmp_path: Path, shape: tuple[int, ...], lower: float, upper: float
) -> None:
    x = np.random.default_rng(0).uniform(lower, upper, shape)
    path = tmp_path / "x.png"
    assert write_image(path, x, lower, upper) == (lower, upper)
    back = read_image(path, shape, lower, upper)
    assert back.shape == shape
    assert np.max(np.abs(back - x)) <= (upper - lower) / 255 / 2 + 1e-12


def test_values_outside_the_bounds_are_clipped_and_not_wrapped(tmp_path: Path) -> None:
    write_image(tmp_path / "x.png", [[-5.0, 0.0], [1.0, 9.0]], 0.0, 1.0)
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "x.png")), [[0, 0], [255, 255]])


@pytest.mark.parametrize(
    ("lower", "upper", "x", "expected"),
    [
        (0, 1, None, (0, 1)),
        ([0, -2], [1, 5], None, (-2, 5)),
        (None, None, [3.0, 4.0], (3, 4)),
        (-np.inf, 7, [3.0, 4.0], (3, 7)),
        (2, 2, None, (1.5, 2.5)),
        (None, None, [np.nan, np.inf], (0, 1)),
    ],
)
def test_pixel_range(lower: object, upper: object, x: object, expected: object) -> None:
    given = None if x is None else np.array(x)
    assert pixel_range(lower, upper, given) == expected  # type: ignore[arg-type]


def test_another_size_is_an_error_without_resize(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    Image.new("L", (10, 8), 255).save(path)
    with pytest.raises(SpecificationError, match="picture is 8 x 10, the model's input 28 x 28"):
        read_image(path, (28, 28))
    np.testing.assert_allclose(read_image(path, (28, 28), 0, 3, resize=True), 3.0)


def test_sixteen_bits_keep_their_range(tmp_path: Path) -> None:
    levels = np.array([[0, 32768], [65535, 13107]], dtype=np.uint16)
    Image.fromarray(levels).save(tmp_path / "x.png")
    read = read_image(tmp_path / "x.png", (2, 2))
    np.testing.assert_allclose(read, levels / 65535, atol=1e-6)
    assert read_image(tmp_path / "x.png", (2, 2, 3)).shape == (2, 2, 3)


def test_transparent_pixels_are_refused_and_opaque_ones_taken(tmp_path: Path) -> None:
    Image.new("RGBA", (4, 4), (10, 20, 30, 0)).save(tmp_path / "clear.png")
    with pytest.raises(SpecificationError, match="transparent"):
        read_image(tmp_path / "clear.png", (4, 4, 3))
    Image.new("RGBA", (4, 4), (255, 0, 0, 255)).save(tmp_path / "solid.png")
    np.testing.assert_allclose(read_image(tmp_path / "solid.png", (4, 4, 3))[0, 0], [1, 0, 0])


def test_bad_files_and_shapes_are_named(tmp_path: Path) -> None:
    with pytest.raises(SpecificationError, match="no such file"):
        read_image(tmp_path / "none.png", (4, 4))
    (tmp_path / "text.png").write_text("hello", encoding="utf-8")
    with pytest.raises(SpecificationError, match="not a picture"):
        read_image(tmp_path / "text.png", (4, 4))
    with pytest.raises(SpecificationError, match=r"shape \(9,\)"):
        read_image(tmp_path / "text.png", (9,))
    with pytest.raises(SpecificationError, match=r"got \(9,\)"):
        write_image(tmp_path / "x.png", np.zeros(9))
