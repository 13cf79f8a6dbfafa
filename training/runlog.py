"""The log of runs in SQLite: Run facts <-> rows of data/database.sqlite.

A run is begun, and later finished or failed, each in a transaction of its own. A trainer holds a lock on its run's
folder for as long as it lives; the kernel lets go of it however the trainer ends, so a run whose trainer was killed is
found out and marked as failed. It knows nothing of what a table holds, or of estimators.
"""

import fcntl
import json
import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import attrs

from training.columns import Kind
from training.dataset import Task
from training.errors import TrainingError

Status = Literal["running", "finished", "failed"]

BUSY_TIMEOUT_S = 30
SCORES: Mapping[Task, Literal["accuracy", "r2"]] = {"classification": "accuracy", "regression": "r2"}
"""The metric by which runs are compared."""
_ABANDONED = "the trainer ended before it had finished"
_SCHEMA = """
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
    CHECK (status != 'finished' OR (duration_s + length(metrics) + length(estimator_sha256) IS NOT NULL
        AND (task = 'regression' OR train_accuracy + test_accuracy IS NOT NULL)))
)
"""

_GATES_SCHEMA = """
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


@attrs.frozen
class Plan:
    """What a run sets out to do; all of it is known before it begins.

    Attributes:
        dataset: The dataset's name.
        dataset_sha256: SHA-256 (hex) of the rows used.
        target: The column to learn.
        task: What is to be learned of it.
        columns: The kind of each column, by name.
        rows: How many rows there are.
        estimator: What was asked for: a name, or ``module:function``.
        estimator_name: The first part of the model's name.
        parameters: The estimator's parameters.
        seed: Seed of the split.
        test_share: Share of the rows held out (0 to 1).
        python: Version of Python.
        scikit_learn: Version of scikit-learn.
    """

    dataset: str
    dataset_sha256: str
    target: str
    task: Task
    columns: dict[str, Kind]
    rows: int
    estimator: str
    estimator_name: str
    parameters: dict[str, Any]
    seed: int
    test_share: float
    python: str
    scikit_learn: str


@attrs.frozen
class Run:
    """One training as the log has it; what is not known yet is None.

    Attributes:
        id: Its number; never used twice.
        started_at: When it began, UTC, ISO 8601.
        status: Where it stands.
        reason: Why it failed.
        model: The model's name, ``<estimator>_<id>``.
        dataset: The dataset's name.
        dataset_sha256: SHA-256 (hex) of the rows used.
        target: The column that was learned.
        task: What was learned of it.
        columns: The kind of each column, by name.
        rows: How many rows there were.
        estimator: What was asked for: a name, or ``module:function``.
        parameters: The estimator's parameters.
        seed: Seed of the split.
        test_share: Share of the rows held out (0 to 1).
        python: Version of Python.
        scikit_learn: Version of scikit-learn.
        estimator_sha256: SHA-256 (hex) of the estimator's file.
        train_accuracy: Share of training rows answered right (0 to 1); none of a regressor.
        test_accuracy: Share of held-out rows answered right (0 to 1); none of a regressor.
        metrics: All metrics, by ``train`` and ``test``.
        duration_s: How long it took.
    """

    id: int
    started_at: str
    status: Status
    reason: str | None
    model: str
    dataset: str
    dataset_sha256: str
    target: str
    task: Task
    columns: dict[str, Kind]
    rows: int
    estimator: str
    parameters: dict[str, Any]
    seed: int
    test_share: float
    python: str
    scikit_learn: str
    estimator_sha256: str | None
    train_accuracy: float | None
    test_accuracy: float | None
    metrics: dict[str, Any] | None
    duration_s: float | None

    def score(self, side: str) -> float | None:
        """Gives how well it answers the rows of a side, ``train`` or ``test``: its accuracy, or a regressor's R²."""
        if self.metrics is None:
            return None
        score: float = self.metrics[side][SCORES[self.task]]
        return score


class RunLog:
    """The runs under one data directory."""

    def __init__(self, data_dir: Path) -> None:
        """Names the log; the first run makes it.

        Args:
            data_dir: Where ``database.sqlite`` and ``runs/`` are.
        """
        self._path = data_dir / "database.sqlite"
        self._folders = data_dir / "runs"

    def folder(self, run_id: int) -> Path:
        """Gives the folder of a run's files."""
        return self._folders / str(run_id)

    @contextmanager
    def begin(self, plan: Plan) -> Iterator[int]:
        """Logs a new run as running, and holds its lock for the length of a ``with`` block.

        Yields:
            The run's id, which is nobody else's.
        """
        lock = -1
        self._folders.mkdir(parents=True, exist_ok=True)
        try:
            with self._transaction() as database:
                run_id = _insert(database, plan)
                # Locked before the row can be seen: nobody ever finds a living run without its lock.
                # A trainer killed right here leaves an empty folder and no row; the next one takes both.
                self.folder(run_id).mkdir(exist_ok=True)
                lock = os.open(self.folder(run_id), os.O_RDONLY)
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield run_id
        finally:
            if lock >= 0:
                os.close(lock)

    def finish(self, run_id: int, metrics: dict[str, Any], estimator_sha256: str, duration_s: float) -> None:
        """Marks a running run as finished.

        Args:
            run_id: The run.
            metrics: Its metrics, by ``train`` and ``test``.
            estimator_sha256: SHA-256 (hex) of the estimator's file.
            duration_s: How long it took.

        Raises:
            TrainingError: If the run is not running.
        """
        accuracies = (metrics["train"].get("accuracy"), metrics["test"].get("accuracy"))
        with self._transaction() as database:
            changed = database.execute(
                "UPDATE runs SET status = 'finished', estimator_sha256 = ?, train_accuracy = ?, test_accuracy = ?,"
                " metrics = ?, duration_s = ? WHERE id = ? AND status = 'running'",
                (estimator_sha256, *accuracies, json.dumps(metrics), duration_s, run_id),
            )
            if changed.rowcount != 1:
                raise TrainingError(f"run {run_id} is not running any more, and cannot be finished")

    def fail(self, run_id: int, reason: str, duration_s: float | None = None) -> None:
        """Marks a running run as failed."""
        with self._transaction() as database:
            _fail(database, run_id, reason, duration_s)

    def note_gates(self, run_id: int, gates: Sequence[Mapping[str, Any]]) -> None:
        """Notes what the gates before publication found.

        Args:
            run_id: The run that was to be published.
            gates: The columns of the table ``gates`` by name, for each of them.
        """
        facts = {"run_id": run_id, "checked_at": datetime.now(UTC).isoformat(timespec="seconds")}
        with self._transaction() as database:
            database.execute(_GATES_SCHEMA)
            database.executemany(
                "INSERT INTO gates VALUES (:run_id, :checked_at, :name, :passed, :found, :limit, :text)",
                [{**facts, **gate} for gate in gates],
            )

    def list_gates(self, run_id: int) -> "list[dict[str, Any]]":
        """Gives what the gates before publication found for a run, the oldest first, by column."""
        with self._transaction() as database:
            database.execute(_GATES_SCHEMA)
            database.row_factory = sqlite3.Row
            found = database.execute("SELECT * FROM gates WHERE run_id = ? ORDER BY rowid", (run_id,))
            return [dict(row) for row in found]

    def find(self, run_id: int) -> Run:
        """Gives one run.

        Raises:
            TrainingError: If there is none of this id.
        """
        for run in self.list():
            if run.id == run_id:
                return run
        raise TrainingError(f"no run {run_id} in {self._path}; `python -m training runs` lists them")

    def list(self) -> list[Run]:
        """Gives all runs by id, after marking those as failed whose trainer is gone."""
        if not self._path.exists():
            return []
        with self._transaction() as database:
            for (run_id,) in database.execute("SELECT id FROM runs WHERE status = 'running'").fetchall():
                if not _is_locked(self.folder(run_id)):
                    _fail(database, run_id, _ABANDONED, None)
            database.row_factory = sqlite3.Row
            return [_to_run(row) for row in database.execute("SELECT * FROM runs ORDER BY id")]

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """Opens one write transaction; closing rolls it back where the block fails, SQLite where the process dies."""
        with closing(sqlite3.connect(self._path, timeout=BUSY_TIMEOUT_S, isolation_level=None)) as database:
            database.execute("PRAGMA journal_mode = DELETE")
            database.execute("PRAGMA synchronous = FULL")
            database.execute("BEGIN IMMEDIATE")
            # In every transaction: a first one that was cut off has left a database without the table.
            database.execute(_SCHEMA)
            _migrate(database)
            yield database
            database.execute("COMMIT")


def _migrate(database: sqlite3.Connection) -> None:
    """Brings a log from before there were tasks to the schema of today, in the transaction that found it."""
    found = [name for _, name, *_ in database.execute("PRAGMA table_info(runs)")]
    if "task" in found:
        return
    database.execute("ALTER TABLE runs RENAME TO old_runs")
    database.execute(_SCHEMA)
    names = ", ".join(found)
    copied = f"INSERT INTO runs ({names}, task, columns) SELECT {names}, 'classification', '{{}}' FROM old_runs"  # noqa: S608  the names are the table's own
    database.execute(copied)
    database.execute(
        "UPDATE sqlite_sequence SET seq = (SELECT seq FROM sqlite_sequence WHERE name = 'old_runs') WHERE name = 'runs'"
    )
    database.execute("DROP TABLE old_runs")


def _insert(database: sqlite3.Connection, plan: Plan) -> int:
    facts = attrs.asdict(plan)
    name = facts.pop("estimator_name")
    facts |= {
        "parameters": json.dumps(plan.parameters),
        "columns": json.dumps(plan.columns),
        "started_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "status": "running",
        "model": "",
    }
    columns = ", ".join(facts)
    marks = ", ".join("?" * len(facts))
    cursor = database.execute(f"INSERT INTO runs ({columns}) VALUES ({marks})", tuple(facts.values()))  # noqa: S608  the names are Plan's own
    run_id = cursor.lastrowid
    assert run_id is not None  # noqa: S101  sqlite3 gives one after every INSERT
    database.execute("UPDATE runs SET model = ? WHERE id = ?", (f"{name}_{run_id}", run_id))
    return run_id


def _fail(database: sqlite3.Connection, run_id: int, reason: str, duration_s: float | None) -> None:
    database.execute(
        "UPDATE runs SET status = 'failed', reason = ?, duration_s = ? WHERE id = ? AND status = 'running'",
        (reason, duration_s, run_id),
    )


def _is_locked(folder: Path) -> bool:
    """Says whether a living trainer holds the run's folder; a folder that is gone is held by nobody."""
    try:
        lock = os.open(folder, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


def _to_run(row: sqlite3.Row) -> Run:
    facts = dict(row)
    for name in ("parameters", "columns", "metrics"):
        facts[name] = json.loads(facts[name]) if facts[name] is not None else None
    return Run(**facts)
