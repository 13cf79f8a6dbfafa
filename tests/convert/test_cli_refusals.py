"""The command refuses, with the reason, runs that are not what they should be, and publishes nothing of them."""

from pathlib import Path

import attrs
import pytest
import skops.io

from convert.parity.comparison import Comparison
from convert.parity.golden import choose_golden_rows
from server.contract.manifest import GoldenRow
from server.models.repository import list_versions
from tests.convert.conftest import Bench
from tests.support.conversions import compile_here, convert
from tests.support.workshop import Workshop
from tests.training.conftest import CONFIG
from training.artifacts import DATASET_FILE, ESTIMATOR_FILE, Artifacts, load_artifacts
from training.estimators import Estimator
from training.runlog import Run, RunLog


@pytest.fixture(autouse=True)
def _here(monkeypatch: pytest.MonkeyPatch) -> None:
    compile_here(monkeypatch)


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
    with RunLog(bench.data_dir).begin(CONFIG):
        assert convert(bench) == 1
    assert convert(bench) == 1
    assert capsys.readouterr().err.splitlines() == [
        "refused: run 1 is running: expected a finished one",
        "refused: run 1 is failed: expected a finished one; its reason: the trainer ended before it had finished",
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
    estimator[-1].coef_ *= 1.5
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
    reason = f"TrainingError: {estimator}: only types of sklearn, numpy, scipy are loaded, found convert_own_module.Own"
    assert capsys.readouterr().err == f"refused: run 1 is failed: expected a finished one; its reason: {reason}\n"


def test_a_version_that_the_server_would_refuse_is_not_published(
    workshop: Workshop, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def choose_wrong_rows(compared: Comparison) -> tuple[GoldenRow, ...]:
        first, *others = choose_golden_rows(compared)
        last.append(len(others))
        return (*others, attrs.evolve(first, output="Iris-virginica"))

    last: list[int] = []
    monkeypatch.setattr("convert.parity.proof.choose_golden_rows", choose_wrong_rows)
    assert convert(workshop) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.endswith(
        f"refused: golden row {last[0]} is not answered on this host as the estimator answered it\n"
    )
    assert list_versions(workshop.models_dir) == {"iris": [1]}
    assert sorted(path.name for path in (workshop.models_dir / "iris").iterdir()) == [".staging", "1"]


def test_an_estimator_that_cannot_answer_its_own_rows_is_refused(
    workshop: Workshop, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def load_and_break(folder: Path, run: Run) -> Artifacts:
        left = load_artifacts(folder, run)
        del left.estimator[-1].coef_
        return left

    monkeypatch.setattr("convert.publishing.candidate.load_artifacts", load_and_break)
    assert convert(workshop) == 1
    assert capsys.readouterr().err.startswith(
        "refused: float32: the estimator cannot answer its own rows: AttributeError: "
    )
    assert list_versions(workshop.models_dir) == {"iris": [1]}


def test_a_models_directory_that_cannot_be_used_is_refused(
    workshop: Workshop, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    assert convert(workshop, "--models-dir", str(tmp_path / "file")) == 1
    assert capsys.readouterr().err.splitlines()[-1] == f"refused: [Errno 20] Not a directory: '{tmp_path}/file/iris'"
