"""No difference between estimator and session gets past the proof, on any row, in any batch, in any probability."""

import hashlib
import itertools
import math
from collections.abc import Callable

import attrs
import numpy as np
import pandas as pd
import pytest

from convert.errors import ConvertError
from convert.export import Compiled
from convert.parity import (
    BATCH_ROWS,
    GENERATED_ROWS,
    SHOWN_ROWS,
    TOLERANCE,
    Certificate,
    ask_estimator,
    compare,
    generate_rows,
    prove,
)
from server.errors import RefusedError, SessionError
from server.session import Session
from server.signature import Answer
from tests.fakes import AlteredSession
from training.dataset import Dataset
from training.estimators import Estimator

Change = Callable[[Answer], Answer]
Alter = Callable[[list[Answer]], list[Answer]]
Proof = Callable[[Change], tuple[Certificate, dict[str, float]]]
ROWS = 150 + 150 + GENERATED_ROWS


def only_first(change: Change, *, batch_rows: int) -> Alter:
    """Changes the first answer of the first batch of a size."""
    done: list[bool] = []

    def alter(answers: list[Answer]) -> list[Answer]:
        if done or len(answers) != batch_rows:
            return answers
        done.append(True)
        return [change(answers[0]), *answers[1:]]

    return alter


def relabel(answer: Answer) -> Answer:
    return answer._replace(label="Iris-nova")


def shift(by: float, place: int) -> Change:
    def change(answer: Answer) -> Answer:
        return answer._replace(
            probabilities=tuple(p + by if at == place else p for at, p in enumerate(answer.probabilities))
        )

    return change


def test_the_compiled_iris_model_is_proven(estimator: Estimator, compiled: Compiled, iris: Dataset) -> None:
    certificate = prove(estimator, compiled, iris.features)
    assert certificate.parity.passed
    assert (certificate.parity.rows, certificate.parity.label_mismatches) == (ROWS, 0)
    assert 0 < certificate.parity.max_probability_difference <= certificate.parity.tolerance == TOLERANCE
    differences = [worst.probability_difference for worst in certificate.worst]
    assert differences == sorted(differences, reverse=True)
    assert differences[0] == certificate.parity.max_probability_difference
    assert len(differences) == SHOWN_ROWS


def test_a_certificate_is_of_the_model_that_was_compared_and_of_no_other(
    estimator: Estimator, compiled: Compiled, iris: Dataset
) -> None:
    assert prove(estimator, compiled, iris.features).model_sha256 == hashlib.sha256(compiled.model).hexdigest()


def test_every_known_row_is_asked_alone_and_every_row_in_batches_of_all_sizes_in_turn(
    estimator: Estimator, session: Session, compiled: Compiled, iris: Dataset
) -> None:
    noted = AlteredSession(session)
    parity = prove(estimator, compiled, iris.features, make_session=lambda *_: noted).parity
    alone, together = noted.batches[:150], noted.batches[150:]
    known, generated = iris.features.to_numpy(), generate_rows(iris.features, GENERATED_ROWS).to_numpy()
    assert np.concatenate(alone).tolist() == known.tolist()
    assert {len(batch) for batch in alone} == {1}
    assert np.concatenate(together).tolist() == np.concatenate([known, generated]).tolist()
    assert BATCH_ROWS == (1, 2, 3, 7, 8, 31, 32, 64, 256, 1024)
    sizes = [len(batch) for batch in together[:-1]]
    assert sizes == list(itertools.islice(itertools.cycle(BATCH_ROWS), len(sizes)))
    assert len(sizes) > 10 * len(BATCH_ROWS)
    assert parity.max_batch_rows == max(sizes) == 1024


def test_the_session_is_made_of_the_model_and_the_signature_that_are_proven(
    estimator: Estimator, compiled: Compiled, iris: Dataset
) -> None:
    with pytest.raises(RefusedError, match=r"^onnxruntime cannot load the model: "):
        prove(estimator, attrs.evolve(compiled, model=b"no model"), iris.features)
    other = attrs.evolve(compiled.signature, labels=("a", "b", "c"), features=compiled.signature.features[::-1])
    made: list[object] = []

    def make_session(*of: object) -> Session:
        made.append(of)
        raise SessionError

    with pytest.raises(SessionError):
        prove(estimator, attrs.evolve(compiled, signature=other), iris.features, make_session=make_session)
    assert made == [(compiled.model, other)]


def test_generated_rows_are_in_the_box_of_the_known_ones_and_the_same_each_time(iris: Dataset) -> None:
    generated = generate_rows(iris.features, 501)
    assert len(generated) == 501
    assert generated.equals(generate_rows(iris.features, 501))
    assert list(generated.columns) == list(iris.features.columns)
    assert (generated >= iris.features.min()).all(axis=None)
    assert (generated <= iris.features.max()).all(axis=None)


def test_half_of_the_generated_rows_fill_the_box(iris: Dataset) -> None:
    uniform = generate_rows(iris.features, 501).head(250)
    assert (uniform.max() - uniform.min() > 0.9 * (iris.features.max() - iris.features.min())).all()
    for name, values in uniform.items():
        assert not set(values) & set(iris.features[name])
        assert len(set(values)) == 250


def test_half_of_the_generated_rows_have_each_value_from_a_known_row_of_its_own(iris: Dataset) -> None:
    mixed = generate_rows(iris.features, 501).tail(251)
    for name, values in mixed.items():
        assert set(values) <= set(iris.features[name])
        assert len(set(values)) > 0.8 * iris.features[name].nunique()
    assert len(mixed.merge(iris.features.drop_duplicates())) < 25


def test_generated_rows_are_also_where_the_known_ones_are_dense() -> None:
    known = pd.DataFrame({"income": [*np.linspace(1, 2, 999), 1e9]})
    generated = generate_rows(known, 1000)["income"]
    assert 490 <= (generated <= 2).sum() <= 500


@pytest.fixture(params=[1, 2, 64, 1024])
def proof(
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    estimator: Estimator,
    compiled: Compiled,
    iris: Dataset,
) -> Proof:
    """Proves a session whose answer to one row is changed, in a batch of a size; gives the certificate and the row."""
    monkeypatch.setattr("convert.parity.GENERATED_ROWS", sum(BATCH_ROWS))

    def prove_changed(change: Change) -> tuple[Certificate, dict[str, float]]:
        sound = Session(compiled.model, compiled.signature)
        altered = AlteredSession(sound, only_first(change, batch_rows=request.param))
        certificate = prove(estimator, compiled, iris.features, make_session=lambda *_: altered)
        batch = next(batch for batch in altered.batches if len(batch) == request.param)
        return certificate, dict(zip(iris.features.columns, batch[0].tolist(), strict=True))

    return prove_changed


def test_one_label_that_differs_fails_and_is_shown_first(proof: Proof) -> None:
    certificate, row = proof(relabel)
    assert not certificate.parity.passed
    assert certificate.parity.label_mismatches == 1
    worst = certificate.worst[0]
    assert worst.row == row
    assert worst.estimator.label in {"Iris-setosa", "Iris-versicolor", "Iris-virginica"}
    assert worst.session.label == "Iris-nova"


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize(
    ("by", "difference"), [(2e-5, 2e-5), (-2e-5, 2e-5), (math.nan, 1.0), (math.inf, np.finfo(np.float64).max)]
)
def test_one_probability_that_differs_fails_though_labels_agree(
    proof: Proof, place: int, by: float, difference: float
) -> None:
    certificate, row = proof(shift(by, place))
    assert not certificate.parity.passed
    assert certificate.parity.label_mismatches == 0
    found = certificate.parity.max_probability_difference
    assert found == pytest.approx(difference, abs=1e-6)
    assert certificate.worst[0].probability_difference == found
    assert certificate.worst[0].row == row


@pytest.mark.parametrize(("tolerance", "passed"), [(3e-5, True), (1e-5, False)])
def test_the_tolerance_decides_on_probabilities_alone(
    estimator: Estimator, compiled: Compiled, iris: Dataset, tolerance: float, *, passed: bool
) -> None:
    sound = Session(compiled.model, compiled.signature)
    altered = AlteredSession(sound, only_first(shift(2e-5, 0), batch_rows=1))
    parity = prove(estimator, compiled, iris.features, tolerance, make_session=lambda *_: altered).parity
    assert (parity.passed, parity.tolerance) == (passed, tolerance)


def test_an_estimator_that_was_changed_after_its_export_fails(
    estimator: Estimator, compiled: Compiled, iris: Dataset
) -> None:
    estimator.coef_ = estimator.coef_ * 1.5
    parity = prove(estimator, compiled, iris.features).parity
    assert not parity.passed
    assert parity.label_mismatches > 0


def test_an_estimator_that_cannot_answer_is_refused_with_its_own_words(
    estimator: Estimator, compiled: Compiled, iris: Dataset
) -> None:
    with pytest.raises(ConvertError) as refusal:
        prove(estimator, compiled, iris.features.rename(columns={"SepalWidthCm": "width"}))
    assert str(refusal.value).startswith("the estimator cannot answer its own rows: ValueError: The feature names ")


@pytest.mark.parametrize(
    ("expected", "answered"), [((0.5, 0.5), (1.0,)), ((1.0,), (0.5, 0.5)), ((0.2, 0.3, 0.5), (0.5, 0.5))]
)
def test_sides_that_give_different_numbers_of_probabilities_cannot_be_compared(
    expected: tuple[float, ...], answered: tuple[float, ...]
) -> None:
    rows = pd.DataFrame({"n": [1.0]})
    with pytest.raises(ConvertError) as refusal:
        compare("00", rows, [Answer("a", expected)], [Answer("a", answered)], TOLERANCE)
    assert str(refusal.value) == f"expected {len(expected)} probabilities a row, got {len(answered)}"


def test_the_estimators_answers_are_in_the_terms_of_the_sessions(estimator: Estimator, iris: Dataset) -> None:
    (answer,) = ask_estimator(estimator, iris.features.head(1))
    assert answer == Answer("Iris-setosa", tuple(estimator.predict_proba(iris.features.head(1))[0].tolist()))
    assert type(answer.label) is str
