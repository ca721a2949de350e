"""Networks that several benchmarks share."""

from __future__ import annotations

from typing import Any


def answer_5(kernel_initializer: str = "glorot_uniform") -> Any:
    """Return the CNN of the question's fifth answer, untrained: 28 x 28 x 1 pixels, ten classes.

    Parameters
    ----------
    kernel_initializer : str
        Of the convolution; the answer's own is "he_normal". Seed Keras before the call.
    """
    import keras

    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((28, 28, 1), name="image"),
            layers.Conv2D(
                32, 3, activation="relu", kernel_initializer=kernel_initializer, name="conv"
            ),
            layers.MaxPooling2D(2),
            layers.Dropout(0.2),
            layers.Flatten(),
            layers.Dense(128, activation="relu"),
            layers.BatchNormalization(),
            layers.Dropout(0.25),
            layers.Dense(10, activation="softmax"),
        ],
        name="answer5_cnn",
    )
