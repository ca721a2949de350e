"""The model's inputs as one flat vector, and back."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from decimal import Decimal
from functools import cached_property
from numbers import Real
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from constrained_actmax.errors import SpecificationError, suggest
from constrained_actmax.quoting import Quoted, quoted

Vector: TypeAlias = npt.NDArray[np.float64]  # shape (n,)
Rows: TypeAlias = npt.NDArray[np.float64]  # shape (B, n)
Indices: TypeAlias = npt.NDArray[np.intp]
Structure: TypeAlias = Any  # an array, a list of arrays or a dict of arrays, as the model takes it
ArrayLike: TypeAlias = npt.ArrayLike

INPUT = "the input"  # what labels are aligned to, unless said otherwise


@dataclass(frozen=True)
class Input:
    """One input of the model: its name, its shape without the batch axis, its columns' names."""

    name: str
    shape: tuple[int, ...]
    feature_names: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        names = self.feature_names
        if names is None:
            return
        columns = self.shape[-1] if self.shape else 1
        if len(names) != columns:
            raise SpecificationError(
                f"feature_names: input {self.name!r} of shape {self.shape} has {columns} columns, "
                f"got {len(names)} names."
            )
        if len(set(names)) != len(names):
            twice = sorted({name for name in names if names.count(name) > 1})
            raise SpecificationError(f"feature_names: {twice[0]!r} is given more than once.")

    @property
    def size(self) -> int:
        """Number of entries."""
        return math.prod(self.shape)


def is_table(value: Any) -> bool:
    """Whether the value is a pandas Series or DataFrame; pandas itself is not loaded."""
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(value, pandas.Series | pandas.DataFrame)


def labels_of(value: Any, axis: int = -1) -> tuple[str, ...] | None:
    """Return the labels along an axis of a pandas object; None for any other value.

    A default index, the whole numbers 0, 1, ... in order, is no labels.
    """
    if not is_table(value):
        return None
    index = value.axes[axis]
    if not len(index) or index.equals(sys.modules["pandas"].RangeIndex(len(index))):
        return None
    return tuple(str(label) for label in index)


def aligned(value: Any, names: Sequence[str] | None, who: str, owner: str = INPUT) -> Any:
    """Return the numbers of a pandas object with its last axis in the order of `names`.

    Parameters
    ----------
    value : object
        A Series, whose index is its labels; a DataFrame, whose columns are; a list of such. A
        table without labels, like any other value, keeps its order.
    names, who, whose
        See `order_of`.

    Raises
    ------
    SpecificationError
        If the labels are not these names.
    """
    if isinstance(value, list | tuple) and any(is_table(item) for item in value):
        return [aligned(item, names, who, owner) for item in value]
    if not is_table(value):
        return value
    labels, array = labels_of(value), np.asarray(value)
    return array if labels is None else array[..., order_of(labels, names, who, owner)]


def order_of(
    labels: Sequence[str], names: Sequence[str] | None, who: str, owner: str = INPUT
) -> list[int]:
    """Return where each of `names` stands in `labels`.

    Parameters
    ----------
    labels : sequence of str
        Of what the user gave.
    names : sequence of str or None
        The names to align to; None where there are none.
    who : str
        Who asks, for the error message.
    whose : str
        What has the names, for the error message.

    Raises
    ------
    SpecificationError
        If a label is unknown, missing or given twice, or there are no names to align to.
    """
    if names is None:
        way = "pass feature_names=, or " if owner == INPUT else ""
        raise SpecificationError(
            f"{who}: the label {labels[0]!r} cannot be aligned, as {owner} has no names; {way}give "
            "plain numbers in its order, such as .to_numpy()."
        )
    position_of = {label: at for at, label in enumerate(labels)}
    if len(position_of) < len(labels):
        twice = next(label for at, label in enumerate(labels) if position_of[label] != at)
        raise SpecificationError(f"{who}: the label {twice!r} is given more than once.")
    known = set(names)
    unknown = [label for label in labels if label not in known]
    if unknown:
        raise SpecificationError(
            f"{who}: {owner} has nothing named {unknown[0]!r}. {suggest(unknown[0], names)}"
        )
    missing = [name for name in names if name not in position_of]
    if missing:
        raise SpecificationError(
            f"{who}: the labels lack {', '.join(map(repr, missing))}; give a number for each name "
            f"of {owner}."
        )
    return [position_of[name] for name in names]


def numbers(x: Any, who: str) -> Vector:
    """Return a contiguous float64 array, or raise with who was asked."""
    if type(x) is np.ndarray and x.dtype == np.float64 and x.flags.c_contiguous:
        return x  # 0.2 us in the place of 0.8
    x = aligned(x, None, who, "a flat vector")
    try:
        return np.ascontiguousarray(x, dtype=np.float64).reshape(np.shape(x))
    except (TypeError, ValueError):
        raise SpecificationError(f"{who}: expected real numbers, got {x!r:.60}.") from None


def all_finite(x: Vector) -> bool:
    """Say whether no number is NaN or infinite, in two thirds of the time of ``all``."""
    return int(np.count_nonzero(np.isfinite(x))) == x.size


def flat(x: Any, who: str) -> Vector:
    """Return a flat vector, or rows of such, as float64; there, labels have no names to align to.

    Raises
    ------
    SpecificationError
        If it has labels.
    """
    return np.asarray(aligned(x, None, who, "a flat vector"), dtype=np.float64)


def real(value: Any, who: str, expected: str = "numbers") -> npt.NDArray[np.float64]:
    """Return a number, an array or a list of numbers as float64; objects may be numbers too.

    Parameters
    ----------
    value : array_like
        Of Python's, NumPy's or a tensor's numbers, fractions or decimals.
    who, expected : str
        Who asks, and for what, for the error message.

    Raises
    ------
    SpecificationError
        If it holds anything else, such as text, None or complex numbers.
    """
    try:
        array = np.asarray(value)
    except (TypeError, ValueError):  # rows of unequal lengths
        array = np.array(None)
    if array.dtype.kind in "fiub":
        return array.astype(np.float64)
    if array.dtype == object and all(
        isinstance(element, Real | Decimal | np.bool_) for element in array.ravel().tolist()
    ):
        try:
            return array.astype(np.float64)
        except OverflowError:  # an integer of more than 308 digits
            raise SpecificationError(
                f"{who}: expected {expected}, got one that is too large for float64."
            ) from None
    kind = type(value).__name__
    if array.dtype.kind == "c":
        raise SpecificationError(
            f"{who}: expected {expected}, got complex ones ({kind}); give their real parts."
        )
    by_name = "; numbers by name are a pandas.Series" if isinstance(value, Mapping) else ""
    raise SpecificationError(f"{who}: expected {expected}, got {kind}{by_name}.")


def is_integer(value: Any) -> bool:
    """Whether a value is a whole number by its type, and no bool."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def number(value: Any, who: str) -> float:
    """Return what a function of one number gives as a float: a number, or an array of one.

    Raises
    ------
    SpecificationError
        If it is not a real number.
    """
    array = real(value, who, "one number")
    if array.size != 1:
        raise SpecificationError(f"{who}: expected one number, got shape {array.shape}.")
    return float(array.item())


def conform(value: Any, shape: tuple[int, ...], who: str) -> npt.NDArray[np.float64]:
    """Bring a user's array to `shape`, forgiving a batch axis and a last axis of one.

    Parameters
    ----------
    value : array_like
        Numbers, in the user's units.
    shape : tuple of int
        The shape wanted.
    who : str
        Who asks, for the error message.

    Returns
    -------
    numpy.ndarray
        A new float64 array of `shape`.

    Raises
    ------
    SpecificationError
        If the value is not numeric, holds NaN, does not fit, or has labels: those are `aligned`
        before, where it is known to what.
    """
    value = aligned(value, None, who, "it")
    array = real(value, who, f"numbers of shape {shape}")
    if np.isnan(array).any():
        raise SpecificationError(
            f"{who}: holds NaN at {int(np.isnan(array).sum())} of its entries."
        )
    supplied = array.shape
    if array.ndim == len(shape) + 1 and array.shape[0] == 1:
        array = array[0]
    if array.shape != shape and (*array.shape, 1) == shape:
        array = array[..., np.newaxis]
    try:
        return np.array(np.broadcast_to(array, shape))
    except ValueError:
        hint = ""
        if array.size == math.prod(shape):
            hint = f" It has the right number of entries: use .reshape{shape}."
        raise SpecificationError(f"{who}: expected shape {shape}, got {supplied}.{hint}") from None


@dataclass(frozen=True, repr=False)
class Region(Quoted):
    """The entries of the flat vector that a set or a penalty speaks of.

    Parameters
    ----------
    size : int
        Length n of the whole flat vector.
    indices : numpy.ndarray of int
        The entries, ascending.
    shape : tuple of int or None
        Shape of the one whole input that the region covers; None where a mask or names pick
        entries, or where several inputs are covered.
    whole : tuple of int or None
        Shape of the one input that the region lies in (arrays of that shape are accepted too).
    positions : numpy.ndarray of int
        The entries counted inside that input.
    columns : tuple of str or None
        Names of the last axis of that input.
    start : numpy.ndarray or None
        The user's `x0` at the region's entries.
    """

    size: int
    indices: Indices
    shape: tuple[int, ...] | None
    whole: tuple[int, ...] | None
    positions: Indices
    columns: tuple[str, ...] | None = None
    start: Vector | None = None

    @property
    def dimension(self) -> int:
        """Number of entries in the region."""
        return int(self.indices.size)

    @property
    def covers_all(self) -> bool:
        """Whether the region is the whole vector."""
        return self.dimension == self.size

    def aligned(self, value: Any, who: str) -> Any:
        """Return a table's numbers in the order of the input's columns, or of the entries picked.

        Anything else, and a table without labels, comes back in its own order.
        """
        names, labels = self.columns, labels_of(value)
        if labels and names and self.shape is None and self.whole == (len(names),):
            picked = tuple(names[position] for position in self.positions)
            names = picked if set(labels) <= set(picked) else names
        return aligned(value, names, who)

    def aligned_square(self, value: Any, who: str) -> Any:
        """Return a table's numbers (n, n) with both axes so; labels of one axis are for both."""
        if not is_table(value):
            return value
        if labels_of(value, 0) is None:
            value = value.set_axis(value.columns, axis=0)
        elif labels_of(value) is None:
            value = value.set_axis(value.index, axis=1)
        half = type(value)(self.aligned(value, who), index=value.index)
        return self.aligned(half.T, who).T

    def flatten(self, value: Any, who: str) -> Vector:
        """Bring a user's number, array or table to one float64 value for each entry."""
        whole = () if np.ndim(value) == 0 else self.whole
        if whole is None:
            raise SpecificationError(
                f'{who}: an array needs on="input name" on a model of several inputs.'
            )
        array = np.asarray(self.aligned(value, who))
        if array.ndim == 0:
            return np.array(conform(array, (self.dimension,), who))
        if self.shape is None and array.shape == (self.dimension,):
            return conform(array, (self.dimension,), who)
        return conform(array, whole, who).ravel()[self.positions]


def check_finite(points: np.ndarray, who: str) -> np.ndarray:
    """Return points (n,) or (B, n); raise `SpecificationError` where an entry is not finite."""
    infinite = np.count_nonzero(~np.isfinite(points))
    if infinite:
        raise SpecificationError(f"{who}: holds infinity at {infinite} of its entries.")
    return points


@dataclass(frozen=True)
class Layout:
    """The model's inputs as one flat float64 vector: names, shapes, slices, feature names.

    Inputs stand one after the other, each in C order. A model of several inputs is addressed by
    name.

    Parameters
    ----------
    inputs : tuple of Input
        In the order of the model.
    structure : {"array", "list", "dict"}
        How the model takes them.
    """

    inputs: tuple[Input, ...]
    structure: Literal["array", "list", "dict"] = "array"

    @classmethod
    def of_array(cls, shape: tuple[int, ...]) -> Layout:
        """Return the layout of one unnamed array."""
        return cls((Input("x", tuple(int(length) for length in shape)),))

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values, for saving."""
        return {"structure": self.structure, "inputs": [asdict(input_) for input_ in self.inputs]}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Layout:
        """Return the layout that `to_dict` wrote."""
        inputs = [
            Input(
                fields["name"],
                tuple(fields["shape"]),
                None if fields["feature_names"] is None else tuple(fields["feature_names"]),
            )
            for fields in data["inputs"]
        ]
        return cls(tuple(inputs), data["structure"])

    @cached_property
    def size(self) -> int:
        """Length n of the flat vector."""
        return sum(input_.size for input_ in self.inputs)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the inputs."""
        return tuple(input_.name for input_ in self.inputs)

    @cached_property
    def slices(self) -> dict[str, slice]:
        """Where each input lies in the flat vector."""
        evaluation, start = {}, 0
        for input_ in self.inputs:
            evaluation[input_.name] = slice(start, start + input_.size)
            start += input_.size
        return evaluation

    def input(self, name: str, who: str = "on") -> Input:
        """Return the input of this name.

        Raises
        ------
        SpecificationError
            If the model has none of this name.
        """
        for input_ in self.inputs:
            if input_.name == name:
                return input_
        raise SpecificationError(
            f"{who}: the model has no input {name!r}. {suggest(name, self.names)}"
        )

    def flatten(self, value: Structure, who: str = "x0") -> Vector:
        """Return one input in the model's structure as a flat float64 vector of length n.

        Parameters
        ----------
        value : array_like, list or dict of array_like
            With or without a batch axis of one; (28, 28) does for (28, 28, 1); NumPy's
            broadcasting otherwise. Several inputs: a dict by name (or the list that a model with a
            list of inputs takes). A pandas Series or DataFrame is aligned by its labels.
        who : str, default "x0"
            Who asks, for the error message.
        """
        if self.structure == "array":
            if isinstance(value, Mapping):
                value = self._by_name(value, who)[self.inputs[0].name]
            return self._part(value, self.inputs[0], who)
        if isinstance(value, Mapping):
            parts = self._by_name(value, who)
        elif self.structure == "list" and isinstance(value, list | tuple):
            if len(value) != len(self.inputs):
                raise SpecificationError(
                    f"{who}: the model takes {len(self.inputs)} inputs {list(self.names)}, "
                    f"got {len(value)}."
                )
            parts = dict(zip(self.names, value, strict=True))
        elif not isinstance(value, list | tuple) and np.ndim(value) == 0:
            parts = dict.fromkeys(self.names, value)
        else:
            raise SpecificationError(
                f"{who}: the model has {len(self.inputs)} inputs; "
                f"give a dict with the keys {list(self.names)}."
            )
        return np.concatenate(
            [
                self._part(parts[input_.name], input_, f"{who}[{input_.name!r}]")
                for input_ in self.inputs
            ]
        )

    @staticmethod
    def _part(value: Any, input_: Input, who: str) -> Vector:
        return conform(aligned(value, input_.feature_names, who), input_.shape, who).ravel()

    def rows(self, value: Any, who: str) -> Rows:
        """Return several inputs as rows (B, n).

        Parameters
        ----------
        value : array_like, list or dict of array_like
            One input a row, flat or in the input's shape; a DataFrame is aligned by its columns.
            Several inputs: a dict of such by name, or a list of dicts.
        who : str
            Who asks, for the error message.
        """
        if isinstance(value, Mapping):
            parts = {
                name: np.asarray(aligned(part, self.input(name, who).feature_names, who))
                for name, part in value.items()
            }
            counts = {len(part) for part in parts.values()}
            if len(counts) != 1:
                raise SpecificationError(f"{who}: every input needs the same number of rows.")
            return np.stack(
                [
                    self.flatten({name: part[row] for name, part in parts.items()}, who)
                    for row in range(counts.pop())
                ]
            )
        if isinstance(value, list) and value and isinstance(value[0], Mapping):
            return np.stack([self.flatten(value_, who) for value_ in value])
        if self.structure == "array":
            array = np.asarray(aligned(value, self.inputs[0].feature_names, who))
        else:
            array = np.asarray(aligned(value, None, who, "a vector of all inputs"))
        if array.ndim == 2 and array.shape[1] == self.size and len(array):
            return conform(array, (len(array), self.size), who)
        if array.ndim == 0 or not len(array) or self.structure != "array":
            raise SpecificationError(
                f"{who}: expected a number, or an array with one start a row, "
                f"got {type(value).__name__}."
            )
        return np.stack([self.flatten(value_, who) for value_ in array])

    def _by_name(self, value: Mapping[str, Any], who: str) -> Mapping[str, Any]:
        for name in value:
            self.input(str(name), who)
        missing = [name for name in self.names if name not in value]
        if missing:
            raise SpecificationError(f"{who}: the input {missing[0]!r} is missing.")
        return value

    def unflatten(self, x: Vector) -> Structure:
        """Return a flat vector in the model's own structure, float64, without a batch axis."""
        x = flat(x, "unflatten")
        if x.shape != (self.size,):
            raise SpecificationError(
                f"unflatten: expected a flat vector of length {self.size}, got shape {x.shape}."
            )
        parts = [x[self.slices[input_.name]].reshape(input_.shape).copy() for input_ in self.inputs]
        if self.structure == "array":
            return parts[0]
        if self.structure == "list":
            return parts
        return dict(zip(self.names, parts, strict=True))

    def region(
        self,
        on: str | None = None,
        where: Any = None,
        *,
        who: str = "where",
        everywhere: bool = False,
        start: Vector | None = None,
    ) -> Region:
        """Return the entries that `on` and `where` name.

        Parameters
        ----------
        on : str, optional
            Name of an input; needed where the model has several.
        where : array of bool, str, sequence of str or of int, optional
            A mask of the input's shape (broadcast), feature names, or flat positions in the
            input.
        who : str
            Who asks, for the error message.
        everywhere : bool, default False
            Whether no `on` on a model of several inputs means all of them.
        start : numpy.ndarray, optional
            The user's flat `x0`, handed on.
        """
        if on is None and len(self.inputs) > 1:
            if everywhere and where is None:
                every = np.arange(self.size)
                return Region(self.size, every, None, None, every, None, start)
            raise SpecificationError(
                f"{who}: the model has {len(self.inputs)} inputs; say which with on=. "
                f"Known: {list(self.names)}."
            )
        input_ = self.inputs[0] if on is None else self.input(on, who)
        offset = self.slices[input_.name].start
        positions: Indices
        if where is None:
            positions, shape = np.arange(input_.size), input_.shape
        else:
            positions, shape = self._positions(input_, where, who), None
        indices = positions + offset
        return Region(
            self.size,
            indices,
            shape,
            input_.shape,
            positions,
            input_.feature_names,
            None if start is None else start[indices],
        )

    @staticmethod
    def _positions(input_: Input, where: Any, who: str) -> Indices:
        if isinstance(where, str):
            where = [where]
        if isinstance(where, Sequence) and where and all(isinstance(w, str) for w in where):
            names = input_.feature_names
            if names is None:
                raise SpecificationError(
                    f"{who}: {where[0]!r} is a name, but the input {input_.name!r} has no "
                    "feature_names=."
                )
            mask = np.zeros(input_.shape, dtype=bool)
            for name in where:
                if name not in names:
                    raise SpecificationError(
                        f"{who}: no feature {name!r} in input {input_.name!r}. "
                        f"{suggest(name, names)}"
                    )
                mask[..., names.index(name)] = True
            return np.flatnonzero(mask)
        array = np.asarray(aligned(where, input_.feature_names, f"{who}: where"))
        if array.dtype == bool:
            if array.ndim == len(input_.shape) + 1 and array.shape[0] == 1:
                array = array[0]
            if array.shape != input_.shape and (*array.shape, 1) == input_.shape:
                array = array[..., np.newaxis]
            try:
                mask = np.broadcast_to(array, input_.shape)
            except ValueError:
                raise SpecificationError(
                    f"{who}: a mask for input {input_.name!r} needs shape {input_.shape}, "
                    f"got {array.shape}."
                ) from None
            positions = np.flatnonzero(mask)
        elif array.dtype.kind in "iu" and array.size:
            positions = np.unique(array.ravel()).astype(np.intp)
            if positions[0] < 0 or positions[-1] >= input_.size:
                raise SpecificationError(
                    f"{who}: positions of input {input_.name!r} lie in 0..{input_.size - 1}, "
                    f"got {int(positions[0])}..{int(positions[-1])}."
                )
        else:
            raise SpecificationError(
                f"{who}: expected a mask, feature names or positions, got {quoted(where)}."
            )
        if not positions.size:
            raise SpecificationError(f"{who}: the mask selects no entry of input {input_.name!r}.")
        return positions

    def label(self, index: int) -> str:
        """Return the name of one entry: its feature in a table that is the only input."""
        names = self.inputs[0].feature_names
        if len(self.inputs) == 1 and names is not None and len(self.inputs[0].shape) == 1:
            return names[index]
        return self.describe(index)

    def describe(self, index: int) -> str:
        """Name one entry of the flat vector in the user's words, for messages."""
        for input_ in self.inputs:
            own = self.slices[input_.name]
            if own.start <= index < own.stop:
                where = np.unravel_index(index - own.start, input_.shape) if input_.shape else ()
                if input_.feature_names is not None and len(input_.shape) == 1:
                    return f"{input_.name}[{input_.feature_names[int(where[0])]!r}]"
                return f"{input_.name}[{', '.join(str(int(w)) for w in where)}]"
        raise SpecificationError(f"describe: index {index} is outside 0..{self.size - 1}.")
