"""Bodies -> what they say, large ones by a thread, so that the event loop answers others meanwhile.

One thread, since two would share one interpreter with the loop and leave it less: what the library does in one step,
such as parsing a whole body of JSON, the loop waits for as it is. It knows nothing of what is read.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar

from server.errors import DeadlineError
from server.wire.connections import Watch

INLINE_BODY_BYTES = 16_384
"""A body of no more than this is decoded by the loop itself, at worst in 8 ms; to ask a thread mostly takes longer."""

T = TypeVar("T")


class Decoding:
    """The thread that decodes large bodies, one after another."""

    def __init__(self, watch: Watch) -> None:
        """Begins nothing yet.

        Args:
            watch: What counts the bodies that are held; those that wait for the thread are among them.
        """
        self._watch = watch
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="decode")

    async def run(self, decode: Callable[[bytes], T], body: bytes, allowed_s: float) -> T:
        """Decodes a large body.

        Args:
            decode: What reads it; it may raise whatever it likes.
            body: What to read.
            allowed_s: How long it may take with its wait for those before it.

        Raises:
            DeadlineError: If that has passed; the body is not read then, unless it is being read already.
        """
        loop, size_bytes, held = asyncio.get_running_loop(), len(body), [body]

        def let_go(_: "Future[T]") -> None:
            with suppress(RuntimeError):  # of a loop that has ended meanwhile
                loop.call_soon_threadsafe(self._watch.release, size_bytes)

        self._watch.held_bytes += size_bytes
        decoding = self._thread.submit(lambda: decode(held.pop()))
        decoding.add_done_callback(let_go)
        try:
            async with asyncio.timeout(allowed_s):
                return await asyncio.wrap_future(decoding)
        except TimeoutError:
            raise DeadlineError("the deadline passed before the body was read") from None
        finally:
            held.clear()  # the thread's queue keeps what was given up until its turn
            # An error that it has holds this frame, and so the body, in a circle that waits for the collector.
            del decoding

    def close(self) -> None:
        """Takes nothing more."""
        self._thread.shutdown(wait=False)
