"""Flags -> a real server in a child process, for as long as a `with` block.

Whatever ends the block, an error or a signal, the server is stopped: by SIGTERM, on which it drains, else by SIGKILL.
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
"""How long the server may take until all of its workers serve."""
STOP_S = 5.0
"""How long the server may take to drain."""


class Child:
    """A server that was started.

    Attributes:
        port: The port on which it listens, on the loopback address.
        tree: Its processes.
    """

    def __init__(self, process: "subprocess.Popen[bytes]", workers: int) -> None:
        """Start to read the server's log.

        Args:
            process: The server's first process, whose standard error is a pipe.
            workers: How many workers have to serve.
        """
        self.tree = ProcessTree(process.pid)
        self.port = 0
        self._process = process
        self._missing = workers
        self._last_line = "it logged nothing"
        self._errors: list[str] = []
        self._settled = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def wait(self) -> None:
        """Wait until all workers serve.

        Raises:
            NotServingError: If they do not within `START_S`; the text has the reasons that they logged.
        """
        if not self._settled.wait(START_S) or self._missing:
            reasons = dict.fromkeys(self._errors) or [self._last_line]  # of several workers each may give the same
            raise NotServingError(f"the server did not start: {'; '.join(reasons)}")

    def stop(self) -> None:
        """Let the server drain, and kill it if it does not within `STOP_S`."""
        self._process.terminate()
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join(STOP_S)

    def _read(self) -> None:
        """Read the log to its end, so that the server never waits for a reader of its pipe."""
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
    """Start a server on a free port of the loopback address and wait until it serves.

    Args:
        flags: The server's settings; its address is overridden.
        workers: How many processes serve with these settings.

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
    """Defer SIGTERM and SIGINT: a child that has started and has no name yet could not be stopped."""
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
