"""Inputs without high frequencies."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from typing_extensions import override

from constrained_actmax.errors import SpecificationError
from constrained_actmax.layout import Region, Rows
from constrained_actmax.quoting import quoted
from constrained_actmax.sets.image_axes import position_axes, whole_shape
from constrained_actmax.sets.subspace import Subspace

if TYPE_CHECKING:
    import cvxpy as cp


@dataclass(frozen=True, eq=False, repr=False)
class BandLimited(Subspace):
    r"""Inputs without high frequencies, :math:`\{x : (\mathrm{DCT}\,x)_k = 0,\ k \ge K\}`.

    Parameters
    ----------
    cutoff : int or tuple of int
        K, how many of the lowest frequencies of the cosine transform stay along each axis of
        positions.
    axes : int or tuple of int, optional
        Axes of positions; by default all of a 1-D or 2-D input, the first two of (h, w, channels).
    on
        See `ConvexSet`.

    Raises
    ------
    SpecificationError
        If a cutoff is below 1 or beyond the axis.

    Notes
    -----
    The projection takes the orthonormal DCT-II, clears coefficients and goes back [1]_, exact up
    to rounding, O(n log n).

    References
    ----------
    .. [1] Guo, Frank, Weinberger (2018), Low frequency adversarial perturbation, UAI 2019.
    """

    cutoff: int | tuple[int, ...]
    axes: int | tuple[int, ...] | None = None
    _shape: tuple[int, ...] = field(default=(), init=False, repr=False)
    _axes: tuple[int, ...] = field(default=(), init=False, repr=False)
    _kept: Any = field(default=None, init=False, repr=False)

    @override
    def _bound(self, region: Region) -> BandLimited:
        shape = whole_shape(region, "BandLimited")
        axes = position_axes(shape, self.axes, "BandLimited")
        given = self.cutoff if isinstance(self.cutoff, tuple | list) else (self.cutoff,)
        for one in given:
            if isinstance(one, bool) or not isinstance(one, int | np.integer):
                raise SpecificationError(
                    f"BandLimited: cutoff must be an integer or one for each axis, "
                    f"got {quoted(self.cutoff)}."
                )
        cutoff = tuple(given) if isinstance(self.cutoff, tuple | list) else given * len(axes)
        if len(cutoff) != len(axes):
            raise SpecificationError(
                f"BandLimited: cutoff needs {len(axes)} numbers, got {quoted(self.cutoff)}."
            )
        kept = np.ones(shape, dtype=bool)
        for axis, count in zip(axes, cutoff, strict=True):
            if not 1 <= count <= shape[axis]:
                raise SpecificationError(
                    f"BandLimited: cutoff must lie in 1..{shape[axis]} along axis {axis}, "
                    f"got {quoted(count)}; where an axis holds channels, name the others with "
                    "axes=."
                )
            kept &= np.moveaxis(
                np.broadcast_to(np.arange(shape[axis]) < count, np.moveaxis(kept, axis, -1).shape),
                -1,
                axis,
            )
        bound = replace(self)
        for name, value in (("_shape", shape), ("_axes", axes), ("_kept", kept)):
            object.__setattr__(bound, name, value)
        return bound

    @override
    def describe(self) -> str:
        return f"BandLimited({self.cutoff})"

    @property
    @override
    def projection_method(self) -> str:
        return "cosine transform, exact, O(n log n)"

    @override
    def _projected(self, x: Rows) -> Rows:
        import scipy.fft

        axes = tuple(axis + 1 for axis in self._axes)
        spectrum = scipy.fft.dctn(x.reshape(-1, *self._shape), axes=axes, norm="ortho")
        spectrum *= self._kept
        return np.asarray(scipy.fft.idctn(spectrum, axes=axes, norm="ortho")).reshape(x.shape)

    @override
    def _direction(self, g: Rows) -> Rows:
        return self._projected(g)

    @override
    def _to_cvxpy(self, variable: cp.Variable) -> list[cp.Constraint]:
        # A row for each coefficient that has to vanish, or a variable for each that stays: dense
        # either way, so the fewer of the two (64 in the place of 720 at 28 x 28 and cutoff 8).
        import cvxpy as cp
        import scipy.fft

        kept, cut = np.flatnonzero(self._kept), np.flatnonzero(~self._kept.ravel())
        if not cut.size:
            return []
        fewer = min(kept, cut, key=len)
        units = np.zeros((fewer.size, variable.size))
        units[np.arange(fewer.size), fewer] = 1.0
        axes = tuple(axis + 1 for axis in self._axes)
        waves = scipy.fft.idctn(units.reshape(-1, *self._shape), axes=axes, norm="ortho")
        rows = waves.reshape(fewer.size, -1)
        if fewer is cut:
            return [rows @ variable == 0.0]
        return [variable == rows.T @ cp.Variable(kept.size)]
