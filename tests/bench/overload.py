"""More requests than can be answered -> how many are answered all the same, how late, and how soon the rest is refused.

A model of some 5 ms a row, one at a time, is offered its capacity and 2, 5 and 10 times that. On the lane Iris answers
more than one process can send without waiting, so it is offered twice its capacity without the lane, and on the lane
has thousands of clients at once. After each, a thousand clean requests must all be right.
"""

import os
import re
import tempfile
import threading
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from server.contract.manifest import Manifest
from server.models.repository import MANIFEST_FILE
from tests.bench import load
from tests.bench.models import Published
from tests.bench.openloop import Offered, OpenLoop, percentile
from tests.bench.targets import COROLLA, NO_LANE, Target, start
from tests.support.slow_model import publish_slow_model

TIMES = (1, 2, 5, 10)
OVERLOAD_S = 30
CLEAN_REQUESTS = 1000
CLIENTS = 64
CROWDS = (128, 512, 2000)
SATURATE_S = 5
ONE_ROW_AT_A_TIME = f"{COROLLA} --max-batch-rows 1"


def measure(iris: Published, core: int, load_core: int) -> list[str]:
    """Gives the lines of a table."""
    os.sched_setaffinity(0, {load_core})
    lines = [
        f"{'model':<8}{'offered':>16}{'sent/s':>9}{'goodput':>9}{'of peak':>9}{'p99 ms':>9}{'refused p50 / p99 ms':>22}"
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
            deepest = _Deepest(target)
            loop = OpenLoop(target.port)
            offered = loop.offer(factor * peak, OVERLOAD_S)
            loop.close()
            lines.append(_row(model.name, factor, offered, peak))
            lines.append(f"{'':<8}{_counted(offered)}, queue at most {deepest.stop()} rows")
            wrong = sum(target.ask() != right for _ in range(CLEAN_REQUESTS))
            lines.append(f"{'':<8}{CLEAN_REQUESTS} clean requests afterwards: {wrong} wrong")
    return lines


def _crowd(model: Published, core: int, load_core: int) -> list[str]:
    """Has ever more clients wait for their answers; gives a line for each number of them."""
    with start(COROLLA, model, core) as target:
        crowds = {clients: load.measure(target, clients, SATURATE_S, load_core) for clients in CROWDS}
    peak = max(figures.requests_per_s for figures in crowds.values())
    return [
        f"{model.name:<8}{f'{clients} clients':>16}{'':>9}{figures.requests_per_s:>9.0f}"
        f"{figures.requests_per_s / peak:>9.0%}{figures.p99_ms:>9.1f}"
        for clients, figures in crowds.items()
    ]


def _row(model: str, factor: int, offered: Offered, peak: float) -> str:
    rates = f"{offered.per_s:>9.0f}{offered.goodput_per_s:>9.0f}{offered.goodput_per_s / peak:>9.0%}"
    refused = f"{percentile(offered.refused_ms, 50):.2f} / {percentile(offered.refused_ms, 99):.2f}"
    return f"{model:<8}{f'{factor} x capacity':>16}{rates}{percentile(offered.accepted_ms, 99):>9.1f}{refused:>22}"


def _counted(offered: Offered) -> str:
    statuses = ", ".join(f"{count} x {status}" for status, count in offered.statuses.items())
    return f"{statuses}, {offered.unsent} could not be sent, {offered.lost} not answered"


class _Deepest:
    """Watches how many rows wait, from a thread of its own."""

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
