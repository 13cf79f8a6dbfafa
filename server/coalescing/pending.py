"""What a coalescer deals in: pendings, batches, and what is told of them; plain values that decide nothing."""

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
        rows: What it asks about.
        settle: The one thing that settles it: takes the answers in order, or the error; called at most once.
        deadline_s: When it is no longer wanted, on the loop's clock.
        submitted_s: When it was queued, on the clock of `time.perf_counter`; the loop's has whole milliseconds.
        answers: What has been answered so far, where that is not all of it.
        taken_rows: How many of its rows batches have taken.
        settled: Whether it is over: answered, failed, expired or cancelled.
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
    """What a session receives.

    Attributes:
        rows: The rows, in the order of their parts.
        parts: Whose they are: a pending, and how many of the rows are its.
    """

    rows: list[RowT]
    parts: list[tuple[Pending[RowT, AnswerT], int]]


@attrs.frozen
class BatchReport:
    """What is told of each batch.

    Attributes:
        rows: The rows that ran.
        requests: The pendings that had rows in it.
        queue_s: How long the first of them had waited.
        run_s: How long the run took.
        settle_s: How long it took to hand all the answers over: on the lane, to encode and write them.
    """

    rows: Sequence[Any]
    requests: int
    queue_s: float
    run_s: float
    settle_s: float


@attrs.frozen
class Statistics:
    """How much there is to do.

    Attributes:
        queued_rows: Rows that no batch has taken yet.
        running_rows: Rows in the batch that the worker runs.
    """

    queued_rows: int
    running_rows: int


@attrs.frozen
class Limits:
    """What a coalescer may do.

    Attributes:
        max_batch_rows: The most rows that one run is given.
        max_queue_rows: The most rows that may wait.
        timeout_s: How long a request may take where it does not say less.
        on_worker: Whether batches run on a thread of their own, the event loop going on meanwhile.
    """

    max_batch_rows: int
    max_queue_rows: int
    timeout_s: float
    on_worker: bool
