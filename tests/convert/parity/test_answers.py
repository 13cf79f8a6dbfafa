"""Both sides are evaluated on every row, and a row that one of them fails on does not fail the others."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from convert.errors import ConvertError
from convert.parity.answers import Answers, check_estimator, evaluate_estimator, evaluate_session, to_rows
from server.contract.signature import Answer
from server.errors import SessionError
from server.models.session import Session
from tests.support.fakes import AlteredEstimator, AlteredSession, FixedClassifier
from tests.support.tables import Specimen
from training.dataset import Dataset
from training.estimators import Estimator

LABELS = ("Iris-setosa", "Iris-versicolor", "Iris-virginica")


def at(rows: pd.DataFrame, *positions: int) -> npt.NDArray[np.bool_]:
    """Returns which rows are those of the table at these positions."""
    return np.isin(rows.index, positions)


def put(value: float, *positions: int) -> Callable[[pd.DataFrame, Any], Any]:
    def alter(rows: pd.DataFrame, numbers: Any) -> Any:
        altered = numbers.copy()
        altered[at(rows, *positions)] = value
        return altered

    return alter


def fail(error: Exception, *positions: int) -> Callable[[pd.DataFrame], None]:
    def check(rows: pd.DataFrame) -> None:
        if at(rows, *positions).any():
            raise error

    return check


def test_the_estimators_answers_are_its_labels_and_probabilities(
    estimator: Estimator, session: Session, iris: Dataset, compiled: Any
) -> None:
    answers = evaluate_estimator(estimator, iris.features, compiled.signature)
    assert answers.labels.tolist() == estimator.predict(iris.features).tolist()
    np.testing.assert_array_equal(answers.numbers, estimator.predict_proba(iris.features))
    assert answers.at(0) == Answer("Iris-setosa", tuple(estimator.predict_proba(iris.features)[0].tolist()))
    assert type(answers.labels[0]) is str
    assert answers.is_answered.all()
    given = evaluate_session(session, to_rows(iris.features), (1,), 3)
    assert given.labels.tolist() == answers.labels.tolist()
    np.testing.assert_allclose(given.numbers, answers.numbers, atol=1e-6)


def test_a_regressors_answers_are_its_numbers(regressor: Specimen) -> None:
    rows, signature = regressor.dataset.features, regressor.compiled.signature
    answers = evaluate_estimator(regressor.estimator, rows, signature)
    assert answers.labels.tolist() == [None] * len(rows)
    assert answers.numbers[:, 0].tolist() == regressor.estimator.predict(rows).tolist()
    assert answers.at(3) == Answer(float(answers.numbers[3, 0]), ())
    given = evaluate_session(Session(regressor.compiled.model, signature), to_rows(rows), (7,), 1)
    assert given.labels.tolist() == [None] * len(rows)
    np.testing.assert_allclose(given.numbers, answers.numbers, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_an_answer_that_is_not_finite_is_none(estimator: Estimator, iris: Dataset, compiled: Any, value: float) -> None:
    altered = AlteredEstimator(estimator, put(value, 3, 149))
    answers = evaluate_estimator(altered, iris.features, compiled.signature)
    assert np.flatnonzero(~answers.is_answered).tolist() == [3, 149]
    assert answers.at(3) is None
    assert answers.at(4) is not None


@pytest.mark.parametrize("error", [ValueError("too large"), OverflowError(), ZeroDivisionError()])
def test_a_row_that_the_estimator_fails_on_fails_no_other(
    estimator: Estimator, iris: Dataset, compiled: Any, error: Exception
) -> None:
    altered = AlteredEstimator(estimator, fail=fail(error, 7, 8, 100))
    answers = evaluate_estimator(altered, iris.features, compiled.signature)
    sound = evaluate_estimator(estimator, iris.features, compiled.signature)
    assert np.flatnonzero(~answers.is_answered).tolist() == [7, 8, 100]
    assert answers.labels[answers.is_answered].tolist() == sound.labels[answers.is_answered].tolist()
    np.testing.assert_allclose(answers.numbers[answers.is_answered], sound.numbers[answers.is_answered], atol=1e-12)
    assert len(altered.batches) < 150


def test_a_row_that_a_regressor_fails_on_fails_no_other(regressor: Specimen) -> None:
    altered = AlteredEstimator(regressor.estimator, fail=fail(ValueError(), 59))
    answers = evaluate_estimator(altered, regressor.dataset.features, regressor.compiled.signature)
    assert np.flatnonzero(~answers.is_answered).tolist() == [59]
    assert answers.at(59) is None


def test_an_estimator_that_fails_for_another_reason_than_a_value_is_refused(
    estimator: Estimator, iris: Dataset, compiled: Any
) -> None:
    altered = AlteredEstimator(estimator, fail=fail(TypeError("no such thing"), 149))
    with pytest.raises(ConvertError, match=r"^the estimator cannot answer: TypeError: no such thing$"):
        evaluate_estimator(altered, iris.features, compiled.signature)


@pytest.mark.parametrize("error", [TypeError("no such thing"), ValueError("no such thing")])
def test_an_estimator_that_cannot_answer_its_own_rows_is_refused_with_its_error(
    estimator: Estimator, iris: Dataset, compiled: Any, error: Exception
) -> None:
    check_estimator(AlteredEstimator(estimator, fail=fail(error, 1)), iris.features.head(1), compiled.signature)
    with pytest.raises(ConvertError) as refusal:
        check_estimator(AlteredEstimator(estimator, fail=fail(error, 0)), iris.features.head(1), compiled.signature)
    name = type(error).__name__
    assert str(refusal.value) == f"the estimator cannot answer its own rows: {name}: no such thing"
    with pytest.raises(ConvertError, match=r"own rows: ValueError: The feature names "):
        check_estimator(estimator, iris.features.rename(columns={"SepalWidthCm": "width"}), compiled.signature)


@pytest.mark.parametrize("width", [1, 2, 4])
def test_an_estimator_with_a_wrong_number_of_probabilities_is_refused(iris: Dataset, compiled: Any, width: int) -> None:
    given = FixedClassifier(LABELS, ["Iris-setosa"], [(0.1,) * width])
    given_to_all = FixedClassifier(LABELS, ["Iris-setosa"] * 150, [(0.1,) * width] * 150)
    with pytest.raises(ConvertError, match=rf"^expected 3 probabilities a row, got {width}$"):
        check_estimator(given, iris.features.head(1), compiled.signature)
    with pytest.raises(ConvertError, match=rf"^expected 3 probabilities a row, got {width}$"):
        evaluate_estimator(given_to_all, iris.features, compiled.signature)


@pytest.mark.parametrize(("labels", "numbers"), [(149, 150), (150, 149), (151, 151)])
def test_an_estimator_with_a_wrong_number_of_answers_is_refused(
    iris: Dataset, compiled: Any, labels: int, numbers: int
) -> None:
    given = FixedClassifier(LABELS, ["Iris-setosa"] * labels, [(0.5, 0.3, 0.2)] * numbers)
    with pytest.raises(ConvertError, match=rf"^expected 150 answers, got {labels} and {numbers}$"):
        evaluate_estimator(given, iris.features, compiled.signature)


def test_warnings_far_beyond_the_training_range_are_silenced(regressor: Specimen) -> None:
    def overflow(_: pd.DataFrame, numbers: Any) -> Any:
        return numbers * np.float64(1e308) * 1e308

    answers = evaluate_estimator(
        AlteredEstimator(regressor.estimator, overflow), regressor.dataset.features, regressor.compiled.signature
    )
    assert not answers.is_answered.any()


def test_the_session_is_evaluated_in_batches_of_each_size_in_turn(session: Session, iris: Dataset) -> None:
    noted = AlteredSession(session)
    evaluate_session(noted, to_rows(iris.features), (1, 60, 20), 3)
    assert [len(batch) for batch in noted.batches] == [1, 60, 20, 1, 60, 8]
    assert np.concatenate(noted.batches).tolist() == iris.features.to_numpy().tolist()


def test_a_row_without_a_finite_answer_of_the_session_fails_no_other(session: Session, iris: Dataset) -> None:
    rows = to_rows(iris.features)
    rows[70] = (3e38, -3e38, 3e38, 3e38)
    answers = evaluate_session(session, rows, (1024,), 3)
    assert np.flatnonzero(~answers.is_answered).tolist() == [70]
    assert answers.labels[70] is None
    assert answers.at(70) is None


@pytest.mark.parametrize("alter", [lambda answers: answers[1:], lambda answers: [*answers, answers[0]]])
def test_a_session_with_a_wrong_number_of_answers_has_none(
    session: Session, iris: Dataset, alter: Callable[[list[Answer]], list[Answer]]
) -> None:
    with pytest.raises(SessionError, match=r"^expected 1 answers, got (0|2)$"):
        evaluate_session(AlteredSession(session, alter), to_rows(iris.features), (3,), 3)


def test_a_session_that_fails_on_every_row_is_refused(session: Session, iris: Dataset) -> None:
    def break_down(_: list[Answer]) -> list[Answer]:
        raise SessionError("out of order")

    with pytest.raises(SessionError, match=r"^out of order$"):
        evaluate_session(AlteredSession(session, break_down), to_rows(iris.features.head(2)), (1,), 3)


@pytest.mark.parametrize("width", [0, 1, 2, 4])
def test_a_session_with_a_wrong_number_of_probabilities_is_refused(session: Session, iris: Dataset, width: int) -> None:
    def alter(answers: list[Answer]) -> list[Answer]:
        return [answer._replace(probabilities=(0.1,) * width) for answer in answers]

    with pytest.raises(ConvertError, match=rf"^expected 3 probabilities a row, got {width}$"):
        evaluate_session(AlteredSession(session, alter), to_rows(iris.features), (3,), 3)


def test_rows_are_as_the_server_decodes_them() -> None:
    frame = pd.DataFrame({"n": [1.5, math.nan], "c": pd.Series(["a", ""], dtype=object)})
    first, second = to_rows(frame)
    assert first == (1.5, "a")
    assert [type(value) for value in first] == [float, str]
    assert math.isnan(float(second[0]))
    assert second[1] == ""


def test_answers_are_compared_by_identity() -> None:
    assert Answers(np.array([None]), np.zeros((1, 1))) != Answers(np.array([None]), np.zeros((1, 1)))


def test_a_batch_that_fails_though_its_rows_do_not_has_no_answers(session: Session, iris: Dataset) -> None:
    def fail_together(answers: list[Answer]) -> list[Answer]:
        if len(answers) > 1:
            raise ValueError
        return answers

    altered = AlteredSession(session, fail_together)
    rows = to_rows(iris.features.iloc[:5])
    given = evaluate_session(altered, rows, (2, 1), 3).is_answered
    assert given.tolist() == [False, False, True, False, False]
