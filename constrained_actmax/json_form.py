"""Plain values as JSON text and back: arrays, enumerations, and numbers that JSON lacks."""

from __future__ import annotations

import enum
import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np


def to_json(value: Any) -> str:
    """Return a value as JSON text that every parser reads.

    Mappings become objects, sequences and arrays lists, members of enumerations their names, and
    numbers that JSON lacks ``{"float": "nan"}``; anything else becomes its printed form.
    """
    return json.dumps(_encoded(value), indent=1, allow_nan=False)


def from_json(text: str) -> Any:
    """Return the value that `to_json` wrote; arrays and tuples come back as lists.

    Raises
    ------
    ValueError
        If the text is not JSON.
    """
    return _decoded(json.loads(text))


def _encoded(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _encoded(item) for name, item in value.items()}
    if isinstance(value, enum.Enum):
        return value.name
    if isinstance(value, np.ndarray):
        return _encoded(value.tolist())
    if isinstance(value, list | tuple):
        return [_encoded(item) for item in value]
    if isinstance(value, np.generic):
        return _encoded(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": repr(value)}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return str(value)


def _decoded(value: Any) -> Any:
    if isinstance(value, dict):
        if set(value) == {"float"}:
            return float(value["float"])
        return {name: _decoded(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_decoded(item) for item in value]
    return value
