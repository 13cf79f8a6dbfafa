"""Hundreds of clients that keep a connection busy with next to nothing are closed in time, and others are served."""

import re
import resource
import selectors
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack

import attrs
import pytest

from tests.chaos.good_client import (
    BLANK_LINE,
    HEALTH,
    GoodClient,
    Memory,
    check_sound,
    count_at_rest,
    count_descriptors,
)
from tests.support.lane import LANE_FLAGS
from tests.support.server_process import serving, wait_for
from tests.support.wire import post
from tests.support.workshop import Workshop


@attrs.frozen
class Habit:
    """How a client keeps a connection busy.

    Attributes:
        clients: How many do so.
        first: What is sent at once.
        then: What is sent each second.
    """

    clients: int
    first: bytes = b""
    then: bytes = b""


HABITS = {
    "silent": Habit(500),
    "a header byte a second": Habit(500, b"P", b"OST /iris/predict HTTP/1.1\r\nhost: localhost\r\nx: " + b"a" * 50),
    "a body byte a second": Habit(500, post(b"", b"content-length: 1000"), b" " * 60),
    "blank lines": Habit(20, BLANK_LINE, BLANK_LINE * 30),
    "blank lines after a prediction": Habit(20, post(), BLANK_LINE * 30),
    "blank lines after another answer": Habit(20, HEALTH, BLANK_LINE * 30),
}
SIEGE_S = 45


class Besieger:
    """One connection of a siege."""

    def __init__(self, port: int, habit: Habit) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=20)
        self.socket.sendall(habit.first)
        self.socket.settimeout(0)
        self.received = b""
        self.lasted_s: float | None = None
        self._left = habit.then
        self._start_s = time.monotonic()

    def send_next(self) -> None:
        try:
            self.socket.send(self._left[:1])
            self._left = self._left[1:]
        except OSError:
            self.end()

    def read(self) -> None:
        try:
            part = self.socket.recv(65_536)
        except ConnectionResetError:
            part = b""
        self.received += part
        if not part:
            self.end()

    def end(self) -> None:
        self.lasted_s = time.monotonic() - self._start_s


@attrs.frozen(eq=False)
class Siege:
    """What became of a server under siege, and of all that took part."""

    besiegers: dict[str, list[Besieger]]
    client: GoodClient
    peak_mib: float
    growth_mib: float

    def outcomes_of(self, habit: str) -> set[bytes]:
        """Gives what was received, without dates."""
        return {re.sub(rb"date: [^\r]*\r\n", b"", one.received) for one in self.besiegers[habit]}

    def durations_s(self, habit: str) -> tuple[float, float]:
        """Gives how long the connections lasted, the shortest and the longest; some may not have ended."""
        lasted_s = [SIEGE_S if one.lasted_s is None else one.lasted_s for one in self.besiegers[habit]]
        return min(lasted_s), max(lasted_s)


def besiege(besiegers: list[Besieger]) -> None:
    """Goes on until the servers have closed all connections, or have had time enough to."""
    with selectors.DefaultSelector() as selector:
        for one in besiegers:
            selector.register(one.socket, selectors.EVENT_READ, one)
        start_s = next_s = time.monotonic()
        left = besiegers
        while left and time.monotonic() < start_s + SIEGE_S:
            for key, _ in selector.select(0.1):
                key.data.read()
            if time.monotonic() > next_s:
                next_s += 1
                for one in left:
                    one.send_next()
            for one in left:
                if one.lasted_s is not None:
                    selector.unregister(one.socket)
                    one.socket.close()
            left = [one for one in left if one.lasted_s is None]
    for one in left:
        one.socket.close()


@pytest.fixture(scope="module")
def sieges(iris_workshop: Workshop) -> Iterator[dict[str, Siege]]:
    """All habits at once, against a server with the lane and one without, since a body may take half a minute."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 8192), hard))
    with ExitStack() as stack:
        servers = {
            name: stack.enter_context(serving(iris_workshop.models_dir, *flags)) for name, flags in LANE_FLAGS.items()
        }
        descriptors = {name: count_at_rest(server) for name, server in servers.items()}
        memories = {name: Memory.of(server) for name, server in servers.items()}
        clients = {name: GoodClient(server.port) for name, server in servers.items()}
        for client in clients.values():
            client.start()
        besiegers = {
            name: {what: [Besieger(server.port, habit) for _ in range(habit.clients)] for what, habit in HABITS.items()}
            for name, server in servers.items()
        }
        besiege([one for by_habit in besiegers.values() for ones in by_habit.values() for one in ones])
        for client in clients.values():
            client.stop()
        for name, server in servers.items():
            wait_for("end", lambda name=name, server=server: count_descriptors(server) <= descriptors[name])
        yield {
            name: Siege(besiegers[name], clients[name], memories[name].peak_mib(), memories[name].growth_mib())
            for name in LANE_FLAGS
        }
        for server in servers.values():
            check_sound(server)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture(params=LANE_FLAGS)
def siege(sieges: dict[str, Siege], request: pytest.FixtureRequest) -> Siege:
    return sieges[request.param]


def test_silent_clients_are_closed_in_time(siege: Siege) -> None:
    assert siege.outcomes_of("silent") == {b""}
    shortest_s, longest_s = siege.durations_s("silent")
    assert 8 < shortest_s <= longest_s < 20


@pytest.mark.parametrize(
    ("habit", "told", "after_s", "before_s"),
    [
        ("a header byte a second", b"the headers took longer than 10 s", 8, 20),
        ("a body byte a second", b"the body took longer than 30 s", 28, 40),
    ],
)
def test_clients_that_send_a_byte_a_second_are_told_so_and_closed_in_time(
    siege: Siege, habit: str, told: bytes, after_s: int, before_s: int
) -> None:
    (outcome,) = siege.outcomes_of(habit)
    assert outcome.startswith(b"HTTP/1.1 408 ")
    assert outcome.endswith(b'\r\n\r\n{"error":"%s"}' % told)
    shortest_s, longest_s = siege.durations_s(habit)
    assert after_s < shortest_s <= longest_s < before_s


@pytest.mark.parametrize("habit", ["blank lines", "blank lines after a prediction", "blank lines after another answer"])
def test_clients_that_send_a_blank_line_a_second_are_closed_in_time(siege: Siege, habit: str) -> None:
    assert siege.durations_s(habit)[1] < 20


def test_under_siege_a_good_client_is_served(siege: Siege) -> None:
    siege.client.check()


def test_a_siege_leaves_no_memory_behind(siege: Siege) -> None:
    """1,560 connections, at 20 KiB each for a socket, a protocol, a parser and what they have sent: 31 MiB."""
    assert siege.growth_mib <= siege.peak_mib < 40
