"""Known requests at a rate -> how soon each is answered, and whether rightly; knows nothing of who answers.

Nobody waits for an answer before the next request is due, as clients that know nothing of each other do not, and a
request's latency begins when it was due: one that had to wait for a free connection is not flattered.
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
"""How long answers are awaited after the last request was due."""
RECEIVE_BYTES = 65_536
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_HEAD_END = b"\r\n\r\n"


@attrs.frozen
class Question:
    """A request whose answer is known.

    Attributes:
        request: All of its bytes.
        answer: The body that it must get.
        tolerance: By how much the number in it may be off; None where it must be the very same.
    """

    request: bytes
    answer: bytes
    tolerance: float | None = None

    def fits(self, body: bytes) -> bool:
        """Says whether a body is the answer."""
        if body == self.answer or self.tolerance is None:
            return body == self.answer
        told, expected = msgspec.json.decode(body), msgspec.json.decode(self.answer)
        return bool(abs(told["output"] - expected["output"]) <= self.tolerance)


@attrs.define(eq=False)
class Outcome:
    """What became of the requests of one rate.

    Attributes:
        elapsed_s: How long it took to ask them all and to get the last answer.
        latencies_ms: Of those that were answered rightly.
        refused: How many were answered with an error.
        wrong: How many got another answer.
        lost: How many were due and never answered.
    """

    elapsed_s: float = 0.0
    latencies_ms: list[float] = attrs.field(factory=list)
    refused: int = 0
    wrong: int = 0
    lost: int = 0

    @property
    def settled(self) -> int:
        """Gives how many are over."""
        return len(self.latencies_ms) + self.refused + self.wrong + self.lost


@attrs.define(eq=False)
class _Asked:
    """A request on its way."""

    due_s: float
    question: Question
    received: bytes = b""


class OpenLoop:
    """Keep-alive connections to one server, and what was asked over them."""

    def __init__(self, port: int, questions: Sequence[Question]) -> None:
        """Opens the connections.

        Args:
            port: Where the server listens on the loopback address.
            questions: What to ask, in turn.

        Raises:
            NotServingError: If it does not listen.
        """
        self._port = port
        self._questions = questions
        self._busy: dict[socket.socket, _Asked] = {}
        self._free: deque[socket.socket] = deque()
        self._outcome = Outcome()
        for _ in range(CONNECTIONS):
            self._free.append(self._connect())

    def close(self) -> None:
        """Closes the connections."""
        for connection in (*self._free, *self._busy):
            connection.close()

    def offer(self, rate_per_s: float, seconds: float) -> Outcome:
        """Asks at a rate for a time, and waits a little for the last answers.

        Raises:
            NotServingError: If the server takes no connection any more.
        """
        self._outcome = Outcome()
        collects = gc.isenabled()
        gc.disable()  # a collection here would be seen as latency there
        try:
            self._offer(rate_per_s, max(1, int(rate_per_s * seconds)))
        except ConnectionError as error:
            raise NotServingError(f"the server answers no more: {error}") from error
        finally:
            (gc.enable if collects else gc.disable)()
        return self._outcome

    def _offer(self, rate_per_s: float, requests: int) -> None:
        start_s = now_s = time.perf_counter()
        end_s = start_s + requests / rate_per_s + SETTLE_S
        sent = 0
        while self._outcome.settled < requests and now_s < end_s:
            due = min(requests, 1 + int((now_s - start_s) * rate_per_s))
            while sent < due and self._free:
                self._send(start_s + sent / rate_per_s, self._questions[sent % len(self._questions)])
                sent += 1
            next_s = start_s + sent / rate_per_s if due <= sent < requests else end_s
            self._receive(max(0.0, next_s - now_s))
            now_s = time.perf_counter()
        self._outcome.lost += requests - self._outcome.settled
        self._outcome.elapsed_s = max(now_s - start_s, requests / rate_per_s)
        self._give_up()

    def _send(self, due_s: float, question: Question) -> None:
        connection = self._free.popleft()
        self._busy[connection] = _Asked(due_s, question)
        connection.sendall(question.request)

    def _receive(self, wait_s: float) -> None:
        # select, for its microseconds: epoll waits for whole milliseconds.
        for connection in select.select(list(self._busy), [], [], wait_s)[0]:
            asked = self._busy[connection]
            received = connection.recv(RECEIVE_BYTES)
            asked.received += received
            if not received:
                self._replace(connection)
            elif _is_whole(asked.received):
                self._settle(asked)
                del self._busy[connection]
                self._free.append(connection)

    def _settle(self, asked: _Asked) -> None:
        head, _, body = asked.received.partition(_HEAD_END)
        if not head.startswith(b"HTTP/1.1 200 "):
            self._outcome.refused += 1
        elif not asked.question.fits(body):
            self._outcome.wrong += 1
        else:
            self._outcome.latencies_ms.append((time.perf_counter() - asked.due_s) * 1e3)

    def _give_up(self) -> None:
        """Takes new connections for those whose answers have not come."""
        for connection in list(self._busy):
            self._drop(connection)

    def _replace(self, connection: socket.socket) -> None:
        self._outcome.lost += 1
        self._drop(connection)

    def _drop(self, connection: socket.socket) -> None:
        del self._busy[connection]
        connection.close()
        self._free.append(self._connect())

    def _connect(self) -> socket.socket:
        try:
            connection = socket.create_connection(("127.0.0.1", self._port), SETTLE_S)
        except OSError as error:
            raise NotServingError(f"the server takes no connection: {error}") from error
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection


def _is_whole(received: bytes) -> bool:
    head, mark, body = received.partition(_HEAD_END)
    length = _LENGTH.search(head)
    return bool(mark) and len(body) >= int(length[1] if length else 0)
