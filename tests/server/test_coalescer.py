"""Requests that arrive together run together, and each gets its own answer."""

import asyncio
import logging
from collections.abc import Callable, Coroutine

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.coalescer import Coalescer
from server.errors import SessionError


class Recorder:
    """Answers each row with its double, and remembers the batches that it was given."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []

    def __call__(self, rows: list[int]) -> list[int]:
        self.batches.append(rows)
        if -1 in rows:
            raise ValueError(rows)
        return [2 * row for row in rows]


def run(scenario: Callable[[], Coroutine[None, None, None]]) -> None:
    async def bounded() -> None:
        await asyncio.wait_for(scenario(), 10)

    asyncio.run(bounded())


def test_requests_of_one_turn_of_the_loop_make_one_batch() -> None:
    async def scenario() -> None:
        recorder = Recorder()
        coalescer = Coalescer(recorder, max_batch_rows=64)
        futures = [coalescer.submit([number]) for number in range(5)]
        assert repr(coalescer) == "<Coalescer: 5 pendings of 5 rows queued>"
        assert await asyncio.gather(*futures) == [[0], [2], [4], [6], [8]]
        assert recorder.batches == [[0, 1, 2, 3, 4]]
        assert repr(coalescer) == "<Coalescer: 0 pendings of 0 rows queued>"

    run(scenario)


def test_a_lone_request_runs_at_the_next_turn_of_the_loop() -> None:
    async def scenario() -> None:
        future = Coalescer(Recorder(), max_batch_rows=64).submit([1])
        await asyncio.sleep(0)
        assert future.done()

    run(scenario)


def test_requests_of_different_turns_do_not_wait_for_each_other() -> None:
    async def scenario() -> None:
        recorder = Recorder()
        coalescer = Coalescer(recorder, max_batch_rows=64)
        await coalescer.submit([1])
        await coalescer.submit([2])
        assert recorder.batches == [[1], [2]]

    run(scenario)


@given(sizes=st.lists(st.integers(0, 9), max_size=20), max_batch_rows=st.integers(1, 7))
def test_every_request_gets_its_own_answers_whatever_the_sizes(sizes: list[int], max_batch_rows: int) -> None:
    async def scenario() -> None:
        recorder = Recorder()
        coalescer = Coalescer(recorder, max_batch_rows)
        numbers = iter(range(1000))
        requests = [[next(numbers) for _ in range(size)] for size in sizes]
        answers = await asyncio.gather(*[coalescer.submit(request) for request in requests])
        assert answers == [[2 * row for row in request] for request in requests]
        assert all(len(batch) <= max_batch_rows for batch in recorder.batches)
        assert [row for batch in recorder.batches for row in batch] == [row for request in requests for row in request]

    run(scenario)


def test_a_cancelled_request_is_not_run_and_its_neighbours_are() -> None:
    async def scenario() -> None:
        recorder = Recorder()
        coalescer = Coalescer(recorder, max_batch_rows=64)
        first, gone, last = (coalescer.submit([number]) for number in (1, 2, 3))
        gone.cancel()
        assert (await first, await last) == ([2], [6])
        assert recorder.batches == [[1, 3]]

    run(scenario)


def test_where_every_request_is_cancelled_nothing_is_run() -> None:
    async def scenario() -> None:
        recorder = Recorder()
        Coalescer(recorder, max_batch_rows=64).submit([1]).cancel()
        await asyncio.sleep(0)
        assert recorder.batches == []

    run(scenario)


def test_a_failed_batch_fails_its_requests_and_no_others(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        coalescer = Coalescer(Recorder(), max_batch_rows=2)
        futures = [coalescer.submit([number]) for number in (1, -1, 3, 4)]
        bad, worse, *good = await asyncio.gather(*futures, return_exceptions=True)
        assert good == [[6], [8]]
        for error in (bad, worse):
            assert isinstance(error, SessionError)
            assert str(error) == "the model could not answer: ValueError"

    with caplog.at_level(logging.ERROR):
        run(scenario)
    assert [record.message for record in caplog.records] == ["a batch failed"]


def test_a_run_that_gives_another_number_of_answers_than_rows_fails() -> None:
    async def scenario() -> None:
        with pytest.raises(SessionError, match="could not answer: SessionError"):
            await Coalescer[int, int](lambda rows: rows[1:], max_batch_rows=64).submit([1, 2])

    run(scenario)
