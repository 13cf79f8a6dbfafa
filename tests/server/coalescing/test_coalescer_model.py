"""Stateful test: for any order of requests, cancels, expiries and faults the coalescer agrees with a plain model."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any

import attrs
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from server.coalescing.coalescer import ADMITTED_SHARE, SLICES_PER_BATCH, Coalescer
from server.coalescing.pending import BatchReport, Limits, Statistics
from server.errors import BodyTooLargeError, CorollaError, DeadlineError, OverloadedError, SessionError
from tests.support.coalescers import answers_of
from tests.support.fakes import ClockLoop

DEADLINE_S = 20
MAX_TURNS = 1_000


class StillLoop(ClockLoop):
    """An event loop whose clock moves only when the test turns it, so that expiries are deterministic."""

    def time(self) -> float:
        return self._turned_s

    def turn(self) -> None:
        """Run the callbacks that are ready or due, but none that these schedule."""
        self.call_soon(self.stop)
        self.run_forever()


class HeldWorker(ThreadPoolExecutor):
    """A worker without a thread: a submitted batch runs when the test lets it go."""

    def __init__(self, on_begin: Callable[[list[int]], None]) -> None:
        super().__init__(1)
        self._on_begin = on_begin
        self.let_go: Callable[[], None]

    def submit(self, run_batch: Callable[..., Any], /, *args: Any, **_: Any) -> "Future[Any]":
        done = Future[Any]()
        self.let_go = lambda: done.set_result(run_batch(*args))
        self._on_begin(args[1])
        return done


@attrs.define(eq=False)
class Asked:
    """An accepted request and its expected state; a row below zero is faulty."""

    rows: list[int]
    deadline_s: float
    is_cancelled: bool = False
    outcome: list[int] | CorollaError | None = None

    @property
    def is_over(self) -> bool:
        return self.is_cancelled or self.outcome is not None

    def is_right(self, outcome: list[int] | CorollaError, now_s: float) -> bool:
        is_faulty = any(row < 0 for row in self.rows)
        if isinstance(outcome, list):
            return outcome == [2 * row for row in self.rows] and not is_faulty
        return now_s >= self.deadline_s if isinstance(outcome, DeadlineError) else is_faulty


class CoalescerModel(RuleBasedStateMachine):
    """Drives a coalescer with a loop and a worker that the rules control, and compares it with the model."""

    def __init__(self, limits: Limits, row_s: float) -> None:
        super().__init__()
        self.limits, self.row_s = limits, row_s
        self.loop, self.worker = StillLoop(), HeldWorker(self._begin_batch)
        self.reports: list[BatchReport] = []
        self.coalescer = Coalescer[int, int](self._run, limits, lambda rows: rows * row_s, self.reports.append)
        self.coalescer._worker = self.worker if limits.on_worker else None
        self.loop.run_until_complete(answers_of(self.coalescer, []))
        self.asked: list[tuple[Asked, Callable[[], None]]] = []
        self.owners: dict[int, Asked] = {}
        self.batches: list[list[int]] = []
        self.begun: set[int] = set()
        self.running: list[int] = []
        self.started_s = 0.0
        self.slowdowns = {1.0}
        self.last_alone = 0
        self.faults: list[str] = []
        self.closing: asyncio.Task[None] | None = None

    @rule(
        sizes=st.lists(st.integers(0, 9), min_size=1, max_size=3) | st.lists(st.just(1), min_size=4, max_size=12),
        fault=st.none() | st.integers(0, 12),
        deadline_s=st.none() | st.integers(1, 30),
    )
    def submit(self, sizes: list[int], fault: int | None, deadline_s: int | None) -> None:
        for size in sizes:
            rows = [len(self.owners) + number for number in range(1, size + 1)]
            self._submit([-row if number == fault else row for number, row in enumerate(rows)], deadline_s)

    @precondition(lambda self: self.asked)
    @rule(back=st.integers(0, 20))
    def cancel(self, back: int) -> None:
        """Cancel one of the latest requests, which may be over already."""
        asked, cancel = self.asked[-1 - back % len(self.asked)]
        asked.is_cancelled = asked.outcome is None
        cancel()

    @rule(seconds=st.integers(1, 12) | st.none())
    def turn_the_clock(self, seconds: int | None) -> None:
        """Advance the clock by some seconds, or exactly to the next deadline."""
        until_s = [asked.deadline_s - self.loop.time() for asked, _ in self.asked if not asked.is_over]
        self.loop.turn_clock(max(0.0, min(until_s, default=1.0)) if seconds is None else seconds)

    @rule()
    def turn_the_loop(self) -> None:
        was_running, begins = bool(self.running), len(self.batches)
        begins += not was_running and any(asked.deadline_s > self.loop.time() for asked in self._waiting())
        self.loop.turn()
        assert len(self.batches) == begins, "each turn where there is work and the session is free runs one batch"
        late = [asked for asked, _ in self.asked if not asked.is_over and asked.deadline_s <= self.loop.time()]
        assert not (was_running and late), "the worker was busy, and a deadline was not kept"

    @precondition(lambda self: self.running)
    @rule()
    def end_the_batch(self) -> None:
        self.worker.let_go()
        if expected_s := len(self.running) * self.row_s:
            self.slowdowns.add((self.loop.time() - self.started_s) / expected_s)
        self.turn_the_loop()
        self.running = []

    @precondition(lambda self: self.closing is None)
    @rule(is_meant=st.sampled_from([False, False, False, True]))
    def close(self, *, is_meant: bool) -> None:
        if is_meant:
            self.closing = self.loop.create_task(self.coalescer.close())
            self.turn_the_loop()

    @invariant()
    def agrees_with_the_model(self) -> None:
        assert self.faults == []
        waiting_rows = len(self._waiting_rows())
        assert self.coalescer.statistics() == Statistics(waiting_rows, len(self.running))
        assert waiting_rows <= self.limits.max_queue_rows
        ended = self.batches[:-1] if self.running else self.batches
        assert [len(report.rows) for report in self.reports] == [len(batch) for batch in ended]
        if self.closing is not None and self.closing.done():
            assert all(asked.is_over for asked, _ in self.asked), "close() returned before all was settled"

    def teardown(self) -> None:
        """Close the coalescer; every accepted request must end."""
        self.closing = self.closing or self.loop.create_task(self.coalescer.close())
        try:
            for _ in range(MAX_TURNS):
                if self.closing.done():
                    break
                (self.end_the_batch if self.running else self.turn_the_loop)()
            assert self.closing.done(), "close() did not return"
            self.agrees_with_the_model()
        finally:
            self.closing.cancel()
            self.loop.turn()
            self.loop.close()

    def _submit(self, rows: list[int], deadline_s: int | None) -> None:
        allowed_s = min(DEADLINE_S, deadline_s or DEADLINE_S)
        asked, expected = Asked(rows, self.loop.time() + allowed_s), self._expect(len(rows), allowed_s)
        try:
            when_s = None if deadline_s is None else self.loop.time() + deadline_s
            pending = self.coalescer.submit(rows, partial(self._settle, asked), when_s)
        except OverloadedError as refused:
            reason: str | None = refused.reason
        except BodyTooLargeError:
            reason = "too_large"
        else:
            reason = None
            self.owners |= {abs(row): asked for row in rows}
            self.asked.append((asked, partial(self.coalescer.cancel, pending)))
        assert reason in expected
        assert asked.outcome is None, "settled from within submit"

    def _expect(self, size: int, allowed_s: float) -> set[str | None]:
        """Return the reasons for which a request may be refused; None if it may be accepted.

        The worker's slowdown is between the smallest and the largest that were seen.
        """
        waiting_rows = len(self._waiting_rows())
        if self.closing is not None:
            return {"closing"}
        if size > self.limits.max_queue_rows:
            return {"too_large"}
        if waiting_rows + size > self.limits.max_queue_rows:
            return {"queue_full"}
        ahead = waiting_rows + len(self.running)
        cost_s = (ahead + size) * self.row_s if ahead else 0.0
        return {"deadline" if one * cost_s > ADMITTED_SHARE * allowed_s else None for one in self.slowdowns}

    def _settle(self, asked: Asked, outcome: list[int] | CorollaError) -> None:
        """Check an outcome. Faults are collected, since the coalescer only logs what a callback raises."""
        self._claim(not asked.is_over, f"settled twice, or after it was cancelled: {asked}")
        self._claim(asked.is_right(outcome, self.loop.time()), f"a wrong outcome: {outcome} of {asked}")
        asked.outcome = outcome
        if isinstance(outcome, list) and len(asked.rows) == 1:
            self._claim(asked.rows[0] > self.last_alone, f"before one that was asked earlier: {asked}")
            self.last_alone = asked.rows[0]

    def _run(self, rows: list[int]) -> list[int]:
        """Answer each row with its double; fail on a faulty row, after which the halves of the batch are run."""
        if not self.begun.issuperset(map(abs, rows)):
            self._begin_batch(rows)
            self.running = []
        if min(rows) < 0:
            raise SessionError(str(rows))
        return [2 * row for row in rows]

    def _begin_batch(self, rows: list[int]) -> None:
        """Check a batch before it runs."""
        now_s, waiting = self.loop.time(), [asked for asked in self._waiting() if asked.rows]
        wanted = {abs(row) for asked in waiting if asked.deadline_s > now_s for row in asked.rows} - self.begun
        taken = {abs(row) for row in rows}
        self._claim(len(taken) == len(rows) and taken <= wanted, f"run twice, too late or unwanted: {rows}")
        self._claim(len(rows) == min(len(wanted), self.limits.max_batch_rows), f"not as many as may be: {rows}")
        shares = [len(taken.intersection(map(abs, asked.rows))) for asked in waiting if asked.deadline_s > now_s]
        slice_rows = max(1, self.limits.max_batch_rows // SLICES_PER_BATCH)
        self._claim(min(shares) > 0 or max(shares) <= slice_rows, f"one goes twice before another goes once: {rows}")
        self.begun |= taken
        self.batches.append(rows)
        self.running, self.started_s = rows, now_s

    def _waiting(self) -> list[Asked]:
        return [asked for asked, _ in self.asked if not (asked.is_over or self.begun.issuperset(map(abs, asked.rows)))]

    def _waiting_rows(self) -> set[int]:
        return {abs(row) for asked in self._waiting() for row in asked.rows} - self.begun

    def _claim(self, holds: bool, fault: str) -> None:  # noqa: FBT001  the claim itself
        if not holds:
            self.faults.append(fault)


@pytest.mark.parametrize("on_worker", [False, True], ids=["inline", "worker"])
@pytest.mark.parametrize(("batch", "queue", "row_s"), [(1, 8, 0.25), (3, 40, 0.0), (8, 40, 0.25), (17, 30, 1.0)])
def test_the_coalescer_agrees_with_the_model(
    batch: int,
    queue: int,
    row_s: float,
    on_worker: bool,  # noqa: FBT001  a parameter of the table
) -> None:
    model = partial(CoalescerModel, Limits(batch, queue, DEADLINE_S, on_worker), row_s)
    run_state_machine_as_test(
        model,  # type: ignore[arg-type]  # any callable that makes a machine will do
        settings=settings(max_examples=150, stateful_step_count=40, deadline=None),
    )
