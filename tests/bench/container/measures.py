"""Measurements of a sealed container: each function measures one thing and returns the lines of a table."""

import collections
import http.client
import json
import re
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import attrs

from tests.bench.container.cgroup import Cgroup, cgroup_of
from tests.support.container_process import podman, serving_in_container
from tests.support.server_process import ServerProcess
from tests.support.workshop import IRIS_ROW

BODY = json.dumps(dict(IRIS_ROW)).encode()
ANSWER = b'{"output":"Iris-virginica","model_name":"log_reg_1"}'
MAX_BODY_BYTES = 1_048_576
CONNECTIONS = 128
BODY_CONNECTIONS = 8
CHECKS = 10
CHECK_EVERY_S = 30
"""The interval of the image's HEALTHCHECK."""
WRK_SCRIPT = """
local threads = {}
function setup(thread) table.insert(threads, thread) end
function init() wrong = 0 end
wrk.method = "POST"
wrk.body = [==[{body}]==]
wrk.headers["Content-Type"] = "application/json"
function response(status, headers, body)
    if status ~= 200 or body ~= [==[{answer}]==] then wrong = wrong + 1 end
end
function done()
    local sum = 0
    for _, thread in ipairs(threads) do sum = sum + thread:get("wrong") end
    print("wrong " .. sum)
end
"""


@attrs.frozen
class Bench:
    """The image that is measured.

    Attributes:
        image: The image's name.
        base: The name of its base image.
        models_dir: The models that it serves.
    """

    image: str
    base: str
    models_dir: Path

    @contextmanager
    def serving(self, *limits: str) -> Iterator[ServerProcess]:
        """Start a sealed container; of two values of a limit the later counts."""
        with serving_in_container(self.image, self.models_dir, limits=limits) as server:
            yield server


def measure_start(bench: Bench, times: int) -> list[str]:
    """Measure the time from `podman run` to the first right answer."""
    taken_s = []
    for _ in range(times):
        start_s = time.perf_counter()
        with bench.serving() as server:
            if not _answers_right(server):
                raise RuntimeError("the first answer is not right")
            taken_s.append(time.perf_counter() - start_s)
    shown = " ".join(f"{each:.2f}" for each in sorted(taken_s))
    return [f"from podman run to the first right answer: {statistics.median(taken_s):.2f} s (of {shown})"]


def measure_idle(bench: Bench, seconds: int) -> list[str]:
    """Measure CPU and memory of an idle server."""
    with bench.serving() as server:
        _answers_right(server)
        cgroup = cgroup_of(server.container)
        before_s = cgroup.cpu_s()
        time.sleep(seconds)
        idle = (cgroup.cpu_s() - before_s) / seconds
        return [f"idle for {seconds} s: {idle:.2%} of one CPU, peak memory {cgroup.peak_bytes() / 1e6:.0f} MB"]


def measure_load(bench: Bench, seconds: int) -> list[str]:
    """Measure throughput over many connections, with every answer compared to the right one."""
    with bench.serving() as server, tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(WRK_SCRIPT.replace("{body}", BODY.decode()).replace("{answer}", ANSWER.decode()))
        script.flush()
        flags = ["--threads", "1", "--connections", str(CONNECTIONS), "--duration", f"{seconds}s", "--latency"]
        command = ["wrk", *flags, "--script", script.name, f"{server.url}/iris/predict"]
        text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        found = (
            _find(pattern, text)
            for pattern in (r"(\d+) requests in", r"Requests/sec:\s+(\S+)", r"99%\s+(\S+)", r"wrong (\d+)")
        )
        requests, rate, p99, wrong = found
        errors = _find(r"Socket errors: (.*)", text) or "none"
        about = f"{CONNECTIONS} connections for {seconds} s: {requests} requests, {rate}/s, p99 {p99}"
        return [f"{about}, {wrong} wrong, socket errors: {errors}", f"  {_describe_state(server)}"]


def measure_bodies(bench: Bench, seconds: int) -> list[str]:
    """Send bodies of the largest size, valid and broken ones, over several connections at a time."""
    row = BODY + b","
    sound = b"[" + (row * (MAX_BODY_BYTES // len(row)))[:-1] + b"]"
    broken = (row * (MAX_BODY_BYTES // len(row) + 1))[:MAX_BODY_BYTES]
    with bench.serving() as server:
        statuses: collections.Counter[str] = collections.Counter()
        bodies = {"sound": sound, "broken": b"[" + broken[1:], "deep": b"[" * MAX_BODY_BYTES}
        end_s = time.monotonic() + seconds
        threads = [
            threading.Thread(target=_post_until, args=[server.port, bodies, number, end_s, statuses])
            for number in range(BODY_CONNECTIONS)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        shown = ", ".join(f"{count} x {status}" for status, count in sorted(statuses.items()))
        right = "right" if _answers_right(server) else "WRONG"
        return [
            f"bodies of {MAX_BODY_BYTES} bytes over {BODY_CONNECTIONS} connections for {seconds} s: {shown}",
            f"  then an answer is {right}; {_describe_state(server)}",
        ]


def measure_little_memory(bench: Bench) -> list[str]:
    """Start a server in 96 MB and request a prediction."""
    with bench.serving("--memory=96m", "--memory-swap=96m") as server:
        right = _answers_right(server)
        return [f"in 96 MB: it starts, an answer is {'right' if right else 'WRONG'}; {_describe_state(server)}"]


def measure_threads(bench: Bench) -> list[str]:
    """Count the threads of a session and of the whole process, by CPU quota."""
    lines = []
    for cpus in ("0.5", "1", "2"):
        with bench.serving(f"--cpus={cpus}") as server:
            _answers_right(server)
            # podman writes lines of its own among the server's JSON.
            sized = json.loads(_find(r'^(\{.*"message": "sized".*\})$', server.log_file.read_text()))
            threads = _find(r"^Threads:\s+(\d+)$", podman("exec", server.container, "cat", "/proc/1/status"))
            lines.append(
                f"--cpus {cpus}: {sized['session_threads']} threads for a session, {threads} in the process; "
                f"{sized['why']['session_threads']}"
            )
    return lines


def measure_size(bench: Bench) -> list[str]:
    """Measure the image's layers beyond its base."""
    size, base = (int(podman("image", "inspect", "--format", "{{.Size}}", name)) for name in (bench.image, bench.base))
    lines = [f"image: {size / 1e6:.0f} MB, {(size - base) / 1e6:.0f} MB beyond its base"]
    for line in podman("history", "--format", "{{.Size}}\t{{.CreatedBy}}", bench.image).splitlines():
        taken, _, made_by = line.partition("\t")
        if not re.match(r"0 ?B$", taken):
            lines.append(f"  {taken:>10}  {made_by[:80]}")
    return lines


def measure_health_check(bench: Bench) -> list[str]:
    """Measure the CPU time of the image's health check, by its cgroup."""
    with bench.serving() as server:
        _answers_right(server)
        cgroup = cgroup_of(server.container)
        start_s, before_s = time.perf_counter(), cgroup.cpu_s()
        for _ in range(CHECKS):
            podman("healthcheck", "run", server.container)
        cpu_s, taken_s = (cgroup.cpu_s() - before_s) / CHECKS, (time.perf_counter() - start_s) / CHECKS
        cost = f"{cpu_s * 1e3:.1f} ms of the container's CPU, {taken_s * 1e3:.0f} ms in all, podman's part included"
        return [f"a health check: {cost}; every {CHECK_EVERY_S} s that is {cpu_s / CHECK_EVERY_S:.3%} of one CPU"]


def _describe_state(server: ServerProcess) -> str:
    cgroup: Cgroup = cgroup_of(server.container)
    state = podman("inspect", "--format", "{{.State.Status}}, OOMKilled {{.State.OOMKilled}}", server.container)
    peak_mb = cgroup.peak_bytes() / 1e6
    return f"{state}, {cgroup.oom_kills()} OOM kills, peak memory {peak_mb:.0f} MB (page cache included)"


def _answers_right(server: ServerProcess) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    connection.request("POST", "/iris/predict", BODY, {"Content-Type": "application/json"})
    answer = connection.getresponse().read()
    connection.close()
    return answer == ANSWER


def _post_until(
    port: int, bodies: dict[str, bytes], number: int, end_s: float, statuses: "collections.Counter[str]"
) -> None:
    """Send one body after the other until the time is over; the interpreter's lock guards the counter."""
    kinds: Sequence[str] = list(bodies)
    while time.monotonic() < end_s:
        kind = kinds[number % len(kinds)]
        statuses[f"{kind} {_post(port, bodies[kind])}"] += 1
        number += 1


def _post(port: int, body: bytes) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("POST", "/iris/predict/rows", body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        response.read()
        return str(response.status)
    except (OSError, http.client.HTTPException) as error:
        return type(error).__name__
    finally:
        connection.close()


def _find(pattern: str, text: str) -> str:
    match = re.search(pattern, text, re.MULTILINE)
    return match[1] if match else ""


MEASURES: dict[str, Callable[..., list[str]]] = {
    "start": measure_start,
    "idle": measure_idle,
    "load": measure_load,
    "bodies": measure_bodies,
    "memory": measure_little_memory,
    "threads": measure_threads,
    "size": measure_size,
    "health": measure_health_check,
}
