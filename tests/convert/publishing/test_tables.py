"""Proofs, gates and comparisons are printed on standard error; standard output stays empty."""

from collections.abc import Sequence

import attrs
import pytest

from convert.compile.export import Compiled
from convert.parity.proof import Compared, Difference, Proof
from convert.publishing.candidate import Candidate
from convert.publishing.gates import Gate
from convert.publishing.precision import Attempt, SearchResult
from convert.publishing.selection import ComparedRun
from convert.publishing.tables import print_comparison, print_gates, print_proof
from server.contract.signature import Answer
from server.models.session import Session
from tests.support.workshop import Workshop
from training.artifacts import Artifacts
from training.runlog import Run, RunLog

WORST = Difference(
    kind="in the training range",
    row={"n": 0.1, "i": None, "b": True, "c": "red"},
    estimator=Answer("a", (0.25, 0.75)),
    session=Answer("b", (1 / 3, 2 / 3)),
    difference=1 / 12,
)


@pytest.fixture
def result(compiled: Compiled, session: Session, proof: Proof) -> SearchResult:
    attempts = (Attempt("float32", "onnxruntime cannot load the model"), Attempt("float64", None))
    return SearchResult(compiled, session, proof, attempts)


def with_mismatches(result: SearchResult, worst: Difference, allowed: int = 0) -> SearchResult:
    certificate = result.proof.certificate
    parity = attrs.evolve(
        certificate.parity, label_mismatches=1, mismatches=2, max_difference=0.5, allowed_mismatches=allowed
    )
    compared = (Compared("known", 10, 2, 0, 0.5), Compared("extreme", 4, 0, 3, 0.0))
    changed = attrs.evolve(certificate, parity=parity, compared=compared, worst=(worst,))
    return attrs.evolve(result, proof=attrs.evolve(result.proof, certificate=changed))


def printed_to(capsys: pytest.CaptureFixture[str]) -> Sequence[str]:
    printed = capsys.readouterr()
    assert printed.out == ""
    return printed.err.splitlines()


def test_a_proof_is_printed_by_precision_and_by_kind_of_row(
    result: SearchResult, capsys: pytest.CaptureFixture[str]
) -> None:
    print_proof(result)
    first, second, head, alone, known, verdict = printed_to(capsys)
    assert (first, second) == ("float32: onnxruntime cannot load the model", "float64: taken")
    assert head.split() == ["rows", "asked", "differ", "refused", "largest", "difference"]
    for line, kind in ((alone, "known, alone"), (known, "known")):
        assert line.strip().startswith(kind)
        assert line.split()[-4:-1] == ["150", "0", "0"]
    assert verdict.startswith(
        "parity proven: 0 of 300 rows differ (tolerance 1e-05); with its neighbours a row's answer moves by "
    )


def test_a_proof_that_fails_is_printed_with_its_worst_rows(
    result: SearchResult, capsys: pytest.CaptureFixture[str]
) -> None:
    print_proof(with_mismatches(result, WORST))
    *_, known, extreme, verdict, head, row, estimator, session = printed_to(capsys)
    assert known.split() == ["known", "10", "2", "0", "5.0e-01"]
    assert extreme.split() == ["extreme", "4", "0", "3", "0.0e+00"]
    assert verdict.startswith("parity FAILED: 2 of 300 rows differ ")
    assert head == "nothing is published; the worst rows:"
    assert row == "  in the training range: {'n': 0.1, 'i': None, 'b': True, 'c': 'red'}"
    assert estimator == "    estimator:      'a', probabilities 0.25, 0.75"
    assert session == "    compiled model: 'b', probabilities 0.333333333, 0.666666667"


def test_an_accepted_mismatch_is_printed_as_one(result: SearchResult, capsys: pytest.CaptureFixture[str]) -> None:
    print_proof(with_mismatches(result, attrs.evolve(WORST, estimator=Answer(0.1, ()), session=None), allowed=2))
    *_, verdict, head, _, estimator, session = printed_to(capsys)
    assert verdict.startswith("parity NOT proven, and accepted knowingly: 2 of 300 rows differ ")
    assert head == "the worst rows:"
    assert estimator == "    estimator:      0.1"
    assert session == "    compiled model: no finite answer"


def test_each_gate_is_printed_and_a_failed_one_has_the_last_word(capsys: pytest.CaptureFixture[str]) -> None:
    passed_gate = Gate("parity", passed=True, found=0, limit=0, text="0 of 300 rows differ")
    failed_gate = Gate("size", passed=False, found=9, limit=8, text="9 bytes, 8 at most: 1 more")
    print_gates([passed_gate])
    assert printed_to(capsys) == ["gate parity: passed: 0 of 300 rows differ"]
    print_gates([failed_gate, passed_gate])
    assert printed_to(capsys) == [
        "gate size: FAILED: 9 bytes, 8 at most: 1 more",
        "gate parity: passed: 0 of 300 rows differ",
        "nothing is published; what is served stays",
    ]


def compared_run(
    run: Run, candidate: Candidate | None, mean: float, fault: str | None, *, is_close: bool
) -> ComparedRun:
    folds = {"mean": mean, "deviation": 0.01, "standard_error": 0.005, "fit_s": 0.25}
    named = attrs.evolve(run, model=f"run_{mean:.0%}", metrics={"folds": folds})
    return ComparedRun(named, candidate, is_close, fault)


def test_compared_runs_are_printed_the_best_first(
    iris_workshop: Workshop, artifacts: Artifacts, result: SearchResult, capsys: pytest.CaptureFixture[str]
) -> None:
    run = RunLog(iris_workshop.data_dir).find(1)
    candidate = Candidate(run, artifacts, result, row_us=12.3456)
    print_comparison(
        [
            compared_run(run, candidate, 0.5, None, is_close=False),
            compared_run(run, candidate, 0.9, None, is_close=True),
            compared_run(run, attrs.evolve(candidate), 0.85, None, is_close=True),
            compared_run(run, None, 0.8, "cannot be compiled", is_close=True),
        ],
        taken=candidate,
    )
    kilobytes = f"{len(result.compiled.model) / 1000:.3f}"
    head, *rows = printed_to(capsys)
    assert head.split() == ["run", "mean", "deviation", "fit", "s", "KB", "us/row", "verdict"]
    assert [row.split(maxsplit=6) for row in rows] == [
        ["run_90%", "0.900", "0.010", "0.250", kilobytes, "12.346", "taken: the fastest within one standard error"],
        ["run_85%", "0.850", "0.010", "0.250", kilobytes, "12.346", "within one standard error"],
        ["run_80%", "0.800", "0.010", "0.250", "-", "-", "cannot be compiled"],
        ["run_50%", "0.500", "0.010", "0.250", kilobytes, "12.346", "lower"],
    ]


def test_runs_that_could_not_be_compiled_are_printed_without_their_sizes(
    iris_workshop: Workshop, capsys: pytest.CaptureFixture[str]
) -> None:
    run = RunLog(iris_workshop.data_dir).find(1)
    print_comparison([compared_run(run, None, 0.8, "no", is_close=True)], taken=None)
    assert printed_to(capsys)[1].split() == ["run_80%", "0.800", "0.010", "0.250", "-", "-", "no"]
