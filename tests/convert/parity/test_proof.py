"""The proof finds every difference between estimator and session, on any row, in any batch, in any number."""

import hashlib
import itertools
import math
from collections.abc import Callable
from typing import Any

import attrs
import numpy as np
import pandas as pd
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from convert.compile.export import Compiled
from convert.errors import ConvertError
from convert.parity.probes import GENERATED_ROWS, Probes
from convert.parity.proof import BATCH_ROWS, RECHECKED_ROWS, SHOWN_ROWS, TOLERANCE, Certificate, prove
from server.contract.signature import Answer
from server.errors import RefusedError, SessionError
from server.models.session import Session
from tests.support.altering import Change, only_first, relabel, shift
from tests.support.fakes import AlteredEstimator, AlteredSession, Numbers
from tests.support.tables import Specimen, make_specimen, probes_of
from training.dataset import Dataset
from training.estimators import Estimator

Prove = Callable[[Change], tuple[Certificate, dict[str, Any]]]
ONCE_IN_EACH_BATCH = sum(BATCH_ROWS)


def test_the_compiled_iris_model_is_proven(estimator: Estimator, compiled: Compiled, iris: Dataset) -> None:
    certificate = prove(estimator, compiled, probes_of(estimator, iris, GENERATED_ROWS)).certificate
    assert certificate.parity.passed
    assert [(one.kind, one.rows, one.mismatches) for one in certificate.compared][:3] == [
        ("known, alone", 150, 0),
        ("known", 150, 0),
        ("in the training range", 20_000, 0),
    ]
    assert [one.kind for one in certificate.compared][3:] == ["at boundary values", "extreme"]
    assert certificate.parity.label_mismatches == certificate.parity.mismatches == 0
    assert 0 < certificate.parity.max_difference <= certificate.parity.tolerance == TOLERANCE
    assert max(one.max_difference for one in certificate.compared) == certificate.parity.max_difference
    differences = [worst.difference for worst in certificate.worst]
    assert differences == sorted(differences, reverse=True)
    assert differences[0] == certificate.parity.max_difference
    assert len(differences) == SHOWN_ROWS
    assert 0 <= certificate.neighbours_difference < TOLERANCE
    assert certificate.label_is_argmax


def test_a_certificate_is_of_the_model_that_was_compared_and_of_no_other(
    estimator: Estimator, compiled: Compiled, probes: tuple[Probes, ...]
) -> None:
    certificate = prove(estimator, compiled, probes).certificate
    assert certificate.model_sha256 == hashlib.sha256(compiled.model).hexdigest()


def test_known_rows_are_evaluated_alone_and_all_rows_in_batches_of_every_size(
    estimator: Estimator, session: Session, compiled: Compiled, iris: Dataset
) -> None:
    probes = probes_of(estimator, iris, generated_rows=2 * ONCE_IN_EACH_BATCH)[:2]
    noted = AlteredSession(session)
    parity = prove(estimator, compiled, probes, make_session=lambda *_: noted).certificate.parity
    alone, together = noted.batches[:150], noted.batches[150:]
    known, generated = iris.features.to_numpy(), probes[1].rows.to_numpy()
    assert np.concatenate(alone).tolist() == known.tolist()
    assert {len(batch) for batch in alone} == {1}
    assert BATCH_ROWS == (1, 2, 3, 7, 8, 31, 32, 64, 256, 1024)
    sizes = [len(batch) for batch in together]
    turns = list(itertools.takewhile(lambda rows: rows < len(known) + len(generated), np.cumsum(sizes)))
    assert sizes[: len(turns)] == list(itertools.islice(itertools.cycle(BATCH_ROWS), len(turns)))
    asked = np.concatenate(together[: len(turns) + 1])
    assert asked.tolist() == np.concatenate([known, generated]).tolist()
    assert parity.rows == 150 + len(asked)
    assert parity.max_batch_rows == max(sizes) == 1024


def test_the_session_is_made_of_the_model_and_the_signature_that_are_proven(
    estimator: Estimator, compiled: Compiled, probes: tuple[Probes, ...]
) -> None:
    with pytest.raises(RefusedError, match=r"^onnxruntime cannot load the model: "):
        prove(estimator, attrs.evolve(compiled, model=b"no model"), probes)
    other = attrs.evolve(compiled.signature, labels=("a", "b", "c"), features=compiled.signature.features[::-1])
    made: list[object] = []

    def make_session(*of: object) -> Session:
        made.append(of)
        raise SessionError

    with pytest.raises(SessionError):
        prove(estimator, attrs.evolve(compiled, signature=other), probes, make_session=make_session)
    assert made == [(compiled.model, other)]


@pytest.fixture(params=[1, 2, 64, 1024])
def prove_changed(
    request: pytest.FixtureRequest,
    estimator: Estimator,
    compiled: Compiled,
    iris: Dataset,
) -> Prove:
    """Proves a session whose answer to one row, in a batch of one size, is changed; returns certificate and row."""
    probes = probes_of(estimator, iris, generated_rows=ONCE_IN_EACH_BATCH)[:2]

    def prove_changed(change: Change) -> tuple[Certificate, dict[str, Any]]:
        sound = Session(compiled.model, compiled.signature)
        altered = AlteredSession(sound, only_first(change, batch_rows=request.param))
        certificate = prove(estimator, compiled, probes, make_session=lambda *_: altered).certificate
        batch = next(batch for batch in altered.batches if len(batch) == request.param)
        return certificate, dict(zip(iris.features.columns, batch[0].tolist(), strict=True))

    return prove_changed


def test_one_label_that_differs_fails_and_is_shown_first(prove_changed: Prove) -> None:
    certificate, row = prove_changed(relabel)
    assert not certificate.parity.passed
    assert (certificate.parity.label_mismatches, certificate.parity.mismatches) == (1, 1)
    worst = certificate.worst[0]
    assert worst.row == row
    assert worst.estimator is not None
    assert worst.estimator.label in {"Iris-setosa", "Iris-versicolor", "Iris-virginica"}
    assert worst.session is not None
    assert worst.session.label == "Iris-nova"
    assert not certificate.label_is_argmax


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize(("by", "difference"), [(2e-5, 2e-5), (-2e-5, 2e-5), (math.nan, 1.0), (math.inf, 1.0)])
def test_one_probability_that_differs_fails_though_labels_agree(
    prove_changed: Prove, place: int, by: float, difference: float
) -> None:
    certificate, row = prove_changed(shift(by, place))
    assert not certificate.parity.passed
    assert (certificate.parity.label_mismatches, certificate.parity.mismatches) == (0, 1)
    found = certificate.parity.max_difference
    assert found == pytest.approx(difference, abs=1e-6)
    assert certificate.worst[0].difference == found
    assert certificate.worst[0].row == row
    assert (certificate.worst[0].session is None) is not math.isfinite(by)
    assert sum(one.mismatches for one in certificate.compared) == 1


@pytest.mark.parametrize(("tolerance", "passed"), [(3e-5, True), (1e-5, False)])
def test_the_tolerance_decides_on_probabilities_alone(
    estimator: Estimator, compiled: Compiled, probes: tuple[Probes, ...], tolerance: float, *, passed: bool
) -> None:
    altered = AlteredSession(Session(compiled.model, compiled.signature), only_first(shift(2e-5, 0), batch_rows=1))
    parity = prove(estimator, compiled, probes, tolerance, make_session=lambda *_: altered).certificate.parity
    assert (parity.passed, parity.tolerance) == (passed, tolerance)


def test_an_estimator_that_was_changed_after_its_export_fails(
    estimator: Estimator, compiled: Compiled, probes: tuple[Probes, ...]
) -> None:
    estimator[-1].coef_ = estimator[-1].coef_ * 1.5
    parity = prove(estimator, compiled, probes).certificate.parity
    assert not parity.passed
    assert parity.label_mismatches > 0


@pytest.mark.parametrize("by", [2e-5, -2e-5, math.nan, math.inf])
def test_one_number_of_a_regressor_that_differs_fails(regressor: Specimen, by: float) -> None:
    spread = float(np.std(regressor.estimator.predict(regressor.dataset.features)))

    def change(answer: Answer) -> Answer:
        return answer._replace(label=float(answer.label) + by * max(spread, abs(float(answer.label))))

    compiled = regressor.compiled
    altered = AlteredSession(Session(compiled.model, compiled.signature), only_first(change, batch_rows=7))
    certificate = prove(regressor.estimator, compiled, regressor.probes, make_session=lambda *_: altered).certificate
    assert (certificate.parity.label_mismatches, certificate.parity.mismatches) == (0, 1)
    assert certificate.parity.max_difference == pytest.approx(abs(by) if math.isfinite(by) else 1.0, abs=2e-6)
    assert regressor.prove().parity.passed


def test_a_row_that_only_the_estimator_cannot_answer_fails(regressor: Specimen) -> None:
    def fail(rows: pd.DataFrame) -> None:
        if 31 in rows.index:
            raise ValueError

    estimator = AlteredEstimator(regressor.estimator, fail=fail)
    certificate = prove(estimator, regressor.compiled, regressor.probes).certificate
    assert certificate.parity.mismatches == 1
    assert certificate.parity.max_difference == 1.0
    assert certificate.worst[0].estimator is None
    assert certificate.worst[0].session is not None
    assert certificate.worst[0].kind == "known, alone"


def test_for_an_extreme_row_the_estimators_answer_to_it_alone_counts(regressor: Specimen) -> None:
    known = len(regressor.probes[0].rows)

    def alter_at(place: int) -> AlteredEstimator:
        def alter(rows: pd.DataFrame, numbers: Numbers) -> Numbers:
            changed = numbers.copy()
            if len(rows) > known:
                changed[place] *= 2.0
            return changed

        return AlteredEstimator(regressor.estimator, alter)

    last_is_extreme = [one for one in regressor.probes if one.extreme or one is regressor.probes[0]]
    rows = sum(len(one.rows) for one in last_is_extreme) + known
    for place, passed in ((rows - 1, True), (31, False)):
        proof = prove(alter_at(place), regressor.compiled, last_is_extreme)
        assert proof.certificate.parity.passed is passed
    wrong = AlteredEstimator(regressor.estimator, lambda _, numbers: numbers + 1000.0)
    parity = prove(wrong, regressor.compiled, regressor.probes).certificate.parity
    assert parity.mismatches > RECHECKED_ROWS


def test_extreme_rows_may_be_left_unanswered_and_are_counted(
    estimator: Estimator, compiled: Compiled, probes: tuple[Probes, ...]
) -> None:
    certificate = prove(estimator, compiled, probes).certificate
    *others, extreme = certificate.compared
    assert extreme.kind == "extreme"
    assert 0 < extreme.unanswered < extreme.rows
    assert {one.unanswered for one in others} == {0}
    assert certificate.parity.passed


@pytest.mark.parametrize("kind", ["known", "in the training range"])
def test_any_other_row_that_is_left_unanswered_fails(
    estimator: Estimator, compiled: Compiled, probes: tuple[Probes, ...], kind: str
) -> None:
    asked = [attrs.evolve(one, kind=kind, extreme=False) if one.extreme else one for one in probes]
    certificate = prove(estimator, compiled, asked).certificate
    assert not certificate.parity.passed
    assert sum(one.unanswered for one in certificate.compared) == 0
    assert next(one for one in certificate.compared if one.kind == kind).mismatches > 0


def test_a_label_that_is_not_the_most_probable_class_passes_and_is_recorded(iris: Dataset) -> None:
    turned = iris.target.to_numpy().copy()
    turned[::7] = "Iris-virginica"
    dataset = attrs.evolve(iris, target=pd.Series(turned, name="Species"))
    with pytest.warns(FutureWarning, match="probability"):
        made = make_specimen(dataset, make_pipeline(StandardScaler(), SVC(probability=True)))
    predicted, likely = made.estimator.predict(iris.features), made.estimator.predict_proba(iris.features)
    assert (made.estimator.classes_[likely.argmax(axis=1)] != predicted).any()
    assert not made.prove().label_is_argmax


def test_the_same_proof_is_the_same_certificate(regressor: Specimen) -> None:
    assert regressor.prove() == regressor.prove()


def test_an_estimator_that_cannot_answer_its_own_rows_is_no_proof(regressor: Specimen) -> None:
    renamed = [attrs.evolve(one, rows=one.rows.rename(columns={"steps": "step"})) for one in regressor.probes]
    with pytest.raises(ConvertError, match=r"^the estimator cannot answer its own rows: ValueError: "):
        prove(regressor.estimator, regressor.compiled, renamed)
