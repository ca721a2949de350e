"""Which of Keras's layers and activations are read as affine parts between nonlinear operations.

Every class of `keras.layers` and every function of `keras.activations` is put into a small model,
whose structure is asked for; what is read is compared with the model, values and slopes, at random
points. Classes without an example are listed with the reason.

    python docs/benchmarks/structure_layers.py --write
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

L = keras.layers

VECTOR, SEQUENCE, IMAGE, VOLUME = (6,), (8, 4), (6, 6, 3), (4, 4, 4, 2)
FRAMES = (3, 6, 6, 2)

Example = tuple[Callable[[], Any], tuple[tuple[int, ...], ...]]


def one(make: Callable[[], Any], *shapes: tuple[int, ...]) -> Example:
    return make, shapes


def made(name: str, *arguments: Any, **options: Any) -> Callable[[], Any]:
    """Return a function that makes a layer of some name."""
    return lambda: getattr(L, name)(*arguments, **options)


def itself(layer: Any) -> Callable[[Any], Any]:
    """Return self-attention."""
    return lambda x: layer(x, x)


#: How each layer is made, and the shapes of its inputs.
EXAMPLES: dict[str, Example] = {
    **{name: one(getattr(L, name), IMAGE) for name in ("Flatten", "Identity")},
    **{
        name: one(made(name), VECTOR)
        for name in (
            "ActivityRegularization ELU LayerNormalization LeakyReLU PReLU "
            "RMSNormalization ReLU Softmax UnitNormalization"
        ).split()
    },
    **{
        name: one(made(name), VECTOR, VECTOR)
        for name in "Add Average Concatenate Maximum Minimum Multiply Subtract".split()
    },
    **{
        f"{kind}Pooling{d}D": one(made(f"{kind}Pooling{d}D", 2), shape)
        for kind in ("Average", "Max")
        for d, shape in ((1, SEQUENCE), (2, IMAGE), (3, VOLUME))
    },
    **{
        f"Global{kind}Pooling{d}D": one(made(f"Global{kind}Pooling{d}D"), shape)
        for kind in ("Average", "Max")
        for d, shape in ((1, SEQUENCE), (2, IMAGE), (3, VOLUME))
    },
    **{
        f"Adaptive{kind}Pooling{d}D": one(made(f"Adaptive{kind}Pooling{d}D", 3), shape)
        for kind in ("Average", "Max")
        for d, shape in ((1, SEQUENCE), (2, IMAGE), (3, VOLUME))
    },
    **{
        name: one(made(name, 3, 2, padding="same", strides=2), shape)
        for name, shape in (
            ("Conv1D", SEQUENCE),
            ("Conv2D", IMAGE),
            ("Conv3D", VOLUME),
            ("Conv1DTranspose", SEQUENCE),
            ("Conv2DTranspose", IMAGE),
            ("Conv3DTranspose", VOLUME),
            ("SeparableConv1D", SEQUENCE),
            ("SeparableConv2D", IMAGE),
        )
    },
    "DepthwiseConv1D": one(lambda: L.DepthwiseConv1D(3, depth_multiplier=2), SEQUENCE),
    "DepthwiseConv2D": one(lambda: L.DepthwiseConv2D(3, depth_multiplier=2), IMAGE),
    "Dense": one(lambda: L.Dense(4), VECTOR),
    "EinsumDense": one(lambda: L.EinsumDense("abc,cd->abd", (None, 5), bias_axes="d"), SEQUENCE),
    "Activation": one(lambda: L.Activation("relu"), VECTOR),
    "Lambda": one(lambda: L.Lambda(lambda x: 2 * x + 1), VECTOR),
    "BatchNormalization": one(L.BatchNormalization, IMAGE),
    "GroupNormalization": one(lambda: L.GroupNormalization(1), IMAGE),
    "SpectralNormalization": one(lambda: L.SpectralNormalization(L.Dense(4)), VECTOR),
    "Normalization": one(lambda: L.Normalization(mean=0.5, variance=2.0), VECTOR),
    "Rescaling": one(lambda: L.Rescaling(1 / 255.0, -0.5), IMAGE),
    "Resizing": one(lambda: L.Resizing(4, 9), IMAGE),
    "CenterCrop": one(lambda: L.CenterCrop(4, 4), IMAGE),
    "Cropping1D": one(L.Cropping1D, SEQUENCE),
    "Cropping2D": one(L.Cropping2D, IMAGE),
    "Cropping3D": one(L.Cropping3D, VOLUME),
    "ZeroPadding1D": one(L.ZeroPadding1D, SEQUENCE),
    "ZeroPadding2D": one(L.ZeroPadding2D, IMAGE),
    "ZeroPadding3D": one(L.ZeroPadding3D, VOLUME),
    "UpSampling1D": one(L.UpSampling1D, SEQUENCE),
    "UpSampling2D": one(lambda: L.UpSampling2D(interpolation="bilinear"), IMAGE),
    "UpSampling3D": one(L.UpSampling3D, VOLUME),
    "Permute": one(lambda: L.Permute((2, 1)), SEQUENCE),
    "RepeatVector": one(lambda: L.RepeatVector(3), VECTOR),
    "Reshape": one(lambda: L.Reshape((4, 8)), SEQUENCE),
    "Masking": one(L.Masking, SEQUENCE),
    "TimeDistributed": one(lambda: L.TimeDistributed(L.Dense(3, "relu")), SEQUENCE),
    **{
        name: one(made(name, 0.5), shape)
        for name, shape in (
            ("AlphaDropout", VECTOR),
            ("GaussianDropout", VECTOR),
            ("GaussianNoise", VECTOR),
            ("SpatialDropout1D", SEQUENCE),
            ("SpatialDropout2D", IMAGE),
            ("SpatialDropout3D", VOLUME),
        )
    },
    "Dropout": one(lambda: L.Dropout(0.5), VECTOR),
    "Dot": one(lambda: L.Dot(axes=1), VECTOR, VECTOR),
    "Attention": one(L.Attention, SEQUENCE, SEQUENCE),
    "AdditiveAttention": one(L.AdditiveAttention, SEQUENCE, SEQUENCE),
    "MultiHeadAttention": one(lambda: itself(L.MultiHeadAttention(2, 3)), SEQUENCE),
    "GroupQueryAttention": one(lambda: itself(L.GroupQueryAttention(3, 4, 2)), SEQUENCE),
    **{name: one(made(name, 3), SEQUENCE) for name in ("GRU", "LSTM", "SimpleRNN")},
    "RNN": one(lambda: L.RNN(L.SimpleRNNCell(3)), SEQUENCE),
    "Bidirectional": one(lambda: L.Bidirectional(L.LSTM(3)), SEQUENCE),
    "ConvLSTM1D": one(lambda: L.ConvLSTM1D(2, 2), (3, *SEQUENCE)),
    "ConvLSTM2D": one(lambda: L.ConvLSTM2D(2, 2), FRAMES),
    "ConvLSTM3D": one(lambda: L.ConvLSTM3D(2, 2), (2, *VOLUME)),
    "Solarization": one(lambda: L.Solarization(0.1, value_range=(0, 1)), IMAGE),
    "AutoContrast": one(lambda: L.AutoContrast(value_range=(0, 1)), IMAGE),
    **{
        name: one(made(name, 0.2), IMAGE)
        for name in "RandomBrightness RandomContrast RandomRotation RandomZoom "
        "RandomErasing RandomGrayscale RandomInvert RandomHue RandomSaturation RandomSharpness "
        "RandomPerspective RandomShear".split()
    },
    "RandomPosterization": one(lambda: L.RandomPosterization(4), IMAGE),
    "RandomTranslation": one(lambda: L.RandomTranslation(0.2, 0.2), IMAGE),
    "RandomFlip": one(L.RandomFlip, IMAGE),
    "RandomCrop": one(lambda: L.RandomCrop(4, 4), IMAGE),
    "MelSpectrogram": one(lambda: L.MelSpectrogram(fft_length=8, sequence_stride=4), (32,)),
    "STFTSpectrogram": one(
        lambda: L.STFTSpectrogram(frame_length=8, frame_step=4, fft_length=8), (32, 1)
    ),
}

#: Why there is no example.
WITHOUT = {
    **dict.fromkeys(
        "CategoryEncoding Discretization Embedding HashedCrossing Hashing IntegerLookup "
        "ReversibleEmbedding StringLookup TextVectorization".split(),
        "takes whole numbers or strings, or makes whole numbers: no gradient",
    ),
    **dict.fromkeys(
        "InputLayer Layer Pipeline Wrapper".split(),
        "holds other layers, or none, and computes nothing",
    ),
    **dict.fromkeys(
        "GRUCell LSTMCell SimpleRNNCell StackedRNNCells".split(), "used inside a recurrent layer"
    ),
    **dict.fromkeys(
        "FlaxLayer JaxLayer TorchModuleWrapper".split(), "of another framework than TensorFlow"
    ),
    "TFSMLayer": "holds a SavedModel: give its folder",
    "MaxNumBoundingBoxes": "takes bounding boxes",
    "Equalization": "counts pixels: no gradient",
    **dict.fromkeys(
        "AugMix ContrastLimitedAdaptiveHistogramEqualization CutMix MixUp RandAugment "
        "RandomColorDegeneration RandomColorJitter RandomElasticTransform "
        "RandomGaussianBlur".split(),
        "augments pictures in training only",
    ),
}


def shaken(model: Any, seed: int = 0) -> Any:
    """Give every weight a seeded value that is not its default."""
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        if np.asarray(weight.value).dtype.kind == "f":
            positive = "variance" in weight.path
            shape = weight.shape
            weight.assign(
                rng.uniform(0.5, 2, shape) if positive else 0.5 * rng.standard_normal(shape)
            )
    return model


def model_of(
    make: Callable[[], Any], shapes: tuple[tuple[int, ...], ...], dtype: str = "float64"
) -> Any:
    """Return a model of one layer."""
    keras.backend.clear_session()  # names without numbers
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy(dtype)
    try:
        inputs = [keras.Input(shape, name=f"x{i}", dtype=dtype) for i, shape in enumerate(shapes)]
        outputs = make()(inputs if len(inputs) > 1 else inputs[0])
        return shaken(keras.Model(inputs, outputs))
    finally:
        keras.config.set_dtype_policy(policy)


def layers() -> Iterator[tuple[str, list[str]]]:
    """Yield the name of every class of keras.layers, with its other names."""
    names: dict[Any, list[str]] = {}
    for name in dir(L):
        entry = getattr(L, name)
        if isinstance(entry, type) and issubclass(entry, L.Layer):
            names.setdefault(entry, []).append(name)
    for same in names.values():
        known = [name for name in same if name in EXAMPLES or name in WITHOUT]
        first = known[0] if known else max(same, key=len)
        yield first, [name for name in same if name != first]


def activations() -> list[str]:
    """Return the names of the functions of keras.activations."""
    helpers = {"deserialize", "get", "serialize"}
    return [name for name in dir(keras.activations) if name[0] != "_" and name not in helpers]


def dtype_of(name: str) -> str:
    """Return the precision of a layer's model.

    TensorFlow pools volumes in float32 alone, and XLA's derivative of resizing is wrong in float64.
    """
    return "float32" if name.endswith(("Pooling3D", "Resizing", "UpSampling2D")) else "float64"


def verdict(model: Any) -> tuple[bool, str]:
    """Return whether a model is read, and as what, or why not."""
    import constrained_actmax as cax

    try:
        oracle = cax.Oracle(model)
    except (cax.ModelError, cax.SpecificationError) as error:
        return False, f"no model that an oracle takes: {sentence(error)}"
    refusal = oracle.structure_refusal()
    if refusal is not None:
        return False, sentence(refusal)
    compare(oracle)
    kinds = list(dict.fromkeys(step.kind for step in oracle.structure().nonlinearities))
    return True, ", ".join(kinds) or "affine"


def compare(oracle: Any, points: Any = None) -> None:
    """Compare values and slopes of a structure with the model's, in float64."""
    import constrained_actmax as cax

    structure = oracle.structure()
    rng = np.random.default_rng(3)
    x = rng.uniform(-1, 1, (3, oracle.size)) if points is None else points
    structure.check(x)
    signature = structure.signature(x)
    values, deployed = structure.values(x), oracle.source.run(x)
    noise = 1e4 * oracle.epsilon  # of sums in another order
    for name, part in structure.outputs.items():
        expected = deployed[name].reshape(len(x), -1).astype(np.float64)
        size = np.abs(expected).max() + 1e-300
        np.testing.assert_allclose(values[name], expected, rtol=0, atol=noise * size)
        rows = rng.standard_normal((1, part.size))
        slopes, offsets = structure.affine(signature, part, rows)
        again = np.einsum("bmn,bn->bm", np.broadcast_to(slopes, (3, 1, oracle.size)), x) + offsets
        np.testing.assert_allclose(again, values[name] @ rows.T, rtol=0, atol=1e-10 * size)
        if len(deployed) > 1:
            continue
        weights = rows[0].reshape(oracle.source.heads[0].shape)
        total = oracle.with_objectives(
            cax.Custom(lambda inputs, outputs, layers: _weighted(outputs, weights))  # noqa: B023
        )
        gradient = total.evaluate(x)[1][:, 0]
        np.testing.assert_allclose(
            np.broadcast_to(slopes[:, 0], gradient.shape),
            gradient,
            rtol=0,
            atol=noise * (np.abs(gradient).max() + 1e-300),
        )


def _weighted(outputs: Any, weights: Any) -> Any:
    import tensorflow as tf

    axes = list(range(1, len(outputs.shape)))
    return tf.reduce_sum(outputs * weights, axis=axes)


def sentence(error: Any) -> str:
    """Return an error's text without the model's name, in one line of a table."""
    text = " ".join(str(error).split()).partition(": ")[2]
    text = text.partition(", so the network cannot be read")[0]
    return text[:160].replace("|", "/").replace("\x1b[1m", "").rstrip(".") + "."


def main() -> None:
    """Ask, print, and write if asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help="write the page beside this file")
    parser.add_argument("--only", default="", help="names that contain this")
    arguments = parser.parse_args()

    read, refused, without = [], [], []
    for name, others in layers():
        if arguments.only not in name:
            continue
        shown = f"`{name}`" + "".join(f", `{other}`" for other in others)
        if name in EXAMPLES:
            good, text = verdict(model_of(*EXAMPLES[name], dtype_of(name)))
            (read if good else refused).append(f"| {shown} | {text} |")
        else:
            without.append(f"| {shown} | {WITHOUT.get(name, 'no example here')} |")
    for name in activations():
        if arguments.only not in name:
            continue
        good, text = verdict(model_of(lambda name=name: L.Activation(name), (VECTOR,)))
        (read if good else refused).append(f"| activation `{name}` | {text} |")
    page = (
        "# What is read of a network\n\n"
        "Every layer and every activation of Keras, each alone in a model: whether its affine "
        "parts and nonlinear operations can be read (see "
        "[the structure of a network](../explanation/structure.md)). What is read was compared "
        "with the model, values and slopes, in float64. "
        "`python docs/benchmarks/structure_layers.py --write` makes this page.\n\n"
        f"## Read: {len(read)}\n\n| layer | as |\n|---|---|\n" + "\n".join(read) + "\n\n"
        f"## Refused: {len(refused)}\n\n| layer | why |\n|---|---|\n" + "\n".join(refused) + "\n\n"
        f"## Not asked: {len(without)}\n\n| layer | why |\n|---|---|\n"
        + "\n".join(without)
        + "\n\n"
        f"Keras {keras.__version__}.\n"
    )
    print(page)
    if arguments.write:
        Path(__file__).with_suffix(".md").write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
