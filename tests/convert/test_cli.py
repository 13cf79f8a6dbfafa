"""The command takes a run's id to a published version; it takes what it tells of, and no other arguments."""

import runpy
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from convert.cli import main
from convert.parity.answers import to_rows
from convert.publishing.publish import CERTIFICATE_FILE
from server.contract.signature import Tensor
from server.models.repository import REPORT_FILE, list_versions, read_package, read_report
from server.models.session import Session
from tests.convert.conftest import Bench
from tests.support.conversions import FEW_ROWS, compile_here, convert, gates_of, published
from tests.support.workshop import IRIS_CSV, Workshop
from training.artifacts import load_artifacts
from training.runlog import RunLog

IRIS_KINDS = ("known, alone", "known", "in the training range", "at boundary values", "extreme")


@pytest.fixture(autouse=True)
def _here(monkeypatch: pytest.MonkeyPatch) -> None:
    compile_here(monkeypatch)


def assert_answers_as_its_estimator(place: Bench, name: str) -> None:
    """The published model gives the label of the run's own estimator on every row of its table."""
    package = read_package(place.models_dir / name / "1", name, 1)
    left = load_artifacts(place.data_dir / "runs" / "1", RunLog(place.data_dir).find(1))
    session = Session(package.model, package.manifest.signature)
    answers = [answer.label for answer in session.run(to_rows(left.dataset.features))]
    assert answers == left.estimator.predict(left.dataset.features).tolist()
    assert package.manifest.parity.passed


def test_a_finished_run_is_published_and_its_folder_alone_is_printed(
    workshop: Workshop, capsys: pytest.CaptureFixture[str]
) -> None:
    assert convert(workshop) == 0
    printed = capsys.readouterr()
    assert printed.out == f"{workshop.models_dir / 'iris' / '2'}\n"
    rung, _, *kinds, verdict, parity, served = printed.err.splitlines()
    assert rung == "float32: taken"
    assert [line.strip().startswith(kind) for line, kind in zip(kinds, IRIS_KINDS, strict=True)] == [True] * 5
    rows = 2 * 150 + FEW_ROWS + 288
    assert verdict.startswith(f"parity proven: 0 of {rows} rows differ (tolerance 1e-05); with its neighbours ")
    assert parity == f"gate parity: passed: 0 of {rows} rows differ, 0 allowed"
    assert served.startswith("gate served: passed: accuracy on the held-out rows 0.9474, that of iris/1 0.9474")
    manifest = published(workshop, 2)
    known = Counter(golden.output for golden in manifest.golden)
    assert known.keys() == set(manifest.signature.labels)
    assert all(2 <= count <= 4 for count in known.values())
    facts = manifest.run
    run = RunLog(workshop.data_dir).find(1)
    assert (facts.id, facts.dataset_sha256, facts.test_score) == (1, run.dataset_sha256, run.score("test"))
    assert (facts.metric, facts.train_score) == ("accuracy", run.score("train"))
    assert (facts.parameters, facts.started_at) == (run.parameters, run.started_at)
    # Once by the workshop's own conversion, once by this one.
    assert gates_of(workshop) == [("parity", True), ("served", True)] * 2


def test_20000_rows_are_asked_of_what_a_child_compiled_and_a_page_is_drawn(iris_workshop: Workshop) -> None:
    manifest = published(iris_workshop, 1)
    assert manifest.parity.rows == 20588
    assert Counter(golden.output for golden in manifest.golden) == dict.fromkeys(manifest.signature.labels, 4)
    assert manifest.files.keys() == {"model.onnx", CERTIFICATE_FILE, REPORT_FILE}
    assert b"<svg" in read_report(iris_workshop.version_dir, manifest)


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
        assert "\nparity proven: 0 of " in told
        assert_answers_as_its_estimator(bench, "iris")
    else:
        assert ended == 3
        assert "\nparity FAILED: " in told
        assert not bench.models_dir.exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("log_reg_1",), "'RUN_ID...': 'log_reg_1' is not a valid integer"),
        ((), "Missing argument 'RUN_ID...'."),
        (("1", "--allow-mismatch", "-1"), "'--allow-mismatch': -1 is not in the range x>=0."),
        (("1", "--allow-mismatch", "0.5"), "'--allow-mismatch': '0.5' is not a valid integer"),
        (("1", "--tolerance", "-0.1"), "'--tolerance': -0.1 is not in the range x>=0."),
        (("1", "--tolerance", "abc"), "'--tolerance': 'abc' is not a valid float"),
        (("1", "--largest-bytes", "nan"), "'--largest-bytes': 'nan' is not a number."),
    ],
)
def test_wrong_arguments_end_with_exit_code_2(
    capsys: pytest.CaptureFixture[str], options: Sequence[str], message: str
) -> None:
    assert main(options) == 2
    assert message in capsys.readouterr().err


def test_the_command_gives_its_code_to_the_shell(
    workshop: Workshop, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    places = ["--data-dir", str(workshop.data_dir), "--models-dir", str(workshop.models_dir)]
    for arguments, code in ((["1"], 0), (["2"], 1)):
        monkeypatch.setattr(sys, "argv", ["convert", *arguments, *places])
        with pytest.raises(SystemExit) as ending:
            runpy.run_module("convert", run_name="__main__")
        assert ending.value.code == code
    assert capsys.readouterr().out == f"{workshop.models_dir / 'iris' / '2'}\n"


def test_the_command_tells_what_it_takes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    printed = capsys.readouterr()
    told = " ".join(printed.out.split())
    assert "The run's id, as `python -m training runs` lists it." in told
    assert "[default: (largest_row_us in [tool.corolla] of pyproject.toml, or none); x>=0]" in told
    assert "[default: (tolerance in [tool.corolla] of pyproject.toml, or 0.01); x>=0]" in told
    assert printed.err == ""
