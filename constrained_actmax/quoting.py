"""Values as messages and reprs show them: arrays by their shape, long ones by their ends."""

from __future__ import annotations

import reprlib
from dataclasses import fields
from typing import Any

import numpy as np
from typing_extensions import override

#: Entries that an array may have to be written out, items of a list, characters of all else.
MOST_ENTRIES, MOST_ITEMS, MOST_CHARACTERS = 6, 6, 400


class _Quoting(reprlib.Repr):
    """Python's own shortening, with arrays; it goes by the name of a value's type."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlist = self.maxtuple = self.maxdict = self.maxset = MOST_ITEMS
        self.maxstring = self.maxother = self.maxlong = MOST_CHARACTERS

    def repr_ndarray(self, value: np.ndarray, level: int) -> str:
        return repr(value) if value.size <= MOST_ENTRIES else f"array{value.shape}"

    def repr_EagerTensor(self, value: Any, level: int) -> str:  # noqa: N802 - TensorFlow's
        return f"tensor{tuple(value.shape)}"

    def repr_Series(self, value: Any, level: int) -> str:  # noqa: N802 - pandas'
        return f"Series{value.shape}"

    def repr_DataFrame(self, value: Any, level: int) -> str:  # noqa: N802 - pandas'
        return f"DataFrame{value.shape}"

    @override
    def repr_instance(self, x: Any, level: int) -> str:
        return _cut(repr(x))


_QUOTING = _Quoting()


def quoted(value: object) -> str:
    """Return a value's repr in one line of a message: large arrays as ``array(28, 28)``."""
    return _cut(" ".join(_QUOTING.repr(value).split()))


def _cut(text: str) -> str:
    """Leave the middle of a long text out."""
    half = MOST_CHARACTERS // 2
    return text if len(text) <= MOST_CHARACTERS else f"{text[:half]} ... {text[-half:]}"


class Quoted:
    """A dataclass with ``repr=False`` whose repr shows its fields as `quoted`."""

    @override
    def __repr__(self) -> str:
        shown = [field.name for field in fields(self) if field.repr]  # type: ignore[arg-type]
        parts = ", ".join(f"{name}={quoted(getattr(self, name))}" for name in shown)
        return f"{type(self).__name__}({parts})"
