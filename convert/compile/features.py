"""Describes each feature of a dataset as training saw it: type, nullability, and quantiles or vocabulary."""

import numpy as np
import pandas as pd

from convert.errors import ConvertError
from server.contract.signature import QUANTILES, Feature
from server.contract.types import MAX_TEXT_CHARS
from training.columns import Column
from training.dataset import Dataset


def describe_features(dataset: Dataset) -> tuple[Feature, ...]:
    """Returns the description of each feature, in the order of the columns.

    Raises:
        ConvertError: If a category has more characters than a request may send.
    """
    return tuple(_describe(column, dataset.features[column.name]) for column in dataset.columns[:-1])


def _describe(column: Column, values: pd.Series) -> Feature:
    nullable = column.missing > 0
    if column.kind != "category":
        steps = np.linspace(0, 1, QUANTILES)
        quantiles = np.quantile(values.dropna(), steps, method="inverted_cdf").tolist()
        return Feature(column.name, column.kind, nullable, quantiles=tuple(quantiles))
    vocabulary = tuple(sorted(set(values) - {""}))
    longest = max(vocabulary, key=len)
    if len(longest) > MAX_TEXT_CHARS:
        raise ConvertError(
            f"feature {column.name!r} has a text of {len(longest)} characters, more than {MAX_TEXT_CHARS}: "
            f"{longest[:64]!r}..."
        )
    return Feature(column.name, column.kind, nullable, vocabulary=vocabulary)
