"""Cells of text -> values, a column at a time: what a table says is read as training reads it.

What training takes for a value of a kind is taken here, and nothing else (`training.columns`; a test holds the two
against each other); the bounds are those of a request in JSON. It knows nothing of rows or of CSV.
"""

import re
from collections.abc import Callable, Mapping, Sequence

from server.contract.signature import MAX_FP32, Feature, Type, Value
from server.contract.values import MAX_TEXT_CHARS, MAX_WHOLE

MISSING = frozenset({"", "NA", "N/A", "NaN", "nan", "NULL", "null", "None"})
"""Cells that stand for no value."""
_OF_NUMBERS = re.compile(r"[0-9+\-.eE]*")
"""What numbers are written with; of such characters `float` takes what is a number in training, and no more."""
_BOOLEANS = {"true": True, "false": False}


class CellError(ValueError):
    """A column has a cell that its feature does not take."""


def read_column(feature: Feature, cells: Sequence[str]) -> Sequence[Value]:
    """Reads the cells of one column.

    Returns:
        As many values, as a row has them.

    Raises:
        CellError: If one of them does not fit the feature.
    """
    try:
        if MISSING.isdisjoint(cells):
            return _READERS[feature.type](cells)
        if not feature.nullable:
            raise CellError
        known = iter(_READERS[feature.type]([cell for cell in cells if cell not in MISSING]))
        return [feature.missing if cell in MISSING else next(known) for cell in cells]
    except (ValueError, LookupError) as error:
        raise CellError from error


def _read_numbers(cells: Sequence[str]) -> Sequence[float]:
    if not _OF_NUMBERS.fullmatch("".join(cells)):
        raise CellError
    numbers = list(map(float, cells))
    _check_bounds(numbers, MAX_FP32)
    return numbers


def _read_whole_numbers(cells: Sequence[str]) -> Sequence[int]:
    numbers = list(map(int, cells))
    if list(map(str, numbers)) != list(cells):  # 007, +7 and -0 are no whole numbers in training
        raise CellError
    _check_bounds(numbers, MAX_WHOLE)
    return numbers


def _check_bounds(numbers: Sequence[float], most: float) -> None:
    if numbers and (max(numbers) > most or min(numbers) < -most):
        raise CellError


def _read_booleans(cells: Sequence[str]) -> Sequence[bool]:
    return [_BOOLEANS[cell.lower()] for cell in cells]


def _read_texts(cells: Sequence[str]) -> Sequence[str]:
    if max(map(len, cells), default=0) > MAX_TEXT_CHARS:
        raise CellError
    return cells


_READERS: Mapping[Type, Callable[[Sequence[str]], Sequence[Value]]] = {
    "number": _read_numbers,
    "integer": _read_whole_numbers,
    "boolean": _read_booleans,
    "category": _read_texts,
}
