"""What is not proven or does not pass a gate is refused, told and logged, and what is served stays."""

import json
import logging
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest

from convert.compile.export import Compiled, Precision
from convert.publishing.publish import CERTIFICATE_FILE
from server.contract.signature import Feature
from server.models.catalog import load_catalog
from server.models.repository import list_versions
from tests.convert.conftest import Bench
from tests.support.conversions import CompilerHere, CompilerOfAnother, compile_here, convert, gates_of, published
from tests.support.workshop import Workshop

STUMP_MODULE = """
from sklearn.tree import DecisionTreeClassifier


def stump():
    return DecisionTreeClassifier(max_depth=1)
"""


@pytest.fixture(autouse=True)
def _here(monkeypatch: pytest.MonkeyPatch) -> None:
    compile_here(monkeypatch)


class CompilerOfAnotherLeaf(CompilerHere):
    """Compiles a tree whose smallest leaf answers otherwise than the run's."""

    def compile(self, features: tuple[Feature, ...], precision: Precision) -> Compiled:
        tree = self._left.estimator.tree_
        leaves = np.flatnonzero(tree.children_left < 0)
        tree.value[leaves[np.argmin(tree.n_node_samples[leaves])]] = 1 / 3
        return super().compile(features, precision)


class CompilerOfNoAnswer(CompilerHere):
    """Compiles a tree that has no finite answer where the table's first row comes."""

    def compile(self, features: tuple[Feature, ...], precision: Precision) -> Compiled:
        estimator = self._left.estimator
        estimator.tree_.value[estimator.apply(self._left.dataset.features.iloc[:1])] = np.nan
        return super().compile(features, precision)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


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
    assert "gate speed: FAILED: inf us for one row, 1,000,000,000 at most" in told


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
    with caplog.at_level(logging.INFO, "server.models.catalog"):
        load_catalog(bench.models_dir, threads=1)
    facts: Any = [getattr(record, "context", None) for record in caplog.records if record.message == "version loaded"]
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
    assert f"\ngate {closed}: FAILED: " in printed.err
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
        r"^gate served: FAILED: accuracy on the held-out rows 0\.\d{4}, that of iris/1 0\.9474: "
        r"lower by 0\.\d{4}, more than the tolerance of 0\.01 \(--tolerance of convert\)$",
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
    assert "gate served: FAILED: iris/1 takes other values: of 'PetalWidthCm': " in capsys.readouterr().err
    assert list_versions(workshop.models_dir) == {"iris": [1]}
    assert convert(workshop, "2", "--replace") == 0
    assert [feature.name for feature in published(workshop, 2).signature.features][-1] == "PetalLengthCm"


def test_limits_are_the_projects_and_a_flag_goes_before_them(
    workshop: Workshop, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pyproject.toml").write_text("[tool.corolla]\nlargest_bytes = 100\n")
    assert convert(workshop) == 4
    assert "gate size: FAILED: " in capsys.readouterr().err
    assert convert(workshop, "--largest-bytes", "1e6") == 0
    (tmp_path / "pyproject.toml").write_text("[tool.corolla]\nlargest_byte = 100\n")
    assert convert(workshop) == 1
    assert capsys.readouterr().err.endswith(
        "refused: pyproject.toml: [tool.corolla] has 'largest_byte': expected tolerance, least_class_score, "
        "largest_bytes, largest_row_us\n"
    )
