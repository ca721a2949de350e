"""A table's columns as constraints, costs and decoded answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from constrained_actmax.errors import SpecificationError, suggest
from constrained_actmax.features.feature import Feature
from constrained_actmax.features.reading import of_frame, of_transformer
from constrained_actmax.layout import Layout, Rows, Vector, real
from constrained_actmax.objectives.base import Objective
from constrained_actmax.objectives.between import Between
from constrained_actmax.objectives.change import Change, Metric, NearestRow
from constrained_actmax.quoting import Quoted, quoted
from constrained_actmax.sets.base import ConvexSet
from constrained_actmax.sets.box import Box
from constrained_actmax.sets.fixed import Fixed
from constrained_actmax.sets.integers import Integers
from constrained_actmax.sets.levels import Levels
from constrained_actmax.sets.one_hot import OneHot
from constrained_actmax.table import WHOLE, CategoryColumn, Column, NumberColumn, Table

if TYPE_CHECKING:
    import pandas as pd

#: Whole numbers behind a scaler that are listed as levels at most.
MOST_LEVELS = 10_000


class NearestSeen(NamedTuple):
    """The row of the table that is nearest to an input.

    Parameters
    ----------
    row : int
        Its place in the table.
    distance : float
        How far it is, in the costs of the features.
    """

    row: int
    distance: float


@dataclass(frozen=True, eq=False, repr=False)
class Features(Quoted):
    """A table's columns as a model sees them, and what each may be.

    Taken in `constraints` like a set, they become the sets that they mean on the model's entries:
    bounds, whole numbers and levels, one category of each group, and what holds relative to the
    person, `x0`. One line of the result for each column says how it is kept. The entries are those
    that the model takes, after the encoder: ``x0=features.transform(person)``.

    Make one with `from_frame` or `from_transformer`.

    Parameters
    ----------
    table : Table
        The columns and their entries.
    features : mapping of str to Feature
        What each column may be, nothing left out.
    data : numpy.ndarray, shape (N, n), optional
        The entries of the table's rows, such as the training data.

    Raises
    ------
    SpecificationError
        If a column has no Feature or one that it cannot have.

    Examples
    --------
    >>> import constrained_actmax as cax
    >>> import pandas as pd
    >>> people = pd.DataFrame({"age": [23, 47, 61], "plan": ["basic", "plus", "basic"]})
    >>> features = cax.Features.from_frame(people, {"age": cax.Feature(monotonic="increasing")})
    >>> features.get_feature_names_out().tolist()
    ['age', 'plan_basic', 'plan_plus']
    >>> features.transform({"age": 30, "plan": "plus"})
    array([[30.,  0.,  1.]])
    >>> [str(one) for one in features.sets(features.transform({"age": 30, "plan": "plus"})[0])]
    ['Box(30, 61) at entries [0]', 'Integers() at entries [0]', 'OneHot() at entries [1, 2]']
    """

    table: Table
    features: Mapping[str, Feature]
    data: Rows | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        for name in self.features:
            self.table[name]  # raises where there is none
        for column in self.table.columns:
            if column.name not in self.features:
                raise SpecificationError(f"Features: say what column {column.name!r} may be.")
            _check(column, self.features[column.name])

    @classmethod
    def from_frame(
        cls, frame: Any, features: Mapping[str, Feature] | None = None, *, on: str | None = None
    ) -> Features:
        """Make features of a table whose model takes numbers as they are, and categories one-hot.

        Numbers and booleans are one entry each, in the order of the columns; text and categories
        one entry for each of their values, in the order of the categories or of the alphabet.

        Parameters
        ----------
        frame : pandas.DataFrame
            Rows such as the training data: ranges, categories, costs and the nearest row come
            from it.
        features : mapping of str to Feature, optional
            What differs from the table.
        on : str, optional
            The input of the model; needed where it has several.

        Raises
        ------
        SpecificationError
            If the table has no rows, or a column cannot be read.
        """
        table, known, data = of_frame(frame, _checked(features), on)
        return cls(table, known, data)

    @classmethod
    def from_transformer(
        cls,
        transformer: Any,
        frame: Any = None,
        features: Mapping[str, Feature] | None = None,
        *,
        on: str | None = None,
    ) -> Features:
        """Make features of a fitted scikit-learn ``ColumnTransformer``.

        Parameters
        ----------
        transformer : sklearn.compose.ColumnTransformer
            Fitted to a DataFrame, of ``OneHotEncoder`` (with or without `drop`),
            ``StandardScaler``, ``MinMaxScaler`` and "passthrough"; columns that it drops are no
            features.
        frame : pandas.DataFrame, optional
            Rows such as the training data: ranges, whole numbers, costs and the nearest row come
            from it.
        features : mapping of str to Feature, optional
            What differs from these.
        on : str, optional
            The input of the model; needed where it has several.

        Raises
        ------
        SpecificationError
            If it is not fitted, or another transformer is in it.
        """
        table, known, data = of_transformer(transformer, frame, _checked(features), on)
        return cls(table, known, data)

    # -- as in scikit-learn ----------------------------------------------------------------------

    def transform(self, table: Any) -> Rows:
        """Return the entries (B, n) of a table, or of one row as a Series or dict by column."""
        return self.table.encode(table)

    def inverse_transform(self, x: Any) -> pd.DataFrame:
        """Return the table of entries (B, n) or (n,): values in units, whole numbers, categories.

        A category is that of the largest entry of its group, and the dropped one where the others
        leave most to it.
        """
        return self.table.decode(x)

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Return the names of the entries, such as ``"plan_basic"``; `input_features` is unused."""
        return np.array(self.table.names, dtype=object)

    # -- objectives and constraints --------------------------------------------------------------

    @property
    def groups(self) -> np.ndarray:
        """The column of each entry (n,): ``Cardinality(3, center=x0, groups=features.groups)``."""
        labels = np.empty(len(self.table.names), dtype=np.intp)
        for number, column in enumerate(self.table.columns):
            labels[list(column.places)] = number
        return labels

    def metric(self, costs: Mapping[str, float]) -> Metric:
        """Return the weighted L1 distance in which a change has a cost: of a unit, or at all."""
        weights = np.zeros(len(self.table.names))
        dropped = []
        for column in self.table.columns:
            cost = costs[column.name]
            if isinstance(column, NumberColumn):
                weights[column.place] = cost * column.spread
                continue
            weights[list(column.places)] = cost / 2  # a change moves two entries
            if column.dropped is not None and cost > 0:
                dropped.append((column.places, cost / 2))
        return Metric(weights, tuple(dropped))

    @cached_property
    def cost_metric(self) -> Metric:
        """The distance in the costs of the features."""
        return self.metric(
            {name: float(feature.cost or 0) for name, feature in self.features.items()}
        )

    def distance(self, person: Any) -> Objective:
        """Return what it costs to change a person: an objective in the model's entries.

        Parameters
        ----------
        person : Series, dict, one row of a DataFrame, or array_like of shape (n,)
            A row of the table, or its entries.

        Returns
        -------
        Objective
            The sum over the columns of cost times change, a change of category at its cost.

        Raises
        ------
        SpecificationError
            If it is not one row.
        """
        return Change(self.cost_metric, self.point(person), self.table.on)

    def near(self, radius: float) -> Between:
        """Return the constraint that a row of the table is within a distance; see `Near`.

        Raises
        ------
        SpecificationError
            If the features were made without a table.
        """
        if self.data is None:
            raise SpecificationError("Features.near: make them of a table, frame=.")
        return NearestRow(self.data, self.cost_metric, self.table.on) <= radius

    def point(self, person: Any) -> Vector:
        """Return the entries (n,) of one person, given as a row of the table or as entries."""
        plain = isinstance(person, np.ndarray | list | tuple)
        rows = np.atleast_2d(real(person, "Features")) if plain else self.transform(person)
        if rows.shape != (1, len(self.table.names)):
            raise SpecificationError(
                f"Features: expected one row of {len(self.table.names)} entries, got shape "
                f"{rows.shape}."
            )
        first: Vector = rows[0]
        return first

    # -- sets ------------------------------------------------------------------------------------

    def bound(self, layout: Layout, x0: Vector | None) -> list[ConvexSet]:
        """Return the sets on a model's input, for a flat starting point of all its inputs.

        Raises
        ------
        SpecificationError
            If the input has other columns, or `x0` is needed and is missing.
        """
        if self.table.on is None and len(layout.inputs) > 1:
            raise SpecificationError(
                'Features: the model has several inputs; say which with on="input name".'
            )
        input_ = (
            layout.inputs[0] if self.table.on is None else layout.input(self.table.on, "Features")
        )
        if input_.size != len(self.table.names):
            raise SpecificationError(
                f"Features: the columns have {len(self.table.names)} entries, input "
                f"{input_.name!r} "
                f"has {input_.size}."
            )
        if input_.feature_names not in (None, self.table.names):
            raise SpecificationError(
                "Features: feature_names= are in another order than the encoder's; leave them out."
            )
        return self.sets(None if x0 is None else x0[layout.slices[input_.name]])

    def sets(self, x0: Vector | None = None) -> list[ConvexSet]:
        """Return what the features mean, each set named by its column.

        Parameters
        ----------
        x0 : numpy.ndarray, shape (n,), optional
            The entries of the person; needed where a feature is monotonic or immutable.

        Raises
        ------
        SpecificationError
            If it is needed and missing, or leaves a column no value.
        """
        sets: list[ConvexSet] = []
        for column in self.table.columns:
            feature = self.features[column.name]
            if x0 is None and (feature.immutable or feature.monotonic):
                raise SpecificationError(
                    f"Features: {column.name!r} is {feature.monotonic or 'immutable'}, relative "
                    "to a "
                    "person; give x0=features.transform(person)."
                )
            own = None if x0 is None else x0[list(column.places)]
            options: dict[str, Any] = {
                "where": list(column.places),
                "on": self.table.on,
                "name": column.name,
            }
            if feature.immutable:
                sets.append(Fixed(value=own, **options))
            elif isinstance(column, NumberColumn):
                sets.extend(_numbers(column, feature, own, options))
            else:
                sets.extend(_categories(column, feature, own, options))
        return sets

    # -- how an answer lies among the rows -------------------------------------------------------

    def nearest(self, person: Any) -> NearestSeen:
        """Return the table's row that is nearest to a person, in the costs of the features.

        Raises
        ------
        SpecificationError
            If the features were made without a table.
        """
        if self.data is None:
            raise SpecificationError("Features.nearest: make them of a table, frame=.")
        distances = self.cost_metric.distances(self.point(person), self.data)
        row = int(np.argmin(distances))
        return NearestSeen(row, float(distances[row]))

    def remarks(self, x: Vector, x0: Vector | None = None) -> list[str]:
        """Return how far an input is from the table's rows, and which of its ranges it leaves.

        Rows that are `x0` itself, the person asked about, do not count.
        """
        if self.data is None:
            return []
        distances = self.cost_metric.distances(x, self.data)
        if x0 is not None:
            distances[self.cost_metric.distances(x0, self.data) == 0.0] = np.inf
        row = int(np.argmin(distances))
        remarks = []
        if np.isfinite(distances[row]):
            away = f"{distances[row]:.3g} away in the costs"
            remarks.append(f"nearest row of the table: number {row}, {away}")
        for column in self.table.columns:
            if not isinstance(column, NumberColumn):
                continue
            value = float(column.numbers(x[column.place]))
            seen = column.numbers(self.data[:, column.place])
            low, high = float(seen.min()), float(seen.max())
            if not low - WHOLE * (high - low) <= value <= high + WHOLE * (high - low):
                unit = f" {column.unit}" if column.unit else ""
                remarks.append(
                    f"{column.name} {value:g}{unit} is outside the table's range {low:g} to "
                    f"{high:g}"
                )
        return remarks

    # -- saving ----------------------------------------------------------------------------------

    def to_dict(self) -> dict[str, Any]:
        """Return them as plain values, without the table's rows."""
        return {
            "table": self.table.to_dict(),
            "features": {name: asdict(feature) for name, feature in self.features.items()},
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Features:
        """Return the features that `to_dict` wrote."""
        features = {name: Feature(**settings) for name, settings in data["features"].items()}
        return cls(Table.from_dict(data["table"]), features)


def _checked(features: Mapping[str, Feature] | None) -> dict[str, Feature]:
    for name, feature in (features or {}).items():
        if not isinstance(feature, Feature):
            raise SpecificationError(
                f"Features: expected Feature(...) for {name!r}, got {quoted(feature)}."
            )
    return dict(features or {})


def _check(column: Column, feature: Feature) -> None:
    """Raise where a column cannot be what is said of it."""
    if isinstance(column, NumberColumn) == (feature.kind == "category"):
        raise SpecificationError(
            f"Features: {column.name!r} is encoded as a "
            f"{'number' if isinstance(column, NumberColumn) else 'category'}, got kind="
            f"{feature.kind!r}."
        )
    if isinstance(column, NumberColumn):
        if feature.levels is not None:
            levels = real(feature.levels, f"Features: levels of {column.name!r}")
            if not np.isfinite(levels).all():
                raise SpecificationError(f"Features: levels of {column.name!r} must be finite.")
        return
    for level in feature.levels or ():
        if level not in column.categories:
            known = [str(category) for category in column.categories]
            raise SpecificationError(
                f"Features: {column.name!r} has no category {quoted(level)}. "
                f"{suggest(str(level), known)}"
            )
    if feature.monotonic and feature.levels is None:
        raise SpecificationError(
            f"Features: {column.name!r} is {feature.monotonic}; list its levels= from lowest to "
            "highest."
        )


def _numbers(
    column: NumberColumn, feature: Feature, own: Vector | None, options: Mapping[str, Any]
) -> list[ConvexSet]:
    """Return the values that a number may take."""
    low = -np.inf if feature.low is None else float(feature.low)
    high = np.inf if feature.high is None else float(feature.high)
    whole = feature.kind == "integer"
    scaled = bool(column.spread != 1 or column.shift % 1)
    levels = None
    if feature.levels is not None or (whole and scaled):
        levels = _levels(column, feature, low, high)
    value = None if own is None else _value(column, float(own[0]), levels)
    if value is not None and feature.monotonic:
        rises = feature.monotonic == "increasing"
        low, high = (max(low, value), high) if rises else (low, min(high, value))
        if low > high:
            raise SpecificationError(
                f"Features: {column.name!r} is {value:g}, may only be {feature.monotonic}, and its "
                f"range is {_range(feature)}; widen the range, or make it immutable."
            )
    if levels is not None:
        levels = levels[(levels >= low) & (levels <= high)]
        if not levels.size:
            raise SpecificationError(
                f"Features: no allowed value of {column.name!r} lies between {low:g} and {high:g}."
            )
        x = column.at(levels)
        if own is not None:
            x[levels == value] = own[0]
        return [Levels(values=x.tolist(), **options)]
    x = column.at([low, high])
    if own is not None:
        x[np.array([low, high]) == value] = own[0]
    sets: list[ConvexSet] = [Box(x[0], x[1], **options)] if np.isfinite(x).any() else []
    return [*sets, Integers(**{**options, "name": f"{column.name} whole"})] if whole else sets


def _value(column: NumberColumn, entry: float, levels: Vector | None) -> float:
    """Return the value of an entry: the level that it is but for the encoder's rounding."""
    value = float(column.numbers(entry))
    if levels is None or not levels.size:
        return value
    nearest = float(levels[np.argmin(np.abs(levels - value))])
    gap = float(np.min(np.diff(levels), initial=max(abs(nearest), column.spread)))
    return nearest if abs(nearest - value) <= WHOLE * gap else value


def _levels(column: NumberColumn, feature: Feature, low: float, high: float) -> Vector:
    """Return the values between bounds that a number may take."""
    if feature.levels is not None:
        levels = np.unique(real(feature.levels, "levels"))
        if feature.kind == "integer":
            levels = levels[levels % 1 == 0]
        return np.asarray(levels[(levels >= low) & (levels <= high)])
    if not np.isfinite(high - low):
        raise SpecificationError(
            f"Features: the whole numbers of {column.name!r} are scaled, and need low= and high=."
        )
    if high - low > MOST_LEVELS:
        raise SpecificationError(
            f"Features: {column.name!r} has {high - low:,.0f} whole numbers behind a scaler; "
            f"take coarser levels=, at most {MOST_LEVELS:,}, or kind='number'."
        )
    return np.arange(np.ceil(low), np.floor(high) + 1)


def _categories(
    column: CategoryColumn, feature: Feature, own: Vector | None, options: Mapping[str, Any]
) -> list[ConvexSet]:
    """Return the categories that a group may take."""
    allowed: Sequence[Any] = column.categories if feature.levels is None else feature.levels
    if own is not None and feature.monotonic:
        value = column.decoded(own[np.newaxis])[0]
        if value not in allowed:
            raise SpecificationError(
                f"Features: {column.name!r} is {quoted(value)}, which is none of its levels."
            )
        index = allowed.index(value)
        allowed = allowed[index:] if feature.monotonic == "increasing" else allowed[: index + 1]
    rest = column.dropped is not None and column.categories[column.dropped] in allowed
    sets: list[ConvexSet] = [OneHot(dropped=rest, **options)]
    if len(allowed) < len(column.categories):
        upper = [float(category in allowed) for category in column.with_entry]
        sets.insert(0, Box(0.0, upper, **{**options, "name": f"{column.name} levels"}))
    return sets


def _range(feature: Feature) -> str:
    low = "-inf" if feature.low is None else f"{feature.low:g}"
    return f"{low} to {'inf' if feature.high is None else f'{feature.high:g}'}"
