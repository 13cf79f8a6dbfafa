"""CSV bytes -> rows: the same checks as for JSON, cell by cell; an empty cell stands for null.

It knows nothing of where the bytes come from.
"""

import csv
import io
from collections.abc import Callable, Sequence

import attrs
import msgspec

from server.errors import MalformedBodyError
from server.explain import MAX_FAULTS, UNREADABLE, Explainer, clip, invalid
from server.signature import Feature, Row, Value
from server.values import expected_value, value_type

_BYTE_ORDER_MARK = "\ufeff"


class CsvReader:
    """Reads one model's rows from CSV (RFC 4180) with a header of its feature names, in any order."""

    def __init__(self, features: Sequence[Feature], explainer: Explainer) -> None:
        """Notes what to check.

        Args:
            features: The columns to expect.
            explainer: What names the columns at fault.
        """
        self._features = features
        self._readers = [_cell_reader(feature) for feature in features]
        self._explainer = explainer

    def read(self, body: bytes) -> list[Row]:
        """Reads rows; their order stays.

        Raises:
            MalformedBodyError: If the body is no table.
            InvalidRowError: If a cell does not fit the signature; fields are named ``<index>.<feature>``.
        """
        header, *lines = self._split(body)
        if faults := self._explainer.explain_names(header):
            raise invalid(faults, "the header does not fit the model's signature")
        places = [header.index(feature.name) for feature in self._features]
        faults, rows = {}, []
        for index, line in enumerate(lines):
            rows.append(self._read_line([line[place] for place in places], index, faults))
            if len(faults) > MAX_FAULTS:
                break
        if faults:
            raise invalid(faults, "rows do not fit the model's signature")
        return rows

    def _split(self, body: bytes) -> list[list[str]]:
        try:
            text = body.decode("utf-8").removeprefix(_BYTE_ORDER_MARK)
            lines = [line for line in csv.reader(io.StringIO(text, newline=""), strict=True) if line]
        except UnicodeDecodeError as error:
            raise MalformedBodyError(f"the body is not UTF-8: {error.reason} at byte {error.start}") from None
        except csv.Error as error:
            raise MalformedBodyError(f"the body is not CSV: {error}") from None
        if not lines:
            raise MalformedBodyError("expected CSV with a header, got nothing")
        for index, line in enumerate(lines[1:]):
            if len(line) != len(lines[0]):
                raise MalformedBodyError(f"row {index} has {len(line)} cells, the header has {len(lines[0])}")
        return lines

    def _read_line(self, cells: list[str], index: int, faults: dict[str, str]) -> Row:
        row: list[Value] = []
        for feature, read, cell in zip(self._features, self._readers, cells, strict=True):
            try:
                row.append(feature.missing if feature.nullable and not cell else read(cell))
            except UNREADABLE:
                got = clip(repr(cell)) if cell else "an empty cell"
                faults[f"{index}.{feature.name}"] = f"expected {expected_value(feature, bounds=True)}, got {got}"
        return tuple(row)


def _cell_reader(feature: Feature) -> Callable[[str], Value]:
    """Gives what reads a cell that is not empty as JSON is read; but tables write TRUE as well as true."""
    kind = value_type(attrs.evolve(feature, nullable=False))
    if feature.type == "category":
        return lambda cell: msgspec.convert(cell, kind)
    decode = msgspec.json.Decoder(kind).decode
    return lambda cell: decode(cell.lower())
