"""Callbacks as SciPy's users write them: which signatures are taken, and what ends a run."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np

from constrained_actmax.errors import SpecificationError
from constrained_actmax.tasks.recording import Intermediate

#: What users give: takes an `Intermediate`, or what SciPy's methods pass.
Callback: TypeAlias = Callable[..., Any]
#: What a recording calls: returns whether the run is to end.
Listener: TypeAlias = Callable[[Intermediate], bool]

#: The name by which SciPy passes the state, and those under which its methods pass the point alone.
STATE, POINTS = "intermediate_result", ("x", "xk")


def listener(who: str, callback: Callback | None) -> Listener | None:
    """Return the callback as a function of an `Intermediate` that says whether to stop.

    ``f(intermediate_result)``, by position or keyword, gets the `Intermediate`; ``f(xk)`` and
    ``f(x)`` get the point, in the model's structure; ``f(xk, state)`` gets the point and the
    `Intermediate`, as `scipy.optimize.minimize` has them. StopIteration, True and ``numpy.True_``
    end the run.

    Parameters
    ----------
    who : str
        The name of the option, for errors.
    callback : callable or None
        The user's.

    Raises
    ------
    SpecificationError
        If it is no function, or takes other arguments.
    """
    if callback is None:
        return None
    if not callable(callback):
        raise SpecificationError(f"{who}: expected a function, got {type(callback).__name__}.")
    passed = _passed(who, callback)

    def heard(state: Intermediate) -> bool:
        try:
            stop = passed(state)
        except StopIteration:
            return True
        return isinstance(stop, bool | np.bool_) and bool(stop)

    return heard


def _passed(who: str, callback: Callback) -> Callable[[Intermediate], Any]:
    """Return a call of the callback with the arguments that its signature asks for."""
    try:
        parameters = inspect.signature(callback).parameters.values()
    except ValueError:  # a builtin without a signature
        return callback
    needed = [
        parameter
        for parameter in parameters
        if parameter.default is parameter.empty
        and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    ]
    keywords = [parameter.name for parameter in needed if parameter.kind is parameter.KEYWORD_ONLY]
    positions = [
        parameter.name for parameter in needed if parameter.kind is not parameter.KEYWORD_ONLY
    ]
    if keywords == [STATE] and not positions:
        return lambda state: callback(intermediate_result=state)
    if not keywords and len(positions) == 2:
        return lambda state: callback(state.x, state)
    if not keywords and len(positions) == 1 and positions[0] in POINTS:
        return lambda state: callback(state.x)
    takes_one = any(
        parameter.kind
        in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD, parameter.VAR_POSITIONAL)
        for parameter in parameters
    )
    if not keywords and len(positions) <= 1 and takes_one:
        return callback
    raise SpecificationError(
        f"{who}: a function takes (intermediate_result), (xk) or (xk, state), got "
        f"{inspect.signature(callback)}."
    )


@dataclass(frozen=True)
class OfProblem:
    """A callback of one of several problems: its `Intermediate` says which.

    Parameters
    ----------
    callback : callable
        The user's, for all problems.
    number : int
        Which problem.
    """

    callback: Callback
    number: int

    def __call__(self, intermediate_result: Intermediate) -> bool:
        """Hand an iterate on."""
        heard = listener("callback", self.callback)
        assert heard is not None
        return heard(replace(intermediate_result, problem=self.number))
