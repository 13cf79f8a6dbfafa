"""Each request of a rate is counted once: as answered, refused, wrong or lost."""

import contextlib
import gc
import os
import resource
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import attrs
import pytest

from server.doctor import openloop
from server.doctor.child import Child
from server.doctor.errors import NotServingError
from server.doctor.openloop import OpenLoop, Outcome, Probe
from server.doctor.ramp_up import make_probes
from server.models.catalog import Model
from tests.support.server_process import free_port

FD_SETSIZE = 1024
"""The descriptors that select can wait for are lower than this."""
RIGHT = Probe(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n", b"{}")


def offer(port: int, probes: list[Probe], rate_per_s: float = 200, seconds: float = 0.2) -> Outcome:
    with closing(OpenLoop(port, probes)) as loop:
        return loop.offer(rate_per_s, seconds)


@contextmanager
def answering(answer: Callable[[socket.socket], None]) -> Iterator[int]:
    """Listens, and lets a thread handle each connection: for faults that a sound server does not show."""

    def take(listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                threading.Thread(target=treat, args=[connection], daemon=True).start()

    def treat(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            while connection.recv(65_536):
                answer(connection)

    with socket.create_server(("127.0.0.1", 0), backlog=200) as listener:
        threading.Thread(target=take, args=[listener], daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


def counted(outcome: Outcome) -> tuple[int, int, int, int]:
    return len(outcome.latencies_ms), outcome.refused, outcome.wrong, outcome.lost


def test_each_right_answer_has_a_latency(child: Child, models: list[Model]) -> None:
    outcome = offer(child.port, make_probes(models))
    assert counted(outcome) == (40, 0, 0, 0)
    assert all(latency_ms > 0 for latency_ms in outcome.latencies_ms)
    assert outcome.elapsed_s >= 0.2


def test_a_wrong_answer_has_no_latency(child: Child, models: list[Model]) -> None:
    right, *others = make_probes(models)
    assert counted(offer(child.port, [right, attrs.evolve(right, answer=b"{}")])) == (20, 0, 20, 0)
    assert others


def test_an_error_is_a_refusal(child: Child) -> None:
    nowhere = Probe(b"GET /nowhere HTTP/1.1\r\nhost: x\r\n\r\n", b"")
    outcome = offer(child.port, [nowhere])
    assert counted(outcome) == (0, 40, 0, 0)
    assert {status: len(latencies_ms) for status, latencies_ms in outcome.refused_ms.items()} == {"404": 40}
    assert all(latency_ms > 0 for latency_ms in outcome.refused_ms["404"])


def test_an_answer_in_pieces_is_one_answer(child: Child, models: list[Model], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openloop, "RECEIVE_BYTES", 7)
    assert counted(offer(child.port, make_probes(models))) == (40, 0, 0, 0)


def test_a_request_without_an_answer_is_lost_after_a_bound() -> None:
    with answering(lambda _: None) as port, closing(OpenLoop(port, [RIGHT], settle_s=0.2)) as loop:
        for _ in range(2):  # the second time over connections of its own
            assert counted(loop.offer(1000, 0.2)) == (0, 0, 0, 200)


@contextmanager
def low_descriptors_taken() -> Iterator[None]:
    """Takes all descriptors for which select can wait."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2 * FD_SETSIZE), hard))
    with ExitStack() as opened:
        opened.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        while opened.enter_context(Path(os.devnull).open("rb")).fileno() < FD_SETSIZE:
            pass
        yield


def test_connections_may_be_more_than_select_takes() -> None:
    with (
        answering(lambda connection: connection.shutdown(socket.SHUT_RDWR)) as port,
        closing(OpenLoop(port, [RIGHT], connections=1)) as loop,
        low_descriptors_taken(),
    ):
        assert counted(loop.offer(200, 0.1)) == (0, 0, 0, 20)  # each over a connection of its own


def test_a_connection_that_is_closed_is_replaced() -> None:
    with answering(lambda connection: connection.shutdown(socket.SHUT_RDWR)) as port:
        assert counted(offer(port, [RIGHT])) == (0, 0, 0, 40)


def test_a_server_that_is_gone_is_an_error() -> None:
    with pytest.raises(NotServingError, match=r"^the server accepts no connection: "):
        OpenLoop(free_port(), [RIGHT])


def test_a_server_that_resets_its_connections_is_an_error() -> None:
    def reset(connection: socket.socket) -> None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        connection.close()

    with answering(reset) as port, pytest.raises(NotServingError, match=r"^the server answers no more: "):
        offer(port, [RIGHT])


@pytest.mark.parametrize("enabled", [True, False])
def test_the_collector_is_afterwards_as_it_was(child: Child, models: list[Model], *, enabled: bool) -> None:
    (gc.enable if enabled else gc.disable)()
    try:
        offer(child.port, make_probes(models))
        assert gc.isenabled() == enabled
    finally:
        gc.enable()


def test_a_regressors_number_may_be_off_by_the_tolerance_and_no_more() -> None:
    probe = Probe(b"", b'{"output":10.0,"model_name":"m"}', tolerance=0.5)
    for number, accepted in ((b"10.0", True), (b"10.4", True), (b"10.6", False), (b"9.4", False)):
        assert probe.accepts(b'{"output":%s,"model_name":"m"}' % number) is accepted
    assert not attrs.evolve(probe, tolerance=None).accepts(b'{"output":10.4,"model_name":"m"}')
