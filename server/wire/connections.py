"""The registry of a process's connections: their common limits and counts, and the one timer that sweeps them."""

import asyncio
import heapq
import resource
import select
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


def has_unread(transport: asyncio.Transport) -> bool:
    """Return whether the kernel has bytes of a connection, or its end, that the loop has not read yet."""
    poll = select.poll()
    poll.register(transport.get_extra_info("socket").fileno(), select.POLLIN)
    return bool(poll.poll(0))


class Connection(Protocol):
    """A connection, as far as the registry knows it."""

    def check(self, now_s: float) -> None:
        """Do what is due."""

    def idle_until_s(self) -> float | None:
        """Return when the connection is to be closed if it is kept open between requests, on the loop's clock."""

    def close_idle(self) -> None:
        """Close an idle connection."""


@attrs.frozen
class ConnectionLimits:
    """The limits of every connection.

    Attributes:
        max_body_bytes: Maximum size of a body.
        max_held_bytes: Memory budget of all bodies that are being read or wait to be decoded.
        max_header_bytes: Maximum size of the request line and the headers together.
        header_s: Timeout for the headers, from the connection's first moment or the request's first byte.
        body_s: Timeout for the body.
        max_idle: Maximum number of idle connections; beyond it the longest idle are closed.
    """

    max_body_bytes: int
    max_held_bytes: int
    max_header_bytes: int = 16_384
    header_s: float = 10.0
    body_s: float = 30.0
    max_idle: int = attrs.field(factory=lambda: choose_max_idle(resource.getrlimit(resource.RLIMIT_NOFILE)[0]))


class ConnectionRegistry:
    """All connections of a process, swept by one timer.

    Attributes:
        limits: The limits of every connection.
        now_s: The loop's time at the last sweep: near enough for deadlines of seconds, and free to read.
        connections: The open connections.
        held_bytes: The bytes of bodies that are being read, or wait to be decoded.
        refusals: How many requests were refused that no model has been asked, by status and reason.
    """

    def __init__(self, limits: ConnectionLimits, every_second: Callable[[], None]) -> None:
        """Begin without connections.

        Args:
            limits: The limits of every connection.
            every_second: Called after each sweep.
        """
        self.limits = limits
        self.now_s = 0.0
        self.connections: set[Connection] = set()
        self.held_bytes = 0
        self.refusals: Counter[tuple[int, str]] = Counter()
        self._every_second = every_second
        self._timer: asyncio.TimerHandle

    def start(self) -> None:
        """Sweep from now on, on the running loop."""
        loop = asyncio.get_running_loop()
        self.now_s = loop.time()
        self._timer = loop.call_later(SWEEP_S, self._sweep)

    def release(self, size_bytes: int) -> None:
        """Take a body off the memory budget."""
        self.held_bytes -= size_bytes

    def stop(self) -> None:
        """Stop sweeping; it must have been started."""
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
