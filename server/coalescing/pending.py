"""The values of coalescing: pending requests, batches, reports and limits."""

from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

import attrs

from server.errors import CorollaError

RowT = TypeVar("RowT")
AnswerT = TypeVar("AnswerT")


@attrs.define(eq=False)
class Pending(Generic[RowT, AnswerT]):
    """A queued request.

    Attributes:
        rows: The rows to answer.
        settle: Takes the answers in order, or the error; called at most once.
        deadline_s: The deadline, on the event loop's clock.
        submitted_s: When it was queued, by `time.perf_counter`; uvloop's clock has whole milliseconds only.
        answers: The answers so far, if some but not all rows are answered.
        taken_rows: Number of its rows that batches have taken.
        settled: True once it is answered, failed, expired or cancelled.
    """

    rows: Sequence[RowT]
    settle: Callable[[list[AnswerT] | CorollaError], None]
    deadline_s: float
    submitted_s: float
    answers: list[AnswerT] | None = None
    taken_rows: int = 0
    settled: bool = False


@attrs.frozen(eq=False)
class Batch(Generic[RowT, AnswerT]):
    """The rows of one run, and the requests that they belong to.

    Attributes:
        rows: The rows, in the order of the parts.
        parts: Pending requests, each with the number of its rows in the batch.
    """

    rows: list[RowT]
    parts: list[tuple[Pending[RowT, AnswerT], int]]


@attrs.frozen
class BatchReport:
    """The measurements of one batch.

    Attributes:
        rows: The rows that ran.
        requests: Number of parts; a large request may have several.
        queue_s: How long the first request had waited, in seconds.
        run_s: How long the run took, in seconds.
        settle_s: How long the delivery of all answers took, in seconds; on the fast path they are encoded and written.
    """

    rows: Sequence[Any]
    requests: int
    queue_s: float
    run_s: float
    settle_s: float


@attrs.frozen
class Statistics:
    """The current load of a coalescer.

    Attributes:
        queued_rows: Rows that no batch has taken yet.
        running_rows: Rows in the batch that the worker runs.
    """

    queued_rows: int
    running_rows: int


@attrs.frozen
class Limits:
    """The limits of a coalescer.

    Attributes:
        max_batch_rows: Maximum number of rows in one run.
        max_queue_rows: Maximum number of queued rows.
        timeout_s: The longest time a request may take, in seconds, unless it asks for less.
        on_worker: True if batches run on a worker thread, while the event loop goes on.
    """

    max_batch_rows: int
    max_queue_rows: int
    timeout_s: float
    on_worker: bool
