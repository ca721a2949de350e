"""Sets of neighbouring entries' differences along an axis."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from constrained_actmax.layout import Indices


def lines(shape: tuple[int, ...], axis: int) -> Indices:
    """Return (lines, length): the flat positions of each line along an axis."""
    index = np.arange(int(np.prod(shape))).reshape(shape)
    return np.moveaxis(index, axis, -1).reshape(-1, shape[axis])


def difference_matrix(shape: tuple[int, ...], axis: int) -> sp.csr_array:
    """Return the sparse matrix of x[i + 1] - x[i] along an axis."""
    along = lines(shape, axis)
    first, second = along[:, :-1].ravel(), along[:, 1:].ravel()
    count = np.arange(first.size)
    return sp.csr_array(
        (
            np.concatenate([-np.ones(first.size), np.ones(first.size)]),
            (np.concatenate([count, count]), np.concatenate([first, second])),
        ),
        shape=(first.size, int(np.prod(shape))),
    )
