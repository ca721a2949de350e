"""One base error and its few children; every message says who, the rule, the value, the way out."""

from __future__ import annotations

import difflib
import os
import re
import sys
from collections.abc import Iterable


class ConstrainedActmaxError(Exception):
    """Base of every error that this library raises on purpose."""


class SpecificationError(ConstrainedActmaxError, ValueError):
    """The user's specification breaks a rule: a shape, a name, a range, an option."""


class ModelError(ConstrainedActmaxError, ValueError):
    """The model cannot be used as a differentiable function of its input."""


class BackendError(ModelError):
    """Keras runs, or was told to run, on another backend than TensorFlow.

    Parameters
    ----------
    backend : str
        Its name.
    """

    def __init__(self, backend: str) -> None:
        super().__init__(
            f"Keras runs on the backend {backend!r}, but derivatives come from TensorFlow; set the "
            "environment variable KERAS_BACKEND=tensorflow before Keras is imported."
        )


class RefusedError(ConstrainedActmaxError, ValueError):
    """A method cannot solve this problem; the message names one that can."""


class InfeasibleError(SpecificationError):
    """The constraints contradict each other: no input satisfies them all."""


class ProjectionError(ConstrainedActmaxError, RuntimeError):
    """No solver could compute a projection; the message carries their own statuses."""


class BoundError(ConstrainedActmaxError, ArithmeticError):
    """A proven bound contradicts a feasible input: a fault of the library, never a result."""


class NonFiniteError(ConstrainedActmaxError, ArithmeticError):
    """The model returned NaN or infinity; the message names the point."""


def foresee_backend() -> None:
    """Refuse another backend before Keras is imported, which would fail or be in vain.

    Raises
    ------
    BackendError
        If the environment variable KERAS_BACKEND names another one than "tensorflow".
    """
    wanted = os.environ.get("KERAS_BACKEND") or "tensorflow"
    if "keras" not in sys.modules and wanted != "tensorflow":
        raise BackendError(wanted)


#: Longest reason that a message quotes, in characters.
QUOTED = 300
#: Lines of a foreign error that say where it arose and not why.
_PLACES = re.compile(
    r"Detected at node|Graph execution error|Stack trace for op|Exception encountered when|"
    r"Traceback|\d+ root error|\d+ successful operations|\d+ derived errors|\(\d+\) "
)


def reason_of(error: BaseException) -> str:
    """Return why a foreign library raised, in one line, for a message that quotes it.

    TensorFlow writes the reason last, after the places where the failing operation was made; Keras
    writes it first, before the arguments of the layer. Names of nodes and colours are left out.
    """
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error))
    text = text.partition("Arguments received by")[0]
    text = re.sub(r"\[\[?\{\{.*?\}\}\]?\]|\[Op:[^\]]*\]|(?<= )\[\[.*?\]\]", "", text)
    paragraphs = [
        paragraph
        for paragraph in re.split(r"\n\s*\n", text)
        if not re.search(r'^\s*File "', paragraph, re.M)
    ]
    lines = [line.strip() for paragraph in paragraphs for line in paragraph.splitlines()]
    said = [line for line in lines if line and not _PLACES.match(line)]
    reason = " ".join(said).strip()
    if len(reason) > QUOTED:
        reason = f"{reason[: QUOTED - 4].rsplit(' ', 1)[0]} ..."
    return f"{type(error).__name__}: {reason}" if reason else type(error).__name__


def suggest(word: object, known: Iterable[object], limit: int = 12) -> str:
    """Return the tail of an error message: the nearest known names, or all of them if few.

    Parameters
    ----------
    word : object
        What the user wrote.
    known : iterable of object
        What would have been accepted.
    limit : int, default 12
        How many names are listed where none is near.

    Returns
    -------
    str
        A sentence that starts with a capital letter and ends with a full stop.
    """
    names = [str(name) for name in known]
    near = difflib.get_close_matches(str(word), names, n=3, cutoff=0.6)
    if near:
        return "Did you mean " + " or ".join(repr(name) for name in near) + "?"
    if not names:
        return "There are none."
    shown = ", ".join(repr(name) for name in names[:limit])
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return f"Known: {shown}{more}."
