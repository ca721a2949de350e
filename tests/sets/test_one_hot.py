"""One category of each group: the nearest choice, by brute force."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from constrained_actmax.sets import OneHot

GROUPS = [0, 0, 0, 1, 1, -1]


def choices(dropped: bool) -> np.ndarray:
    """Return all rows of the grouped entries, by hand."""
    groups = [list(np.eye(size)) + [np.zeros(size)] * dropped for size in (3, 2)]
    return np.array([np.concatenate(parts) for parts in itertools.product(*groups)])


@pytest.mark.parametrize("dropped", [False, True])
def test_the_nearest_choice_of_every_group(dropped: bool) -> None:
    rng = np.random.default_rng(0)
    every = choices(dropped)
    allowed = OneHot(GROUPS, dropped=dropped)
    for y in rng.normal(0.4, 1.0, (40, 6)):
        p = allowed.project(y)
        distances = np.square(every - y[:5]).sum(axis=1)
        np.testing.assert_array_equal(p[:5], every[np.argmin(distances)])
        assert p[5] == y[5]  # in no group
        assert allowed.violation(p) == 0.0
