"""A copy of a Keras model in another floating-point precision."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from constrained_actmax.errors import ModelError, SpecificationError
from constrained_actmax.oracles.network import KerasNetwork
from constrained_actmax.oracles.recording import recording, sublayers
from constrained_actmax.oracles.state import without_writes
from constrained_actmax.quoting import quoted

PRECISIONS = ("float32", "float64")
HALVES = ("float16", "bfloat16")
#: Spacing of TensorFloat-32, to whose 10 bits a GPU may round what is multiplied in float32.
TENSOR_FLOAT_32 = 2.0**-10
STATISTICS_ROWS = 4  # inputs drawn at the statistics of each layer that has them


def checked_precision(precision: Any) -> str | None:
    """Return the name of a precision, or raise."""
    if precision is None:
        return None
    name = str(precision)
    if name not in PRECISIONS:
        raise SpecificationError(
            f"precision: must be 'float32', 'float64' or None, got {quoted(precision)}."
        )
    return name


def warn_of_half(name: str, dtypes: tuple[str, ...]) -> None:
    """Warn that half precision spoils line searches."""
    halves = [dtype for dtype in dtypes if dtype in HALVES]
    if halves:
        warnings.warn(
            f"{name}: computes in {halves[0]}, whose noise of about 1e-3 spoils line searches and "
            'residuals; pass precision="float64".',
            stacklevel=4,
        )


def copy_in_precision(model: Any, precision: str, custom_objects: Mapping[str, Any] | None) -> Any:
    """Return a copy of a Keras model that computes in `precision`; the original is not touched.

    Parameters
    ----------
    model : keras.Model
        Built.
    precision : {"float32", "float64"}
        Of weights and arithmetic.
    custom_objects : mapping, optional
        Classes that Keras does not know.

    Raises
    ------
    ModelError
        If the model cannot be built again from its own configuration.

    Notes
    -----
    Weights are copied first, then the state that layers keep beside them, by Keras's own contract
    for files: `save_own_variables` and `load_own_variables`, which also finalizes an adapted
    `Normalization`. What neither tells is found by `compare_copy`.
    """
    import keras

    way_out = (
        f'build it under keras.config.set_dtype_policy("{precision}") and pass that model, or '
        "write get_config() and from_config()."
    )
    policy = keras.config.dtype_policy()
    floatx = keras.config.floatx()
    try:
        keras.config.set_dtype_policy(precision)
        keras.config.set_floatx(precision)
        config, functions = _with_functions(model, copy.deepcopy(model.get_config()))
        config = _converted(config, precision)
        with keras.saving.CustomObjectScope({**dict(custom_objects or {}), **functions}):
            twin = type(model).from_config(config)
        if not twin.built or len(twin.weights) != len(model.weights):
            shapes = [tuple(tensor.shape) for tensor in _input_tensors(model)]
            if shapes:
                zeros = [np.zeros([length or 1 for length in shape]) for shape in shapes]
                twin(zeros[0] if len(zeros) == 1 else zeros, training=False)
            else:
                build = model.get_build_config() or {}
                if build.get("input_shape"):
                    shape = [length or 1 for length in build["input_shape"]]
                    twin(np.zeros(shape), training=False)
    except Exception as error:
        raise ModelError(
            f"{model.name}: precision={precision!r} needs a copy, and the model cannot be built "
            f"again from its configuration ({type(error).__name__}); {way_out}"
        ) from error
    finally:
        keras.config.set_floatx(floatx)
        keras.config.set_dtype_policy(policy)
    if [tuple(weight.shape) for weight in twin.weights] != [
        tuple(weight.shape) for weight in model.weights
    ]:
        raise ModelError(
            f"{model.name}: precision={precision!r} needs a copy, but the one built from its "
            f"configuration has other weights; {way_out}"
        )
    for target, source in zip(twin.weights, model.weights, strict=True):
        target.assign(np.asarray(source.value).astype(target.dtype))
    for path, layer, copied in _paired(model, twin):
        _copy_state(f"{model.name}: precision={precision!r}", path, layer, copied)
    return twin


def _copy_state(who: str, path: str, layer: Any, copied: Any) -> None:
    """Let a layer of the copy load what its original saves."""
    state: dict[str, Any] = {}
    try:
        layer.save_own_variables(state)
        converted = {name: _converted_array(value, copied) for name, value in state.items()}
        copied.load_own_variables(converted)
    except Exception as error:
        raise ModelError(
            f"{who} needs a copy, and the layer {path!r} does not load what it saves "
            f"({type(error).__name__}); mend its save_own_variables() and load_own_variables()."
        ) from error


def _converted_array(value: Any, layer: Any) -> np.ndarray:
    array = np.asarray(getattr(value, "value", value))
    floating = array.dtype.kind == "f" or array.dtype.name in HALVES
    return array.astype(layer.variable_dtype) if floating else array


def _paired(model: Any, twin: Any) -> Iterator[tuple[str, Any, Any]]:
    """Yield a model and its layers, by path, with those of its copy."""
    ours, theirs = [(model.name, model), *sublayers(model)], [(twin.name, twin), *sublayers(twin)]
    if [type(layer) for _, layer in ours] != [type(layer) for _, layer in theirs]:
        raise ModelError(
            f"{model.name}: precision= needs a copy, but the one built from its configuration has "
            "other layers; write get_config() and from_config()."
        )
    for (path, layer), (_, copied) in zip(ours, theirs, strict=True):
        yield path, layer, copied


def compare_copy(
    original: KerasNetwork, copied: KerasNetwork, inputs: Sequence[np.ndarray], where: str
) -> None:
    """Refuse a copy that computes another function, by the name of the first layer that does.

    Each layer of the copy gets what the model's own layers gave out before it. So rounding does not
    add up from layer to layer, and the layer that is named is the one that differs.

    Parameters
    ----------
    original, copied : KerasNetwork
        The model, and its copy in another precision.
    inputs : sequence of numpy.ndarray
        The model's inputs, rows first, in the order of its ports.
    where : str
        What these inputs are, for the message.

    Raises
    ------
    ModelError
        If the outputs of a layer differ, in Euclidean norm over all inputs and relative to their
        size, by more than half of the digits of the coarser arithmetic.
    """
    import tensorflow as tf

    coarsest = max((*original.dtypes, *copied.dtypes), key=epsilon_of)
    tolerance = tolerance_of(coarsest)
    rounded = [tf.cast(tf.cast(part, coarsest), tf.float64) for part in inputs]
    names: dict[str, str] = {}
    for (path, _), (theirs, _) in zip(
        sublayers(original.model), sublayers(copied.model), strict=True
    ):
        names.setdefault(theirs, path)

    others: list[tuple[str, float]] = []  # raised in the end: Keras rewords errors inside of layers

    def compared(path: str, expected: Any, output: Any) -> Any:
        difference = _difference(expected, output)
        if difference > tolerance:
            others.append((path, difference))
        return tf.nest.map_structure(_as_in_copy, expected, output)

    with original.recording() as records, without_writes():
        expected = original.call(_cast(rounded, original))

    def replace(path: str, call: int, output: Any) -> Any:
        return compared(names[path], records.outputs[names[path]][call], output)

    with recording(copied.model, replace), without_writes():
        output = copied.call(_cast(rounded, copied))
    compared(original.name, expected, output)
    if others:
        path, difference = others[0]
        raise ModelError(
            f"{original.name}: the copy in {copied.dtypes[0]} computes another function: its layer "
            f"{path!r} differs by {difference:.2g}, relative to its size, at {where}; let "
            "get_config(), or save_own_variables() and load_own_variables(), tell all that the "
            "layer needs, or pass a model that was built in this precision."
        )


def statistics_inputs(network: KerasNetwork, seed: int) -> list[list[np.ndarray]]:
    """Return inputs drawn at the mean and spread of each layer that normalizes by its own.

    Parameters
    ----------
    network : KerasNetwork
        The model.
    seed : int
        Of the draws.

    Returns
    -------
    list of list of numpy.ndarray
        For each such layer whose statistics fit an input, the model's inputs (rows, ...).
    """
    import keras

    rng = np.random.default_rng(seed)
    pairs = []
    for _, layer in sublayers(network.model):
        if isinstance(layer, keras.layers.Normalization):
            mean, variance = layer.mean, layer.variance
        elif isinstance(layer, keras.layers.BatchNormalization):
            mean, variance = layer.moving_mean, layer.moving_variance
        else:
            continue
        mean, spread = (np.asarray(array, dtype=np.float64) for array in (mean, variance))
        spread, fits, inputs = np.sqrt(spread), False, []
        for port in network.ports:
            shape = (STATISTICS_ROWS, *(length or 1 for length in port.shape))
            drawn = rng.standard_normal(shape)
            if _broadcasts(mean.shape, shape):
                drawn, fits = mean + spread * drawn, True
            inputs.append(drawn)
        if fits:
            pairs.append(inputs)
    return pairs


def epsilon_of(dtype: str) -> float:
    """Return the machine epsilon of a floating-point dtype."""
    if dtype == "bfloat16":
        return 2.0**-7
    return float(np.finfo(dtype).eps)


def rounds_products() -> bool:
    """Return whether TensorFlow may compute products of float32 in TensorFloat-32."""
    import tensorflow as tf

    on = bool(tf.config.experimental.tensor_float_32_execution_enabled())
    return on and bool(tf.config.list_physical_devices("GPU"))


def tolerance_of(dtype: str) -> float:
    """Return what rounding may change, relative: the root of epsilon, half of the digits."""
    epsilon = epsilon_of(dtype)
    if dtype == "float32" and rounds_products():
        epsilon = TENSOR_FLOAT_32
    return float(np.sqrt(epsilon))


def _broadcasts(shape: tuple[int, ...], target: tuple[int, ...]) -> bool:
    lengths = zip(reversed(shape), reversed(target), strict=False)
    return len(shape) <= len(target) and all(a in (1, b) for a, b in lengths)


def _cast(inputs: Sequence[Any], network: KerasNetwork) -> list[Any]:
    import tensorflow as tf

    return [tf.cast(input_, port.dtype) for input_, port in zip(inputs, network.ports, strict=True)]


def _as_in_copy(expected: Any, output: Any) -> Any:
    """Return a tensor of the model in the dtype that the copy has in its place."""
    import tensorflow as tf

    both = isinstance(expected, tf.Tensor) and isinstance(output, tf.Tensor)
    return tf.cast(expected, output.dtype) if both and expected.dtype != tf.string else output


def _difference(expected: Any, output: Any) -> float:
    """Return the largest relative difference of the tensors in two structures, where finite."""
    import tensorflow as tf

    largest = 0.0
    for leaf, other in zip(tf.nest.flatten(expected), tf.nest.flatten(output), strict=True):
        if not isinstance(leaf, tf.Tensor) or leaf.dtype == tf.string:
            continue
        a, b = (tf.cast(tensor, tf.float64).numpy() for tensor in (leaf, other))
        finite = np.isfinite(a)
        size = max(float(np.linalg.norm(a[finite])), float(np.sqrt(a.size)) * epsilon_of("float32"))
        gap = float(np.linalg.norm((a - b)[finite])) / size
        largest = max(largest, gap if np.isfinite(gap) else np.inf)
    return largest


def _input_tensors(model: Any) -> list[Any]:
    try:
        return list(model.inputs or [])
    except (AttributeError, ValueError):
        return []


def _with_functions(model: Any, config: Any) -> tuple[Any, dict[str, Any]]:
    """Return a configuration in which Lambda layers name their functions, and these by name.

    Keras writes a lambda as code, which it refuses to run and which has lost the names around it;
    the model's own functions are at hand.
    """
    import keras

    written: list[tuple[Any, Any]] = []
    for _, layer in sublayers(model):
        if isinstance(layer, keras.layers.Lambda):
            own = layer.get_config()
            values = {"function": layer.function, "mask": layer.mask}
            written += [(own.get(key), value) for key, value in values.items() if callable(value)]
    functions: dict[str, Any] = {}

    def named(value: Any) -> Any:
        if isinstance(value, dict) and value.get("class_name") == "__lambda__":
            for code, function in written:
                if code == value:
                    name = f"lambda_{len(functions)}"
                    functions[name] = function
                    return {"class_name": "function", "config": name, "registered_name": name}
        if isinstance(value, dict):
            return {key: named(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return type(value)(named(item) for item in value)
        return value

    return named(config), functions


def _converted(config: Any, precision: str) -> Any:
    """Replace every floating dtype and policy in a configuration."""
    if isinstance(config, dict):
        if config.get("class_name") in ("DTypePolicy", "Policy", "FloatDTypePolicy"):
            name = str(config.get("config", {}).get("name", ""))
            if "float" in name:
                return {**config, "config": {**config["config"], "name": precision}}
        return {
            key: precision
            if key == "dtype" and isinstance(value, str) and "float" in value
            else _converted(value, precision)
            for key, value in config.items()
        }
    if isinstance(config, list | tuple):
        return type(config)(_converted(item, precision) for item in config)
    return config
