"""The command takes a run's id to a published version, or refuses with the reason and publishes nothing."""

import importlib
import json
import logging
import re
import runpy
import sqlite3
import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
import skops.io

from convert.answers import to_rows
from convert.cli import main
from convert.comparison import Comparison
from convert.export import Compiled, Precision
from convert.golden import choose_golden_rows
from convert.publish import CERTIFICATE_FILE
from server.catalog import load_catalog
from server.manifest import GoldenRow, Manifest
from server.repository import REPORT_FILE, list_versions, read_package, read_report
from server.session import Session
from server.signature import Tensor
from tests.conftest import IRIS_CSV, Workshop
from tests.convert.conftest import Bench
from tests.convert.conversions import FEW_ROWS, CompilerHere, compile_here, convert
from tests.training.conftest import PLAN
from training.artifacts import DATASET_FILE, ESTIMATOR_FILE, Artifacts, load_artifacts
from training.dataset import Dataset
from training.estimators import Estimator, choose_estimator
from training.runlog import Run, RunLog
from training.train import train

STUMP_MODULE = """
from sklearn.tree import DecisionTreeClassifier


def stump():
    return DecisionTreeClassifier(max_depth=1)
"""
IRIS_KINDS = ("known, alone", "known", "in the training range", "at the ends", "extreme")


@pytest.fixture(autouse=True)
def _here(monkeypatch: pytest.MonkeyPatch) -> None:
    compile_here(monkeypatch)


class CompilerOfAnother(CompilerHere):
    """Compiles a logistic regression that is surer of itself than the run's."""

    def compile(self, precision: Precision) -> Compiled:
        self._left.estimator[-1].coef_ *= 1.5
        return super().compile(precision)


class CompilerOfAnotherLeaf(CompilerHere):
    """Compiles a tree whose smallest leaf answers otherwise than the run's."""

    def compile(self, precision: Precision) -> Compiled:
        tree = self._left.estimator.tree_
        leaves = np.flatnonzero(tree.children_left < 0)
        tree.value[leaves[np.argmin(tree.n_node_samples[leaves])]] = 1 / 3
        return super().compile(precision)


class CompilerOfNoAnswer(CompilerHere):
    """Compiles a tree that has no finite answer where the table's first row comes."""

    def compile(self, precision: Precision) -> Compiled:
        estimator = self._left.estimator
        estimator.tree_.value[estimator.apply(self._left.dataset.features.iloc[:1])] = np.nan
        return super().compile(precision)


def gates_of(place: Workshop | Bench) -> list[tuple[str, bool]]:
    """Gives what the log says of gates: the name, and whether it was open."""
    with closing(sqlite3.connect(place.data_dir / "database.sqlite")) as database:
        if not database.execute("SELECT 1 FROM sqlite_master WHERE name = 'gates'").fetchone():
            return []
        found = database.execute("SELECT name, passed FROM gates WHERE run_id > 0 ORDER BY rowid").fetchall()
    return [(name, bool(passed)) for name, passed in found]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def published(place: Workshop | Bench, number: int) -> Manifest:
    return read_package(place.models_dir / "iris" / str(number), "iris", number).manifest


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
    assert parity == f"gate parity: open: 0 of {rows} rows differ, 0 allowed"
    assert served.startswith("gate served: open: accuracy on the held-out rows 0.9211, that of iris/1 0.9211")
    manifest = published(workshop, 2)
    known = Counter(golden.output for golden in manifest.golden)
    assert known.keys() == set(manifest.signature.labels)
    assert all(2 <= count <= 4 for count in known.values())
    facts = manifest.run
    run = RunLog(workshop.data_dir).find(1)
    assert (facts.id, facts.dataset_sha256, facts.test_score) == (1, run.dataset_sha256, run.test_accuracy)
    assert (facts.metric, facts.train_score) == ("accuracy", run.train_accuracy)
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


def test_an_unproven_model_ends_with_exit_code_3_the_worst_rows_and_nothing_published(
    workshop: Workshop, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    compile_here(monkeypatch, CompilerOfAnother)
    before = contents(workshop.models_dir)
    # Of what is closed too the parity goes before the size.
    assert convert(workshop, "--largest-bytes", "1") == 3
    printed = capsys.readouterr()
    assert printed.out == ""
    lines = printed.err.splitlines()
    assert re.match(r"float32: \d+ of \d+ rows differ, \d+ of them in the label; a number by \S+e-0\d, ", lines[0])
    assert lines[1].startswith("float64: ")
    verdict = next(place for place, line in enumerate(lines) if line.startswith("parity FAILED: "))
    head, *worst = lines[verdict + 1 : verdict + 2 + 5 * 3]
    assert head == "nothing is published; the worst rows:"
    for row, estimator, session in zip(worst[::3], worst[1::3], worst[2::3], strict=True):
        assert re.match(r"  [a-z, ]+: \{'SepalLengthCm': ", row)
        assert estimator.startswith("    estimator:      'Iris-")
        assert session.startswith("    compiled model: 'Iris-")
        assert estimator.partition(":")[2].strip() != session.partition(":")[2].strip()
    assert lines[-1] == "nothing is published; what is served stays"
    assert gates_of(workshop)[2:] == [("parity", False), ("served", True), ("size", False)]
    assert contents(workshop.models_dir) == before


def test_a_model_that_does_not_answer_the_first_row_is_one_that_is_not_proven(
    bench: Bench, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    compile_here(monkeypatch, CompilerOfNoAnswer)
    assert bench.train("--drop", "Id", "--estimator", "decision_tree") == 0
    assert convert(bench, "--largest-row-us", "1e9") == 3
    told = capsys.readouterr().err
    assert "    compiled model: no finite answer\n" in told
    assert "gate speed: CLOSED: inf us for one row, 1,000,000,000 at most" in told


def test_as_many_mismatches_as_are_allowed_are_published_and_told_wherever_the_version_is(
    bench: Bench,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    compile_here(monkeypatch, CompilerOfAnotherLeaf)
    assert bench.train("--drop", "Id", "--estimator", "decision_tree") == 0
    assert convert(bench) == 3
    found = re.search(r"parity FAILED: (\d+) of", capsys.readouterr().err)
    assert found is not None
    mismatches = int(found[1])
    assert convert(bench, "--allow-mismatch", str(mismatches - 1)) == 3
    assert not bench.models_dir.exists()
    capsys.readouterr()
    assert convert(bench, "--allow-mismatch", str(mismatches + 1)) == 0
    told = capsys.readouterr().err
    assert f"parity NOT proven, and accepted knowingly: {mismatches} of " in told
    assert "\nthe worst rows:\n" in told
    parity = published(bench, 1).parity
    assert (parity.mismatches, parity.allowed_mismatches) == (mismatches, mismatches + 1)
    record = json.loads((bench.models_dir / "iris" / "1" / CERTIFICATE_FILE).read_bytes())
    assert record["parity"]["allowed_mismatches"] == mismatches + 1
    assert sum(compared["mismatches"] for compared in record["compared"]) == mismatches
    assert [rung["fault"] is None for rung in record["rungs"]].count(True) == 1
    with caplog.at_level(logging.INFO, "server.catalog"):
        load_catalog(bench.models_dir, threads=1)
    facts: Any = [getattr(record, "facts", None) for record in caplog.records if record.message == "version loaded"]
    assert facts[-1]["accepted_mismatches"] == mismatches
    assert [passed for name, passed in gates_of(bench) if name == "parity"] == [False, False, True]


@pytest.mark.parametrize(
    ("options", "closed"),
    [
        (("--largest-bytes", "100"), "size"),
        (("--largest-row-us", "0"), "speed"),
        (("--least-class-score", "0.99"), "class Iris-virginica"),
    ],
)
def test_a_closed_gate_ends_with_exit_code_4_is_logged_and_leaves_what_is_served(
    workshop: Workshop, capsys: pytest.CaptureFixture[str], options: Sequence[str], closed: str
) -> None:
    before = contents(workshop.models_dir)
    assert convert(workshop, *options) == 4
    printed = capsys.readouterr()
    assert printed.out == ""
    assert f"\ngate {closed}: CLOSED: " in printed.err
    assert printed.err.endswith("\nnothing is published; what is served stays\n")
    assert contents(workshop.models_dir) == before
    assert (closed, False) in gates_of(workshop)[2:]
    assert gates_of(workshop)[2:4] == [("parity", True), ("served", True)]


def test_a_worse_model_than_the_served_one_is_published_only_where_the_tolerance_allows_it(
    workshop: Workshop, bench: Bench, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "stump_module.py").write_text(STUMP_MODULE)
    stump = attrs.evolve(bench, data_dir=workshop.data_dir, models_dir=workshop.models_dir)
    assert stump.train("--drop", "Id", "--estimator", "stump_module:stump") == 0
    capsys.readouterr()
    assert convert(workshop, "2") == 4
    assert re.search(
        r"^gate served: CLOSED: accuracy on the held-out rows 0\.\d{4}, that of iris/1 0\.9211: "
        r"lower by 0\.\d{4}, more than the tolerance of 0\.01$",
        capsys.readouterr().err,
        re.MULTILINE,
    )
    assert list_versions(workshop.models_dir) == {"iris": [1]}
    assert convert(workshop, "2", "--tolerance", "0.5") == 0
    assert published(workshop, 2).model_name == "stump_2"


def test_a_model_of_other_features_replaces_the_served_one_only_where_that_is_said(
    workshop: Workshop, bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    fewer = attrs.evolve(bench, data_dir=workshop.data_dir, models_dir=workshop.models_dir)
    assert fewer.train("--drop", "Id", "--drop", "PetalWidthCm") == 0
    capsys.readouterr()
    assert convert(workshop, "2") == 4
    assert "gate served: CLOSED: iris/1 takes other values: of 'PetalWidthCm': " in capsys.readouterr().err
    assert list_versions(workshop.models_dir) == {"iris": [1]}
    assert convert(workshop, "2", "--replace") == 0
    assert [feature.name for feature in published(workshop, 2).signature.features][-1] == "PetalLengthCm"


def test_limits_are_the_projects_and_a_flag_goes_before_them(
    workshop: Workshop, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pyproject.toml").write_text("[tool.corolla]\nlargest_bytes = 100\n")
    assert convert(workshop) == 4
    assert "gate size: CLOSED: " in capsys.readouterr().err
    assert convert(workshop, "--largest-bytes", "1e6") == 0
    (tmp_path / "pyproject.toml").write_text("[tool.corolla]\nlargest_byte = 100\n")
    assert convert(workshop) == 1
    assert capsys.readouterr().err.endswith(
        "refused: pyproject.toml: [tool.corolla] has 'largest_byte': expected tolerance, least_class_score, "
        "largest_bytes, largest_row_us\n"
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("log_reg_1",), "argument RUN_ID: invalid int value: 'log_reg_1'"),
        ((), "the following arguments are required: RUN_ID"),
        (("1", "--allow-mismatch", "-1"), "argument --allow-mismatch: expected a whole number from 0, got -1"),
        (("1", "--allow-mismatch", "0.5"), "argument --allow-mismatch: expected a whole number from 0, got 0.5"),
        (("1", "--tolerance", "-0.1"), "argument --tolerance: expected a number from 0, got -0.1"),
        (("1", "--tolerance", "abc"), "argument --tolerance: expected a number from 0, got abc"),
        (("1", "--largest-bytes", "nan"), "argument --largest-bytes: expected a number from 0, got nan"),
    ],
)
def test_wrong_arguments_end_with_exit_code_2(
    capsys: pytest.CaptureFixture[str], options: Sequence[str], message: str
) -> None:
    with pytest.raises(SystemExit) as ending:
        main(options)
    assert ending.value.code == 2
    assert message in capsys.readouterr().err


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
    monkeypatch.setattr("convert.parity.choose_golden_rows", choose_wrong_rows)
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

    monkeypatch.setattr("convert.candidate.load_artifacts", load_and_break)
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


def test_the_command_runs_only_where_it_is_called(
    workshop: Workshop, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    importlib.import_module("convert.__main__")
    monkeypatch.delitem(sys.modules, "convert.__main__")
    places = ["--data-dir", str(workshop.data_dir), "--models-dir", str(workshop.models_dir)]
    for arguments, code in ((["1"], 0), (["2"], 1)):
        monkeypatch.setattr(sys, "argv", ["convert", *arguments, *places])
        with pytest.raises(SystemExit) as ending:
            runpy.run_module("convert", run_name="__main__")
        assert ending.value.code == code
    assert capsys.readouterr().out == f"{workshop.models_dir / 'iris' / '2'}\n"


def test_the_command_tells_what_it_takes(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ending:
        main(["--help"])
    assert ending.value.code == 0
    printed = capsys.readouterr()
    told = " ".join(printed.out.split())
    assert "the run's id, as `python -m training runs` lists it" in told
    assert "or largest_row_us in [tool.corolla]" in told
    assert printed.err == ""
