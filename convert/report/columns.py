"""Facts of each column of a dataset, and data-quality warnings."""

from collections.abc import Iterator

import attrs
import numpy as np
import pandas as pd

from training.columns import Column
from training.dataset import Dataset
from training.errors import TrainingError
from training.quality import check_quality

QUANTILES = (0.0, 0.25, 0.5, 0.75, 1.0)
SHOWN_VALUES = 5
NEARLY = 0.95
"""From this share of rows on that have no value, or the same one, a column is called nearly empty, or constant."""


@attrs.frozen
class ColumnFacts:
    """The facts of one column.

    Attributes:
        name: Its header.
        kind: The type of its values.
        is_target: True for the target.
        missing: The number of rows without a value.
        missing_share: The same as a share of all rows (0 to 1).
        distinct: The number of distinct values.
        quantiles: Minimum, quartiles and maximum, in the column's own unit; empty for a category.
        common: The most frequent values of a category and their numbers of rows; empty for numbers.
        note: The column's data-quality warning; an empty text if there is none.
    """

    name: str
    kind: str
    is_target: bool
    missing: int
    missing_share: float
    distinct: int
    quantiles: tuple[float, ...]
    common: tuple[tuple[str, int], ...]
    note: str


def describe_columns(dataset: Dataset) -> tuple[ColumnFacts, ...]:
    """Return the facts of every column, the target's first."""
    *features, target = dataset.columns
    is_quantity = dataset.task == "regression"
    return (
        _describe(target, dataset.target, is_quantity=is_quantity, is_target=True),
        *(_describe(column, dataset.features[column.name], is_quantity=is_number(column)) for column in features),
    )


def find_warnings(dataset: Dataset) -> tuple[str, ...]:
    """Return the data-quality warnings about a table, as training prints them before it fits."""
    try:
        return tuple(check_quality(dataset))
    except TrainingError as error:
        return (str(error),)


def is_number(column: Column) -> bool:
    """Return whether a column holds numbers, integers among them."""
    return column.kind in {"number", "integer"}


def _describe(column: Column, values: pd.Series, *, is_quantity: bool, is_target: bool = False) -> ColumnFacts:
    known = values[values.notna() & (values != "")]
    counts = known.value_counts().sort_index().sort_values(ascending=False, kind="stable")
    quantiles = np.quantile(known, QUANTILES, method="inverted_cdf").tolist() if is_quantity else []
    shown = [] if is_quantity else counts.iloc[:SHOWN_VALUES].items()
    return ColumnFacts(
        name=column.name,
        kind=column.kind,
        is_target=is_target,
        missing=column.missing,
        missing_share=column.missing / len(values),
        distinct=len(counts),
        quantiles=tuple(quantiles),
        common=tuple((_format_value(value, column), int(count)) for value, count in shown),
        note="; ".join(_find_faults(column, len(values), counts)),
    )


def _format_value(value: object, column: Column) -> str:
    if column.kind == "boolean":
        return "true" if value else "false"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _find_faults(column: Column, rows: int, counts: pd.Series) -> Iterator[str]:
    known = rows - column.missing
    if column.missing >= NEARLY * rows:
        yield "nearly empty"
    if len(counts) == 1:
        yield "one value only"
    elif counts.iloc[0] >= NEARLY * known:
        yield f"nearly constant: {_format_value(counts.index[0], column)[:40]} in {counts.iloc[0]:,} of {known:,}"
