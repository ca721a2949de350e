"""SciPy's constraint objects as convex sets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from constrained_actmax.errors import SpecificationError
from constrained_actmax.layout import Layout
from constrained_actmax.sets.base import ConvexSet
from constrained_actmax.sets.box import Box


def as_set(value: Any) -> ConvexSet:
    """Return a set as it is, and SciPy's Bounds and LinearConstraint as Box and Linear.

    Raises
    ------
    SpecificationError
        If the value is neither.
    """
    if isinstance(value, ConvexSet):
        return value
    found = from_scipy(value)
    if found is None:
        raise SpecificationError(
            f"expected a convex set or SciPy's Bounds or LinearConstraint, got {value!r}."
        )
    return found


def from_scipy(value: Any) -> ConvexSet | None:
    """Return SciPy's Bounds as a Box, its LinearConstraint as a Linear; None for all else."""
    import scipy.optimize  # 0.1 s, only where a user brings SciPy's objects

    if isinstance(value, scipy.optimize.Bounds):
        return Box(_plain(value.lb), _plain(value.ub))
    if isinstance(value, scipy.optimize.LinearConstraint):
        from constrained_actmax.sets.linear import Linear

        return Linear(value.A, value.lb, value.ub)
    return None


def keeps_feasible(constraint: Any) -> bool:
    """Return whether this is SciPy's LinearConstraint with ``keep_feasible`` on an inequality."""
    import scipy.optimize

    if not isinstance(constraint, scipy.optimize.LinearConstraint):
        return False
    kept = np.asarray(constraint.keep_feasible) & (constraint.lb != constraint.ub)
    return bool(np.any(kept))


def box_from_bounds(bounds: Any, layout: Layout) -> Box:
    """Return SciPy's ``bounds=`` forms as a Box bound to nothing yet.

    Parameters
    ----------
    bounds : scipy.optimize.Bounds, (lower, upper), or sequence of n pairs
        None in a pair means no bound. Two numbers are one pair for every entry; a sequence of n
        pairs speaks of the flat vector.
    layout : Layout
        Shapes of the inputs.

    Raises
    ------
    SpecificationError
        If it is none of these forms.
    """
    found = from_scipy(bounds)
    if isinstance(found, Box):
        return found
    who = "bounds"
    if isinstance(bounds, Sequence | np.ndarray) and len(bounds) == 2 and layout.size != 2:
        lower, upper = bounds
        return Box(lower, upper)
    try:
        pairs = [(low, high) for low, high in bounds]
        lower = np.array([-np.inf if low is None else float(low) for low, _ in pairs])
        upper = np.array([np.inf if high is None else float(high) for _, high in pairs])
    except (TypeError, ValueError):
        raise SpecificationError(
            f"{who}: expected scipy.optimize.Bounds, (lower, upper) or {layout.size} pairs, "
            f"got {type(bounds).__name__}."
        ) from None
    if len(pairs) != layout.size:
        raise SpecificationError(
            f"{who}: the input has {layout.size} entries, got {len(pairs)} pairs."
        )
    if len(layout.inputs) == 1:
        shape = layout.inputs[0].shape
        return Box(lower.reshape(shape), upper.reshape(shape))
    raise SpecificationError(f'{who}: on a model of several inputs use Box(..., on="input name").')


def _plain(value: Any) -> Any:
    array = np.asarray(value)
    return array.item() if array.size == 1 else array
