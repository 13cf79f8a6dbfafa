"""The log of runs in SQLite: Run facts <-> rows of data/database.sqlite.

A run is begun, and later finished or failed, each in a transaction of its own. A trainer holds a lock on its run's
folder for as long as it lives; the kernel lets go of it however the trainer ends, so a run whose trainer was killed is
found out and marked as failed. It knows nothing of what a table holds, or of estimators.
"""

import json
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
from training.schema import GATES, transaction

Status = Literal["running", "finished", "failed"]

SCORES: Mapping[Task, Literal["accuracy", "r2"]] = {"classification": "accuracy", "regression": "r2"}
"""The metric by which runs are compared."""
_ABANDONED = "the trainer ended before it had finished"


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
class Sums:
    """What binds a run's files to it.

    Attributes:
        estimator: SHA-256 (hex) of the estimator's file.
        held_out: SHA-256 (hex) of the rows held out.
    """

    estimator: str
    held_out: str


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
        held_out_sha256: SHA-256 (hex) of the rows held out; none of a run from before it was logged.
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
    train_accuracy: float | None
    test_accuracy: float | None
    metrics: dict[str, Any] | None
    duration_s: float | None
    held_out_sha256: str | None

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
        self._folders.mkdir(parents=True, exist_ok=True)
        with ExitStack() as held:
            with transaction(self._path) as database:
                run_id = _insert(database, plan)
                # Locked before the row can be seen: nobody ever finds a living run without its lock.
                # A trainer killed right here leaves an empty folder and no row; the next one takes both.
                held.enter_context(locked(self.folder(run_id)))
            yield run_id

    def finish(self, run_id: int, metrics: dict[str, Any], sums: Sums, duration_s: float) -> None:
        """Marks a running run as finished.

        Args:
            run_id: The run.
            metrics: Its metrics, by ``train`` and ``test``.
            sums: The SHA-256 of its files.
            duration_s: How long it took.

        Raises:
            TrainingError: If the run is not running.
        """
        accuracies = (metrics["train"].get("accuracy"), metrics["test"].get("accuracy"))
        with transaction(self._path) as database:
            changed = database.execute(
                "UPDATE runs SET status = 'finished', estimator_sha256 = ?, held_out_sha256 = ?, train_accuracy = ?,"
                " test_accuracy = ?, metrics = ?, duration_s = ? WHERE id = ? AND status = 'running'",
                (sums.estimator, sums.held_out, *accuracies, json.dumps(metrics), duration_s, run_id),
            )
            if changed.rowcount != 1:
                raise TrainingError(f"run {run_id} is not running any more, and cannot be finished")

    def fail(self, run_id: int, reason: str, duration_s: float | None = None) -> None:
        """Marks a running run as failed."""
        with transaction(self._path) as database:
            _fail(database, run_id, reason, duration_s)

    def note_gates(self, run_id: int, gates: Sequence[Mapping[str, Any]]) -> None:
        """Notes what the gates before publication found.

        Args:
            run_id: The run that was to be published.
            gates: The columns of the table ``gates`` by name, for each of them.
        """
        facts = {"run_id": run_id, "checked_at": datetime.now(UTC).isoformat(timespec="seconds")}
        with transaction(self._path) as database:
            database.execute(GATES)
            database.executemany(
                "INSERT INTO gates VALUES (:run_id, :checked_at, :name, :passed, :found, :limit, :text)",
                [{**facts, **gate} for gate in gates],
            )

    def list_gates(self, run_id: int) -> "list[dict[str, Any]]":
        """Gives what the gates before publication found for a run, the oldest first, by column."""
        with transaction(self._path) as database:
            database.execute(GATES)
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

    def find_finished(self, run_id: int) -> Run:
        """Gives one run that has left an estimator.

        Raises:
            TrainingError: If there is none of this id, or it has not finished; if it failed, with its reason.
        """
        run = self.find(run_id)
        if run.status != "finished":
            why = f"; its reason: {run.reason}" if run.reason else ""
            raise TrainingError(f"run {run.id} is {run.status}: expected a finished one{why}")
        return run

    def list(self) -> list[Run]:
        """Gives all runs by id, after marking those as failed whose trainer is gone."""
        if not self._path.exists():
            return []
        with transaction(self._path) as database:
            for (run_id,) in database.execute("SELECT id FROM runs WHERE status = 'running'").fetchall():
                if not is_locked(self.folder(run_id)):
                    _fail(database, run_id, _ABANDONED, None)
            database.row_factory = sqlite3.Row
            return [_to_run(row) for row in database.execute("SELECT * FROM runs ORDER BY id")]


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


def _to_run(row: sqlite3.Row) -> Run:
    facts = dict(row)
    for name in ("parameters", "columns", "metrics"):
        facts[name] = json.loads(facts[name]) if facts[name] is not None else None
    return Run(**facts)
