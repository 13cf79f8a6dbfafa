"""The commands print what a program wants to standard output, and what a person wants to standard error."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.workshop import IRIS_CSV
from tests.training.conftest import CONFIG
from training.artifacts import HELD_OUT_FILE
from training.cli import main
from training.runlog import RunLog

IRIS_COMMAND = ["train", str(IRIS_CSV), "Species", "--drop", "Id"]


@pytest.fixture(autouse=True)
def _own_path_and_data(monkeypatch: pytest.MonkeyPatch, data_dir: Path) -> None:
    """Commands find their data by the variable; what they add to the path is taken back."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setenv("COROLLA_DATA_DIR", str(data_dir))


def test_train_prints_the_id_alone_and_tells_the_rest_to_the_person(
    capsys: pytest.CaptureFixture[str], data_dir: Path
) -> None:
    for run_id in (1, 2):
        assert main(IRIS_COMMAND) == 0
        printed = capsys.readouterr()
        assert printed.out == f"{run_id}\n"
        told = printed.err.splitlines()
        assert told[:2] == ["iris: 150 rows, classification", "  SepalLengthCm: number, 0 missing"]
        assert told[5] == "  Species: category, 0 missing <- target"
        assert told[6].startswith("warning: rows that repeat the features of another: 1;")
        assert told[7].startswith(
            f"log_reg_{run_id}: accuracy 0.982 on training rows, 0.947 on held-out rows; log loss 0."
        )
        assert told[8].split() == ["label", "precision", "recall", "f1", "rows"]
        assert [line.split()[0] for line in told[9:12]] == ["Iris-setosa", "Iris-versicolor", "Iris-virginica"]
        assert told[12] == "confusion matrix (rows: true, columns: predicted): [[13, 0, 0], [0, 12, 1], [0, 1, 11]]"
    assert (data_dir / "database.sqlite").is_file()


def test_runs_prints_a_row_for_each_run(capsys: pytest.CaptureFixture[str], data_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "failing_module.py").write_text(
        "from sklearn.linear_model import LogisticRegression\n\n"
        "class Failing(LogisticRegression):\n    def fit(self, *_): raise ValueError('two\\nlines')\n"
    )
    sys.path.insert(0, str(tmp_path))
    assert main(IRIS_COMMAND) == 0
    assert main([*IRIS_COMMAND, "--name", "flowers", "--estimator", "failing_module:Failing"]) == 1
    capsys.readouterr()
    assert main(["runs"]) == 0
    header, first, second = capsys.readouterr().out.splitlines()
    assert header.split("  ")[-1] == "seconds"
    assert header.split()[:5] == ["id", "model", "dataset", "started", "status"]
    assert first.split()[:3] == ["1", "log_reg_1", "iris"]
    assert first.split()[4:8] == ["finished", "accuracy", "0.982", "0.947"]
    assert second.split()[:3] == ["2", "failing_2", "flowers"]
    assert r"failed: ValueError: two\nlines" in second
    assert second.split()[-3:-1] == ["-", "-"]
    assert [run.status for run in RunLog(data_dir).list()] == ["finished", "failed"]


def test_what_a_run_has_not_yet_is_shown_as_a_dash(capsys: pytest.CaptureFixture[str], data_dir: Path) -> None:
    with RunLog(data_dir).begin(CONFIG):
        assert main(["runs"]) == 0
    _, row = capsys.readouterr().out.splitlines()
    assert row.split()[-5:] == ["running", "accuracy", "-", "-", "-"]


def test_runs_says_so_where_there_are_none(capsys: pytest.CaptureFixture[str], data_dir: Path) -> None:
    assert main(["runs"]) == 0
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("", f"no runs in {data_dir} yet\n")
    assert not data_dir.exists()


def test_a_feature_that_counts_the_rows_is_warned_of_and_the_run_goes_on(
    capsys: pytest.CaptureFixture[str], data_dir: Path
) -> None:
    assert main(["train", str(IRIS_CSV), "Species"]) == 0
    printed = capsys.readouterr()
    warning = "warning: column 'Id' counts the rows; if it is an identifier, leave it out with --drop"
    assert [line for line in printed.err.splitlines() if "warning" in line] == [warning]
    assert printed.out == "1\n"
    assert RunLog(data_dir).find(1).status == "finished"


def test_a_sound_table_is_not_warned_of(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "sound.csv").write_text("n,y\n" + "".join(f"{row * 37 % 101},{'ab'[row % 2]}\n" for row in range(40)))
    assert main(["train", str(tmp_path / "sound.csv"), "y"]) == 0
    assert "warning" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["no.csv", "Species"], "refused: expected a file, found none at no.csv\n"),
        ([str(IRIS_CSV), "Kind"], f"refused: {IRIS_CSV}: no column 'Kind'; it has 'Id', 'SepalLengthCm'"),
        (
            [str(IRIS_CSV), "Species", "--estimator", "forest"],
            "refused: no estimator 'forest': expected log_reg, decision_tree,",
        ),
        (
            [str(IRIS_CSV), "Species", "--estimator", "log_reg", "--task", "regression"],
            "refused: no estimator 'log_reg' for regression: expected ridge,",
        ),
        (
            [str(IRIS_CSV), "Species", "--name", "Iris"],
            "refused: expected a model name that matches [a-z][a-z0-9_-]{0,62}, got 'Iris'; --name chooses another",
        ),
        ([str(IRIS_CSV), "Species", "--task", "regression"], "refused: the target 'Species' is of kind category"),
        ([str(IRIS_CSV), "Species", "--estimator", "ridge"], "refused: no estimator 'ridge' for classification"),
        ([str(IRIS_CSV), "Id", "--estimator", "log_reg"], "refused: no estimator 'log_reg' for regression"),
        ([str(IRIS_CSV), "Species", "--table", "iris"], f"refused: {IRIS_CSV}: not an SQLite database"),
        ([str(IRIS_CSV), "Species", "--test-share", "0.001"], "refused: class 'Iris-setosa' has 50 different rows"),
    ],
)
def test_what_is_asked_for_in_vain_is_refused_with_exit_code_1(
    capsys: pytest.CaptureFixture[str], data_dir: Path, options: list[str], message: str
) -> None:
    assert main(["train", *options]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert message in printed.err
    assert not data_dir.exists()


@pytest.mark.parametrize(
    "options",
    [
        ["--estimator", "forest"],
        ["--estimator", "log_reg", "--task", "regression"],
        ["--estimator", ""],
        ["--name", "docs"],
    ],
)
def test_what_no_table_is_needed_for_is_refused_before_it_is_read(
    capsys: pytest.CaptureFixture[str], options: list[str]
) -> None:
    assert main(["train", "no.csv", "y", *options]) == 1
    (refusal,) = capsys.readouterr().err.splitlines()
    assert "no.csv" not in refusal


def test_a_data_directory_that_cannot_be_used_is_refused(capsys: pytest.CaptureFixture[str], data_dir: Path) -> None:
    data_dir.touch()
    assert main(IRIS_COMMAND) == 1
    assert capsys.readouterr().err.endswith(f"\nrefused: [Errno 20] Not a directory: '{data_dir / 'runs'}'\n")


def test_a_log_that_is_no_database_is_refused(capsys: pytest.CaptureFixture[str], data_dir: Path) -> None:
    data_dir.mkdir()
    (data_dir / "database.sqlite").write_text("no database at all\n" * 100)
    assert main(["runs"]) == 1
    assert capsys.readouterr().err == "refused: file is not a database\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Usage: python -m training [OPTIONS] COMMAND"),
        (["learn"], "No such command 'learn'."),
        (["train", "a.csv"], "Missing argument 'TARGET'."),
        (["compare"], "Missing argument 'RUN...'."),
        (["train", "a.csv", "y", "--test-share", "0"], "'--test-share': 0.0 is not in the range 0<x<1."),
        (["train", "a.csv", "y", "--test-share", "1"], "'--test-share': 1.0 is not in the range 0<x<1."),
        (["train", "a.csv", "y", "--test-share", "nan"], "'--test-share': 'nan' is not a number."),
        (["train", "a.csv", "y", "--test-share", "abc"], "'--test-share': 'abc' is not a valid float"),
        (["train", "a.csv", "y", "--seed", "abc"], "'--seed': 'abc' is not a valid integer"),
        (["train", "a.csv", "y", "--seed", "-1"], "'--seed': -1 is not in the range 0<=x<=4294967295."),
        (["train", "a.csv", "y", "--seed", "4294967296"], "'--seed': 4294967296 is not in the range 0<=x<=4294967295."),
        (["train", "a.csv", "y", "--task", "clustering"], "'--task': 'clustering' is not one of 'classification', "),
    ],
)
def test_wrong_arguments_are_told_with_exit_code_2(
    capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert main(arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert message in " ".join(printed.err.split())


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--help"], "Train on a CSV file or an SQLite table; print the run's id."),
        (["train", "-h"], "--task [classification|regression]"),
        (["train", "--help"], "[default: 0.25; 0<x<1]"),
        (["train", "--help"], "[default: (log_reg, or ridge for regression)]"),
        (["train", "--help"], "MODULE:FUNCTION"),
        (["runs", "--help"], "COROLLA_DATA_DIR"),
    ],
)
def test_each_command_has_help(capsys: pytest.CaptureFixture[str], arguments: list[str], text: str) -> None:
    assert main(arguments) == 0
    printed = capsys.readouterr()
    assert text in " ".join(printed.out.split())
    assert printed.err == ""


@pytest.mark.parametrize(
    ("file", "name"), [("Iris.csv", "iris"), ("My Table (2).csv", "my_table_2_"), ("Größe-a.b.csv", "gr_e-a_b")]
)
def test_a_dataset_is_named_after_its_file(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, data_dir: Path, file: str, name: str
) -> None:
    (tmp_path / file).write_bytes(IRIS_CSV.read_bytes())
    assert main(["train", str(tmp_path / file), "Species"]) == 0
    assert capsys.readouterr().err.startswith(f"{name}: 150 rows, classification\n")
    assert RunLog(data_dir).find(1).dataset == name


def test_the_seed_and_the_share_that_are_asked_for_are_logged_and_held_to(data_dir: Path) -> None:
    assert main([*IRIS_COMMAND, "--seed", "4294967295", "--test-share", "0.5"]) == 0
    run = RunLog(data_dir).find(1)
    assert (run.seed, run.test_share) == (4294967295, 0.5)
    assert len((data_dir / "runs" / "1" / HELD_OUT_FILE).read_bytes().splitlines()) == 1 + 75


def test_the_command_runs_only_where_it_is_called(capsys: pytest.CaptureFixture[str]) -> None:
    importlib.import_module("training.__main__")
    assert capsys.readouterr() == ("", "")


@pytest.mark.slow
def test_the_room_is_a_command(data_dir: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "training", "runs"], capture_output=True, text=True, check=False, timeout=60
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", f"no runs in {data_dir} yet\n")
