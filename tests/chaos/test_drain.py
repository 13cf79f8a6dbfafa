"""Whatever ends a process, by request or by force, what another has taken is answered, and somebody serves on."""

import os
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from tests.support.lane import BOTH_WAYS
from tests.support.server_process import ServerProcess, serving, wait_for, workers_of
from tests.support.slow_model import publish_slow_model
from tests.support.wire import ANSWER, post, read_all
from tests.support.workshop import IRIS_ROW, Workshop

IN_FLIGHT = 200
TIMES = 20
WAIT_S = 60


@pytest.fixture(scope="module")
def slow_models(iris_workshop: Workshop, tmp_path_factory: pytest.TempPathFactory) -> Path:
    models_dir = tmp_path_factory.mktemp("drain")
    publish_slow_model(models_dir, iris_workshop.manifest())
    return models_dir


@pytest.mark.parametrize("flags", BOTH_WAYS)
def test_what_was_in_flight_at_sigterm_is_answered_time_after_time(slow_models: Path, flags: tuple[str, ...]) -> None:
    """Each time 200 are taken, most of them queued, and then the server is told to stop."""
    bounds = ("--coalescing", "worker", "--max-batch-rows", "2", "--deadline-ms", "60000")
    for _ in range(TIMES // 2):
        with serving(slow_models, *bounds, *flags) as server:
            connections = [socket.create_connection(("127.0.0.1", server.port), WAIT_S) for _ in range(IN_FLIGHT)]
            for connection in connections:
                connection.sendall(post(target=b"/slow/predict"))
            wait_for("queue", lambda server=server: server.metric("corolla_queue_rows") > 0)
            assert server.stop() == 0
            answers = [read_all(connection) for connection in connections]
            for connection in connections:
                connection.close()
        assert [answer[:15] for answer in answers] == [b"HTTP/1.1 200 OK"] * IN_FLIGHT


@pytest.fixture
def pair(iris_workshop: Workshop) -> Iterator[ServerProcess]:
    with serving(iris_workshop.models_dir, "--workers", "2") as server:
        wait_for("all workers", lambda: len(workers_of(server)) == 2)
        yield server


class Client(threading.Thread):
    """Asks over one connection until it is stopped or the connection is lost."""

    def __init__(self, port: int) -> None:
        super().__init__()
        self.connection = socket.create_connection(("127.0.0.1", port), WAIT_S)
        self.right = self.wrong = 0
        self.is_lost = False
        self._stopped = threading.Event()

    def run(self) -> None:
        try:
            while not self._stopped.is_set():
                self.connection.sendall(post())
                answer = self.connection.recv(65_536)
                self.is_lost = not answer
                if self.is_lost:
                    return
                self.right += answer.endswith(ANSWER)
                self.wrong += not answer.startswith(b"HTTP/1.1 200")
        except ConnectionError:
            self.is_lost = True

    def stop(self) -> None:
        self._stopped.set()
        self.join(WAIT_S)
        self.connection.close()


def owner_of(connection: socket.socket, pids: set[int]) -> int:
    """Gives the worker at the other end of a connection."""
    own = connection.getsockname()
    return next(
        pid
        for pid in pids
        for remote in psutil.Process(pid).net_connections("tcp")
        if remote.raddr and tuple(remote.raddr) == own
    )


def test_a_killed_worker_is_replaced_and_the_other_loses_nothing(pair: ServerProcess) -> None:
    pids = workers_of(pair)
    clients = [Client(pair.port) for _ in range(8)]
    for client in clients:
        client.start()
    wait_for("answers", lambda: all(client.right for client in clients))
    owners = {client: owner_of(client.connection, pids) for client in clients}
    victim = owners[clients[0]]
    wait_for("a count", lambda: pair.metric("corolla_requests_total") > 0)
    os.kill(victim, signal.SIGKILL)
    wait_for("a new worker", lambda: len(workers_of(pair)) == 3, timeout_s=15)
    counted = pair.metric("corolla_requests_total")
    for _ in range(20):
        assert httpx.post(f"{pair.url}/iris/predict", json=dict(IRIS_ROW)).status_code == 200
    for client in clients:
        client.stop()
        assert client.wrong == 0
        assert client.is_lost == (owners[client] == victim)
    wait_for("a count that goes on", lambda: pair.metric("corolla_requests_total") >= counted + 20)
    assert pair.stop() == 0
