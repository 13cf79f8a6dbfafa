"""Closed-loop load, by wrk or else by locust: clients that wait for each answer -> throughput, latency and CPU."""

import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import attrs

from tests.bench.targets import BODY, Target, pinned

SCRIPT = f"""
wrk.method = "POST"
wrk.body = [==[{BODY.decode()}]==]
wrk.headers["Content-Type"] = "application/json"
"""
"""wrk's script: the same request again and again."""
ID = "0" * 16
ID_SCRIPT = f"""{SCRIPT}
wrk.headers["X-Request-Id"] = "{ID}"
local number, step = 0, {{step}}
local before, after
function init()
    local whole = wrk.format()
    local first, last = whole:find("{ID}", 1, true)
    before, after = whole:sub(1, first - 1), whole:sub(last + 1)
end
function request()
    number = number + step
    return before .. string.format("%016d", number) .. after
end
"""
CONSTANT_ID, CHANGING_ID = (ID_SCRIPT.replace("{step}", str(step)) for step in (0, 1))
"""wrk's scripts for an `X-Request-Id` that stays or changes: the same work for wrk, so that their ratio is fair."""
UNITS_MS = {"us": 0.001, "ms": 1.0, "s": 1000.0}


@attrs.frozen
class Figures:
    """The figures of one round.

    Attributes:
        requests_per_s: Answers a second.
        p50_ms: The median latency.
        p99_ms: The 99th percentile of the latency.
        cpu_us: CPU time of the server's process tree for each request.
    """

    requests_per_s: float
    p50_ms: float
    p99_ms: float
    cpu_us: float


def has_wrk() -> bool:
    """Return True if wrk is installed."""
    return shutil.which("wrk") is not None


def tool() -> str:
    """Return the name of what sends the requests."""
    return "wrk" if has_wrk() else "locust's FastHttpUser"


def measure(target: Target, connections: int, seconds: int, core: int, script: str = SCRIPT) -> Figures:
    """Send requests over a number of connections, each of which waits for its answer.

    Args:
        target: The server.
        connections: How many connections there are.
        seconds: For how long requests are sent.
        core: The core that sends them.
        script: wrk's script; locust has its own.

    Raises:
        RuntimeError: If an answer was not 200, or none came.
    """
    before_s = target.cpu_s()
    if has_wrk():
        requests, rate, p50_ms, p99_ms = _wrk(target, connections, seconds, core, script)
    else:
        requests, rate, p50_ms, p99_ms = _locust(target, connections, seconds, core)
    if not requests:
        raise RuntimeError(f"{target.name} answered nothing in {seconds} s")
    return Figures(rate, p50_ms, p99_ms, (target.cpu_s() - before_s) / requests * 1e6)


def _wrk(target: Target, connections: int, seconds: int, core: int, script: str) -> tuple[int, float, float, float]:
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as file:
        file.write(script)
        file.flush()
        flags = ["--threads", "1", "--connections", str(connections), "--duration", f"{seconds}s", "--latency"]
        text = _run(["wrk", *flags, "--script", file.name, f"http://127.0.0.1:{target.port}/iris/predict"], core)
    if "Non-2xx" in text:
        raise RuntimeError(f"{target.name} did not always answer 200:\n{text}")
    found = re.search(r"(\d+) requests in", text), re.search(r"Requests/sec:\s+([\d.]+)", text)
    requests, rate = (float(match[1]) if match else 0.0 for match in found)
    return int(requests), rate, _latency_ms(text, "50%"), _latency_ms(text, "99%")


def _latency_ms(text: str, part: str) -> float:
    match = re.search(rf"{part}\s+([\d.]+)(us|ms|s)", text)
    return float(match[1]) * UNITS_MS[match[2]] if match else float("nan")


def _locust(target: Target, connections: int, seconds: int, core: int) -> tuple[int, float, float, float]:
    locustfile = Path(__file__).parents[1] / "load" / "locustfile.py"
    flags = ["--headless", "--only-summary", "--loglevel", "WARNING", "--exit-code-on-error", "0"]
    users = ["--users", str(connections), "--spawn-rate", str(connections), "--run-time", f"{seconds}s"]
    host = ["--host", f"http://127.0.0.1:{target.port}"]
    text = _run([sys.executable, "-m", "locust", "--locustfile", str(locustfile), *flags, *users, *host], core)
    figures = json.loads(next(line for line in text.splitlines() if line.startswith('{"requests"')))
    if figures["failures"]:
        raise RuntimeError(f"{target.name}: {figures['first_failure']}")
    return figures["requests"], figures["requests_per_s"], figures["p50_ms"], figures["p99_ms"]


def _run(command: list[str], core: int) -> str:
    return subprocess.run(pinned(command, core), check=True, capture_output=True, text=True).stdout
