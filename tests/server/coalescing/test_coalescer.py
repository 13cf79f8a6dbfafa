"""Requests that arrive together run together, and each is settled exactly once."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.coalescing.isolation import run_batch
from server.coalescing.pending import BatchReport
from server.errors import CorollaError, OverloadedError, SessionError
from tests.support.coalescers import FAULTY, Gate, Inbox, Recorder, answers_of, coalescer_of, next_timers, run
from tests.support.fakes import ClockLoop


def test_requests_of_one_loop_turn_make_one_batch() -> None:
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
        assert [(report.rows, report.requests) for report in reports] == [([0, 1, 2, 3, 4], 5)]
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
def test_requests_of_any_sizes_get_their_own_answers(sizes: list[int], batch: int, *, on_worker: bool) -> None:
    async def scenario(_: ClockLoop) -> None:
        recorder = Recorder()
        coalescer = coalescer_of(recorder, batch=batch, on_worker=on_worker)
        numbers = iter(range(1000))
        requests = [[next(numbers) for _ in range(size)] for size in sizes]
        answers = await asyncio.gather(*[answers_of(coalescer, request) for request in requests])
        assert answers == [[2 * row for row in request] for request in requests]
        assert all(0 < len(taken) <= batch for taken in recorder.batches)
        assert sorted(row for taken in recorder.batches for row in taken) == list(range(sum(sizes)))
        await coalescer.close()

    run(scenario)


def test_a_large_request_does_not_delay_a_small_one_behind_it() -> None:
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


def test_a_cancelled_wait_withdraws_its_request() -> None:
    async def scenario(_: ClockLoop) -> None:
        recorder = Recorder()
        coalescer = coalescer_of(recorder)
        waiting = asyncio.ensure_future(answers_of(coalescer, [1]))
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
        outcomes = await asyncio.gather(*[answers_of(coalescer, rows) for rows in requests], return_exceptions=True)
        assert [outcomes[0], outcomes[2], outcomes[4]] == [[2], [6, 8], [14]]
        for failed in (outcomes[1], outcomes[3]):
            assert isinstance(failed, SessionError)
            assert str(failed) == "the model could not answer: ValueError"
        await coalescer.close()

    run(scenario)


def test_a_run_with_a_wrong_number_of_answers_has_failed() -> None:
    def drop_the_first(rows: list[int]) -> list[int]:
        return rows[1:]

    assert [str(outcome) for outcome in run_batch(drop_the_first, [1, 2]).of_rows] == ["expected 1 answers, got 0"] * 2


def test_a_request_submitted_from_a_callback_is_answered() -> None:
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


def test_a_failing_callback_does_not_affect_other_requests(caplog: pytest.LogCaptureFixture) -> None:
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


def test_a_request_cancelled_while_it_runs_is_not_settled() -> None:
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


def test_close_settles_accepted_requests_and_refuses_new_ones() -> None:
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
