"""Vectors without high frequencies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from constrained_actmax.kernels.kernel import Constraints, Variable
from constrained_actmax.kernels.subspace import SubspaceKernel
from constrained_actmax.layout import Rows


@dataclass(frozen=True, eq=False, repr=False)
class BandLimitedKernel(SubspaceKernel):
    r"""Inputs whose cosine transform vanishes off some frequencies.

    Parameters
    ----------
    axes : tuple of int
        The axes of the transform.
    kept : numpy.ndarray of bool
        The frequencies that stay, of the input's shape.
    """

    axes: tuple[int, ...]
    kept: npt.NDArray[np.bool_]

    projection_method = "cosine transform, exact, O(n log n)"

    @property
    @override
    def size(self) -> int:
        return self.kept.size

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the input."""
        return self.kept.shape

    @override
    def projector(self, x: Rows) -> Rows:
        import scipy.fft

        axes = tuple(axis + 1 for axis in self.axes)
        spectrum = scipy.fft.dctn(x.reshape(-1, *self.shape), axes=axes, norm="ortho")
        spectrum *= self.kept
        return np.asarray(scipy.fft.idctn(spectrum, axes=axes, norm="ortho")).reshape(x.shape)

    @override
    def direction(self, g: Rows) -> Rows:
        return self.projector(g)

    @override
    def to_cvxpy(self, variable: Variable) -> Constraints:
        # A row for each coefficient that has to vanish, or a variable for each that stays: dense
        # either way, so the fewer of the two (64 in the place of 720 at 28 x 28 and cutoff 8).
        import cvxpy as cp
        import scipy.fft

        kept, cut = np.flatnonzero(self.kept), np.flatnonzero(~self.kept.ravel())
        if not cut.size:
            return []
        fewer = min(kept, cut, key=len)
        units = np.zeros((fewer.size, variable.size))
        units[np.arange(fewer.size), fewer] = 1.0
        axes = tuple(axis + 1 for axis in self.axes)
        waves = scipy.fft.idctn(units.reshape(-1, *self.shape), axes=axes, norm="ortho")
        rows = waves.reshape(fewer.size, -1)
        if fewer is cut:
            return [rows @ variable == 0.0]
        return [variable == rows.T @ cp.Variable(kept.size)]
