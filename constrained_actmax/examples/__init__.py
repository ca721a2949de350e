"""The embedded model of Fashion-MNIST and the mean image of each of its classes.

The model is the one of the question that this library answers: Flatten, Dense(128, relu),
Dense(10, softmax), on images of shape (28, 28) with grey values between 0 and 1.
`constrained_actmax.examples.train` made both files.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from constrained_actmax.errors import SpecificationError, foresee_backend, suggest

if TYPE_CHECKING:
    import keras

#: Names of the ten classes, in the order of the model's outputs.
CLASS_NAMES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)

MODEL_FILE = Path(__file__).with_name("fashion_mnist.keras")
MEANS_FILE = Path(__file__).with_name("class_means.npz")


def load_model() -> keras.Model:
    """Return the embedded model, freshly read: (28, 28) in [0, 1] to ten softmax outputs."""
    foresee_backend()
    import keras

    return keras.models.load_model(MODEL_FILE, compile=False)


def class_number(label: int | str) -> int:
    """Return the number 0..9 of a class given by number or name.

    Raises
    ------
    SpecificationError
        If there is no such class.
    """
    if isinstance(label, str):
        lowered = [name.lower() for name in CLASS_NAMES]
        if label.lower() in lowered:
            return lowered.index(label.lower())
        raise SpecificationError(
            f"examples: no class is named {label!r}. {suggest(label, CLASS_NAMES)}"
        )
    if isinstance(label, bool) or not 0 <= int(label) < len(CLASS_NAMES):
        raise SpecificationError(f"examples: classes are numbered 0..9, got {label!r}.")
    return int(label)


def reference(label: int | str) -> npt.NDArray[np.float64]:
    """Return the mean training image of a class, shape (28, 28), grey values in [0, 1].

    Parameters
    ----------
    label : int or str
        Number or name of the class; case does not matter.

    Raises
    ------
    SpecificationError
        If there is no such class.

    Examples
    --------
    >>> from constrained_actmax import examples
    >>> examples.reference("Sneaker").shape
    (28, 28)
    """
    number = class_number(label)
    with np.load(MEANS_FILE, allow_pickle=False) as file:
        return np.asarray(file["means"][number], dtype=np.float64)
