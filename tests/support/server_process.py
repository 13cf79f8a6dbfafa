"""Runs a real server in a process of its own, on a free port, for the length of a `with` block; keeps its log."""

import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs

ROOT = Path(__file__).parents[2]
START_S = 60
STOP_S = 30
SERVING = "server.__main__, server.app, server.api.lane"
"""The modules that a serving process loads, with all that they load; some are imported only when it begins to serve."""


@attrs.frozen(eq=False)
class ServerProcess:
    """A server that listens at `url`; `container` is the name of its container, if it runs in one."""

    process: subprocess.Popen[bytes]
    log_file: Path
    url: str
    container: str = ""

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def log(self) -> list[dict[str, Any]]:
        return read_log(self.log_file)

    def metric(self, name: str) -> float:
        """Return the sum of a metric over all its labels, from `/metrics`."""
        with urllib.request.urlopen(f"{self.url}/metrics") as response:  # noqa: S310  faster than a client of httpx
            text = response.read().decode()
        return sum(float(value) for value in re.findall(rf"^{name}(?:{{[^}}]*}})? (\S+)$", text, re.MULTILINE))

    def stop(self) -> int:
        """Send SIGTERM, and return the exit code."""
        self.process.terminate()
        return self.process.wait(STOP_S)


@contextmanager
def serving(
    models_dir: Path, *flags: str, python: str = sys.executable, environment: Mapping[str, str] | None = None
) -> Iterator[ServerProcess]:
    """Start a server, wait until it listens, and kill it at the end if the block has not stopped it."""
    with tempfile.TemporaryDirectory() as folder:
        log_file = Path(folder) / "server.log"
        process = start(
            log_file, "--models-dir", str(models_dir), "--port", "0", *flags, python=python, **(environment or {})
        )
        try:
            yield ServerProcess(process, log_file, _wait_for_url(process, log_file))
        finally:
            process.kill()
            process.wait()


def start(log_file: Path, *flags: str, python: str = sys.executable, **environment: str) -> subprocess.Popen[bytes]:
    """Start `python -m server`, with one worker unless the flags have another number, and do not wait."""
    with log_file.open("wb") as log:
        return subprocess.Popen(
            [python, "-m", "server", "--workers", "1", *flags],
            cwd=ROOT,
            env={**os.environ, **environment},
            stdout=log,
            stderr=subprocess.STDOUT,
        )


def read_log(log_file: Path) -> list[dict[str, Any]]:
    """Read the complete lines of the log; each is JSON."""
    return [json.loads(line) for line in log_file.read_text().splitlines(keepends=True) if line.endswith("\n")]


def wait_for(what: str, found: "Any", timeout_s: float = START_S) -> Any:
    """Poll until ``found()`` is truthy, and return that.

    Raises:
        TimeoutError: If it is not within `timeout_s`; the text names `what`.
    """
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        if result := found():
            return result
        time.sleep(0.01)
    raise TimeoutError(f"no {what} within {timeout_s} s")


def free_port() -> int:
    """Return a port that nobody listens on at this moment."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _wait_for_url(process: subprocess.Popen[bytes], log_file: Path) -> str:
    def find_url() -> str | None:
        text = log_file.read_text()
        if process.poll() is not None:
            raise RuntimeError(f"the server ended with {process.returncode} before it listened:\n{text}")
        match = re.search(r'"url": "(http://[0-9.]+:\d+)"', text)
        return match[1] if match and "Application startup complete" in text else None

    return str(wait_for("listening server", find_url))


def workers_of(server: ServerProcess) -> set[int]:
    """Return the process ids of the workers that have begun to serve."""
    matches = [re.search(r"Started server process \[(\d+)\]", line["message"]) for line in server.log()]
    return {int(match[1]) for match in matches if match}
