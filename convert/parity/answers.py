"""Rows -> what the estimator says of them, and what the session says, in the same terms.

A row on which a side has no finite answer holds up no other. This file compares nothing.
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
    """What one side says of n rows.

    Attributes:
        labels: n labels, of a classifier; anything where there is no answer, and of a regressor.
        numbers: n rows of probabilities, or of a regressor's one number; NaN where there is no finite answer.
    """

    labels: npt.NDArray[np.object_]
    numbers: _Matrix

    @property
    def is_answered(self) -> npt.NDArray[np.bool_]:
        """Whether each row has a finite answer."""
        return np.asarray(np.isfinite(self.numbers).all(axis=1))

    def at(self, position: int) -> Answer | None:
        """Gives one row's answer, or None where it has none."""
        if not np.isfinite(self.numbers[position]).all():
            return None
        numbers: list[float] = self.numbers[position].tolist()
        label: Label | None = self.labels[position]
        return Answer(numbers[0], ()) if label is None else Answer(label, tuple(numbers))


def check_estimator(estimator: Estimator, known: pd.DataFrame, signature: Signature) -> None:
    """Makes sure that the estimator answers rows that it was made with; of others it may say that it cannot.

    Raises:
        ConvertError: If it cannot answer them, or answers with another number of probabilities than there are labels.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            answers = _ask(estimator, known, signature)
    except Exception as error:
        # A user's estimator may fail in any way.
        raise ConvertError(f"the estimator cannot answer its own rows: {type(error).__name__}: {error}") from error
    _check_width(answers.numbers.shape[1], signature.answer_width)


def ask_estimator(estimator: Estimator, rows: pd.DataFrame, signature: Signature) -> Answers:
    """Asks the estimator; a row that it fails on has no answer.

    Raises:
        ConvertError: If it fails in another way than by a row's values, or answers with another number of answers than
            there are rows, or of probabilities than there are labels.
    """
    # Far beyond what it has seen an estimator may overflow, and says so each time.
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        answers = _ask_in_halves(estimator, rows, signature)
    if not len(answers.labels) == len(answers.numbers) == len(rows):
        raise ConvertError(f"expected {len(rows)} answers, got {len(answers.labels)} and {len(answers.numbers)}")
    _check_width(answers.numbers.shape[1], signature.answer_width)
    return answers


def _check_width(found: int, expected: int) -> None:
    if found != expected:
        raise ConvertError(f"expected {expected} probabilities a row, got {found}")


def _ask(estimator: Estimator, rows: pd.DataFrame, signature: Signature) -> Answers:
    if signature.is_regressor:
        numbers = np.asarray(estimator.predict(rows), dtype=np.float64)
        return Answers(np.full(len(rows), None, dtype=object), numbers.reshape(len(rows), 1))
    labels = np.array(estimator.predict(rows).tolist(), dtype=object)
    return Answers(labels, np.asarray(estimator.predict_proba(rows), dtype=np.float64))


def _ask_in_halves(estimator: Estimator, rows: pd.DataFrame, signature: Signature) -> Answers:
    try:
        return _ask(estimator, rows, signature)
    except Exception as error:
        # Whichever way it fails, the rows are looked for that it fails on.
        if len(rows) > 1:
            parts = slice(len(rows) // 2), slice(len(rows) // 2, None)
            halves = [_ask_in_halves(estimator, rows.iloc[part], signature) for part in parts]
            return Answers(
                np.concatenate([half.labels for half in halves]), np.concatenate([half.numbers for half in halves])
            )
        if not isinstance(error, ValueError | ArithmeticError):
            raise ConvertError(f"the estimator cannot answer: {type(error).__name__}: {error}") from error
        return Answers(np.array([None]), np.full((1, signature.answer_width), np.nan))


def ask_session(session: Session, rows: Sequence[Row], sizes: Sequence[int], width: int) -> Answers:
    """Asks the compiled model in batches of these sizes, in turn; a row that it fails on has no answer.

    Raises:
        SessionError: If it can answer no row at all.
        ConvertError: If it answers with another number of probabilities than there are labels.
    """
    remaining, outcomes, turns = list(rows), [], itertools.cycle(sizes)
    while remaining:
        size = next(turns)
        outcomes += _run_whole(session, remaining[:size])
        del remaining[:size]
    failed = [outcome for outcome in outcomes if isinstance(outcome, SessionError)]
    if failed and len(failed) == len(outcomes):
        raise failed[0]
    apart = [_take_apart(outcome, width) for outcome in outcomes]
    numbers = np.array([numbers for _, numbers in apart], dtype=np.float64)
    return Answers(np.array([label for label, _ in apart], dtype=object), numbers)


def _run_whole(session: Session, rows: list[Row]) -> list[Answer | SessionError]:
    """Runs a batch; where it fails though each of its rows is answered by itself, none of them is."""
    outcomes = run_batch(session.run, rows)
    if outcomes.all_answered or any(isinstance(one, SessionError) for one in outcomes.of_rows):
        return outcomes.of_rows
    return [SessionError(f"the model fails on {len(rows)} rows together")] * len(rows)


def _take_apart(outcome: Answer | SessionError, width: int) -> tuple[Label | None, Sequence[float]]:
    if isinstance(outcome, SessionError):
        return None, (np.nan,) * width
    if width == 1:
        return None, (float(outcome.label),)
    _check_width(len(outcome.probabilities), width)
    return outcome.label, outcome.probabilities


def to_rows(frame: pd.DataFrame) -> list[Row]:
    """Gives a frame's rows as the server has them."""
    return list(zip(*(frame[name].tolist() for name in frame.columns), strict=True))
