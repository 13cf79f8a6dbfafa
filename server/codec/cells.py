"""Parses one column of a CSV request: cells of text to values of the feature's type.

The grammar is the one by which training reads tables (`server.contract.types`). The bounds are those of JSON requests.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from server.contract.signature import Feature, Value
from server.contract.types import (
    MAX_FP32,
    MAX_INTEGER,
    MAX_TEXT_CHARS,
    MISSING,
    Type,
    parse_booleans,
    parse_integers,
    parse_numbers,
)

NumberT = TypeVar("NumberT", int, float)


class CellError(ValueError):
    """A column has a cell that is no value of its feature."""


def read_column(feature: Feature, cells: Sequence[str]) -> Sequence[Value]:
    """Parse the cells of one column.

    Returns:
        One value for each cell, of the Python type that a `Row` has; a missing value is `Feature.missing`.

    Raises:
        CellError: If a cell does not fit the feature.
    """
    try:
        if MISSING.isdisjoint(cells):
            return _READERS[feature.type](cells)
        if not feature.nullable:
            raise CellError
        known = iter(_READERS[feature.type]([cell for cell in cells if cell not in MISSING]))
        return [feature.missing if cell in MISSING else next(known) for cell in cells]
    except ValueError as error:
        raise CellError from error


def _read_numbers(cells: Sequence[str]) -> Sequence[float]:
    return _within(MAX_FP32, parse_numbers(cells))


def _read_integers(cells: Sequence[str]) -> Sequence[int]:
    return _within(MAX_INTEGER, parse_integers(cells))


def _within(most: float, numbers: Sequence[NumberT]) -> Sequence[NumberT]:
    if numbers and (max(numbers) > most or min(numbers) < -most):
        raise CellError
    return numbers


def _read_texts(cells: Sequence[str]) -> Sequence[str]:
    if max(map(len, cells), default=0) > MAX_TEXT_CHARS:
        raise CellError
    return cells


_READERS: Mapping[Type, Callable[[Sequence[str]], Sequence[Value]]] = {
    "number": _read_numbers,
    "integer": _read_integers,
    "boolean": parse_booleans,
    "category": _read_texts,
}
