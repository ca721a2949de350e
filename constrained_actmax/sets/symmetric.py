"""Inputs that equal their mirror or rotated image."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import scipy.sparse as sp
from typing_extensions import override

from constrained_actmax.errors import SpecificationError, suggest
from constrained_actmax.layout import Indices, Region, Rows, Vector
from constrained_actmax.sets.base import ConvexSet
from constrained_actmax.sets.image_axes import whole_shape
from constrained_actmax.sets.scipy_form import LinearRows, ScipyForm

if TYPE_CHECKING:
    import cvxpy as cp


@dataclass(frozen=True, eq=False, repr=False)
class Symmetric(ConvexSet):
    r"""Inputs that equal their images under a group, :math:`\{x : x = T x \text{ for } T \in G\}`.

    Parameters
    ----------
    under : {"left-right", "up-down", "both", "rotation-90", "rotation-180"}
        The mirror or rotation; a 1-D input takes "left-right" alone. Images are (h, w) or
        (h, w, channels).
    on
        See `ConvexSet`.

    Raises
    ------
    SpecificationError
        If the name is unknown, or the image is not square for a rotation by 90 degrees.

    Notes
    -----
    The projection is the mean over each orbit; with a box it is that mean clipped to the narrowest
    bounds of the orbit. Both are exact, O(n).
    """

    under: str
    _orbits: Any = field(default=None, init=False, repr=False)  # (|G|, n) permutations

    violation_norm = "largest difference of two entries that should be equal"
    projects_in_box = True
    method_alone = "mean of each orbit, exact, O(n)"
    method_in_box = "with its box: mean of each orbit, clipped, exact, O(n)"
    KINDS: ClassVar[tuple[str, ...]] = (
        "left-right",
        "up-down",
        "both",
        "rotation-90",
        "rotation-180",
    )

    def __post_init__(self) -> None:
        if self.under not in self.KINDS:
            raise SpecificationError(
                f"Symmetric: unknown symmetry {self.under!r}. {suggest(self.under, self.KINDS)}"
            )

    @override
    def _bound(self, region: Region) -> Symmetric:
        shape = whole_shape(region, "Symmetric")
        index = np.arange(region.dimension).reshape(shape)
        if len(shape) == 1:
            if self.under != "left-right":
                raise SpecificationError(f"{self.describe()}: a 1-D input has one mirror only.")
            images = [index, index[::-1]]
        elif len(shape) in (2, 3):
            if self.under == "rotation-90" and shape[0] != shape[1]:
                raise SpecificationError(
                    f"{self.describe()}: the image must be square, got shape {shape}."
                )
            images = {
                "left-right": [index, index[:, ::-1]],
                "up-down": [index, index[::-1]],
                "both": [index, index[:, ::-1], index[::-1], index[::-1, ::-1]],
                "rotation-90": [np.rot90(index, turns) for turns in range(4)],
                "rotation-180": [index, index[::-1, ::-1]],
            }[self.under]
        else:
            raise SpecificationError(
                f"{self.describe()}: needs (n,), (h, w) or (h, w, channels), got shape {shape}."
            )
        bound = replace(self)
        object.__setattr__(bound, "_orbits", np.stack([one.ravel() for one in images]))
        return bound

    @property
    def _first(self) -> Indices:
        return np.asarray(self._orbits.min(axis=0))

    @override
    def describe(self) -> str:
        return f"Symmetric({self.under!r})"

    @override
    def excess_in_box(self, lower: Vector, upper: Vector) -> float:
        low, high = lower[self._orbits].max(axis=0), upper[self._orbits].min(axis=0)
        return float(np.max(low - high))

    @override
    def _project(self, x: Rows) -> Rows:
        # One entry of each orbit is averaged and written to all: exactly equal, whatever rounding.
        return np.asarray(x[:, self._orbits].mean(axis=1)[:, self._first])

    @override
    def _project_in_box(self, x: Rows, lower: Vector, upper: Vector) -> tuple[Rows, Vector]:
        low, high = lower[self._orbits].max(axis=0), upper[self._orbits].min(axis=0)
        return np.clip(self._project(x), low, high), np.full(len(x), np.nan)

    @override
    def _violation(self, x: Rows) -> Vector:
        images = x[:, self._orbits]
        return np.asarray(np.max(images.max(axis=1) - images.min(axis=1), axis=1, initial=0.0))

    @override
    def _linear_maximizer(self, g: Rows) -> Rows:
        if np.any(np.abs(self._project(g)) > 1e-12 * float(np.max(np.abs(g)))):
            raise SpecificationError(f"{self}: g'x has no maximum, a subspace is open along g.")
        return np.zeros_like(g)

    @override
    def _linear_maximizer_in_box(self, g: Rows, lower: Vector, upper: Vector) -> Rows:
        low, high = lower[self._orbits].max(axis=0), upper[self._orbits].min(axis=0)
        mean = self._project(g)
        level = np.clip(0.0, low, high)
        return np.asarray(np.where(mean > 0.0, high, np.where(mean < 0.0, low, level)))

    def _differences(self) -> sp.csr_array:
        other = np.flatnonzero(self._first != np.arange(self.dimension))
        count = np.arange(other.size)
        return sp.csr_array(
            (
                np.concatenate([np.ones(other.size), -np.ones(other.size)]),
                (np.concatenate([count, count]), np.concatenate([other, self._first[other]])),
            ),
            shape=(other.size, self.dimension),
        )

    @override
    def _to_cvxpy(self, variable: cp.Variable) -> list[cp.Constraint]:
        matrix = self._differences()
        return [matrix @ variable == 0.0] if matrix.shape[0] else []

    @override
    def _to_scipy(self, lower: Vector, upper: Vector) -> ScipyForm:
        free = ScipyForm.free(self.dimension)
        matrix = self._differences()
        zero = np.zeros(matrix.shape[0])
        return ScipyForm(free.lower, free.upper, rows=(LinearRows(matrix, zero, zero),))
