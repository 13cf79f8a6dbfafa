"""A rate -> what becomes of requests that come at it, whatever the server does: nobody waits before asking again.

One process, one epoll and plain sockets, so that some tens of thousands of requests a second can be offered.
"""

import gc
import select
import socket
import statistics
import time
from collections import Counter, deque

import attrs

from tests.bench.targets import BODY

REQUEST = (
    b"POST /iris/predict HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s"
    % (len(BODY), BODY)
)
MAX_CONNECTIONS = 3000
SETTLE_S = 3.0
"""How long answers are awaited after the last request."""
OK, OVERLOADED = b"200", b"503"


@attrs.frozen
class Offered:
    """What became of the requests.

    Attributes:
        per_s: How many were sent a second.
        goodput_per_s: How many were answered 200 a second.
        statuses: How many were answered with each status.
        unsent: How many were due and could not be sent, all connections being busy.
        lost: How many were sent and not answered.
        accepted_ms: The latencies of those answered 200.
        refused_ms: The latencies of those answered 503.
    """

    per_s: float
    goodput_per_s: float
    statuses: dict[str, int]
    unsent: int
    lost: int
    accepted_ms: list[float]
    refused_ms: list[float]


def percentile(numbers: list[float], part: int) -> float:
    """Gives a percentile, or NaN where there is too little."""
    return statistics.quantiles(numbers, n=100)[part - 1] if len(numbers) > 1 else float("nan")


class OpenLoop:
    """The connections to one server, and what came over them."""

    def __init__(self, port: int) -> None:
        self._address = ("127.0.0.1", port)
        self._epoll = select.epoll()
        self._free: deque[socket.socket] = deque()
        self._busy: dict[int, tuple[socket.socket, float]] = {}
        self._opened = 0
        self._latencies_ms: dict[bytes, list[float]] = {}
        self._statuses: Counter[bytes] = Counter()

    def offer(self, rate_per_s: float, seconds: float) -> Offered:
        """Sends requests at a rate for a time, and waits a little for the last answers."""
        gc.disable()
        sent = unsent = 0
        start_s = now_s = time.perf_counter()
        while now_s < start_s + seconds:
            due = int((now_s - start_s) * rate_per_s) - sent - unsent
            for _ in range(due):
                if self._send():
                    sent += 1
                else:
                    unsent += 1
            self._receive(0.0005)
            now_s = time.perf_counter()
        while self._busy and time.perf_counter() < now_s + SETTLE_S:
            self._receive(0.01)
        gc.enable()
        accepted = self._latencies_ms.get(OK, [])
        return Offered(
            per_s=sent / seconds,
            goodput_per_s=len(accepted) / seconds,
            statuses={status.decode(): count for status, count in sorted(self._statuses.items())},
            unsent=unsent,
            lost=len(self._busy),
            accepted_ms=accepted,
            refused_ms=self._latencies_ms.get(OVERLOADED, []),
        )

    def close(self) -> None:
        """Closes all connections."""
        for connection in (*self._free, *(connection for connection, _ in self._busy.values())):
            connection.close()
        self._epoll.close()

    def _send(self) -> bool:
        if not self._free:
            if self._opened >= MAX_CONNECTIONS:
                return False
            self._open()
        connection = self._free.popleft()
        self._busy[connection.fileno()] = connection, time.perf_counter()
        connection.send(REQUEST)
        return True

    def _open(self) -> None:
        connection = socket.create_connection(self._address)
        connection.settimeout(0)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._epoll.register(connection, select.EPOLLIN)
        self._free.append(connection)
        self._opened += 1

    def _receive(self, wait_s: float) -> None:
        for descriptor, _ in self._epoll.poll(wait_s):
            connection, sent_s = self._busy.pop(descriptor)
            answer = connection.recv(65_536)
            status = answer[9:12]
            self._statuses[status] += 1
            self._latencies_ms.setdefault(status, []).append((time.perf_counter() - sent_s) * 1e3)
            if answer:
                self._free.append(connection)
            else:
                connection.close()
                self._opened -= 1
