"""A log of an earlier schema becomes one of today, whole and once, or stays as it was."""

import functools
import os
import signal
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import attrs
import pytest

from tests.support.forked import end, fork
from tests.support.server_process import wait_for
from tests.training.conftest import CONFIG
from training.artifacts import load_artifacts
from training.dataset import Dataset
from training.estimators import choose_estimator
from training.runlog import SCORES, ArtifactChecksums, RunLog
from training.train import train

OLD_SCHEMA = """
CREATE TABLE runs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    started_at TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('running', 'finished', 'failed')),
    reason TEXT CHECK ((reason IS NOT NULL) = (status = 'failed')),
    model TEXT NOT NULL UNIQUE,
    dataset TEXT NOT NULL,
    dataset_sha256 TEXT NOT NULL,
    target TEXT NOT NULL,
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
    CHECK (status != 'finished' OR (train_accuracy + test_accuracy + duration_s IS NOT NULL
        AND metrics IS NOT NULL AND estimator_sha256 IS NOT NULL))
)
"""
PREVIOUS_SCHEMA = """
CREATE TABLE previous_runs (
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
"""The schema that had a classifier's accuracies twice: in columns, and among the metrics."""
ACCURACIES = "json_extract(metrics, '$.train.accuracy'), json_extract(metrics, '$.test.accuracy')"
FINISHED, FAILED, RUNNING = (
    ("finished", None, "ab" * 32, 0.75, 0.5, '{"train": {"accuracy": 0.75}, "test": {"accuracy": 0.5}}', 2.5),
    ("failed", "ValueError: no", None, None, None, None, 0.5),
    ("running", None, None, None, None, None, None),
)
NEW = ("task", "columns", "held_out_sha256")
"""What a log had no column for at first."""
LONG = "x" * 1000
"""A parameter that makes a log larger than the memory which SQLite is left with."""


def write_old_log(data_dir: Path, rows: int, *, deleted: Sequence[int] = ()) -> Path:
    """Write a log by hand as it was once written, and gives its path."""
    data_dir.mkdir()
    path = data_dir / "database.sqlite"
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(OLD_SCHEMA)
        for run_id in range(1, rows + 1):
            status, reason, *left = (FINISHED, FAILED)[run_id % 2] if run_id < rows else RUNNING
            database.execute(
                "INSERT INTO runs VALUES (NULL, '2020-01-01T00:00:00+00:00', ?, ?, ?, 'iris', '00', 'Species', 150,"
                " 'log_reg', ?, 42, 0.25, '3.11', '1.9', ?, ?, ?, ?, ?)",
                (status, reason, f"log_reg_{run_id}", f'{{"C": 0.5, "note": "{LONG}"}}', *left),
            )
        for run_id in deleted:
            database.execute("DELETE FROM runs WHERE id = ?", (run_id,))
    return path


def dump(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return [*database.iterdump()]


def assert_migrated(data_dir: Path, rows: int) -> None:
    log = RunLog(data_dir)
    runs = log.list()
    assert [run.id for run in runs] == list(range(1, rows + 1))
    finished, failed, last = runs[1], runs[0], runs[-1]
    assert {run.status for run in runs[1:-1:2]} == {"finished"}
    assert {run.status for run in runs[:-1:2]} == {"failed"}
    assert {(run.task, run.model == f"log_reg_{run.id}", str(run.columns)) for run in runs} == {
        ("classification", True, "{}")
    }
    assert (finished.score("train"), finished.score("test")) == (0.75, 0.5)
    assert (finished.estimator_sha256, finished.duration_s, finished.reason) == ("ab" * 32, 2.5, None)
    assert (failed.reason, failed.metrics, failed.score("test")) == ("ValueError: no", None, None)
    assert (finished.rows, finished.seed, finished.test_share, finished.python) == (150, 42, 0.25, "3.11")
    assert finished.parameters == {"C": 0.5, "note": LONG}
    assert (last.status, last.reason) == ("failed", "the trainer ended before it had finished")
    with closing(sqlite3.connect(data_dir / "database.sqlite")) as database:
        assert [name for (name,) in database.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")] == [
            "sqlite_sequence",
            "runs",
        ]


def test_an_old_log_is_taken_over_with_every_fact_of_its_runs(data_dir: Path) -> None:
    write_old_log(data_dir, rows=5)
    assert_migrated(data_dir, rows=5)
    with RunLog(data_dir).begin(CONFIG) as run_id:
        assert run_id == 6
    assert RunLog(data_dir).find(6).columns == CONFIG.columns


def test_a_log_that_was_taken_over_is_the_same_as_a_new_one(data_dir: Path, tmp_path: Path) -> None:
    path = write_old_log(data_dir, rows=1)
    RunLog(data_dir).list()
    with RunLog(tmp_path / "new").begin(CONFIG):
        pass
    found = []
    for one in (path, tmp_path / "new" / "database.sqlite"):
        with closing(sqlite3.connect(one)) as database:
            found.append(database.execute("PRAGMA table_info(runs)").fetchall())
            (schema,) = database.execute("SELECT sql FROM sqlite_schema WHERE name = 'runs'").fetchone()
            found.append(schema.replace('"runs"', "runs"))
    assert found[:2] == found[2:]


@pytest.mark.parametrize(("rows", "deleted", "following"), [(3, (3,), 4), (3, (1, 2, 3), 4), (0, (), 1)])
def test_an_id_is_not_used_again_where_the_newest_runs_had_been_deleted(
    data_dir: Path, rows: int, deleted: Sequence[int], following: int
) -> None:
    write_old_log(data_dir, rows, deleted=deleted)
    assert len(RunLog(data_dir).list()) == rows - len(deleted)
    for expected in (following, following + 1):
        with RunLog(data_dir).begin(CONFIG) as run_id:
            assert run_id == expected


def test_a_run_of_an_old_log_is_read_with_its_rows_and_its_estimator(iris: Dataset, data_dir: Path) -> None:
    choice = choose_estimator("log_reg", iris.task, iris.columns[:-1])
    run = train(iris, choice, seed=42, test_share=0.25, data_dir=data_dir)
    path = data_dir / "database.sqlite"
    with closing(sqlite3.connect(path)) as database, database:
        names = [name for _, name, *_ in database.execute("PRAGMA table_info(runs)") if name not in NEW]
        database.execute("ALTER TABLE runs RENAME TO new_runs")
        database.execute(OLD_SCHEMA)
        listed = ", ".join(names)
        database.execute(
            f"INSERT INTO runs ({listed}, train_accuracy, test_accuracy) SELECT {listed}, {ACCURACIES} FROM new_runs"  # noqa: S608  the table's own
        )
        database.execute("DROP TABLE new_runs")
    (old,) = RunLog(data_dir).list()
    assert old == attrs.evolve(run, columns={}, held_out_sha256=None)
    left = load_artifacts(data_dir / "runs" / "1", old)
    assert left.dataset.sha256() == run.dataset_sha256
    assert left.held_out.kinds() == run.columns


def make_previous(data_dir: Path, *, held_out: bool = True) -> Path:
    """Turn a log of today into one with columns of accuracies, and without checksums of held-out rows if asked to."""
    path = data_dir / "database.sqlite"
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(PREVIOUS_SCHEMA)
        names = ", ".join(name for _, name, *_ in database.execute("PRAGMA table_info(runs)"))
        database.execute(
            f"INSERT INTO previous_runs ({names}, train_accuracy, test_accuracy) SELECT {names}, {ACCURACIES} FROM runs"  # noqa: S608  the table's own
        )
        database.execute("DROP TABLE runs")
        database.execute("ALTER TABLE previous_runs RENAME TO runs")
        if not held_out:
            database.execute("ALTER TABLE runs DROP COLUMN held_out_sha256")
    return path


def test_a_log_from_before_held_out_rows_had_a_sum_is_taken_over_with_its_runs(iris: Dataset, data_dir: Path) -> None:
    choice = choose_estimator("log_reg", iris.task, iris.columns[:-1])
    run = train(iris, choice, seed=42, test_share=0.25, data_dir=data_dir)
    path = data_dir / "database.sqlite"
    with closing(sqlite3.connect(path)) as database:
        new = database.execute("PRAGMA table_info(runs)").fetchall()
    make_previous(data_dir, held_out=False)
    for _ in range(2):
        assert RunLog(data_dir).list() == [attrs.evolve(run, held_out_sha256=None)]
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA table_info(runs)").fetchall() == new
    again = train(iris, choice, seed=42, test_share=0.25, data_dir=data_dir)
    assert (again.id, again.held_out_sha256) == (2, run.held_out_sha256)
    assert load_artifacts(data_dir / "runs" / "1", RunLog(data_dir).find(1)).held_out.kinds() == run.columns


@pytest.mark.parametrize("read_first", ["list", "find"])
def test_a_log_with_columns_of_accuracies_is_taken_over_with_its_runs_and_gates(
    data_dir: Path, read_first: str
) -> None:
    log = RunLog(data_dir)
    for task, score in SCORES.items():
        with log.begin(attrs.evolve(CONFIG, task=task)) as run_id:
            metrics = {"train": {score: 0.75}, "test": {score: 0.5}}
            log.finish(run_id, metrics, ArtifactChecksums("ab" * 32, "cd" * 32), duration_s=1)
    log.note_gates(1, [{"name": "parity", "passed": True, "found": 0, "limit": 0, "text": "0 of 150 rows differ"}])
    runs, gates = log.list(), log.list_gates(1)
    path = make_previous(data_dir)
    assert runs == (log.list() if read_first == "list" else [log.find(run_id) for run_id in (1, 2)])
    assert log.list_gates(1) == gates
    with closing(sqlite3.connect(path)) as database:
        assert "accuracy" not in " ".join(name for _, name, *_ in database.execute("PRAGMA table_info(runs)"))
        assert [table for _, _, table, *_ in database.execute("PRAGMA foreign_key_list(gates)")] == ["runs"]
        assert database.execute("PRAGMA foreign_key_check").fetchall() == []
    with log.begin(CONFIG) as run_id:
        assert run_id == 3


def list_runs(arguments: Sequence[str]) -> int:
    return len(RunLog(Path(arguments[0])).list())


def has_open(process: ForkServerProcess, path: Path) -> bool:
    return path.resolve() in {link.resolve() for link in Path(f"/proc/{process.pid}/fd").iterdir()}


def test_processes_that_find_an_old_log_at_once_take_it_over_once(data_dir: Path) -> None:
    path = write_old_log(data_dir, rows=7)
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        readers = [fork(list_runs, str(data_dir)) for _ in range(3)]
        for reader in readers:
            wait_for("reader at the log", functools.partial(has_open, reader, path))
        writer.execute("ROLLBACK")
    assert [end(reader) for reader in readers] == [7, 7, 7]
    assert_migrated(data_dir, rows=7)


class Doomed(sqlite3.Connection):
    """A real connection with hardly a cache, whose process is killed when it comes to a statement."""

    last_words = ""

    def execute(self, statement: str, parameters: Any = ()) -> sqlite3.Cursor:
        if statement.startswith(self.last_words):
            os.kill(os.getpid(), signal.SIGKILL)
        if statement == "BEGIN IMMEDIATE":
            super().execute("PRAGMA cache_size = 1")
        return super().execute(statement, parameters)


def list_runs_until(arguments: Sequence[str]) -> int:
    data_dir, Doomed.last_words = arguments
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sqlite3, "connect", functools.partial(sqlite3.connect, factory=Doomed))
        return list_runs([data_dir])


@pytest.mark.parametrize(
    "last_words", ["INSERT INTO new_runs", "UPDATE sqlite_sequence", "DROP TABLE", "ALTER TABLE", "COMMIT"]
)
def test_a_log_whose_migration_is_killed_is_as_it_was_and_is_taken_over_the_next_time(
    data_dir: Path, last_words: str
) -> None:
    path = write_old_log(data_dir, rows=200)
    before, content = dump(path), path.read_bytes()
    assert end(fork(list_runs_until, str(data_dir), last_words)) == -signal.SIGKILL
    if last_words != "INSERT INTO new_runs":
        assert path.read_bytes() != content, "it was killed before anything was on the disk"
    assert dump(path) == before
    assert_migrated(data_dir, rows=200)


def test_a_log_whose_later_migration_is_killed_is_as_it_was(data_dir: Path) -> None:
    write_old_log(data_dir, rows=3)
    RunLog(data_dir).list()
    path = make_previous(data_dir, held_out=False)
    before = dump(path)
    assert end(fork(list_runs_until, str(data_dir), "COMMIT")) == -signal.SIGKILL
    assert dump(path) == before
    assert_migrated(data_dir, rows=3)
