"""Pendings -> batches -> answers: requests that arrive together run together.

It waits for nothing: the first ``submit`` asks the event loop for one flush at its next turn, so every request that
the loop has already read joins the batch, and a lone request is never held. It takes any callable that answers rows,
and knows nothing of models, sessions or HTTP.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Generic, TypeVar

import attrs

from server.errors import SessionError

logger = logging.getLogger(__name__)

RowT = TypeVar("RowT")
AnswerT = TypeVar("AnswerT")


@attrs.frozen(eq=False)
class Pending(Generic[RowT, AnswerT]):
    """A queued request.

    Attributes:
        rows: What it asks about.
        future: The one thing that settles it; a cancelled one is never run.
    """

    rows: Sequence[RowT]
    future: asyncio.Future[list[AnswerT]]


class Coalescer(Generic[RowT, AnswerT]):
    """Takes requests one by one and runs them together, on the event loop that they come from."""

    def __init__(self, run: Callable[[list[RowT]], list[AnswerT]], max_batch_rows: int) -> None:
        """Wires the queue to what answers it.

        Args:
            run: Answers a batch: n rows in, n answers out, in order.
            max_batch_rows: The most rows that one call of ``run`` is given.
        """
        self._run = run
        self._max_batch_rows = max_batch_rows
        self._queue: list[Pending[RowT, AnswerT]] = []

    def __repr__(self) -> str:
        """Tells how much is queued."""
        rows = sum(len(pending.rows) for pending in self._queue)
        return f"<Coalescer: {len(self._queue)} pendings of {rows} rows queued>"

    def submit(self, rows: Sequence[RowT]) -> asyncio.Future[list[AnswerT]]:
        """Queues a request for the next flush.

        Args:
            rows: One or more rows.

        Returns:
            A future of as many answers, in order; it fails with `SessionError` where the run does.
        """
        loop = asyncio.get_running_loop()
        if not self._queue:
            loop.call_soon(self._flush)
        pending = Pending(rows, loop.create_future())
        self._queue.append(pending)
        return pending.future

    def _flush(self) -> None:
        queue, self._queue = self._queue, []
        alive = (pending for pending in queue if not pending.future.done())
        for batch in _batches(alive, self._max_batch_rows):
            self._settle(batch)

    def _settle(self, batch: list[Pending[RowT, AnswerT]]) -> None:
        try:
            answers = self._answer([row for pending in batch for row in pending.rows])
        except Exception as error:
            logger.exception("a batch failed")
            for pending in batch:
                pending.future.set_exception(SessionError(f"the model could not answer: {type(error).__name__}"))
            return
        start = 0
        for pending in batch:
            end = start + len(pending.rows)
            pending.future.set_result(answers[start:end])
            start = end

    def _answer(self, rows: list[RowT]) -> list[AnswerT]:
        answers: list[AnswerT] = []
        for start in range(0, len(rows), self._max_batch_rows):
            part = rows[start : start + self._max_batch_rows]
            given = self._run(part)
            if len(given) != len(part):
                raise SessionError(f"expected {len(part)} answers, got {len(given)}")
            answers += given
        return answers


def _batches(pendings: Iterable[Pending[RowT, AnswerT]], max_rows: int) -> Iterator[list[Pending[RowT, AnswerT]]]:
    """Groups whole pendings up to ``max_rows`` rows; one that is larger by itself makes a batch of its own."""
    batch: list[Pending[RowT, AnswerT]] = []
    rows = 0
    for pending in pendings:
        if batch and rows + len(pending.rows) > max_rows:
            yield batch
            batch, rows = [], 0
        batch.append(pending)
        rows += len(pending.rows)
    if batch:
        yield batch
