"""locust's latency benchmark: a real server on one core, locust on another, three stages, one table.

    one user -> 10 users at 3 users/s -> as many as saturate it

Each stage leaves locust's HTML report and CSV files in tests/load/reports. Exits with 1 where an answer was wrong or
none came.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs
import psutil

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT))

from tests.server_process import serving  # noqa: E402  a script finds its own project first

REPORTS = HERE / "reports"
HEADER = ("stage", "users", "requests", "failures", "requests/s", "p50 ms", "p95 ms", "p99 ms", "server CPU")


@attrs.frozen
class Stage:
    """One step of the test: how many users, and how many more of them each second."""

    name: str
    users: int
    users_per_s: int


STAGES = (Stage("one", 1, 1), Stage("ten", 10, 3), Stage("saturate", 64, 64))


def main(arguments: Sequence[str]) -> int:
    """Runs every stage and prints the table."""
    parser = argparse.ArgumentParser(description="Measure the server's latency with locust.")
    parser.add_argument(
        "--models-dir", type=Path, default=ROOT / "models", help="the model repository (default: models)"
    )
    parser.add_argument("--seconds", type=int, default=15, help="length of each stage (default: 15)")
    options = parser.parse_args(arguments)
    REPORTS.mkdir(exist_ok=True)
    cores = sorted(os.sched_getaffinity(0))
    failures = 0
    with serving(options.models_dir) as server:
        process = psutil.Process(server.process.pid)
        process.cpu_affinity([cores[0]])
        print_row(HEADER)
        for stage in STAGES:
            before_s = sum(process.cpu_times()[:2])
            figures = run_stage(stage, server.url, options.seconds, cores[-1])
            used = (sum(process.cpu_times()[:2]) - before_s) / options.seconds
            failures += figures["failures"] + (figures["requests"] == 0)
            rates = (
                f"{figures['requests_per_s']:.0f}",
                *(f"{figures[key]:.2f}" for key in ("p50_ms", "p95_ms", "p99_ms")),
            )
            print_row((stage.name, stage.users, figures["requests"], figures["failures"], *rates, f"{used:.0%}"))
            if figures["first_failure"]:
                print(f"  the first failure: {figures['first_failure']}")
    print(f"server on core {cores[0]}, locust on core {cores[-1]}; reports are in {REPORTS.relative_to(ROOT)}")
    if used < 0.9:
        print("the server's core was not full: it was locust that saturated, and the server can do more")
    return 1 if failures else 0


def run_stage(stage: Stage, url: str, seconds: int, core: int) -> dict[str, Any]:
    """Runs one stage and gives the figures that the locustfile prints."""
    prefix = REPORTS / stage.name
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


def print_row(cells: Sequence[object]) -> None:
    """Prints one row of the table."""
    print("{:<10}{:>6}{:>10}{:>10}{:>12}{:>9}{:>9}{:>9}{:>12}".format(*cells), flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
