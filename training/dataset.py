"""Datasets: a CSV file or SQLite table, read as typed features, a target and a task."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import attrs
import numpy as np
import pandas as pd

from server.contract.types import Type
from training.columns import Column, describe, read_feature, read_target, to_text
from training.errors import TrainingError
from training.tables import find_separator, read_cells

Task = Literal["classification", "regression"]

MAX_INTEGER_CLASSES = 20
"""An integer target with more distinct values than this is taken for a quantity, not for classes."""


@attrs.frozen(eq=False)
class Dataset:
    """A table to learn from.

    Attributes:
        name: The dataset's name in the run log.
        features: One column a feature: float64 with NaN for a missing value, or text with "" for one.
        target: Classes (text, int64 or bool) or numbers (float64), by the same index.
        columns: The facts of each column, the target's last.
        task: Whether classes or numbers are to be learned.
    """

    name: str
    features: pd.DataFrame
    target: pd.Series
    columns: tuple[Column, ...]
    task: Task

    def to_csv(self, rows: Sequence[int] | None = None) -> bytes:
        """Return the table, or the rows at these positions, as CSV that is read as the same values again."""
        frame = pd.concat([self.features, self.target], axis="columns")
        chosen = frame if rows is None else frame.iloc[list(rows)]
        text = pd.DataFrame({column.name: to_text(chosen[column.name], column.kind) for column in self.columns})
        # Both characters end a line, so cells that hold either of them are quoted.
        return str(text.to_csv(index=False, lineterminator="\r\n")).encode()

    def sha256(self) -> str:
        """Return the SHA-256 (hex) of the table as `to_csv` writes it, which does not depend on the source's format."""
        return hashlib.sha256(self.to_csv()).hexdigest()

    def kinds(self) -> dict[str, Type]:
        """Return the type of each column by name."""
        return {column.name: column.kind for column in self.columns}


def read_dataset(  # noqa: PLR0913  each says one thing of the table
    source: Path,
    target: str,
    *,
    name: str,
    drop: Sequence[str] = (),
    table: str | None = None,
    task: Task | None = None,
    kinds: Mapping[str, Type] | None = None,
) -> Dataset:
    """Read a table and infer the types of its columns.

    Args:
        source: A CSV file with a header, or an SQLite file where ``table`` is given.
        target: The column to learn.
        name: The dataset's name.
        drop: Columns to leave out, such as identifiers.
        table: The table of an SQLite file.
        task: Whether to learn classes or numbers; None to infer it from the target.
        kinds: Types of columns that are known already, by name.

    Raises:
        TrainingError: If the file cannot be read, a named column is missing, or a column's values are not supported.
    """
    cells = read_cells(source, table)
    for column in (target, *drop):
        if column not in cells.columns:
            hint = find_separator(list(cells.columns)) if table is None else ""
            raise TrainingError(f"{source}: no column {column!r}; it has {', '.join(map(repr, cells.columns))}{hint}")
    if target in drop:
        raise TrainingError(f"{target!r} is both the target and dropped")
    cells = cells.drop(columns=list(drop))
    if cells.empty:
        raise TrainingError(f"{source}: a header and no rows")
    known = kinds or {}
    columns = [describe(cells[name], known.get(name)) for name in cells.columns if name != target]
    if not columns:
        raise TrainingError(f"{source}: no column is left to learn {target!r} from")
    _check_values([column for column in columns if column.name not in known], len(cells))
    features = pd.DataFrame({column.name: read_feature(cells[column.name], column) for column in columns})
    labelled = describe(cells[target], known.get(target))
    if task != "regression":
        labelled = _as_codes(cells[target], labelled)
    values = read_target(cells[target], labelled)
    found = task or _find_task(values, labelled)
    return Dataset(name, features, _as_learned(values, labelled, found), (*columns, labelled), found)


def _check_values(columns: Sequence[Column], rows: int) -> None:
    """Refuse columns without any value. A column of known type, as in a part of a table, may be empty."""
    for column in columns:
        if column.missing == rows:
            raise TrainingError(f"column {column.name!r} has no value in any row; leave it out with --drop")


def _as_codes(cells: pd.Series, column: Column) -> Column:
    """Take a target of digits with leading zeros or signs for text: as integers, 007 and 7 would be one class."""
    if column.kind == "number" and not column.missing and cells.str.fullmatch(r"[+-]?[0-9]+").all():
        return attrs.evolve(column, kind="category")
    return column


def _find_task(target: pd.Series, column: Column) -> Task:
    if column.kind == "number" or (column.kind == "integer" and target.nunique() > MAX_INTEGER_CLASSES):
        return "regression"
    return "classification"


def _as_learned(target: pd.Series, column: Column, task: Task) -> pd.Series:
    if task == "regression":
        if column.kind not in {"number", "integer"}:
            raise TrainingError(f"the target {column.name!r} is of kind {column.kind}: regression needs numbers")
        return target.astype(np.float64)
    if column.kind == "number":
        raise TrainingError(f"the target {column.name!r} has numbers with a fraction: expected classes")
    return target
