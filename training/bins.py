"""Dataset + rows to learn from -> nothing, or why histograms cannot be made of a column; it knows nothing of runs."""

import pandas as pd

from training.columns import Column
from training.dataset import Dataset
from training.errors import TrainingError
from training.pipelines import Needs

MAX_CODES = 255
"""How many categories of a column gradient boosting on histograms takes (its ``max_bins``)."""
_OTHERWISE = "leave it out with --drop, or take another estimator than hist_gradient_boosting"


def check_bins(dataset: Dataset, rows: tuple[int, ...], needs: Needs) -> None:
    """Refuses, for a model that bins what it is given, what would make its fit fail without a word of the column.

    Args:
        dataset: The table.
        rows: Positions of the rows to learn from.
        needs: What the model needs.

    Raises:
        TrainingError: If a category has too many texts, or a column of numbers none where gaps are not filled.
    """
    features = dataset.features.iloc[list(rows)]
    for column in dataset.columns[:-1] if needs.codes else ():
        if fault := _find_fault(column, features[column.name], needs):
            raise TrainingError(f"column {column.name!r} has {fault}; {_OTHERWISE}")


def _find_fault(column: Column, values: pd.Series, needs: Needs) -> str | None:
    if column.kind == "category" and (texts := values.nunique()) > MAX_CODES:
        return f"{texts} different texts in the rows to learn from, more than {MAX_CODES}"
    if not needs.filled and values.isna().all():
        return f"no value in the {len(values)} rows to learn from"
    return None
