"""What the log knows of runs is told in full, and what sets them apart by itself."""

from pathlib import Path

import pytest

from tests.conftest import IRIS_CSV, Workshop
from tests.training.conftest import PLAN
from training.cli import main
from training.runlog import RunLog


def test_a_run_is_shown_with_its_classes_and_what_the_gates_found(
    iris_workshop: Workshop, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["show", "1", "--data-dir", str(iris_workshop.data_dir)]) == 0
    shown = capsys.readouterr().out
    assert "model: log_reg_1\n" in shown
    assert "columns: SepalLengthCm (number), SepalWidthCm (number), " in shown
    assert "Iris-versicolor" in shown
    assert "confusion (rows: true, columns: answered): [[13, 0, 0], " in shown
    assert "no version is served yet" in shown
    assert "reason" not in shown


def test_a_run_that_failed_is_shown_with_its_reason(data_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = RunLog(data_dir)
    with log.begin(PLAN) as run_id:
        log.fail(run_id, "out of luck")
    assert main(["show", "1", "--data-dir", str(data_dir)]) == 0
    shown = capsys.readouterr().out
    assert "status: failed\nreason: out of luck\n" in shown
    assert "accuracy" not in shown


def test_runs_are_compared_by_their_scores_and_by_what_differs_alone(
    data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for options in (["--seed", "1"], ["--seed", "2", "--estimator", "gaussian_nb"]):
        assert main(["train", str(IRIS_CSV), "Species", "--drop", "Id", "--data-dir", str(data_dir), *options]) == 0
    capsys.readouterr()
    assert main(["compare", "1", "2", "--data-dir", str(data_dir)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["log_reg_1", "gaussian_nb_2"]
    told = {line.split("  ")[0].strip() for line in lines[1:]}
    assert {"score train (accuracy)", "score test (accuracy)", "seed", "estimator"} <= told
    assert not {"dataset", "rows", "target", "test_share"} & told


@pytest.mark.parametrize("command", [["show", "7"], ["compare", "7"]])
def test_a_run_that_is_not_in_the_log_is_refused(
    data_dir: Path, capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    assert main([*command, "--data-dir", str(data_dir)]) == 1
    assert capsys.readouterr().err.startswith("refused: no run 7 in ")
