"""Sets from the JSON-ready values that `to_dict` writes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from inspect import isabstract
from typing import Any

import numpy as np
import scipy.sparse as sp

from constrained_actmax.errors import SpecificationError, suggest
from constrained_actmax.sets.base import ConvexSet
from constrained_actmax.sets.intersection import Intersection

#: Fields whose strings are words, never numbers.
TEXT = ("on", "name", "length", "under", "strategy")


def from_dict(data: Mapping[str, Any]) -> ConvexSet:
    """Return the set that `ConvexSet.to_dict` wrote.

    Raises
    ------
    SpecificationError
        If the set is unknown, or is a `CvxpySet`, whose function JSON cannot hold.
    """
    known = {
        set_.__name__: set_
        for set_ in _below(ConvexSet.__subclasses__())
        if set_.__module__.startswith(f"{__package__}.") and not isabstract(set_)
    }
    name = data.get("set")
    if name == "CvxpySet":
        raise SpecificationError(
            f"from_dict: {data.get('description', name)} holds a function, which JSON cannot; "
            "write it again."
        )
    if name not in known:
        raise SpecificationError(f"from_dict: unknown set {name!r}. {suggest(name, known)}")
    if name == "Intersection":
        members = [from_dict(set_) for set_ in data["sets"]]
        return Intersection(members, strategy=data.get("strategy"))
    values = {
        key: value if key in TEXT else _restored(value, names=key in ("where", "groups"))
        for key, value in data.items()
        if key != "set"
    }
    set_: ConvexSet = known[str(name)](**values)
    return set_


def _below(kinds: Sequence[type[ConvexSet]]) -> Iterator[type[ConvexSet]]:
    for kind in kinds:
        yield kind
        yield from _below(kind.__subclasses__())


def _restored(value: Any, *, names: bool) -> Any:
    if isinstance(value, Mapping):
        if "sparse" in value:
            positions = (np.array(value["row"], dtype=int), np.array(value["column"], dtype=int))
            return sp.csr_array((np.array(value["value"]), positions), shape=tuple(value["sparse"]))
        return {key: _restored(item, names=False) for key, item in value.items()}
    if isinstance(value, str):
        return value if names else float(value)
    if isinstance(value, list):
        if names and _holds_text(value):
            return value
        array = np.array(value)
        if array.dtype.kind in "US":  # some of the numbers are 'inf'
            array = np.array(_numbers(value))
        return tuple(value) if array.ndim == 1 and array.dtype.kind == "i" else array
    return value


def _holds_text(value: Any) -> bool:
    if isinstance(value, list):
        return any(_holds_text(item) for item in value)
    return isinstance(value, str)


def _numbers(value: Any) -> Any:
    return [_numbers(item) for item in value] if isinstance(value, list) else float(value)
