"""Coalescing (dynamic batching without a timer): requests that arrive together run as one batch.

No request waits while the session is free. `submit` applies admission control and queues a request as a `Pending`.
`_flush` alone decides what runs. Each pending is settled exactly once.

    submit --OverloadedError--> queue --DeadlineError--> batch --SessionError--> answers

The state is a queue of pendings, the number of queued rows, and a flag for a flush due on the loop's next turn. With a
worker thread it is also the running batch and a timer for the earliest deadline. Without a worker the next flush comes
at once, so no timer is needed. Any callable that answers rows can run the batches.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, cast

from server.coalescing.isolation import Outcomes, run_batch
from server.coalescing.pending import AnswerT, Batch, BatchReport, Limits, Pending, RowT, Statistics
from server.errors import BodyTooLargeError, CorollaError, DeadlineError, OverloadedError, SessionError

logger = logging.getLogger(__name__)

SLICES_PER_BATCH = 4
"""Fairness: a large request takes at most this part of a batch at a time, so that small requests need not wait."""
ADMITTED_SHARE = 0.5
"""Admission control: a request is accepted if its estimated completion takes at most this part of its timeout.

The margin absorbs errors of the estimate. Without it, under sustained overload, every answer comes just too late.
"""
SMOOTHING = 0.1
"""Weight of the last batch in the moving average of the worker's slowdown against the estimate."""


class Coalescer(Generic[RowT, AnswerT]):
    """Queues requests and runs them in batches. Only the event loop's thread may call its methods."""

    def __init__(
        self,
        run: Callable[[list[RowT]], list[AnswerT]],
        limits: Limits,
        estimate_s: Callable[[int], float],
        report: Callable[[BatchReport], None],
    ) -> None:
        """Make an empty queue.

        Args:
            run: Answers a batch: n rows in, n answers out, in order.
            limits: Bounds of a batch, of the queue and of time.
            estimate_s: Returns the seconds that a number of rows is expected to take.
            report: Called with the report of each batch that has run.
        """
        self.limits = limits
        self._timeout_s = limits.timeout_s
        self._run = run
        self._estimate_s = estimate_s
        self._report = report
        self._always_admitted_rows = _count_always_admitted(estimate_s, limits)
        self._slice_rows = max(1, limits.max_batch_rows // SLICES_PER_BATCH)
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="session") if limits.on_worker else None
        self._queue: deque[Pending[RowT, AnswerT]] = deque()
        self._queued_rows = 0
        self._flush_due = False
        self._running: Batch[RowT, AnswerT] | None = None
        self._started_s = 0.0
        self._slowdown = 1.0
        self._timer: asyncio.TimerHandle | None = None
        self._timer_s = 0.0
        self._closed = False
        self._loop: asyncio.AbstractEventLoop
        self._has_loop = False
        self._idle = asyncio.Event()
        self._idle.set()

    def __repr__(self) -> str:
        """Show the number of queued and running rows."""
        now = self.statistics()
        return f"<Coalescer: {now.queued_rows} rows queued, {now.running_rows} running>"

    def statistics(self) -> Statistics:
        """Return the number of queued and running rows."""
        return Statistics(self._queued_rows, len(self._running.rows) if self._running else 0)

    def submit(
        self,
        rows: Sequence[RowT],
        settle: Callable[[list[AnswerT] | CorollaError], None],
        deadline_s: float | None = None,
    ) -> Pending[RowT, AnswerT]:
        """Queue a request for the next flush.

        Args:
            rows: One or more rows.
            settle: Called once, from the loop, with one answer for each row in order, or with the error. It is never
                called from within `submit`.
            deadline_s: The deadline, on the loop's clock; the limits' own timeout applies if it is earlier.

        Returns:
            The pending request, as `cancel` takes it.

        Raises:
            OverloadedError: If the queue is full, the deadline cannot be met, or the coalescer is closed.
            BodyTooLargeError: If there are more rows than an empty queue takes.
        """
        if not self._has_loop:
            self._keep_loop()
        now_s = self._loop.time()
        latest_s = now_s + self._timeout_s
        if deadline_s is not None and deadline_s < latest_s:
            self._admit(len(rows), deadline_s - now_s)
        else:
            deadline_s = latest_s
            if self._closed or self._running is not None or self._queued_rows + len(rows) > self._always_admitted_rows:
                self._admit(len(rows), self._timeout_s)
        pending = Pending(rows, settle, deadline_s, time.perf_counter())
        self._queue.append(pending)
        self._queued_rows += len(rows)
        if self._worker is not None:
            self._set_timer(pending.deadline_s)
        if self._running is None and not self._flush_due:
            self._schedule()
        return pending

    def cancel(self, pending: Pending[RowT, AnswerT]) -> None:
        """Withdraw a request: rows that no batch has taken do not run, and it is never settled."""
        if not pending.settled:
            self._end(pending)

    async def close(self) -> None:
        """Refuse new requests, and wait until all accepted ones are settled and the running batch has ended."""
        self._closed = True
        await self._idle.wait()
        if self._worker is not None:
            self._worker.shutdown(wait=False)

    def _keep_loop(self) -> None:
        """Keep the running loop: `asyncio.get_running_loop` makes a system call each time (CPython 3.11)."""
        self._loop, self._has_loop = asyncio.get_running_loop(), True

    def _admit(self, rows: int, timeout_s: float) -> None:
        """Raise an error if a request must be refused. Its deadline is checked only if other rows are ahead of it."""
        if self._closed:
            raise OverloadedError("the server is stopping", "closing", 1.0)
        if rows > self.limits.max_queue_rows:
            raise BodyTooLargeError(f"expected at most {self.limits.max_queue_rows} rows at once, got {rows}")
        if self._queued_rows + rows > self.limits.max_queue_rows:
            wait_s = self._predict_s(self._queued_rows)
            raise OverloadedError(f"the queue is full ({self.limits.max_queue_rows} rows)", "queue_full", wait_s)
        ahead = self._queued_rows + (len(self._running.rows) if self._running else 0)
        if ahead and (wait_s := self._predict_s(ahead + rows)) > ADMITTED_SHARE * timeout_s:
            raise OverloadedError("the deadline cannot be met, there is too much queued", "deadline", wait_s)

    def _predict_s(self, rows: int) -> float:
        """Return the seconds that rows will take: the estimate times the worker's recent slowdown against it."""
        return self._slowdown * self._estimate_s(rows)

    def _flush(self) -> None:
        """Run one batch. Other rows wait for the loop's next turn, so that it can read from connections between."""
        self._flush_due = False
        batch = self._take(self._loop.time())
        if not batch.rows:
            self._continue()
        elif self._worker is None:
            self._deliver(batch, run_batch(self._run, batch.rows))
        else:
            self._running = batch
            self._started_s = self._loop.time()
            done = self._worker.submit(run_batch, self._run, batch.rows)
            done.add_done_callback(lambda ended: self._loop.call_soon_threadsafe(self._finish, batch, ended))

    def _take(self, now_s: float) -> Batch[RowT, AnswerT]:
        """Fill a batch from the front of the queue; a pending with more rows than a slice goes back to the end."""
        batch: Batch[RowT, AnswerT] = Batch([], [])
        room = self.limits.max_batch_rows
        while self._queue and room:
            pending = self._queue.popleft()
            if pending.settled:
                continue
            if pending.deadline_s <= now_s:
                self._expire(pending)
                continue
            room -= self._take_slice(pending, batch, room)
        return batch

    def _take_slice(self, pending: Pending[RowT, AnswerT], batch: Batch[RowT, AnswerT], room: int) -> int:
        """Move rows of a pending to a batch, and return their number."""
        start, total = pending.taken_rows, len(pending.rows)
        end = min(total, start + min(room, self._slice_rows))
        batch.rows.extend(pending.rows[start:end] if total > 1 else pending.rows)
        batch.parts.append((pending, end - start))
        pending.taken_rows = end
        self._queued_rows -= end - start
        if end < total:
            self._queue.append(pending)
        elif not total:
            self._settle(pending, [])
        return end - start

    def _finish(self, batch: Batch[RowT, AnswerT], ended: "Future[Outcomes[AnswerT]]") -> None:
        """Deliver a batch that the worker has run, and update the slowdown."""
        self._running = None
        expected_s = self._estimate_s(len(batch.rows))
        if expected_s:
            slowdown = (self._loop.time() - self._started_s) / expected_s
            self._slowdown += SMOOTHING * (slowdown - self._slowdown)
        self._deliver(batch, ended.result())

    def _deliver(self, batch: Batch[RowT, AnswerT], outcomes: Outcomes[AnswerT]) -> None:
        start_s = time.perf_counter()
        waited_s = start_s - outcomes.run_s - batch.parts[0][0].submitted_s
        answers, start = cast(list[AnswerT], outcomes.of_rows), 0
        for pending, count in batch.parts:
            if not pending.settled:
                self._collect(pending, answers[start : start + count], all_answered=outcomes.all_answered)
            start += count
        settle_s = time.perf_counter() - start_s
        self._report(BatchReport(batch.rows, len(batch.parts), max(0.0, waited_s), outcomes.run_s, settle_s))
        self._continue()

    def _collect(self, pending: Pending[RowT, AnswerT], answers: list[AnswerT], *, all_answered: bool) -> None:
        """Add the answers of a slice to its pending; settle it after the last slice, or on the first error."""
        if not all_answered:
            for answer in answers:
                if isinstance(answer, SessionError):
                    self._settle(pending, answer)
                    return
        if pending.answers is not None:
            answers = pending.answers + answers
        if len(answers) == len(pending.rows):
            self._settle(pending, answers)
        else:
            pending.answers = answers

    def _continue(self) -> None:
        """Schedule the next flush, or become idle if the queue is empty."""
        if self._queue:
            if not self._flush_due:
                self._schedule()
        else:
            self._idle.set()
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

    def _schedule(self) -> None:
        self._flush_due = True
        self._idle.clear()
        self._loop.call_soon(self._flush)

    def _set_timer(self, deadline_s: float) -> None:
        if self._timer is not None:
            if self._timer_s <= deadline_s:
                return
            self._timer.cancel()
        self._timer_s = deadline_s
        self._timer = self._loop.call_at(deadline_s, self._expire_late)

    def _expire_late(self) -> None:
        """Expire pendings past their deadline, queued or running, and set the timer for the next deadline."""
        self._timer = None
        running = [pending for pending, _ in self._running.parts] if self._running else []
        # Without duplicates: a large request may have several slices in a batch, and more rows in the queue.
        waiting = [pending for pending in dict.fromkeys((*running, *self._queue)) if not pending.settled]
        for pending in waiting:
            if pending.deadline_s <= self._loop.time():
                self._expire(pending)
        if deadlines_s := [pending.deadline_s for pending in waiting if not pending.settled]:
            self._set_timer(min(deadlines_s))

    def _expire(self, pending: Pending[RowT, AnswerT]) -> None:
        self._settle(pending, DeadlineError("the deadline passed before there was an answer"))

    def _settle(self, pending: Pending[RowT, AnswerT], outcome: list[AnswerT] | CorollaError) -> None:
        if pending.taken_rows == len(pending.rows):
            pending.settled = True
        else:
            self._end(pending)
        try:
            pending.settle(outcome)
        except Exception:
            # A fault of the caller's callback must not keep other requests from their answers.
            logger.exception("an outcome could not be handed over")

    def _end(self, pending: Pending[RowT, AnswerT]) -> None:
        pending.settled = True
        self._queued_rows -= len(pending.rows) - pending.taken_rows
        pending.taken_rows = len(pending.rows)


def _count_always_admitted(estimate_s: Callable[[int], float], limits: Limits) -> int:
    """Return a number of queued rows up to which every request is admitted, without a check of its deadline."""
    rows = limits.max_queue_rows
    while rows and estimate_s(rows) > ADMITTED_SHARE * limits.timeout_s:
        rows //= 2
    return rows
