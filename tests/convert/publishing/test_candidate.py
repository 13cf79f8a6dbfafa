"""Of several runs the fastest is taken that is proven and within one standard error of the best; no other ever is."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs
import onnxruntime
import pytest

import convert.publishing.selection
from convert.cli import main
from convert.compile.export import Compiled, Precision
from convert.errors import ConvertError
from convert.publishing.candidate import Candidate, make_candidate
from convert.publishing.precision import Attempt, SearchResult
from convert.publishing.selection import ComparedRun, compare_runs, select_fastest
from server.contract.signature import Feature
from tests.support.conversions import CompilerHere, compile_here
from tests.support.workshop import Workshop
from training.artifacts import ESTIMATOR_FILE, Artifacts
from training.dataset import Dataset
from training.estimators import choose_estimator
from training.runlog import Run, RunLog
from training.train import train

NOT_COMPARABLE = "^several runs can be held against each other where --estimator auto has made them$"
OWN = "tests.support.unconvertible:make"
NAMES = ("log_reg", "decision_tree", "gaussian_nb", OWN)


@attrs.frozen
class Compared:
    """Runs on Iris that were cross-validated, of `NAMES` in this order."""

    data_dir: Path
    runs: tuple[Run, ...]


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory, iris: Dataset) -> Compared:
    data_dir = tmp_path_factory.mktemp("compared")
    choices = [choose_estimator(name, iris.task, iris.columns[:-1]) for name in NAMES]
    runs = [train(iris, choice, seed=42, test_share=0.25, data_dir=data_dir, in_folds=True) for choice in choices]
    return Compared(data_dir, tuple(runs))


@pytest.fixture
def candidate(iris_workshop: Workshop, artifacts: Artifacts, result: SearchResult) -> Candidate:
    run = RunLog(iris_workshop.data_dir).find(1)
    return Candidate(run, artifacts, result, row_us=10.0)


def with_folds(run: Run, **folds: Any) -> Run:
    metrics = run.metrics or {}
    return attrs.evolve(run, metrics=metrics | {"folds": metrics["folds"] | folds})


def compared_runs(candidate: Candidate, *facts: tuple[float, bool, str | None]) -> Sequence[ComparedRun]:
    """Return compared runs with these times for a row, closeness and faults."""
    return [
        ComparedRun(candidate.run, attrs.evolve(candidate, row_us=row_us), is_close, fault)
        for row_us, is_close, fault in facts
    ]


def test_a_candidate_is_compiled_proven_and_timed(compared: Compared, monkeypatch: pytest.MonkeyPatch) -> None:
    compile_here(monkeypatch)
    candidate = make_candidate(compared.data_dir, compared.runs[0], 0)
    assert candidate.passed
    assert candidate.row_us > 0
    assert candidate.metric == "accuracy"
    kinds = [kind.kind for kind in candidate.result.proof.certificate.compared]
    assert kinds == ["known, alone", "known", "in the training range", "at boundary values", "extreme"]
    assert candidate.result.attempts == (Attempt("float32", None),)


def test_the_fastest_of_those_that_are_close_and_proven_is_taken(candidate: Candidate) -> None:
    comparison = compared_runs(
        candidate,
        (1.0, False, None),  # the fastest, and worse
        (2.0, True, "not proven equal"),
        (4.0, True, None),
        (3.0, True, None),
        (9.0, True, None),
    )
    assert select_fastest(comparison) is comparison[3].candidate


def test_where_none_is_close_and_proven_none_is_taken(candidate: Candidate) -> None:
    comparison = [
        *compared_runs(candidate, (1.0, False, None), (2.0, True, "not proven equal")),
        ComparedRun(candidate.run, None, is_close=True, fault="cannot be compiled"),
    ]
    assert select_fastest(comparison) is None


def test_each_run_of_a_comparison_is_compiled_or_has_a_fault(
    compared: Compared, monkeypatch: pytest.MonkeyPatch
) -> None:
    compile_here(monkeypatch)
    comparison = compare_runs(compared.data_dir, compared.runs, 0)
    assert [one_run.run for one_run in comparison] == list(compared.runs)
    *able, unable = comparison
    for one_run in able:
        assert one_run.candidate is not None
        assert (one_run.fault, one_run.candidate.passed) == (None, True)
    assert unable.candidate is None
    assert unable.fault is not None
    assert unable.fault.startswith("float32: skl2onnx cannot compile LabelPropagation: ")
    taken = select_fastest(comparison)
    assert taken is not None
    assert taken.row_us == min(one.candidate.row_us for one in able if one.is_close and one.candidate is not None)


def test_every_candidate_has_the_least_of_several_times(compared: Compared, monkeypatch: pytest.MonkeyPatch) -> None:
    """The measured times are given, as a busy host might measure them."""
    compile_here(monkeypatch)
    shown = iter([0.9, 0.5, 0.8, 0.4, 0.7, 0.3, 0.6, 0.2, 0.9, 0.9])
    monkeypatch.setattr(convert.publishing.selection, "measure_row", lambda *_: next(shown))
    comparison = compare_runs(compared.data_dir, compared.runs[:2], 0)
    assert [one.candidate.row_us for one in comparison if one.candidate] == [0.6, 0.2]


def test_a_run_is_close_down_to_one_standard_error_of_the_best(
    compared: Compared, monkeypatch: pytest.MonkeyPatch
) -> None:
    compile_here(monkeypatch)
    runs = [
        with_folds(run, mean=mean, standard_error=error)
        for run, mean, error in zip(compared.runs[:3], (0.75, 0.5, 0.4999), (0.25, 0.1, 0.5), strict=True)
    ]
    assert [one_run.is_close for one_run in compare_runs(compared.data_dir, runs, 0)] == [True, True, False]


def test_a_close_run_whose_proof_fails_has_a_fault(compared: Compared, monkeypatch: pytest.MonkeyPatch) -> None:
    class CompilerOfAnother(CompilerHere):
        def compile(self, features: tuple[Feature, ...], precision: Precision) -> Compiled:
            self._left.estimator[-1].coef_ *= 1.5
            return super().compile(features, precision)

    compile_here(monkeypatch, CompilerOfAnother)
    (one_run,) = compare_runs(compared.data_dir, compared.runs[:1], 0)
    assert one_run.candidate is not None
    assert not one_run.candidate.passed
    assert (one_run.is_close, one_run.fault) == (True, "not proven equal")
    assert [attempt.fault is None for attempt in one_run.candidate.result.attempts] == [False, False]
    (accepted,) = compare_runs(compared.data_dir, compared.runs[:1], 10_000)
    assert accepted.fault is None


def test_a_comparison_makes_one_session_of_each_model_and_one_of_what_is_published(
    compared: Compared, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    compile_here(monkeypatch)
    made: list[bytes] = []
    make = onnxruntime.InferenceSession

    def make_and_note(model: bytes, *options: Any, **more: Any) -> onnxruntime.InferenceSession:
        made.append(model)
        return make(model, *options, **more)

    monkeypatch.setattr(onnxruntime, "InferenceSession", make_and_note)
    places = ["--data-dir", str(compared.data_dir), "--models-dir", str(tmp_path)]
    assert main([*(str(run.id) for run in compared.runs[:3]), *places]) == 0
    assert len(made) == 4
    assert len(set(made[:3])) == 3
    assert made[3] in made[:3]


def test_runs_that_were_not_cross_validated_are_not_held_against_each_other(
    compared: Compared, iris_workshop: Workshop
) -> None:
    alone = RunLog(iris_workshop.data_dir).find(1)
    assert alone.dataset_sha256 == compared.runs[0].dataset_sha256
    for other in (alone, attrs.evolve(alone, metrics=None)):
        with pytest.raises(ConvertError, match=NOT_COMPARABLE):
            compare_runs(compared.data_dir, (compared.runs[0], other), 0)


@pytest.mark.parametrize("change", [{"dataset_sha256": "00"}, {"task": "regression"}, {"seed": 7}, {"test_share": 0.5}])
def test_runs_of_other_tables_or_tasks_are_not_held_against_each_other(
    compared: Compared, change: dict[str, Any]
) -> None:
    first, second, *_ = compared.runs
    with pytest.raises(ConvertError, match=NOT_COMPARABLE):
        compare_runs(compared.data_dir, (first, attrs.evolve(second, **change)), 0)


def test_a_run_whose_files_are_not_sound_has_a_fault(
    compared: Compared, workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    compile_here(monkeypatch)
    estimator = workshop.data_dir / "runs" / "1" / ESTIMATOR_FILE
    estimator.write_bytes(b"")
    (one_run,) = compare_runs(workshop.data_dir, compared.runs[:1], 0)
    assert one_run.candidate is None
    assert "not the estimator of run 1" in str(one_run.fault)
