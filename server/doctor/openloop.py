"""Open-loop load generator: sends known requests at a given rate and measures when, and how, each is answered.

A request is sent when it is due, whether or not earlier ones have been answered, as independent clients do. Latency
counts from the moment when a request was due. One that had to wait for a free connection is thus not flattered
(coordinated omission).
"""

import gc
import re
import select
import socket
import time
from collections import deque
from collections.abc import Sequence

import attrs
import msgspec

from server.doctor.errors import NotServingError

CONNECTIONS = 64
SETTLE_S = 1.0
"""How long answers are awaited after the last request was due, and how long a connection may take to be accepted."""
RECEIVE_BYTES = 65_536
OK = "200"
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_HEAD_END = b"\r\n\r\n"
_STATUS = slice(len(b"HTTP/1.1 "), len(b"HTTP/1.1 200"))


@attrs.frozen
class Probe:
    """A request whose answer is known.

    Attributes:
        request: All bytes of the request.
        answer: The expected body.
        tolerance: The largest allowed difference of the number in the body; None allows none of any byte.
    """

    request: bytes
    answer: bytes
    tolerance: float | None = None

    def accepts(self, body: bytes) -> bool:
        """Return True if a body is the expected answer."""
        if body == self.answer or self.tolerance is None:
            return body == self.answer
        actual, expected = msgspec.json.decode(body), msgspec.json.decode(self.answer)
        return bool(abs(actual["output"] - expected["output"]) <= self.tolerance)


@attrs.define(eq=False)
class Outcome:
    """What became of the requests of one rate.

    Attributes:
        elapsed_s: The time from the first request to the last answer.
        latencies_ms: The latencies of right answers.
        refused_ms: The latencies of errors, by HTTP status.
        wrong: How many got 200 and another answer.
        lost: How many were due and never answered.
    """

    elapsed_s: float = 0.0
    latencies_ms: list[float] = attrs.field(factory=list)
    refused_ms: dict[str, list[float]] = attrs.field(factory=dict)
    wrong: int = 0
    lost: int = 0

    @property
    def refused(self) -> int:
        """How many were answered with an error."""
        return sum(map(len, self.refused_ms.values()))

    @property
    def settled(self) -> int:
        """How many requests are over."""
        return len(self.latencies_ms) + self.refused + self.wrong + self.lost


@attrs.define(eq=False)
class _InFlight:
    """A request on its way."""

    connection: socket.socket
    due_s: float
    probe: Probe
    received: bytes = b""


class OpenLoop:
    """Keep-alive connections to one server, and the requests in flight on them."""

    def __init__(
        self, port: int, probes: Sequence[Probe], connections: int = CONNECTIONS, settle_s: float = SETTLE_S
    ) -> None:
        """Open the connections.

        Args:
            port: Where the server listens on the loopback address.
            probes: The requests to send, in turn.
            connections: How many requests can be in flight.
            settle_s: How long answers are awaited after the last request was due.

        Raises:
            NotServingError: If the server does not listen.
        """
        self._port = port
        self._probes = probes
        self._settle_s = settle_s
        self._epoll = select.epoll()
        self._busy: dict[int, _InFlight] = {}
        self._free: deque[socket.socket] = deque()
        self._outcome = Outcome()
        for _ in range(connections):
            self._free.append(self._connect())

    def close(self) -> None:
        """Close the connections."""
        for connection in (*self._free, *(flight.connection for flight in self._busy.values())):
            connection.close()
        self._epoll.close()

    def offer(self, rate_per_s: float, seconds: float) -> Outcome:
        """Send requests at a rate for a time, and wait a little for the last answers.

        Raises:
            NotServingError: If the server accepts no connection any more.
        """
        self._outcome = Outcome()
        collects = gc.isenabled()
        gc.disable()  # a collection in this process would be seen as latency of the server
        try:
            self._offer(rate_per_s, max(1, int(rate_per_s * seconds)))
        except ConnectionError as error:
            raise NotServingError(f"the server answers no more: {error}") from error
        finally:
            (gc.enable if collects else gc.disable)()
        return self._outcome

    def _offer(self, rate_per_s: float, requests: int) -> None:
        start_s = now_s = time.perf_counter()
        end_s = start_s + requests / rate_per_s + self._settle_s
        sent = 0
        while self._outcome.settled < requests and now_s < end_s:
            due = min(requests, 1 + int((now_s - start_s) * rate_per_s))
            while sent < due and self._free:
                self._send(start_s + sent / rate_per_s, self._probes[sent % len(self._probes)])
                sent += 1
            next_s = start_s + sent / rate_per_s if due <= sent < requests else end_s
            self._receive(max(0.0, next_s - now_s))
            now_s = time.perf_counter()
        self._outcome.lost += requests - self._outcome.settled
        self._outcome.elapsed_s = max(now_s - start_s, requests / rate_per_s)
        for descriptor in list(self._busy):
            self._replace(descriptor)

    def _send(self, due_s: float, probe: Probe) -> None:
        connection = self._free.popleft()
        self._busy[connection.fileno()] = _InFlight(connection, due_s, probe)
        self._epoll.register(connection, select.EPOLLIN)
        connection.sendall(probe.request)

    def _receive(self, wait_s: float) -> None:
        # select waits for microseconds, epoll for whole milliseconds; epoll alone takes any number of connections.
        select.select([self._epoll], [], [], wait_s)
        for descriptor, _ in self._epoll.poll(0):
            flight = self._busy[descriptor]
            received = flight.connection.recv(RECEIVE_BYTES)
            flight.received += received
            if not received:
                self._outcome.lost += 1
                self._replace(descriptor)
            elif _is_whole(flight.received):
                self._settle(flight)
                del self._busy[descriptor]
                self._epoll.unregister(descriptor)
                self._free.append(flight.connection)

    def _settle(self, flight: _InFlight) -> None:
        latency_ms = (time.perf_counter() - flight.due_s) * 1e3
        head, _, body = flight.received.partition(_HEAD_END)
        status = head[_STATUS].decode("latin-1")
        if status != OK:
            self._outcome.refused_ms.setdefault(status, []).append(latency_ms)
        elif not flight.probe.accepts(body):
            self._outcome.wrong += 1
        else:
            self._outcome.latencies_ms.append(latency_ms)

    def _replace(self, descriptor: int) -> None:
        """Close a connection whose answer has not come, and open another."""
        self._busy.pop(descriptor).connection.close()  # epoll forgets what is closed
        self._free.append(self._connect())

    def _connect(self) -> socket.socket:
        try:
            connection = socket.create_connection(("127.0.0.1", self._port), SETTLE_S)
        except OSError as error:
            raise NotServingError(f"the server accepts no connection: {error}") from error
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection


def _is_whole(received: bytes) -> bool:
    head, mark, body = received.partition(_HEAD_END)
    length = _LENGTH.search(head)
    return bool(mark) and len(body) >= int(length[1] if length else 0)
