"""Readers of CSV files and SQLite tables. Every cell is read as text.

Lines and cells have a maximum length, so that memory is bounded for a file that is no table. Types are inferred
elsewhere, but for columns that SQLite declares booleans.
"""

import csv
import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import TextIO

import pandas as pd

from training.errors import TrainingError

MAX_LINE_CHARS = 1_000_000
"""Maximum length of a line. A file without line ends would fill the memory."""
_SQLITE_MAGIC = b"SQLite format 3\0"
"""The first bytes of an SQLite file (https://www.sqlite.org/fileformat.html, 1.3)."""
_TRUTHS = {"": "", "0": "false", "1": "true"}
"""Booleans, as SQLite stores them: it has no type of its own for them (https://www.sqlite.org/datatype3.html, 2.1)."""
_SEPARATORS = {";": "';'", "\t": "a tab"}


def read_cells(source: Path, table: str | None) -> pd.DataFrame:
    """Read a table with every cell as text, a cell without content as an empty one.

    Args:
        source: A CSV file with a header, or an SQLite file where ``table`` is given.
        table: The table of an SQLite file.

    Raises:
        TrainingError: If the file cannot be read as a table.
    """
    if not source.is_file():
        raise TrainingError(f"expected a file, found none at {source}")
    cells = _read_csv(source) if table is None else _read_table(source, table)
    for name, column in cells.items():
        _check_text(source, str(name), column)
    return cells


def _read_csv(path: Path) -> pd.DataFrame:
    """Read a CSV file. Rows longer or shorter than the header are refused, empty lines skipped."""
    with path.open("rb") as file:
        if file.read(len(_SQLITE_MAGIC)) == _SQLITE_MAGIC:
            raise TrainingError(f"{path}: an SQLite file; name one of its tables with --table")
    # A byte that is no UTF-8 is kept for a moment, so that its row and column can be named.
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        lines = csv.reader(_bounded_lines(path, file), strict=True)
        try:
            rows = (line for line in lines if line)
            header = next(rows, [])
            _check_header(path, header)
            if len(header) == 1 and (fault := find_separator(header)):
                raise TrainingError(f"{path}: the header has one column{fault}")
            whole = [_check_length(path, header, row, number) for number, row in enumerate(rows, start=1)]
        except csv.Error as error:
            raise TrainingError(f"{path}: not a CSV table: line {lines.line_num}: {error}") from error
    return pd.DataFrame(whole, columns=header, dtype=str)


def _bounded_lines(path: Path, file: TextIO) -> Iterator[str]:
    number = 0
    while line := file.readline(MAX_LINE_CHARS + 1):
        number += 1
        if len(line) > MAX_LINE_CHARS:
            raise TrainingError(f"{path}: not a CSV table: line {number} has more than {MAX_LINE_CHARS} characters")
        yield line


def _check_length(path: Path, header: Sequence[str], row: list[str], number: int) -> list[str]:
    if len(row) != len(header):
        raise TrainingError(
            f"{path}: row {number} has {len(row)} cells, the header has {len(header)}{find_separator(header)}"
        )
    return row


def find_separator(header: Sequence[str]) -> str:
    """Return a hint, to end an error's text, at a separator that is not a comma; "" if there is none."""
    for character, name in _SEPARATORS.items():
        if any(character in column for column in header):
            return f"; the file seems to be separated by {name}, expected commas"
    return ""


def _check_header(path: Path, header: Sequence[str]) -> None:
    if not header:
        raise TrainingError(f"{path}: expected a header, found nothing")
    repeated = [name for name, count in Counter(header).items() if count > 1]
    if repeated or "" in header:
        fault = f"{repeated[0]!r} twice" if repeated else "a column without a name"
        raise TrainingError(f"{path}: the header has {fault}")
    for name in header:
        if wrong := _text_fault(name):
            raise TrainingError(f"{path}: the header's {name!r} has {wrong}")


def _check_text(path: Path, name: str, column: pd.Series) -> None:
    for row, cell in enumerate(column, start=1):
        if fault := _text_fault(cell):
            raise TrainingError(f"{path}: row {row}, column {name!r}: {cell[:64]!r} has {fault}")


def _text_fault(cell: str) -> str | None:
    # An SQLite table may have one that no CSV file has, and could not be written to a run's folder to be read again.
    if len(cell) > csv.field_size_limit():
        return f"more than {csv.field_size_limit()} characters"
    if "\0" in cell:
        return "a NUL character"
    if not cell.isascii() and any("\ud800" <= character <= "\udfff" for character in cell):
        return "bytes that are not UTF-8; if the file is Latin-1, `iconv -f latin1 -t utf-8` converts it"
    return None


def _read_table(path: Path, table: str) -> pd.DataFrame:
    """Read an SQLite table or view: NULL as an empty cell, 0 and 1 as booleans if all of a declared column are."""
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as database:
            found = [
                name for (name,) in database.execute("SELECT name FROM sqlite_schema WHERE type IN ('table','view')")
            ]
            if table not in found:
                raise TrainingError(f"{path}: no table {table!r}; it has {', '.join(map(repr, found)) or 'none'}")
            quoted = table.replace('"', '""')
            rows = database.execute(f'SELECT * FROM "{quoted}"')  # noqa: S608  quoted, and found in the schema
            header = [name for name, *_ in rows.description]
            # Not by pandas, which makes floats of integers where one is missing.
            whole = [["" if cell is None else str(cell) for cell in row] for row in rows]
            booleans = _find_booleans(database, quoted)
    except sqlite3.DatabaseError as error:
        raise TrainingError(f"{path}: not an SQLite database that can be read: {error}") from error
    _check_header(path, header)
    cells = pd.DataFrame(whole, columns=header, dtype=str)
    # SQLite holds no column to its type: one that has other values is read as any other is.
    for name in booleans & set(header):
        if cells[name].isin(_TRUTHS).all():
            cells[name] = cells[name].map(_TRUTHS)
    return cells


def _find_booleans(database: sqlite3.Connection, quoted: str) -> set[str]:
    """Return the columns that are declared booleans; in a view, those that are a table's."""
    columns = database.execute(f'PRAGMA table_xinfo("{quoted}")')
    return {name for _, name, kind, *_ in columns if kind.upper() in {"BOOLEAN", "BOOL"}}
