"""Pendings -> batches -> answers: requests that arrive together run together, and none waits while the session is free.

All the state there is: a queue of pendings, the number of its rows that no batch has taken yet, whether a flush is due
on the loop's next turn, the batch that the worker thread runs (if there is a worker), and the alarm for the earliest
deadline (only where there is a worker, since otherwise the next flush comes at once). `submit` queues; `_flush`
alone decides what runs; a pending is settled exactly once.

    submit --OverloadedError--> queue --DeadlineError--> batch --SessionError--> answers

It takes any callable that answers rows, and knows nothing of models, sessions or HTTP.
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
"""A pending of many rows takes this part of a batch's room at a time, so that small ones beside it need not wait."""
ADMITTED_SHARE = 0.5
"""Admission control: a request is accepted if its estimated completion takes at most this part of its timeout.

The margin absorbs errors of the estimate. Without it, under sustained overload, every answer comes just too late.
"""
SMOOTHING = 0.1
"""How much the last batch counts in how far the worker is behind its estimate."""


class Coalescer(Generic[RowT, AnswerT]):
    """Takes requests one by one and runs them together; every method is the event loop's alone."""

    def __init__(
        self,
        run: Callable[[list[RowT]], list[AnswerT]],
        limits: Limits,
        estimate_s: Callable[[int], float],
        report: Callable[[BatchReport], None],
    ) -> None:
        """Wires the queue to what answers it.

        Args:
            run: Answers a batch: n rows in, n answers out, in order.
            limits: What it may do.
            estimate_s: Gives how long that many rows take, in seconds.
            report: Told of each batch once it has run.
        """
        self.limits = limits
        self._timeout_s = limits.timeout_s
        self._run = run
        self._estimate_s = estimate_s
        self._report = report
        self._sure_rows = _rows_within(estimate_s, limits)
        self._slice_rows = max(1, limits.max_batch_rows // SLICES_PER_BATCH)
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="session") if limits.on_worker else None
        self._queue: deque[Pending[RowT, AnswerT]] = deque()
        self._queued_rows = 0
        self._flush_due = False
        self._running: Batch[RowT, AnswerT] | None = None
        self._started_s = 0.0
        self._slowdown = 1.0
        self._alarm: asyncio.TimerHandle | None = None
        self._alarm_s = 0.0
        self._closed = False
        self._loop: asyncio.AbstractEventLoop
        self._has_loop = False
        self._idle = asyncio.Event()
        self._idle.set()

    def __repr__(self) -> str:
        """Tells how much there is to do."""
        now = self.statistics()
        return f"<Coalescer: {now.queued_rows} rows queued, {now.running_rows} running>"

    def statistics(self) -> Statistics:
        """Tells how much there is to do."""
        return Statistics(self._queued_rows, len(self._running.rows) if self._running else 0)

    def submit(
        self,
        rows: Sequence[RowT],
        settle: Callable[[list[AnswerT] | CorollaError], None],
        deadline_s: float | None = None,
    ) -> Pending[RowT, AnswerT]:
        """Queues a request for the next flush.

        Args:
            rows: One or more rows.
            settle: Called once, from the loop, with as many answers in order, or with the error; never from within
                this call.
            deadline_s: When its answer is no longer wanted, on the loop's clock, where that is before the limit.

        Returns:
            The pending, which `cancel` takes.

        Raises:
            OverloadedError: If the queue is full, the deadline cannot be met, or the coalescer is closed.
            BodyTooLargeError: If there are more rows than the queue ever takes.
        """
        if not self._has_loop:
            self._keep_loop()
        now_s = self._loop.time()
        latest_s = now_s + self._timeout_s
        if deadline_s is not None and deadline_s < latest_s:
            self._admit(len(rows), deadline_s - now_s)
        else:
            deadline_s = latest_s
            if self._closed or self._running is not None or self._queued_rows + len(rows) > self._sure_rows:
                self._admit(len(rows), self._timeout_s)
        pending = Pending(rows, settle, deadline_s, time.perf_counter())
        self._queue.append(pending)
        self._queued_rows += len(rows)
        if self._worker is not None:
            self._set_alarm(pending.deadline_s)
        if self._running is None and not self._flush_due:
            self._schedule()
        return pending

    def cancel(self, pending: Pending[RowT, AnswerT]) -> None:
        """Takes back a request that nobody waits for any more: its rows are not run, and nothing is settled."""
        if not pending.settled:
            self._end(pending)

    async def close(self) -> None:
        """Takes nothing more, and waits until all that was taken is settled, and what runs has ended."""
        self._closed = True
        await self._idle.wait()
        if self._worker is not None:
            self._worker.shutdown(wait=False)

    def _keep_loop(self) -> None:
        """Keeps the running loop, since to ask for it is a system call each time (CPython 3.11)."""
        self._loop, self._has_loop = asyncio.get_running_loop(), True

    def _admit(self, rows: int, allowed_s: float) -> None:
        if self._closed:
            raise OverloadedError("the server is stopping", "closing", 1.0)
        if rows > self.limits.max_queue_rows:
            raise BodyTooLargeError(f"expected at most {self.limits.max_queue_rows} rows at once, got {rows}")
        if self._queued_rows + rows > self.limits.max_queue_rows:
            wait_s = self._expect_s(self._queued_rows)
            raise OverloadedError(f"the queue is full ({self.limits.max_queue_rows} rows)", "queue_full", wait_s)
        ahead = self._queued_rows + (len(self._running.rows) if self._running else 0)
        if ahead and (wait_s := self._expect_s(ahead + rows)) > ADMITTED_SHARE * allowed_s:
            raise OverloadedError("the deadline cannot be met, there is too much queued", "deadline", wait_s)

    def _expect_s(self, rows: int) -> float:
        """Gives how long rows will take, from their cost and from how the worker has kept to it of late."""
        return self._slowdown * self._estimate_s(rows)

    def _flush(self) -> None:
        """Takes one batch and runs it; what is left waits for the next turn, so that the loop can read meanwhile."""
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
            done.add_done_callback(lambda ended: self._loop.call_soon_threadsafe(self._hand_back, batch, ended))

    def _take(self, now_s: float) -> Batch[RowT, AnswerT]:
        """Fills a batch from the front of the queue; a pending with more rows than a slice goes back to its end."""
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
        """Moves rows of a pending to a batch, and gives how many."""
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

    def _hand_back(self, batch: Batch[RowT, AnswerT], ended: "Future[Outcomes[AnswerT]]") -> None:
        self._running = None
        expected_s = self._estimate_s(len(batch.rows))
        if expected_s:
            took = (self._loop.time() - self._started_s) / expected_s
            self._slowdown += SMOOTHING * (took - self._slowdown)
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
        """Adds a slice's answers to its pending, and settles that where it was the last or one is an error."""
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
        """Sees to what is left: another flush, or rest."""
        if self._queue:
            if not self._flush_due:
                self._schedule()
        else:
            self._idle.set()
            if self._alarm is not None:
                self._alarm.cancel()
                self._alarm = None

    def _schedule(self) -> None:
        self._flush_due = True
        self._idle.clear()
        self._loop.call_soon(self._flush)

    def _set_alarm(self, deadline_s: float) -> None:
        if self._alarm is not None:
            if self._alarm_s <= deadline_s:
                return
            self._alarm.cancel()
        self._alarm_s = deadline_s
        self._alarm = self._loop.call_at(deadline_s, self._ring)

    def _ring(self) -> None:
        """Expires what is past its deadline, queued or running, and sets the alarm for the next."""
        self._alarm = None
        running = [pending for pending, _ in self._running.parts] if self._running else []
        # Each once: a large one may have several slices in a batch, and the rest of it in the queue.
        waiting = [pending for pending in dict.fromkeys((*running, *self._queue)) if not pending.settled]
        for pending in waiting:
            if pending.deadline_s <= self._loop.time():
                self._expire(pending)
        if left := [pending.deadline_s for pending in waiting if not pending.settled]:
            self._set_alarm(min(left))

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
            # It is the caller's fault, and must not strand the pending's neighbours.
            logger.exception("an outcome could not be handed over")

    def _end(self, pending: Pending[RowT, AnswerT]) -> None:
        pending.settled = True
        self._queued_rows -= len(pending.rows) - pending.taken_rows
        pending.taken_rows = len(pending.rows)


def _rows_within(estimate_s: Callable[[int], float], limits: Limits) -> int:
    """Gives a number of rows that surely can be queued and answered in time, so that fewer need no look at all."""
    rows = limits.max_queue_rows
    while rows and estimate_s(rows) > ADMITTED_SHARE * limits.timeout_s:
        rows //= 2
    return rows
