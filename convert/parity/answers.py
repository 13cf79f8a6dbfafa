"""Evaluates estimator and session on rows, and returns the answers of both in one format.

A row on which one side has no finite answer does not fail the other rows.
"""

import itertools
import warnings
from collections.abc import Sequence

import attrs
import numpy as np
import numpy.typing as npt
import pandas as pd

from convert.errors import ConvertError
from server.coalescing.isolation import run_batch
from server.contract.signature import Answer, Label, Row, Signature
from server.errors import SessionError
from server.models.session import Session
from training.estimators import Estimator

_Matrix = npt.NDArray[np.float64]


@attrs.frozen(eq=False)
class Answers:
    """The answers of one side to n rows.

    Attributes:
        labels: n labels of a classifier; of any value for a regressor, and for a row without an answer.
        numbers: n rows of probabilities, or of a regressor's one number; NaN if there is no finite answer.
    """

    labels: npt.NDArray[np.object_]
    numbers: _Matrix

    @property
    def is_answered(self) -> npt.NDArray[np.bool_]:
        """Whether each row has a finite answer."""
        return np.asarray(np.isfinite(self.numbers).all(axis=1))

    def at(self, position: int) -> Answer | None:
        """Returns one row's answer, or None if it has no finite one."""
        if not np.isfinite(self.numbers[position]).all():
            return None
        numbers: list[float] = self.numbers[position].tolist()
        label: Label | None = self.labels[position]
        return Answer(numbers[0], ()) if label is None else Answer(label, tuple(numbers))


def check_estimator(estimator: Estimator, known: pd.DataFrame, signature: Signature) -> None:
    """Checks that the estimator answers rows of its own table; it may refuse any others.

    Raises:
        ConvertError: If it cannot answer them, or the number of probabilities is not the number of labels.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            answers = _evaluate(estimator, known, signature)
    except Exception as error:
        # A user's estimator may raise anything.
        raise ConvertError(f"the estimator cannot answer its own rows: {type(error).__name__}: {error}") from error
    _check_width(answers.numbers.shape[1], signature.answer_width)


def evaluate_estimator(estimator: Estimator, rows: pd.DataFrame, signature: Signature) -> Answers:
    """Evaluates the estimator; a row that it fails on has no answer.

    Raises:
        ConvertError: If it fails for another reason than a row's values, or if the number of answers is not the number
            of rows, or the number of probabilities not that of labels.
    """
    # Far beyond its training range an estimator may overflow, and warns each time.
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        answers = _evaluate_in_halves(estimator, rows, signature)
    if not len(answers.labels) == len(answers.numbers) == len(rows):
        raise ConvertError(f"expected {len(rows)} answers, got {len(answers.labels)} and {len(answers.numbers)}")
    _check_width(answers.numbers.shape[1], signature.answer_width)
    return answers


def _check_width(found: int, expected: int) -> None:
    if found != expected:
        raise ConvertError(f"expected {expected} probabilities a row, got {found}")


def _evaluate(estimator: Estimator, rows: pd.DataFrame, signature: Signature) -> Answers:
    if signature.is_regressor:
        numbers = np.asarray(estimator.predict(rows), dtype=np.float64)
        return Answers(np.full(len(rows), None, dtype=object), numbers.reshape(len(rows), 1))
    labels = np.array(estimator.predict(rows).tolist(), dtype=object)
    return Answers(labels, np.asarray(estimator.predict_proba(rows), dtype=np.float64))


def _evaluate_in_halves(estimator: Estimator, rows: pd.DataFrame, signature: Signature) -> Answers:
    """Evaluates all rows at once, and after any failure each half by itself, down to the rows that cause it."""
    try:
        return _evaluate(estimator, rows, signature)
    except Exception as error:
        if len(rows) > 1:
            parts = slice(len(rows) // 2), slice(len(rows) // 2, None)
            halves = [_evaluate_in_halves(estimator, rows.iloc[part], signature) for part in parts]
            return Answers(
                np.concatenate([half.labels for half in halves]), np.concatenate([half.numbers for half in halves])
            )
        if not isinstance(error, ValueError | ArithmeticError):
            raise ConvertError(f"the estimator cannot answer: {type(error).__name__}: {error}") from error
        return Answers(np.array([None]), np.full((1, signature.answer_width), np.nan))


def evaluate_session(session: Session, rows: Sequence[Row], batch_rows: Sequence[int], width: int) -> Answers:
    """Evaluates the compiled model; a row that it fails on has no answer.

    Args:
        session: The compiled model.
        rows: The rows.
        batch_rows: The sizes of the batches, repeated in turn.
        width: The number of probabilities, or 1 for a regressor.

    Raises:
        SessionError: If it can answer no row at all.
        ConvertError: If the number of probabilities is not the number of labels.
    """
    remaining, outcomes, sizes = list(rows), [], itertools.cycle(batch_rows)
    while remaining:
        size = next(sizes)
        outcomes += _run_batch(session, remaining[:size])
        del remaining[:size]
    failed = [outcome for outcome in outcomes if isinstance(outcome, SessionError)]
    if failed and len(failed) == len(outcomes):
        raise failed[0]
    split = [_split_outcome(outcome, width) for outcome in outcomes]
    numbers = np.array([numbers for _, numbers in split], dtype=np.float64)
    return Answers(np.array([label for label, _ in split], dtype=object), numbers)


def _run_batch(session: Session, rows: list[Row]) -> list[Answer | SessionError]:
    """Runs a batch. If it fails though each row alone is answered, none of its rows has an answer."""
    outcomes = run_batch(session.run, rows)
    if outcomes.all_answered or any(isinstance(one, SessionError) for one in outcomes.of_rows):
        return outcomes.of_rows
    return [SessionError(f"the model fails on {len(rows)} rows together")] * len(rows)


def _split_outcome(outcome: Answer | SessionError, width: int) -> tuple[Label | None, Sequence[float]]:
    """Returns the label, of a classifier, and the numbers."""
    if isinstance(outcome, SessionError):
        return None, (np.nan,) * width
    if width == 1:
        return None, (float(outcome.label),)
    _check_width(len(outcome.probabilities), width)
    return outcome.label, outcome.probabilities


def to_rows(frame: pd.DataFrame) -> list[Row]:
    """Returns a frame's rows as the server decodes them."""
    return list(zip(*(frame[name].tolist() for name in frame.columns), strict=True))
