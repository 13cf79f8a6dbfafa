"""Dataset -> the facts of each column, and what is doubtful about the table, in words; knows nothing of figures."""

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
"""The share of rows without a value, or with the same, from which on a column is called nearly empty, or constant."""


@attrs.frozen
class ColumnFacts:
    """What a column holds.

    Attributes:
        name: Its header.
        kind: What its values are.
        is_target: Whether it is what is learned.
        missing: How many rows have no value.
        missing_share: The same as a share of all (0 to 1).
        distinct: How many different values there are.
        quantiles: The smallest value, the quartiles and the largest, in the column's own unit; none of a category.
        common: A category's most frequent values and their rows; none of numbers.
        note: What is doubtful about it, if anything.
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
    """Gives the facts of every column, the target's first."""
    *features, target = dataset.columns
    is_quantity = dataset.task == "regression"
    return (
        _describe(target, dataset.target, is_quantity=is_quantity, is_target=True),
        *(_describe(column, dataset.features[column.name], is_quantity=_is_number(column)) for column in features),
    )


def find_doubts(dataset: Dataset) -> tuple[str, ...]:
    """Says what is doubtful about a table as a whole, as training does before it fits."""
    try:
        return tuple(check_quality(dataset))
    except TrainingError as error:
        return (str(error),)


def _is_number(column: Column) -> bool:
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
        common=tuple((_word(value, column), int(count)) for value, count in shown),
        note="; ".join(_doubts(column, len(values), counts)),
    )


def _word(value: object, column: Column) -> str:
    if column.kind == "boolean":
        return "true" if value else "false"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _doubts(column: Column, rows: int, counts: pd.Series) -> Iterator[str]:
    known = rows - column.missing
    if column.missing >= NEARLY * rows:
        yield "nearly empty"
    if len(counts) == 1:
        yield "one value only"
    elif counts.iloc[0] >= NEARLY * known:
        yield f"nearly constant: {_word(counts.index[0], column)[:40]} in {counts.iloc[0]:,} of {known:,}"
