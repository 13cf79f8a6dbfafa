"""Coalescers of integers, functions that answer their batches, and a loop whose clock a test advances."""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from server.coalescing.coalescer import Coalescer
from server.coalescing.pending import BatchReport, Limits
from server.errors import CorollaError
from tests.support.fakes import ClockLoop

FAULTY = -1


class Recorder:
    """Answers each row with its double, fails on a faulty row, and records its batches."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []

    def __call__(self, rows: list[int]) -> list[int]:
        self.batches.append(rows)
        if FAULTY in rows:
            raise ValueError(rows)
        return [2 * row for row in rows]


class Gate(Recorder):
    """A recorder that blocks each batch until the test opens it; it runs on the worker thread."""

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
    timeout_s: float = 60,
    on_worker: bool = False,
    row_s: float = 0.0,
    report: Callable[[BatchReport], None] = lambda _: None,
) -> Coalescer[int, int]:
    return Coalescer(run, Limits(batch, queue, timeout_s, on_worker), lambda rows: rows * row_s, report)


def run(scenario: Callable[[ClockLoop], Coroutine[Any, Any, None]]) -> None:
    """Run a scenario on a loop whose clock it can advance, for 10 real seconds at most."""
    loop = ClockLoop()
    bound = threading.Timer(10, lambda: loop.call_soon_threadsafe(loop.stop))
    bound.start()
    try:
        loop.run_until_complete(scenario(loop))
    finally:
        bound.cancel()
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()


async def answers_of(coalescer: Coalescer[int, int], rows: Sequence[int]) -> list[int]:
    """Submit rows and wait for the answers; a cancelled wait cancels the request."""
    settled: asyncio.Future[list[int] | CorollaError] = asyncio.get_running_loop().create_future()
    pending = coalescer.submit(rows, settled.set_result)
    try:
        outcome = await settled
    finally:
        coalescer.cancel(pending)
    if isinstance(outcome, CorollaError):
        raise outcome
    return outcome


async def next_timers() -> None:
    """Let the loop find the due timers, and then run them."""
    await asyncio.sleep(0)
    await asyncio.sleep(0)


class Inbox:
    """A `settle` callback that keeps the outcome, and fails if it is called twice."""

    def __init__(self) -> None:
        self.outcomes: list[list[int] | CorollaError] = []

    def __call__(self, outcome: list[int] | CorollaError) -> None:
        assert not self.outcomes
        self.outcomes.append(outcome)
