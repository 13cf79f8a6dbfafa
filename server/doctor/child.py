"""Flags -> a real server in a process of its own, for as long as a `with` block; knows nothing of requests.

Whatever ends the block, an error or a signal, the server is stopped: by SIGTERM, on which it drains, or else killed.
"""

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import IO, Any, cast

import msgspec

from server.doctor.errors import NotServingError
from server.doctor.process_tree import ProcessTree

START_S = 30.0
STOP_S = 5.0


class Child:
    """A server that was started.

    Attributes:
        port: Where it listens, on the loopback address.
        tree: Its processes.
    """

    def __init__(self, process: "subprocess.Popen[bytes]", workers: int) -> None:
        """Begins to read its log.

        Args:
            process: Its first process, whose standard error is a pipe.
            workers: How many have to serve.
        """
        self.tree = ProcessTree(process.pid)
        self.port = 0
        self._process = process
        self._missing = workers
        self._last_line = "it said nothing"
        self._errors: list[str] = []
        self._settled = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def wait(self) -> None:
        """Waits until all of its workers serve.

        Raises:
            NotServingError: If they do not in time.
        """
        if not self._settled.wait(START_S) or self._missing:
            reasons = dict.fromkeys(self._errors) or [self._last_line]  # of several workers each may give the same
            raise NotServingError(f"the server did not start: {'; '.join(reasons)}")

    def stop(self) -> None:
        """Has it drain, and kills it if it does not."""
        self._process.terminate()
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join(STOP_S)

    def _read(self) -> None:
        """Reads its log to the end, so that it never has to wait for somebody to read it."""
        with cast("IO[bytes]", self._process.stderr) as log:
            for line in log:
                self._note(_parse(line))
        self._settled.set()

    def _note(self, line: dict[str, Any]) -> None:
        message = str(line.get("message", ""))
        self._last_line = message
        if line.get("level") == "error" and not self._settled.is_set():
            self._errors.append(message)
        if "url" in line:
            self.port = int(line["url"].rpartition(":")[2])
        self._missing -= message.startswith("Application startup complete")
        if self._missing == 0:
            self._settled.set()


@contextmanager
def serving(flags: Sequence[str], workers: int) -> Iterator[Child]:
    """Starts a server on a free port of the loopback address and waits until it serves.

    Args:
        flags: The server's settings; where it listens is said here.
        workers: How many processes serve by these settings.

    Raises:
        NotServingError: If it does not start.
    """
    child = None
    command = [sys.executable, "-m", "server", *flags, "--host", "127.0.0.1", "--port", "0", "--workers", str(workers)]
    try:
        with _signals_deferred():
            child = Child(subprocess.Popen(command, stderr=subprocess.PIPE), workers)  # noqa: S603  this very server
        child.wait()
        yield child
    finally:
        if child is not None:
            child.stop()


@contextmanager
def _signals_deferred() -> Iterator[None]:
    """Holds back the signals that end this process: between its start and its name a child could not be stopped."""
    held: list[int] = []

    def hold(number: int, _frame: FrameType | None) -> None:
        held.append(number)

    before = [(number, signal.signal(number, hold)) for number in (signal.SIGTERM, signal.SIGINT)]
    try:
        yield
    finally:
        for number, handler in before:
            signal.signal(number, handler)
        for arrived in held:
            signal.raise_signal(arrived)


def _parse(line: bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(line, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {"message": line.decode(errors="replace").strip()}
