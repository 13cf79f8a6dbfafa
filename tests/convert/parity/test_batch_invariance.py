"""Batch invariance: the certificate says by how much a row's answer changes with the batch it is in."""

import itertools
import math

import numpy as np
import pytest

from convert.compile.export import Compiled
from convert.parity.probes import Probes
from convert.parity.proof import BATCH_INVARIANCE_ROWS, BATCH_ROWS, prove
from server.contract.signature import Answer
from server.models.session import Session
from tests.support.altering import after, by_batch, relabel, shift
from tests.support.fakes import AlteredSession
from tests.support.tables import Specimen, probes_of
from training.dataset import Dataset
from training.estimators import Estimator

ONCE_IN_EACH_BATCH = sum(BATCH_ROWS)


def test_rows_are_evaluated_alone_and_in_another_order_at_each_batch_size(
    estimator: Estimator, session: Session, compiled: Compiled, iris: Dataset
) -> None:
    probes = probes_of(estimator, iris, generated_rows=2 * ONCE_IN_EACH_BATCH)
    noted = AlteredSession(session)
    prove(estimator, compiled, probes, make_session=lambda *_: noted)
    again = np.concatenate(noted.batches)[-len(BATCH_ROWS) * BATCH_INVARIANCE_ROWS :]
    rounds = again.reshape(len(BATCH_ROWS), BATCH_INVARIANCE_ROWS, 4).tolist()
    assert {len(batch) for batch in noted.batches[-1:]} == {1024}
    for rows, others in itertools.combinations(rounds, 2):
        assert rows != others
        assert sorted(rows) == sorted(others)


def test_an_answer_that_changes_with_its_batch_shows(
    estimator: Estimator, session: Session, compiled: Compiled, probes: tuple[Probes, ...]
) -> None:
    altered = AlteredSession(session, by_batch(shift(3e-6, 1)))
    certificate = prove(estimator, compiled, probes, make_session=lambda *_: altered).certificate
    assert certificate.parity.passed
    assert certificate.neighbours_difference == pytest.approx(3e-6, abs=1e-6)


def test_a_label_that_changes_with_its_batch_is_a_difference_of_one(
    estimator: Estimator, session: Session, compiled: Compiled, probes: tuple[Probes, ...]
) -> None:
    rows = 150 + sum(len(one.rows) for one in probes)
    altered = AlteredSession(session, after(rows, by_batch(relabel)))
    certificate = prove(estimator, compiled, probes, make_session=lambda *_: altered).certificate
    assert certificate.neighbours_difference == 1.0


@pytest.mark.parametrize(("by", "shown"), [(2e-6, 2e-6), (math.nan, 1.0)])
def test_a_regressors_number_that_changes_with_its_batch_shows(regressor: Specimen, by: float, shown: float) -> None:
    compiled = regressor.compiled
    known_answers = regressor.estimator.predict(regressor.dataset.features)
    spread = float(np.median(np.abs(known_answers - np.median(known_answers))))
    rows = 60 + sum(len(one.rows) for one in regressor.probes)

    def change(answer: Answer) -> Answer:
        return answer._replace(label=float(answer.label) + by * spread)

    altered = AlteredSession(Session(compiled.model, compiled.signature), after(rows, by_batch(change)))
    certificate = prove(regressor.estimator, compiled, regressor.probes, make_session=lambda *_: altered).certificate
    assert certificate.neighbours_difference == pytest.approx(shown, abs=1e-6)


def test_without_a_row_that_both_sides_answer_alike_nothing_is_measured(
    estimator: Estimator, session: Session, compiled: Compiled, probes: tuple[Probes, ...]
) -> None:
    altered = AlteredSession(session, lambda answers: [relabel(answer) for answer in answers])
    proof = prove(estimator, compiled, probes, make_session=lambda *_: altered)
    assert proof.certificate.parity.mismatches > 300
    assert proof.certificate.neighbours_difference == 0.0
    assert proof.golden == ()
