"""No difference between estimator and session gets past the proof, on any row, in any batch, in any probability."""

import math
from collections.abc import Callable

import attrs
import numpy as np
import pytest

from convert.parity import (
    BATCH_ROWS,
    GENERATED_ROWS,
    SHOWN_ROWS,
    TOLERANCE,
    Certificate,
    ask_estimator,
    generate_rows,
    prove,
)
from server.session import Session
from server.signature import Answer
from tests.fakes import AlteredSession
from training.dataset import Dataset
from training.estimators import Estimator

Change = Callable[[Answer], Answer]
Alter = Callable[[list[Answer]], list[Answer]]
Proof = Callable[[Change], Certificate]
IRIS_FIRST_ROW = {"SepalLengthCm": 5.1, "SepalWidthCm": 3.5, "PetalLengthCm": 1.4, "PetalWidthCm": 0.2}
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
    return attrs.evolve(answer, label="Iris-nova")


def shift(by: float, place: int) -> Change:
    def change(answer: Answer) -> Answer:
        return attrs.evolve(
            answer, probabilities=tuple(p + by if at == place else p for at, p in enumerate(answer.probabilities))
        )

    return change


def test_the_compiled_iris_model_is_proven(estimator: Estimator, session: Session, iris: Dataset) -> None:
    certificate = prove(estimator, session, iris.features)
    assert certificate.parity.passed
    assert (certificate.parity.rows, certificate.parity.label_mismatches) == (ROWS, 0)
    assert 0 < certificate.parity.max_probability_difference <= certificate.parity.tolerance == TOLERANCE
    differences = [worst.probability_difference for worst in certificate.worst]
    assert differences == sorted(differences, reverse=True)
    assert differences[0] == certificate.parity.max_probability_difference
    assert len(differences) == SHOWN_ROWS


def test_every_known_row_is_asked_alone_and_together_and_every_generated_row_together(
    estimator: Estimator, session: Session, iris: Dataset
) -> None:
    noted = AlteredSession(session)
    prove(estimator, noted, iris.features)
    known, generated = iris.features.to_numpy(), generate_rows(iris.features, GENERATED_ROWS).to_numpy()
    assert np.concatenate(noted.batches[:150]).tolist() == known.tolist()
    assert {len(batch) for batch in noted.batches[:150]} == {1}
    assert np.concatenate(noted.batches[150:]).tolist() == np.concatenate([known, generated]).tolist()
    assert {len(batch) for batch in noted.batches[150:-1]} == {BATCH_ROWS}


def test_generated_rows_are_in_the_box_of_the_known_ones_and_the_same_each_time(iris: Dataset) -> None:
    generated = generate_rows(iris.features, 500)
    assert generated.equals(generate_rows(iris.features, 500))
    assert list(generated.columns) == list(iris.features.columns)
    assert (generated >= iris.features.min()).all(axis=None)
    assert (generated <= iris.features.max()).all(axis=None)
    assert (generated.max() - generated.min() > 0.9 * (iris.features.max() - iris.features.min())).all()


@pytest.fixture(params=[1, BATCH_ROWS], ids=["alone", "together"])
def proof(
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    estimator: Estimator,
    session: Session,
    iris: Dataset,
) -> Proof:
    """Proves a session whose answer to the first row is changed, where that row is alone, or where it is in a batch."""
    monkeypatch.setattr("convert.parity.GENERATED_ROWS", BATCH_ROWS)  # the change is among the known rows

    def prove_changed(change: Change) -> Certificate:
        altered = AlteredSession(session, only_first(change, batch_rows=request.param))
        return prove(estimator, altered, iris.features)

    return prove_changed


def test_one_label_that_differs_fails_and_is_shown_first(proof: Proof) -> None:
    certificate = proof(relabel)
    assert not certificate.parity.passed
    assert certificate.parity.label_mismatches == 1
    worst = certificate.worst[0]
    assert worst.row == IRIS_FIRST_ROW
    assert (worst.estimator.label, worst.session.label) == ("Iris-setosa", "Iris-nova")


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize(
    ("by", "difference"), [(2e-5, 2e-5), (-2e-5, 2e-5), (math.nan, 1.0), (math.inf, np.finfo(np.float64).max)]
)
def test_one_probability_that_differs_fails_though_labels_agree(
    proof: Proof, place: int, by: float, difference: float
) -> None:
    certificate = proof(shift(by, place))
    assert not certificate.parity.passed
    assert certificate.parity.label_mismatches == 0
    found = certificate.parity.max_probability_difference
    assert found == pytest.approx(difference, abs=1e-6)
    assert certificate.worst[0].probability_difference == found
    assert certificate.worst[0].row == IRIS_FIRST_ROW


@pytest.mark.parametrize(("tolerance", "passed"), [(3e-5, True), (1e-5, False)])
def test_the_tolerance_decides_on_probabilities_alone(
    estimator: Estimator, session: Session, iris: Dataset, tolerance: float, *, passed: bool
) -> None:
    altered = AlteredSession(session, only_first(shift(2e-5, 0), batch_rows=1))
    assert prove(estimator, altered, iris.features, tolerance).parity.passed is passed


def test_an_estimator_that_was_changed_after_its_export_fails(
    estimator: Estimator, session: Session, iris: Dataset
) -> None:
    estimator.coef_ = estimator.coef_ * 1.5
    parity = prove(estimator, session, iris.features).parity
    assert not parity.passed
    assert parity.label_mismatches > 0


def test_the_estimators_answers_are_in_the_terms_of_the_sessions(estimator: Estimator, iris: Dataset) -> None:
    (answer,) = ask_estimator(estimator, iris.features.head(1))
    assert answer == Answer("Iris-setosa", tuple(estimator.predict_proba(iris.features.head(1))[0].tolist()))
    assert type(answer.label) is str
