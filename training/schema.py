"""The SQLite file of the run log: its tables, its migrations, and connections that read or write it.

A log that an earlier version of Corolla wrote is migrated in place, in one transaction, when it is first opened.
"""

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

BUSY_TIMEOUT_S = 30
_COLUMNS: Mapping[str, str] = {
    "id": "INTEGER PRIMARY KEY AUTOINCREMENT",
    "started_at": "TEXT NOT NULL",
    "status": "TEXT NOT NULL CHECK (status IN ('running', 'finished', 'failed'))",
    "reason": "TEXT CHECK ((reason IS NOT NULL) = (status = 'failed'))",
    "model": "TEXT NOT NULL UNIQUE",
    "dataset": "TEXT NOT NULL",
    "dataset_sha256": "TEXT NOT NULL",
    "target": "TEXT NOT NULL",
    "task": "TEXT NOT NULL CHECK (task IN ('classification', 'regression'))",
    "columns": "TEXT NOT NULL",
    "rows": "INTEGER NOT NULL",
    "estimator": "TEXT NOT NULL",
    "parameters": "TEXT NOT NULL",
    "seed": "INTEGER NOT NULL",
    "test_share": "REAL NOT NULL",
    "python": "TEXT NOT NULL",
    "scikit_learn": "TEXT NOT NULL",
    "estimator_sha256": "TEXT",
    "metrics": "TEXT",
    "duration_s": "REAL",
    "held_out_sha256": "TEXT",
}
_BEFORE: Mapping[str, str] = {"task": "'classification'", "columns": "'{}'"}
"""Values, in SQL, of columns that a log of the first schema has not: all its runs were of classifiers."""
_CREATE = f"""
CREATE TABLE {{}} (
    {", ".join(f"{name} {definition}" for name, definition in _COLUMNS.items())},
    CHECK (status != 'finished' OR duration_s + length(metrics) + length(estimator_sha256) IS NOT NULL)
)
"""
GATES = """
CREATE TABLE IF NOT EXISTS gates (
    run_id INTEGER NOT NULL REFERENCES runs (id),
    checked_at TEXT NOT NULL,
    name TEXT NOT NULL,
    passed INTEGER NOT NULL CHECK (passed IN (0, 1)),
    found REAL,
    "limit" REAL,
    text TEXT NOT NULL
)
"""
"""The table of what the gates before publication found. A log has it once a first run was to be published."""


@contextmanager
def transaction(path: Path) -> Iterator[sqlite3.Connection]:
    """Open one write transaction on a log of today's schema, and commit it.

    A block that fails is rolled back by closing the connection; a process that dies is by SQLite.
    """
    with closing(_connect(path)) as database:
        database.execute("PRAGMA journal_mode = DELETE")
        database.execute("PRAGMA synchronous = FULL")
        database.execute("BEGIN IMMEDIATE")
        # In every transaction: if the first one was cut off, the file has no table yet.
        _migrate(database)
        yield database
        database.execute("COMMIT")


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a log of today's schema for reading, without a write transaction.

    Only a log of an earlier schema is written to, once: it is migrated first.
    """
    with closing(_connect(path)) as database:
        if _list_columns(database) != list(_COLUMNS):
            with transaction(path):
                pass
        yield database


def _connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None)


def _list_columns(database: sqlite3.Connection) -> list[str]:
    return [name for _, name, *_ in database.execute("PRAGMA table_info(runs)")]


def _migrate(database: sqlite3.Connection) -> None:
    """Bring the table of runs to today's schema, in the caller's transaction."""
    found = _list_columns(database)
    if not found:
        database.execute(_CREATE.format("runs"))
    elif found != list(_COLUMNS):
        _rebuild(database, found)


def _rebuild(database: sqlite3.Connection, found: list[str]) -> None:
    """Copy all runs into a table of today's columns, as https://www.sqlite.org/lang_altertable.html, 7, says.

    Renaming the old table instead would make the gates refer to it.
    """
    values = {name: name for name in found if name in _COLUMNS}
    values |= {name: value for name, value in _BEFORE.items() if name not in found}
    database.execute(_CREATE.format("new_runs"))
    names, selected = ", ".join(values), ", ".join(values.values())
    database.execute(f"INSERT INTO new_runs ({names}) SELECT {selected} FROM runs")  # noqa: S608  the names are our own
    # The highest id ever given goes along, so that the id of a deleted run is not given again.
    database.execute("DELETE FROM sqlite_sequence WHERE name = 'new_runs'")
    database.execute("UPDATE sqlite_sequence SET name = 'new_runs' WHERE name = 'runs'")
    database.execute("DROP TABLE runs")
    database.execute("ALTER TABLE new_runs RENAME TO runs")
