"""Types of columns: their bounds, and the grammar of their values as text.

Training reads tables by these rules, and the server reads requests by the same.
"""

import re
from collections.abc import Sequence
from typing import Literal

Type = Literal["number", "integer", "boolean", "category"]

MISSING = frozenset({"", "NA", "N/A", "NaN", "nan", "NULL", "null", "None"})
"""Cells of text that mean a missing value."""
MAX_FP32 = 3.4028234663852886e38
"""The largest finite FP32 (IEEE 754 binary32). A larger number would reach the compiled model as infinity."""
MAX_INTEGER = 2**53
"""The largest integer: a float64 (IEEE 754 binary64) holds every one up to here exactly.

A column with a larger one is of type number.
"""
MAX_TEXT_CHARS = 1000
"""The longest text of a category, in training and in requests."""

_NUMBER_CHARACTERS = re.compile(r"[0-9+\-.eE]*")
"""The characters of numbers. Of such text `float` accepts decimal numbers only: no ``inf``, ``nan`` or ``1_0``."""
_BOOLEANS = {"true": True, "false": False}


def parse_numbers(cells: Sequence[str]) -> list[float]:
    """Parse decimal numbers such as ``1``, ``+.5`` and ``2e-3``; a number beyond float64 becomes infinite.

    Raises:
        ValueError: If a cell is anything else.
    """
    if not _NUMBER_CHARACTERS.fullmatch("".join(cells)):
        raise ValueError("expected numbers")
    return list(map(float, cells))


def parse_integers(cells: Sequence[str]) -> list[int]:
    """Parse integers in canonical form; ``007``, ``+7`` and ``-0`` are numbers, but not integers.

    Raises:
        ValueError: If a cell is anything else.
    """
    numbers = list(map(int, cells))
    if list(map(str, numbers)) != list(cells):
        raise ValueError("expected integers")
    return numbers


def parse_booleans(cells: Sequence[str]) -> list[bool]:
    """Parse ``true`` and ``false``, in upper or lower case.

    Raises:
        ValueError: If a cell is anything else.
    """
    try:
        return [_BOOLEANS[cell.lower()] for cell in cells]
    except KeyError:
        raise ValueError("expected booleans") from None
