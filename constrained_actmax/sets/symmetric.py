"""Inputs that equal their mirror or rotated image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from typing_extensions import override

from constrained_actmax.errors import SpecificationError, suggest
from constrained_actmax.kernels.kernel import Kernel
from constrained_actmax.kernels.symmetric import SymmetricKernel
from constrained_actmax.layout import Region
from constrained_actmax.sets.base import ConvexSet
from constrained_actmax.sets.image_axes import whole_shape


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
    def kernel(self, region: Region) -> Kernel:
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
        return SymmetricKernel(np.stack([image.ravel() for image in images]))

    @override
    def describe(self) -> str:
        return f"Symmetric({self.under!r})"
