"""By how much a row's answer moves with the rows that are asked beside it is found out, and told in the certificate."""

import itertools
import math

import numpy as np
import pytest

from convert.compile.export import Compiled
from convert.parity.probes import Questions
from convert.parity.proof import BATCH_ROWS, NEIGHBOURED_ROWS, prove
from server.contract.signature import Answer
from server.models.session import Session
from tests.support.altering import after, by_batch, relabel, shift
from tests.support.fakes import AlteredSession
from tests.support.tables import Specimen, questions_of
from training.dataset import Dataset
from training.estimators import Estimator

ONCE_IN_EACH_BATCH = sum(BATCH_ROWS)


@pytest.fixture(autouse=True)
def _few_generated(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draws a few rows in range; those that are moved among others are as many as ever."""
    monkeypatch.setattr("convert.parity.probes.GENERATED_ROWS", 50)


def test_rows_are_asked_again_alone_and_with_other_neighbours_each_time(
    estimator: Estimator, session: Session, compiled: Compiled, iris: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("convert.parity.probes.GENERATED_ROWS", 2 * ONCE_IN_EACH_BATCH)
    noted = AlteredSession(session)
    prove(estimator, compiled, questions_of(estimator, iris), make_session=lambda *_: noted)
    again = np.concatenate(noted.batches)[-len(BATCH_ROWS) * NEIGHBOURED_ROWS :]
    rounds = again.reshape(len(BATCH_ROWS), NEIGHBOURED_ROWS, 4).tolist()
    assert {len(batch) for batch in noted.batches[-1:]} == {1024}
    for rows, others in itertools.combinations(rounds, 2):
        assert rows != others
        assert sorted(rows) == sorted(others)


def test_an_answer_that_moves_with_its_neighbours_shows(
    estimator: Estimator, session: Session, compiled: Compiled, questions: tuple[Questions, ...]
) -> None:
    altered = AlteredSession(session, by_batch(shift(3e-6, 1)))
    certificate = prove(estimator, compiled, questions, make_session=lambda *_: altered).certificate
    assert certificate.parity.passed
    assert certificate.neighbours_difference == pytest.approx(3e-6, abs=1e-6)


def test_a_label_that_turns_with_its_neighbours_shows_in_full(
    estimator: Estimator, session: Session, compiled: Compiled, questions: tuple[Questions, ...]
) -> None:
    rows = 150 + sum(len(one.rows) for one in questions)
    altered = AlteredSession(session, after(rows, by_batch(relabel)))
    certificate = prove(estimator, compiled, questions, make_session=lambda *_: altered).certificate
    assert certificate.neighbours_difference == 1.0


@pytest.mark.parametrize(("by", "shown"), [(2e-6, 2e-6), (math.nan, 1.0)])
def test_a_regressors_number_that_moves_with_its_neighbours_shows(regressor: Specimen, by: float, shown: float) -> None:
    compiled = regressor.compiled
    known_answers = regressor.estimator.predict(regressor.dataset.features)
    spread = float(np.median(np.abs(known_answers - np.median(known_answers))))
    rows = 60 + sum(len(one.rows) for one in regressor.questions)

    def change(answer: Answer) -> Answer:
        return answer._replace(label=float(answer.label) + by * spread)

    altered = AlteredSession(Session(compiled.model, compiled.signature), after(rows, by_batch(change)))
    certificate = prove(regressor.estimator, compiled, regressor.questions, make_session=lambda *_: altered).certificate
    assert certificate.neighbours_difference == pytest.approx(shown, abs=1e-6)


def test_where_no_row_is_answered_alike_nothing_moves(
    estimator: Estimator, session: Session, compiled: Compiled, questions: tuple[Questions, ...]
) -> None:
    altered = AlteredSession(session, lambda answers: [relabel(answer) for answer in answers])
    proof = prove(estimator, compiled, questions, make_session=lambda *_: altered)
    assert proof.certificate.parity.mismatches > 300
    assert proof.certificate.neighbours_difference == 0.0
    assert proof.golden == ()
