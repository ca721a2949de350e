"""Activations of a Keras model's layers, captured while tracing; the model is left as it was."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from constrained_actmax.objectives.signature import Tensor

#: Gets a layer's path, the number of its call and its output; returns what the layer gives out.
Replace = Callable[[str, int, Any], Any]


@dataclass
class Records:
    """What every layer gave out, by path; a shared layer has one entry for each call.

    Attributes
    ----------
    outputs : dict of list
        ``outputs[path][i]`` is what call i of the layer at `path` returned.
    layers : dict
        The layer at each path.
    order : list of (str, int)
        Paths and call numbers, in the order of the calls' ends.
    """

    outputs: dict[str, list[Any]] = field(default_factory=dict)
    layers: dict[str, Any] = field(default_factory=dict)
    order: list[tuple[str, int]] = field(default_factory=list)

    def named(self) -> dict[str, Tensor]:
        """Return single tensors by full name: ``path``, ``path#2``."""
        return {
            path if call == 0 else f"{path}#{call + 1}": self.outputs[path][call]
            for path, call in self.order
        }


def sublayers(layer: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every layer inside a layer with its path, outer ones first."""
    for child in layer._flatten_layers(include_self=False, recursive=False):
        path = f"{prefix}{child.name}"
        yield path, child
        yield from sublayers(child, f"{path}/")


@contextmanager
def recording(model: Any, replace: Replace | None = None) -> Iterator[Records]:
    """Record what the layers of a Keras model return while the context is open.

    With `replace`, each layer gives out what that returns in its output's place.

    Keras calls ``layer.call``, so for the time of the context an instance attribute of that name
    stands before the method of the class. Losses that layers add are dropped at the end, since they
    would be tensors of a graph that is gone.
    """
    records = Records()
    paths: dict[int, list[str]] = {}
    layers: dict[int, Any] = {}
    for path, layer in sublayers(model):
        if path in records.layers and records.layers[path] is not layer:
            continue
        records.layers[path] = layer
        layers[id(layer)] = layer
        paths.setdefault(id(layer), []).append(path)
    losses = [(layer, list(layer._losses)) for layer in [model, *layers.values()]]
    kept = {
        key: layer.__dict__["call"] for key, layer in layers.items() if "call" in layer.__dict__
    }
    try:
        for key, layer in layers.items():
            layer.__dict__["call"] = _recorder(layer.call, paths[key], records, replace)
        yield records
    finally:
        for key, layer in layers.items():
            if key in kept:
                layer.__dict__["call"] = kept[key]
            else:
                layer.__dict__.pop("call", None)
        for layer, before in losses:
            layer._losses[:] = before


def _recorder(call: Any, paths: list[str], records: Records, replace: Replace | None) -> Any:
    @functools.wraps(call)
    def recorded(*args: Any, **kwargs: Any) -> Any:
        output = call(*args, **kwargs)
        if replace is not None:
            output = replace(paths[0], len(records.outputs.get(paths[0], [])), output)
        for path in paths:
            calls = records.outputs.setdefault(path, [])
            records.order.append((path, len(calls)))
            calls.append(output)
        return output

    return recorded
