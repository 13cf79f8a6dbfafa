"""Types of columns: text cells are parsed as numbers, integers, booleans or categories.

All cells of a column have one type. A cell never gets a type of its own, so nothing is guessed in silence.
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
"""Kinds that a column may be read as, by the kind that its cells look like."""


@attrs.frozen
class Column:
    """Facts of one column of a table.

    Attributes:
        name: The column's header.
        kind: The type of its values.
        missing: Number of rows without a value.
    """

    name: str
    kind: Type
    missing: int


def describe(cells: pd.Series, kind: Type | None = None) -> Column:
    """Infer the type of a column from its cells.

    Args:
        cells: The column's cells, as text.
        kind: The type, if it is known; the cells are checked against it.

    Raises:
        TrainingError: If the cells are not of the known type.
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
    """Return for each cell whether it is a number."""
    return cells.map(lambda cell: _parse(parse_numbers, [cell]) is not None)


def read_feature(cells: pd.Series, column: Column) -> pd.Series:
    """Parse a feature's values.

    Returns:
        For a category text, with "" for a missing value. Otherwise float64, with NaN for a missing value; a boolean is
        0 or 1.

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
    """Parse the target's values: text, int64, bool or, for numbers that are not all integers, float64.

    Raises:
        TrainingError: If a value is missing, or out of the range of its type.
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
    """Format values as text that parses to the same values, of the same type."""
    if kind == "category":
        return values
    if kind == "boolean":
        return values.map(lambda value: "true" if value else "false", na_action="ignore")
    if kind == "integer":
        return values.map(lambda value: str(int(value)), na_action="ignore")
    return values.map(lambda value: repr(float(value)), na_action="ignore")


def first_row(fault: pd.Series) -> int:
    """Return the number, counted from 1, of the first row that is true."""
    return int(np.flatnonzero(fault)[0]) + 1
