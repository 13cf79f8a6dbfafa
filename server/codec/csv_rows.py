"""CSV bytes -> rows: the table, its header and its lines; what a cell says is read by `cells`.

It knows nothing of where the bytes come from.
"""

import csv
import io
import itertools
import operator
from collections.abc import Iterator, Sequence

from server.codec.cells import CellError, read_column
from server.codec.faults import MAX_FAULTS, Explainer, clip, invalid
from server.contract.signature import Feature, Row
from server.contract.types import MISSING
from server.contract.values import expected_value
from server.errors import BodyTooLargeError, MalformedBodyError

_BYTE_ORDER_MARK = "\ufeff"

LINES_A_STEP = 1000
"""How many lines are read before other threads, such as the event loop's, may have their turn."""
Lines = Sequence[Sequence[str]]


class CsvReader:
    """Reads one model's rows from CSV (RFC 4180) with a header of its feature names, in any order."""

    def __init__(self, features: Sequence[Feature], explainer: Explainer) -> None:
        """Notes what to check.

        Args:
            features: The columns to expect.
            explainer: What names the columns at fault.
        """
        self._features = features
        self._explainer = explainer

    def read(self, body: bytes, max_rows: int) -> list[Row]:
        """Reads rows; their order stays.

        Raises:
            MalformedBodyError: If the body is no table.
            BodyTooLargeError: If it has more rows than that; no cell is read then.
            InvalidRowError: If a cell does not fit the signature; fields are named ``<index>.<feature>``.
        """
        header, lines = _split(body, max_rows)
        if faults := self._explainer.explain_names(header):
            raise invalid(faults, "the header does not fit the model's signature")
        columns = [(feature, _column(lines, header.index(feature.name))) for feature in self._features]
        try:
            return list(zip(*(read_column(feature, cells) for feature, cells in columns), strict=True))
        except CellError:
            raise invalid(_explain(columns), "rows do not fit the model's signature") from None


def _split(body: bytes, max_rows: int) -> tuple[Sequence[str], Lines]:
    """Gives the header, and the lines that are rows: an empty one is a row where the header has one column."""
    try:
        text = body.decode("utf-8").removeprefix(_BYTE_ORDER_MARK)
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        header = next(filter(None, reader), None)
        if header is None:
            raise MalformedBodyError("expected CSV with a header, got nothing")
        rows = (line or [""] for line in reader) if len(header) == 1 else filter(None, reader)
        lines: list[list[str]] = []
        while len(lines) <= max_rows and (some := list(itertools.islice(rows, LINES_A_STEP))):
            lines += some
    except UnicodeDecodeError as error:
        raise MalformedBodyError(f"the body is not UTF-8: {error.reason} at byte {error.start}") from None
    except csv.Error as error:
        raise MalformedBodyError(f"the body is not CSV: {error}") from None
    if len(lines) > max_rows:
        raise BodyTooLargeError(f"expected at most {max_rows} rows at once, got more")
    for index, line in enumerate(lines):
        if len(line) != len(header):
            raise MalformedBodyError(f"row {index} has {len(line)} cells, the header has {len(header)}")
    return header, lines


def _column(lines: Lines, place: int) -> list[str]:
    return [line[place] for line in lines]


def _explain(columns: Sequence[tuple[Feature, Sequence[str]]]) -> dict[str, str]:
    """Names the cells at fault in the order of the table, of each column no more than are told of all."""
    found = [
        (index, feature, cells[index])
        for feature, cells in columns
        for index in itertools.islice(_find_faults(feature, cells, 0), MAX_FAULTS + 1)
    ]
    in_order = sorted(found, key=operator.itemgetter(0))
    return {f"{index}.{feature.name}": _tell_fault(feature, cell) for index, feature, cell in in_order}


def _find_faults(feature: Feature, cells: Sequence[str], first: int) -> Iterator[int]:
    """Finds the cells at fault by halving; gives their indices, where ``first`` is that of the first cell."""
    try:
        read_column(feature, cells)
    except CellError:
        half = len(cells) // 2
        if not half:
            yield first
        else:
            yield from _find_faults(feature, cells[:half], first)
            yield from _find_faults(feature, cells[half:], first + half)


def _tell_fault(feature: Feature, cell: str) -> str:
    got = clip(repr(cell)) if cell else "an empty cell"
    no_value = ", which stands for no value" if cell and cell in MISSING else ""
    return f"expected {expected_value(feature, bounds=True)}, got {got}{no_value}"
