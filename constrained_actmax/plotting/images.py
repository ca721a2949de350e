"""Images to and from files, with 0..255 mapped linearly onto the bounds of the input."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from constrained_actmax.errors import SpecificationError
from constrained_actmax.layout import Vector
from constrained_actmax.storage import UNREADABLE, first_line


def pixel_range(
    lower: npt.ArrayLike | None, upper: npt.ArrayLike | None, x: Vector | None = None
) -> tuple[float, float]:
    """Return the values that black and white stand for: the finite bounds, else those of `x`.

    Parameters
    ----------
    lower, upper : array_like or None
        Bounds, infinite where there is none.
    x : numpy.ndarray, optional
        Where a side has no finite bound, its extreme stands in; 0 and 1 where there is no x.

    Returns
    -------
    tuple of float
        (low, high) with low < high.
    """
    low = np.asarray(-np.inf if lower is None else lower, dtype=np.float64)
    high = np.asarray(np.inf if upper is None else upper, dtype=np.float64)
    seen = np.asarray([0.0, 1.0] if x is None else x, dtype=np.float64)
    seen = seen[np.isfinite(seen)]
    if not seen.size:
        seen = np.array([0.0, 1.0])
    bottom = float(low.min()) if np.isfinite(low).all() else float(seen.min())
    top = float(high.max()) if np.isfinite(high).all() else float(seen.max())
    return (bottom, top) if bottom < top else (bottom - 0.5, bottom + 0.5)


def image_size(shape: tuple[int, ...]) -> tuple[int, int, int] | None:
    """Return (height, width, channels) if an input of this shape is a picture, else None."""
    if len(shape) == 2:
        return (shape[0], shape[1], 1)
    if len(shape) == 3 and shape[2] in (1, 3):
        return (shape[0], shape[1], shape[2])
    return None


def read_image(
    path: str | Path,
    shape: tuple[int, ...],
    lower: npt.ArrayLike | None = 0.0,
    upper: npt.ArrayLike | None = 1.0,
    *,
    resize: bool = False,
) -> npt.NDArray[np.float64]:
    """Return a picture as an input of `shape`: grey or colour, 0..255 mapped onto the bounds.

    Parameters
    ----------
    path : str or pathlib.Path
        PNG, JPEG or whatever else Pillow reads; turned upright as its EXIF data say.
    shape : tuple of int
        (h, w), (h, w, 1) or (h, w, 3); colour becomes grey, and grey colour, as needed.
    lower, upper : array_like, default 0 and 1
        What black and white stand for, see `pixel_range`.
    resize : bool, default False
        Whether a picture of another size is scaled (Lanczos) or refused.

    Raises
    ------
    SpecificationError
        If the file is no picture, has transparent parts or another size, or `shape` is no image.
    """
    size = image_size(shape)
    if size is None:
        raise SpecificationError(
            f"{path}: the model's input has shape {shape}, a picture needs (h, w), (h, w, 1) or "
            "(h, w, 3); give an .npy file."
        )
    height, width, channels = size
    try:
        with Image.open(path) as file:
            picture = ImageOps.exif_transpose(file)
            picture.load()
    except FileNotFoundError:
        raise SpecificationError(f"{path}: no such file.") from None
    except (*UNREADABLE, Image.DecompressionBombError) as error:
        raise SpecificationError(
            f"{path}: not a picture that Pillow can read ({first_line(error)})."
        ) from error
    if picture.has_transparency_data:
        alpha = np.asarray(picture.convert("RGBA"))[..., 3]
        if alpha.min() < 255:
            raise SpecificationError(
                f"{path}: has transparent pixels, whose value is unknown; save it without."
            )
    if picture.size != (width, height) and not resize:
        raise SpecificationError(
            f"{path}: the picture is {picture.height} x {picture.width}, the model's input "
            f"{height} x {width}; scale it yourself or ask for it with --resize (resize=True)."
        )
    share = _shares(picture, (width, height), channels)
    low, high = pixel_range(lower, upper)
    return np.asarray((low + (high - low) * share).reshape(shape), dtype=np.float64)


def _shares(picture: Image.Image, size: tuple[int, int], channels: int) -> np.ndarray:
    """Return the picture's values from 0 to 1 in the wanted size and number of channels."""
    if picture.mode.startswith("I;16"):  # 16 bits of grey, which Pillow would cut off at 255
        values = np.asarray(picture, dtype=np.float32)
        picture = Image.fromarray(values / 65535 * 255)
    if picture.mode == "F":
        grey = picture if picture.size == size else picture.resize(size, Image.Resampling.LANCZOS)
        share = np.clip(np.asarray(grey, dtype=np.float64) / 255, 0, 1)
        return np.repeat(share[..., np.newaxis], channels, axis=-1)
    picture = picture.convert("L" if channels == 1 else "RGB")
    if picture.size != size:
        picture = picture.resize(size, Image.Resampling.LANCZOS)
    return np.asarray(picture, dtype=np.float64) / 255


def write_image(
    path: str | Path,
    x: npt.ArrayLike,
    lower: npt.ArrayLike | None = None,
    upper: npt.ArrayLike | None = None,
) -> tuple[float, float]:
    """Write an input as a picture, its bounds as black and white, one pixel an entry.

    Parameters
    ----------
    path : str or pathlib.Path
        Its ending says the format.
    x : array_like
        Shape (h, w), (h, w, 1) or (h, w, 3).
    lower, upper : array_like, optional
        See `pixel_range`. Bytes round: the picture is a view, the array is the answer.

    Returns
    -------
    tuple of float
        The values that 0 and 255 stand for.

    Raises
    ------
    SpecificationError
        If x has another shape.
    """
    values = np.asarray(x, dtype=np.float64)
    size = image_size(values.shape)
    if size is None:
        raise SpecificationError(
            f"write_image: a picture needs shape (h, w), (h, w, 1) or (h, w, 3), "
            f"got {values.shape}."
        )
    low, high = pixel_range(lower, upper, values)
    share = np.nan_to_num((values - low) / (high - low), nan=0.0, posinf=1.0, neginf=0.0)
    pixels = np.rint(255 * np.clip(share, 0, 1)).astype(np.uint8)
    Image.fromarray(pixels.reshape(size[:2]) if size[2] == 1 else pixels).save(path)
    return low, high
