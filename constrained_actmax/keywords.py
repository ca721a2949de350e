"""Misspelt keywords of public classes and functions, told in one sentence."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

from constrained_actmax.errors import SpecificationError, suggest


def with_checked_keywords(name: str, public: Any) -> Any:
    """Return a public class or function that names the nearest keyword where one is unknown.

    A class stays itself, its initializer is wrapped; signatures stay what they were.

    Parameters
    ----------
    name : str
        As users write it.
    public : Any
        What is exported under it; enumerations, exceptions and what takes any keyword stay as
        they are.
    """
    if inspect.isfunction(public):
        return _checked(name, public)
    initializer = getattr(public, "__init__", None)
    if inspect.isclass(public) and inspect.isfunction(initializer):
        type.__setattr__(public, "__init__", _checked(name, initializer))
    return public


def _checked(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    taken = inspect.signature(function).parameters.values()
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in taken):
        return function
    known = {
        parameter.name for parameter in taken if parameter.kind is not parameter.POSITIONAL_ONLY
    } - {"self"}

    @functools.wraps(function)
    def asked(*value: Any, **named: Any) -> Any:
        if not known.issuperset(named):
            unknown = next(name for name in named if name not in known)
            raise SpecificationError(
                f"{name}: no argument {unknown!r}. {suggest(unknown, sorted(known), 20)}"
            )
        return function(*value, **named)

    return asked
