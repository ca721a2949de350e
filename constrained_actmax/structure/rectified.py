"""A ReLU and the max-pooling next to it as one nonlinearity, which has fewer kinks than the two."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy import sparse
from typing_extensions import override

from constrained_actmax.layout import Indices, Rows, Vector
from constrained_actmax.structure.nonlinearities import Array, Nonlinearity, Pieces, Windows
from constrained_actmax.structure.part import Part

PROBE_SEED = 20271
#: The kind of what stands for a ReLU that its pooling has taken in.
IDENTITY = "identity"


@dataclass(frozen=True, eq=False)
class RectifiedWindows(Nonlinearity):
    r"""The largest of several entries and 0, :math:`h_u = \max(0, \max_i z_i)`.

    Only the entry that wins bends h: where ReLU comes first, the kinks of the others are none of
    the network's, and entries that it makes 0 do not tie.

    Parameters
    ----------
    members : numpy.ndarray of int, shape (units, width)
        As in `Windows`; ``size`` stands for 0 in signatures.
    """

    members: Array
    _windows: Windows = field(init=False)

    def __post_init__(self) -> None:
        zero = np.full((self.units, 1), self.size)
        members = np.concatenate([zero, self.members], axis=1)
        windows = Windows(self.name, self.kind, self.size + 1, self.units, members)
        object.__setattr__(self, "_windows", windows)

    def _with_zero(self, z: Rows) -> Rows:
        return np.concatenate([z, np.zeros((len(z), 1))], axis=1)

    @override
    def values(self, z: Rows) -> Rows:
        return self._windows.values(self._with_zero(z))

    @override
    def signature(self, z: Rows) -> Array:
        return self._windows.signature(self._with_zero(z))

    @override
    def pull(self, rows: Array, signature: Array) -> tuple[Array, Array]:
        rows, constants = self._windows.pull(rows, signature)
        return rows[..., : self.size], constants

    @override
    def continued(self, z: Rows, signature: Array) -> Rows:
        return self._windows.continued(self._with_zero(z), signature)

    piecewise_affine = True

    @override
    def sides(self, signature: Array) -> tuple[sparse.csr_matrix, Vector]:
        E, e = self._windows.sides(signature)
        return sparse.csr_matrix(E[:, : self.size]), e

    @override
    def crossed(self, signature: Array, boundary: int | Indices) -> Array:
        return self._windows.crossed(signature, boundary)

    @override
    def bends(self, signature: Array) -> tuple[Array, Vector, Array]:
        return self._windows.bends(signature)


def rectified(
    parts: Sequence[Part], outputs: Sequence[Part], nonlinearities: Sequence[Nonlinearity]
) -> tuple[Nonlinearity, ...]:
    """Return the nonlinearities with each ReLU and the max-pooling next to it as one.

    The ReLU becomes the identity and the pooling their `RectifiedWindows`; numbers and parts stay.
    They are next to each other where the part between them only hands entries on, to nothing else.
    """
    layers = list(nonlinearities)
    for k, (part, second) in enumerate(zip(parts, nonlinearities, strict=True)):
        before = part.predecessors[-1]
        if part.predecessors != (before,) or before < 0:
            continue
        first = layers[before]
        relu, windows = (first, second) if isinstance(first, Pieces) else (second, first)
        if not (isinstance(relu, Pieces) and _is_relu(relu)):
            continue
        if not (isinstance(windows, Windows) and windows.sign == 1):
            continue
        followers = [part for part in (*parts, *outputs) if before in part.predecessors]
        if len(followers) > 1 or not _hands_on(part, before, first.units):
            continue
        joined = RectifiedWindows(
            windows.name, windows.kind, windows.size, windows.units, windows.members
        )
        identity = _identity(relu)
        layers[before], layers[k] = (identity, joined) if first is relu else (joined, identity)
    return tuple(layers)


def _is_relu(pieces: Pieces) -> bool:
    """Whether a function is max(0, z)."""
    return bool(
        len(pieces.kinks) == 1
        and not pieces.kinks.any()
        and not pieces.offsets.any()
        and (pieces.slopes == [[0.0], [1.0]]).all()
    )


def _identity(pieces: Pieces) -> Pieces:
    """Return the function of one piece that changes nothing."""
    size, once = pieces.size, np.ones((1, pieces.size))
    return Pieces(pieces.name, IDENTITY, size, size, np.zeros((0, size)), once, 0.0 * once)


def _hands_on(part: Part, before: int, units: int) -> bool:
    """Whether each entry of a part's result is one entry of what it takes."""
    h = np.random.default_rng(PROBE_SEED).standard_normal((2, units))
    z = part.apply({before: h})
    order = np.argsort(h[0])
    positions = order[np.minimum(np.searchsorted(h[0], z[0], sorter=order), units - 1)]
    return bool((h[:, positions] == z).all())
