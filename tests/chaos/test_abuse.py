"""Whatever a client sends as a body or as headers, it ends in time, others are served, and memory stays bounded."""

import select
import signal
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress

import pytest

from tests.chaos.good_client import (
    BLANK_LINE,
    BODY_LIMIT,
    CHUNKED,
    MEBIBYTE,
    ONE_ROW,
    Memory,
    good_client_of,
    in_chunks,
)
from tests.support.server_process import ServerProcess
from tests.support.wire import FORGED, post, wire_to

FLOOD_BYTES = 64 * MEBIBYTE


@contextmanager
def stopped(server: ServerProcess) -> Iterator[None]:
    """Lets a server do nothing for as long as the block."""
    server.process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        server.process.send_signal(signal.SIGCONT)


def test_a_body_may_be_as_long_as_the_limit_and_no_longer(server: ServerProcess) -> None:
    requests: dict[tuple[bytes, int, str], bytes] = {}
    expected: dict[tuple[bytes, int, str], int] = {}
    for target, body in ONE_ROW.items():
        for excess, status in ((-1, 200), (0, 200), (1, 413)):
            padded = body.ljust(BODY_LIMIT + excess)
            requests[target, excess, "declared"] = post(padded, target=target)
            requests[target, excess, "chunked"] = post(in_chunks(padded), CHUNKED, target=target)
            expected |= {(target, excess, way): status for way in ("declared", "chunked")}
    with good_client_of(server) as client:
        for _ in client.rounds(2):
            statuses = {}
            for case, request in requests.items():
                with wire_to(server) as wire:
                    wire.send(request)
                    statuses[case] = wire.response()[0]
                    assert statuses[case] == 200 or wire.is_closed()
            assert statuses == expected


def test_a_client_whose_body_is_refused_may_send_it_to_its_end(server: ServerProcess) -> None:
    """It is many times the limit, and more than the kernel would hold for a server that has stopped reading."""
    upload = post(in_chunks(b" " * 40 * MEBIBYTE, 65_536), CHUNKED, target=b"/iris/predict/rows")
    cut = BODY_LIMIT - 170_000
    with good_client_of(server) as client:
        for _ in range(3):
            with wire_to(server) as wire:
                wire.send(upload[:cut])
                time.sleep(0.1)
                with stopped(server):  # so that what takes the body beyond its limit is read as one
                    wire.send(upload[cut : cut + MEBIBYTE // 4])
                wire.send(upload[cut + MEBIBYTE // 4 :])
                assert wire.response()[0] == 413
                assert wire.is_closed()
        for _ in client.rounds(1):
            time.sleep(0.1)


def test_a_million_chunks_are_a_body_like_any_other(server: ServerProcess) -> None:
    """Each of the two bodies is a mebibyte, which is gathered, joined and copied."""

    def send_chunks(target: bytes) -> int:
        with wire_to(server) as wire:
            wire.socket.settimeout(60)
            with suppress(ConnectionError):  # where it is told that it took too long
                wire.send(post(b"1\r\n \r\n" * 1_000_000 + in_chunks(ONE_ROW[target]), CHUNKED, target=target))
            return wire.response()[0]

    memory = Memory.of(server)
    with good_client_of(server) as client, ThreadPoolExecutor(len(ONE_ROW)) as threads:
        assert set(threads.map(send_chunks, ONE_ROW)) <= {200, 408}
        for _ in client.rounds(1):
            time.sleep(0.1)
    assert memory.peak_mib() < 24


def flood(server: ServerProcess, start: bytes, more: bytes) -> bytes:
    """Sends without end, but for a bound, until the server ends the connection; gives what it answered."""
    received, sent = b"", 0
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as flooding:
        flooding.sendall(start)
        with suppress(ConnectionError):
            while sent < FLOOD_BYTES:
                sent += flooding.send(more)
                if not received and select.select([flooding], [], [], 0)[0]:
                    received = flooding.recv(65_536)
    return received


TRAILING = post(in_chunks(ONE_ROW[b"/iris/predict"])[:-2], CHUNKED)


@pytest.mark.parametrize(
    "starts",
    [(b"GET /", b"GET /iris HTTP/1.1\r\n", b"GET /iris HTTP/1.1\r\nx-a: "), (TRAILING, TRAILING + b"x-a: ")],
    ids=["headers", "trailers"],
)
def test_endless_headers_are_refused_and_the_connection_ends(server: ServerProcess, starts: tuple[bytes, ...]) -> None:
    memory = Memory.of(server)
    with good_client_of(server) as client:
        for _ in client.rounds(2):
            for start in starts:
                more = b"x-a: b\r\n" * 100 if start.endswith(b"\n") else b"b" * 1000
                answered = flood(server, start, more)
                assert answered.startswith(b"HTTP/1.1 431 ")
                assert b"\r\nconnection: close\r\n" in answered
    assert memory.peak_mib() < 16


def test_forged_requests_are_refused_time_after_time_and_nothing_behind_them_is_run(server: ServerProcess) -> None:
    rows = server.metric("corolla_rows_total")
    with good_client_of(server) as client:
        for _ in client.rounds(20):
            for forged in FORGED.values():
                with wire_to(server) as wire:
                    wire.send(forged + BLANK_LINE + post())
                    status, headers, _ = wire.response()
                    assert (status, headers["connection"]) == (400, "close")
                    assert wire.is_closed()
    assert server.metric("corolla_rows_total") - rows == client.asked
