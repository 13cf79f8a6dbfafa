"""Runs a batch with isolation of faulty rows: a batch that fails is bisected, so that a faulty row fails alone."""

import logging
import time
from collections.abc import Callable
from typing import Generic, TypeVar

import attrs

from server.errors import SessionError

logger = logging.getLogger(__name__)

RowT = TypeVar("RowT")
AnswerT = TypeVar("AnswerT")


@attrs.frozen
class Outcomes(Generic[AnswerT]):
    """The outcome of a batch.

    Attributes:
        of_rows: The answer to each row, or the error that the row causes by itself.
        all_answered: True if none of them is an error.
        run_s: How long the batch took, in seconds.
    """

    of_rows: list[AnswerT | SessionError]
    all_answered: bool
    run_s: float


def run_batch(run: Callable[[list[RowT]], list[AnswerT]], rows: list[RowT]) -> Outcomes[AnswerT]:
    """Answer a batch; bisect it if it fails, until the faulty rows are found."""
    start_s = time.perf_counter()
    try:
        of_rows, all_answered = _checked(run, rows), True
    except Exception as error:  # noqa: BLE001  each request needs an outcome, whatever a model raises
        of_rows, all_answered = _isolate(run, rows, error), False
    return Outcomes(of_rows, all_answered, time.perf_counter() - start_s)


def _isolate(
    run: Callable[[list[RowT]], list[AnswerT]], rows: list[RowT], error: Exception
) -> list[AnswerT | SessionError]:
    """Answer the two halves of a failed batch; a row that fails by itself is faulty."""
    if len(rows) > 1:
        middle = len(rows) // 2
        return run_batch(run, rows[:middle]).of_rows + run_batch(run, rows[middle:]).of_rows
    if isinstance(error, SessionError):
        # A new error: the traceback of the old one refers to the frames of this batch, and so keeps its rows alive.
        return [type(error)(str(error))]
    logger.error("a row could not be answered", exc_info=error)
    return [SessionError(f"the model could not answer: {type(error).__name__}")]


def _checked(run: Callable[[list[RowT]], list[AnswerT]], rows: list[RowT]) -> list[AnswerT | SessionError]:
    answers = run(rows)
    if len(answers) != len(rows):
        raise SessionError(f"expected {len(rows)} answers, got {len(answers)}")
    return list(answers)
