"""Of several runs the command publishes the fastest good one that is proven, and tells of all."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.convert.conftest import Bench
from tests.support.conversions import CompilerOfAnother, compile_here, convert, gates_of, published
from tests.support.workshop import Workshop
from training.dataset import Dataset
from training.estimators import choose_estimator
from training.runlog import Run
from training.train import train


@pytest.fixture(autouse=True)
def _here(monkeypatch: pytest.MonkeyPatch) -> None:
    compile_here(monkeypatch)


def compare_runs(data_dir: Path, table: Dataset, names: Sequence[str]) -> list[Run]:
    choices = [choose_estimator(name, table.task, table.columns[:-1]) for name in names]
    return [train(table, choice, seed=42, test_share=0.25, data_dir=data_dir, in_folds=True) for choice in choices]


def test_of_several_runs_the_fastest_close_one_is_published_and_all_are_told(
    bench: Bench, iris: Dataset, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ["log_reg", "gaussian_nb", "knn"]
    runs = compare_runs(bench.data_dir, iris, names)
    assert convert(bench, "1", "2", "3") == 0
    printed = capsys.readouterr()
    assert printed.out == f"{bench.models_dir / 'iris' / '1'}\n"
    head, *rows = printed.err.splitlines()[:4]
    assert head.split() == ["run", "mean", "deviation", "fit", "s", "KB", "us/row", "verdict"]
    told = [row.split(maxsplit=6) for row in rows]
    assert sorted(run for run, *_ in told) == sorted(run.model for run in runs)
    assert [float(mean) for _, mean, *_ in told] == sorted((float(mean) for _, mean, *_ in told), reverse=True)
    close = {run: float(row_us) for run, *_, row_us, verdict in told if "within one standard error" in verdict}
    taken = published(bench, 1)
    assert taken.model_name == min(close, key=lambda run: close[run])
    assert [run for run, *_, verdict in told if verdict.startswith("taken")] == [taken.model_name]
    assert taken.run.id == int(taken.model_name.rpartition("_")[2])
    assert gates_of(bench) == [("parity", True), ("served", True)]


def test_several_runs_of_which_none_is_close_and_proven_are_refused(
    bench: Bench, iris: Dataset, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    compile_here(monkeypatch, CompilerOfAnother)
    compare_runs(bench.data_dir, iris, ["log_reg", "log_reg"])
    assert convert(bench, "1", "2") == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.splitlines()[1].endswith(" not proven equal")
    assert printed.err.endswith(
        "refused: of the runs within one standard error of the best, none is proven equal to its estimator\n"
    )
    assert gates_of(bench) == []
    assert not bench.models_dir.exists()


def test_runs_that_were_trained_by_themselves_are_not_held_against_each_other(
    workshop: Workshop, capsys: pytest.CaptureFixture[str]
) -> None:
    assert convert(workshop, "1", "1") == 1
    assert capsys.readouterr().err == (
        "refused: several runs can be held against each other where --estimator auto has made them\n"
    )
