"""Entries that belong together, by name or by label."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from constrained_actmax.errors import SpecificationError, suggest
from constrained_actmax.layout import Indices, Region
from constrained_actmax.sets.base import short


def grouped_entries(groups: Any, region: Region, who: str) -> tuple[Indices, Indices]:
    """Return the entries of a region that are in a group, and each one's group, 0 to G - 1.

    See `labels_of_groups`.
    """
    labels = labels_of_groups(groups, region, who)
    used = np.flatnonzero(labels >= 0)
    _, numbers = np.unique(labels[used], return_inverse=True)
    return used, numbers


def labels_of_groups(groups: Any, region: Region, who: str) -> Indices:
    """Return the group of each entry of a region (d,), -1 for none.

    Parameters
    ----------
    groups : sequence of sequences of str, array_like of int, or None
        Feature names that belong together (one group for each list, at every position of the other
        axes), or a label for each entry, below 0 for those in no group; None is one group.
    region : Region
        The entries.
    who : str
        Who asks, for the error message.

    Raises
    ------
    SpecificationError
        If a name or a label does not fit.
    """
    if groups is None:
        return np.zeros(region.dimension, dtype=np.intp)
    named = isinstance(groups, Sequence) and any(
        isinstance(name, str)
        for group in groups
        for name in ([group] if isinstance(group, str) else np.atleast_1d(group))
    )
    if not named:
        flat = region.flatten(groups, f"{who}: groups")
        if np.any(flat != np.round(flat)) or np.all(flat < 0):
            raise SpecificationError(
                f"{who}: groups must be integer labels, >= 0 for at least one entry, "
                f"got {short(groups)}."
            )
        return flat.astype(np.intp)
    names = region.columns
    if names is None:
        raise SpecificationError(f"{who}: groups by name need feature_names=.")
    column = np.full(len(names), -1, dtype=np.intp)
    lists = groups if not isinstance(groups[0], str) else [groups]
    for number, group in enumerate(lists):
        for name in group:
            if name not in names:
                raise SpecificationError(f"{who}: no feature {name!r}. {suggest(name, names)}")
            if column[names.index(name)] >= 0:
                raise SpecificationError(f"{who}: {name!r} is in two groups.")
            column[names.index(name)] = number
    row, channel = np.divmod(region.positions, len(names))
    labels: Indices = column[channel]
    return np.where(labels >= 0, labels + row * len(lists), -1)
