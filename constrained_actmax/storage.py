"""Files of saved runs: written whole or not at all, and what reading a broken one raises."""

from __future__ import annotations

import hashlib
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from constrained_actmax.errors import SpecificationError

#: What NumPy, JSON and the fields of a record raise on a file that is cut off or foreign.
UNREADABLE = (
    OSError,
    ValueError,
    KeyError,
    IndexError,
    TypeError,
    AttributeError,
    ArithmeticError,
    EOFError,
    MemoryError,
    NotImplementedError,
    RecursionError,
    RuntimeError,
    SyntaxError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
)


@contextmanager
def reading(who: str, path: Path, what: str, way_out: str) -> Iterator[None]:
    """Turn what a broken folder raises into one sentence.

    Raises
    ------
    SpecificationError
        ``who: place holds no whole what (the reason); way_out.``
    """
    try:
        yield
    except SpecificationError:
        raise
    except UNREADABLE as error:
        raise SpecificationError(
            f"{who}: {str(path)!r} holds no whole {what} ({first_line(error)}); {way_out}."
        ) from error


def folder_for(who: str, path: str | Path) -> Path:
    """Return a folder to write into, made where it is missing.

    Raises
    ------
    SpecificationError
        If there cannot be one.
    """
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SpecificationError(
            f"{who}: {str(path)!r} cannot be a folder ({error.strerror or first_line(error)}); "
            "name one that can be made and written."
        ) from error
    return Path(path)


def first_line(error: BaseException) -> str:
    """Return the first line of an error, with its type, for a message."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:200]}" if lines else type(error).__name__


def digest(content: bytes) -> str:
    """Return what tells one content from another, in hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def beside(path: Path) -> Path:
    """Return where a file is written before it gets its name."""
    return path.with_name(f".{path.name}")


def write_pair(first: Path, text: str, second: Path, content: bytes) -> None:
    """Write a text and the bytes that it names by their digest, over an older pair.

    Both are written beside, then take their names, the text first. Killed at any moment, there is
    one whole pair: `read_second` looks beside for the bytes that a new text names.
    """
    beside(second).write_bytes(content)
    beside(first).write_text(text, encoding="utf-8")
    beside(first).replace(first)
    beside(second).replace(second)


def read_second(path: Path, wanted: str | None) -> bytes:
    """Return the bytes of a pair, those of this digest; None for any.

    Raises
    ------
    ValueError
        If they are others.
    OSError
        If there are none.
    """
    for candidate in (path, beside(path)):
        if candidate.is_file():
            content = candidate.read_bytes()
            if wanted is None or digest(content) == wanted:
                return content
    if path.is_file():
        raise ValueError(f"{path.name} is not the one that was saved with it")
    raise FileNotFoundError(f"there is no {path.name}")
