"""Answers that nobody reads cost a bounded amount of memory, and others are served."""

import socket
import time
from contextlib import suppress

from tests.chaos.good_client import HEALTH, MEBIBYTE, TINY, Memory, good_client_of
from tests.support.server_process import ServerProcess
from tests.support.wire import post, wire_to


def never_read(port: int, request: bytes, size: int) -> socket.socket:
    """Asks again and again and never reads, until so many bytes are sent or the server takes no more."""
    asking = socket.socket()
    asking.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    asking.connect(("127.0.0.1", port))
    asking.settimeout(1)
    left = memoryview(request * (size // len(request)))
    with suppress(TimeoutError):
        while left:
            left = left[asking.send(left) :]
    return asking


def test_answers_that_nobody_reads_do_not_pile_up(server: ServerProcess) -> None:
    """The two ask for some 4 MiB of predictions and for a gibibyte of openapi.json."""
    memory = Memory.of(server)
    with (
        good_client_of(server) as client,
        never_read(server.port, post(), 4 * MEBIBYTE),
        never_read(server.port, b"GET /openapi.json HTTP/1.1\r\nhost: x\r\n\r\n", 4 * MEBIBYTE),
    ):
        for _ in client.rounds(20):
            with wire_to(server) as other:
                other.send(HEALTH)
                assert other.response()[0] == 200
    assert memory.peak_mib() < 32


def test_requests_that_wait_behind_an_unread_answer_cost_little_more_than_their_bytes(server: ServerProcess) -> None:
    """Each of ten may cost what one read of 256 KiB brings, as much for what is parsed, and as much to be written."""
    memory = Memory.of(server)
    with good_client_of(server) as client:
        readers = [never_read(server.port, TINY, MEBIBYTE // 2) for _ in range(10)]
        for _ in client.rounds(1):
            time.sleep(0.1)
        for reader in readers:
            reader.close()
    assert memory.peak_mib() < 10 * 0.75 + 16


def test_readers_that_never_read_leave_nothing_behind_when_they_have_gone(server: ServerProcess) -> None:
    """What one has cost, the next uses again."""
    memory = Memory.of(server)
    with good_client_of(server) as client:
        for _ in client.rounds(20):
            never_read(server.port, TINY, MEBIBYTE // 2).close()
            time.sleep(0.05)
    assert memory.growth_mib() < 48
