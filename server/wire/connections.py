"""The connections of a process, their common limits, and the one timer that sweeps them; knows nothing of HTTP."""

import asyncio
import heapq
import resource
from collections import Counter
from collections.abc import Callable
from typing import Protocol

import attrs

SWEEP_S = 1.0
MAX_IDLE = 1024
"""Maximum number of idle connections: ten times what cloudflared keeps to one origin (100); 1,000 took 2.4 MB (PSS)."""


def choose_max_idle(max_open_files: int) -> int:
    """Return how many connections may be idle: half the files that may be open are left for those that are not."""
    return MAX_IDLE if max_open_files == resource.RLIM_INFINITY else min(MAX_IDLE, max_open_files // 2)


class Watched(Protocol):
    """A connection, as far as the watch knows it."""

    def check(self, now_s: float) -> None:
        """Does what is due."""

    def idle_until_s(self) -> float | None:
        """Return when the connection is to be closed if it is kept open between requests, on the loop's clock."""

    def close_idle(self) -> None:
        """Close an idle connection."""


@attrs.frozen
class ConnectionLimits:
    """What a connection is held to.

    Attributes:
        max_body_bytes: The longest body.
        max_held_bytes: How many bytes of bodies may be read at the same time, over all connections.
        max_header_bytes: The longest request line and headers together.
        header_s: How long a client may take from its first moment, or byte, to the end of the headers.
        body_s: How long it may take for the body.
        max_idle: How many connections are kept open between requests; the longest idle are closed beyond that.
    """

    max_body_bytes: int
    max_held_bytes: int
    max_header_bytes: int = 16_384
    header_s: float = 10.0
    body_s: float = 30.0
    max_idle: int = attrs.field(factory=lambda: choose_max_idle(resource.getrlimit(resource.RLIMIT_NOFILE)[0]))


class Watch:
    """All connections of a process, swept by one timer.

    Attributes:
        limits: What every connection is held to.
        now_s: The loop's time at the last sweep: near enough for deadlines of seconds, and free to read.
        connections: The open ones.
        held_bytes: The bytes of bodies that are being read, or wait to be decoded.
        refusals: How many requests were refused that no model has been asked, by status and reason.
    """

    def __init__(self, limits: ConnectionLimits, every_second: Callable[[], None]) -> None:
        """Holds the connections' common facts.

        Args:
            limits: What every connection is held to.
            every_second: What else there is to do at each sweep.
        """
        self.limits = limits
        self.now_s = 0.0
        self.connections: set[Watched] = set()
        self.held_bytes = 0
        self.refusals: Counter[tuple[int, str]] = Counter()
        self._every_second = every_second
        self._timer: asyncio.TimerHandle

    def start(self) -> None:
        """Sweeps from now on, on the running loop."""
        loop = asyncio.get_running_loop()
        self.now_s = loop.time()
        self._timer = loop.call_later(SWEEP_S, self._sweep)

    def release(self, size_bytes: int) -> None:
        """Counts a body no more."""
        self.held_bytes -= size_bytes

    def stop(self) -> None:
        """Sweeps no more, once it has been started."""
        self._timer.cancel()

    def _sweep(self) -> None:
        self.start()
        for connection in list(self.connections):
            connection.check(self.now_s)
        if len(self.connections) > self.limits.max_idle:
            self._close_longest_idle()
        self._every_second()

    def _close_longest_idle(self) -> None:
        idle = [(until_s, one) for one in self.connections if (until_s := one.idle_until_s()) is not None]
        for _, connection in heapq.nsmallest(len(idle) - self.limits.max_idle, idle, key=lambda pair: pair[0]):
            connection.close_idle()
