"""A target and a number of connections -> how many requests it answers, and how soon: by wrk, or else by locust."""

import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import attrs

from tests.bench.targets import BODY, Target, pinned

SCRIPT = """
wrk.method = "POST"
wrk.body = [==[{body}]==]
wrk.headers["Content-Type"] = "application/json"
"""
UNITS_MS = {"us": 0.001, "ms": 1.0, "s": 1000.0}


@attrs.frozen
class Figures:
    """What one round gave.

    Attributes:
        requests_per_s: Answers a second.
        p50_ms: The median latency.
        p99_ms: The 99th percentile of it.
        cpu_us: CPU time of the server's tree for each request.
    """

    requests_per_s: float
    p50_ms: float
    p99_ms: float
    cpu_us: float


def tool() -> str:
    """Names what sends the requests."""
    return "wrk" if shutil.which("wrk") else "locust's FastHttpUser"


def measure(target: Target, connections: int, seconds: int, core: int) -> Figures:
    """Asks again and again over a number of connections.

    Raises:
        RuntimeError: If an answer was not 200, or none came.
    """
    before_s = target.cpu_s()
    requests, rate, p50_ms, p99_ms = (_wrk if shutil.which("wrk") else _locust)(target, connections, seconds, core)
    if not requests:
        raise RuntimeError(f"{target.name} answered nothing in {seconds} s")
    return Figures(rate, p50_ms, p99_ms, (target.cpu_s() - before_s) / requests * 1e6)


def _wrk(target: Target, connections: int, seconds: int, core: int) -> tuple[int, float, float, float]:
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(SCRIPT.format(body=BODY.decode()))
        script.flush()
        flags = ["--threads", "1", "--connections", str(connections), "--duration", f"{seconds}s", "--latency"]
        text = _run(["wrk", *flags, "--script", script.name, f"http://127.0.0.1:{target.port}/iris/predict"], core)
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
