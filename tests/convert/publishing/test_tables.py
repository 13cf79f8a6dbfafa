"""A person reads what was asked, what came of it and what may not be published; a program's output stays empty."""

from collections.abc import Sequence

import attrs
import pytest

from convert.compile.export import Compiled
from convert.parity.proof import Compared, Difference, Proof
from convert.publishing.candidate import Candidate
from convert.publishing.gates import Gate
from convert.publishing.precision import Climb, Rung
from convert.publishing.selection import Contender
from convert.publishing.tables import tell, tell_contenders, tell_gates
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
def climbed(compiled: Compiled, session: Session, proof: Proof) -> Climb:
    rungs = (Rung("float32", "onnxruntime cannot load the model"), Rung("float64", None))
    return Climb(compiled, session, proof, rungs)


def with_mismatches(climbed: Climb, worst: Difference, allowed: int = 0) -> Climb:
    certificate = climbed.proof.certificate
    parity = attrs.evolve(
        certificate.parity, label_mismatches=1, mismatches=2, max_difference=0.5, allowed_mismatches=allowed
    )
    compared = (Compared("known", 10, 2, 0, 0.5), Compared("extreme", 4, 0, 3, 0.0))
    changed = attrs.evolve(certificate, parity=parity, compared=compared, worst=(worst,))
    return attrs.evolve(climbed, proof=attrs.evolve(climbed.proof, certificate=changed))


def told(capsys: pytest.CaptureFixture[str]) -> Sequence[str]:
    printed = capsys.readouterr()
    assert printed.out == ""
    return printed.err.splitlines()


def test_a_proof_is_told_by_precision_and_by_kind_of_row(climbed: Climb, capsys: pytest.CaptureFixture[str]) -> None:
    tell(climbed)
    first, second, head, alone, known, verdict = told(capsys)
    assert (first, second) == ("float32: onnxruntime cannot load the model", "float64: taken")
    assert head.split() == ["rows", "asked", "differ", "refused", "largest", "difference"]
    for line, kind in ((alone, "known, alone"), (known, "known")):
        assert line.strip().startswith(kind)
        assert line.split()[-4:-1] == ["150", "0", "0"]
    assert verdict.startswith(
        "parity proven: 0 of 300 rows differ (tolerance 1e-05); with its neighbours a row's answer moves by "
    )


def test_a_proof_that_fails_is_told_with_its_worst_rows(climbed: Climb, capsys: pytest.CaptureFixture[str]) -> None:
    tell(with_mismatches(climbed, WORST))
    *_, known, extreme, verdict, head, row, estimator, session = told(capsys)
    assert known.split() == ["known", "10", "2", "0", "5.0e-01"]
    assert extreme.split() == ["extreme", "4", "0", "3", "0.0e+00"]
    assert verdict.startswith("parity FAILED: 2 of 300 rows differ ")
    assert head == "nothing is published; the worst rows:"
    assert row == "  in the training range: {'n': 0.1, 'i': None, 'b': True, 'c': 'red'}"
    assert estimator == "    estimator:      'a', probabilities 0.25, 0.75"
    assert session == "    compiled model: 'b', probabilities 0.333333333, 0.666666667"


def test_an_accepted_mismatch_is_told_as_one(climbed: Climb, capsys: pytest.CaptureFixture[str]) -> None:
    tell(with_mismatches(climbed, attrs.evolve(WORST, estimator=Answer(0.1, ()), session=None), allowed=2))
    *_, verdict, head, _, estimator, session = told(capsys)
    assert verdict.startswith("parity NOT proven, and accepted knowingly: 2 of 300 rows differ ")
    assert head == "the worst rows:"
    assert estimator == "    estimator:      0.1"
    assert session == "    compiled model: no finite answer"


def test_each_gate_is_told_and_a_closed_one_has_the_last_word(capsys: pytest.CaptureFixture[str]) -> None:
    opened = Gate("parity", passed=True, found=0, limit=0, text="0 of 300 rows differ")
    closed = Gate("size", passed=False, found=9, limit=8, text="9 bytes, 8 at most: 1 more")
    tell_gates([opened])
    assert told(capsys) == ["gate parity: open: 0 of 300 rows differ"]
    tell_gates([closed, opened])
    assert told(capsys) == [
        "gate size: CLOSED: 9 bytes, 8 at most: 1 more",
        "gate parity: open: 0 of 300 rows differ",
        "nothing is published; what is served stays",
    ]


def contender_of(run: Run, candidate: Candidate | None, mean: float, fault: str | None, *, is_close: bool) -> Contender:
    folds = {"mean": mean, "deviation": 0.01, "standard_error": 0.005, "fit_s": 0.25}
    named = attrs.evolve(run, model=f"run_{mean:.0%}", metrics={"folds": folds})
    return Contender(named, candidate, is_close, fault)


def test_contenders_are_told_the_best_first(
    iris_workshop: Workshop, left: Artifacts, climbed: Climb, capsys: pytest.CaptureFixture[str]
) -> None:
    run = RunLog(iris_workshop.data_dir).find(1)
    candidate = Candidate(run, left, climbed, row_us=12.3456)
    tell_contenders(
        [
            contender_of(run, candidate, 0.5, None, is_close=False),
            contender_of(run, candidate, 0.9, None, is_close=True),
            contender_of(run, attrs.evolve(candidate), 0.85, None, is_close=True),
            contender_of(run, None, 0.8, "cannot be compiled", is_close=True),
        ],
        taken=candidate,
    )
    kilobytes = f"{len(climbed.compiled.model) / 1000:.3f}"
    head, *rows = told(capsys)
    assert head.split() == ["run", "mean", "deviation", "fit", "s", "KB", "us/row", "verdict"]
    assert [row.split(maxsplit=6) for row in rows] == [
        ["run_90%", "0.900", "0.010", "0.250", kilobytes, "12.346", "taken: the fastest within one standard error"],
        ["run_85%", "0.850", "0.010", "0.250", kilobytes, "12.346", "within one standard error"],
        ["run_80%", "0.800", "0.010", "0.250", "-", "-", "cannot be compiled"],
        ["run_50%", "0.500", "0.010", "0.250", kilobytes, "12.346", "lower"],
    ]


def test_contenders_none_of_which_could_be_compiled_are_told_without_their_sizes(
    iris_workshop: Workshop, capsys: pytest.CaptureFixture[str]
) -> None:
    run = RunLog(iris_workshop.data_dir).find(1)
    tell_contenders([contender_of(run, None, 0.8, "no", is_close=True)], taken=None)
    assert told(capsys)[1].split() == ["run_80%", "0.800", "0.010", "0.250", "-", "-", "no"]
