"""One training from the log's first word to its last, and what is left of it wherever it is cut off."""

import hashlib
import signal
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import training.cli
from tests.support.forked import end, fork, fork_with_little_disk
from tests.support.workshop import IRIS_CSV
from tests.training.conftest import SlowTrainer
from training.artifacts import DATASET_FILE, ESTIMATOR_FILE, load_artifacts, save_artifacts
from training.dataset import Dataset, read_dataset
from training.errors import TrainingError
from training.estimators import Choice, Estimator, choose_estimator
from training.runlog import ArtifactChecksums, Run, RunLog
from training.train import train

KILLS = 8
IRIS_COMMAND = ("train", str(IRIS_CSV), "Species", "--drop", "Id", "--data-dir")
ABANDONED = "the trainer ended before it had finished"


def train_iris(iris: Dataset, data_dir: Path) -> Run:
    return train(
        iris, choose_estimator("log_reg", iris.task, iris.columns[:-1]), seed=42, test_share=0.25, data_dir=data_dir
    )


def sha256_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def assert_sound(data_dir: Path) -> None:
    """The database is whole, and every run that is said to be finished has all of its artifacts."""
    with closing(sqlite3.connect(data_dir / "database.sqlite")) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    log = RunLog(data_dir)
    for run in log.list():
        assert (run.status, run.reason) in {("finished", None), ("failed", ABANDONED)}
        if run.status == "finished":
            assert len(load_artifacts(log.folder(run.id), run).held_out.target) == 38


def test_logistic_regression_on_iris_has_a_test_accuracy_of_0_947(iris: Dataset, data_dir: Path) -> None:
    run = train_iris(iris, data_dir)
    assert (run.id, run.model, run.status, run.rows) == (1, "log_reg_1", "finished", 150)
    assert run.score("test") == 36 / 38
    assert round(36 / 38, 3) == 0.947
    assert run.dataset_sha256 == iris.sha256()
    assert run.estimator_sha256 == sha256_of(data_dir / "runs" / "1" / ESTIMATOR_FILE)
    assert run.duration_s is not None


def test_logged_accuracies_are_those_of_the_estimator_that_was_left(iris: Dataset, data_dir: Path) -> None:
    run = train_iris(iris, data_dir)
    left = load_artifacts(data_dir / "runs" / "1", run)
    held_out = left.estimator.predict(left.held_out.features) == left.held_out.target
    everywhere = left.estimator.predict(left.dataset.features) == left.dataset.target
    assert run.score("test") == held_out.mean()
    assert run.score("train") == (everywhere.sum() - held_out.sum()) / (len(everywhere) - len(held_out))


def test_a_run_repeated_from_its_own_rows_has_the_same_metrics_and_hash(iris: Dataset, data_dir: Path) -> None:
    first = train_iris(iris, data_dir)
    again = train_iris(read_dataset(data_dir / "runs" / "1" / DATASET_FILE, "Species", name="iris"), data_dir)
    assert again.model == "log_reg_2"
    assert (again.metrics, again.dataset_sha256) == (first.metrics, first.dataset_sha256)


def test_folds_are_scored_where_they_are_asked_for_and_change_nothing_else(iris: Dataset, data_dir: Path) -> None:
    plain = train_iris(iris, data_dir)
    choice = choose_estimator("log_reg", iris.task, iris.columns[:-1])
    folded = train(iris, choice, seed=42, test_share=0.25, data_dir=data_dir, in_folds=True)
    assert plain.metrics is not None
    assert folded.metrics is not None
    folds = folded.metrics.pop("folds")
    assert folded.metrics == plain.metrics
    assert 0.9 < folds["mean"] < 1
    assert set(folds) == {"mean", "deviation", "standard_error", "fit_s"}


def test_ones_own_regressor_is_trained_and_scored(dataset_of: Callable[[list[str]], Dataset], data_dir: Path) -> None:
    dataset = dataset_of([f"{2 * row}.5" for row in range(40)])
    run = train(dataset, Choice("own:make", "make", LinearRegression()), seed=42, test_share=0.25, data_dir=data_dir)
    assert run.task == "regression"
    assert run.metrics is not None
    assert "accuracy" not in {*run.metrics["train"], *run.metrics["test"]}
    assert run.metrics["test"] == pytest.approx(
        {"r2": 1, "mean_absolute_error": 0, "root_mean_squared_error": 0}, abs=1e-9
    )
    left = load_artifacts(data_dir / "runs" / "1", run)
    assert left.held_out.kinds() == {"n": "integer", "y": "number"}
    assert left.estimator.predict(left.held_out.features) == pytest.approx(left.held_out.target.to_numpy())


def forest() -> Estimator:
    return RandomForestClassifier(5)


def perceptron() -> Estimator:
    return MLPClassifier(max_iter=5)


def scaled_perceptron() -> Estimator:
    return make_pipeline(StandardScaler(), MLPClassifier(max_iter=5))


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("make", [forest, perceptron, scaled_perceptron])
def test_an_estimator_that_draws_at_random_is_the_same_each_time_and_another_for_another_seed(
    iris: Dataset, data_dir: Path, make: Callable[[], Estimator]
) -> None:
    first, again, other = (
        train(iris, Choice("own:make", "make", make()), seed=seed, test_share=0.25, data_dir=data_dir)
        for seed in (42, 42, 43)
    )
    assert again.metrics == first.metrics
    assert again.parameters == first.parameters
    assert other.metrics != first.metrics
    answers = [
        load_artifacts(data_dir / "runs" / str(run.id), run).estimator.predict_proba(iris.features).tolist()
        for run in (first, again, other)
    ]
    assert answers[0] == answers[1]
    assert answers[0] != answers[2]


@pytest.mark.parametrize(("chosen", "logged"), [(None, 42), (0, 0)], ids=["open", "chosen"])
def test_the_random_state_that_was_used_is_in_the_log(
    iris: Dataset, data_dir: Path, chosen: int | None, logged: int
) -> None:
    choice = Choice("own:make", "make", RandomForestClassifier(2, random_state=chosen))
    run = train(iris, choice, seed=42, test_share=0.25, data_dir=data_dir)
    assert run.parameters["random_state"] == logged


class Unreadable(LogisticRegression):  # type: ignore[misc]  # scikit-learn has no types
    """An estimator that fits, and that a converter could not read again."""


def test_a_run_whose_estimator_could_not_be_read_again_has_failed(iris: Dataset, data_dir: Path) -> None:
    choice = Choice("own:make", "make", Unreadable(solver="newton-cholesky"))
    with pytest.raises(TrainingError, match=r"^run 1 failed: .* only types of sklearn, numpy, scipy are loaded"):
        train(iris, choice, seed=42, test_share=0.25, data_dir=data_dir)
    (run,) = RunLog(data_dir).list()
    assert (run.status, run.estimator_sha256) == ("failed", None)
    assert run.reason is not None
    assert run.reason.endswith("test_train.Unreadable")


def test_a_run_that_was_ended_by_another_hand_is_not_called_finished(
    iris: Dataset, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def save_and_be_ended(folder: Path, *left: Any) -> ArtifactChecksums:
        RunLog(data_dir).fail(int(folder.name), "ended by hand")
        return save_artifacts(folder, *left)

    monkeypatch.setattr("training.train.save_artifacts", save_and_be_ended)
    with pytest.raises(TrainingError) as refusal:
        train_iris(iris, data_dir)
    assert str(refusal.value).endswith("run 1 is not running any more, and cannot be finished")
    (run,) = RunLog(data_dir).list()
    assert (run.status, run.reason, run.metrics) == ("failed", "ended by hand", None)


def test_parameters_that_json_cannot_hold_are_logged_as_text(iris: Dataset, data_dir: Path) -> None:
    classifier = LogisticRegression(solver="newton-cholesky", class_weight={np.str_("Iris-setosa"): np.float32(2)})
    run = train(iris, Choice("mine:make", "make", classifier), seed=42, test_share=0.25, data_dir=data_dir)
    assert run.parameters["solver"] == "newton-cholesky"
    assert run.parameters["class_weight"] == "{np.str_('Iris-setosa'): np.float32(2.0)}"


def test_a_table_that_cannot_be_split_leaves_no_run(dataset_of: Callable[[list[str]], Dataset], data_dir: Path) -> None:
    with pytest.raises(TrainingError, match="class 'rare' has 1 different rows"):
        train_iris(dataset_of(["common"] * 20 + ["rare"]), data_dir)
    assert not data_dir.exists()


@attrs.frozen
class Failing:
    """An estimator that fails as it is told to."""

    error: BaseException

    def get_params(self, deep: bool = True) -> dict[str, object]:  # noqa: FBT001, FBT002  as scikit-learn has it
        return {"error": self.error} if deep else {}

    def set_params(self, **states: object) -> None:
        assert not states

    def fit(self, _features: pd.DataFrame, _target: pd.Series) -> None:
        raise self.error


def test_an_estimator_that_fails_leaves_a_failed_run_with_its_reason(iris: Dataset, data_dir: Path) -> None:
    choice = Choice("own:failing", "failing", Failing(ValueError("the rows are no good")))
    with pytest.raises(TrainingError) as refusal:
        train(iris, choice, seed=42, test_share=0.25, data_dir=data_dir)
    assert str(refusal.value) == "run 1 failed: ValueError: the rows are no good"
    (run,) = RunLog(data_dir).list()
    assert (run.model, run.status, run.reason) == ("failing_1", "failed", "ValueError: the rows are no good")
    assert run.duration_s is not None


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3)])
def test_an_exit_is_logged_and_goes_on_its_way(iris: Dataset, data_dir: Path, error: BaseException) -> None:
    with pytest.raises(type(error)):
        train(iris, Choice("own:failing", "failing", Failing(error)), seed=42, test_share=0.25, data_dir=data_dir)
    (run,) = RunLog(data_dir).list()
    assert run.status == "failed"
    assert run.reason == f"{type(error).__name__}: {error}"


def test_a_trainer_that_is_killed_leaves_a_sound_log_and_its_run_failed(
    slow_trainer: SlowTrainer, iris: Dataset, capsys: pytest.CaptureFixture[str]
) -> None:
    log = RunLog(slow_trainer.data_dir)
    assert [(run.model, run.status) for run in log.list()] == [("make_1", "running")]
    slow_trainer.process.kill()
    assert slow_trainer.process.wait() == -signal.SIGKILL
    assert training.cli.main(["runs", "--data-dir", str(slow_trainer.data_dir)]) == 0
    assert f"failed: {ABANDONED}" in capsys.readouterr().out
    assert_sound(slow_trainer.data_dir)
    assert list(log.folder(1).iterdir()) == []
    assert train_iris(iris, slow_trainer.data_dir).model == "log_reg_2"


def test_a_trainer_that_is_interrupted_logs_so(slow_trainer: SlowTrainer) -> None:
    slow_trainer.process.send_signal(signal.SIGINT)
    assert slow_trainer.process.wait() != 0
    (run,) = RunLog(slow_trainer.data_dir).list()
    assert run.status == "failed"
    assert run.reason is not None
    assert run.reason.startswith("KeyboardInterrupt")


def test_a_trainer_killed_at_any_moment_leaves_a_sound_log(data_dir: Path) -> None:
    for _ in range(2):  # the first is slow where it starts the forkserver
        start = time.monotonic()
        assert end(fork(training.cli.main, *IRIS_COMMAND, str(data_dir))) == 0
    whole_s = time.monotonic() - start
    for delay_s in np.linspace(0, whole_s, KILLS):
        trainer = fork(training.cli.main, *IRIS_COMMAND, str(data_dir))
        trainer.join(float(delay_s))
        trainer.kill()
        assert end(trainer) in {0, -signal.SIGKILL}
        assert_sound(data_dir)
    assert end(fork(training.cli.main, *IRIS_COMMAND, str(data_dir))) == 0
    runs = RunLog(data_dir).list()
    assert [run.id for run in runs] == list(range(1, len(runs) + 1))
    assert (runs[0].status, runs[-1].status) == ("finished", "finished")
    assert runs[-1].metrics == runs[0].metrics


@pytest.fixture
def long_table(tmp_path: Path) -> Path:
    """A table whose copy is larger than the log."""
    source = tmp_path / "long.csv"
    source.write_text("n,y\n" + "".join(f"{row},{'ab'[row % 2]}\n" for row in range(10_000)))
    return source


def test_a_run_that_cannot_write_its_files_has_failed_for_that_reason(long_table: Path, data_dir: Path) -> None:
    command = ("train", str(long_table), "y", "--data-dir", str(data_dir))
    assert end(fork_with_little_disk(training.cli.main, *command, file_bytes=2**16)) == 1
    (run,) = RunLog(data_dir).list()
    assert (run.status, run.reason) == ("failed", "OSError: [Errno 27] File too large")


def test_a_log_that_cannot_be_written_takes_no_run_and_its_place_is_the_next_ones(
    iris: Dataset, data_dir: Path
) -> None:
    assert end(fork_with_little_disk(training.cli.main, *IRIS_COMMAND, str(data_dir), file_bytes=2**10)) == 1
    assert not any(path.is_file() for path in (data_dir / "runs").rglob("*"))
    assert RunLog(data_dir).list() == []
    assert train_iris(iris, data_dir).id == 1
