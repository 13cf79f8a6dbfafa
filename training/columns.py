"""Cells of text -> typed columns: a kind for a whole column, never for a cell, so that nothing is guessed in silence.

It knows nothing of files or estimators.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import attrs
import numpy as np
import pandas as pd

from server.contract.types import MAX_FP32, MAX_INTEGER, MISSING, Type, parse_booleans, parse_integers, parse_numbers
from training.errors import TrainingError

ValueT = TypeVar("ValueT")
_READ_AS: Mapping[Type, frozenset[Type]] = {
    "number": frozenset({"number", "category"}),
    "integer": frozenset({"integer", "number", "category"}),
    "boolean": frozenset({"boolean", "category"}),
    "category": frozenset({"category"}),
}
"""What cells that look like one kind may be read as."""


@attrs.frozen
class Column:
    """One column of a table, as it was found.

    Attributes:
        name: Its header.
        kind: What its values are.
        missing: How many rows have no value.
    """

    name: str
    kind: Type
    missing: int


def describe(cells: pd.Series, kind: Type | None = None) -> Column:
    """Finds out what a column's values are.

    Args:
        cells: Its cells, as text.
        kind: What they are, where that is known.

    Raises:
        TrainingError: If they are not what they are said to be.
    """
    missing = cells.isin(MISSING)
    values = cells[~missing]
    found = _kind_of(values)
    if kind is not None and kind not in _READ_AS[found] and not values.empty:
        raise TrainingError(f"column {cells.name!r}: expected values of kind {kind}, found {found}")
    return Column(str(cells.name), kind or found, int(missing.sum()))


def _kind_of(values: pd.Series) -> Type:
    cells = values.tolist()
    if not cells:
        return "category"
    if (integers := _parse(parse_integers, cells)) is not None:
        return "integer" if max(map(abs, integers)) <= MAX_INTEGER else "number"
    if _parse(parse_numbers, cells) is not None:
        return "number"
    return "category" if _parse(parse_booleans, cells) is None else "boolean"


def _parse(parse: Callable[[Sequence[str]], list[ValueT]], cells: Sequence[str]) -> list[ValueT] | None:
    try:
        return parse(cells)
    except ValueError:
        return None


def are_numbers(cells: pd.Series) -> pd.Series:
    """Say of each cell whether a number is written in it."""
    return cells.map(lambda cell: _parse(parse_numbers, [cell]) is not None)


def read_feature(cells: pd.Series, column: Column) -> pd.Series:
    """Gives a feature's values.

    Returns:
        Text for a category, "" where it is missing; otherwise float64, 0 or 1 for a boolean, NaN where it is missing.

    Raises:
        TrainingError: If a number is too large.
    """
    missing = cells.isin(MISSING)
    if column.kind == "category":
        return cells.mask(missing, "").astype(object)
    if column.kind == "boolean":
        return cells.str.lower().map({"true": 1.0, "false": 0.0}).astype(np.float64)
    values = cells.mask(missing, "nan").astype(object).astype(np.float64)
    if (values.abs() > MAX_FP32).any():
        row = first_row(values.abs() > MAX_FP32)
        raise TrainingError(
            f"column {column.name!r}, row {row}: expected a number within ±{MAX_FP32:.7e}, got {cells.iloc[row - 1]}"
        )
    return values


def read_target(cells: pd.Series, column: Column) -> pd.Series:
    """Gives the target's values: text, int64, bool or, where they are numbers with a fraction, float64.

    Raises:
        TrainingError: If one is missing, or beyond what its type can hold.
    """
    if column.missing:
        row = first_row(cells.isin(MISSING))
        raise TrainingError(f"the target {column.name!r} has {column.missing} missing values, the first in row {row}")
    if column.kind == "category":
        return cells.astype(object)
    if column.kind == "boolean":
        return cells.str.lower() == "true"
    values = cells.astype(object).astype(np.float64)
    if (values.abs() == np.inf).any():
        row = first_row(values.abs() == np.inf)
        raise TrainingError(f"the target {column.name!r}, row {row}: {cells.iloc[row - 1]} is beyond a float64")
    return values.astype(np.int64) if column.kind == "integer" else values


def to_text(values: pd.Series, kind: Type) -> pd.Series:
    """Writes values such that reading them again gives the same ones, of the same kind."""
    if kind == "category":
        return values
    if kind == "boolean":
        return values.map(lambda value: "true" if value else "false", na_action="ignore")
    if kind == "integer":
        return values.map(lambda value: str(int(value)), na_action="ignore")
    return values.map(lambda value: repr(float(value)), na_action="ignore")


def first_row(fault: pd.Series) -> int:
    """Gives the number of the first row at fault, counted from 1."""
    return int(np.flatnonzero(fault)[0]) + 1
