"""Random networks of accepted layers, in float64."""

from __future__ import annotations

from typing import Any

import keras
from hypothesis import strategies as st
from sample_models import L, shaken

D = "float64"
ACTIVATIONS = (
    "relu relu6 leaky_relu hard_sigmoid hard_tanh hard_silu tanh sigmoid softplus elu selu silu "
    "gelu mish softsign"
).split()
PIECEWISE = ("relu", "relu6", "leaky_relu", "hard_sigmoid", "hard_tanh")


def step(draw: Any, y: Any, shared: dict[Any, Any], piecewise: bool) -> Any:
    """Return one more drawn layer on an image or a vector."""
    kinds = ["activation", "norm", "prelu", "residual", "maximum"]
    image = len(y.shape) == 4
    if image and y.shape[1] >= 3:
        kinds += ["conv", "depthwise", "max", "average", "pad", "shared_conv", "concat"]
    if not image:
        kinds += ["dense", "shared_dense", "split"]
    kind = draw(st.sampled_from(kinds))
    channels = int(y.shape[-1])
    if kind == "activation":
        name = draw(st.sampled_from(PIECEWISE if piecewise else ACTIVATIONS))
        return L.Activation(name, dtype=D)(y)
    if kind == "norm":
        return L.BatchNormalization(dtype=D)(y)
    if kind == "prelu":
        return L.PReLU(shared_axes=[1, 2] if image else None, dtype=D)(y)
    if kind == "conv":
        padding = draw(st.sampled_from(["same", "valid"]))
        return L.Conv2D(3, 2, strides=draw(st.integers(1, 2)), padding=padding, dtype=D)(y)
    if kind == "depthwise":
        return L.DepthwiseConv2D(2, padding="same", dtype=D)(y)
    if kind == "max":
        padding = draw(st.sampled_from(["same", "valid"]))
        return L.MaxPooling2D(draw(st.integers(2, 3)), strides=2, padding=padding, dtype=D)(y)
    if kind == "average":
        return L.AveragePooling2D(2, padding="same", dtype=D)(y)
    if kind == "pad":
        return L.ZeroPadding2D(1, dtype=D)(y)
    if kind in ("shared_conv", "shared_dense"):
        make = {
            "shared_conv": lambda: L.Conv2D(channels, 3, padding="same", dtype=D),
            "shared_dense": lambda: L.Dense(channels, dtype=D),
        }[kind]
        layer = shared.setdefault((kind, channels), make())
        return layer(L.Activation("relu", dtype=D)(layer(y)))
    if kind == "concat":
        return L.Concatenate(dtype=D)([y, L.Conv2D(2, 1, activation="relu", dtype=D)(y)])
    if kind == "residual":
        inner = (
            L.Conv2D(channels, 3, padding="same", dtype=D) if image else L.Dense(channels, dtype=D)
        )
        return L.Add(dtype=D)([y, L.Activation("relu", dtype=D)(inner(y))])
    if kind == "maximum":
        inner = L.Conv2D(channels, 1, dtype=D) if image else L.Dense(channels, dtype=D)
        return L.Maximum(dtype=D)([y, inner(y)])
    if kind == "split":
        half = (
            L.Lambda(lambda t: t[:, 1:] - 2 * t[:, :-1], dtype=D)
            if channels > 2
            else L.Identity(dtype=D)
        )
        return half(y)
    return L.Dense(draw(st.integers(2, 6)), dtype=D)(y)


@st.composite
def networks(draw: Any, piecewise: bool = False) -> Any:
    """Draw a float64 network."""
    keras.utils.set_random_seed(0)
    shape = draw(st.sampled_from([(6,), (6, 6, 2)]))
    x = keras.Input(shape, dtype=D)
    shared: dict[Any, Any] = {}
    y = x
    for _ in range(draw(st.integers(1, 5))):
        y = step(draw, y, shared, piecewise)
    y = L.Flatten(dtype=D)(y)
    head = None if piecewise else draw(st.sampled_from([None, "softmax", "log_softmax", "sigmoid"]))
    y = L.Dense(3, activation=head, dtype=D)(y)
    return shaken(keras.Model(x, y), draw(st.integers(0, 5)))
