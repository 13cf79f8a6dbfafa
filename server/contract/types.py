"""Types of columns: their bounds, and what a cell of text must look like to be a value of one.

Training reads tables by these facts, and the server reads requests by them.
"""

import re
from collections.abc import Sequence
from typing import Literal

Type = Literal["number", "integer", "boolean", "category"]

MISSING = frozenset({"", "NA", "N/A", "NaN", "nan", "NULL", "null", "None"})
"""Cells of text that stand for no value."""
MAX_FP32 = 3.4028234663852886e38
"""The largest finite FP32 (IEEE 754 binary32): a larger number would reach the compiled model as infinity."""
MAX_INTEGER = 2**53
"""Up to here every integer is a float64 (IEEE 754 binary64) of its own; a column beyond is of numbers."""
MAX_TEXT_CHARS = 1000
"""The longest text of a category, in training and in requests."""

_NUMBER_CHARACTERS = re.compile(r"[0-9+\-.eE]*")
"""Of text in these characters, `float` accepts decimal numbers and nothing else: no ``inf``, ``nan`` or ``1_0``."""
_BOOLEANS = {"true": True, "false": False}


def parse_numbers(cells: Sequence[str]) -> list[float]:
    """Read decimal numbers such as ``1``, ``+.5`` and ``2e-3``; infinite where one is beyond a float64.

    Raises:
        ValueError: If a cell is anything else.
    """
    if not _NUMBER_CHARACTERS.fullmatch("".join(cells)):
        raise ValueError("expected numbers")
    return list(map(float, cells))


def parse_integers(cells: Sequence[str]) -> list[int]:
    """Read integers in their one usual form; ``007``, ``+7`` and ``-0`` are numbers, but no integers.

    Raises:
        ValueError: If a cell is anything else.
    """
    numbers = list(map(int, cells))
    if list(map(str, numbers)) != list(cells):
        raise ValueError("expected integers")
    return numbers


def parse_booleans(cells: Sequence[str]) -> list[bool]:
    """Read ``true`` and ``false``, in upper or lower case.

    Raises:
        ValueError: If a cell is anything else.
    """
    try:
        return [_BOOLEANS[cell.lower()] for cell in cells]
    except KeyError:
        raise ValueError("expected booleans") from None
