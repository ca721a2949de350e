"""Vectors that a group of permutations leaves as they are."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse as sp
from typing_extensions import override

from constrained_actmax.errors import SpecificationError
from constrained_actmax.kernels.kernel import InBox, PolyhedralKernel
from constrained_actmax.kernels.scipy_form import LinearRows, ScipyForm
from constrained_actmax.layout import Indices, Rows, Vector


@dataclass(frozen=True, eq=False, repr=False)
class SymmetricKernel(PolyhedralKernel):
    r"""Fixed points of permutations, :math:`\{x : x = T x \text{ for } T \in G\}`.

    Parameters
    ----------
    orbits : numpy.ndarray of int, shape (\|G\|, n)
        The permutations.
    """

    orbits: Indices

    violation_norm = "largest difference of two entries that should be equal"
    projection_method = "mean of each orbit, exact, O(n)"

    @property
    @override
    def size(self) -> int:
        return int(self.orbits.shape[1])

    @cached_property
    def _first(self) -> Indices:
        return np.asarray(self.orbits.min(axis=0))

    @cached_property
    def _parts(self) -> tuple[Indices, Indices]:
        """The entries of each orbit, (|G|, m), and which orbit each entry is in, (n,)."""
        first, which = np.unique(self._first, return_inverse=True)
        return self.orbits[:, first], which

    def _narrowed(self, lower: Rows, upper: Rows) -> tuple[Rows, Rows]:
        """Return the narrowest bounds (..., m) of each orbit."""
        entries, _ = self._parts
        return lower[..., entries].max(axis=-2), upper[..., entries].min(axis=-2)

    def _spread(self, values: Rows) -> Rows:
        # One number of each orbit is written to all: exactly equal, whatever rounding.
        return np.asarray(values.take(self._parts[1], axis=-1))

    def _means(self, x: Rows) -> Rows:
        entries, _ = self._parts
        total: Rows = x.take(entries[0], axis=1)
        for image in entries[1:]:
            total += x.take(image, axis=1)
        total /= len(entries)
        return total

    @override
    def project(self, x: Rows) -> Rows:
        return self._spread(self._means(x))

    @override
    def in_box(self, lower: Vector, upper: Vector) -> InBox:
        low, high = self._narrowed(lower, upper)

        def projection(x: Rows) -> tuple[Rows, Vector]:
            means = self._means(x)
            np.maximum(means, low, out=means)
            np.minimum(means, high, out=means)
            return self._spread(means), np.full(len(x), np.nan)

        return InBox(
            projection,
            float(np.max(low - high)),
            "with its box: mean of each orbit, clipped, exact, O(n)",
        )

    @override
    def violation(self, x: Rows) -> Vector:
        images = x[:, self.orbits]
        return np.asarray(np.max(images.max(axis=1) - images.min(axis=1), axis=1, initial=0.0))

    @override
    def linear_maximizer(self, g: Rows) -> Rows:
        if np.any(np.abs(self.project(g)) > 1e-12 * float(np.max(np.abs(g)))):
            raise SpecificationError(f"{self}: g'x has no maximum, a subspace is open along g.")
        return np.zeros_like(g)

    @override
    def linear_maximizer_in_box(self, g: Rows, lower: Rows, upper: Rows) -> Rows:
        low, high = self._narrowed(lower, upper)
        mean, level = self._means(g), np.clip(0.0, low, high)
        return self._spread(np.where(mean > 0.0, high, np.where(mean < 0.0, low, level)))

    @override
    def to_scipy(self, lower: Vector, upper: Vector) -> ScipyForm:
        # Each entry equals the first of its orbit.
        other = np.flatnonzero(self._first != np.arange(self.size))
        count, zero = np.arange(other.size), np.zeros(other.size)
        matrix = sp.csr_array(
            (
                np.concatenate([np.ones(other.size), -np.ones(other.size)]),
                (np.concatenate([count, count]), np.concatenate([other, self._first[other]])),
            ),
            shape=(other.size, self.size),
        )
        return ScipyForm.unbounded(self.size, rows=(LinearRows(matrix, zero, zero),))
