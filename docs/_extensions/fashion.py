"""Fashion-MNIST where it is at hand, for the pages; without a network.

A reader writes ``keras.datasets.fashion_mnist.load_data()``, which fetches the data.
"""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import numpy as np

import constrained_actmax as cax


def folder() -> Path | None:
    places = [Path.home() / ".keras" / "datasets" / "fashion-mnist"]
    if shared := os.environ.get("CONSTRAINED_ACTMAX_SHARED"):
        places.append(Path(shared) / "data" / "fashion-mnist")
    return next((one for one in places if (one / "t10k-images-idx3-ubyte.gz").exists()), None)


def load_images(limit: int = 2000) -> tuple[np.ndarray, np.ndarray, str]:
    """Test images in [0, 1], their classes, and where they are from; else the class means."""
    place = folder()
    if place is None:
        means = np.stack([cax.examples.reference(k) for k in range(10)])
        return means, np.arange(10), "the ten mean images that the package ships"
    pixels = _read(place / "t10k-images-idx3-ubyte.gz", header=16)
    labels = _read(place / "t10k-labels-idx1-ubyte.gz", header=8)
    images = pixels.reshape(-1, 28, 28)[:limit] / 255
    return images, labels[:limit].astype(int), "the test set of Fashion-MNIST"


def _read(path: Path, header: int) -> np.ndarray:
    return np.frombuffer(gzip.decompress(path.read_bytes()), np.uint8, offset=header)
