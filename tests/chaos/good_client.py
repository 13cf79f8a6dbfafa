"""A client that must be served whatever others do, and what is seen of a server meanwhile."""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs
import psutil

from tests.support.server_process import ServerProcess, wait_for
from tests.support.wire import BODY, Wire, post, wire_to

BODY_LIMIT = 1_048_575  # not the default, so that the flag is seen to count
MEBIBYTE = 2**20
FEATURES = ("SepalLengthCm", "SepalWidthCm", "PetalLengthCm", "PetalWidthCm")
BLANK_LINE = b"\r\n"
HEALTH = b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n"
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


def count_at_rest(server: ServerProcess) -> int:
    """Counts the descriptors of a server that has begun to serve: before, it may not have opened all of its own."""
    with wire_to(server) as wire:
        wire.send(post(BODY, b"connection: close"))
        assert wire.response()[0] == 200
        assert wire.is_closed()
    process = psutil.Process(server.process.pid)
    wait_for("rest", lambda: all(one.status == psutil.CONN_LISTEN for one in process.net_connections("tcp")))
    return count_descriptors(server)


def check_sound(server: ServerProcess) -> None:
    """Fails unless a server answers, has had no error, and stops as it should."""
    with wire_to(server) as wire:
        wire.send(post())
        assert wire.response()[0] == 200
    assert [line for line in server.log() if line["level"] not in {"info", "warning"}] == []
    assert server.stop() == 0


def in_chunks(body: bytes, size: int = 4096) -> bytes:
    parts = [body[start : start + size] for start in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
