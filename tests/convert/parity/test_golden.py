"""Golden rows are distinct rows of every label, known ones first, those that are easiest to get wrong."""

import math
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pytest

from convert.compile.export import Compiled
from convert.parity.answers import Answers, evaluate_estimator
from convert.parity.comparison import ProbeTable, compare
from convert.parity.golden import ROWS_OF_REGRESSOR, ROWS_PER_LABEL, choose_golden_rows
from convert.parity.proof import Proof, prove
from convert.parity.requests import to_fields
from server.codec.json_rows import Codec
from server.contract.manifest import GoldenRow
from server.contract.signature import Label
from server.contract.types import MAX_FP32
from server.models.session import Session
from tests.support.signatures import feature, signature_of
from tests.support.tables import Specimen, make_specimen, mixed_table, probes_of
from training.dataset import Dataset
from training.estimators import Estimator

THREE = signature_of([feature("n", "number")], ("a", "b", "c"))
NUMBER = signature_of([feature("n", "number")], ())
FIELDS = (feature("n", "number"), feature("i", "integer"), feature("b", "boolean"), feature("c", "category"))


@pytest.fixture(scope="module", params=[("no", "yes"), (False, True), (-1, 2, 5_000_000_000), None], ids=str)
def mixed(request: pytest.FixtureRequest) -> Specimen:
    return make_specimen(mixed_table(request.param), "decision_tree")


def choose(
    rows: list[float], said: list[tuple[Label | None, tuple[float, ...]]], off: float = 0, **facts: list[bool]
) -> list[tuple[float, Label]]:
    """Chooses golden rows among rows of one number; the compiled model's answer to the last is off by `off`."""
    count = len(rows)
    probes = ProbeTable(
        kinds=np.array(["rows"] * count),
        is_known=np.array(facts.get("known", [True] * count)),
        is_extreme=np.array(facts.get("extreme", [False] * count)),
        rows=pd.DataFrame({"n": rows}),
    )
    labels, numbers = np.array([label for label, _ in said], dtype=object), np.array([each for _, each in said])
    answered = numbers.copy()
    answered[-1] += off
    signature = NUMBER if numbers.shape[1] == 1 else THREE
    compared = compare(probes, Answers(labels, numbers), Answers(labels, answered), signature, 1e-5)
    return [(float(known.row["n"] or 0), known.output) for known in choose_golden_rows(compared)]


def test_golden_rows_have_the_estimators_own_answers(
    proof: Proof, estimator: Estimator, compiled: Compiled, iris: Dataset
) -> None:
    rows = pd.DataFrame([known.row for known in proof.golden])
    assert rows.merge(iris.features.drop_duplicates()).equals(rows)
    answers = evaluate_estimator(estimator, rows, compiled.signature)
    assert [(known.output, known.probabilities) for known in proof.golden] == [
        (label, tuple(numbers)) for label, numbers in zip(answers.labels, answers.numbers.tolist(), strict=True)
    ]
    assert {known.scale for known in proof.golden} == {1.0}


def test_each_label_has_its_least_sure_rows(proof: Proof, estimator: Estimator, iris: Dataset) -> None:
    answers = estimator.predict(iris.features)
    ranked = np.sort(estimator.predict_proba(iris.features), axis=1)
    margins = ranked[:, -1] - ranked[:, -2]
    for label in ("Iris-setosa", "Iris-versicolor", "Iris-virginica"):
        chosen = [known.probabilities for known in proof.golden if known.output == label]
        found = sorted(max(p) - sorted(p)[-2] for p in chosen)
        expected = sorted(set(margins[answers == label].tolist()))[:ROWS_PER_LABEL]
        np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_half_of_each_labels_rows_are_known_and_the_others_of_any_kind(
    estimator: Estimator, compiled: Compiled, iris: Dataset
) -> None:
    made = make_specimen(iris, estimator)
    golden = prove(made.estimator, made.compiled, made.probes).golden
    known = {tuple(row) for row in iris.features.to_numpy().tolist()}
    is_known = [tuple(each.row.values()) in known for each in golden]
    assert len(golden) == 3 * ROWS_PER_LABEL
    assert is_known == sorted(is_known, reverse=True)
    for label in compiled.signature.labels:
        assert [each.output for each in golden].count(label) == ROWS_PER_LABEL
        own = [each.output for each, is_own in zip(golden, is_known, strict=True) if is_own]
        assert own.count(label) >= ROWS_PER_LABEL // 2
    assert not all(is_known)


def test_a_repeated_row_is_golden_once_and_an_unused_label_has_none() -> None:
    said: list[tuple[Label | None, tuple[float, ...]]] = [
        ("b", (0.1, 0.8, 0.1)),
        ("a", (0.9, 0.1, 0.0)),
        ("b", (0.1, 0.8, 0.1)),
    ]
    assert choose([1.0, 2.0, 1.0], said) == [(2.0, "a"), (1.0, "b")]


def test_extreme_rows_mismatches_and_rows_without_answer_are_not_golden() -> None:
    nothing = (None, (math.nan, math.nan, math.nan))
    said: Any = [("a", (0.6, 0.4, 0.0)), ("a", (0.5, 0.5, 0.0)), nothing, ("a", (0.4, 0.3, 0.3))]
    assert choose([1.0, 2.0, 3.0, 4.0], said, 2e-5, extreme=[False, True, False, False]) == [(1.0, "a")]
    assert choose([4.0], said[-1:], 2e-5) == []


def test_a_regressors_golden_rows_have_the_largest_differences() -> None:
    numbers = [float(number) for number in range(30)]
    said: Any = [(None, (number,)) for number in numbers]
    chosen = choose(numbers, said, 1e-7, known=[True] * 15 + [False] * 15)
    assert chosen[:6] == [(number, number) for number in numbers[:6]]
    assert (29.0, 29.0) in chosen
    assert len(set(chosen)) == ROWS_OF_REGRESSOR


def test_a_regressors_golden_rows_have_the_scale_of_their_differences() -> None:
    made = make_specimen(mixed_table(None), "ridge")
    golden = prove(made.estimator, made.compiled, made.probes).golden
    known_answers = made.estimator.predict(made.dataset.features)
    spread = float(np.median(np.abs(known_answers - np.median(known_answers))))
    assert len(golden) == ROWS_OF_REGRESSOR
    for known in golden:
        assert known.probabilities == ()
        assert known.scale == pytest.approx(max(spread, abs(float(known.output))))


def test_a_host_that_replays_golden_rows_finds_no_difference(mixed: Specimen) -> None:
    signature = mixed.compiled.signature
    codec, session = Codec(signature, "model_1"), Session(mixed.compiled.model, signature)
    golden: tuple[GoldenRow, ...] = prove(mixed.estimator, mixed.compiled, mixed.probes).golden
    assert golden
    assert {known.output for known in golden} >= set(signature.labels)
    for known in golden:
        (answer,) = session.run([codec.decode_row(known.to_request())])
        assert not known.is_flipped(answer)
        assert known.difference(answer) <= 1e-6
        assert type(answer.label) is type(known.output)


@pytest.mark.parametrize(
    ("values", "fields"),
    [
        ((0.5, 3.0, 1.0, "red"), {"n": 0.5, "i": 3, "b": True, "c": "red"}),
        ((math.nan, math.nan, math.nan, ""), {"n": None, "i": None, "b": None, "c": None}),
        ((MAX_FP32, float(2**53), 0.0, " "), {"n": MAX_FP32, "i": 2**53, "b": False, "c": " "}),
    ],
)
def test_a_row_is_formatted_as_a_client_sends_it(values: tuple[Any, ...], fields: dict[str, Any]) -> None:
    told = to_fields(values, FIELDS)
    assert told == fields
    assert [type(value) for value in told.values()] == [type(value) for value in fields.values()]
    assert msgspec.json.decode(msgspec.json.encode(told)) == fields


def test_the_same_proof_has_the_same_golden_rows(estimator: Estimator, compiled: Compiled, iris: Dataset) -> None:
    once, again = (prove(estimator, compiled, probes_of(estimator, iris)).golden for _ in range(2))
    assert once == again
