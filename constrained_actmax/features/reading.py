"""Columns and ranges from tables and from scikit-learn's fitted transformers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from constrained_actmax.errors import SpecificationError, suggest
from constrained_actmax.features.feature import Feature, Kind
from constrained_actmax.layout import Rows, is_table
from constrained_actmax.quoting import quoted
from constrained_actmax.table import CategoryColumn, Column, NumberColumn, Table

#: What `Features.from_transformer` reads, for messages.
READ = "OneHotEncoder, StandardScaler, MinMaxScaler and 'passthrough'"

Read = tuple[Table, dict[str, Feature], Rows | None]


def of_frame(frame: Any, features: Mapping[str, Feature], on: str | None) -> Read:
    """Return the columns of a table, what each may be, and its rows' entries."""
    _check_frame(frame)
    _check_names(features, list(frame))
    columns: list[Column] = []
    names: list[str] = []
    for name in frame:
        feature = features.get(name, Feature())
        if (feature.kind or kind_of(frame[name])) == "category":
            values = categories_of(frame[name])
            positions = tuple(range(len(names), len(names) + len(values)))
            columns.append(CategoryColumn(name, positions, values, unit=feature.unit))
            names.extend(f"{name}_{value}" for value in values)
        else:
            columns.append(NumberColumn(name, len(names), unit=feature.unit))
            names.append(name)
    return _filled(columns, names, frame, features, on)


def of_transformer(
    transformer: Any, frame: Any, features: Mapping[str, Feature], on: str | None
) -> Read:
    """Return the columns that a fitted ColumnTransformer encodes, and what each may be."""
    try:
        from sklearn.compose import ColumnTransformer
        from sklearn.exceptions import NotFittedError
        from sklearn.utils.validation import check_is_fitted
    except ImportError:
        raise SpecificationError(
            "Features.from_transformer: it needs scikit-learn; pip install "
            "'constrained-actmax[tables]'."
        ) from None
    if not isinstance(transformer, ColumnTransformer):
        raise SpecificationError(
            "Features.from_transformer: expected a fitted ColumnTransformer, got "
            f"{type(transformer).__name__}."
        )
    try:
        check_is_fitted(transformer)
    except NotFittedError:
        raise SpecificationError(
            "Features.from_transformer: the ColumnTransformer is not fitted; call its fit(table)."
        ) from None
    seen = getattr(transformer, "feature_names_in_", None)
    if seen is None:
        raise SpecificationError(
            "Features.from_transformer: it was fitted to an array; fit it to a DataFrame, whose "
            "columns have names."
        )
    order = [str(name) for name in seen]
    _check_names(features, order)
    collected: list[Column] = []
    for label, step, selected in transformer.transformers_:
        own = _selected(selected, order)
        if step != "drop" and own:
            first = transformer.output_indices_[label].start
            collected.extend(_encoded(step, own, first))
    twice = [column.name for column in collected]
    for name in twice:
        if twice.count(name) > 1:
            raise SpecificationError(
                f"Features.from_transformer: the column {name!r} is encoded twice."
            )
    collected.sort(key=lambda column: order.index(column.name))
    columns: list[Column] = [
        replace(column, unit=features[column.name].unit) if column.name in features else column
        for column in collected
    ]
    names = [str(name) for name in transformer.get_feature_names_out()]
    if frame is not None:
        _check_frame(frame)
        _check_names(dict.fromkeys(column.name for column in columns), list(frame))
        frame = frame[[column.name for column in columns]]
    return _filled(columns, names, frame, features, on)


def _selected(selected: Any, order: list[str]) -> list[str]:
    """Return the names of the columns that a part of a ColumnTransformer takes."""
    if isinstance(selected, str):
        return [selected]
    if isinstance(selected, slice):
        if isinstance(selected.start, str) or isinstance(selected.stop, str):
            start = 0 if selected.start is None else order.index(selected.start)
            stop = len(order) if selected.stop is None else order.index(selected.stop) + 1
            return order[start : stop : selected.step]
        return order[selected]
    positions = np.atleast_1d(np.asarray(list(selected) if np.ndim(selected) else selected))
    if positions.dtype == bool:
        positions = np.flatnonzero(positions)
    if positions.dtype.kind in "iu":
        return [order[index] for index in positions.tolist()]
    return [str(name) for name in positions.tolist()]


def _encoded(step: Any, names: list[str], first: int) -> list[Column]:
    """Return the columns that one transformer encodes, from its first entry on."""
    from sklearn.preprocessing import (
        FunctionTransformer,
        MinMaxScaler,
        OneHotEncoder,
        StandardScaler,
    )

    if isinstance(step, OneHotEncoder):
        return _one_hot(step, names, first)
    count = len(names)
    if isinstance(step, StandardScaler):
        shift = np.zeros(count) if step.mean_ is None else step.mean_
        spread = np.ones(count) if step.scale_ is None else step.scale_
    elif isinstance(step, MinMaxScaler) and not step.clip:
        shift, spread = -step.min_ / step.scale_, 1.0 / step.scale_
    elif step == "passthrough" or (isinstance(step, FunctionTransformer) and step.func is None):
        shift, spread = np.zeros(count), np.ones(count)
    else:
        raise SpecificationError(
            f"Features.from_transformer: {quoted(step)} of {names[0]!r} cannot be read; "
            f"{READ} can, or make the encoded table's features with from_frame."
        )
    return [
        NumberColumn(name, first + at, float(shift[at]), float(spread[at]))
        for at, name in enumerate(names)
    ]


def _one_hot(encoder: Any, names: list[str], first: int) -> list[Column]:
    infrequent = getattr(encoder, "infrequent_categories_", None) if _merges(encoder) else None
    if infrequent is not None and any(category is not None for category in infrequent):
        raise SpecificationError(
            f"Features.from_transformer: the OneHotEncoder of {names[0]!r} puts rare categories "
            "together, which cannot be undone; fit it without min_frequency and max_categories."
        )
    dropped = [None] * len(names) if encoder.drop_idx_ is None else list(encoder.drop_idx_)
    columns: list[Column] = []
    for name, values, drop in zip(names, encoder.categories_, dropped, strict=True):
        count = len(values) - (drop is not None)
        positions = tuple(range(first, first + count))
        without = None if drop is None else int(drop)
        columns.append(CategoryColumn(name, positions, tuple(np.asarray(values).tolist()), without))
        first += count
    return columns


def _merges(encoder: Any) -> bool:
    return encoder.min_frequency is not None or encoder.max_categories is not None


def _filled(
    columns: list[Column],
    names: list[str],
    frame: Any,
    features: Mapping[str, Feature],
    on: str | None,
) -> Read:
    """Complete what is said of each column by what the table shows."""
    known: dict[str, Feature] = {}
    for at, column in enumerate(columns):
        inferred = Feature(kind="category", cost=1.0)
        if isinstance(column, NumberColumn):
            values = None if frame is None else frame[column.name]
            inferred = _number(column, values)
        known[column.name] = features.get(column.name, Feature()).completed(inferred)
        if isinstance(column, NumberColumn) and known[column.name].kind == "integer":
            truth = frame is not None and frame[column.name].dtype.kind == "b"
            columns[at] = replace(column, whole=True, truth=truth)
    table = Table(tuple(columns), tuple(names), on)
    return table, known, None if frame is None else table.encode(frame)


def _number(column: NumberColumn, values: Any) -> Feature:
    """Return the range of a numeric column, and the cost of a unit."""
    if values is None:
        return Feature(kind="number", cost=1.0 / abs(column.spread))
    numbers = np.asarray(values, dtype=np.float64)
    deviation = float(np.median(np.abs(numbers - np.median(numbers)))) or float(np.std(numbers))
    kind: Kind = "number" if values.dtype.kind == "f" else "integer"
    return Feature(float(numbers.min()), float(numbers.max()), kind, cost=1.0 / (deviation or 1.0))


def kind_of(values: Any) -> Kind:
    """Return what a table's column holds."""
    kind = getattr(values.dtype, "kind", "O")
    if kind in "biu":
        return "integer"
    return "number" if kind == "f" else "category"


def categories_of(values: Any) -> tuple[Any, ...]:
    """Return the values of a column: in the order of its categories, or sorted."""
    from pandas import CategoricalDtype

    if isinstance(values.dtype, CategoricalDtype):
        return tuple(values.cat.categories.tolist())
    return tuple(sorted(set(values.tolist()), key=lambda category: (str(type(category)), category)))


def _check_frame(frame: Any) -> None:
    if not is_table(frame) or frame.ndim != 2 or not len(frame):
        raise SpecificationError(f"Features: expected a DataFrame with rows, got {quoted(frame)}.")
    for name in frame:
        if not isinstance(name, str):
            raise SpecificationError(f"Features: columns have names, got {quoted(name)}.")
        if frame[name].isna().any():
            raise SpecificationError(f"Features: column {name!r} holds missing values.")


def _check_names(features: Mapping[str, Any], known: list[Any]) -> None:
    for name in features:
        if name not in known:
            raise SpecificationError(f"Features: no column {name!r}. {suggest(name, known)}")
