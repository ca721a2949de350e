"""Train the embedded model and take the class means; run it to make both files again.

``python -m constrained_actmax.examples.train --data FOLDER --out FOLDER`` reads the four IDX files
of Fashion-MNIST (``train-images-idx3-ubyte.gz`` and its like) from a folder; without ``--data`` it
takes them from Keras's own data set, which downloads them once. The files of the package were made
with Keras 3.11.3, the oldest that it supports: newer ones read them, older ones would not read a
newer one's.
"""

from __future__ import annotations

import argparse
import gzip
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from constrained_actmax.errors import SpecificationError

SEED = 2018
EPOCHS = 10
BATCH = 64
RATE = 1e-3

Bytes = npt.NDArray[np.uint8]


class Samples(NamedTuple):
    """Images of shape (N, 28, 28) with bytes 0..255, and their classes 0..9."""

    images: Bytes
    labels: Bytes


def read_idx(path: Path) -> Bytes:
    """Return the array in one gzipped IDX file of bytes.

    Raises
    ------
    SpecificationError
        If the file does not start as an IDX file of bytes, or is cut short.
    """
    with gzip.open(path, "rb") as file:
        content = file.read()
    if len(content) < 4 or content[:3] != b"\x00\x00\x08":
        raise SpecificationError(f"{path}: not an IDX file of bytes.")
    rank = content[3]
    shape = tuple(int(length) for length in np.frombuffer(content, ">u4", rank, offset=4))
    values = np.frombuffer(content, np.uint8, offset=4 + 4 * rank)
    if values.size != np.prod(shape):
        raise SpecificationError(
            f"{path}: {shape} needs {np.prod(shape)} bytes, {values.size} left."
        )
    return values.reshape(shape)


def read_samples(folder: Path | None = None) -> tuple[Samples, Samples]:
    """Return the training and the test samples, from a folder of IDX files or from Keras's own."""
    if folder is None:
        import keras

        train, test = keras.datasets.fashion_mnist.load_data()
        return Samples(*train), Samples(*test)
    parts = [
        Samples(
            read_idx(folder / f"{part}-images-idx3-ubyte.gz"),
            read_idx(folder / f"{part}-labels-idx1-ubyte.gz"),
        )
        for part in ("train", "t10k")
    ]
    return parts[0], parts[1]


def class_means(samples: Samples) -> npt.NDArray[np.float32]:
    """Return the mean image of each class, shape (10, 28, 28), grey values in [0, 1]."""
    means = [samples.images[samples.labels == number].mean(axis=0) / 255 for number in range(10)]
    return np.asarray(means, dtype=np.float32)


def train(samples: Samples, test: Samples, out: Path) -> float:
    """Train, write ``fashion_mnist.keras`` and ``class_means.npz`` into `out`; return the accuracy.

    Returns
    -------
    float
        The share of `test` that the model classifies correctly.
    """
    import keras

    keras.utils.set_random_seed(SEED)
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((28, 28), name="image"),
            layers.Flatten(name="flatten"),
            layers.Dense(128, activation="relu", name="hidden"),
            layers.Dense(10, activation="softmax", name="classes"),
        ],
        name="fashion_mnist",
    )
    model.compile(
        optimizer=keras.optimizers.Adam(RATE),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    model.fit(samples.images / 255, samples.labels, epochs=EPOCHS, batch_size=BATCH, verbose=0)
    _, accuracy = model.evaluate(test.images / 255, test.labels, verbose=0)

    # A new model with the same weights carries no optimizer state, so the file is a third.
    bare = keras.Sequential.from_config(model.get_config())
    bare.set_weights(model.get_weights())
    out.mkdir(parents=True, exist_ok=True)
    bare.save(out / "fashion_mnist.keras")
    np.savez_compressed(out / "class_means.npz", means=class_means(samples))
    return float(accuracy)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the script."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder with the four IDX files")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent, help="where to write")
    options = parser.parse_args(arguments)
    accuracy = train(*read_samples(options.data), options.out)
    print(f"Test accuracy {accuracy:.4f}; wrote fashion_mnist.keras and class_means.npz.")


if __name__ == "__main__":
    main()
