"""Overload: goodput, latency of what is answered, and latency of what is refused, at multiples of a server's capacity.

A model of some 5 ms a row, one row at a time, is offered 1, 2, 5 and 10 times its capacity. On the lane Iris answers
more requests than one process can send. It is thus offered twice its capacity without the lane, and on the lane it has
up to 2,000 clients that wait. After each load, a thousand requests must all be answered right.

Latency counts from the moment when a request was due. Where the load's own core is full, its lag counts too.
"""

import os
import re
import statistics
import tempfile
import threading
import urllib.request
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from server.contract.manifest import Manifest
from server.doctor.openloop import OpenLoop, Outcome, Probe
from server.models.repository import MANIFEST_FILE
from tests.bench import load
from tests.bench.models import Published
from tests.bench.targets import BODY, COROLLA, NO_LANE, Target, start
from tests.support.slow_model import publish_slow_model

TIMES = (1, 2, 5, 10)
OVERLOAD_S = 30
CONNECTIONS = 512
"""Requests that can be in flight: more than a queue holds that keeps the deadline."""
SETTLE_S = 3.0
OVERLOADED = "503"
CLEAN_REQUESTS = 1000
CLIENTS = 64
CROWDS = (128, 512, 2000)
"""Numbers of clients that wait for their answers."""
SATURATE_S = 5
ONE_ROW_AT_A_TIME = f"{COROLLA} --max-batch-rows 1"
REQUEST = (
    b"POST /iris/predict HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s"
    % (len(BODY), BODY)
)


def measure(iris: Published, core: int, load_core: int) -> list[str]:
    """Return the lines of a table."""
    os.sched_setaffinity(0, {load_core})
    lines = [
        f"{'model':<8}{'offered':>16}{'done/s':>9}{'goodput':>9}{'of peak':>9}{'p99 ms':>9}{'refused p50 / p99 ms':>22}"
    ]
    with tempfile.TemporaryDirectory() as folder:
        slow = _slow(iris, Path(folder))
        lines += _measure_model(slow, ONE_ROW_AT_A_TIME, TIMES, core, load_core)
    lines += _measure_model(iris, NO_LANE, TIMES[:2], core, load_core)
    lines += _crowd(iris, core, load_core)
    return lines


def _measure_model(model: Published, server: str, times: Sequence[int], core: int, load_core: int) -> list[str]:
    lines = []
    with start(server, model, core) as target:
        right = target.ask()
        saturated = load.measure(target, CLIENTS, SATURATE_S, load_core)
        peak = saturated.requests_per_s
        lines.append(f"{model.name:<8}{f'{CLIENTS} clients':>16}{'':>9}{peak:>9.0f}{1:>9.0%}{saturated.p99_ms:>9.1f}")
        for factor in times:
            queue = _QueueWatch(target)
            with closing(OpenLoop(target.port, [Probe(REQUEST, right)], CONNECTIONS, SETTLE_S)) as loop:
                outcome = loop.offer(factor * peak, OVERLOAD_S)
            lines.append(_row(model.name, factor, outcome, peak))
            lines.append(f"{'':<8}{_count(outcome)}, queue at most {queue.stop()} rows")
            wrong = sum(target.ask() != right for _ in range(CLEAN_REQUESTS))
            lines.append(f"{'':<8}{CLEAN_REQUESTS} clean requests afterwards: {wrong} wrong")
    return lines


def _crowd(model: Published, core: int, load_core: int) -> list[str]:
    """Measure ever more clients that wait for their answers; return a line for each number of them."""
    with start(COROLLA, model, core) as target:
        crowds = {clients: load.measure(target, clients, SATURATE_S, load_core) for clients in CROWDS}
    peak = max(figures.requests_per_s for figures in crowds.values())
    return [
        f"{model.name:<8}{f'{clients} clients':>16}{'':>9}{figures.requests_per_s:>9.0f}"
        f"{figures.requests_per_s / peak:>9.0%}{figures.p99_ms:>9.1f}"
        for clients, figures in crowds.items()
    ]


def _row(model: str, factor: int, outcome: Outcome, peak: float) -> str:
    answered_ms, refused_ms = outcome.latencies_ms, outcome.refused_ms.get(OVERLOADED, [])
    done_per_s = (outcome.settled - outcome.lost) / outcome.elapsed_s
    goodput_per_s = len(answered_ms) / outcome.elapsed_s
    rates = f"{done_per_s:>9.0f}{goodput_per_s:>9.0f}{goodput_per_s / peak:>9.0%}"
    refused = f"{_percentile(refused_ms, 50):.2f} / {_percentile(refused_ms, 99):.2f}"
    return f"{model:<8}{f'{factor} x capacity':>16}{rates}{_percentile(answered_ms, 99):>9.1f}{refused:>22}"


def _count(outcome: Outcome) -> str:
    counts = {"200": len(outcome.latencies_ms), **{status: len(ms) for status, ms in outcome.refused_ms.items()}}
    statuses = ", ".join(f"{count} x {status}" for status, count in sorted(counts.items()))
    return f"{statuses}, {outcome.wrong} wrong, {outcome.lost} not answered"


def _percentile(numbers: list[float], part: int) -> float:
    """Return a percentile, or NaN of fewer than two numbers."""
    return statistics.quantiles(numbers, n=100)[part - 1] if len(numbers) > 1 else float("nan")


class _QueueWatch:
    """Polls how many rows wait, from a thread of its own, and keeps the most."""

    def __init__(self, target: Target) -> None:
        self._url = f"http://127.0.0.1:{target.port}/metrics"
        self._rows = 0
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def stop(self) -> int:
        self._stopped.set()
        self._thread.join()
        return self._rows

    def _watch(self) -> None:
        while not self._stopped.wait(0.5):
            with urllib.request.urlopen(self._url) as response:  # noqa: S310  loopback
                found = re.search(rb"^corolla_queue_rows\{.*\} ([\d.]+)$", response.read(), re.MULTILINE)
            self._rows = max(self._rows, int(float(found[1])) if found else 0)


def _slow(iris: Published, folder: Path) -> Published:
    manifest = Manifest.from_json((iris.models_dir / "iris" / "1" / MANIFEST_FILE).read_bytes())
    publish_slow_model(folder, manifest, name="iris")
    return Published("slow", folder, iris.estimator_file, "iris_1")
