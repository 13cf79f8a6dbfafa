"""Whatever a client does to its own connection, it ends in time, others are served, and memory stays bounded."""

import gzip
import re
import resource
import select
import selectors
import signal
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import attrs
import psutil
import pytest

from tests.conftest import Workshop
from tests.e2e.test_wire import BODY, FORGED, Wire, post, wire_to
from tests.server_process import ServerProcess, serving, wait_for

FLAGS = {"lane": (), "no-lane": ("--no-lane",)}
BODY_LIMIT = 1_048_575  # not the default, so that the flag is seen to count
MEBIBYTE = 2**20
FEATURES = ("SepalLengthCm", "SepalWidthCm", "PetalLengthCm", "PetalWidthCm")
BLANK_LINE = b"\r\n"
HEALTH = b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n"
FLOOD_BYTES = 64 * MEBIBYTE
CHUNKED = b"transfer-encoding: chunked"
TINY = b"GET / HTTP/1.1\r\n\r\n"


def row(*values: float) -> bytes:
    return b"{%s}" % b",".join(
        b'"%s":%g' % (name.encode(), value) for name, value in zip(FEATURES, values, strict=True)
    )


def answer(label: str) -> bytes:
    return b'{"output":"Iris-%s","model_name":"log_reg_1"}' % label.encode()


FLOWERS = {
    row(5.1, 3.5, 1.4, 0.2): answer("setosa"),
    row(5.7, 2.8, 4.1, 1.3): answer("versicolor"),
    row(6.7, 3.3, 5.7, 2.5): answer("virginica"),
}


FLOWER = next(iter(FLOWERS))
ONE_ROW = {b"/iris/predict": FLOWER, b"/iris/predict/rows": b"[%s]" % FLOWER}


class GoodClient(threading.Thread):
    """Asks over kept connections, a request every few milliseconds, until it is stopped."""

    PAUSE_S = 0.005
    ENOUGH = 300

    def __init__(self, port: int) -> None:
        super().__init__()
        self.asked = 0
        self.failures: list[str] = []
        self._port = port
        self._stopped = threading.Event()

    def run(self) -> None:
        wires: dict[bytes, Wire] = {}
        while not self._stopped.is_set() and len(self.failures) < 5:
            body = list(FLOWERS)[self.asked % len(FLOWERS)]
            self.asked += 1
            try:
                if body not in wires:
                    wires[body] = Wire(self._port)
                wire = wires[body]
                wire.send(post(body))
                status, _, answered = wire.response()
                if (status, answered) != (200, FLOWERS[body]):
                    self.failures.append(f"{status} {answered!r}")
            except (OSError, AssertionError) as error:
                self.failures.append(repr(error))
                if body in wires:
                    wires.pop(body).socket.close()
            self._stopped.wait(self.PAUSE_S)
        for wire in wires.values():
            wire.socket.close()

    def rounds(self, at_least: int) -> Iterator[int]:
        """Counts so many rounds of an abuse, and more until there have been enough requests beside them."""
        number = 0
        while number < at_least or (self.asked < self.ENOUGH and self.is_alive()):
            yield number
            number += 1

    def stop(self) -> None:
        self._stopped.set()
        self.join()

    def check(self) -> None:
        """Fails unless it was served."""
        assert len(self.failures) <= self.asked / 1000, self.failures
        assert self.asked >= self.ENOUGH


@contextmanager
def good_client_of(server: ServerProcess) -> Iterator[GoodClient]:
    """Has a good client beside the block, which must have been served."""
    client = GoodClient(server.port)
    client.start()
    try:
        yield client
    finally:
        client.stop()
    client.check()


@attrs.frozen(eq=False)
class Memory:
    """A server's resident memory from a moment on."""

    pid: int
    before_bytes: int

    @classmethod
    def of(cls, server: ServerProcess) -> "Memory":
        pid = server.process.pid
        Path(f"/proc/{pid}/clear_refs").write_text("5")  # its peak begins anew
        return cls(pid, psutil.Process(pid).memory_info().rss)

    def growth_mib(self) -> float:
        return (psutil.Process(self.pid).memory_info().rss - self.before_bytes) / MEBIBYTE

    def peak_mib(self) -> float:
        peak = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{self.pid}/status").read_text())
        assert peak
        return (int(peak[1]) * 1024 - self.before_bytes) / MEBIBYTE


def count_descriptors(server: ServerProcess) -> int:
    return int(psutil.Process(server.process.pid).num_fds())


def check_sound(server: ServerProcess) -> None:
    """Fails unless a server answers, has had no error, and stops as it should."""
    with wire_to(server) as wire:
        wire.send(post())
        assert wire.response()[0] == 200
    assert [line for line in server.log() if line["level"] not in {"info", "warning"}] == []
    assert server.stop() == 0


@pytest.fixture(params=FLAGS)
def server(iris_workshop: Workshop, request: pytest.FixtureRequest) -> Iterator[ServerProcess]:
    """One of its own for each test: what one has made of the memory would hide what the next does."""
    flags = FLAGS[request.param]
    with serving(iris_workshop.models_dir, "--max-body-bytes", str(BODY_LIMIT), *flags) as running:
        descriptors = count_descriptors(running)
        yield running
        wait_for("end of all connections", lambda: count_descriptors(running) <= descriptors)
        check_sound(running)


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
        servers = {name: stack.enter_context(serving(iris_workshop.models_dir, *FLAGS[name])) for name in FLAGS}
        descriptors = {name: count_descriptors(server) for name, server in servers.items()}
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
            for name in FLAGS
        }
        for server in servers.values():
            check_sound(server)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture(params=FLAGS)
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


@contextmanager
def stopped(server: ServerProcess) -> Iterator[None]:
    """Lets a server do nothing for as long as the block."""
    server.process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        server.process.send_signal(signal.SIGCONT)


def in_chunks(body: bytes, size: int = 4096) -> bytes:
    parts = [body[start : start + size] for start in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


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


ROWS = b"[%s]" % b",".join(FLOWERS)
ASKED = (
    *(post(flower) for flower in FLOWERS),
    *(post(BODY.replace(name.encode(), b"no feature")) for name in FEATURES),
    post(b"{"),
    post(target=b"/nope"),
    post(ROWS, target=b"/iris/predict/rows"),
    post(FLOWER, target=b"/iris/predict?probabilities=true"),
    HEALTH,
    post(gzip.compress(ROWS, mtime=0), b"content-encoding: gzip", target=b"/iris/predict/rows"),
    post(gzip.compress(ROWS, mtime=0), b"content-type: application/gzip", target=b"/iris/predict/rows"),
)
PROBABILITY = re.compile(rb"(?<=:)[0-9]\.[0-9]+(e-[0-9]+)?")
STATUSES = [200] * 3 + [422] * 4 + [400, 404, 200, 200, 200, 415, 415]


def ask(wire: Wire, *requests: bytes) -> list[tuple[int, bytes]]:
    """Sends all requests at once; gives the status and body of each answer, probabilities to four places.

    In float32 what is behind these moves with the batch, by less than a millionth.
    """
    wire.send(*requests)
    return [(status, PROBABILITY.sub(_round, body)) for status, _, body in (wire.response() for _ in requests)]


def _round(number: re.Match[bytes]) -> bytes:
    return b"%.4f" % float(number[0])


def test_a_storm_of_pipelines_is_answered_in_order(server: ServerProcess) -> None:
    alone = []
    for request in ASKED:
        with wire_to(server) as wire:
            alone += ask(wire, request)
    assert [status for status, _ in alone] == STATUSES
    assert len(set(alone)) == len(ASKED)

    def storm(seed: int) -> None:
        order = [(seed + number * (number + seed)) % len(ASKED) for number in range(100)]
        flower, label = list(FLOWERS.items())[seed % len(FLOWERS)]
        with wire_to(server) as wire:
            assert ask(wire, *(ASKED[number] for number in order)) == [alone[number] for number in order]
            wire.send(post(b"", b"expect: 100-continue", b"content-length: %d" % len(flower)))
            assert wire.response(has_body=False)[0] == 100
            assert ask(wire, flower) == [(200, label)]

    with good_client_of(server) as client, ThreadPoolExecutor(20) as threads:
        for _ in client.rounds(3):
            list(threads.map(storm, range(20)))


def test_a_head_that_is_cut_behind_many_requests_is_not_taken_for_an_endless_one(server: ServerProcess) -> None:
    many = 200
    with good_client_of(server) as client:
        for _ in client.rounds(20):
            with wire_to(server) as wire:
                answers = ask(wire, *[post()] * (many - 1), post() + post()[:30])
                assert answers + ask(wire, post()[30:]) == [(200, answer("virginica"))] * (many + 1)
