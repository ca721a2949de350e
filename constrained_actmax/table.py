"""A table's columns as entries of a model's input, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from constrained_actmax.errors import SpecificationError, suggest
from constrained_actmax.layout import Rows, Vector, is_table, real
from constrained_actmax.quoting import Quoted, quoted

if TYPE_CHECKING:
    import pandas as pd

#: A number within this of a whole one, in units, is meant to be whole: float32 inputs in the
#: thousands, behind a scaler.
WHOLE = 1e-3


@dataclass(frozen=True, repr=False)
class NumberColumn(Quoted):
    r"""A numeric column as one entry, :math:`x = (v - \text{shift}) / \text{spread}`.

    Parameters
    ----------
    name : str
        Of the column.
    place : int
        The entry.
    shift, spread : float
        In the column's units; spread > 0.
    whole : bool
        Whether its values are whole numbers.
    unit : str
        Of its values; empty without one.
    truth : bool
        Whether its values are False and True, entries 0 and 1.
    """

    name: str
    place: int
    shift: float = 0.0
    spread: float = 1.0
    whole: bool = False
    unit: str = ""
    truth: bool = False

    @property
    def places(self) -> tuple[int, ...]:
        """The entries."""
        return (self.place,)

    def encoded(self, values: Sequence[Any]) -> Rows:
        """Return the entries (B, 1) of values in the column's units."""
        numbers = real(values, f"Features: column {self.name!r}")
        if not np.isfinite(numbers).all():
            raise SpecificationError(f"Features: column {self.name!r} holds NaN or infinity.")
        return self.at(numbers)[:, np.newaxis]

    def at(self, values: Any) -> Vector:
        """Return the entry of values."""
        return (np.asarray(values, dtype=np.float64) - self.shift) / self.spread

    def numbers(self, x: Any) -> Vector:
        """Return the values of an entry, whole ones where they are meant to be."""
        values = np.asarray(x, dtype=np.float64) * self.spread + self.shift
        near = np.round(values)
        meant = self.whole & (np.abs(values - near) <= WHOLE)
        return np.where(meant, near, values) + 0.0

    def decoded(self, x: Rows) -> Any:
        """Return the values of entries (B, 1): integers where all are whole."""
        values = self.numbers(x[:, 0])
        if self.truth and np.all((values == 0) | (values == 1)):
            return values == 1
        return values.astype(np.int64) if self.whole and np.all(values % 1 == 0) else values


@dataclass(frozen=True, repr=False)
class CategoryColumn(Quoted):
    """A column of categories as one entry for each, or for all but the one that is dropped.

    Parameters
    ----------
    name : str
        Of the column.
    places : tuple of int
        The entries, in the order of the categories that have one.
    categories : tuple
        All values of the column.
    dropped : int, optional
        Which of them has no entry: all entries are 0.
    unit : str
        Of its values; empty without one.
    """

    name: str
    places: tuple[int, ...]
    categories: tuple[Any, ...]
    dropped: int | None = None
    unit: str = ""

    @cached_property
    def with_entry(self) -> tuple[Any, ...]:
        """The categories that have an entry, in order."""
        return tuple(category for at, category in enumerate(self.categories) if at != self.dropped)

    def encoded(self, values: Sequence[Any]) -> Rows:
        """Return the entries (B, k) of values.

        Raises
        ------
        SpecificationError
            If a value is no category.
        """
        vertices = dict(zip(self.with_entry, np.eye(len(self.places)), strict=True))
        if self.dropped is not None:
            vertices[self.categories[self.dropped]] = np.zeros(len(self.places))
        for value in values:
            if value not in vertices:
                known = [str(category) for category in self.categories]
                raise SpecificationError(
                    f"Features: {self.name!r} has no category {quoted(value)}. "
                    f"{suggest(str(value), known)}"
                )
        return np.array([vertices[value] for value in values]).reshape(-1, len(self.places))

    def decoded(self, x: Rows) -> Any:
        """Return the categories of entries (B, k): the largest, the dropped one's is the rest."""
        entries = x
        order = list(self.with_entry)
        if self.dropped is not None:
            entries = np.append(x, 1.0 - np.sum(x, axis=1, keepdims=True), axis=1)
            order.append(self.categories[self.dropped])
        return [order[at] for at in np.argmax(entries, axis=1).tolist()]


Column: TypeAlias = NumberColumn | CategoryColumn


@dataclass(frozen=True, repr=False)
class Table(Quoted):
    """The columns of a table and the entries that a model sees of them.

    Parameters
    ----------
    columns : tuple of NumberColumn or CategoryColumn
        In the order of the table; every entry belongs to one.
    names : tuple of str
        Of the entries.
    on : str, optional
        The input that they are; needed where the model has several.

    Examples
    --------
    >>> import constrained_actmax as cax
    >>> import pandas as pd
    >>> rooms = pd.DataFrame({"beds": [1, 2], "view": ["sea", "yard"]})
    >>> table = cax.Features.from_frame(rooms).table
    >>> table.encode(rooms)
    array([[1., 1., 0.],
           [2., 0., 1.]])
    >>> table.decode([2.0, 1.0, 0.0]).to_dict("records")
    [{'beds': 2, 'view': 'sea'}]
    """

    columns: tuple[Column, ...]
    names: tuple[str, ...]
    on: str | None = None
    _by_name: dict[str, Column] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_by_name", {column.name: column for column in self.columns})

    def __getitem__(self, name: str) -> Column:
        if name not in self._by_name:
            raise SpecificationError(
                f"Features: no column {name!r}. {suggest(name, list(self._by_name))}"
            )
        return self._by_name[name]

    def encode(self, table: Any) -> Rows:
        """Return the entries (B, n) of a table, or of one row as a Series or mapping.

        Raises
        ------
        SpecificationError
            If a column is missing, or a value is none of it.
        """
        if is_table(table) and table.ndim == 1:
            table = table.to_dict()
        one_row = isinstance(table, Mapping)
        if not one_row and not (is_table(table) and table.ndim == 2):
            raise SpecificationError(
                f"Features: expected a DataFrame, or one row as a Series or dict by column, got "
                f"{type(table).__name__}."
            )
        x = np.empty((1 if one_row else len(table), len(self.names)))
        for column in self.columns:
            if column.name not in table:
                raise SpecificationError(f"Features: the column {column.name!r} is missing.")
            values = [table[column.name]] if one_row else table[column.name].tolist()
            x[:, list(column.places)] = column.encoded(values)
        return x

    def decode(self, x: Any) -> pd.DataFrame:
        """Return rows of entries (B, n), or one (n,), as a table."""
        import pandas as pd

        rows = np.atleast_2d(real(x, "Features"))
        if rows.ndim != 2 or rows.shape[1] != len(self.names):
            raise SpecificationError(
                f"Features: expected {len(self.names)} entries a row, got shape {np.shape(x)}."
            )
        return pd.DataFrame(
            {column.name: column.decoded(rows[:, list(column.places)]) for column in self.columns}
        )

    def changes(self, before: Vector, after: Vector) -> list[dict[str, Any]]:
        """Return the columns that differ between two inputs (n,), in their units and categories."""
        changed = []
        for column in self.columns:
            at = list(column.places)
            if np.array_equal(before[at], after[at]):
                continue
            first, last = (column.decoded(x[np.newaxis, at])[0] for x in (before, after))
            if first != last:
                number = isinstance(column, NumberColumn) and not column.truth
                difference = last - first if number else f"{first} \N{RIGHTWARDS ARROW} {last}"
                change = {
                    "entry": column.name,
                    "before": first,
                    "after": last,
                    "change": difference,
                }
                changed.append(change | {"unit": column.unit})
        return changed

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values, for saving."""
        return {
            "columns": [asdict(column) for column in self.columns],
            "names": list(self.names),
            "on": self.on,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Table:
        """Return what `to_dict` wrote."""
        columns: list[Column] = []
        for column in data["columns"]:
            if "place" in column:
                columns.append(NumberColumn(**column))
            else:
                lists = {key: tuple(column[key]) for key in ("places", "categories")}
                columns.append(CategoryColumn(**{**column, **lists}))
        return cls(tuple(columns), tuple(data["names"]), data["on"])
