"""Models from files, folders and callables."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from sample_models import Residual, convolutional, dense, points, shaken, subclassed, two_inputs

from constrained_actmax import Logit, Oracle, Output
from constrained_actmax.conformance import check_oracle
from constrained_actmax.errors import ModelError, SpecificationError

L = keras.layers


@pytest.mark.parametrize("name", ["m.keras", "m.h5", "m.hdf5"])
def test_keras_files(tmp_path: Path, name: str) -> None:
    model = convolutional()
    model.save(tmp_path / name)
    x = points("convolutional", 128)
    expected = Oracle(model, Logit(1), xla=False).evaluate(x)
    for path in (tmp_path / name, str(tmp_path / name)):
        found = Oracle(path, Logit(1), xla=False).evaluate(x)
        np.testing.assert_allclose(found[1], expected[1], rtol=1e-9, atol=1e-12)


def test_content_and_not_the_name_says_what_a_file_is(tmp_path: Path) -> None:
    model = dense(dtype="float32")
    model.save(tmp_path / "m.h5")
    shutil.copy(tmp_path / "m.h5", tmp_path / "really_hdf5.keras")
    model.save(tmp_path / "m.keras")
    shutil.copy(tmp_path / "m.keras", tmp_path / "really_keras.h5")
    for name in ("really_hdf5.keras", "really_keras.h5"):
        assert Oracle(tmp_path / name, Logit(1), xla=False).size == 6
    (tmp_path / "text.keras").write_text("hello, world")
    with pytest.raises(ModelError, match="neither a Keras archive nor HDF5"):
        Oracle(tmp_path / "text.keras")
    with pytest.raises(ModelError, match="no model at.*Did you mean 'm.keras'"):
        Oracle(tmp_path / "n.keras")


@pytest.mark.parametrize("name", ["m.keras", "m.h5"])
def test_code_hidden_in_a_file_does_not_run(tmp_path: Path, name: str) -> None:
    trap = tmp_path / "trap"
    code = f"__import__('pathlib').Path({str(trap)!r}).touch()"
    function = eval(f"lambda x: ({code}, x * 2.0)[1]")
    model = keras.Sequential([keras.Input((2,)), L.Lambda(function), L.Dense(1)])
    trap.unlink(missing_ok=True)
    model.save(tmp_path / name)
    trap.unlink(missing_ok=True)
    with pytest.raises(ModelError, match="Lambda layer.*safe_mode=False"):
        Oracle(tmp_path / name, Output(0))
    assert not trap.exists()


@pytest.mark.parametrize("name", ["m.keras", "m.h5"])
def test_a_missing_class_is_named_with_both_remedies(tmp_path: Path, name: str) -> None:
    class Doubling(L.Layer):
        def call(self, x: Any) -> Any:
            return 2 * x

    keras.Sequential([keras.Input((2,)), Doubling(), L.Dense(1)]).save(tmp_path / name)
    with pytest.raises(ModelError, match=r"'Doubling'.*custom_objects=.*register_keras_ser"):
        Oracle(tmp_path / name, Output(0))
    oracle = Oracle(tmp_path / name, Output(0), custom_objects={"Doubling": Doubling}, xla=False)
    assert oracle.size == 2


def test_subclassed_model_from_a_file(tmp_path: Path) -> None:
    model = subclassed()
    model.save(tmp_path / "m.keras")
    oracle = Oracle(
        tmp_path / "m.keras", Logit(1), custom_objects={"Residual": Residual}, xla=False
    )
    x = points("subclassed", 3)
    np.testing.assert_allclose(oracle.values(x), Oracle(model, Logit(1)).values(x), rtol=1e-12)


def test_broken_file_says_so_in_one_sentence(tmp_path: Path) -> None:
    dense().save(tmp_path / "m.keras")
    whole = (tmp_path / "m.keras").read_bytes()
    (tmp_path / "m.keras").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelError) as caught:
        Oracle(tmp_path / "m.keras")
    assert "\n" not in str(caught.value)


def test_saved_model_folder(tmp_path: Path) -> None:
    model = convolutional(dtype="float32")
    model.export(tmp_path / "folder", verbose=False)
    oracle = Oracle(tmp_path / "folder", Logit(1), xla=False)
    x = points("convolutional", oracle.size)
    twin = Oracle(model, Logit(1), xla=False)
    np.testing.assert_allclose(oracle.values(x), twin.values(x), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(oracle.evaluate(x)[1], twin.evaluate(x)[1], rtol=1e-3, atol=1e-5)
    assert oracle.smooth is False
    assert oracle.bounded[0].above is False
    check_oracle(oracle, x)
    with pytest.raises(SpecificationError, match="no signature 'server'.*'serve'"):
        Oracle(tmp_path / "folder", signature="server")
    with pytest.raises(ModelError, match="needs a Keras model"):
        Oracle(tmp_path / "folder", precision="float64")


def test_saved_model_of_several_inputs(tmp_path: Path) -> None:
    model = two_inputs("dict", dtype="float32")
    model.export(tmp_path / "folder", verbose=False)
    oracle = Oracle(tmp_path / "folder", xla=False)
    twin = Oracle(model, Output("power"), xla=False)
    assert set(oracle.layout.names) == {"state", "action"}
    head = next(one.name for one in oracle.source.heads if one.shape == (1,))
    value = {"state": np.arange(4.0), "action": np.array([1.0, -1.0])}
    found = oracle.with_objectives(Output(0, head=head)).value(oracle.flatten(value))
    assert found == pytest.approx(twin.value(twin.flatten(value)), rel=1e-5)


def test_signatures_of_strings_are_refused(tmp_path: Path) -> None:
    class Module(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
        def read(self, text: Any) -> Any:
            return {"y": tf.cast(tf.strings.length(text), tf.float32)}

        @tf.function(input_signature=[tf.TensorSpec([1], tf.float32)])
        def fixed(self, x: Any) -> Any:
            return {"y": x * x}

    module = Module()
    tf.saved_model.save(
        module,
        str(tmp_path / "m"),
        signatures={"serving_default": module.read, "fixed": module.fixed},
    )
    with pytest.raises(ModelError, match=r"takes strings.*\['fixed'\]"):
        Oracle(tmp_path / "m")
    oracle = Oracle(tmp_path / "m", Output(0), signature="fixed", xla=False)
    values, jacobian = oracle.evaluate(np.array([[1.0], [2.0], [3.0]]))
    np.testing.assert_allclose(values[:, 0], [1, 4, 9])
    np.testing.assert_allclose(jacobian[:, 0, 0], [2, 4, 6])
    assert (oracle.evaluations, oracle.calls) == (3, 3)


def test_keras_model_with_a_fixed_batch_is_called_in_pieces() -> None:
    model = shaken(keras.Sequential([keras.Input(batch_shape=(4, 3)), L.Dense(2, "tanh")]))
    oracle = Oracle(model, Output(1), xla=False)
    free = shaken(keras.Sequential([keras.Input((3,)), L.Dense(2, "tanh")]))
    x = points("", 3, 6)
    np.testing.assert_allclose(
        oracle.evaluate(x)[1], Oracle(free, Output(1), xla=False).evaluate(x)[1], rtol=1e-5
    )
    assert (oracle.evaluations, oracle.calls) == (6, 2)


def test_tensorflow_functions() -> None:
    def branin(x: Any) -> Any:
        return (x[:, 1] - 0.1 * x[:, 0] ** 2 + 1.6 * x[:, 0] - 6) ** 2

    signature = [tf.TensorSpec([None, 2], tf.float64)]
    x = np.array([[1.0, 2.0], [-1.0, 0.5]])
    expected = [(2 - 0.1 + 1.6 - 6) ** 2, (0.5 - 0.1 - 1.6 - 6) ** 2]
    compiled = tf.function(branin, input_signature=signature)
    for one in (compiled, compiled.get_concrete_function()):
        oracle = Oracle(one, Output(0), xla=False)
        assert oracle.epsilon == np.finfo(float).eps
        np.testing.assert_allclose(oracle.values(x)[:, 0], expected)
        check_oracle(oracle, x)
    plain = Oracle(branin, Output(0), input_shape=2, precision="float64", xla=False)
    np.testing.assert_allclose(plain.values(x)[:, 0], expected)
    with pytest.raises(ModelError, match="needs an input signature"):
        Oracle(branin)


def test_function_of_one_point_is_called_point_by_point() -> None:
    function = tf.function(
        lambda x: tf.stack([tf.reduce_sum(x**2), x[0] * x[2]]),
        input_signature=[tf.TensorSpec([3], tf.float64)],
    )
    oracle = Oracle(function, [Output(0), Output(1)], xla=False)
    x = points("", 3)
    values, jacobian = oracle.evaluate(x)
    np.testing.assert_allclose(values[:, 0], np.sum(x**2, axis=1))
    np.testing.assert_allclose(values[:, 1], x[:, 0] * x[:, 2])
    np.testing.assert_allclose(jacobian[:, 0], 2 * x)
    assert (oracle.evaluations, oracle.calls) == (2, 2)
    check_oracle(oracle, x)


def test_function_of_several_inputs() -> None:
    def product(inputs: Any) -> Any:
        return {"p": tf.reduce_sum(inputs["a"] * inputs["b"], -1), "q": inputs["a"][:, 0]}

    oracle = Oracle(
        product, Output("p"), input_shape={"b": (2,), "a": (2,)}, precision="float64", xla=False
    )
    x = oracle.flatten({"a": [1.0, 2.0], "b": [3.0, 5.0]})
    assert oracle.value(x) == 13.0
    gradient = oracle.unflatten(oracle.gradient(x))
    np.testing.assert_allclose(gradient["a"], [3, 5])
    two = Oracle(
        tf.function(
            lambda left, right: left * right,
            input_signature=[tf.TensorSpec([None], tf.float32), tf.TensorSpec([None], tf.float32)],
        ),
        Output(0),
        xla=False,
    )
    assert two.layout.names == ("left", "right")
    assert two.value(two.flatten({"left": 3, "right": 4})) == 12.0
