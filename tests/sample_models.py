"""Small networks of every kind that an oracle has to take, in float64 where asked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

L = keras.layers


def shaken(model: Any, seed: int = 0) -> Any:
    """Give every weight, BatchNorm statistics too, a seeded value that is not its default."""
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        value = np.asarray(weight.value)
        if value.dtype.kind != "f":
            continue
        if "variance" in weight.path:
            weight.assign(rng.uniform(0.5, 2.0, value.shape))
        else:
            weight.assign(rng.standard_normal(value.shape) * (0.6 if value.ndim > 1 else 0.3))
    return model


def dense(activation: str = "tanh", head: str | None = "softmax", dtype: str = "float64") -> Any:
    """Return 6 -> 5 -> 4."""
    return shaken(
        keras.Sequential(
            [
                keras.Input((6,), name="x", dtype=dtype),
                L.Dense(5, activation=activation, name="hidden", dtype=dtype),
                L.Dense(4, activation=head, name="out", dtype=dtype),
            ],
            name="dense_model",
        )
    )


def convolutional(dtype: str = "float64") -> Any:
    """Return convolution, BatchNorm, ReLU, MaxPool, a separate Softmax; 8 x 8 x 2 -> 3."""
    x = keras.Input((8, 8, 2), name="image", dtype=dtype)
    y = L.Conv2D(4, 3, name="conv", dtype=dtype)(x)
    y = L.BatchNormalization(name="norm", dtype=dtype)(y)
    y = L.Activation("relu", name="relu", dtype=dtype)(y)
    y = L.MaxPooling2D(name="pool", dtype=dtype)(y)
    y = L.Dropout(0.5, name="drop", dtype=dtype)(y)
    y = L.Flatten(name="flat", dtype=dtype)(y)
    y = L.Dense(3, name="scores", dtype=dtype)(y)
    return shaken(keras.Model(x, L.Softmax(name="softmax", dtype=dtype)(y), name="cnn"))


def two_inputs(structure: str = "list", dtype: str = "float64") -> Any:
    """Return a model of `state` (4) and `action` (2), with two heads."""
    state = keras.Input((4,), name="state", dtype=dtype)
    action = keras.Input((2,), name="action", dtype=dtype)
    y = L.Concatenate(name="both", dtype=dtype)([state, action])
    y = L.Dense(6, activation="tanh", name="hidden", dtype=dtype)(y)
    power = L.Dense(1, name="power", dtype=dtype)(y)
    kind = L.Dense(3, activation="softmax", name="kind", dtype=dtype)(y)
    inputs: Any = [state, action]
    if structure == "dict":
        inputs = {"state": state, "action": action}
    return shaken(keras.Model(inputs, [power, kind], name="two_inputs"))


def nested(dtype: str = "float64") -> Any:
    """Return a Sequential inside a functional model, called twice, and a shared Dense layer."""
    inner = keras.Sequential(
        [
            keras.Input((5,), dtype=dtype),
            L.Dense(5, activation="softplus", name="first", dtype=dtype),
            L.Dense(5, activation="elu", name="second", dtype=dtype),
        ],
        name="inner",
    )
    shared = L.Dense(5, activation="tanh", name="shared", dtype=dtype)
    x = keras.Input((5,), name="x", dtype=dtype)
    y = shared(inner(shared(inner(x))))
    return shaken(
        keras.Model(x, L.Dense(2, activation="sigmoid", name="out", dtype=dtype)(y), name="outer")
    )


class Residual(keras.Model):
    """A subclassed model, with a layer that is called twice."""

    def __init__(self, dtype: str = "float64", **options: Any) -> None:
        super().__init__(dtype=dtype, **options)
        self.inward = L.Dense(4, name="inward", dtype=dtype)
        self.block = L.Dense(4, activation="gelu", name="block", dtype=dtype)
        self.drop = L.Dropout(0.3, name="drop", dtype=dtype)
        self.outward = L.Dense(1, activation="sigmoid", name="outward", dtype=dtype)

    def call(self, x: Any, training: Any = None) -> Any:
        y = self.inward(x)
        y = y + self.block(y)
        y = y + self.drop(self.block(y), training=training)
        return self.outward(y)


def subclassed(dtype: str = "float64") -> Any:
    """Return a built subclassed model, 3 -> 1 sigmoid."""
    model = Residual(dtype, name="residual")
    model(np.zeros((1, 3)))
    return shaken(model)


def preprocessing(dtype: str = "float64") -> Any:
    """Return a model with Rescaling and Normalization inside, on 4 x 4 pixels of 0 to 255."""
    normalization = L.Normalization(axis=-1, mean=[0.4], variance=[0.2], dtype=dtype)
    return shaken(
        keras.Sequential(
            [
                keras.Input((4, 4, 1), dtype=dtype),
                L.Rescaling(1 / 255.0, dtype=dtype),
                normalization,
                L.Flatten(dtype=dtype),
                L.Dense(3, activation="swish", name="hidden", dtype=dtype),
                L.Dense(3, name="out", dtype=dtype),
                L.Activation("softmax", dtype=dtype),
            ],
            name="preprocessing",
        )
    )


MODELS: dict[str, Callable[[], Any]] = {
    "dense": dense,
    "convolutional": convolutional,
    "two inputs": two_inputs,
    "nested": nested,
    "subclassed": subclassed,
    "preprocessing": preprocessing,
}


def points(name: str, size: int, count: int = 2) -> np.ndarray:
    """Return generic inputs in the range of a model."""
    drawn = np.random.default_rng(7).standard_normal((count, size))
    return 128 + 40 * drawn if name == "preprocessing" else drawn
