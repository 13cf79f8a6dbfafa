"""CSV or SQLite table -> Dataset: the only reader of tables.

Every cell is read as text first and typed by whole columns afterwards, so that nothing is guessed in silence: numbers
keep every digit, and a cell that spoils a column can be named. It knows nothing of estimators.
"""

import csv
import hashlib
import io
import sqlite3
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Literal

import attrs
import numpy as np
import pandas as pd

from training.errors import TrainingError

Kind = Literal["numeric", "boolean", "categorical"]

MISSING = frozenset({"", "NA", "N/A", "NaN", "nan", "NULL", "null", "None"})
"""Cells that stand for no value."""
_NUMBER = r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?"
_WHOLE_NUMBER = r"0|-?[1-9][0-9]*"
_DIGITS = r"[+-]?[0-9]+"
_SQLITE_MAGIC = b"SQLite format 3\0"
"""What an SQLite file begins with (https://www.sqlite.org/fileformat.html, 1.3)."""
_BYTE_ORDER_MARK = "\ufeff"


@attrs.frozen
class Column:
    """One column of a table, as it was found.

    Attributes:
        name: Its header.
        kind: What its values are.
        missing: How many rows have no value.
    """

    name: str
    kind: Kind
    missing: int


@attrs.frozen(eq=False)
class Dataset:
    """A table to learn from: numeric features and a target.

    Attributes:
        name: What it is called in the run log.
        features: One float64 column a feature.
        target: The labels, text or int64, by the same index.
        columns: The facts of each column, the target's last.
    """

    name: str
    features: pd.DataFrame
    target: pd.Series
    columns: tuple[Column, ...]

    def row_counters(self) -> list[str]:
        """Names the features that only count the rows, from any start: identifiers, most likely."""
        steps = {str(name): np.diff(values) for name, values in self.features.items()}
        return [name for name, step in steps.items() if step.size and (step == 1).all()]

    def to_csv(self, rows: Sequence[int] | None = None) -> bytes:
        """Writes the table, or the rows at these positions, such that reading it again gives the same values."""
        frame = pd.concat([self.features, self.target], axis="columns")
        chosen = frame if rows is None else frame.iloc[list(rows)]
        # Both characters end a line, so cells that hold either of them are quoted.
        return str(chosen.to_csv(index=False, lineterminator="\r\n")).encode()

    def sha256(self) -> str:
        """Gives the SHA-256 (hex) of the table as `to_csv` writes it: of what was learned from, whatever its source."""
        return hashlib.sha256(self.to_csv()).hexdigest()


def read_dataset(
    source: Path, target: str, *, name: str, drop: Sequence[str] = (), table: str | None = None
) -> Dataset:
    """Reads a table and types its columns.

    Args:
        source: A CSV file with a header, or an SQLite file where ``table`` is given.
        target: The column to learn.
        name: What to call the dataset.
        drop: Columns to leave out, such as identifiers.
        table: The table of an SQLite file.

    Raises:
        TrainingError: If the file cannot be read, a named column is not there, or a column cannot be handled.
    """
    if not source.is_file():
        raise TrainingError(f"expected a file, found none at {source}")
    cells = _read_csv(source) if table is None else _read_table(source, table)
    for column in (target, *drop):
        if column not in cells.columns:
            raise TrainingError(f"{source}: no column {column!r}; it has {', '.join(map(repr, cells.columns))}")
    if target in drop:
        raise TrainingError(f"{target!r} is both the target and dropped")
    cells = cells.drop(columns=list(drop))
    if cells.empty:
        raise TrainingError(f"{source}: a header and no rows")
    columns = [_describe(cells[column]) for column in cells.columns if column != target]
    if not columns:
        raise TrainingError(f"{source}: no column is left to learn {target!r} from")
    features = pd.DataFrame({column.name: _numbers(cells[column.name], column) for column in columns})
    labelled = _describe(cells[target])
    return Dataset(name, features, _labels(cells[target], labelled), (*columns, labelled))


def _read_csv(path: Path) -> pd.DataFrame:
    """Reads every cell as text; rows longer or shorter than the header are refused, empty lines passed over."""
    content = path.read_bytes()
    if content.startswith(_SQLITE_MAGIC):
        raise TrainingError(f"{path}: an SQLite file; name one of its tables with --table")
    try:
        text = content.decode().removeprefix(_BYTE_ORDER_MARK)
    except UnicodeDecodeError as error:
        raise TrainingError(f"{path}: not UTF-8: {error.reason} at byte {error.start}") from error
    lines = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header, *rows = [line for line in lines if line] or [[]]
    except csv.Error as error:
        raise TrainingError(f"{path}: not a CSV table: line {lines.line_num}: {error}") from error
    _check_header(path, header)
    for number, row in enumerate(rows, start=1):
        if len(row) != len(header):
            raise TrainingError(f"{path}: row {number} has {len(row)} cells, the header has {len(header)}")
    return pd.DataFrame(rows, columns=header, dtype=str)


def _check_header(path: Path, header: Sequence[str]) -> None:
    if not header:
        raise TrainingError(f"{path}: expected a header, found nothing")
    repeated = [name for name, count in Counter(header).items() if count > 1]
    if repeated or "" in header:
        fault = f"{repeated[0]!r} twice" if repeated else "a column without a name"
        raise TrainingError(f"{path}: the header has {fault}")


def _read_table(path: Path, table: str) -> pd.DataFrame:
    """Reads every cell of an SQLite table as text, NULL as an empty one."""
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as database:
            found = [
                name for (name,) in database.execute("SELECT name FROM sqlite_schema WHERE type IN ('table','view')")
            ]
            if table not in found:
                raise TrainingError(f"{path}: no table {table!r}; it has {', '.join(map(repr, found)) or 'none'}")
            quoted = table.replace('"', '""')
            cells = pd.read_sql_query(f'SELECT * FROM "{quoted}"', database, dtype=object)  # noqa: S608  quoted, and found in the schema
    except (sqlite3.DatabaseError, pd.errors.DatabaseError) as error:
        raise TrainingError(f"{path}: not an SQLite database that can be read: {error}") from error
    _check_header(path, list(cells.columns))
    return cells.map(lambda cell: "" if pd.isna(cell) else str(cell))


def _describe(cells: pd.Series) -> Column:
    missing = cells.isin(MISSING)
    values = cells[~missing]
    kind: Kind = "categorical"
    if not values.empty and values.str.fullmatch(_NUMBER).all():
        kind = "numeric"
    elif not values.empty and values.str.lower().isin({"true", "false"}).all():
        kind = "boolean"
    return Column(str(cells.name), kind, int(missing.sum()))


def _numbers(cells: pd.Series, column: Column) -> pd.Series:
    spoiling = ~cells.isin(MISSING) & ~cells.str.fullmatch(_NUMBER)
    if spoiling.any():
        row = _first_row(spoiling)
        raise TrainingError(
            f"column {column.name!r} is {column.kind} (row {row}: {cells.iloc[row - 1]!r}): only numeric features can "
            f"be handled yet; leave it out with --drop"
        )
    if column.missing:
        row = _first_row(cells.isin(MISSING))
        raise TrainingError(
            f"column {column.name!r} has {column.missing} missing values, the first in row {row}: missing values "
            f"cannot be handled yet; leave it out with --drop"
        )
    values = cells.astype(object).astype(np.float64)
    infinite = values.abs() == np.inf
    if infinite.any():
        row = _first_row(infinite)
        raise TrainingError(f"column {column.name!r}, row {row}: {cells.iloc[row - 1]!r} is beyond a float64")
    return values


def _first_row(fault: pd.Series) -> int:
    """Gives the number of the first row at fault, counted from 1."""
    return int(np.flatnonzero(fault)[0]) + 1


def _labels(cells: pd.Series, column: Column) -> pd.Series:
    if column.missing:
        row = _first_row(cells.isin(MISSING))
        raise TrainingError(f"the target {column.name!r} has {column.missing} missing values, the first in row {row}")
    if column.kind == "numeric" and cells.str.fullmatch(_WHOLE_NUMBER).all():
        return _whole_numbers(cells, column)
    # Digits written in another way are codes: as numbers, 007 and 7 would be one class.
    if column.kind == "categorical" or cells.str.fullmatch(_DIGITS).all():
        return cells
    raise TrainingError(f"the target {column.name!r} is {column.kind}: expected classes as text or whole numbers")


def _whole_numbers(cells: pd.Series, column: Column) -> pd.Series:
    try:
        return cells.astype(object).astype(np.int64)
    except (OverflowError, ValueError) as error:
        raise TrainingError(f"the target {column.name!r} has whole numbers beyond an int64") from error
