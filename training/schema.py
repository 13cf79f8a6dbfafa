"""The log's SQLite file -> a transaction on tables of today, whichever version of Corolla has made them.

It knows nothing of what a run is.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

BUSY_TIMEOUT_S = 30
_RUNS = """
CREATE TABLE IF NOT EXISTS runs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    started_at TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('running', 'finished', 'failed')),
    reason TEXT CHECK ((reason IS NOT NULL) = (status = 'failed')),
    model TEXT NOT NULL UNIQUE,
    dataset TEXT NOT NULL,
    dataset_sha256 TEXT NOT NULL,
    target TEXT NOT NULL,
    task TEXT NOT NULL CHECK (task IN ('classification', 'regression')),
    columns TEXT NOT NULL,
    rows INTEGER NOT NULL,
    estimator TEXT NOT NULL,
    parameters TEXT NOT NULL,
    seed INTEGER NOT NULL,
    test_share REAL NOT NULL,
    python TEXT NOT NULL,
    scikit_learn TEXT NOT NULL,
    estimator_sha256 TEXT,
    train_accuracy REAL,
    test_accuracy REAL,
    metrics TEXT,
    duration_s REAL,
    held_out_sha256 TEXT,
    CHECK (status != 'finished' OR (duration_s + length(metrics) + length(estimator_sha256) IS NOT NULL
        AND (task = 'regression' OR train_accuracy + test_accuracy IS NOT NULL)))
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
"""The table of what the gates before publication found; a log has it from the first time on that one is asked about."""


@contextmanager
def transaction(path: Path) -> Iterator[sqlite3.Connection]:
    """Opens one write transaction; closing rolls it back where the block fails, SQLite where the process dies."""
    with closing(sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None)) as database:
        database.execute("PRAGMA journal_mode = DELETE")
        database.execute("PRAGMA synchronous = FULL")
        database.execute("BEGIN IMMEDIATE")
        # In every transaction: a first one that was cut off has left a database without the table.
        database.execute(_RUNS)
        _migrate(database)
        yield database
        database.execute("COMMIT")


def _migrate(database: sqlite3.Connection) -> None:
    """Brings a log to the schema of today, in the transaction that found it otherwise."""
    found = [name for _, name, *_ in database.execute("PRAGMA table_info(runs)")]
    if "task" not in found:
        _add_tasks(database, found)
    elif "held_out_sha256" not in found:
        # Among the columns, before the table's own check: as if it had been declared so.
        database.execute("ALTER TABLE runs ADD COLUMN held_out_sha256 TEXT")


def _add_tasks(database: sqlite3.Connection, found: list[str]) -> None:
    database.execute("ALTER TABLE runs RENAME TO old_runs")
    database.execute(_RUNS)
    names = ", ".join(found)
    copied = f"INSERT INTO runs ({names}, task, columns) SELECT {names}, 'classification', '{{}}' FROM old_runs"  # noqa: S608  the names are the table's own
    database.execute(copied)
    database.execute(
        "UPDATE sqlite_sequence SET seq = (SELECT seq FROM sqlite_sequence WHERE name = 'old_runs') WHERE name = 'runs'"
    )
    database.execute("DROP TABLE old_runs")
