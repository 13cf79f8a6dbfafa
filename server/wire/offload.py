"""Runs the reading of large bodies on a thread, so that the event loop answers others meanwhile.

There is one thread: two would share one interpreter with the loop and leave it less. What a library does in one step,
such as parsing a whole body of JSON, still keeps the loop waiting.
"""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar

from server.errors import DeadlineError, OverloadedError
from server.wire.connections import ConnectionRegistry

INLINE_BODY_BYTES = 16_384
"""A body of no more than this is read by the loop itself, at worst in 8 ms; to ask a thread mostly takes longer."""
ADMITTED_SHARE = 0.5
"""Admission control, as the coalescer has it: a body is accepted if its reading ends within this part of its time."""
SMOOTHING = 0.2
"""How much the last body counts in the moving averages of time and size, whose ratio is the estimated pace."""

T = TypeVar("T")


class Offload:
    """The thread that reads large bodies, one after another."""

    def __init__(self, registry: ConnectionRegistry) -> None:
        """Begin nothing yet.

        Args:
            registry: Counts the bodies that are held; those that wait for the thread are among them.
        """
        self._registry = registry
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="decode")
        self._waiting_bytes = 0
        self._took_s = 0.0
        self._took_bytes = 0.0

    async def run(self, read: Callable[[bytes], T], body: bytes, deadline_s: float) -> T:
        """Read a large body.

        Args:
            read: What reads it; it may raise whatever it likes.
            body: What to read.
            deadline_s: When it is no longer wanted, on the loop's clock.

        Raises:
            OverloadedError: If it would not be read in time, by what the bodies before it have taken.
            DeadlineError: If it was not read in time. It is not read then, unless that has begun.
        """
        loop, size_bytes, held = asyncio.get_running_loop(), len(body), [body]
        self._admit(size_bytes, deadline_s - loop.time())

        def let_go(_: "Future[T]") -> None:
            with suppress(RuntimeError):  # of a loop that has ended meanwhile
                loop.call_soon_threadsafe(self._release, size_bytes)

        self._registry.held_bytes += size_bytes
        self._waiting_bytes += size_bytes
        reading = self._thread.submit(self._time, read, held)
        reading.add_done_callback(let_go)
        try:
            async with asyncio.timeout_at(deadline_s):
                return await asyncio.wrap_future(reading)
        except TimeoutError:
            raise DeadlineError("the deadline passed before the body was read") from None
        finally:
            held.clear()  # the thread's queue keeps what was given up until its turn
            # An error that it has holds this frame, and so the body, in a circle that waits for the collector.
            del reading

    def close(self) -> None:
        """Take nothing more."""
        self._thread.shutdown(wait=False)

    def _admit(self, size_bytes: int, allowed_s: float) -> None:
        expected_s = (self._waiting_bytes + size_bytes) * self._took_s / max(1.0, self._took_bytes)
        if self._waiting_bytes and expected_s > ADMITTED_SHARE * allowed_s:
            raise OverloadedError("the deadline cannot be met, too many large bodies wait", "deadline", expected_s)

    def _time(self, read: Callable[[bytes], T], held: list[bytes]) -> T:
        """Read a body on the thread, and learn from it how long a byte takes; a body that is refused counts too."""
        body = held.pop()
        start_s = time.perf_counter()
        try:
            return read(body)
        finally:
            # Apart, so that a small body weighs little: the first of all may take long for other reasons.
            self._took_s += SMOOTHING * (time.perf_counter() - start_s - self._took_s)
            self._took_bytes += SMOOTHING * (len(body) - self._took_bytes)

    def _release(self, size_bytes: int) -> None:
        self._waiting_bytes -= size_bytes
        self._registry.release(size_bytes)
