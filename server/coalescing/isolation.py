"""Batch -> an outcome for each row, such that a row at fault fails alone; knows nothing of queues or models."""

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
    """What became of a batch.

    Attributes:
        of_rows: For each row its answer, or the error that it causes by itself.
        all_answered: Whether none of them is an error.
        run_s: How long it took.
    """

    of_rows: list[AnswerT | SessionError]
    all_answered: bool
    run_s: float


def run_batch(run: Callable[[list[RowT]], list[AnswerT]], rows: list[RowT]) -> Outcomes[AnswerT]:
    """Answers a batch such that a row at fault fails alone: a batch that fails is halved until that row is found."""
    start_s = time.perf_counter()
    try:
        of_rows, all_answered = _checked(run, rows), True
    except Exception as error:  # noqa: BLE001  whatever a model raises, each client is owed an outcome
        of_rows, all_answered = _isolate(run, rows, error), False
    return Outcomes(of_rows, all_answered, time.perf_counter() - start_s)


def _isolate(
    run: Callable[[list[RowT]], list[AnswerT]], rows: list[RowT], error: Exception
) -> list[AnswerT | SessionError]:
    """Answers the halves of a batch that has failed; a row that fails by itself is at fault."""
    if len(rows) > 1:
        middle = len(rows) // 2
        return run_batch(run, rows[:middle]).of_rows + run_batch(run, rows[middle:]).of_rows
    if isinstance(error, SessionError):
        # A new one: the traceback of the old one holds the frames of this batch, and so its rows, in a circle.
        return [type(error)(str(error))]
    logger.error("a row could not be answered", exc_info=error)
    return [SessionError(f"the model could not answer: {type(error).__name__}")]


def _checked(run: Callable[[list[RowT]], list[AnswerT]], rows: list[RowT]) -> list[AnswerT | SessionError]:
    answers = run(rows)
    if len(answers) != len(rows):
        raise SessionError(f"expected {len(rows)} answers, got {len(answers)}")
    return list(answers)
