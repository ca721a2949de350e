"""What was measured once on this machine, kept so that the next process chooses alike."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from platformdirs import user_cache_path

#: Names the folder of the choices; an empty one keeps nothing.
FOLDER_VARIABLE = "CONSTRAINED_ACTMAX_CACHE"


def folder() -> Path | None:
    """Return where choices are kept, or None where they are not."""
    named = os.environ.get(FOLDER_VARIABLE)
    if named is not None:
        return Path(named) if named else None
    return Path(user_cache_path("constrained-actmax"))


def fingerprint(graph: Any, batch: int) -> str:
    """Name a traced graph, a batch size, this TensorFlow and its devices.

    Parameters
    ----------
    graph : tensorflow.Graph
        Of the function that is measured, without XLA.
    batch : int
        Rows.
    """
    import tensorflow as tf

    devices = [one.device_type for one in tf.config.list_physical_devices()]
    operations = [
        (op.type, [str(out.shape) for out in op.outputs]) for op in graph.get_operations()
    ]
    described = json.dumps([tf.__version__, devices, os.cpu_count(), batch, operations])
    return hashlib.sha256(described.encode()).hexdigest()[:32]


@cache
def _known(place: Path) -> dict[str, bool]:
    try:
        stored = json.loads((place / "xla.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {str(name): bool(choice) for name, choice in stored.items()}


def recall(name: str) -> bool | None:
    """Return the choice that was measured under this name before, or None."""
    place = folder()
    return None if place is None else _known(place).get(name)


def remember(name: str, choice: bool) -> None:
    """Keep a choice; where the folder cannot be written, for this process alone."""
    place = folder()
    if place is None:
        return
    _known(place)[name] = choice
    try:
        place.mkdir(parents=True, exist_ok=True)
        try:
            stored = json.loads((place / "xla.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            stored = {}
        # Another process may have measured meanwhile: its choice stays, ours joins.
        merged = {**_known(place), **stored, name: stored.get(name, choice)}
        handle, unfinished = tempfile.mkstemp(dir=place)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(merged, file, sort_keys=True)
        Path(unfinished).replace(place / "xla.json")
    except OSError:
        return
