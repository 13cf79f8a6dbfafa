"""What the commands say of each task, and of many estimators at once."""

from pathlib import Path

import pytest

from training.cli import main
from training.estimators import ESTIMATORS
from training.runlog import RunLog


@pytest.fixture(autouse=True)
def _own_data(monkeypatch: pytest.MonkeyPatch, data_dir: Path) -> None:
    monkeypatch.setenv("COROLLA_DATA_DIR", str(data_dir))


@pytest.fixture
def houses(tmp_path: Path) -> Path:
    """A table of prices that follow from a size with gaps and a place; a further column tells nothing."""
    lines = ["size,place,country,price"]
    for row in range(40):
        size, place = 50 + 37 * row % 101, ("by the sea", "in town")[row % 2]
        shown = "" if row in {3, 14} else f"{size}"
        lines.append(f"{shown},{place},nowhere,{2000 * size + 30_000 * (row % 2)}.5")
    path = tmp_path / "houses.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_prices_are_learned_by_regression_and_told_in_their_unit(
    capsys: pytest.CaptureFixture[str], data_dir: Path, houses: Path
) -> None:
    assert main(["train", str(houses), "price"]) == 0
    printed = capsys.readouterr()
    run = RunLog(data_dir).find(1)
    assert run.metrics is not None
    train, test = run.metrics["train"], run.metrics["test"]
    assert printed.out == "1\n"
    assert printed.err.splitlines() == [
        "houses: 40 rows, regression",
        "  size: integer, 2 missing",
        "  place: category, 0 missing",
        "  country: category, 0 missing",
        "  price: number, 0 missing <- target",
        "warning: column 'country' has one value only, 'nowhere': it tells nothing",
        (
            f"ridge_1: R² {train['r2']:.3f} on training rows, {test['r2']:.3f} on held-out rows; mean "
            f"absolute error {test['mean_absolute_error']:.4g}, root mean squared {test['root_mean_squared_error']:.4g}"
        ),
    ]


def test_runs_of_both_tasks_stand_in_one_table_each_with_its_own_score(
    capsys: pytest.CaptureFixture[str], data_dir: Path, houses: Path
) -> None:
    assert main(["train", str(houses), "price"]) == 0
    assert main(["train", str(houses), "place", "--features", "splines"]) == 0
    capsys.readouterr()
    assert main(["runs"]) == 0
    header, *rows = capsys.readouterr().out.splitlines()
    assert header.split() == ["id", "model", "dataset", "started", "status", "score", "train", "test", "seconds"]
    for row, run, score in zip(rows, RunLog(data_dir).list(), ["r2", "accuracy"], strict=True):
        assert row.split()[1] == run.model
        assert row.split()[4:8] == ["finished", score, f"{run.score('train'):.3f}", f"{run.score('test'):.3f}"]


def test_a_regressor_is_shown_by_its_own_metrics_and_compared_by_its_own_score(
    capsys: pytest.CaptureFixture[str], data_dir: Path, houses: Path
) -> None:
    for target in ("price", "place"):
        assert main(["train", str(houses), target]) == 0
    capsys.readouterr()
    assert main(["show", "1"]) == 0
    shown = capsys.readouterr().out
    assert "columns: size (integer), place (category), country (category), price (number)\n" in shown
    assert shown.splitlines()[-4].split() == ["train", "test"]
    names = ["r2", "mean_absolute_error", "root_mean_squared_error"]
    assert [line.split()[0] for line in shown.splitlines()[-3:]] == names
    assert main(["compare", "1", "2"]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    ridge, log_reg = RunLog(data_dir).list()
    assert ["score", "test", "(r2)", f"{ridge.score('test'):.4f}", "-"] in rows
    assert ["score", "test", "(accuracy)", "-", f"{log_reg.score('test'):.4f}"] in rows


def test_whole_numbers_are_classes_or_a_quantity_as_it_is_asked_for(
    capsys: pytest.CaptureFixture[str], data_dir: Path, tmp_path: Path
) -> None:
    source = tmp_path / "stars.csv"
    source.write_text("length,stars\n" + "".join(f"{row * 37 % 101},{row % 5}\n" for row in range(60)))
    for options in ([], ["--task", "classification"], ["--task", "regression"]):
        assert main(["train", str(source), "stars", *options]) == 0
    assert [run.model for run in RunLog(data_dir).list()] == ["log_reg_1", "log_reg_2", "ridge_3"]
    assert "stars: 60 rows, regression\n" in capsys.readouterr().err


def test_the_features_that_are_asked_for_are_made(data_dir: Path, houses: Path) -> None:
    for features in ("polynomial", "splines"):
        assert main(["train", str(houses), "price", "--features", features]) == 0
    polynomial, splines = (run.parameters["columns"] for run in RunLog(data_dir).list())
    assert "PolynomialFeatures" in polynomial
    assert "SplineTransformer" in splines


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("cost", "column 'price' equals the target 'cost' in every row"),
        ("size", "the target 'size' has 2 missing values, the first in row 4"),
        ("country", "the target 'country' has one class only: 'nowhere'"),
    ],
)
def test_a_table_that_teaches_nothing_is_refused_before_any_run(
    capsys: pytest.CaptureFixture[str], data_dir: Path, houses: Path, target: str, message: str
) -> None:
    lines = [f"{line},{line.rpartition(',')[2]}\n" for line in houses.read_text().splitlines()]
    houses.write_text("".join(lines).replace("price,price", "price,cost", 1))
    assert main(["train", str(houses), target]) == 1
    printed = capsys.readouterr()
    assert printed.err.splitlines()[-1].startswith(f"refused: {message}")
    assert (printed.out, data_dir.exists()) == ("", False)


def test_auto_trains_each_estimator_and_compares_them_the_best_first(
    capsys: pytest.CaptureFixture[str], data_dir: Path, houses: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # All of them would take long; each is trained by its name elsewhere.
    monkeypatch.setattr("training.cli.ESTIMATORS", {**ESTIMATORS, "regression": ("knn", "ridge", "decision_tree")})
    assert main(["train", str(houses), "price", "--estimator", "auto"]) == 0
    printed = capsys.readouterr()
    assert printed.out == "1 2 3\n"
    runs = RunLog(data_dir).list()
    assert [run.model for run in runs] == ["knn_1", "ridge_2", "decision_tree_3"]
    means = {run.model: run.metrics["folds"]["mean"] for run in runs if run.metrics}
    header, *rows = printed.err.splitlines()[-4:]
    assert header.split() == ["run", "score", "mean", "deviation", "standard", "error", "fit", "s", "held", "out"]
    assert [row.split()[:3] for row in rows] == [
        [model, "r2", f"{means[model]:.3f}"] for model in sorted(means, key=lambda model: -means[model])
    ]


def test_an_estimator_that_fails_under_auto_is_told_of_and_the_others_go_on(
    capsys: pytest.CaptureFixture[str], data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.cli.ESTIMATORS", {**ESTIMATORS, "regression": ("knn", "decision_tree")})
    source = tmp_path / "few.csv"  # too few rows in a fold for five neighbours
    source.write_text("n,y\n" + "".join(f"{row * 37 % 101},{row}.5\n" for row in range(8)))
    assert main(["train", str(source), "y", "--estimator", "auto"]) == 0
    printed = capsys.readouterr()
    assert printed.out == "2\n"
    assert "warning: run 1 failed: ValueError: Expected n_neighbors <= n_samples_fit" in printed.err
    assert [run.status for run in RunLog(data_dir).list()] == ["failed", "finished"]


def test_auto_is_refused_where_no_estimator_can_be_trained(
    capsys: pytest.CaptureFixture[str], data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.cli.ESTIMATORS", {**ESTIMATORS, "regression": ("knn",)})
    source = tmp_path / "few.csv"
    source.write_text("n,y\n" + "".join(f"{row * 37 % 101},{row}.5\n" for row in range(8)))
    assert main(["train", str(source), "y", "--estimator", "auto"]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.endswith("refused: no estimator could be trained\n")
    assert {run.status for run in RunLog(data_dir).list()} == {"failed"}


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["a", "a", *"b" * 10], "cross-validation needs two different training rows of each class at least"),
        (["a", *"b" * 11], "class 'a' has 1 different rows: holding out 50% needs at least 2 of each class"),
        ([f"{row}.5" for row in range(6)], "cross-validation needs four different training rows at least"),
        ([f"{row}.5" for row in range(3)], "3 different rows: holding out 50% needs at least 4"),
    ],
)
def test_auto_refuses_rows_that_no_estimator_could_use_once_and_logs_no_run(
    capsys: pytest.CaptureFixture[str], data_dir: Path, tmp_path: Path, labels: list[str], message: str
) -> None:
    source = tmp_path / "few.csv"
    source.write_text("n,y\n" + "".join(f"{row * 37 % 101},{label}\n" for row, label in enumerate(labels)))
    assert main(["train", str(source), "y", "--estimator", "auto", "--test-share", "0.5"]) == 1
    printed = capsys.readouterr()
    assert printed.err.splitlines()[-1] == f"refused: {message}"
    assert printed.err.count(message) == 1
    assert (printed.out, data_dir.exists()) == ("", False)
