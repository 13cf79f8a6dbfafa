"""Requests that arrive together run together, each is settled exactly once, and no bound is ever passed."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.coalescer import Coalescer
from server.errors import BodyTooLargeError, CorollaError, DeadlineError, OverloadedError, SessionError
from server.isolation import run_batch
from server.pending import BatchReport, Limits
from tests.fakes import ClockLoop

FAULTY = -1


class Recorder:
    """Answers each row with its double, fails on a faulty one, and remembers the batches that it was given."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []

    def __call__(self, rows: list[int]) -> list[int]:
        self.batches.append(rows)
        if FAULTY in rows:
            raise ValueError(rows)
        return [2 * row for row in rows]


class Gate(Recorder):
    """A recorder that lets a batch go on only once it is opened; it runs on the worker."""

    def __init__(self) -> None:
        super().__init__()
        self.entered = threading.Semaphore(0)
        self.opened = threading.Semaphore(0)

    def __call__(self, rows: list[int]) -> list[int]:
        self.entered.release()
        assert self.opened.acquire(timeout=10)
        return super().__call__(rows)

    async def wait_until_entered(self) -> None:
        assert await asyncio.to_thread(self.entered.acquire, timeout=10)


def coalescer_of(  # noqa: PLR0913  one for each limit that a test may set
    run: Callable[[list[int]], list[int]],
    *,
    batch: int = 64,
    queue: int = 10_000,
    deadline_s: float = 60,
    on_worker: bool = False,
    row_s: float = 0.0,
    report: Callable[[BatchReport], None] = lambda _: None,
) -> Coalescer[int, int]:
    return Coalescer(run, Limits(batch, queue, deadline_s, on_worker), lambda rows: rows * row_s, report)


def run(scenario: Callable[[ClockLoop], Coroutine[Any, Any, None]]) -> None:
    """Runs a scenario on a loop whose clock it may turn; 10 real seconds are its bound."""
    loop = ClockLoop()
    bound = threading.Timer(10, lambda: loop.call_soon_threadsafe(loop.stop))
    bound.start()
    try:
        loop.run_until_complete(scenario(loop))
    finally:
        bound.cancel()
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()


async def next_timers() -> None:
    """Lets the loop find the timers that are due, and then run them."""
    await asyncio.sleep(0)
    await asyncio.sleep(0)


class Inbox:
    """Keeps what a pending was settled with; twice is an error."""

    def __init__(self) -> None:
        self.outcomes: list[list[int] | CorollaError] = []

    def __call__(self, outcome: list[int] | CorollaError) -> None:
        assert not self.outcomes
        self.outcomes.append(outcome)


def test_requests_of_one_turn_of_the_loop_make_one_batch() -> None:
    async def scenario(_: ClockLoop) -> None:
        recorder, reports = Recorder(), list[BatchReport]()
        coalescer = coalescer_of(recorder, report=reports.append)
        inboxes = [Inbox() for _ in range(5)]
        for number, inbox in enumerate(inboxes):
            coalescer.submit([number], inbox)
        assert repr(coalescer) == "<Coalescer: 5 rows queued, 0 running>"
        await asyncio.sleep(0)
        assert [inbox.outcomes for inbox in inboxes] == [[[2 * number]] for number in range(5)]
        assert recorder.batches == [[0, 1, 2, 3, 4]]
        assert [(report.rows, report.requests) for report in reports] == [(5, 5)]
        assert repr(coalescer) == "<Coalescer: 0 rows queued, 0 running>"

    run(scenario)


def test_a_lone_request_runs_at_the_next_turn_of_the_loop() -> None:
    async def scenario(_: ClockLoop) -> None:
        inbox = Inbox()
        coalescer_of(Recorder()).submit([1], inbox)
        await asyncio.sleep(0)
        assert inbox.outcomes == [[2]]

    run(scenario)


@given(sizes=st.lists(st.integers(0, 40), max_size=20), batch=st.integers(1, 17), on_worker=st.booleans())
def test_every_request_gets_its_own_answers_whatever_the_sizes(
    sizes: list[int], batch: int, *, on_worker: bool
) -> None:
    async def scenario(_: ClockLoop) -> None:
        recorder = Recorder()
        coalescer = coalescer_of(recorder, batch=batch, on_worker=on_worker)
        numbers = iter(range(1000))
        requests = [[next(numbers) for _ in range(size)] for size in sizes]
        answers = await asyncio.gather(*[coalescer.answer(request) for request in requests])
        assert answers == [[2 * row for row in request] for request in requests]
        assert all(0 < len(taken) <= batch for taken in recorder.batches)
        assert sorted(row for taken in recorder.batches for row in taken) == list(range(sum(sizes)))
        await coalescer.close()

    run(scenario)


def test_a_large_request_does_not_hold_up_a_small_one_behind_it() -> None:
    async def scenario(_: ClockLoop) -> None:
        recorder, large, small = Recorder(), Inbox(), Inbox()
        coalescer = coalescer_of(recorder, batch=8)
        coalescer.submit(range(1000), large)
        coalescer.submit([5000], small)
        await asyncio.sleep(0)
        assert small.outcomes == [[10_000]]
        assert recorder.batches == [[0, 1, 5000, 2, 3, 4, 5, 6]]
        assert coalescer.statistics().queued_rows == 1000 - 7
        await coalescer.close()
        assert large.outcomes == [[2 * row for row in range(1000)]]

    run(scenario)


def test_a_cancelled_request_is_not_run_and_its_neighbours_are() -> None:
    async def scenario(_: ClockLoop) -> None:
        recorder, inboxes = Recorder(), [Inbox() for _ in range(3)]
        coalescer = coalescer_of(recorder)
        pendings = [coalescer.submit([number], inbox) for number, inbox in enumerate(inboxes)]
        coalescer.cancel(pendings[1])
        coalescer.cancel(pendings[1])
        assert coalescer.statistics().queued_rows == 2
        await asyncio.sleep(0)
        assert recorder.batches == [[0, 2]]
        assert [inbox.outcomes for inbox in inboxes] == [[[0]], [], [[4]]]

    run(scenario)


def test_a_cancelled_wait_takes_its_request_back() -> None:
    async def scenario(_: ClockLoop) -> None:
        recorder = Recorder()
        coalescer = coalescer_of(recorder)
        waiting = asyncio.ensure_future(coalescer.answer([1]))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        await coalescer.close()
        assert waiting.cancelled()
        assert coalescer.statistics().queued_rows == 0

    run(scenario)


@pytest.mark.parametrize("on_worker", [False, True])
def test_a_faulty_row_fails_alone(on_worker: bool) -> None:  # noqa: FBT001  a parameter of the table
    async def scenario(_: ClockLoop) -> None:
        coalescer = coalescer_of(Recorder(), on_worker=on_worker)
        requests = [[1], [FAULTY], [3, 4], [5, FAULTY, 6], [7]]
        outcomes = await asyncio.gather(*[coalescer.answer(rows) for rows in requests], return_exceptions=True)
        assert [outcomes[0], outcomes[2], outcomes[4]] == [[2], [6, 8], [14]]
        for failed in (outcomes[1], outcomes[3]):
            assert isinstance(failed, SessionError)
            assert str(failed) == "the model could not answer: ValueError"
        await coalescer.close()

    run(scenario)


def test_a_run_that_gives_another_number_of_answers_than_rows_has_failed() -> None:
    def drop_the_first(rows: list[int]) -> list[int]:
        return rows[1:]

    assert [str(outcome) for outcome in run_batch(drop_the_first, [1, 2]).of_rows] == ["expected 1 answers, got 0"] * 2


def test_more_rows_than_ever_fit_the_queue_are_refused_for_good() -> None:
    async def scenario(_: ClockLoop) -> None:
        with pytest.raises(BodyTooLargeError, match="expected at most 10 rows at once, got 11"):
            coalescer_of(Recorder(), queue=10).submit([0] * 11, Inbox())

    run(scenario)


def test_beyond_the_queues_bound_a_request_is_refused_at_once() -> None:
    async def scenario(_: ClockLoop) -> None:
        coalescer = coalescer_of(Recorder(), queue=10, row_s=0.5)
        coalescer.submit([0] * 7, Inbox())
        coalescer.submit([0] * 3, Inbox())
        with pytest.raises(OverloadedError) as refused:
            coalescer.submit([0], Inbox())
        assert (refused.value.reason, refused.value.retry_after_s) == ("queue_full", 5.0)
        assert str(refused.value) == "the queue is full (10 rows)"
        await asyncio.sleep(0)
        coalescer.submit([0] * 10, Inbox())

    run(scenario)


def test_a_deadline_that_cannot_be_met_is_refused_at_once() -> None:
    async def scenario(_: ClockLoop) -> None:
        coalescer = coalescer_of(Recorder(), deadline_s=2, row_s=0.25)
        coalescer.submit([0] * 3, Inbox())
        coalescer.submit([0], Inbox())
        with pytest.raises(OverloadedError) as refused:
            coalescer.submit([0], Inbox())
        assert (refused.value.reason, refused.value.retry_after_s) == ("deadline", 1.25)

    run(scenario)


def test_what_is_expected_of_the_worker_follows_what_it_does() -> None:
    async def scenario(loop: ClockLoop) -> None:
        gate = Gate()
        coalescer = coalescer_of(gate, on_worker=True, batch=1, deadline_s=60, row_s=1.0)
        for _ in range(20):
            answer = asyncio.ensure_future(coalescer.answer([1]))
            await gate.wait_until_entered()
            loop.turn_clock(10)
            gate.opened.release()
            await answer
        coalescer.submit([1], Inbox())
        await gate.wait_until_entered()
        for _ in range(2):
            coalescer.submit([1], Inbox())
        with pytest.raises(OverloadedError) as refused:
            coalescer.submit([1], Inbox())
        assert refused.value.reason == "deadline"
        assert 30 < refused.value.retry_after_s <= 41
        gate.opened.release(3)
        await coalescer.close()

    run(scenario)


def test_a_request_that_an_answer_leads_to_is_answered_too() -> None:
    async def scenario(_: ClockLoop) -> None:
        second, third = Inbox(), Inbox()
        coalescer = coalescer_of(Recorder(), batch=1)

        def ask_again(_: list[int] | CorollaError) -> None:
            coalescer.submit([3], third)

        coalescer.submit([1], ask_again)
        coalescer.submit([2], second)
        await next_timers()
        await coalescer.close()
        assert (second.outcomes, third.outcomes) == ([[4]], [[6]])

    run(scenario)


def test_a_caller_that_fails_to_take_its_answer_strands_nobody(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(_: ClockLoop) -> None:
        def fail(_: list[int] | CorollaError) -> None:
            raise ValueError

        inboxes = [Inbox(), Inbox()]
        coalescer = coalescer_of(Recorder(), batch=2)
        coalescer.submit([1], fail)
        for number, inbox in enumerate(inboxes):
            coalescer.submit([number], inbox)
        await coalescer.close()
        assert [inbox.outcomes for inbox in inboxes] == [[[0]], [[2]]]

    run(scenario)
    assert [record.message for record in caplog.records] == ["an outcome could not be handed over"]


def test_a_lone_request_is_tried_however_long_it_may_take() -> None:
    async def scenario(_: ClockLoop) -> None:
        assert await coalescer_of(Recorder(), deadline_s=1, row_s=9).answer([1]) == [2]

    run(scenario)


def test_an_expired_request_is_not_run() -> None:
    async def scenario(loop: ClockLoop) -> None:
        recorder, late, later = Recorder(), Inbox(), Inbox()
        coalescer = coalescer_of(recorder, deadline_s=5)
        coalescer.submit([1], late, deadline_s=1)
        coalescer.submit([2], later, deadline_s=100)
        loop.turn_clock(2)
        await asyncio.sleep(0)
        assert isinstance(late.outcomes[0], DeadlineError)
        assert later.outcomes == [[4]]
        assert recorder.batches == [[2]]

    run(scenario)


def test_while_the_worker_is_busy_the_next_batch_gathers_and_deadlines_are_kept() -> None:
    async def scenario(loop: ClockLoop) -> None:
        gate, running, late, patient = Gate(), Inbox(), Inbox(), Inbox()
        coalescer = coalescer_of(gate, on_worker=True, deadline_s=50)
        coalescer.submit([1], running, deadline_s=20)
        await gate.wait_until_entered()
        coalescer.submit([2], late, deadline_s=10)
        coalescer.submit([3], patient, deadline_s=40)
        assert coalescer.statistics().running_rows == 1
        loop.turn_clock(11)
        await next_timers()
        assert isinstance(late.outcomes[0], DeadlineError)
        assert running.outcomes == []
        loop.turn_clock(11)
        await next_timers()
        assert isinstance(running.outcomes[0], DeadlineError)
        gate.opened.release(2)
        await coalescer.close()
        assert patient.outcomes == [[6]]
        assert gate.batches == [[1], [3]]

    run(scenario)


def test_what_is_cancelled_while_it_runs_is_not_settled() -> None:
    async def scenario(_: ClockLoop) -> None:
        gate, gone, kept = Gate(), Inbox(), Inbox()
        coalescer = coalescer_of(gate, on_worker=True)
        pending = coalescer.submit([1], gone)
        coalescer.submit([2], kept)
        await gate.wait_until_entered()
        coalescer.cancel(pending)
        gate.opened.release()
        await coalescer.close()
        assert (gone.outcomes, kept.outcomes) == ([], [[4]])

    run(scenario)


def test_close_settles_what_was_taken_and_takes_nothing_more() -> None:
    async def scenario(_: ClockLoop) -> None:
        inboxes = [Inbox() for _ in range(9)]
        coalescer = coalescer_of(Recorder(), batch=2)
        for number, inbox in enumerate(inboxes):
            coalescer.submit([number], inbox)
        closing = asyncio.ensure_future(coalescer.close())
        await asyncio.sleep(0)
        with pytest.raises(OverloadedError) as refused:
            coalescer.submit([1], Inbox())
        assert refused.value.reason == "closing"
        await closing
        assert [inbox.outcomes for inbox in inboxes] == [[[2 * number]] for number in range(9)]

    run(scenario)
