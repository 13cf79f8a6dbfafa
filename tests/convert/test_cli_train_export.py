"""One command trains, converts and publishes; it takes the options of training and of convert."""

import importlib
import subprocess
import sys
from collections.abc import Sequence

import pytest

from convert.train_export import main
from tests.convert.conftest import Bench
from tests.support.conversions import CompilerOfAnother, compile_here, gates_of, published
from tests.support.server_process import ROOT
from tests.support.workshop import IRIS_CSV
from training.estimators import ESTIMATORS
from training.runlog import RunLog


@pytest.fixture(autouse=True)
def _here(monkeypatch: pytest.MonkeyPatch) -> None:
    compile_here(monkeypatch)


def train_export(bench: Bench, *options: str) -> int:
    folders = ["--data-dir", str(bench.data_dir), "--models-dir", str(bench.models_dir)]
    return main([str(IRIS_CSV), "Species", "--drop", "Id", *folders, *options])


def test_a_table_is_published_with_the_options_of_both_and_its_folder_alone_is_printed(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in (1, 2):
        assert train_export(bench, "--seed", "7", "--tolerance", "0.5") == 0
        printed = capsys.readouterr()
        assert printed.out == f"{bench.models_dir / 'iris' / str(number)}\n"
        assert printed.err.startswith("iris: 150 rows, classification\n")
        assert "\nparity proven: 0 of " in printed.err
        assert printed.err.endswith("\nserve it: just serve; then POST /iris/predict\n")
        assert (published(bench, number).run.id, published(bench, number).run.seed) == (number, 7)


def test_the_name_is_the_datasets_and_the_models(bench: Bench) -> None:
    assert train_export(bench, "--name", "lily") == 0
    assert RunLog(bench.data_dir).find(1).dataset == "lily"
    assert (bench.models_dir / "lily" / "1").is_dir()


def test_of_all_estimators_one_is_published(
    bench: Bench, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.cli.ESTIMATORS", {**ESTIMATORS, "classification": ("gaussian_nb", "knn")})
    assert train_export(bench, "--estimator", "auto") == 0
    assert capsys.readouterr().out == f"{bench.models_dir / 'iris' / '1'}\n"
    assert [run.status for run in RunLog(bench.data_dir).list()] == ["finished", "finished"]
    assert published(bench, 1).run.id in {1, 2}


def test_a_table_without_a_target_ends_with_2_and_says_how_to_name_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pets.csv", ""]) == 2
    assert "Error: name the column to predict: just train-export pets.csv TARGET\n" in capsys.readouterr().err


def test_a_table_that_is_refused_is_not_converted(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    assert train_export(bench, "--drop", "Species") == 1
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("", "refused: 'Species' is both the target and dropped\n")
    assert not bench.data_dir.exists()


def test_as_many_rows_may_differ_as_convert_is_told(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    compile_here(monkeypatch, CompilerOfAnother)
    assert train_export(bench, "--allow-mismatch", "99999") == 0
    assert published(bench, 1).parity.allowed_mismatches == 99999


@pytest.mark.parametrize(("options", "code"), [((), 3), (("--largest-bytes", "100", "--allow-mismatch", "99999"), 4)])
def test_what_is_not_proven_or_fails_a_gate_ends_with_converts_code(
    bench: Bench,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    options: Sequence[str],
    code: int,
) -> None:
    compile_here(monkeypatch, CompilerOfAnother)
    assert train_export(bench, *options) == code
    assert capsys.readouterr().out == ""
    assert RunLog(bench.data_dir).find(1).status == "finished"
    assert dict(gates_of(bench))["parity"] is (code == 4)
    assert not bench.models_dir.exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--allow-mismatch", "-1"), "'--allow-mismatch': -1 is not in the range x>=0."),
        (("--seed", "-1"), "'--seed': -1 is not in the range 0<=x<=4294967295."),
    ],
)
def test_wrong_options_of_either_end_with_2_before_any_run(
    bench: Bench, capsys: pytest.CaptureFixture[str], options: Sequence[str], message: str
) -> None:
    assert train_export(bench, *options) == 2
    assert message in capsys.readouterr().err
    assert not bench.data_dir.exists()


def test_it_is_a_command_whose_help_has_the_options_of_both(capsys: pytest.CaptureFixture[str]) -> None:
    importlib.import_module("convert.train_export")
    assert capsys.readouterr() == ("", "")
    command = [sys.executable, "-m", "convert.train_export", "--help"]
    told = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for option in ("--estimator NAME", "--data-dir PATH", "--allow-mismatch N", "--models-dir PATH"):
        assert told.count(option) == 1
