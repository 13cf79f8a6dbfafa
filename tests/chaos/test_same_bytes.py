"""The same bytes, however they are cut, have the same answers with the lane and without."""

import re
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import suppress
from itertools import pairwise

import attrs
import httptools
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.server_process import ServerProcess, serving
from tests.support.wire import BODY, WAIT_S, post
from tests.support.workshop import Workshop

EXAMPLES = 5_000
"""For inline and worker each; on the worker an answer takes longer, and more comes before it."""
GAP_S = 0.0001
"""So that two writes are read as two."""
END = b"\0" * 20_000
"""Ends every stream, whatever came before: it fills any unfinished body, and is no HTTP anywhere else."""

ROW = b'{"SepalLengthCm": %d, "SepalWidthCm": %d, "PetalLengthCm": %d, "PetalWidthCm": %d}'
BODIES = [
    *[ROW % row for row in ((5, 2, 3, 4), (5, 3, 1, 0), (6, 3, 4, 1))] * 3,  # one for each label, of the same length
    BODY.replace(b"5", b"x"),
    BODY.replace(b"5", b"true"),
    b"[%s]" % BODY,
    b"{}",
    b"",
    b"\xff",
    post(),
]
START_LINES = [
    *[b"POST /iris/predict HTTP/1.1"] * 14,
    b"POST /iris/predict HTTP/1.0",
    b"POST /iris/predict?probabilities=true HTTP/1.1",
    b"POST /iris/predict?x HTTP/1.1",
    b"POST /iris/predict/ HTTP/1.1",
    b"POST //iris/predict HTTP/1.1",
    b"POST /iris/%70redict HTTP/1.1",
    b"POST /iris/predict/rows HTTP/1.1",
    b"GET /iris/predict HTTP/1.1",
    b"HEAD /iris/predict HTTP/1.1",
    b"PUT /iris/predict HTTP/1.1",
    b"GET /healthz HTTP/1.1",
]
CHUNKED = b"transfer-encoding: chunked"
HEADERS: list[list[bytes]] = [
    *[[]] * 12,
    [b"content-type: application/json"],
    [b"content-type: text/plain"],
    [b"content-encoding: gzip"],
    [b"content-encoding: identity"],
    [b"corolla-deadline-ms: 50000"],
    [b"corolla-deadline-ms: no"],
    [b"expect: 100-continue"],
    [b"connection: keep-alive"],
    [b"connection: close"],
    [b"Connection: Close", b"content-type: application/json"],
    [b"connection: close, upgrade", b"upgrade: h2c"],
    [b"content-length: 7"],
    [b"host: again"],
    [b"host: a/b"],
    [b"x: y"],
    [b"x-request-id: 1"],
    [b"X-Request-Id: 2", b"traceparent: 00-1-2-01"],
    [b"x-request-id: 3", b" folded"],
    [b"x-request-id : 4"],
    [CHUNKED],
]
SAYS_MORE = [0] * 20 + [-1, -5, -1000, 1, 5, len(post()), 200]
"""How many bytes more than it has a request declares; what comes behind it is taken for the rest."""

REQUEST = struct.Struct("6B")
LAYOUT = struct.Struct("8B")
DRAWS = st.binary(min_size=LAYOUT.size + REQUEST.size, max_size=LAYOUT.size + 6 * REQUEST.size)
"""Where each number is a choice from a table: a strategy for each would take longer than both servers."""


def request_of(start_line: int, headers: int, body: int, says_more: int, novelty: int) -> bytes:
    """Makes one request; its head is mostly one that has been sent before, on whatever connection."""
    lines, content = HEADERS[headers % len(HEADERS)], BODIES[body % len(BODIES)]
    if CHUNKED in lines:
        content = b"%x\r\n%s\r\n0\r\n\r\n" % (len(content), content) if content else b"0\r\n\r\n"
    else:
        declared = max(0, len(content) + SAYS_MORE[says_more % len(SAYS_MORE)])
        lines = [*lines, b"content-length: %d" % declared]
    if novelty < 16:
        lines = [*lines, b"x: %d" % (novelty * 256 + body)]
    return b"\r\n".join([START_LINES[start_line % len(START_LINES)], b"host: localhost", *lines, b"", content])


def cut(drawn: bytes) -> list[bytes]:
    """Gives the writes: of a request each or of some together, some cut in two, one byte perhaps another.

    A few streams lack their beginning: the rest of a head is none, though others have sent just this after the first.
    """
    layout, requests = drawn[: LAYOUT.size], drawn[LAYOUT.size :]
    first, second, spoilt, value, is_spoilt, is_headless, is_joined, _ = layout
    stream, ends = b"", set[int]()
    for *request, is_cut in REQUEST.iter_unpack(requests[: len(requests) // REQUEST.size * REQUEST.size]):
        stream += request_of(*request)
        if is_cut % 4:
            ends.add(len(stream))
    if is_spoilt % 4 == 1:
        place = spoilt * len(stream) // 256
        stream = stream[:place] + bytes([value]) + stream[place + 1 :]
    ends |= {place * len(stream) // 128 for place in (first, second) if place < 128}
    start = spoilt * len(stream) // 256 if is_headless % 16 == 1 else 0
    ends = {start, *(end for end in ends if end > start), len(stream)}
    parts = [stream[begin:end] for begin, end in pairwise(sorted(ends))]
    return [*parts[:-1], parts[-1] + END] if is_joined % 8 == 1 else [*parts, END]


class Reader:
    """Reads what is asked as a server does, to know how much of it there is to answer."""

    def __init__(self) -> None:
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self.asked = 0
        self.is_in_body = False

    def on_headers_complete(self) -> None:
        self.is_in_body = True

    def on_message_complete(self) -> None:
        self.asked += 1
        self.is_in_body = False


@attrs.frozen
class Plan:
    """How a stream is sent.

    Attributes:
        steps: What is written at once, and how many answers are awaited before the next.
        is_exact: Whether every request is answered before the server reads what is no HTTP.
    """

    steps: list[tuple[bytes, int]]
    is_exact: bool

    def __str__(self) -> str:
        """Shows what it takes to do the same again; the end, which all have in common, is left out."""
        return "\n".join(f"{part.removesuffix(END)!r}, then {answers} answers in all" for part, answers in self.steps)


def plan(parts: list[bytes], *, is_patient: bool) -> Plan:
    """Has no answer depend on how quick the server is.

    Where a refusal cuts a body off, or HTTP is left by an upgrade, an answer may or may not have come before: such a
    stream goes as one write.

    Args:
        parts: What is to be written.
        is_patient: Whether what was asked is answered before more is written.
    """
    reader, steps = Reader(), list[tuple[bytes, int]]()
    for part in parts:
        before = reader.asked
        try:
            reader.parser.feed_data(part)
        except httptools.HttpParserUpgrade:
            return Plan([(b"".join(parts), 0)], is_exact=False)
        except httptools.HttpParserError:
            if reader.is_in_body:
                return Plan([(b"".join(parts), 0)], is_exact=False)
            return Plan([*steps, (part, 0)], is_exact=is_patient and reader.asked == before)
        steps.append((part, reader.asked if is_patient else 0))
    return Plan(steps, is_exact=True)


class Talk:
    """One connection, to which all is said that a plan has."""

    def __init__(self, server: ServerProcess) -> None:
        self.heard = b""
        self._socket = socket.create_connection(("127.0.0.1", server.port), WAIT_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def say(self, part: bytes) -> None:
        with suppress(ConnectionError):
            self._socket.sendall(part)

    def hear(self, answers: int) -> None:
        """Reads as many answers, or all that come."""
        while len(re.findall(rb"HTTP/1\.1 [2-5]", self.heard)) < answers and self._hear_more():
            pass

    def hear_all(self) -> bytes:
        while self._hear_more():
            pass
        self._socket.close()
        return re.sub(rb"date: [^\r]*", b"date: now", self.heard)

    def _hear_more(self) -> bool:
        try:
            part = self._socket.recv(65_536)
        except ConnectionError:
            part = b""
        self.heard += part
        return bool(part)


REFUSAL = re.compile(rb'HTTP/1\.1 400 [^\r]*\r\n([^\r]+\r\n)*\r\n{"error":"the request is not valid HTTP[^}]*}$')


def without_the_refusal(answers: bytes) -> bytes:
    """Takes away what depends on time alone.

    Where no HTTP comes behind an unanswered request, that is told that it is the last; where the request is answered,
    which is the sooner with the lane, the refusal follows.
    """
    return REFUSAL.sub(b"", answers).replace(b"connection: close\r\n", b"")


@pytest.fixture(scope="module", params=["inline", "worker"])
def both(iris_workshop: Workshop, request: pytest.FixtureRequest) -> Iterator[tuple[ServerProcess, ServerProcess]]:
    flags = ("--deadline-ms", "60000", "--coalescing", request.param)
    with (
        serving(iris_workshop.models_dir, *flags) as lane,
        serving(iris_workshop.models_dir, *flags, "--no-lane") as no_lane,
    ):
        yield lane, no_lane


@given(drawn=DRAWS)
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_are_answered_alike_with_the_lane_and_without(
    both: tuple[ServerProcess, ServerProcess], drawn: bytes
) -> None:
    planned = plan(cut(drawn), is_patient=drawn[LAYOUT.size - 1] % 4 != 1)
    talks = [Talk(server) for server in both]
    for part, answers in planned.steps:
        for talk in talks:
            talk.say(part)
        time.sleep(0 if answers else GAP_S)
        for talk in talks:
            talk.hear(answers)
    lane, no_lane = (talk.hear_all() for talk in talks)
    if planned.is_exact:
        assert lane == no_lane, str(planned)
    else:
        assert without_the_refusal(lane) == without_the_refusal(no_lane), str(planned)
    assert b"HTTP/1.1 5" not in lane, str(planned)
