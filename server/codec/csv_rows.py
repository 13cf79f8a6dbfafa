"""Parses CSV bodies into rows: encoding, header and lines; `cells` parses the cells themselves."""

import csv
import io
import itertools
import operator
from collections.abc import Iterator, Sequence

from server.codec.cells import CellError, read_column
from server.codec.faults import MAX_FAULTS, Explainer, clip, invalid, too_many
from server.contract.signature import Feature, Row
from server.contract.types import MISSING
from server.contract.values import expected_value
from server.errors import MalformedBodyError

_BYTE_ORDER_MARK = "\ufeff"

LINES_A_STEP = 1000
"""Number of lines parsed in one call; other threads, such as the event loop's, can run between two calls."""
Lines = Sequence[Sequence[str]]


class CsvReader:
    """Reads rows of one model from CSV (RFC 4180). The header has the feature names, in any order."""

    def __init__(self, features: Sequence[Feature], explainer: Explainer) -> None:
        """Prepare to read rows.

        Args:
            features: The expected columns, in the order of a row.
            explainer: Names the columns at fault.
        """
        self._features = features
        self._explainer = explainer

    def read(self, body: bytes, max_rows: int) -> list[Row]:
        """Read the rows of a body, in order.

        Raises:
            MalformedBodyError: If the body is not CSV.
            BodyTooLargeError: If there are more than `max_rows` rows; no cell is parsed then.
            InvalidRowError: If a cell does not fit the signature; its field is named ``<index>.<feature>``.
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
    """Return the header and the lines. An empty line is skipped, unless the header has one column: it is a row then."""
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
        raise too_many("more", max_rows)
    for index, line in enumerate(lines):
        if len(line) != len(header):
            raise MalformedBodyError(f"row {index} has {len(line)} cells, the header has {len(header)}")
    return header, lines


def _column(lines: Lines, index: int) -> list[str]:
    return [line[index] for line in lines]


def _explain(columns: Sequence[tuple[Feature, Sequence[str]]]) -> dict[str, str]:
    """Name the cells at fault, row by row. Each column is searched for one fault more than an error names."""
    found = [
        (index, feature, cells[index])
        for feature, cells in columns
        for index in itertools.islice(_find_faults(feature, cells, 0), MAX_FAULTS + 1)
    ]
    in_order = sorted(found, key=operator.itemgetter(0))
    return {f"{index}.{feature.name}": _describe_fault(feature, cell) for index, feature, cell in in_order}


def _find_faults(feature: Feature, cells: Sequence[str], first: int) -> Iterator[int]:
    """Find the cells at fault by bisection.

    Args:
        feature: The column's feature.
        cells: A part of the column.
        first: The index of the part's first cell in the whole column.

    Yields:
        The indices of the faulty cells in the whole column, in order.
    """
    try:
        read_column(feature, cells)
    except CellError:
        half = len(cells) // 2
        if not half:
            yield first
        else:
            yield from _find_faults(feature, cells[:half], first)
            yield from _find_faults(feature, cells[half:], first + half)


def _describe_fault(feature: Feature, cell: str) -> str:
    got = clip(repr(cell)) if cell else "an empty cell"
    no_value = ", which stands for no value" if cell and cell in MISSING else ""
    return f"expected {expected_value(feature, bounds=True)}, got {got}{no_value}"
