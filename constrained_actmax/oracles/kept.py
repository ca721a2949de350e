"""One `Source` for a model and its options, kept with the model and freed with it."""

from __future__ import annotations

import hashlib
import weakref
from collections import OrderedDict
from collections.abc import Hashable, Iterable, Mapping
from typing import Any

import numpy as np

from constrained_actmax.errors import foresee_backend
from constrained_actmax.oracles.network import finite_weights
from constrained_actmax.oracles.recording import sublayers
from constrained_actmax.oracles.scaling import Scaling
from constrained_actmax.oracles.source import Source

KEPT_SOURCES = 4  # of one model, by options

#: Sources of each model by options, with a digest of the weights they were made from. A source
#: does not hold the user's model, its oracles do; so a model is freed with them, and this with it.
_SOURCES: weakref.WeakKeyDictionary[Any, OrderedDict[Hashable, tuple[Source, bytes]]] = (
    weakref.WeakKeyDictionary()
)


def source_of(model: Any, **options: Any) -> Source:
    """Return the source of a model, made once for the same options.

    A Keras model and a TensorFlow function keep theirs. Where weights have changed since, they are
    seen: what reads them when it is called goes on, and what holds copies is made again. So it is
    where an attribute of a layer has changed. A path, or a plain Python function, which may use
    whatever its module holds, is read again at each call.

    Parameters
    ----------
    model, options
        As in `Source`.
    """
    preprocess = options.get("preprocess")
    steps = list(preprocess.values()) if isinstance(preprocess, Mapping) else [preprocess]
    if not _is_fixed(model) or not all(step is None or _is_fixed(step) for step in steps):
        return Source(model, **options)
    key = _frozen(options), _attributes(model)
    sources = _SOURCES.setdefault(model, OrderedDict())
    known = sources.get(key)
    if known is not None:
        source, weights = known
        now = _digest(source)
        if now == weights:
            sources.move_to_end(key)
            return source
        if source.reads_weights:
            finite_weights(source.network)
            source.weights_changed()
            sources[key] = source, now
            return source
        del sources[key]
    source = Source(model, **options)
    sources[key] = source, _digest(source)
    while len(sources) > KEPT_SOURCES:
        sources.popitem(last=False)
    return source


def _is_fixed(model: Any) -> bool:
    """Whether a model or preprocessing computes the same tomorrow, but for what can be compared."""
    foresee_backend()
    import keras
    import tensorflow as tf

    types = tf.types.experimental
    kinds = (keras.Layer, types.PolymorphicFunction, types.ConcreteFunction, Scaling)
    return isinstance(model, kinds)


def _attributes(model: Any) -> Hashable:
    """Return the layers of a Keras model with the attributes that a call may read."""
    import keras

    if not isinstance(model, keras.Model):
        return ()
    return tuple(
        (
            path,
            type(layer),
            tuple(
                (name, id(value) if callable(value) else str(value))
                for name, value in vars(layer).items()
                if not name.startswith("_")
                and (callable(value) or isinstance(value, str | int | float | tuple))
            ),
        )
        for path, layer in sublayers(model)
    )


def _digest(source: Source) -> bytes:
    """Return a digest of the weights that a source was made from."""
    total = hashlib.blake2b(digest_size=16)
    for name, variable in source.weights():
        total.update(name.encode())
        total.update(np.ascontiguousarray(np.asarray(variable)).view(np.uint8).data)
    return total.digest()


def _frozen(value: Any) -> Hashable:
    """Return options as a key that is equal where they say the same."""
    if isinstance(value, Mapping):
        return tuple((str(name), _frozen(value[name])) for name in sorted(value, key=str))
    if isinstance(value, Scaling):
        return Scaling, *(_frozen(item) for item in value.content())
    if isinstance(value, np.ndarray):
        return _frozen(value.tolist())
    if isinstance(value, Iterable) and not isinstance(value, str):
        return tuple(_frozen(item) for item in value)
    return value if isinstance(value, Hashable) else object()  # equal to nothing
