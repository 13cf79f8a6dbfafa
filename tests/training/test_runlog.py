"""The log tells of every run the truth, whatever became of its trainer."""

import functools
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import attrs
import pytest

from tests.support.forked import end, fork
from tests.training.conftest import CONFIG
from training.errors import TrainingError
from training.runlog import ArtifactChecksums, RunLog

METRICS: dict[str, Any] = {"train": {"accuracy": 0.75}, "test": {"accuracy": 0.5, "log_loss": 1.5}}
ABANDONED = "the trainer ended before it had finished"
RUNS_EACH = 20
CHECKSUMS = ArtifactChecksums(estimator="ab" * 32, held_out="cd" * 32)
FULL = 2
"""The level of ``PRAGMA synchronous`` at which a commit waits for the disk (https://sqlite.org/pragma.html)."""


@pytest.fixture
def log(data_dir: Path) -> RunLog:
    return RunLog(data_dir)


def test_a_run_is_running_for_as_long_as_its_trainer_holds_it(log: RunLog, data_dir: Path) -> None:
    with log.begin(CONFIG) as run_id:
        for reader in (log, RunLog(data_dir)):
            (run,) = reader.list()
            assert (run.id, run.model, run.status, run.reason) == (run_id, f"log_reg_{run_id}", "running", None)
            assert (run.score("train"), run.score("test"), run.metrics, run.duration_s) == (None, None, None, None)
            assert run.estimator_sha256 is None
        assert log.folder(run_id).is_dir()


def test_a_regressor_has_scores_and_no_accuracy(log: RunLog) -> None:
    config = attrs.evolve(CONFIG, task="regression", columns={"n": "integer", "y": "number"})
    metrics = {"train": {"r2": 0.75}, "test": {"r2": -0.5, "mean_absolute_error": 2.0}}
    with log.begin(config) as run_id:
        assert log.find(run_id).score("test") is None
        log.finish(run_id, metrics, CHECKSUMS, duration_s=2.5)
    run = log.find(run_id)
    assert (run.status, run.task, run.columns, run.metrics) == ("finished", "regression", config.columns, metrics)
    assert (run.score("train"), run.score("test")) == (0.75, -0.5)


def test_a_classifier_without_its_accuracy_cannot_finish(log: RunLog) -> None:
    with log.begin(CONFIG) as run_id:
        for metrics, side in (
            ({"train": {"r2": 1.0}, "test": {"r2": 1.0}}, "train"),
            ({"train": {"accuracy": 1.0}, "test": {"accuracy": float("nan")}}, "test"),
        ):
            with pytest.raises(TrainingError) as refusal:
                log.finish(run_id, metrics, CHECKSUMS, duration_s=1)
            assert str(refusal.value) == f"run 1 has no accuracy on its {side} rows, and cannot be finished"
        assert log.find(run_id).status == "running"


def test_a_run_that_was_let_go_unfinished_has_failed(log: RunLog) -> None:
    with log.begin(CONFIG) as run_id:
        pass
    run = log.find(run_id)
    assert (run.status, run.reason, run.duration_s) == ("failed", ABANDONED, None)


def test_a_run_whose_folder_is_gone_has_failed(log: RunLog) -> None:
    with log.begin(CONFIG) as run_id:
        log.folder(run_id).rmdir()
        assert log.find(run_id).reason == ABANDONED


def test_a_finished_run_has_its_configuration_and_its_metrics(log: RunLog) -> None:
    with log.begin(CONFIG) as run_id:
        log.finish(run_id, METRICS, CHECKSUMS, duration_s=2.5)
    run = log.find(run_id)
    assert (run.status, run.reason, run.duration_s, run.metrics) == ("finished", None, 2.5, METRICS)
    assert (run.estimator_sha256, run.held_out_sha256) == (CHECKSUMS.estimator, CHECKSUMS.held_out)
    assert (run.score("train"), run.score("test")) == (0.75, 0.5)
    configured = {name: value for name, value in attrs.asdict(CONFIG).items() if name != "estimator_name"}
    assert configured.items() <= attrs.asdict(run).items()
    assert run.started_at.endswith("+00:00")


def test_a_failed_run_has_its_reason(log: RunLog) -> None:
    with log.begin(CONFIG) as run_id:
        log.fail(run_id, "ValueError: no", duration_s=0.5)
    run = log.find(run_id)
    assert (run.status, run.reason, run.duration_s, run.metrics) == ("failed", "ValueError: no", 0.5, None)


def test_a_run_ends_once(log: RunLog) -> None:
    with log.begin(CONFIG) as finished, log.begin(CONFIG) as failed:
        log.finish(finished, METRICS, CHECKSUMS, duration_s=1)
        log.fail(finished, "too late")
        log.fail(failed, "first")
        for ended in (finished, failed):
            with pytest.raises(TrainingError) as refusal:
                log.finish(
                    ended,
                    {"train": {"accuracy": 1}, "test": {"accuracy": 1}},
                    ArtifactChecksums("00", "00"),
                    duration_s=9,
                )
            assert str(refusal.value) == f"run {ended} is not running any more, and cannot be finished"
    first, second = log.list()
    assert (first.status, first.metrics, first.estimator_sha256, first.duration_s) == (
        "finished",
        METRICS,
        CHECKSUMS.estimator,
        1,
    )
    assert (second.status, second.reason, second.metrics, second.estimator_sha256) == ("failed", "first", None, None)


def test_a_run_that_is_not_in_the_log_cannot_finish(log: RunLog) -> None:
    with log.begin(CONFIG) as run_id:
        with pytest.raises(TrainingError, match=r"^run 7 is not running any more, and cannot be finished$"):
            log.finish(7, METRICS, CHECKSUMS, duration_s=1)
        assert log.find(run_id).status == "running"


@pytest.mark.parametrize(("estimator_sha256", "duration_s"), [(None, 1), ("00", None)])
def test_a_run_that_lacks_a_fact_of_its_end_cannot_finish(log: RunLog, estimator_sha256: Any, duration_s: Any) -> None:
    with log.begin(CONFIG) as run_id:
        with pytest.raises(sqlite3.IntegrityError, match="CHECK constraint failed"):
            log.finish(run_id, METRICS, ArtifactChecksums(estimator_sha256, "00"), duration_s)
        assert log.find(run_id).status == "running"


def test_a_log_that_is_only_looked_at_is_not_made(log: RunLog, data_dir: Path) -> None:
    assert log.list() == []
    assert not data_dir.exists()
    with log.begin(CONFIG):
        assert (data_dir / "database.sqlite").is_file()


def test_a_log_whose_first_run_was_cut_off_before_its_row_is_empty_and_takes_the_next(
    log: RunLog, data_dir: Path
) -> None:
    data_dir.mkdir()
    (data_dir / "database.sqlite").touch()  # as sqlite3.connect leaves it, before the first commit
    assert log.list() == []
    with log.begin(CONFIG) as run_id:
        assert [run.id for run in log.list()] == [run_id]


def test_a_log_that_another_is_writing_is_not_read_before_the_end_of_it(
    log: RunLog, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with log.begin(CONFIG) as run_id:
        log.finish(run_id, METRICS, CHECKSUMS, duration_s=1)
    monkeypatch.setattr("training.schema.BUSY_TIMEOUT_S", 0.05)
    with closing(sqlite3.connect(data_dir / "database.sqlite", isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        with pytest.raises(sqlite3.OperationalError, match=r"^database is locked$"):
            log.list()
    assert [run.id for run in log.list()] == [run_id]


def test_every_commit_waits_for_the_disk(log: RunLog, monkeypatch: pytest.MonkeyPatch) -> None:
    levels: list[int] = []

    class Witness(sqlite3.Connection):
        """A real connection that notes how safe each commit is."""

        def execute(self, statement: str, parameters: Any = ()) -> sqlite3.Cursor:
            if statement == "COMMIT":
                levels.append(super().execute("PRAGMA synchronous").fetchone()[0])
            return super().execute(statement, parameters)

    monkeypatch.setattr(sqlite3, "connect", functools.partial(sqlite3.connect, factory=Witness))
    with log.begin(CONFIG) as finished, log.begin(CONFIG) as failed:
        log.finish(finished, METRICS, CHECKSUMS, duration_s=1)
        log.fail(failed, "no")
    assert levels == [FULL] * 4


def test_ids_go_up_and_are_not_used_again_after_a_row_is_deleted(log: RunLog, data_dir: Path) -> None:
    for expected in (1, 2):
        with log.begin(CONFIG) as run_id:
            assert run_id == expected
    with closing(sqlite3.connect(data_dir / "database.sqlite")) as database, database:
        database.execute("DELETE FROM runs WHERE id = 2")
    with log.begin(CONFIG) as run_id:
        assert run_id == 3


def test_a_run_that_cannot_have_its_folder_leaves_no_row(log: RunLog, data_dir: Path) -> None:
    in_the_way = data_dir / "runs" / "1"
    in_the_way.parent.mkdir(parents=True)
    in_the_way.touch()
    with pytest.raises(FileExistsError), log.begin(CONFIG):
        pass
    assert log.list() == []
    in_the_way.unlink()
    with log.begin(CONFIG) as run_id:
        assert run_id == 1


def test_an_empty_folder_of_a_trainer_killed_before_its_row_is_taken_over(log: RunLog, data_dir: Path) -> None:
    (data_dir / "runs" / "1").mkdir(parents=True)
    with log.begin(CONFIG) as run_id:
        assert run_id == 1


def test_a_run_is_found_while_another_writes_and_without_a_write_of_its_own(log: RunLog, data_dir: Path) -> None:
    with log.begin(CONFIG) as run_id:
        log.finish(run_id, METRICS, CHECKSUMS, duration_s=1)
    with log.begin(CONFIG) as running, closing(sqlite3.connect(data_dir / "database.sqlite")) as writer:
        writer.execute("BEGIN IMMEDIATE")  # a second one would wait for it, and fail
        assert (log.find(run_id).status, log.find(running).status) == ("finished", "running")
        assert log.list_gates(run_id) == []


def test_a_run_that_is_not_in_the_log_is_refused_by_its_id(log: RunLog, data_dir: Path) -> None:
    with pytest.raises(TrainingError) as refusal:
        log.find(7)
    assert str(refusal.value) == f"no run 7 in {data_dir / 'database.sqlite'}; `python -m training runs` lists them"


def test_a_finished_run_is_asked_for_as_such_and_any_other_refused_with_its_reason(log: RunLog) -> None:
    with log.begin(CONFIG) as finished, log.begin(CONFIG) as failed, log.begin(CONFIG) as running:
        log.finish(finished, METRICS, CHECKSUMS, duration_s=1)
        log.fail(failed, "ValueError: no")
        assert log.find_finished(finished) == log.find(finished)
        with pytest.raises(
            TrainingError, match=r"^run 2 is failed: expected a finished one; its reason: ValueError: no$"
        ):
            log.find_finished(failed)
        with pytest.raises(TrainingError, match=r"^run 3 is running: expected a finished one$"):
            log.find_finished(running)


def begin_many(arguments: Sequence[str]) -> int:
    log = RunLog(Path(arguments[0]))
    for _ in range(RUNS_EACH):
        with log.begin(CONFIG) as run_id:
            (log.folder(run_id) / arguments[1]).touch(exist_ok=False)
            log.finish(run_id, METRICS, CHECKSUMS, duration_s=1)
    return 0


@pytest.mark.slow
def test_many_trainers_at_once_never_share_an_id(data_dir: Path) -> None:
    trainers = [fork(begin_many, str(data_dir), f"trainer_{number}") for number in range(4)]
    assert [end(trainer) for trainer in trainers] == [0, 0, 0, 0]
    log = RunLog(data_dir)
    runs = log.list()
    assert [run.id for run in runs] == list(range(1, 4 * RUNS_EACH + 1))
    assert {run.status for run in runs} == {"finished"}
    assert {len(list(log.folder(run.id).iterdir())) for run in runs} == {1}
