"""Batch -> an outcome for each row, such that a row at fault fails alone; knows nothing of queues or models."""

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from server.errors import SessionError

logger = logging.getLogger(__name__)

RowT = TypeVar("RowT")
AnswerT = TypeVar("AnswerT")


def answer_each(run: Callable[[list[RowT]], list[AnswerT]], rows: list[RowT]) -> list[AnswerT | SessionError]:
    """Answers a batch such that a row at fault fails alone: a batch that fails is halved until that row is found.

    Returns:
        For each row its answer, or the error that it causes by itself.
    """
    try:
        return _checked(run, rows)
    except Exception as error:
        if len(rows) > 1:
            middle = len(rows) // 2
            return answer_each(run, rows[:middle]) + answer_each(run, rows[middle:])
        if isinstance(error, SessionError):
            return [error]
        logger.exception("a row could not be answered")
        return [SessionError(f"the model could not answer: {type(error).__name__}")]


def _checked(run: Callable[[list[RowT]], list[AnswerT]], rows: list[RowT]) -> list[AnswerT | SessionError]:
    answers = run(rows)
    if len(answers) != len(rows):
        raise SessionError(f"expected {len(rows)} answers, got {len(answers)}")
    return list(answers)


def answer_timed(
    run: Callable[[list[RowT]], list[AnswerT]], rows: list[RowT]
) -> tuple[list[AnswerT | SessionError], float]:
    """Does as `answer_each`, and tells how long it took, in seconds."""
    start_s = time.perf_counter()
    outcomes = answer_each(run, rows)
    return outcomes, time.perf_counter() - start_s
