"""Reading a model from a file or folder, and saying in one sentence why one cannot be read."""

from __future__ import annotations

import re
import shutil
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from constrained_actmax.errors import (
    BackendError,
    ModelError,
    SpecificationError,
    reason_of,
    suggest,
)

SUFFIXES = (".keras", ".h5", ".hdf5")
HDF5 = b"\x89HDF\r\n\x1a\n"


def load_keras(path: Path, custom_objects: Mapping[str, Any] | None, safe_mode: bool) -> Any:
    """Load a .keras or HDF5 file by its content, whatever its name says.

    Raises
    ------
    ModelError
        If there is no such file, it holds no model, a class is missing, or code hides in it.
    """
    import keras

    if not path.exists():
        beside = path.parent.glob("*") if path.parent.is_dir() else ()
        near = [path.name for path in beside if path.suffix in SUFFIXES or is_saved_model(path)]
        raise ModelError(f"Oracle: there is no model at {path}. {suggest(path.name, near)}")
    if path.is_dir():
        raise ModelError(
            f"Oracle: the folder {path} is no SavedModel, as it holds no saved_model.pb; give a "
            ".keras or .h5 file, or the folder that model.export(folder) wrote."
        )
    with path.open("rb") as stream:
        start = stream.read(8)
    if start == HDF5:
        suffix = ".h5"
    elif zipfile.is_zipfile(path):
        suffix = ".keras"
    else:
        raise ModelError(
            f"Oracle: {path.name} is neither a Keras archive nor HDF5; expected a .keras or .h5 "
            "file, or a SavedModel folder."
        )
    options = {"custom_objects": custom_objects, "compile": False, "safe_mode": safe_mode}
    try:
        if path.suffix == suffix or {path.suffix, suffix} == {".hdf5", ".h5"}:
            return keras.models.load_model(path, **options)
        with tempfile.TemporaryDirectory() as folder:  # Keras goes by the name alone
            renamed = Path(folder) / f"model{suffix}"
            shutil.copyfile(path, renamed)
            return keras.models.load_model(renamed, **options)
    except Exception as error:  # Keras raises whatever its parts raise
        raise _explained(path, error) from error


def _explained(path: Path, error: Exception) -> ModelError:
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error))
    lowered = text.lower()
    if "lambda" in lowered and ("safe" in lowered or "unsafe" in lowered or "arbitrary" in lowered):
        return ModelError(
            f"Oracle: {path.name} holds a Lambda layer, that is Python code which would run on "
            "loading; if you trust its author, pass safe_mode=False."
        )
    missing = re.search(
        r"(?:Could not locate class|Unknown \w+:?|Could not find) '?([\w.>]+)'?", text
    )
    if missing and ("custom" in lowered or "register" in lowered):
        name = missing.group(1).split(">")[-1]
        return ModelError(
            f"Oracle: {path.name} uses the custom class {name!r}; pass "
            f'custom_objects={{"{name}": {name}}}, or put '
            "@keras.saving.register_keras_serializable() on the class before loading."
        )
    return ModelError(
        f"Oracle: Keras {_keras_version()} cannot read {path.name} ({reason_of(error)}); "
        "open it with the version that wrote it, call model.export(folder) or "
        "tf.saved_model.save(model, folder) there, and pass that folder."
    )


def _keras_version() -> str:
    import keras

    return str(keras.__version__)


def recorded_shape(path: Path) -> tuple[int, ...] | None:
    """Return the input shape that a legacy Sequential HDF5 file records, where it does.

    Keras 3 misreads some of them and adds an axis of unknown length.
    """
    import json

    import h5py

    if not path.is_file():
        return None
    with path.open("rb") as stream:
        if stream.read(8) != HDF5:
            return None
    with h5py.File(path, "r") as file:
        text = file.attrs.get("model_config")
    if text is None:
        return None
    config = json.loads(text if isinstance(text, str) else text.decode())
    inner = config.get("config")
    layers = inner.get("layers", []) if isinstance(inner, dict) else inner
    if config.get("class_name") != "Sequential" or not layers:
        return None
    first = layers[0].get("config", {})
    shape = first.get("batch_input_shape") or first.get("batch_shape")
    if not shape or any(length is None for length in shape[1:]):
        return None
    return tuple(int(length) for length in shape[1:])


def load_signature(path: Path, signature: str) -> Any:
    """Load one signature of a SavedModel folder as a concrete function.

    Raises
    ------
    ModelError
        If the folder cannot be loaded, or the signature takes strings; the usable ones are listed.
    SpecificationError
        If there is no such signature.
    """
    import tensorflow as tf

    try:
        loaded = tf.saved_model.load(str(path))
    except Exception as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else ""
        if "add_slot" in str(error):
            raise ModelError(
                f"Oracle: {path.name} was saved with its optimizer's state, which this TensorFlow "
                "cannot restore; export it again without: model.export(folder)."
            ) from error
        raise ModelError(
            f"Oracle: {path.name} could not be loaded as a SavedModel "
            f"({type(error).__name__}: {first[:200]}); export it again with model.export(folder)."
        ) from error
    signatures = dict(loaded.signatures)
    usable = [name for name, signature in signatures.items() if not _string_inputs(signature)]
    if signature not in signatures:
        raise SpecificationError(
            f"signature: {path.name} has no signature {signature!r}. {suggest(signature, usable)}"
        )
    concrete = signatures[signature]
    if _string_inputs(concrete):
        raise ModelError(
            f"Oracle: the signature {signature!r} of {path.name} takes strings, which have no "
            f"gradient; usable ones: {usable or 'none'}."
        )
    concrete._owner = loaded  # its variables live as long as the loaded object
    return concrete


def _string_inputs(concrete: Any) -> bool:
    import tensorflow as tf

    return any(
        spec.dtype == tf.string
        for spec in tf.nest.flatten(concrete.structured_input_signature)
        if isinstance(spec, tf.TensorSpec)
    )


def is_saved_model(path: Path) -> bool:
    """Whether a folder holds a SavedModel."""
    return path.is_dir() and any((path / name).exists() for name in _PROTOBUFS)


_PROTOBUFS = ("saved_model.pb", "saved_model.pbtxt")


def needs_tensorflow_backend() -> None:
    """Refuse to go on where Keras runs on another backend.

    Raises
    ------
    BackendError
        If `keras.config.backend()` is not "tensorflow".
    """
    import keras

    backend = keras.config.backend()
    if backend != "tensorflow":
        raise BackendError(backend)
