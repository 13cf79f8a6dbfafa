"""Admission control: requests beyond the queue or the deadline are refused at once, and expired ones do not run."""

import asyncio

import pytest

from server.errors import BodyTooLargeError, DeadlineError, OverloadedError
from tests.support.coalescers import Gate, Inbox, Recorder, answers_of, coalescer_of, next_timers, run
from tests.support.fakes import ClockLoop


def test_more_rows_than_an_empty_queue_takes_are_too_large() -> None:
    async def scenario(_: ClockLoop) -> None:
        with pytest.raises(BodyTooLargeError, match="expected at most 10 rows at once, got 11"):
            coalescer_of(Recorder(), queue=10).submit([0] * 11, Inbox())

    run(scenario)


def test_a_request_beyond_the_queue_limit_is_refused_at_once() -> None:
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
        coalescer = coalescer_of(Recorder(), timeout_s=2, row_s=0.25)
        coalescer.submit([0] * 3, Inbox())
        coalescer.submit([0], Inbox())
        with pytest.raises(OverloadedError) as refused:
            coalescer.submit([0], Inbox())
        assert (refused.value.reason, refused.value.retry_after_s) == ("deadline", 1.25)

    run(scenario)


def test_the_estimate_follows_the_workers_slowdown() -> None:
    async def scenario(loop: ClockLoop) -> None:
        gate = Gate()
        coalescer = coalescer_of(gate, on_worker=True, batch=1, timeout_s=60, row_s=1.0)
        for _ in range(20):
            answer = asyncio.ensure_future(answers_of(coalescer, [1]))
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


def test_a_lone_request_is_admitted_whatever_its_estimate() -> None:
    async def scenario(_: ClockLoop) -> None:
        assert await answers_of(coalescer_of(Recorder(), timeout_s=1, row_s=9), [1]) == [2]

    run(scenario)


def test_an_expired_request_is_not_run() -> None:
    async def scenario(loop: ClockLoop) -> None:
        recorder, late, later = Recorder(), Inbox(), Inbox()
        coalescer = coalescer_of(recorder, timeout_s=5)
        coalescer.submit([1], late, deadline_s=loop.time() + 1)
        coalescer.submit([2], later, deadline_s=loop.time() + 100)
        loop.turn_clock(2)
        await asyncio.sleep(0)
        assert isinstance(late.outcomes[0], DeadlineError)
        assert later.outcomes == [[4]]
        assert recorder.batches == [[2]]

    run(scenario)


def test_while_the_worker_is_busy_requests_queue_and_deadlines_are_kept() -> None:
    async def scenario(loop: ClockLoop) -> None:
        gate, running, late, patient = Gate(), Inbox(), Inbox(), Inbox()
        coalescer = coalescer_of(gate, on_worker=True, timeout_s=50)
        coalescer.submit([1], running, deadline_s=loop.time() + 20)
        await gate.wait_until_entered()
        coalescer.submit([2], late, deadline_s=loop.time() + 10)
        coalescer.submit([3], patient, deadline_s=loop.time() + 40)
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
