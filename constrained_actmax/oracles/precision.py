"""A copy of a Keras model in another floating-point precision."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from constrained_actmax.errors import ModelError, SpecificationError

PRECISIONS = ("float32", "float64")
HALVES = ("float16", "bfloat16")


def checked_precision(precision: Any) -> str | None:
    """Return the name of a precision, or raise."""
    if precision is None:
        return None
    name = str(precision)
    if name not in PRECISIONS:
        raise SpecificationError(
            f"precision: must be 'float32', 'float64' or None, got {precision!r}."
        )
    return name


def warn_of_half(name: str, dtypes: tuple[str, ...]) -> None:
    """Warn that half precision spoils line searches."""
    halves = [one for one in dtypes if one in HALVES]
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
        config = _converted(copy.deepcopy(model.get_config()), precision)
        with keras.saving.CustomObjectScope(dict(custom_objects or {})):
            twin = type(model).from_config(config)
        if not twin.built or len(twin.weights) != len(model.weights):
            shapes = [tuple(one.shape) for one in _input_tensors(model)]
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
    if [tuple(one.shape) for one in twin.weights] != [tuple(one.shape) for one in model.weights]:
        raise ModelError(
            f"{model.name}: precision={precision!r} needs a copy, but the one built from its "
            f"configuration has other weights; {way_out}"
        )
    for target, source in zip(twin.weights, model.weights, strict=True):
        target.assign(np.asarray(source.value).astype(target.dtype))
    return twin


def _input_tensors(model: Any) -> list[Any]:
    try:
        return list(model.inputs or [])
    except (AttributeError, ValueError):
        return []


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
        return type(config)(_converted(one, precision) for one in config)
    return config
