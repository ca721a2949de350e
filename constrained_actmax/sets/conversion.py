"""SciPy's constraint objects as convex sets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from constrained_actmax.errors import SpecificationError
from constrained_actmax.layout import Layout, is_table, labels_of, order_of
from constrained_actmax.quoting import quoted
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
    set_ = from_scipy(value)
    if set_ is None:
        raise SpecificationError(
            f"expected a convex set or SciPy's Bounds or LinearConstraint, got {quoted(value)}."
        )
    return set_


def from_scipy(value: Any) -> ConvexSet | None:
    """Return SciPy's Bounds as a Box, its LinearConstraint as a Linear; None for all else.

    SciPy drops the labels of tables that these are made of.
    """
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
    bounds : scipy.optimize.Bounds, (low, high), iterable of n pairs, or (lower, upper)
        Two numbers, or None for no bound, are one pair for every entry. SciPy's n pairs, tuples or
        lists of lists, speak of the flat vector; those of a Series or of a DataFrame's rows are
        aligned by its index. Two arrays, or an array and a number, are lower and upper bounds.
        With n = 2, where two arrays may also be two pairs, they need to mean the same both ways.
    layout : Layout
        Shapes of the inputs.

    Raises
    ------
    SpecificationError
        If it is none of these forms, or two of them that differ.
    """
    scipys = from_scipy(bounds)
    if isinstance(scipys, Box):
        return scipys
    labels = labels_of(bounds, 0)
    frame = is_table(bounds) and bounds.ndim == 2
    try:
        entries = [row for _, row in bounds.iterrows()] if frame else list(bounds)
        if len(entries) == 2 and labels is None and not _are_pairs(entries, bounds, layout):
            return Box(*entries)
        lower = np.array([-np.inf if low is None else float(low) for low, _ in entries])
        upper = np.array([np.inf if high is None else float(high) for _, high in entries])
    except SpecificationError:
        raise
    except (TypeError, ValueError):
        raise SpecificationError(
            f"bounds: expected scipy.optimize.Bounds, (lower, upper) or {layout.size} pairs, "
            f"got {type(bounds).__name__}."
        ) from None
    if len(entries) != layout.size:
        raise SpecificationError(
            f"bounds: the input has {layout.size} entries, got {len(entries)} pairs."
        )
    if len(layout.inputs) > 1:
        raise SpecificationError(
            'bounds: on a model of several inputs use Box(..., on="input name").'
        )
    input_ = layout.inputs[0]
    if labels is not None:
        order = order_of(labels, input_.feature_names, "bounds")
        lower, upper = lower[order], upper[order]
    return Box(lower.reshape(input_.shape), upper.reshape(input_.shape))


def kept(bounds: Any) -> Any:
    """Return bounds that can be read more than once: an iterator, such as a zip, as a list."""
    return list(bounds) if isinstance(bounds, Iterator) else bounds


def _are_pairs(entries: Sequence[Any], bounds: Any, layout: Layout) -> bool:
    """Whether two entries without labels are two pairs rather than lower and upper bounds."""
    if layout.size != 2 or any(labels_of(entry) or np.shape(entry) != (2,) for entry in entries):
        return False
    if all(isinstance(entry, tuple) for entry in entries):
        return True
    if isinstance(bounds, list) and all(isinstance(entry, list) for entry in entries):
        return True
    if entries[0][1] != entries[1][0]:  # else the two readings are one
        raise SpecificationError(
            "bounds: for an input of two entries these two arrays may be lower and upper bounds or "
            "two pairs; write Box(lower, upper) or scipy.optimize.Bounds(lower, upper) for the "
            "first, [(low, high), (low, high)] for the second."
        )
    return True


def _plain(value: Any) -> Any:
    array = np.asarray(value)
    return array.item() if array.size == 1 else array
