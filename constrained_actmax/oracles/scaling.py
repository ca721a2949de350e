"""Standard scores: x - mean, divided by a standard deviation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from constrained_actmax.errors import SpecificationError
from constrained_actmax.layout import is_table, labels_of, order_of
from constrained_actmax.quoting import Quoted


@dataclass(frozen=True, eq=False, repr=False)
class Scaling(Quoted):
    r"""The map :math:`x \mapsto (x - \text{mean}) / \text{std}` from the user's units.

    Given as ``preprocess=Scaling(mean, std)``, it lets sets, starts and results speak of metres and
    degrees while the model sees standard scores. It is computed in float64.

    Parameters
    ----------
    mean, std : array_like
        Of the training data; numbers, or arrays that broadcast to one input. Series, such as a
        table's ``mean()``, are aligned to `feature_names` by their labels.

    Raises
    ------
    SpecificationError
        If one of them is not finite, or a standard deviation is not positive.

    Examples
    --------
    >>> import constrained_actmax as cax
    >>> cax.Scaling(mean=[10.0, 200.0], std=[2.0, 50.0])([12.0, 100.0])
    array([ 1., -2.])
    """

    mean: Any
    std: Any
    _labels: dict[str, tuple[str, ...]] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        for name in ("mean", "std"):
            try:
                array = np.array(getattr(self, name), dtype=np.float64)
            except (TypeError, ValueError):
                raise SpecificationError(
                    f"Scaling: {name} must hold numbers, got {getattr(self, name)!r}."
                ) from None
            labels = labels_of(getattr(self, name))
            if labels is not None:
                self._labels[name] = labels
            if not np.isfinite(array).all():
                raise SpecificationError(f"Scaling: {name} must be finite, got {array}.")
            object.__setattr__(self, name, array)
        if not (self.std > 0).all():
            raise SpecificationError(
                f"Scaling: std must be > 0, got {float(self.std.min())!r}; "
                "leave constant columns at std=1."
            )

    def content(self) -> tuple[Any, ...]:
        """Return what makes two of them the same map: mean, std and their labels."""
        return self.mean, self.std, self._labels

    def aligned(self, names: Sequence[str] | None) -> Scaling:
        """Return the same map for columns of these names, as far as mean and std have labels.

        Raises
        ------
        SpecificationError
            If labels are not these names.
        """
        if not self._labels:
            return self
        return Scaling(self._ordered("mean", names), self._ordered("std", names))

    def _ordered(self, which: str, names: Sequence[str] | None) -> Any:
        array, labels = getattr(self, which), self._labels.get(which)
        return array if labels is None else array[..., order_of(labels, names, f"Scaling: {which}")]

    def __call__(self, x: Any) -> Any:
        """Return x in the model's units; a tensor gives a tensor, a table a table."""
        own = self.aligned(labels_of(x))
        if isinstance(x, np.ndarray | float | int | list | tuple):
            return (np.asarray(x, dtype=np.float64) - own.mean) / own.std
        if not is_table(x):
            own._fit(tuple(x.shape)[1:])
        return (x - own.mean) / own.std

    def _fit(self, shape: tuple[int | None, ...]) -> None:
        """Raise unless both arrays broadcast to one input of this shape."""
        known = tuple(size for size in shape if size is not None)
        if len(known) < len(shape):
            return
        for name in ("mean", "std"):
            value = getattr(self, name).shape
            try:
                fits = np.broadcast_shapes(value, known) == known
            except ValueError:
                fits = False
            if not fits:
                raise SpecificationError(
                    f"Scaling: {name} of shape {value} does not broadcast to an input of shape "
                    f"{shape}."
                )

    def inverse(self, z: Any) -> Any:
        """Return z, given in the model's units, in the user's: z times std, plus mean."""
        own = self.aligned(labels_of(z))
        if isinstance(z, np.ndarray | float | int | list | tuple):
            return np.asarray(z, dtype=np.float64) * own.std + own.mean
        return z * own.std + own.mean
