"""Latency benchmark by locust: a server on one core, locust on another, three stages with coalescing and without.

    one user -> 10 users at 3 users/s -> as many as saturate it

Each stage leaves locust's HTML report and CSV files in tests/load/reports; index.html there has the table of all.
The exit code is 1 if an answer was wrong or none came.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import urllib.request
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import attrs
import psutil

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT))

from tests.support.server_process import ServerProcess, serving  # noqa: E402  a script finds its own project first

REPORTS = HERE / "reports"
HEADER = (
    *("stage", "coalescing", "users", "requests", "failures", "requests/s", "p50 ms", "p95 ms", "p99 ms"),
    *("server CPU", "rows/batch"),
)
MODES = ("auto", "off")


@attrs.frozen
class Stage:
    """One stage of the benchmark: how many users, and how many of them start each second."""

    name: str
    users: int
    users_per_s: int


STAGES = (Stage("one", 1, 1), Stage("ten", 10, 3), Stage("saturate", 64, 64))


def main(arguments: Sequence[str]) -> int:
    """Run every stage with coalescing and without, and print and write the table."""
    parser = argparse.ArgumentParser(description="Measure the server's latency with locust.")
    parser.add_argument(
        "--models-dir", type=Path, default=ROOT / "models", help="the model repository (default: models)"
    )
    parser.add_argument("--seconds", type=int, default=15, help="length of each stage (default: 15)")
    options = parser.parse_args(arguments)
    REPORTS.mkdir(exist_ok=True)
    cores = sorted(os.sched_getaffinity(0))
    rows: list[tuple[str, ...]] = []
    failures = 0
    with ExitStack() as started:
        servers = {mode: started.enter_context(serving(options.models_dir, "--coalescing", mode)) for mode in MODES}
        for server in servers.values():
            psutil.Process(server.process.pid).cpu_affinity([cores[0]])
        print_row(HEADER)
        for stage in STAGES:
            for mode, server in servers.items():
                row, failed = measure(stage, mode, server, options.seconds, cores[-1])
                print_row(row)
                rows.append(row)
                failures += failed
    write_page(rows, f"server on core {cores[0]}, locust on core {cores[-1]}")
    print(f"server on core {cores[0]}, locust on core {cores[-1]}; reports are in {REPORTS.relative_to(ROOT)}")
    print("if the server's core was not saturated, locust was the bottleneck, and the server can do more")
    return 1 if failures else 0


def measure(stage: Stage, mode: str, server: ServerProcess, seconds: int, core: int) -> tuple[tuple[str, ...], int]:
    """Run one stage against one server; return its row of the table, and the number of failures."""
    process = psutil.Process(server.process.pid)
    before_s, before = sum(process.cpu_times()[:2]), count_batches(server)
    figures = run_stage(stage, mode, server.url, seconds, core)
    used = (sum(process.cpu_times()[:2]) - before_s) / seconds
    rows, batches = (now - then for now, then in zip(count_batches(server), before, strict=True))
    if figures["first_failure"]:
        print(f"  the first failure: {figures['first_failure']}")
    latencies = [f"{figures[key]:.2f}" for key in ("p50_ms", "p95_ms", "p99_ms")]
    counted = [str(stage.users), str(figures["requests"]), str(figures["failures"]), f"{figures['requests_per_s']:.0f}"]
    row = (stage.name, mode, *counted, *latencies, f"{used:.0%}", f"{rows / max(1, batches):.1f}")
    return row, figures["failures"] + (figures["requests"] == 0)


def count_batches(server: ServerProcess) -> tuple[float, float]:
    """Return how many rows the server has run so far, and in how many batches."""
    with urllib.request.urlopen(f"{server.url}/metrics") as response:  # noqa: S310  loopback
        text = response.read().decode()
    rows, batches = (
        re.search(rf"^corolla_{what}_total{{.*}} (\S+)$", text, re.MULTILINE) for what in ("rows", "batches")
    )
    return float(rows[1]) if rows else 0.0, float(batches[1]) if batches else 0.0


def run_stage(stage: Stage, mode: str, url: str, seconds: int, core: int) -> dict[str, Any]:
    """Run one stage and return the figures that the locustfile prints."""
    prefix = REPORTS / f"{stage.name}-{mode}"
    command = [
        *(sys.executable, "-m", "locust", "--locustfile", str(HERE / "locustfile.py"), "--headless", "--only-summary"),
        *("--host", url, "--users", str(stage.users), "--spawn-rate", str(stage.users_per_s)),
        *("--run-time", f"{seconds}s", "--csv", str(prefix), "--html", f"{prefix}.html", "--exit-code-on-error", "0"),
        *("--loglevel", "WARNING"),
    ]
    ended = subprocess.run(
        command, check=True, capture_output=True, text=True, preexec_fn=lambda: os.sched_setaffinity(0, {core})
    )
    figures: dict[str, Any] = json.loads(
        next(line for line in ended.stdout.splitlines() if line.startswith('{"requests"'))
    )
    return figures


def print_row(cells: Sequence[str]) -> None:
    """Print one row of the table."""
    print("{:<10}{:<12}{:>5}{:>10}{:>10}{:>12}{:>9}{:>9}{:>9}{:>12}{:>12}".format(*cells), flush=True)


def write_page(rows: Sequence[Sequence[str]], about: str) -> None:
    """Write the table as a page, with a link to locust's own report of each stage."""
    lines = [f"<tr>{''.join(f'<th>{cell}</th>' for cell in HEADER)}</tr>"]
    for stage, mode, *cells in rows:
        link = f'<td><a href="{stage}-{mode}.html">{stage}</a></td><td>{mode}</td>'
        lines.append(f"<tr>{link}{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>")
    style = "<style>body{font:16px sans-serif;margin:2em}td,th{padding:.3em .8em;text-align:right}</style>"
    head = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Corolla: latency</title>{style}'
    page = f"{head}<h1>Corolla: latency</h1><p>{about}</p><table>{''.join(lines)}</table></html>"
    (REPORTS / "index.html").write_text(page)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
