"""The command takes a run's id to a published version, or refuses with the reason and publishes nothing."""

import importlib
import subprocess
import sys
from collections import Counter
from pathlib import Path

import attrs
import pandas as pd
import pytest
import skops.io

from convert.cli import main
from convert.export import Compiled, export
from convert.golden import choose_golden_rows
from server.manifest import GoldenRow
from server.repository import list_versions, read_package
from server.session import Session
from server.signature import Tensor
from tests.conftest import IRIS_CSV, Workshop
from tests.convert.conftest import Bench
from tests.training.conftest import PLAN
from training.artifacts import DATASET_FILE, ESTIMATOR_FILE, load_artifacts
from training.estimators import Estimator
from training.runlog import RunLog


def convert(place: Workshop | Bench, *options: str) -> int:
    return main(["1", "--data-dir", str(place.data_dir), "--models-dir", str(place.models_dir), *options])


def assert_answers_as_its_estimator(place: Bench, name: str) -> None:
    """The published model gives the label of the run's own estimator on every row of its table."""
    package = read_package(place.models_dir / name / "1", name, 1)
    left = load_artifacts(place.data_dir / "runs" / "1", RunLog(place.data_dir).find(1))
    session = Session(package.model, package.manifest.signature)
    answers = [answer.label for answer in session.run(left.dataset.features.to_numpy())]
    assert answers == left.estimator.predict(left.dataset.features).tolist()
    assert package.manifest.parity.passed


def test_a_finished_run_is_published_and_its_folder_alone_is_printed(
    workshop: Workshop, capsys: pytest.CaptureFixture[str]
) -> None:
    assert convert(workshop) == 0
    printed = capsys.readouterr()
    assert printed.out == f"{workshop.models_dir / 'iris' / '2'}\n"
    assert printed.err.startswith("parity proven: 0 of 20300 labels differ; probabilities by at most ")
    assert printed.err.endswith("(tolerance 1e-05)\n")
    manifest = read_package(workshop.models_dir / "iris" / "2", "iris", 2).manifest
    assert Counter(known.output for known in manifest.golden) == dict.fromkeys(manifest.signature.labels, 4)
    facts = manifest.run
    run = RunLog(workshop.data_dir).find(1)
    assert (facts.id, facts.dataset_sha256, facts.test_accuracy) == (1, run.dataset_sha256, run.test_accuracy)
    assert (facts.parameters, facts.started_at) == (run.parameters, run.started_at)


def test_a_version_has_the_name_that_is_asked_for(workshop: Workshop) -> None:
    assert convert(workshop, "--name", "flowers-2") == 0
    assert list_versions(workshop.models_dir) == {"flowers-2": [1], "iris": [1]}


def test_a_model_of_whole_number_labels_goes_all_the_way(bench: Bench, tmp_path: Path) -> None:
    table = IRIS_CSV.read_text(encoding="utf-8")
    for number, species in enumerate(["Iris-setosa", "Iris-versicolor", "Iris-virginica"]):
        table = table.replace(species, str(10 - number))
    (tmp_path / "numbered.csv").write_text(table)
    assert bench.train("--drop", "Id", source=tmp_path / "numbered.csv") == 0
    assert convert(bench) == 0
    assert_answers_as_its_estimator(bench, "numbered")
    signature = read_package(bench.models_dir / "numbered" / "1", "numbered", 1).manifest.signature
    assert signature.labels == (8, 9, 10)
    assert signature.outputs[0] == Tensor("label", "INT64", (-1,))


def test_the_users_own_pipeline_goes_all_the_way(bench: Bench) -> None:
    assert bench.train("--drop", "Id", "--estimator", "convert_own_module:scaled") == 0
    assert convert(bench) == 0
    assert_answers_as_its_estimator(bench, "iris")
    manifest = read_package(bench.models_dir / "iris" / "1", "iris", 1).manifest
    assert (manifest.model_name, manifest.run.estimator) == ("scaled_1", "convert_own_module:scaled")
    assert manifest.run.parameters["logisticregression__C"] == 1.0


def test_features_of_any_name_go_all_the_way(bench: Bench, tmp_path: Path) -> None:
    names = ["sepal length (cm)", 'say ""a"": b', "花, größte", "self"]
    _, *rows = IRIS_CSV.read_text(encoding="utf-8").splitlines()
    header = ",".join(f'"{name}"' for name in ["Id", *names, "kind:"])
    (tmp_path / "names.csv").write_text("\n".join([header, *rows]), encoding="utf-8")
    assert bench.train("--drop", "Id", source=tmp_path / "names.csv", target="kind:") == 0
    assert convert(bench) == 0
    assert_answers_as_its_estimator(bench, "names")
    signature = read_package(bench.models_dir / "names" / "1", "names", 1).manifest.signature
    assert [feature.name for feature in signature.features] == [name.replace('""', '"') for name in names]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(
    "estimator", ["forest", "tree", "boosting", "neighbours", "perceptron", "imputed", "by_columns"]
)
def test_an_estimator_of_scikit_learn_is_published_or_its_parity_fails(
    bench: Bench, capsys: pytest.CaptureFixture[str], estimator: str
) -> None:
    assert bench.train("--drop", "Id", "--estimator", f"convert_own_module:{estimator}") == 0
    capsys.readouterr()
    ended = convert(bench)
    told = capsys.readouterr().err
    if ended == 0:
        assert told.startswith("parity proven: 0 of 20300 labels differ; ")
        assert_answers_as_its_estimator(bench, "iris")
    else:
        assert ended == 3
        assert told.startswith("parity FAILED: ")
        assert not bench.models_dir.exists()


def test_an_unproven_model_ends_with_exit_code_3_the_worst_rows_and_nothing_published(
    workshop: Workshop, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def export_then_change(estimator: Estimator, features: pd.DataFrame) -> Compiled:
        compiled = export(estimator, features)
        estimator.coef_ *= 1.5
        return compiled

    monkeypatch.setattr("convert.cli.export", export_then_change)
    assert convert(workshop) == 3
    printed = capsys.readouterr()
    assert printed.out == ""
    figures, head, *worst = printed.err.splitlines()
    assert figures.startswith("parity FAILED: ")
    assert head == "nothing is published; the worst rows:"
    assert len(worst) == 5 * 3
    for row, estimator, session in zip(worst[::3], worst[1::3], worst[2::3], strict=True):
        assert row.startswith("  {'SepalLengthCm': ")
        assert estimator.startswith("    estimator:      'Iris-")
        assert session.startswith("    compiled model: 'Iris-")
        assert estimator.split("'")[1] != session.split("'")[1]
    assert list_versions(workshop.models_dir) == {"iris": [1]}


@pytest.mark.parametrize(
    ("name", "message"),
    [("docs", "refused: the name 'docs' is one that the server uses itself"), ("A", "refused: expected a model name")],
)
def test_a_name_that_cannot_be_a_route_is_refused(
    workshop: Workshop, capsys: pytest.CaptureFixture[str], name: str, message: str
) -> None:
    assert convert(workshop, "--name", name) == 1
    assert capsys.readouterr().err.startswith(message)
    assert list_versions(workshop.models_dir) == {"iris": [1]}


def test_a_run_that_is_not_in_the_log_is_refused(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    assert convert(bench) == 1
    assert capsys.readouterr().err.startswith(f"refused: no run 1 in {bench.data_dir / 'database.sqlite'}")
    assert not bench.models_dir.exists()


def test_a_run_that_is_not_finished_is_refused(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    with RunLog(bench.data_dir).begin(PLAN):
        assert convert(bench) == 1
    assert convert(bench) == 1
    assert capsys.readouterr().err.splitlines() == [
        "refused: run 1 is running: expected a finished one",
        "refused: run 1 is failed: expected a finished one",
    ]


def test_rows_that_are_not_those_of_the_run_are_refused(workshop: Workshop, capsys: pytest.CaptureFixture[str]) -> None:
    rows = workshop.data_dir / "runs" / "1" / DATASET_FILE
    rows.write_bytes(rows.read_bytes().replace(b"5.1", b"5.2", 1))
    assert convert(workshop) == 1
    assert capsys.readouterr().err == f"refused: {rows}: not the rows of run 1, by their SHA-256\n"


def test_the_estimator_of_another_run_is_refused(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.train("--drop", "Id") == 0
    assert bench.train("--drop", "Id", "--drop", "SepalLengthCm") == 0
    first, second = (bench.data_dir / "runs" / run / ESTIMATOR_FILE for run in ("1", "2"))
    first.write_bytes(second.read_bytes())
    capsys.readouterr()
    assert convert(bench) == 1
    assert capsys.readouterr().err == f"refused: {first}: not the estimator of run 1, by its SHA-256\n"
    assert not bench.models_dir.exists()


def test_an_estimator_whose_coefficients_were_changed_is_refused(
    workshop: Workshop, capsys: pytest.CaptureFixture[str], estimator: Estimator
) -> None:
    estimator.coef_ *= 1.5
    file = workshop.data_dir / "runs" / "1" / ESTIMATOR_FILE
    file.write_bytes(skops.io.dumps(estimator))
    assert convert(workshop) == 1
    assert capsys.readouterr().err == f"refused: {file}: not the estimator of run 1, by its SHA-256\n"
    assert list_versions(workshop.models_dir) == {"iris": [1]}


def test_an_estimator_that_is_not_scikit_learns_own_is_a_failed_run_and_not_converted(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench.train("--drop", "Id", "--estimator", "convert_own_module:Own") == 1
    estimator = bench.data_dir / "runs" / "1" / ESTIMATOR_FILE
    assert capsys.readouterr().err.endswith(
        f"refused: run 1 failed: TrainingError: {estimator}: only types of sklearn, numpy, scipy are loaded, "
        "found convert_own_module.Own\n"
    )
    assert convert(bench) == 1
    assert capsys.readouterr().err == "refused: run 1 is failed: expected a finished one\n"


def test_a_version_that_the_server_would_refuse_is_not_published(
    workshop: Workshop, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def choose_wrong_rows(estimator: Estimator, known: pd.DataFrame) -> tuple[GoldenRow, ...]:
        first, *others = choose_golden_rows(estimator, known)
        return (*others, attrs.evolve(first, output="Iris-virginica"))

    monkeypatch.setattr("convert.cli.choose_golden_rows", choose_wrong_rows)
    assert convert(workshop) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.endswith("refused: golden row 11 is not answered on this host as the estimator answered it\n")
    assert list_versions(workshop.models_dir) == {"iris": [1]}
    assert sorted(path.name for path in (workshop.models_dir / "iris").iterdir()) == [".staging", "1"]


def test_an_estimator_that_cannot_answer_its_own_rows_is_refused(
    workshop: Workshop, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def export_and_break(estimator: Estimator, features: pd.DataFrame) -> Compiled:
        compiled = export(estimator, features)
        del estimator.coef_
        return compiled

    monkeypatch.setattr("convert.cli.export", export_and_break)
    assert convert(workshop) == 1
    assert capsys.readouterr().err.startswith("refused: the estimator cannot answer its own rows: AttributeError: ")
    assert list_versions(workshop.models_dir) == {"iris": [1]}


def test_a_models_directory_that_cannot_be_used_is_refused(
    workshop: Workshop, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    assert convert(workshop, "--models-dir", str(tmp_path / "file")) == 1
    assert capsys.readouterr().err.splitlines()[1] == f"refused: [Errno 20] Not a directory: '{tmp_path}/file/iris'"


def test_the_command_runs_only_where_it_is_called() -> None:
    importlib.import_module("convert.__main__")


def test_the_room_is_a_command_with_help() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "convert", "--help"], capture_output=True, text=True, check=True, timeout=60
    )
    assert "the run's id, as `python -m training runs` lists it" in ended.stdout
    assert ended.stderr == ""


def test_an_id_that_is_no_number_ends_with_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ending:
        main(["log_reg_1"])
    assert ending.value.code == 2
    assert "argument RUN_ID: invalid int value: 'log_reg_1'" in capsys.readouterr().err
