"""Data-quality warnings about a dataset, before anything is fitted."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from training.columns import are_numbers, first_row, to_text
from training.dataset import Dataset
from training.errors import TrainingError

_IDENTIFIER = "if it is an identifier, leave it out with --drop"


def check_quality(dataset: Dataset) -> list[str]:
    """Find columns and rows that make a model useless or its scores too good.

    Returns:
        Warnings, each naming its column.

    Raises:
        TrainingError: If a feature equals the target.
    """
    for name, values in dataset.features.items():
        if _equals(values, dataset.target):
            raise TrainingError(
                f"column {name!r} equals the target {dataset.target.name!r} in every row: nothing would be learned; "
                f"leave it out with --drop"
            )
    return [*_check_columns(dataset), *_repeated_rows(dataset)]


def _check_columns(dataset: Dataset) -> Iterator[str]:
    for column in dataset.columns[:-1]:
        name, values = column.name, dataset.features[column.name]
        distinct = values.nunique(dropna=False)
        if distinct == 1:
            yield f"column {name!r} has one value only, {to_text(values, column.kind).iloc[0]!r}: it tells nothing"
        elif column.kind == "category":
            yield from _mostly_numbers(values) or _many_texts(values, distinct)
        elif (np.diff(values) == 1).all():
            yield f"column {name!r} counts the rows; {_IDENTIFIER}"
    if dataset.columns[-1].kind == "category":
        yield from _mostly_numbers(dataset.target)


def _mostly_numbers(values: pd.Series) -> list[str]:
    """Warn of text in a column that is numbers for the most part: one such cell makes text of the whole column."""
    numbers = are_numbers(values)
    texts = ~numbers & (values != "")
    if not texts.any() or numbers.sum() <= texts.sum():
        return []
    row = first_row(texts)
    found = f"{numbers.sum()} of its {(values != '').sum()} values are numbers"
    return [f"column {values.name!r} is taken for text: {found}, but not {values.iloc[row - 1]!r} in row {row}"]


def _many_texts(values: pd.Series, distinct: int) -> list[str]:
    if distinct <= len(values) / 2:
        return []
    return [f"column {values.name!r} has {distinct} different texts in {len(values)} rows; {_IDENTIFIER}"]


def _repeated_rows(dataset: Dataset) -> Iterator[str]:
    repeated = int(dataset.features.duplicated().sum())
    if repeated:
        yield f"rows that repeat the features of another: {repeated}; they are kept on the same side of the split"


def _equals(values: pd.Series, target: pd.Series) -> bool:
    if values.dtype != object and target.dtype == object:
        # Numbers in a feature may be codes, and so text, in the target.
        target = pd.to_numeric(target, errors="coerce")
    return bool((values == target).all())
