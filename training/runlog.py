"""The log of runs in SQLite: data/database.sqlite.

A run is begun, and later finished or failed, each in a transaction of its own. A trainer locks its run's folder for as
long as it lives, and the kernel frees the lock however the trainer ends. A running run whose folder is not locked was
abandoned, and is marked as failed by whoever reads it.
"""

import json
import math
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import attrs

from server.contract.types import Type
from server.disk import is_locked, locked
from training.dataset import Task
from training.errors import TrainingError
from training.schema import GATES, reading, transaction

Status = Literal["running", "finished", "failed"]

SCORES: Mapping[Task, Literal["accuracy", "r2"]] = {"classification": "accuracy", "regression": "r2"}
"""The metric by which runs are compared."""
_ABANDONED = "the trainer ended before it had finished"


@attrs.frozen
class RunConfig:
    """The configuration of a run, known before it begins.

    Attributes:
        dataset: The dataset's name.
        dataset_sha256: SHA-256 (hex) of the rows used.
        target: The column to learn.
        task: Whether classes or numbers are learned.
        columns: The kind of each column, by name.
        rows: How many rows there are.
        estimator: The estimator as the user named it: a name, or ``module:function``.
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
    columns: dict[str, Type]
    rows: int
    estimator: str
    estimator_name: str
    parameters: dict[str, Any]
    seed: int
    test_share: float
    python: str
    scikit_learn: str


@attrs.frozen
class ArtifactChecksums:
    """SHA-256 of a run's files, by which they are known to be its own.

    Attributes:
        estimator: SHA-256 (hex) of the estimator's file.
        held_out: SHA-256 (hex) of the rows held out.
    """

    estimator: str
    held_out: str


@attrs.frozen
class Run:
    """One training as the log has it. A fact that is not known yet is None.

    From ``dataset`` to ``scikit_learn`` the attributes are those of `RunConfig`.

    Attributes:
        id: The run's number; never used twice.
        started_at: Time of its beginning, UTC, ISO 8601.
        status: Whether it is running, finished or failed.
        reason: Why it failed.
        model: The model's name, ``<estimator>_<id>``.
        estimator_sha256: SHA-256 (hex) of the estimator's file.
        metrics: All metrics, by ``train`` and ``test``, and by ``folds`` if it was cross-validated.
        duration_s: How long it took, in seconds.
        held_out_sha256: SHA-256 (hex) of the rows held out; None for a run from before it was logged.
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
    columns: dict[str, Type]
    rows: int
    estimator: str
    parameters: dict[str, Any]
    seed: int
    test_share: float
    python: str
    scikit_learn: str
    estimator_sha256: str | None
    metrics: dict[str, Any] | None
    duration_s: float | None
    held_out_sha256: str | None

    def score(self, side: str) -> float | None:
        """Return the accuracy, or a regressor's R², on the rows of a side: ``train`` or ``test``."""
        if self.metrics is None:
            return None
        score: float = self.metrics[side][SCORES[self.task]]
        return score


class RunLog:
    """The runs under one data directory."""

    def __init__(self, data_dir: Path) -> None:
        """Name the log. The first run creates it.

        Args:
            data_dir: The folder of ``database.sqlite`` and ``runs/``.
        """
        self._path = data_dir / "database.sqlite"
        self._folders = data_dir / "runs"

    def folder(self, run_id: int) -> Path:
        """Return the folder of a run's files."""
        return self._folders / str(run_id)

    @contextmanager
    def begin(self, config: RunConfig) -> Iterator[int]:
        """Log a new run as running, and hold its lock for the length of a ``with`` block.

        Yields:
            The run's id, which is nobody else's.
        """
        self._folders.mkdir(parents=True, exist_ok=True)
        with ExitStack() as held:
            with transaction(self._path) as database:
                run_id = _insert(database, config)
                # Locked before the row can be seen: nobody ever finds a living run without its lock.
                # A trainer killed right here leaves an empty folder and no row; the next one takes both.
                held.enter_context(locked(self.folder(run_id)))
            yield run_id

    def finish(self, run_id: int, metrics: dict[str, Any], checksums: ArtifactChecksums, duration_s: float) -> None:
        """Mark a running run as finished.

        Args:
            run_id: The run.
            metrics: Its metrics, by ``train`` and ``test``.
            checksums: The SHA-256 of its files.
            duration_s: How long it took, in seconds.

        Raises:
            TrainingError: If the run is not running, or the metrics lack the score of its task.
        """
        with transaction(self._path) as database:
            changed = database.execute(
                "UPDATE runs SET status = 'finished', estimator_sha256 = ?, held_out_sha256 = ?, metrics = ?,"
                " duration_s = ? WHERE id = ? AND status = 'running' RETURNING task",
                (checksums.estimator, checksums.held_out, json.dumps(metrics), duration_s, run_id),
            ).fetchone()
            if changed is None:
                raise TrainingError(f"run {run_id} is not running any more, and cannot be finished")
            _check_scores(run_id, metrics, SCORES[changed[0]])

    def fail(self, run_id: int, reason: str, duration_s: float | None = None) -> None:
        """Mark a running run as failed."""
        with transaction(self._path) as database:
            _fail(database, run_id, reason, duration_s)

    def note_gates(self, run_id: int, gates: Sequence[Mapping[str, Any]]) -> None:
        """Log what the gates before publication found.

        Args:
            run_id: The run that was to be published.
            gates: For each gate the columns of the table ``gates``, by name.
        """
        facts = {"run_id": run_id, "checked_at": datetime.now(UTC).isoformat(timespec="seconds")}
        with transaction(self._path) as database:
            database.execute(GATES)
            database.executemany(
                "INSERT INTO gates VALUES (:run_id, :checked_at, :name, :passed, :found, :limit, :text)",
                [{**facts, **gate} for gate in gates],
            )

    def list_gates(self, run_id: int) -> "list[dict[str, Any]]":
        """Return what the gates before publication found for a run, the oldest first, by column."""
        with reading(self._path) as database:
            if not database.execute("SELECT 1 FROM sqlite_schema WHERE name = 'gates'").fetchone():
                return []
            database.row_factory = sqlite3.Row
            found = database.execute("SELECT * FROM gates WHERE run_id = ? ORDER BY rowid", (run_id,))
            return [dict(row) for row in found]

    def find(self, run_id: int) -> Run:
        """Return one run, after marking it as failed if its trainer is gone.

        Raises:
            TrainingError: If there is none of this id.
        """
        run = self._read(run_id)
        if run.status == "running" and not is_locked(self.folder(run_id)):
            # A trainer that finished since has not left it running, and so nothing is changed.
            self.fail(run_id, _ABANDONED)
            run = self._read(run_id)
        return run

    def find_finished(self, run_id: int) -> Run:
        """Return one run that has an estimator.

        Raises:
            TrainingError: If there is none of this id, or it has not finished; if it failed, with its reason.
        """
        run = self.find(run_id)
        if run.status != "finished":
            why = f"; its reason: {run.reason}" if run.reason else ""
            raise TrainingError(f"run {run.id} is {run.status}: expected a finished one{why}")
        return run

    def list(self) -> list[Run]:
        """Return all runs by id, after marking those as failed whose trainer is gone."""
        if not self._path.exists():
            return []
        with transaction(self._path) as database:
            for (run_id,) in database.execute("SELECT id FROM runs WHERE status = 'running'").fetchall():
                if not is_locked(self.folder(run_id)):
                    _fail(database, run_id, _ABANDONED, None)
            database.row_factory = sqlite3.Row
            return [_to_run(row) for row in database.execute("SELECT * FROM runs ORDER BY id")]

    def _read(self, run_id: int) -> Run:
        if self._path.exists():
            with reading(self._path) as database:
                database.row_factory = sqlite3.Row
                row = database.execute("SELECT * FROM runs WHERE id = ?", (run_id,)).fetchone()
            if row is not None:
                return _to_run(row)
        raise TrainingError(f"no run {run_id} in {self._path}; `python -m training runs` lists them")


def _insert(database: sqlite3.Connection, config: RunConfig) -> int:
    facts = attrs.asdict(config)
    name = facts.pop("estimator_name")
    facts |= {
        "parameters": json.dumps(config.parameters),
        "columns": json.dumps(config.columns),
        "started_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "status": "running",
        "model": "",
    }
    columns = ", ".join(facts)
    marks = ", ".join("?" * len(facts))
    cursor = database.execute(f"INSERT INTO runs ({columns}) VALUES ({marks})", tuple(facts.values()))  # noqa: S608  the names are RunConfig's own
    run_id = cursor.lastrowid
    assert run_id is not None  # noqa: S101  sqlite3 gives one after every INSERT
    database.execute("UPDATE runs SET model = ? WHERE id = ?", (f"{name}_{run_id}", run_id))
    return run_id


def _check_scores(run_id: int, metrics: Mapping[str, Mapping[str, Any]], score: str) -> None:
    for side in ("train", "test"):
        if math.isnan(metrics[side].get(score, math.nan)):
            raise TrainingError(f"run {run_id} has no {score} on its {side} rows, and cannot be finished")


def _fail(database: sqlite3.Connection, run_id: int, reason: str, duration_s: float | None) -> None:
    database.execute(
        "UPDATE runs SET status = 'failed', reason = ?, duration_s = ? WHERE id = ? AND status = 'running'",
        (reason, duration_s, run_id),
    )


def _to_run(row: sqlite3.Row) -> Run:
    facts = dict(row)
    for name in ("parameters", "columns", "metrics"):
        facts[name] = json.loads(facts[name]) if facts[name] is not None else None
    return Run(**facts)
