"""What a refusal advises is tried, and what needs no refusal is taken."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf
from sample_models import shaken

from constrained_actmax import Oracle, Output
from constrained_actmax.errors import ModelError

L = keras.layers
X = np.array([0.3, -0.8, 0.5])
FACTOR = 2.5


def with_lambda() -> Any:
    offset = 0.25
    return shaken(
        keras.Sequential(
            [
                keras.Input((3,)),
                L.Dense(4, "tanh"),
                L.Lambda(lambda x: FACTOR * x + offset, output_shape=(4,)),
                keras.Sequential([L.Lambda(lambda x: x - offset), L.Dense(2)]),
            ]
        )
    )


def test_a_lambda_layer_is_copied_to_float64_with_its_own_function() -> None:
    model = with_lambda()
    oracle = Oracle(model, Output(1), precision="float64", xla=False)
    assert oracle.epsilon == np.finfo(float).eps
    expected = float(model(X[np.newaxis].astype("float32"))[0, 1])
    assert oracle.value(X) == pytest.approx(expected, rel=1e-5)


def test_an_old_sequential_file_is_read_with_the_shape_that_it_records(tmp_path: Path) -> None:
    model = shaken(keras.Sequential([keras.Input((3,)), L.Dense(4, "relu"), L.Dense(2)]))
    model.save(tmp_path / "old.h5")
    with h5py.File(tmp_path / "old.h5", "a") as file:  # as Keras 2 wrote it
        config = json.loads(file.attrs["model_config"])
        layers = [one for one in config["config"]["layers"] if one["class_name"] != "InputLayer"]
        for layer in layers:
            for name in ("module", "registered_name", "build_config"):
                layer.pop(name, None)
            layer["config"]["dtype"] = "float32"
        layers[0]["config"]["batch_input_shape"] = [None, 3]
        config["config"]["layers"] = layers
        file.attrs["model_config"] = json.dumps(config)
    oracle = Oracle(tmp_path / "old.h5", Output(1), xla=False)
    assert oracle.layout.inputs[0].shape == (3,)
    assert oracle.value(X) == pytest.approx(float(model(X[np.newaxis])[0, 1]), rel=1e-5)


class Two(keras.Model):
    """Takes two tensors by position."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = L.Dense(2)

    def call(self, a: Any, b: Any, training: Any = None) -> Any:
        return self.dense(a) + b


def test_several_arguments_of_a_model_and_of_a_function() -> None:
    model = Two()
    model(np.ones((1, 3)), np.ones((1, 2)))
    for options in ({}, {"input_shape": (3,)}, {"input_shape": {"a": (3,), "b": (2,)}}):
        with pytest.raises(ModelError, match=r"\(a, b\).*keras.Model\(\[a, b\], model\(a, b\)"):
            Oracle(model, Output(0), **options)
    a, b = keras.Input((3,), name="a"), keras.Input((2,), name="b")
    oracle = Oracle(keras.Model([a, b], model(a, b)), Output(0), xla=False)
    assert oracle.size == 5

    def added(a: Any, b: Any) -> Any:
        return a + b

    with pytest.raises(ModelError, match=r"\(a, b\).*a TensorSpec for each"):
        Oracle(added, Output(0), input_shape=(2,))
    specs = [tf.TensorSpec([None, 2]), tf.TensorSpec([None, 2])]
    summed = Oracle(tf.function(added, input_signature=specs), Output(0), xla=False)
    assert summed.value(np.array([1.0, 2.0, 3.0, 4.0])) == 4.0


def test_a_column_of_whole_numbers_is_held_in_a_function_of_the_others() -> None:
    x, kind = keras.Input((3,)), keras.Input((1,), dtype="int32", name="kind")
    y = L.Concatenate()([x, L.Flatten()(L.Embedding(4, 2, name="kinds")(kind))])
    model = shaken(keras.Model([x, kind], L.Dense(1)(y)))
    with pytest.raises(ModelError, match=r"'kind' takes whole numbers.*lambda x: model"):
        Oracle(model, Output(0))
    held = tf.constant([[2]])
    oracle = Oracle(
        lambda x: model([x, tf.repeat(held, tf.shape(x)[0], axis=0)]),
        Output(0),
        input_shape=(3,),
        xla=False,
    )
    assert oracle.value(X) == pytest.approx(
        float(model([tf.constant(X[np.newaxis], tf.float32), held])[0, 0]), rel=1e-5
    )


def test_a_file_that_keras_cannot_read_names_a_folder_as_the_way_out(tmp_path: Path) -> None:
    model = shaken(keras.Sequential([keras.Input((3,)), L.Dense(2)]))
    model.save(tmp_path / "m.h5")
    with h5py.File(tmp_path / "m.h5", "a") as file:
        config = json.loads(file.attrs["model_config"])
        config["config"]["layers"][1]["config"]["groups"] = 3  # of another version
        file.attrs["model_config"] = json.dumps(config)
    with pytest.raises(ModelError, match=r"cannot read m.h5.*model.export\(folder\)"):
        Oracle(tmp_path / "m.h5")
    for save in (
        lambda folder: model.export(folder, verbose=False),
        lambda folder: tf.saved_model.save(model, folder),
    ):
        save(str(tmp_path / "folder"))
        oracle = Oracle(tmp_path / "folder", Output(1), xla=False)
        assert oracle.value(X) == pytest.approx(float(model(X[np.newaxis])[0, 1]), rel=1e-5)


def test_an_output_of_unknown_size_is_fixed_as_the_message_says() -> None:
    def flat(x: tf.Tensor) -> tf.Tensor:
        return tf.reshape(x, (tf.shape(x)[0], -1))

    with pytest.raises(ModelError, match="as by tf.ensure_shape"):  # the input's shape is given
        Oracle(flat, Output(0), input_shape=(2, 3))
    fixed = Oracle(lambda x: tf.ensure_shape(flat(x), (None, 6)), Output(5), input_shape=(2, 3))
    assert fixed.values(np.arange(6.0)[np.newaxis]).item() == 5.0
