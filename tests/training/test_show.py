"""What the log knows of runs is told in full, and what sets them apart by itself."""

import re
from pathlib import Path
from typing import Any

import attrs
import pytest

from tests.support.workshop import IRIS_CSV, Workshop
from tests.training.conftest import CONFIG
from training.cli import main
from training.runlog import RunLog
from training.show import compare, show


def test_a_run_is_shown_with_its_classes_and_what_the_gates_found(
    iris_workshop: Workshop, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["show", "1", "--data-dir", str(iris_workshop.data_dir)]) == 0
    shown = capsys.readouterr().out
    assert "model: log_reg_1\n" in shown
    assert "columns: SepalLengthCm (number), SepalWidthCm (number), " in shown
    assert "Iris-versicolor" in shown
    assert "confusion matrix (rows: true, columns: predicted): [[13, 0, 0], " in shown
    assert "no version is served yet" in shown
    assert "reason" not in shown


def test_a_run_that_failed_is_shown_with_its_reason(data_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = RunLog(data_dir)
    with log.begin(CONFIG) as run_id:
        log.fail(run_id, "out of luck")
    assert main(["show", "1", "--data-dir", str(data_dir)]) == 0
    shown = capsys.readouterr().out
    assert "status: failed\nreason: out of luck\n" in shown
    assert "accuracy" not in shown


def test_parameters_stand_one_a_line_below_the_step_that_has_them(data_dir: Path) -> None:
    log = RunLog(data_dir)
    steps = "[('scale', StandardScaler()), ('model', Ridge(alpha=2.0))]"
    fitted = {"model__alpha": 2.0, "steps": steps, "model": "Ridge(\n    alpha=2.0)", "scale": "StandardScaler()"}
    log_run(log, {**fitted, "memory": None, "scale__copy": True})
    shown = show(log.find(1), log.list_gates(1))
    assert shown.endswith(
        "\nparameters:\n"
        "  memory: None\n"
        "  model: Ridge( alpha=2.0)\n"
        "    alpha: 2.0\n"
        "  scale: StandardScaler()\n"
        "    copy: True"
    )


def test_runs_are_compared_by_their_scores_and_by_what_differs_alone(
    data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for options in (["--seed", "1"], ["--seed", "2", "--estimator", "gaussian_nb"]):
        assert main(["train", str(IRIS_CSV), "Species", "--drop", "Id", "--data-dir", str(data_dir), *options]) == 0
    capsys.readouterr()
    assert main(["compare", "1", "2", "--data-dir", str(data_dir)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["1", "2"]
    told = {line.split("  ")[0].strip(): line.split()[-2:] for line in lines[1:]}
    assert {"score train (accuracy)", "score test (accuracy)", "seed"} <= set(told)
    assert told["model"] == ["log_reg_1", "gaussian_nb_2"]
    assert told["estimator"] == ["log_reg", "gaussian_nb"]
    assert not {"dataset", "rows", "target", "test_share"} & set(told)


def list_rows(text: str) -> dict[str, list[str]]:
    """Return the values of each row of a comparison, which stand two blanks or more apart."""
    split = [re.split(r" {2,}", line.strip()) for line in text.splitlines()[1:]]
    return {name: values for name, *values in split}


def log_run(log: RunLog, parameters: dict[str, Any]) -> None:
    with log.begin(attrs.evolve(CONFIG, parameters=parameters)) as run_id:
        log.fail(run_id, "never meant to finish")


def test_steps_of_one_kind_are_compared_by_their_own_parameters_and_others_whole(data_dir: Path) -> None:
    log = RunLog(data_dir)
    scaled: dict[str, Any] = {"steps": "[('scale', StandardScaler()), ('model', Ridge())]", "scale": "StandardScaler()"}
    scaled |= {"scale__with_std": True, "model": "Ridge(alpha=1.0)", "model__alpha": 1.0, "model__tol": 1e-08}
    filled = {"steps": "[('fill', SimpleImputer())]", "fill": "SimpleImputer(\n    strategy='median')"}
    for parameters in (
        scaled,
        {**scaled, "model": "Ridge(alpha=2.0)", "model__alpha": 2.0},
        {**filled, "fill__strategy": "median", "model": "SVR(C=1.0)", "model__C": 1.0},
        {**scaled, "model__tol": 1e-07},
    ):
        log_run(log, parameters)
    first, second, third, fourth = log.list()
    assert list_rows(compare([first, second]))["parameter model__alpha"] == ["1.0", "2.0"]
    assert list_rows(compare([first, fourth]))["parameter model__tol"] == ["1e-08", "1e-07"]
    parts = {name: values for name, values in list_rows(compare([first, third])).items() if "parameter" in name}
    assert parts == {
        "parameter scale": ["StandardScaler()", "-"],
        "parameter model": ["Ridge(alpha=1.0)", "SVR(C=1.0)"],
        "parameter fill": ["-", "SimpleImputer( strategy='median')"],
    }


@pytest.mark.parametrize(("columns", "longest"), [(2, 40), (4, 22), (5, 22)])
def test_four_runs_stand_abreast_in_120_characters_and_more_below_them(
    data_dir: Path, columns: int, longest: int
) -> None:
    log = RunLog(data_dir)
    for number in range(columns):
        log_run(log, {"note": f"{number}" * 100})
    compared = compare(log.list())
    assert max(map(len, compared.splitlines())) <= 120
    assert [line.split() for line in compared.splitlines() if line[:1] == " "] == [
        [str(number + 1) for number in range(columns)[first : first + 4]] for first in range(0, columns, 4)
    ]
    noted = [cell for line in compared.splitlines() if "note" in line for cell in line.split()[2:]]
    assert [cell[0] for cell in noted] == [str(number) for number in range(columns)]
    assert {len(cell) for cell in noted} == {longest}
    assert all(cell.endswith("...") for cell in noted)


def test_values_are_not_clipped_to_nothing_by_a_name_that_is_long(data_dir: Path) -> None:
    for value in ("x" * 12, "y" * 13):
        log_run(RunLog(data_dir), {"deep__" * 20: value})
    assert list_rows(compare(RunLog(data_dir).list()))["parameter " + "deep__" * 20] == ["x" * 12, "y" * 9 + "..."]


@pytest.mark.parametrize("command", [["show", "7"], ["compare", "7"]])
def test_a_run_that_is_not_in_the_log_is_refused(
    data_dir: Path, capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    assert main([*command, "--data-dir", str(data_dir)]) == 1
    assert capsys.readouterr().err.startswith("refused: no run 7 in ")
